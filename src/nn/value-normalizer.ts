import { type NdArray, ndarray } from "../core/array.js";
import {
  add,
  arrayFrom,
  cast,
  concat,
  constant,
  div,
  greater,
  maximum,
  mul,
  reshape,
  split,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.js";

/** float64 [3]: running mean, running mean of squares, and the weight both have gathered so far. */
export type NormalizerState<L> = {
  readonly statistics: L;
};

export interface ValueNormalizerOptions {
  /** decay of the running statistics per update, in [0, 1); MAPPO: 0.99999 */
  readonly beta?: number;
  /** lower limit of the variance; MAPPO: 1e-2 */
  readonly minVariance?: number;
  /** lower limit of the gathered weight that the statistics are divided by; MAPPO: 1e-5 */
  readonly minDebias?: number;
}

/**
 * MAPPO's value normaliser (Yu et al. 2022; `utils/valuenorm.py` of the reference code): exponential averages of the
 * critic's targets and of their squares, corrected for their start at 0. The critic predicts normalised values. The
 * state is part of the update program: one update per critic minibatch.
 *
 * Differs from the reference in precision only: the statistics are float64, because mean-square minus squared mean
 * cancels in float32 when values are large and close together.
 */
export function valueNormalizer(options: ValueNormalizerOptions = {}) {
  const { beta = 0.99999, minVariance = 1e-2, minDebias = 1e-5 } = options;

  /** mean and standard deviation (shape []) in the dtype of x */
  const moments = (state: NormalizerState<Tensor>, x: Tensor): [mean: Tensor, std: Tensor] => {
    const [mean, meanSquare, weight] = split(state.statistics, [1, 1, 1]).map((s) => reshape(s, []));
    const debias = maximum(weight!, minDebias);
    const m = div(mean!, debias);
    const variance = maximum(sub(div(meanSquare!, debias), square(m)), minVariance);
    return [cast(m, x.dtype), cast(sqrt(variance), x.dtype)];
  };

  return {
    /** Nothing seen yet: mean 0, standard deviation √minVariance. */
    initial: (): NormalizerState<NdArray> => ({
      statistics: ndarray("float64", [3], new Float64Array(3)),
    }),

    /**
     * @param targets values in their own units, any shape
     * @param weights same shape, ≥ 0 (default: all 1); where all are 0 the state does not change
     */
    update(state: NormalizerState<Tensor>, targets: Tensor, weights?: Tensor): NormalizerState<Tensor> {
      const x = cast(targets, "float64");
      const w = weights === undefined ? undefined : cast(weights, "float64");
      const count = w === undefined ? undefined : sum(w);
      const average = (v: Tensor) => {
        const total = sum(w === undefined ? v : mul(v, w));
        const n = count === undefined ? v.shape.reduce((a, b) => a * b, 1) : maximum(count, Number.MIN_VALUE);
        return reshape(div(total, n), [1]);
      };
      const one = constant(arrayFrom([1], "float64", [1]));
      const batch = concat([average(x), average(square(x)), one]);
      const next = add(mul(state.statistics, beta), mul(batch, 1 - beta));
      return { statistics: count === undefined ? next : where(greater(count, 0), next, state.statistics) };
    },

    normalize(state: NormalizerState<Tensor>, x: Tensor): Tensor {
      const [mean, std] = moments(state, x);
      return div(sub(x, mean), std);
    },

    denormalize(state: NormalizerState<Tensor>, x: Tensor): Tensor {
      const [mean, std] = moments(state, x);
      return add(mul(x, std), mean);
    },

    /** The same outside of programs. */
    arrays: {
      /** mean and standard deviation of a state */
      moments(state: NormalizerState<NdArray>): { readonly mean: number; readonly std: number } {
        const [mean, meanSquare, weight] = state.statistics.data as Float64Array;
        const debias = Math.max(weight!, minDebias);
        const m = mean! / debias;
        return { mean: m, std: Math.sqrt(Math.max(meanSquare! / debias - m * m, minVariance)) };
      },

      update(
        state: NormalizerState<NdArray>,
        targets: ArrayLike<number>,
        weights?: ArrayLike<number>,
      ): NormalizerState<NdArray> {
        let [total, squares, count] = [0, 0, 0];
        for (let i = 0; i < targets.length; i++) {
          const w = weights === undefined ? 1 : weights[i]!;
          total += w * targets[i]!;
          squares += w * targets[i]! * targets[i]!;
          count += w;
        }
        if (!(count > 0)) return state;
        const batch = [total / count, squares / count, 1];
        const old = state.statistics.data as Float64Array;
        const next = old.map((s, i) => beta * s + (1 - beta) * batch[i]!);
        return { statistics: ndarray("float64", [3], next) };
      },

      normalize(state: NormalizerState<NdArray>, x: Float32Array, out: Float32Array): Float32Array {
        const { mean, std } = this.moments(state);
        for (let i = 0; i < x.length; i++) out[i] = (x[i]! - mean) / std;
        return out;
      },

      denormalize(state: NormalizerState<NdArray>, x: Float32Array, out: Float32Array): Float32Array {
        const { mean, std } = this.moments(state);
        for (let i = 0; i < x.length; i++) out[i] = x[i]! * std + mean;
        return out;
      },
    },
  };
}

export type ValueNormalizer = ReturnType<typeof valueNormalizer>;
