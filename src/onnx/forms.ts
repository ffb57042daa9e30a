import type { DType } from "../core/array.js";
import { internalError } from "../core/errors.js";
import {
  arrayFrom,
  type Dim,
  FREE,
  isFloat,
  type Operator,
  type OperatorAttributes,
  type Tensor,
} from "../tensor/index.js";
import { onnxTypes } from "./arrays.js";
import type { Emitter } from "./emitter.js";

/**
 * The ONNX form of an operator at opset 18: emits the nodes that compute `x` into the tensor called `out`.
 * `null`: the value needs no node of its own (the writer gives it the name of another one).
 */
export type OnnxForm<O extends Operator> =
  | ((
      emit: Emitter,
      context: {
        /** names of the inputs */
        readonly inputs: readonly string[];
        readonly attrs: OperatorAttributes[O];
        readonly x: Tensor;
        readonly out: string;
      },
    ) => void)
  | null;

type Context = { readonly inputs: readonly string[]; readonly out: string };

/** One node without attributes. */
function plain(opType: string): (emit: Emitter, context: Context) => void {
  return (emit, { inputs, out }) => emit.node(opType, inputs, [out]);
}

function along(opType: string): (emit: Emitter, context: Context & { attrs: { axis: number } }) => void {
  return (emit, { inputs, attrs, out }) => emit.node(opType, inputs, [out], { axis: attrs.axis });
}

function reduction(
  opType: string,
): (emit: Emitter, context: Context & { readonly attrs: OperatorAttributes["sum"] }) => void {
  return (emit, { inputs, attrs, out }) =>
    emit.node(opType, [inputs[0]!, emit.integers(attrs.axes)], [out], { keepdims: attrs.keepDims ? 1 : 0 });
}

/** Rows from which a column sum is worth a product; below, both take the time of a node. */
const GEMM_ROWS = 64;

/** Broadcasting many short rows one by one costs more than spreading the column by a product with ones. */
const SHORT_ROW = 16;

/**
 * An elementwise operator. A column [n, 1] that meets short rows [n, m] is first spread to [n, m] by a product with
 * a row of ones, which is exact: 1 · x.
 */
function arithmetic(opType: string): (emit: Emitter, context: Context & { readonly x: Tensor }) => void {
  return (emit, { inputs, x, out }) => {
    const [rows = 0, columns = 0] = x.shape;
    const short = x.shape.length === 2 && rows >= GEMM_ROWS && columns > 1 && columns <= SHORT_ROW;
    const spread = inputs.map((name, i) => {
      const { shape, dtype } = x.inputs[i]!;
      if (!short || !isFloat(dtype) || shape.length !== 2 || shape[1] !== 1 || shape[0] !== rows) return name;
      const wide = emit.fresh(`${name}_wide`);
      emit.node("Gemm", [name, emit.ones(columns, dtype)], [wide]);
      return wide;
    });
    emit.node(opType, spread, [out]);
  };
}

function number(emit: Emitter, value: number, dtype: DType): string {
  return emit.literal(arrayFrom([], dtype, [value]));
}

/** Beyond every axis: where a slice with a negative step ends if it includes the first element. */
const BEFORE_FIRST = -(2 ** 31 - 1);

export const onnxForms: { readonly [O in Operator]: OnnxForm<O> } = {
  input: null,
  constant: null,
  stopGradient: null,
  withDerivative: null,
  refuseGradient: null,
  part: null,
  // The writer emits a loop with all its results at once.
  scan: null,
  scanCarry: null,
  scanStack: null,

  neg: plain("Neg"),
  exp: plain("Exp"),
  log: plain("Log"),
  tanh: plain("Tanh"),
  sigmoid: plain("Sigmoid"),
  sqrt: plain("Sqrt"),
  softplus: plain("Softplus"),
  relu: plain("Relu"),
  abs: plain("Abs"),
  sign: plain("Sign"),
  erf: plain("Erf"),
  not: plain("Not"),
  clip: (emit, { inputs, attrs, x, out }) => {
    const bound = (value: number) => (Number.isFinite(value) ? number(emit, value, x.dtype) : "");
    emit.node("Clip", [inputs[0]!, bound(attrs.low), bound(attrs.high)], [out]);
  },
  cast: (emit, { inputs, attrs, out }) => emit.node("Cast", inputs, [out], { to: onnxTypes[attrs.to] }),

  add: arithmetic("Add"),
  sub: arithmetic("Sub"),
  mul: arithmetic("Mul"),
  div: arithmetic("Div"),
  pow: plain("Pow"),
  minimum: plain("Min"),
  maximum: plain("Max"),
  greater: plain("Greater"),
  greaterEqual: plain("GreaterOrEqual"),
  less: plain("Less"),
  lessEqual: plain("LessOrEqual"),
  equal: plain("Equal"),
  and: plain("And"),
  or: plain("Or"),
  where: plain("Where"),

  matmul: plain("MatMul"),
  gemm: (emit, { inputs, attrs, out }) =>
    emit.node("Gemm", inputs, [out], {
      ...(attrs.transA ? { transA: 1 } : {}),
      ...(attrs.transB ? { transB: 1 } : {}),
    }),

  softmax: along("Softmax"),
  logSoftmax: along("LogSoftmax"),
  sum: (emit, context) => {
    const x = context.x.inputs[0]!;
    const { axes, keepDims } = context.attrs;
    const [rows = 0, columns = 0] = x.shape;
    const matrix = x.shape.length === 2 && isFloat(x.dtype) && columns > 0;
    if (!matrix || axes.length !== 1 || axes[0] !== 0 || rows < GEMM_ROWS) {
      return reduction("ReduceSum")(emit, context);
    }
    // The engine multiplies by a row of ones about twice as fast as it sums columns.
    const ones = emit.ones(rows, x.dtype);
    const total = keepDims ? context.out : emit.fresh(`${context.out}_row`);
    emit.node("Gemm", [ones, context.inputs[0]!], [total]);
    if (!keepDims) emit.node("Reshape", [total, emit.integers([columns])], [context.out]);
  },
  sumSquare: reduction("ReduceSumSquare"),
  mean: reduction("ReduceMean"),
  max: reduction("ReduceMax"),
  min: reduction("ReduceMin"),
  logSumExp: reduction("ReduceLogSumExp"),
  argMax: (emit, { inputs, attrs, out }) =>
    emit.node("ArgMax", inputs, [out], { axis: attrs.axis, keepdims: 1 }),
  cumsum: (emit, { inputs, attrs, out }) =>
    emit.node("CumSum", [inputs[0]!, number(emit, attrs.axis, "int64")], [out], {
      exclusive: attrs.exclusive ? 1 : 0,
      reverse: attrs.reverse ? 1 : 0,
    }),

  reshape: (emit, { inputs, attrs, out }) => {
    const { shape } = attrs;
    // ONNX reads 0 as "copy the dimension" and −1 as "infer it"; the two exclude each other.
    const empty = shape.includes(0);
    const target = empty && shape.includes(FREE) ? emit.shape(shape) : emit.integers(shape as Dim[]);
    emit.node("Reshape", [inputs[0]!, target], [out], empty ? { allowzero: 1 } : {});
  },
  transpose: (emit, { inputs, attrs, out }) =>
    emit.node("Transpose", inputs, [out], { perm: attrs.permutation }),
  expand: (emit, { inputs, attrs, out }) => emit.node("Expand", [inputs[0]!, emit.shape(attrs.shape)], [out]),
  concat: along("Concat"),
  split: (emit, { inputs, attrs, x }) => {
    const outputs = attrs.sizes.map((_, i) => emit.partName(x, i));
    emit.node("Split", [inputs[0]!, emit.integers(attrs.sizes)], outputs, { axis: attrs.axis });
  },
  slice: (emit, { inputs, attrs, x, out }) => {
    const { starts, ends, steps } = attrs;
    const whole = x.inputs[0]!.shape;
    const axes = starts.flatMap((start, i) =>
      start === 0 && ends[i] === whole[i] && steps[i] === 1 ? [] : [i],
    );
    const pick = (list: readonly number[]) => emit.integers(axes.map((a) => list[a]!));
    const reach = ends.map((end) => (end < 0 ? BEFORE_FIRST : end));
    emit.node("Slice", [inputs[0]!, pick(starts), pick(reach), emit.integers(axes), pick(steps)], [out]);
  },
  pad: (emit, { inputs, attrs, x, out }) => {
    if (x.dtype === "bool" && attrs.value !== 0) throw internalError("pad of a mask with ones");
    const pads = emit.integers([...attrs.before, ...attrs.after]);
    emit.node("Pad", [inputs[0]!, pads, number(emit, attrs.value, x.dtype)], [out]);
  },
  gather: along("Gather"),
  gatherElements: along("GatherElements"),
  scatterElements: (emit, { inputs, attrs, x, out }) => {
    const zeros = emit.fresh(`${out}_zeros`);
    emit.node("ConstantOfShape", [emit.shape(x.shape)], [zeros], { value: arrayFrom([1], x.dtype, [0]) });
    emit.node("ScatterElements", [zeros, inputs[1]!, inputs[0]!], [out], {
      axis: attrs.axis,
      reduction: "add",
    });
  },
};
