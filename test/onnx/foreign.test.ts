import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { f32, type NdArray } from "../../src/core/array.js";
import { UserError } from "../../src/core/errors.js";
import { importModel } from "../../src/onnx/index.js";
import { arrayFrom, FREE, grad, interpret, mul, sum, trace } from "../../src/tensor/index.js";
import { finiteDifferences } from "../compute/finite-differences.js";
import "../support/allclose.js";
import { type NodeSpec, nodeModel, type ValueSpec } from "./node-model.js";

/** What foreign files do with shapes, and what of them is refused, by operator and node. */

const ints = (...values: number[]) => arrayFrom([values.length], "int64", values);
const scalar = (value: number) => arrayFrom([], "int64", [value]);
const flag = (value: boolean) => arrayFrom([], "bool", [Number(value)]);

interface Spec {
  readonly nodes: readonly NodeSpec[];
  readonly constants?: Readonly<Record<string, NdArray>>;
  readonly opset?: number;
  readonly x?: ValueSpec["shape"];
}

/** A model from x, float32, to y. */
function modelOf({ nodes, constants = {}, opset = 18, x = ["batch", 4] }: Spec): Uint8Array {
  return nodeModel({
    opset,
    inputs: { x: { dtype: "float32", shape: x } },
    constants,
    nodes,
    outputs: { y: { dtype: "float32", shape: x } },
  });
}

function shapeOf(spec: Spec, x: readonly number[]): readonly number[] {
  return trace(
    (graph) => importModel(modelOf(spec), "p.onnx").apply({ x: graph.input("x", x, "float32") }).y!.shape,
  );
}

describe("shape arithmetic with free rows", () => {
  const size = { op: "Shape", in: ["x"], out: ["size"] };
  const constants = {
    first: ints(0),
    minus: ints(-1),
    seven: ints(7),
    one: ints(1),
    zero: scalar(0),
    two: ints(2),
    w: f32([2, 7], new Float32Array(14)),
  };
  const batch = { op: "Gather", in: ["size", "first"], out: ["n"] };

  it.each<[string, readonly NodeSpec[], readonly number[]]>([
    [
      "view(x.shape[0], -1)",
      [
        size,
        batch,
        { op: "Concat", in: ["n", "minus"], out: ["to"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["x", "to"] },
      ],
      [FREE, 4],
    ],
    [
      "zeros(x.shape[0], 7), from a scalar index",
      [
        size,
        { op: "Gather", in: ["size", "zero"], out: ["s"] },
        { op: "Unsqueeze", in: ["s", "first"], out: ["n"] },
        { op: "Concat", in: ["n", "seven"], out: ["to"], attrs: { axis: 0 } },
        { op: "ConstantOfShape", in: ["to"] },
      ],
      [FREE, 7],
    ],
    [
      "expand(x.shape[0], -1, -1) as TorchScript writes it",
      [
        size,
        batch,
        { op: "Concat", in: ["n", "minus", "minus"], out: ["given"], attrs: { axis: 0 } },
        { op: "Shape", in: ["given"], out: ["rank"] },
        { op: "ConstantOfShape", in: ["rank"], out: ["ones"], attrs: { value: ints(1) } },
        { op: "Mul", in: ["ones", "minus"], out: ["minusOnes"] },
        { op: "Equal", in: ["given", "minusOnes"], out: ["kept"] },
        { op: "Where", in: ["kept", "ones", "given"], out: ["to"] },
        { op: "Unsqueeze", in: ["x", "first"], out: ["u"] },
        { op: "Transpose", in: ["u"], out: ["t"], attrs: { perm: [1, 0, 2] } },
        { op: "Expand", in: ["t", "to"] },
      ],
      [FREE, 1, 4],
    ],
    [
      "sizes times 1, plus 0, and cut out of a longer list",
      [
        size,
        { op: "Mul", in: ["size", "one"], out: ["a"] },
        { op: "Add", in: ["a", "first"], out: ["b"] },
        { op: "Slice", in: ["b", "first", "one", "first"], out: ["n"] },
        { op: "Cast", in: ["n"], out: ["c"], attrs: { to: 6 } },
        { op: "Cast", in: ["c"], out: ["d"], attrs: { to: 7 } },
        { op: "Concat", in: ["d", "two", "minus"], out: ["to"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["x", "to"] },
      ],
      [FREE, 2, 2],
    ],
    ["a slice of all rows", [size, batch, { op: "Slice", in: ["x", "first", "n", "first"] }], [FREE, 4]],
    [
      "rows and entities joined for a layer, and separated again",
      [
        { op: "Concat", in: ["minus", "two"], out: ["flat"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["x", "flat"], out: ["entities"] },
        { op: "Shape", in: ["entities"], out: ["many"] },
        { op: "Slice", in: ["many", "first", "one", "first"], out: ["m"] },
        { op: "MatMul", in: ["entities", "w"], out: ["coded"] },
        { op: "Div", in: ["m", "two"], out: ["back"] },
        { op: "Concat", in: ["back", "minus", "seven"], out: ["to"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["coded", "to"] },
      ],
      [FREE, 2, 7],
    ],
    ["a flattening of what follows the rows", [{ op: "Flatten", in: ["x"] }], [FREE, 4]],
  ])("is folded: %s", (_, nodes, expected) => {
    expect(shapeOf({ nodes, constants }, [FREE, 4])).toEqual(expected);
    expect(shapeOf({ nodes, constants }, [5, 4])).toEqual(expected.map((d) => (d === FREE ? 5 : d)));
  });

  it.each<[string, readonly NodeSpec[], string]>([
    [
      "twice the rows",
      [size, batch, { op: "Mul", in: ["n", "two"], out: ["m"] }, { op: "ConstantOfShape", in: ["m"] }],
      'p.onnx, node "ConstantOfShape_3" (ConstantOfShape): it joins the rows, which are free here, with other dimensions; give the model a fixed number of rows',
    ],
    [
      "more than the rows",
      [size, batch, { op: "Add", in: ["n", "two"], out: ["m"] }, { op: "ConstantOfShape", in: ["m"] }],
      'p.onnx, node "Add_2" (Add): it computes with the number of rows, which is free here; give the model a fixed number of rows',
    ],
    [
      "rows joined in two orders, added",
      [
        { op: "Transpose", in: ["x"], out: ["t"] },
        { op: "Reshape", in: ["x", "minus"], out: ["a"] },
        { op: "Reshape", in: ["t", "minus"], out: ["b"] },
        { op: "Add", in: ["a", "b"] },
      ],
      'p.onnx, node "Add_3" (Add): it joins the rows, which are free here, with other dimensions; give the model a fixed',
    ],
    [
      "rows cut into parts",
      [
        { op: "Concat", in: ["two", "minus"], out: ["to"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["x", "to"] },
      ],
      'p.onnx, node "Reshape_1" (Reshape): it joins the rows, which are free here, with other dimensions; give the model a',
    ],
    [
      "a sum over rows and others",
      [
        { op: "Concat", in: ["minus", "two"], out: ["to"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["x", "to"], out: ["a"] },
        { op: "ReduceSum", in: ["a", "first"] },
      ],
      'p.onnx, node "ReduceSum_2" (ReduceSum): it joins the rows, which are free here, with other dimensions; give the',
    ],
    [
      "an output of twice the rows",
      [
        { op: "Concat", in: ["minus", "two"], out: ["to"], attrs: { axis: 0 } },
        { op: "Reshape", in: ["x", "to"] },
      ],
      'p.onnx, output "y": it joins the rows, which are free here, with other dimensions; give the model a fixed number of rows',
    ],
    [
      "the number of rows as data",
      [size, batch, { op: "Cast", in: ["n"], out: ["f"], attrs: { to: 1 } }, { op: "Div", in: ["x", "f"] }],
      'p.onnx, node "Cast_2" (Cast): it computes with the number of rows, which is free here; give the model a fixed',
    ],
    [
      "everything in one row",
      [{ op: "Reshape", in: ["x", "minus"] }],
      "it joins the rows, which are free here, with other",
    ],
  ])("is refused where it cannot be: %s", (_, nodes, expected) => {
    expect(shapeOf({ nodes, constants }, [6, 4])).toBeDefined();
    expect(() => shapeOf({ nodes, constants }, [FREE, 4])).toThrow(expected);
  });

  it("keeps axes within what the file has where rows are joined with others", () => {
    const nodes = [
      { op: "Reshape", in: ["x", "minus"], out: ["a"] },
      { op: "Softmax", in: ["a"], attrs: { axis: -2 } },
    ];
    expect(() => shapeOf({ nodes, constants }, [FREE, 4])).toThrow(
      'node "Softmax_1" (Softmax): got axis -2, expected an axis of a tensor of rank 1',
    );
  });

  it("takes any size for a name, but one size for one name", () => {
    const bytes = nodeModel({
      opset: 18,
      inputs: { a: { dtype: "float32", shape: ["batch", 4] }, b: { dtype: "float32", shape: ["batch", 1] } },
      nodes: [{ op: "Add", in: ["a", "b"] }],
      outputs: { y: { dtype: "float32", shape: ["batch", 4] } },
    });
    trace((graph) => {
      const a = graph.input("a", [3, 4], "float32");
      const b = graph.input("b", [1, 1], "float32");
      expect(() => importModel(bytes, "p.onnx").apply({ a, b })).toThrow(
        'p.onnx, input "b": got float32 [1, 1], expected float32 [batch, 1], where batch is 3 in input "a"',
      );
    });
  });
});

describe("what is refused", () => {
  const gru = (attrs: NodeSpec["attrs"], extra: readonly string[] = [], op = "GRU"): Spec => ({
    x: [3, 2, 4],
    constants: {
      w: f32([1, op === "GRU" ? 9 : 12, 4], new Float32Array(op === "GRU" ? 36 : 48)),
      r: f32([1, op === "GRU" ? 9 : 12, 3], new Float32Array(op === "GRU" ? 27 : 36)),
      lengths: arrayFrom([2], "int32", [3, 2]),
      peepholes: f32([1, 9], new Float32Array(9)),
    },
    nodes: [
      {
        op,
        in: ["x", "w", "r", ...extra],
        attrs: { hidden_size: 3, ...(op === "GRU" ? { linear_before_reset: 1 } : {}), ...attrs },
      },
    ],
  });
  const plain = (node: NodeSpec, more: Partial<Spec> = {}): Spec => ({ nodes: [node], ...more });

  it.each<[string, Spec, string]>([
    [
      "a GRU in both directions",
      gru({ direction: "bidirectional" }),
      'node "GRU_0" (GRU): attribute "direction" is "bidirectional", supported is forward',
    ],
    [
      "a GRU with the reset gate first",
      gru({ linear_before_reset: 0 }),
      'attribute "linear_before_reset" is 0, supported is 1',
    ],
    ["a GRU with clipping", gru({ clip: { float: 1 } }), 'attribute "clip" is not supported'],
    [
      "a GRU with other activations",
      gru({ activations: ["Relu", "Tanh"] }),
      'attribute "activations" is [Relu, Tanh], expected Sigmoid, Tanh',
    ],
    ["a GRU with batches first", gru({ layout: 1 }), 'attribute "layout" is 1, supported is 0'],
    [
      "a GRU with lengths",
      gru({}, ["", "lengths"]),
      "it has sequence lengths (input 4), which is not supported",
    ],
    ["a GRU of another size", gru({ hidden_size: 5 }), 'attribute "hidden_size" is 5, supported is 3'],
    [
      "an LSTM with coupled gates",
      gru({ input_forget: 1 }, [], "LSTM"),
      'attribute "input_forget" is 1, supported is 0',
    ],
    [
      "an LSTM with peepholes",
      gru({}, ["", "", "", "", "peepholes"], "LSTM"),
      "it has peephole weights (input 7), which is not supported",
    ],
    [
      "an operator of another domain",
      plain({ op: "FusedGemm", in: ["x"], domain: "com.microsoft" }),
      'node "FusedGemm_0": operator FusedGemm of domain "com.microsoft" is not supported',
    ],
    [
      "an unknown operator",
      plain({ op: "Conv", in: ["x", "x"] }),
      'node "Conv_0": operator Conv is not supported',
    ],
    [
      "an operator set that is too old",
      plain({ op: "Relu", in: ["x"] }, { opset: 6 }),
      "p.onnx: got operator set 6, expected 7 to 22; export it with opset 7",
    ],
    [
      "an operator set that is too new",
      plain({ op: "Relu", in: ["x"] }, { opset: 23 }),
      "p.onnx: got operator set 23, expected 7 to 22; export it with opset 22",
    ],
    [
      "dropout while training",
      plain({ op: "Dropout", in: ["x", "", "yes"] }, { constants: { yes: flag(true) } }),
      "it is in training mode; export the model in eval() mode",
    ],
    [
      "padding by reflection",
      plain(
        { op: "Pad", in: ["x", "pads"], attrs: { mode: "reflect" } },
        { constants: { pads: ints(0, 1, 0, 1) } },
      ),
      'attribute "mode" is "reflect", supported is constant',
    ],
    [
      "scattering that overwrites",
      plain(
        { op: "ScatterElements", in: ["x", "at", "x"] },
        { x: [1, 1], constants: { at: arrayFrom([1, 1], "int64", [0]) } },
      ),
      'attribute "reduction" is "none", supported is add',
    ],
    [
      "sizes that are computed from data",
      {
        nodes: [
          { op: "ArgMax", in: ["x"], out: ["i"], attrs: { axis: 1, keepdims: 0 } },
          { op: "Reshape", in: ["x", "i"] },
        ],
      },
      'input 1 ("i") is computed from data, expected integers known from the shapes',
    ],
    [
      "a branch on data",
      {
        x: [1],
        constants: { zero: f32([1], [0]) },
        nodes: [
          { op: "Greater", in: ["x", "zero"], out: ["c"] },
          { op: "If", in: ["c"] },
        ],
      },
      "its condition is computed from data, expected one that is known from the shapes",
    ],
    [
      "integers divided by zero",
      {
        constants: { a: ints(1), b: ints(0) },
        nodes: [
          { op: "Div", in: ["a", "b"], out: ["to"] },
          { op: "Reshape", in: ["x", "to"] },
        ],
      },
      'node "Div_0" (Div): it divides by zero',
    ],
    [
      "an attribute of a later operator set",
      plain({ op: "ReduceMax", in: ["x", "axes"] }, { opset: 13, constants: { axes: ints(1) } }),
      'node "ReduceMax_0" (ReduceMax): input 1 ("axes") is not supported',
    ],
  ])("%s", (_, spec, expected) => {
    const shape = (spec.x ?? ["batch", 4]).map((d) => (typeof d === "string" ? 2 : d));
    let message = "";
    try {
      shapeOf(spec, shape);
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      message = (error as UserError).message;
    }
    expect(message).toContain(expected);
    expect(message).toMatch(/^p\.onnx[^\n]*$/);
  });
});

describe("weights", () => {
  const load = (name: string) => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)));

  it.each([
    "gru-policy.script17.onnx",
    "gru-sequence.dynamo18.onnx",
    "mixed.script13.onnx",
    "attention.dynamo18.onnx",
  ])("of %s may be tensors: the same outputs, and derivatives", (file) => {
    const { model, weights, apply } = importModel(load(file), file);
    trace((graph) => {
      const feeds: Record<string, NdArray> = { ...weights };
      for (const { name, dtype, shape } of model.inputs) {
        const dims = shape.map((d) => (d === "time" ? 3 : typeof d === "string" ? 2 : d));
        const count = dims.reduce((n, d) => n * d, 1);
        const values = Array.from({ length: count }, (_, i) => (dtype === "int64" ? i % 4 : Math.sin(i + 1)));
        feeds[name] = arrayFrom(dims, dtype, values);
      }
      const declared = Object.fromEntries(
        Object.entries(feeds).map(([k, v]) => [k, graph.input(k, v.shape, v.dtype)]),
      );
      const pick = (names: readonly string[]) => Object.fromEntries(names.map((k) => [k, declared[k]!]));
      const inputs = pick(model.inputs.map((v) => v.name));
      const tensors = pick(Object.keys(weights));
      const [name] = model.outputs.map((v) => v.name);
      const [plain, given] = [apply(inputs)[name!]!, apply(inputs, tensors)[name!]!];
      const loss = sum(mul(given, given));
      const result = interpret({ plain, given, gradients: grad(loss, tensors) }, feeds);
      expect(result.given).toBeAllclose(result.plain, { rtol: 1e-12, atol: 1e-12 });
      // The smallest weights, for the sake of time.
      const small = Object.keys(weights).filter((k) => weights[k]!.data.length <= 24);
      expect(small.length).toBeGreaterThan(0);
      for (const k of small) {
        const differences = finiteDifferences(loss, feeds, k);
        expect(result.gradients[k]!, k).toBeAllclose(differences, { rtol: 1e-6, atol: 1e-7 });
      }
    });
  });
});
