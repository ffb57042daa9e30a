import { type NdArray, ndarray, sizeOf, zeros } from "../core/array.js";
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

/**
 * float64 [3]: running mean, running mean of squares, and the weight both have gathered so far. Stacked agents have
 * [n, 3], and values of shape [n, ...].
 */
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

  /** mean and standard deviation in the dtype of x: [], or [n, 1, …, 1] with the rank of x for stacked agents */
  const moments = (
    state: NormalizerState<Tensor>,
    x: Pick<Tensor, "shape" | "dtype">,
  ): [mean: Tensor, std: Tensor] => {
    const shape = state.statistics.shape.length === 1 ? [] : x.shape.map((d, axis) => (axis === 0 ? d : 1));
    const parts = split(state.statistics, [1, 1, 1], -1);
    const [mean, meanSquare, weight] = parts.map((s) => reshape(s, shape));
    const debias = maximum(weight!, minDebias);
    const m = div(mean!, debias);
    const variance = maximum(sub(div(meanSquare!, debias), square(m)), minVariance);
    return [cast(m, x.dtype), cast(sqrt(variance), x.dtype)];
  };

  return {
    moments,

    /**
     * Nothing seen yet: mean 0, standard deviation √minVariance.
     *
     * @param agents n, for stacked agents
     */
    initial: (agents?: number): NormalizerState<NdArray> => ({
      statistics: zeros("float64", agents === undefined ? [3] : [agents, 3]),
    }),

    /**
     * @param targets values in their own units, any shape; stacked: [n, ...]
     * @param weights same shape, ≥ 0 (default: all 1); where all (of an agent) are 0 its state does not change
     */
    update(state: NormalizerState<Tensor>, targets: Tensor, weights?: Tensor): NormalizerState<Tensor> {
      const lead = state.statistics.shape.slice(0, -1);
      const axes = targets.shape.map((_, axis) => axis).slice(lead.length);
      const x = cast(targets, "float64");
      const w = weights === undefined ? undefined : cast(weights, "float64");
      const count = w === undefined ? undefined : sum(w, axes);
      const average = (v: Tensor) => {
        const total = sum(w === undefined ? v : mul(v, w), axes);
        const n =
          count === undefined
            ? axes.reduce((size, axis) => size * v.shape[axis]!, 1)
            : maximum(count, Number.MIN_VALUE);
        return reshape(div(total, n), [...lead, 1]);
      };
      const ones = [...lead, 1];
      const one = constant(arrayFrom(ones, "float64", new Array(sizeOf(ones)).fill(1)));
      const batch = concat([average(x), average(square(x)), one], -1);
      const next = add(mul(state.statistics, beta), mul(batch, 1 - beta));
      if (count === undefined) return { statistics: next };
      const some = greater(lead.length === 0 ? count : reshape(count, [...lead, 1]), 0);
      return { statistics: where(some, next, state.statistics) };
    },

    normalize(state: NormalizerState<Tensor>, x: Tensor): Tensor {
      const [mean, std] = moments(state, x);
      return div(sub(x, mean), std);
    },

    denormalize(state: NormalizerState<Tensor>, x: Tensor): Tensor {
      const [mean, std] = moments(state, x);
      return add(mul(x, std), mean);
    },

    /** The same outside of programs, for one agent. */
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
