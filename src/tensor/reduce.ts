import { cast, mul } from "./elementwise.js";
import { apply, constantNumber, filled, isOp, type Tensor } from "./graph.js";
import { reshape } from "./movement.js";
import { FREE, type ReductionOperator } from "./operators.js";
import { isFloat, normalizeAxes, normalizeAxis, reducedShape } from "./shape.js";

export type Axes = number | readonly number[];

function reduction(op: ReductionOperator, x: Tensor, axes: Axes | undefined, keepDims: boolean): Tensor {
  const list = normalizeAxes(op, axes, x.shape.length);
  const out = reducedShape(x.shape, list, keepDims);
  // Every reduction of a single element is that element.
  if (list.every((axis) => x.shape[axis] === 1) && (isFloat(x.dtype) || op !== "mean"))
    return reshape(x, out);
  const value = constantNumber(x);
  if (value !== undefined && isFloat(x.dtype) && !list.some((axis) => x.shape[axis] === FREE)) {
    const count = list.reduce((n, axis) => n * x.shape[axis]!, 1);
    if (op === "sum") return filled(value * count, out, x.dtype);
    if (op === "mean") return filled(value, out, x.dtype);
  }
  // A square is summed without being written down, and averaged as a sum.
  const root = x.op === "mul" && x.inputs[0] === x.inputs[1] ? x.inputs[0]! : undefined;
  if (root !== undefined && op === "sum") return apply("sumSquare", [root], { axes: list, keepDims });
  if (root !== undefined && op === "mean" && !list.some((axis) => x.shape[axis] === FREE)) {
    const count = list.reduce((n, axis) => n * x.shape[axis]!, 1);
    return mul(apply("sumSquare", [root], { axes: list, keepDims }), 1 / count);
  }
  // Rows summed after columns are one sum; derivatives of broadcasting produce such pairs.
  if (op === "sum" && x.op === "sum" && list.length === x.shape.length && !keepDims) {
    const inner = x.inputs[0]!;
    return apply(op, [inner], { axes: normalizeAxes(op, undefined, inner.shape.length), keepDims });
  }
  // A row with a single entry that is not 0 sums to it.
  if (op === "sum" && isOp(x, "scatterElements") && list.length === 1 && list[0] === x.attrs.axis) {
    const updates = x.inputs[0]!;
    if (updates.shape[x.attrs.axis] === 1) return reshape(updates, out);
  }
  return apply(op, [x], { axes: list, keepDims });
}

/** Sum over the axes (all unless given). */
export const sum = (x: Tensor, axes?: Axes, keepDims = false): Tensor => reduction("sum", x, axes, keepDims);
/** Mean over the axes (all unless given), whose sizes must be static. */
export const mean = (x: Tensor, axes?: Axes, keepDims = false): Tensor =>
  reduction("mean", x, axes, keepDims);
/** Largest element; tied elements share the gradient equally. */
export const max = (x: Tensor, axes?: Axes, keepDims = false): Tensor => reduction("max", x, axes, keepDims);
/** Smallest element; tied elements share the gradient equally. */
export const min = (x: Tensor, axes?: Axes, keepDims = false): Tensor => reduction("min", x, axes, keepDims);
/** log Σ e^x, without overflow. */
export const logSumExp = (x: Tensor, axes?: Axes, keepDims = false): Tensor =>
  reduction("logSumExp", x, axes, keepDims);

/** e^x / Σ e^x along the axis. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return apply("softmax", [x], { axis: normalizeAxis("softmax", axis, x.shape.length) });
}

/** x − log Σ e^x along the axis, without overflow. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return apply("logSoftmax", [x], { axis: normalizeAxis("logSoftmax", axis, x.shape.length) });
}

/** Running sum along the axis. */
export function cumsum(
  x: Tensor,
  axis: number,
  options: { exclusive?: boolean; reverse?: boolean } = {},
): Tensor {
  return apply("cumsum", [x], {
    axis: normalizeAxis("cumsum", axis, x.shape.length),
    exclusive: options.exclusive ?? false,
    reverse: options.reverse ?? false,
  });
}

/** Index (int32) of the first largest element along the axis. Not differentiable. */
export function argMax(x: Tensor, axis = -1, keepDims = false): Tensor {
  const a = normalizeAxis("argMax", axis, x.shape.length);
  const kept = apply("argMax", [x], { axis: a });
  const index = cast(kept, "int32");
  return keepDims ? index : reshape(index, reducedShape(x.shape, [a], false));
}
