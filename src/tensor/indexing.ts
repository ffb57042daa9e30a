import type { DType } from "../core/array.js";
import { cast, equal } from "./elementwise.js";
import { apply, arrayFrom, constant, type Tensor } from "./graph.js";
import { reshape } from "./movement.js";
import { normalizeAxis, TensorError } from "./shape.js";

/**
 * The slices of x along an axis that the indices name; the axis is replaced by the shape of the indices.
 * Indices must lie in [0, size): the engine raises an error for others.
 */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
  return apply("gather", [x, indices], { axis: normalizeAxis("gather", axis, x.shape.length) });
}

/**
 * out[…, i, …] = x[…, indices[…, i, …], …]. The indices have the rank of x and its sizes on all other axes.
 */
export function gatherElements(x: Tensor, indices: Tensor, axis = -1): Tensor {
  return apply("gatherElements", [x, indices], {
    axis: normalizeAxis("gatherElements", axis, x.shape.length),
  });
}

/** The transpose of gatherElements: updates added into zeros of `size` elements along the axis. */
export function scatterElements(updates: Tensor, indices: Tensor, axis: number, size: number): Tensor {
  return apply("scatterElements", [updates, indices], {
    axis: normalizeAxis("scatterElements", axis, updates.shape.length),
    size,
  });
}

/**
 * One new last axis of `depth` elements: 1 at the index, 0 elsewhere; all 0 for an index outside [0, depth).
 *
 * @param indices int32 or int64, any shape
 */
export function oneHot(indices: Tensor, depth: number, dtype: DType = "float32"): Tensor {
  if (indices.dtype !== "int32" && indices.dtype !== "int64") {
    throw new TensorError(`oneHot: got indices of dtype ${indices.dtype}, expected int32 or int64`);
  }
  const classes = constant(
    arrayFrom(
      [depth],
      indices.dtype,
      Array.from({ length: depth }, (_, i) => i),
    ),
  );
  return cast(equal(reshape(indices, [...indices.shape, 1]), classes), dtype);
}
