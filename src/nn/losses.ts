import {
  clip,
  div,
  maximum,
  mean,
  mul,
  square,
  sub,
  sum,
  type Tensor,
  withDerivative,
} from "../tensor/index.js";

/**
 * Elementwise e²/2 up to |e| = delta, straight beyond (Huber 1964): delta · (|e| − delta/2). Its derivative is the error
 * clipped to ±delta.
 */
export function huber(error: Tensor, delta: number): Tensor {
  const clipped = clip(error, -delta, delta);
  return withDerivative(mul(clipped, sub(error, mul(clipped, 0.5))), error, clipped);
}

/** Mean over all elements of (prediction − target)². */
export function meanSquaredError(prediction: Tensor, target: Tensor): Tensor {
  return mean(square(sub(prediction, target)));
}

/** Σ w x / Σ w; 0 where all weights are 0. Weights are ≥ 0 and have the shape of x. */
export function weightedMean(x: Tensor, weights: Tensor): Tensor {
  return div(sum(mul(x, weights)), maximum(sum(weights), 1e-8));
}
