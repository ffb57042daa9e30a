import { add } from "./elementwise.js";
import { apply, type Tensor } from "./graph.js";
import { reshape, transpose } from "./movement.js";
import { FREE } from "./operators.js";
import { formatDims, hasFree, isFloat, sameShape, TensorError } from "./shape.js";

/**
 * op(a) · op(b) (+ c) of two matrices in one node, op transposing or not; c broadcasts to the result. Transposed
 * operands are absorbed.
 */
export function gemm(a: Tensor, b: Tensor, transA = false, transB = false, c?: Tensor): Tensor {
  if (a.op === "transpose" && a.shape.length === 2) return gemm(a.inputs[0]!, b, !transA, transB, c);
  if (b.op === "transpose" && b.shape.length === 2) return gemm(a, b.inputs[0]!, transA, !transB, c);
  return apply("gemm", c === undefined ? [a, b] : [a, b, c], { transA, transB });
}

/** Matrix product of the last two axes; leading axes broadcast. Both operands have rank ≥ 2. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const matrices = a.shape.length === 2 && b.shape.length === 2;
  if (matrices && a.dtype === b.dtype && isFloat(a.dtype) && a.shape[1] === b.shape[0]) return gemm(a, b);
  return apply("matmul", [a, b], {});
}

/**
 * x · w + b, for one layer or for n stacked layers, each with its own weights for its own rows.
 *
 * @param x [..., in]; stacked: [..., n, B, in]
 * @param w [in, out]; stacked: [n, in, out]
 * @param b [out]; stacked: [n, 1, out]
 * @returns [..., out]; stacked: [..., n, B, out]
 */
export function linear(x: Tensor, w: Tensor, b?: Tensor): Tensor {
  if (w.shape.length === 3) return stackedLinear(x, w, b);
  const rank = x.shape.length;
  const size = w.shape[0];
  if (w.shape.length !== 2 || rank < 1 || x.shape[rank - 1] !== size || size === FREE) {
    throw new TensorError(
      `linear: input ${formatDims(x.shape)} and weight ${formatDims(w.shape)} do not fit, expected […, in] and [in, out]`,
    );
  }
  if (b !== undefined && !sameShape(b.shape, [w.shape[1]!])) {
    throw new TensorError(
      `linear: bias ${formatDims(b.shape)} does not fit weight ${formatDims(w.shape)}, expected [out]`,
    );
  }
  if (rank === 2) return gemm(x, w, false, false, b);
  if (hasFree(x.shape)) {
    const y = apply("matmul", [x, w], {});
    return b === undefined ? y : add(y, b);
  }
  const rows = gemm(reshape(x, [-1, size!]), w, false, false, b);
  return reshape(rows, [...x.shape.slice(0, -1), w.shape[1]!]);
}

/** One batched product: x [..., n, B, in], w [n, in, out], b [n, 1, out] → [..., n, B, out]. */
function stackedLinear(x: Tensor, w: Tensor, b: Tensor | undefined): Tensor {
  const [count, size, outputs] = w.shape as [number, number, number];
  const rank = x.shape.length;
  if (rank < 3 || hasFree(x.shape) || x.shape[rank - 3] !== count || x.shape[rank - 1] !== size) {
    throw new TensorError(
      `linear: input ${formatDims(x.shape)} and stacked weight ${formatDims(w.shape)} do not fit, expected […, n, B, in] of static sizes and [n, in, out]`,
    );
  }
  if (b !== undefined && !sameShape(b.shape, [count, 1, outputs])) {
    throw new TensorError(
      `linear: bias ${formatDims(b.shape)} does not fit stacked weight ${formatDims(w.shape)}, expected [n, 1, out]`,
    );
  }
  // Axes before the layers' are rows too: with them moved there, the derivative of w is one product and not a sum.
  const lead = Array.from({ length: rank - 3 }, (_, axis) => axis);
  const rows = transpose(x, [rank - 3, ...lead, rank - 2, rank - 1]);
  const y = matmul(reshape(rows, [count, -1, size]), w);
  const spread = reshape(b === undefined ? y : add(y, b), [...rows.shape.slice(0, -1), outputs]);
  return transpose(spread, [...lead.map((axis) => axis + 1), 0, rank - 2, rank - 1]);
}
