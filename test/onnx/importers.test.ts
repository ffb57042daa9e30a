import { describe, expect, it } from "vitest";
import { f32, type NdArray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { importers } from "../../src/onnx/importers/index.js";
import { importModel } from "../../src/onnx/index.js";
import { importSupport } from "../../src/onnx/support.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  arrayFrom,
  cast,
  grad,
  interpret,
  isFloat,
  mul,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";
import { finiteDifferences, fixedWeights } from "../compute/finite-differences.js";
import "../support/allclose.js";
import { type Attribute, nodeModel } from "./node-model.js";

/**
 * Every importer, at the operator sets where its meaning or form changes: the engine runs the node as it is in the file,
 * the interpreter what it was imported as. The derivative is checked by differences.
 */

interface NodeCase {
  readonly opsets: readonly number[];
  /** float32 [shape] or the array itself, in the node's order; null leaves one out */
  readonly in: readonly (readonly number[] | NdArray | null)[];
  /** positions of inputs that stand in the file; default: those given as arrays of integers or with at most 2 elements */
  readonly constant?: readonly number[];
  readonly attrs?: Readonly<Record<string, Attribute>>;
  /** number of outputs; default 1 */
  readonly outputs?: number;
  /** keep away from zero and below: for logarithms and roots */
  readonly positive?: boolean;
}

const i64 = (shape: readonly number[], values: readonly number[]) => arrayFrom(shape, "int64", values);
const ints = (...values: number[]) => i64([values.length], values);
const scalar = (value: number) => f32([], [value]);
const bools = (shape: readonly number[], values: readonly number[]) => arrayFrom(shape, "bool", values);
const float = (value: number) => ({ float: value });

const OLDEST = 7;
const NEWEST = 22;
const ALL = [OLDEST, 13, 18, NEWEST];
const x = [2, 3];
const mask = bools([2, 3], [1, 0, 0, 1, 1, 0]);
const otherMask = bools([3], [1, 1, 0]);
const INT64_MAX = Number(2n ** 63n - 1n);

const unary = (opsets: readonly number[] = ALL): NodeCase[] => [{ opsets, in: [x] }];
const positive: NodeCase[] = [{ opsets: ALL, in: [x], positive: true }];
const binary = (opsets: readonly number[] = ALL): NodeCase[] => [
  { opsets, in: [[2, 3], [3]] },
  {
    opsets,
    in: [
      [4, 1, 3],
      [2, 1],
    ],
  },
];
const comparison = (opsets: readonly number[] = ALL): NodeCase[] => [
  { opsets, in: [x, [3]] },
  { opsets: [Math.max(9, opsets[0]!), 13], in: [ints(1, 2, 3), ints(3, 2, 1)], constant: [1] },
];
const reduction = (since: number, positive_ = false): NodeCase[] => [
  { opsets: ALL, in: [[2, 3, 4]], positive: positive_ },
  {
    opsets: [7, 12, ...(since === 18 ? [17] : [])],
    in: [[2, 3, 4]],
    attrs: { axes: [0, 2], keepdims: 0 },
    positive: positive_,
  },
  { opsets: [since, NEWEST], in: [[2, 3, 4], ints(-1)], attrs: { keepdims: 0 }, positive: positive_ },
  { opsets: [since, NEWEST], in: [[2, 3, 4], ints()], positive: positive_ },
];
const noop: NodeCase[] = [
  { opsets: [18, NEWEST], in: [[2, 3, 4], ints()], attrs: { noop_with_empty_axes: 1 } },
  { opsets: [18], in: [[2, 3, 4]], attrs: { noop_with_empty_axes: 1 } },
];
const softmax: NodeCase[] = [
  { opsets: ALL, in: [[2, 3, 4]] },
  { opsets: ALL, in: [[2, 3, 4]], attrs: { axis: 0 } },
  { opsets: ALL, in: [[2, 3, 4]], attrs: { axis: 2 } },
  { opsets: [11, 13], in: [[2, 3, 4]], attrs: { axis: -2 } },
];
const extremum: NodeCase[] = [
  { opsets: ALL, in: [[2, 5]] },
  { opsets: [11, NEWEST], in: [[2, 5]], attrs: { axis: -1, keepdims: 0 } },
];
const recurrent = (gates: number, attrs: Readonly<Record<string, Attribute>>): NodeCase[] => {
  const [I, H, B] = [3, 4, 2];
  const weights = [
    [1, gates * H, I],
    [1, gates * H, H],
  ];
  const bias = [1, 2 * gates * H];
  const state = [1, B, H];
  const states = gates === 4 ? [state, state] : [state];
  const outputs = gates === 4 ? 3 : 2;
  return [
    { opsets: ALL, in: [[1, B, I], ...weights], attrs: { ...attrs, hidden_size: H }, outputs },
    {
      opsets: ALL,
      in: [[5, B, I], ...weights, bias, null, ...states],
      attrs: { ...attrs, hidden_size: H },
      outputs,
    },
    {
      opsets: [18],
      in: [[3, B, I], ...weights, null, null, ...states],
      attrs: { ...attrs, hidden_size: H },
      outputs,
    },
    {
      opsets: [14],
      in: [[2, B, I], ...weights, bias],
      attrs: { ...attrs, hidden_size: H, direction: "forward", layout: 0 },
      outputs,
    },
  ];
};

const cases: Readonly<Record<string, readonly NodeCase[]>> = {
  Neg: unary(),
  Exp: unary(),
  Log: positive,
  Sqrt: positive,
  Reciprocal: positive,
  Abs: unary(),
  Sign: unary([9, NEWEST]),
  Floor: unary(),
  Ceil: unary(),
  Erf: unary([9, NEWEST]),
  Not: [{ opsets: ALL, in: [mask] }],
  Tanh: unary(),
  Sigmoid: unary(),
  Softplus: unary(),
  Softsign: unary(),
  Relu: unary(),
  LeakyRelu: [...unary(), { opsets: ALL, in: [x], attrs: { alpha: float(0.3) } }],
  PRelu: [{ opsets: ALL, in: [[2, 3], [3]] }],
  Elu: [...unary(), { opsets: ALL, in: [x], attrs: { alpha: float(0.3) } }],
  Celu: [...unary([12, NEWEST]), { opsets: [12], in: [x], attrs: { alpha: float(2) } }],
  Selu: [...unary(), { opsets: ALL, in: [x], attrs: { alpha: float(1.5), gamma: float(0.7) } }],
  Gelu: [...unary([20, NEWEST]), { opsets: [20], in: [x], attrs: { approximate: "tanh" } }],
  Mish: unary([18, NEWEST]),
  HardSigmoid: [...unary(), { opsets: ALL, in: [x], attrs: { alpha: float(0.4), beta: float(0.1) } }],
  HardSwish: unary([14, NEWEST]),
  Clip: [
    { opsets: [7, 10], in: [x], attrs: { min: float(-0.5), max: float(0.25) } },
    { opsets: [7], in: [x], attrs: { min: float(0) } },
    { opsets: [11, NEWEST], in: [x, scalar(-0.5), scalar(0.25)] },
    { opsets: [11, 13], in: [x, null, scalar(0.25)] },
    // a bound that is computed
    { opsets: [13], in: [x, [], null] },
  ],
  Cast: [
    { opsets: [9, NEWEST], in: [x], attrs: { to: 7 } },
    { opsets: [9, NEWEST], in: [mask], attrs: { to: 1 } },
    { opsets: [19], in: [x], attrs: { to: 11, saturate: 1 } },
  ],
  CastLike: [{ opsets: [15, NEWEST], in: [mask, x] }],

  Add: binary(),
  Sub: binary(),
  Mul: binary(),
  Div: [...binary(), { opsets: ALL, in: [ints(7, -7, 8), ints(2, 2, 3)], constant: [1] }],
  Mod: [
    { opsets: [10, NEWEST], in: [ints(7, -7, 7, -7, 6), ints(3, 3, -3, -3, 3)], constant: [1] },
    { opsets: [10], in: [ints(7, -7, 7, -7, 6), ints(3, 3, -3, -3, 3)], constant: [1], attrs: { fmod: 1 } },
    { opsets: [10, NEWEST], in: [x, [3]], attrs: { fmod: 1 } },
  ],
  Pow: [
    { opsets: ALL, in: [x, scalar(3)] },
    { opsets: ALL, in: [x, scalar(2)] },
    { opsets: ALL, in: [[2, 3], [3]], positive: true },
    { opsets: [12, NEWEST], in: [x, i64([], [3])] },
    { opsets: [12], in: [ints(1, 2, 3), ints(2, 0, 3)], constant: [1] },
  ],
  Sum: [{ opsets: [8, NEWEST], in: [x, [3], [2, 1]] }],
  Min: [{ opsets: [8, NEWEST], in: [x, [3], [2, 1]] }],
  Max: [
    { opsets: [8, NEWEST], in: [x, [3], [2, 1]] },
    { opsets: [13], in: [x] },
  ],
  Greater: comparison(),
  GreaterOrEqual: comparison([12, NEWEST]),
  Less: comparison(),
  LessOrEqual: comparison([12, NEWEST]),
  Equal: [
    { opsets: ALL, in: [ints(1, 2, 3), ints(3, 2, 1)], constant: [1] },
    { opsets: [11], in: [x, [3]] },
  ],
  And: [{ opsets: ALL, in: [mask, otherMask] }],
  Or: [{ opsets: ALL, in: [mask, otherMask] }],
  Xor: [{ opsets: ALL, in: [mask, otherMask] }],
  Where: [{ opsets: [9, NEWEST], in: [mask, [3], [2, 1]] }],

  MatMul: [
    {
      opsets: ALL,
      in: [
        [2, 3],
        [3, 4],
      ],
    },
    {
      opsets: ALL,
      in: [
        [5, 2, 3],
        [3, 4],
      ],
    },
    {
      opsets: ALL,
      in: [
        [2, 1, 2, 3],
        [5, 3, 4],
      ],
    },
    { opsets: [9, 13], in: [[3], [3, 4]] },
    { opsets: [9, 13], in: [[2, 3], [3]] },
    { opsets: [13], in: [[3], [3]] },
  ],
  Gemm: [
    { opsets: ALL, in: [[2, 3], [3, 4], [4]] },
    {
      opsets: ALL,
      in: [
        [3, 2],
        [4, 3],
        [2, 1],
      ],
      attrs: { transA: 1, transB: 1, alpha: float(0.5), beta: float(2) },
    },
    { opsets: ALL, in: [[2, 3], [4, 3], [4]], attrs: { transB: 1, alpha: float(1), beta: float(0.25) } },
    {
      opsets: [11, NEWEST],
      in: [
        [2, 3],
        [3, 4],
      ],
      attrs: { alpha: float(3) },
    },
  ],
  Softmax: softmax,
  LogSoftmax: softmax,
  LayerNormalization: [
    { opsets: [17, NEWEST], in: [[2, 3, 4], [4], [4]] },
    {
      opsets: [17],
      in: [
        [2, 3, 4],
        [3, 4],
      ],
      attrs: { axis: 1, epsilon: float(0.1) },
    },
    { opsets: [17], in: [[2, 4], [4], [4]], outputs: 3 },
  ],
  BatchNormalization: [
    { opsets: ALL, in: [[2, 3], [3], [3], [3], [3]], positive: true },
    {
      opsets: [9, 15],
      in: [[2, 3, 2], [3], [3], [3], [3]],
      attrs: { epsilon: float(0.1), momentum: float(0.8) },
      positive: true,
    },
  ],
  Dropout: [
    { opsets: ALL, in: [x] },
    { opsets: [7, 10], in: [x], attrs: { ratio: float(0.3) } },
    { opsets: [12, NEWEST], in: [x, scalar(0.3), bools([], [0])], constant: [1, 2], outputs: 2 },
  ],

  ReduceSum: [...reduction(13), ...noop],
  ReduceSumSquare: reduction(18),
  ReduceMean: [...reduction(18), ...noop],
  ReduceMax: [...reduction(18), ...noop],
  ReduceMin: [...reduction(18), ...noop],
  ReduceLogSumExp: reduction(18),
  ReduceL1: reduction(18),
  ReduceL2: reduction(18, true),
  ArgMax: extremum,
  ArgMin: extremum,
  CumSum: [
    { opsets: [11, NEWEST], in: [x, i64([], [1])] },
    { opsets: [11], in: [x, i64([], [0])], attrs: { exclusive: 1, reverse: 1 } },
  ],

  Reshape: [
    { opsets: ALL, in: [[2, 3, 4], ints(4, 6)] },
    { opsets: ALL, in: [[2, 3, 4], ints(0, -1)] },
    { opsets: ALL, in: [[2, 3, 4], ints(-1, 0, 2)] },
    { opsets: [14, NEWEST], in: [[2, 3, 4], ints(2, -1)], attrs: { allowzero: 1 } },
    { opsets: [14], in: [[0, 3], ints(3, 0)], attrs: { allowzero: 1 } },
  ],
  Flatten: [
    { opsets: ALL, in: [[2, 3, 4]] },
    { opsets: ALL, in: [[2, 3, 4]], attrs: { axis: 0 } },
    { opsets: ALL, in: [[2, 3, 4]], attrs: { axis: 3 } },
    { opsets: [11, 13], in: [[2, 3, 4]], attrs: { axis: -1 } },
  ],
  Squeeze: [
    // No axes mean every dimension of size 1, also as an empty list.
    { opsets: [13, NEWEST], in: [[1, 2, 1, 3], ints()] },
    { opsets: ALL, in: [[1, 3, 1]] },
    { opsets: [7, 12], in: [[1, 3, 1]], attrs: { axes: [2] } },
    { opsets: [13, NEWEST], in: [[1, 3, 1], ints(-1)] },
  ],
  Unsqueeze: [
    { opsets: [7, 12], in: [x], attrs: { axes: [0, 2] } },
    { opsets: [13, NEWEST], in: [x, ints(-1, 0)] },
  ],
  Transpose: [
    { opsets: ALL, in: [[2, 3, 4]] },
    { opsets: ALL, in: [[2, 3, 4]], attrs: { perm: [1, 2, 0] } },
  ],
  Expand: [
    { opsets: [8, NEWEST], in: [[3, 1], ints(2, 1, 4)] },
    { opsets: [8], in: [[3, 1], ints(1)] },
  ],
  Concat: [
    {
      opsets: ALL,
      in: [
        [2, 3],
        [2, 1],
        [2, 2],
      ],
      attrs: { axis: 1 },
    },
    {
      opsets: [11, NEWEST],
      in: [
        [2, 3],
        [2, 1],
      ],
      attrs: { axis: -1 },
    },
  ],
  Split: [
    { opsets: [7, 12], in: [[2, 6]], attrs: { axis: 1, split: [1, 5] }, outputs: 2 },
    { opsets: [7, 12, 13], in: [[6, 2]], outputs: 3 },
    { opsets: [11, 13, 18, NEWEST], in: [[2, 6]], attrs: { axis: -1, num_outputs: 2 }, outputs: 2 },
    { opsets: [13, NEWEST], in: [[2, 6], ints(2, 3, 1)], attrs: { axis: 1 }, outputs: 3 },
    { opsets: [18], in: [[7, 2]], attrs: { num_outputs: 3 }, outputs: 3 },
  ],
  Slice: [
    { opsets: [7, 9], in: [[4, 5]], attrs: { starts: [1, -3], ends: [1000, -1] } },
    { opsets: [7], in: [[4, 5]], attrs: { starts: [1], ends: [3], axes: [1] } },
    { opsets: [10, NEWEST], in: [[4, 5], ints(1), ints(INT64_MAX), ints(1)] },
    { opsets: [10, NEWEST], in: [[4, 5], ints(-1, 4), ints(-INT64_MAX, 0), ints(0, -1), ints(-1, -2)] },
    { opsets: [13], in: [[4, 5], ints(3), ints(1)] },
  ],
  Tile: [
    { opsets: ALL, in: [x, ints(2, 3)] },
    { opsets: [13], in: [[2, 1, 3], ints(1, 4, 1)] },
  ],
  Pad: [
    { opsets: [7, 10], in: [x], attrs: { pads: [0, 1, 2, 0], value: float(0.5) } },
    { opsets: [11, NEWEST], in: [x, ints(0, 1, 2, 0), scalar(0.5)] },
    { opsets: [18], in: [x, ints(1, 2), null, ints(-1)], attrs: { mode: "constant" } },
  ],

  Gather: [
    { opsets: ALL, in: [[4, 3], ints(3, 0, 3)], attrs: { axis: 0 } },
    { opsets: [11, NEWEST], in: [[4, 3], i64([2, 2], [0, -1, 1, -3])], attrs: { axis: -1 } },
    { opsets: [11, 13], in: [[4, 3], i64([], [-1])], attrs: { axis: 1 } },
    { opsets: [13], in: [[4, 3], ints(2)] },
    // computed indices
    { opsets: [13], in: [[4, 3], ints(3, 0, 3)], constant: [] },
  ],
  GatherElements: [
    { opsets: [11, NEWEST], in: [[2, 3], i64([2, 1], [2, -3])], attrs: { axis: 1 } },
    {
      opsets: [13],
      in: [[2, 3], i64([4, 3], [1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0])],
      attrs: { axis: -2 },
      constant: [],
    },
  ],
  ScatterElements: [
    { opsets: [16, NEWEST], in: [[4, 3], i64([1, 3], [0, 2, -1]), [1, 3]], attrs: { reduction: "add" } },
  ],
  OneHot: [
    {
      opsets: [9, NEWEST],
      in: [i64([2, 3], [0, 1, -1, 2, 9, 1]), i64([], [4]), f32([2], [0, 1])],
      constant: [1, 2],
    },
    {
      opsets: [11],
      in: [i64([2], [0, -4]), i64([1], [4]), f32([2], [-1, 2])],
      constant: [1, 2],
      attrs: { axis: 0 },
    },
    { opsets: [11], in: [i64([2], [0, -4]), i64([], [4]), ints(0, 1)], constant: [1, 2] },
  ],

  Identity: unary(),
  Constant: [
    { opsets: ALL, in: [], attrs: { value: f32([2], [0.5, -1]) } },
    { opsets: [12, NEWEST], in: [], attrs: { value_float: float(0.5) } },
    { opsets: [12], in: [], attrs: { value_floats: { floats: [0.5, 1] } } },
    { opsets: [12], in: [], attrs: { value_int: 3 } },
    { opsets: [12], in: [], attrs: { value_ints: [3, 4] } },
  ],
  ConstantOfShape: [
    { opsets: [9, NEWEST], in: [ints(2, 3)] },
    { opsets: [9], in: [ints(2)], attrs: { value: i64([1], [7]) } },
  ],
  Range: [
    { opsets: [11, NEWEST], in: [i64([], [1]), i64([], [10]), i64([], [4])] },
    { opsets: [11], in: [scalar(1), scalar(-0.2), scalar(-0.25)] },
  ],
  Shape: [
    { opsets: ALL, in: [[2, 3, 4]] },
    { opsets: [15, NEWEST], in: [[2, 3, 4]], attrs: { start: -2, end: 9 } },
  ],
  Size: [{ opsets: ALL, in: [[2, 3, 4]] }],

  GRU: recurrent(3, { linear_before_reset: 1 }),
  LSTM: recurrent(4, {}),
};

/** What `writeModel` makes of loops comes back in `test/compute/operators.test.ts`; branches are in `foreign.test.ts`. */
const ELSEWHERE = new Set(["Scan", "Loop", "If"]);

const isArray = (value: readonly number[] | NdArray): value is NdArray => "dtype" in value;

/** The values of the inputs, at a distance from kinks and ties. */
function valuesOf(c: NodeCase): (NdArray | null)[] {
  const stream = RandomStream.from(3);
  return c.in.map((given, k) => {
    if (given === null || isArray(given)) return given;
    const offset = c.positive ? 0.4 : -1;
    return f32(
      given,
      Array.from(
        { length: sizeOf(given) },
        (_, i) => offset + stream.int(16) / 8 + 0.03 + 0.0004 * k + 0.001 * i,
      ),
    );
  });
}

function isConstant(c: NodeCase, i: number): boolean {
  if (c.constant !== undefined) return c.constant.includes(i);
  const given = c.in[i]!;
  return isArray(given) && (given.dtype === "int64" || sizeOf(given.shape) <= 2);
}

const backend = nodeBackend();

function check(op: string, c: NodeCase, opset: number): void {
  const values = valuesOf(c);
  const named = values.flatMap((value, i) => (value === null ? [] : [[`x${i}`, value, i] as const]));
  const feeds: Record<string, NdArray> = Object.fromEntries(named.filter(([, , i]) => !isConstant(c, i)));
  const outputs = Array.from({ length: c.outputs ?? 1 }, (_, i) => `y${i}`);
  // num_outputs came with operator set 18; before, the outputs are counted.
  const attrs = { ...c.attrs };
  if (opset < 18) delete attrs.num_outputs;
  const bytes = (signature: Readonly<Record<string, Pick<NdArray, "dtype" | "shape">>>) =>
    nodeModel({
      opset,
      inputs: feeds,
      constants: Object.fromEntries(named.filter(([, , i]) => isConstant(c, i))),
      nodes: [{ op, in: values.map((value, i) => (value === null ? "" : `x${i}`)), out: outputs, attrs }],
      outputs: signature,
    });
  const unknown = Object.fromEntries(outputs.map((name) => [name, { dtype: "float32", shape: [] } as const]));
  trace((graph) => {
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape, dtype }]) => [name, graph.input(name, shape, dtype)]),
    );
    const imported = importModel(bytes(unknown), "case.onnx").apply(inputs);
    const expected = backend.load(bytes(imported)).run(feeds);
    const actual = interpret(imported, feeds);
    for (const name of outputs) {
      expect(actual[name]!.shape, name).toEqual(expected[name]!.shape);
      expect(actual[name]!, name).toBeAllclose(expected[name]!, { rtol: 2e-5, atol: 2e-6 });
    }
    if (importSupport({ domain: "", opType: op }) === "differentiable")
      checkGradient(inputs, imported, feeds);
  });
}

/** Of a weighted sum of all float outputs, with respect to all float inputs. */
function checkGradient(
  inputs: Readonly<Record<string, Tensor>>,
  outputs: Readonly<Record<string, Tensor>>,
  feeds: Readonly<Record<string, NdArray>>,
): void {
  const xs = Object.fromEntries(Object.entries(inputs).filter(([, v]) => isFloat(v.dtype)));
  const ys = Object.values(outputs).filter((y) => isFloat(y.dtype));
  if (Object.keys(xs).length === 0 || ys.length === 0) return;
  const loss = ys
    .map((y, i) => sum(mul(y, fixedWeights(y, i))))
    .reduce((a, b) => sum(mul(cast(a, b.dtype), b)));
  const gradients = interpret(grad(loss, xs), feeds);
  for (const name of Object.keys(xs)) {
    const differences = finiteDifferences(loss, feeds, name);
    expect(gradients[name]!, `gradient of ${name}`).toBeAllclose(differences, { rtol: 1e-5, atol: 1e-6 });
  }
}

describe("importers", () => {
  it("all have cases", () => {
    const tested = Object.keys(cases).sort();
    expect(tested).toEqual(
      Object.keys(importers)
        .filter((op) => !ELSEWHERE.has(op))
        .sort(),
    );
  });

  for (const [op, list] of Object.entries(cases)) {
    it(`${op} means what the engine makes of it`, () => {
      for (const [i, c] of list.entries()) {
        for (const opset of c.opsets) {
          try {
            check(op, c, opset);
          } catch (error) {
            throw new Error(`case ${i} at operator set ${opset}: ${(error as Error).message}`, {
              cause: error,
            });
          }
        }
      }
    });
  }
});
