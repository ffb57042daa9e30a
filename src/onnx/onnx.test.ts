import { describe, expect, it } from "vitest";
import { finiteDifferences } from "../../test/compute/finite-differences.js";
import "../../test/support/allclose.js";
import { f32 } from "../core/array.js";
import {
  add,
  concat,
  constant,
  exp,
  expand,
  FREE,
  gather,
  grad,
  interpret,
  linear,
  logSoftmax,
  matmul,
  mul,
  named,
  split,
  sum,
  type Tensor,
  TensorError,
  tanh,
  trace,
} from "../tensor/index.js";
import { importModel, readModel, writeModel } from "./index.js";

/** A small policy: two layers, a split, free rows, and the gradient with respect to the observation. */
function policy(): Uint8Array {
  return trace((graph) => {
    const obs = graph.input("obs", [FREE, 3], "float32");
    const weights = constant(
      f32(
        [3, 4],
        Array.from({ length: 12 }, (_, i) => Math.sin(i)),
      ),
    );
    const hidden = named(tanh(linear(obs, weights, constant(f32([4], [1, 2, 3, 4])))), "policy/hidden0");
    const [a, b] = split(hidden, [1, 3], 1);
    const logProbs = logSoftmax(mul(a!, b!));
    return writeModel({
      outputs: { logProbs, saliency: grad(sum(exp(logProbs)), obs), obsAgain: obs, same: logProbs },
      name: "policy",
      metadata: { environment: "mpe/simple_spread_v3", note: "ε ≤ 0.1" },
    });
  });
}

describe("writing and reading", () => {
  it("keeps signature, names and metadata", () => {
    const model = readModel(policy(), "policy.onnx");
    expect(model.opset).toBe(18);
    expect(model.irVersion).toBe(9);
    expect(model.metadata).toEqual({ environment: "mpe/simple_spread_v3", note: "ε ≤ 0.1" });
    expect(model.inputs).toEqual([{ name: "obs", dtype: "float32", shape: ["N", 3] }]);
    expect(model.outputs.map((o) => o.name)).toEqual(["logProbs", "saliency", "obsAgain", "same"]);
    expect(model.nodes.some((n) => n.name === "policy/hidden0" && n.opType === "Tanh")).toBe(true);
    expect(model.nodes.filter((n) => n.opType === "Transpose")).toEqual([]);
  });

  it("writes the same bytes for the same computation", () => {
    expect(policy()).toEqual(policy());
  });

  it("begins a matrix product from what is added to it, unless the product itself is needed", () => {
    const shapes = { a: [2, 3], b: [3, 2], c: [1, 2] };
    type Given = Record<keyof typeof shapes, Tensor>;
    const operators = (outputs: (x: Given) => Record<string, Tensor>) =>
      trace((graph) => {
        const entries = Object.entries(shapes).map(([name, shape]) => [
          name,
          graph.input(name, shape, "float32"),
        ]);
        const bytes = writeModel({ outputs: outputs(Object.fromEntries(entries)) });
        return readModel(bytes)
          .nodes.map((n) => n.opType)
          .sort();
      });
    expect(operators(({ a, b, c }) => ({ y: add(c, matmul(a, b)) }))).toEqual(["Gemm"]);
    // The product that is needed three times is computed on its own; the other one begins from it.
    const twice = ({ a, b }: Given) => ({ y: add(matmul(a, b), matmul(matmul(a, b), exp(matmul(a, b)))) });
    expect(operators(twice)).toEqual(["Exp", "Gemm", "Gemm"]);
    const needed = ({ a, b, c }: Given) => ({ y: add(matmul(a, b), c), product: matmul(a, b) });
    expect(operators(needed)).toEqual(["Add", "Gemm"]);
    const larger = ({ a, b }: Given) => ({ y: add(linear(sum(a, 0, true), b), matmul(a, b)) });
    expect(operators(larger)).toEqual(["Gemm", "Gemm", "ReduceSum"]);
    const spread = ({ a, b, c }: Given) => ({ y: add(linear(sum(a, 0, true), b), concat([c, c], 0)) });
    expect(operators(spread)).toEqual(["Add", "Concat", "Gemm", "ReduceSum"]);
  });

  it("imports what it wrote, as a function that can be differentiated", () => {
    const bytes = policy();
    const x = f32([2, 3], [0.1, -0.5, 2, 1, 0, -1]);
    const { again, gradient, saliency } = trace((graph) => {
      const obs = graph.input("obs", [FREE, 3], "float32");
      const outputs = importModel(bytes).apply({ obs });
      const g = grad(sum(exp(outputs.logProbs!)), obs);
      return interpret({ again: outputs.obsAgain!, gradient: g, saliency: outputs.saliency! }, { obs: x });
    });
    expect(Array.from(again.data as Float64Array)).toEqual(Array.from(x.data));
    expect(gradient.data).toEqual(saliency.data);
  });

  it("lets the weights of a file be tensors, which the outputs can be differentiated by", () => {
    const { weights, apply } = importModel(policy(), "policy.onnx");
    const names = Object.keys(weights);
    expect(Object.values(weights).map((w) => w.shape)).toEqual([[3, 4], [4]]);
    const feeds = { obs: f32([2, 3], [0.1, -0.5, 2, 1, 0, -1]), ...weights };
    const { plain, given, gradient, differences } = trace((graph) => {
      const obs = graph.input("obs", [FREE, 3], "float32");
      const tensors = Object.fromEntries(
        Object.entries(weights).map(([name, { shape, dtype }]) => [name, graph.input(name, shape, dtype)]),
      );
      const output = apply({ obs }, tensors).logProbs!;
      const loss = sum(mul(output, output));
      return {
        ...interpret(
          { plain: apply({ obs }).logProbs!, given: output, gradient: grad(loss, tensors) },
          feeds,
        ),
        differences: names.map((name) => finiteDifferences(loss, feeds, name)),
      };
    });
    expect(given.data).toEqual(plain.data);
    for (const [i, name] of names.entries()) {
      expect(gradient[name]).toBeAllclose(differences[i]!, { atol: 1e-6, rtol: 1e-6 });
    }
    trace((graph) => {
      const obs = graph.input("obs", [FREE, 3], "float32");
      const w = graph.input("w", [3], "float32");
      expect(() => apply({ obs }, { _consts: w })).toThrow(
        'weight "_consts": the model has no weight of this name. Did you mean "_const"?',
      );
      expect(() => apply({ obs }, { _const: w })).toThrow(
        'weight "_const": got float32 [3], expected float32 [3, 4]',
      );
    });
  });

  it("refuses two outputs of one name and inputs left out", () => {
    trace((graph) => {
      const x = graph.input("x", [2], "float32");
      expect(() => writeModel({ outputs: { x: add(x, 1) } })).toThrow('the name "x" twice');
      expect(() => writeModel({ outputs: { y: add(x, 1) }, inputs: [] })).toThrow('need input "x"');
      expect(() => writeModel({ outputs: { y: add(x, 1) }, inputs: [] })).toThrow(TensorError);
    });
  });
});

it("names the input that does not fit", () => {
  trace((graph) => {
    const obs = graph.input("obs", [2, 5], "float32");
    expect(() => importModel(policy(), "policy.onnx").apply({ obs })).toThrow(
      'policy.onnx, input "obs": got float32 [2, 5], expected float32 [N, 3]',
    );
  });
});

it("keeps gathers and expansions over free rows", () => {
  const bytes = trace((graph) => {
    const index = graph.input("index", [FREE], "int32");
    const table = constant(f32([3, 2], [1, 2, 3, 4, 5, 6]));
    const rows = gather(table, index);
    return writeModel({ outputs: { y: add(rows, expand(constant(f32([1, 2], [10, 20])), [FREE, 2])) } });
  });
  const y = trace((graph) => {
    const index = graph.input("index", [FREE], "int32");
    return interpret(importModel(bytes).apply({ index }), {
      index: { dtype: "int32", shape: [2], data: Int32Array.of(2, 0) },
    });
  });
  expect(Array.from(y.y!.data as Float64Array)).toEqual([15, 26, 11, 22]);
});
