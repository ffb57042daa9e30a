/**
 * Sampling in TypeScript, from random numbers that the caller draws: reproducible on every engine, and faster than
 * inside a graph. Nothing here allocates.
 */

import type { ActionBounds } from "./squashed-gaussian.js";

const LOG_SQRT_2PI = 0.5 * Math.log(2 * Math.PI);

/**
 * Inverse-CDF sample of one row of log-probabilities.
 *
 * @param u uniform in [0, 1)
 * @returns an index in [0, count) of positive probability: rounding can never select an impossible action
 */
export function sampleCategorical(logProbs: Float32Array, offset: number, count: number, u: number): number {
  let rest = u;
  let last = 0;
  for (let i = 0; i < count; i++) {
    const p = Math.exp(logProbs[offset + i]!);
    if (p === 0) continue;
    last = i;
    rest -= p;
    if (rest < 0) return i;
  }
  return last;
}

/**
 * One sample for each row.
 *
 * @param logProbs [B, A]
 * @param uniforms [B] in [0, 1)
 * @param out      [B] indices
 */
export function sampleCategoricalRows(
  logProbs: Float32Array,
  actions: number,
  uniforms: ArrayLike<number>,
  out: Int32Array,
): Int32Array {
  for (let r = 0; r < out.length; r++)
    out[r] = sampleCategorical(logProbs, r * actions, actions, uniforms[r]!);
  return out;
}

/** Index of the largest of `count` entries; the first where several are. */
export function argMaxOf(x: Float32Array, offset: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (x[offset + i]! > x[offset + best]!) best = i;
  return best;
}

/**
 * mean + std · noise.
 *
 * @param mean  [B, D]
 * @param std   [B, D], or [D] shared by all rows
 * @param noise [B, D] standard normal
 * @param out   [B, D]
 */
export function sampleGaussian(
  mean: Float32Array,
  std: Float32Array,
  noise: ArrayLike<number>,
  out: Float32Array,
): Float32Array {
  const n = std.length;
  for (let i = 0; i < out.length; i++) out[i] = mean[i]! + std[i % n]! * noise[i]!;
  return out;
}

/**
 * A sample of each row of a squashed Gaussian: action = centre + half width · tanh(x), x = mean + std · noise.
 *
 * @param mean   [B, D] of x
 * @param std    [B, D], or [D] shared by all rows
 * @param noise  [B, D] standard normal
 * @param bounds [D] each
 * @param out    action [B, D] within the bounds; unsquashed [B, D], its x; logProb [B] of the action at that x
 */
export function sampleSquashedGaussian(
  mean: Float32Array,
  std: Float32Array,
  noise: ArrayLike<number>,
  bounds: ActionBounds,
  out: {
    readonly action: Float32Array;
    readonly unsquashed: Float32Array;
    readonly logProb: Float32Array;
  },
): void {
  const { action, unsquashed, logProb } = out;
  const { low, high } = bounds;
  sampleGaussian(mean, std, noise, unsquashed);
  const size = low.length;
  for (let r = 0; r < logProb.length; r++) {
    let total = 0;
    for (let d = 0; d < size; d++) {
      const k = r * size + d;
      const sigma = std[k % std.length]!;
      const half = (high[d]! - low[d]!) / 2;
      const x = unsquashed[k]!;
      action[k] = Math.min(high[d]!, low[d]! + half * (1 + Math.tanh(x)));
      const z = (x - mean[k]!) / sigma;
      const away = Math.abs(x);
      // log(1 − tanh² x)
      const logSlope = 2 * (Math.LN2 - away - Math.log1p(Math.exp(-2 * away)));
      total += -0.5 * z * z - Math.log(sigma) - LOG_SQRT_2PI - logSlope - Math.log(half);
    }
    logProb[r] = total;
  }
}
