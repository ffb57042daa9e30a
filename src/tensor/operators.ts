import type { DType, NdArray } from "../core/array.js";
import type { Tensor } from "./graph.js";
import type { ScanBody } from "./scan-body.js";

/** A dimension: its size, or `FREE`. */
export type Dim = number;

/**
 * The one dimension whose size is not known while tracing: the number of rows of a forward-only program.
 * Every free dimension of a graph stands for the same number. It broadcasts against 1 and against itself.
 */
export const FREE = -1;

/**
 * The operators and their attributes. This record is the operator set: the shape rules, the gradient
 * rules, the ONNX forms and the float64 reference are total tables over its keys, so that adding a key
 * here makes the compiler list what the new operator still needs.
 */
export interface OperatorAttributes {
  /** a value fed from outside; the name is unique within its graph */
  input: { readonly name: string; readonly shape: readonly Dim[]; readonly dtype: DType };
  constant: { readonly value: NdArray };
  /** identity whose gradient is zero */
  stopGradient: NoAttributes;
  /** value, x, derivative: the value, whose elementwise derivative with respect to x is written down */
  withDerivative: NoAttributes;
  /** identity that refuses to be differentiated, in the name of a function */
  refuseGradient: { readonly name: string };

  neg: NoAttributes;
  exp: NoAttributes;
  log: NoAttributes;
  tanh: NoAttributes;
  sigmoid: NoAttributes;
  sqrt: NoAttributes;
  softplus: NoAttributes;
  relu: NoAttributes;
  abs: NoAttributes;
  sign: NoAttributes;
  erf: NoAttributes;
  not: NoAttributes;
  /** bounds included; ±Infinity leaves a side open */
  clip: { readonly low: number; readonly high: number };
  cast: { readonly to: DType };

  add: NoAttributes;
  sub: NoAttributes;
  mul: NoAttributes;
  div: NoAttributes;
  pow: NoAttributes;
  minimum: NoAttributes;
  maximum: NoAttributes;
  greater: NoAttributes;
  greaterEqual: NoAttributes;
  less: NoAttributes;
  lessEqual: NoAttributes;
  equal: NoAttributes;
  and: NoAttributes;
  or: NoAttributes;
  /** condition, then, else */
  where: NoAttributes;

  /** batched product of the last two axes */
  matmul: NoAttributes;
  /** op(a) · op(b) (+ c): two-dimensional, c broadcasts to the result */
  gemm: { readonly transA: boolean; readonly transB: boolean };

  softmax: { readonly axis: number };
  logSoftmax: { readonly axis: number };
  sum: ReductionAttributes;
  /** sum of squares */
  sumSquare: ReductionAttributes;
  mean: ReductionAttributes;
  max: ReductionAttributes;
  min: ReductionAttributes;
  logSumExp: ReductionAttributes;
  /** index of the first largest element along the axis, kept as a dimension of 1 */
  argMax: { readonly axis: number };
  cumsum: { readonly axis: number; readonly exclusive: boolean; readonly reverse: boolean };

  reshape: { readonly shape: readonly Dim[] };
  transpose: { readonly permutation: readonly number[] };
  expand: { readonly shape: readonly Dim[] };
  concat: { readonly axis: number };
  /** all parts at once; a value of its own only as the input of `part` */
  split: { readonly axis: number; readonly sizes: readonly number[] };
  /** one part of a split */
  part: { readonly index: number };
  /** one entry per axis; steps may be negative (then start > end) */
  slice: {
    readonly starts: readonly number[];
    readonly ends: readonly number[];
    readonly steps: readonly number[];
  };
  /** one entry per axis, all ≥ 0 */
  pad: { readonly before: readonly number[]; readonly after: readonly number[]; readonly value: number };
  /** data, indices: the axis is replaced by the shape of the indices */
  gather: { readonly axis: number };
  /** data, indices of the same rank */
  gatherElements: { readonly axis: number };
  /** updates, indices of the same shape: added into zeros whose axis has `size` elements */
  scatterElements: { readonly axis: number; readonly size: number };

  /** a loop; a value of its own only as the input of `scanCarry` and `scanStack` */
  scan: { readonly body: ScanBody };
  /** a carried value after the last step of a loop */
  scanCarry: { readonly index: number };
  /** a value of the body at every step: [T, …]. Any value of the body can be asked for at any time. */
  scanStack: { readonly value: Tensor };
}

export type NoAttributes = Readonly<Record<never, never>>;

export interface ReductionAttributes {
  /** sorted, non-negative */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

export type Operator = keyof OperatorAttributes;

export type UnaryOperator =
  | "neg"
  | "exp"
  | "log"
  | "tanh"
  | "sigmoid"
  | "sqrt"
  | "softplus"
  | "relu"
  | "abs"
  | "sign"
  | "erf";
export type ArithmeticOperator = "add" | "sub" | "mul" | "div" | "pow" | "minimum" | "maximum";
export type ComparisonOperator = "greater" | "greaterEqual" | "less" | "lessEqual" | "equal";
export type LogicalOperator = "and" | "or";
export type BinaryOperator = ArithmeticOperator | ComparisonOperator | LogicalOperator;
export type ReductionOperator = "sum" | "sumSquare" | "mean" | "max" | "min" | "logSumExp";
