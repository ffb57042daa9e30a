import {
  add,
  argMax,
  concat,
  div,
  exp,
  expand,
  gatherElements,
  log,
  logSoftmax,
  mul,
  neg,
  reshape,
  split,
  square,
  sub,
  sum,
  type Tensor,
  TensorError,
  where,
} from "../tensor/index.js";

/**
 * Distributions over actions as functions of tensors. Shapes: B rows, A actions, D dimensions. All have the same
 * form: `logProb(action)`, `entropy()`, `kl(other)` of shape [B], `mode()`, and `parameters`, what sampling outside
 * the graph needs.
 */

/** Logit of an action that is not available: its probability underflows to 0, and nothing becomes NaN. */
const UNAVAILABLE = -1e9;

export interface Categorical {
  /** [B, A] normalised */
  readonly logProbs: Tensor;
  /** [B, A] */
  readonly probs: Tensor;
  readonly parameters: { readonly logProbs: Tensor };
  /** @param action int32 [B] @returns [B] */
  logProb(action: Tensor): Tensor;
  /** [B] */
  entropy(): Tensor;
  /** [B] KL(this ‖ other) */
  kl(other: Categorical): Tensor;
  /** int32 [B] */
  mode(): Tensor;
}

/**
 * @param logits [B, A]
 * @param mask   bool [B, A], true where the action is available. A row without any available action becomes uniform
 *               with zero gradient; check rows before feeding them.
 */
export function categorical(logits: Tensor, mask?: Tensor): Categorical {
  // Selected, not added: the mask then blocks the gradient too.
  const available = mask === undefined ? logits : where(mask, logits, UNAVAILABLE);
  const logProbs = logSoftmax(available, -1);
  const probs = exp(logProbs);
  return {
    logProbs,
    probs,
    parameters: { logProbs },
    logProb: (action) => {
      const column = gatherElements(logProbs, reshape(action, [...action.shape, 1]), -1);
      return reshape(column, logProbs.shape.slice(0, -1));
    },
    entropy: () => neg(sum(mul(probs, logProbs), -1)),
    kl: (other) => sum(mul(probs, sub(logProbs, other.logProbs)), -1),
    mode: () => argMax(available, -1),
  };
}

export interface MultiCategorical {
  readonly parts: readonly Categorical[];
  /** logProbs [B, Σ sizes]: the parts side by side */
  readonly parameters: { readonly logProbs: Tensor };
  /** @param action int32 [B, D] @returns [B] */
  logProb(action: Tensor): Tensor;
  entropy(): Tensor;
  kl(other: MultiCategorical): Tensor;
  /** int32 [B, D] */
  mode(): Tensor;
}

/**
 * Independent categorical choices.
 *
 * @param logits [B, Σ sizes]
 * @param sizes  number of actions of each choice
 * @param mask   bool [B, Σ sizes]
 */
export function multiCategorical(logits: Tensor, sizes: readonly number[], mask?: Tensor): MultiCategorical {
  const masks = mask === undefined ? undefined : split(mask, sizes, -1);
  const parts = split(logits, sizes, -1).map((part, i) => categorical(part, masks?.[i]));
  const total = (terms: readonly Tensor[]) => terms.reduce((a, b) => add(a, b));
  return {
    parts,
    parameters: {
      logProbs: concat(
        parts.map((p) => p.logProbs),
        -1,
      ),
    },
    logProb: (action) => {
      if (action.shape[action.shape.length - 1] !== sizes.length) {
        throw new TensorError(`multiCategorical: got action ${action}, expected [B, ${sizes.length}]`);
      }
      const columns = split(
        action,
        sizes.map(() => 1),
        -1,
      );
      return total(parts.map((p, i) => p.logProb(reshape(columns[i]!, action.shape.slice(0, -1)))));
    },
    entropy: () => total(parts.map((p) => p.entropy())),
    kl: (other) => total(parts.map((p, i) => p.kl(other.parts[i]!))),
    mode: () => {
      const modes = parts.map((p) => p.mode());
      return concat(
        modes.map((m) => reshape(m, [...m.shape, 1])),
        -1,
      );
    },
  };
}

export interface DiagonalGaussian {
  readonly mean: Tensor;
  readonly std: Tensor;
  /** log of std, the same shape */
  readonly logStd: Tensor;
  readonly parameters: { readonly mean: Tensor; readonly std: Tensor };
  /** @param action [B, D] @returns [B] */
  logProb(action: Tensor): Tensor;
  /** [B, D] */
  logProbPerDim(action: Tensor): Tensor;
  entropy(): Tensor;
  kl(other: DiagonalGaussian): Tensor;
  /** [B, D] */
  mode(): Tensor;
}

const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);

/**
 * Independent normal distributions.
 *
 * @param mean   [B, D]
 * @param std    > 0, [B, D] or [D] when it does not depend on the state
 * @param logStd log of std, where the network gives that
 */
export function diagonalGaussian(mean: Tensor, std: Tensor, logStd: Tensor = log(std)): DiagonalGaussian {
  /** Sum over dimensions, one value per row even where nothing depends on the row. */
  const perRow = (x: Tensor) => expand(sum(x, -1), mean.shape.slice(0, -1));
  const logProbPerDim = (action: Tensor) =>
    // −z²/2 − log σ − log √2π
    sub(mul(square(div(sub(action, mean), std)), -0.5), add(logStd, HALF_LOG_2PI));
  return {
    mean,
    std,
    logStd,
    parameters: { mean, std },
    logProbPerDim,
    logProb: (action) => sum(logProbPerDim(action), -1),
    // ½ + log √2π + log σ per dimension
    entropy: () => perRow(add(logStd, 0.5 + HALF_LOG_2PI)),
    // log σ₂/σ₁ + (σ₁² + (μ₁ − μ₂)²) / 2σ₂² − ½ per dimension
    kl: (other) => {
      const spread = div(add(square(std), square(sub(mean, other.mean))), mul(square(other.std), 2));
      return perRow(add(sub(other.logStd, logStd), sub(spread, 0.5)));
    },
    mode: () => mean,
  };
}
