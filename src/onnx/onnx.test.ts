import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finiteDifferences } from "../../test/compute/finite-differences.js";
import "../../test/support/allclose.js";
import { f32 } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import {
  add,
  constant,
  exp,
  expand,
  FREE,
  gather,
  grad,
  interpret,
  linear,
  logSoftmax,
  mul,
  named,
  split,
  sum,
  TensorError,
  tanh,
  trace,
} from "../tensor/index.js";
import { type ModelProto, ModelProtoSchema, NodeProtoSchema } from "./gen/onnx_pb.js";
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

function changed(change: (model: ModelProto) => void): Uint8Array {
  const model = fromBinary(ModelProtoSchema, policy());
  change(model);
  return toBinary(ModelProtoSchema, model);
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

describe("files from strangers", () => {
  const refusal = (bytes: Uint8Array): string => {
    try {
      trace(() => importModel(bytes, "policy.onnx"));
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      return (error as UserError).message;
    }
    throw new Error("expected a refusal");
  };

  it.each([
    ["an empty file", new Uint8Array(0), "not an ONNX file"],
    ["text", new TextEncoder().encode("hello, this is not a model"), "not an ONNX"],
    ["a truncated file", policy().slice(0, 200), "not an ONNX file"],
    [
      "another opset",
      changed((m) => (m.opsetImport[0]!.version = 6n)),
      "got operator set 6, expected 7 to 22",
    ],
    ["no opset", changed((m) => (m.opsetImport = [])), "which operator set"],
    [
      "a custom domain",
      changed((m) => (m.graph!.node[0]!.domain = "com.example")),
      'of domain "com.example"',
    ],
    ["external data", changed((m) => (m.graph!.initializer[0]!.dataLocation = 1)), "external data"],
    [
      "a cycle",
      changed((m) => (m.graph!.node[0]!.input[0] = m.graph!.node[1]!.output[0]!)),
      "is computed later: the graph has a cycle",
    ],
    [
      "an unknown operator",
      changed((m) => (m.graph!.node[1]!.opType = "NonMaxSuppression")),
      'node "policy/hidden0": operator NonMaxSuppression is not supported',
    ],
    [
      "an undefined name",
      changed((m) => (m.graph!.node[1]!.input[0] = "nowhere")),
      'its input "nowhere" is not defined anywhere',
    ],
    ["a name defined twice", changed((m) => m.graph!.node.push(m.graph!.node[0]!)), "is defined twice"],
    [
      "a weight with too little data",
      changed((m) => (m.graph!.initializer[0]!.rawData = new Uint8Array(4))),
      "it has 4 bytes of data, expected 48",
    ],
    [
      "a weight of absurd size",
      changed((m) => (m.graph!.initializer[0]!.dims = [1n << 40n, 1n << 40n])),
      "cannot be that of its data",
    ],
    ["half precision", changed((m) => (m.graph!.initializer[0]!.dataType = 10)), "FLOAT16"],
    [
      "a missing output",
      changed((m) => (m.graph!.output[0]!.name = "elsewhere")),
      'output "elsewhere": no node computes it',
    ],
  ] as [string, Uint8Array, string][])("refuses %s in one sentence", (_, bytes, expected) => {
    const message = refusal(bytes);
    expect(message).toContain(expected);
    expect(message.startsWith("policy.onnx")).toBe(true);
    expect(message).not.toContain("\n");
  });

  it("refuses attributes it does not know instead of ignoring them", () => {
    const bytes = changed((m) => {
      const gemm = m.graph!.node.find((n) => n.opType === "Gemm")!;
      gemm.attribute.push(
        create(NodeProtoSchema, { attribute: [{ name: "gamma", type: 2, i: 1n }] }).attribute[0]!,
      );
    });
    trace((graph) => {
      const obs = graph.input("obs", [2, 3], "float32");
      expect(() => importModel(bytes, "p.onnx").apply({ obs })).toThrow('attribute "gamma" is not supported');
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

  it("survives thousands of damaged files: a model or a UserError, nothing else", () => {
    const original = policy();
    const stream = RandomStream.from(5);
    const counts = { read: 0, refused: 0 };
    for (let i = 0; i < 4000; i++) {
      const bytes = damage(original, stream, i % 4);
      try {
        trace((graph) => {
          const model = importModel(bytes);
          const inputs = Object.fromEntries(
            model.inputs.map(({ name, dtype, shape }) => [
              name,
              graph.input(
                name,
                shape.map((d, k) => (typeof d === "string" ? (k === 0 ? FREE : 2) : d)),
                dtype,
              ),
            ]),
          );
          model.apply(inputs);
        });
        counts.read++;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        counts.refused++;
      }
    }
    // Both happen, or the damage is too mild or too wild to mean anything.
    expect(counts.read).toBeGreaterThan(30);
    expect(counts.refused).toBeGreaterThan(1000);
  });

  it("survives random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => readModel(bytes)).toThrow(UserError);
      }),
      { numRuns: 1000 },
    );
  });
});

/** Truncate, flip single bytes, cut out or repeat a stretch. */
function damage(original: Uint8Array, stream: RandomStream, kind: number): Uint8Array {
  const at = stream.int(original.length);
  if (kind === 0) return original.slice(0, at);
  if (kind === 1) {
    const bytes = original.slice();
    for (let k = 1 + stream.int(3); k > 0; k--) bytes[stream.int(bytes.length)] = stream.int(256);
    return bytes;
  }
  const end = Math.min(original.length, at + 1 + stream.int(20));
  const rest = kind === 2 ? original.slice(end) : original.slice(at);
  return Uint8Array.from([...original.slice(0, end - (kind === 2 ? end - at : 0)), ...rest]);
}

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
