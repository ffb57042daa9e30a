import { add, cast, div, mul, sub, type Tensor } from "../tensor/index.js";
import { type NormalizerState, type ValueNormalizerOptions, valueNormalizer } from "./value-normalizer.js";

/** The last layer of a critic: unnormalised value = std · (h · weight + bias) + mean. */
export type PopArtHead = {
  /** [in, K]; stacked agents [n, in, K] */
  readonly weight: Tensor;
  /** [K]; stacked agents [n, 1, K] */
  readonly bias: Tensor;
};

/**
 * PopArt (van Hasselt 2016, proposition 1): a value normaliser that, when its statistics change, rescales the critic's
 * last layer so that the unnormalised values stay what they were. With old moments μ, σ and new ones μ′, σ′:
 *
 *   W ← W σ/σ′      b ← (σ b + μ − μ′)/σ′
 *
 * State and statistics are those of `valueNormalizer`. The optimiser's moments of the last layer stay as they are, as
 * in the paper.
 */
export function popArt(options: ValueNormalizerOptions = {}) {
  const normalizer = valueNormalizer(options);
  return {
    ...normalizer,

    /**
     * New statistics, and the head that goes with them: put it back with `layout.replace`.
     *
     * @param targets values in their own units, any shape; stacked [n, ...]
     * @param weights same shape, ≥ 0 (default: all 1); where all are 0 neither state nor head change
     */
    update(
      state: NormalizerState<Tensor>,
      head: PopArtHead,
      targets: Tensor,
      weights?: Tensor,
    ): { readonly state: NormalizerState<Tensor>; readonly head: PopArtHead } {
      const next = normalizer.update(state, targets, weights);
      // In float64: differences of large means are small.
      const like = { dtype: "float64", shape: head.weight.shape } as const;
      const [oldMean, oldStd] = normalizer.moments(state, like);
      const [newMean, newStd] = normalizer.moments(next, like);
      const scale = cast(div(oldStd, newStd), head.weight.dtype);
      const shift = cast(div(sub(oldMean, newMean), newStd), head.bias.dtype);
      return {
        state: next,
        head: { weight: mul(head.weight, scale), bias: add(mul(head.bias, scale), shift) },
      };
    },
  };
}

export type PopArt = ReturnType<typeof popArt>;
