/**
 * Symbolic tensors: build a computation with ordinary functions, differentiate it into more of the same, and
 * evaluate it with the float64 reference interpreter. `onnx/` writes it, `runtime/` runs it fast.
 */
export { refuseGradient, withDerivative } from "./derivative.js";
export * from "./elementwise.js";
export { grad } from "./grad.js";
export {
  arrayFrom,
  constant,
  constantNumber,
  filled,
  Graph,
  input,
  isOp,
  named,
  type Operand,
  onesLike,
  scalar,
  stopGradient,
  Tensor,
  trace,
  zerosLike,
} from "./graph.js";
export * from "./indexing.js";
export { interpret, reachable } from "./interpret.js";
export { gemm, linear, matmul } from "./linalg.js";
export { concat, expand, pad, type Range, reshape, slice, split, transpose } from "./movement.js";
export { type Dim, FREE, type Operator, type OperatorAttributes } from "./operators.js";
export { type Axes, argMax, cumsum, logSoftmax, logSumExp, max, mean, min, softmax, sum } from "./reduce.js";
export { type ScanSpec, type ScanStep, scan, stackOf } from "./scan.js";
export type { ScanBody } from "./scan-body.js";
export { hessianVectorProduct, mixedVectorProduct, type Variables } from "./second-order.js";
export { broadcastShapes, formatDims, hasFree, isFloat, sameShape, TensorError } from "./shape.js";
