import { type NdArray, zeros } from "../core/array.js";
import { UserError } from "../core/errors.js";
import {
  type Axes,
  add,
  arrayFrom,
  constant,
  div,
  maximum,
  minimum,
  mul,
  type Operand,
  scalar,
  split,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
} from "../tensor/index.js";

/**
 * An update rule for one flat vector of parameters, or for the vectors of stacked agents, each updated as if alone.
 * Its state goes in and comes out; nothing is hidden.
 */
export interface Optimizer {
  /** State before the first step. @param shape P, [P], or [n, P] for n stacked agents */
  initial(shape: number | readonly number[]): Record<string, NdArray>;
  /**
   * @param params       [P] or [n, P]
   * @param gradient     of what is to be minimised, same shape
   * @param learningRate number, tensor of shape [], or [n, 1] for stacked agents
   */
  step(
    params: Tensor,
    gradient: Tensor,
    state: Readonly<Record<string, Tensor>>,
    learningRate: Operand,
  ): { readonly params: Tensor; readonly state: Record<string, Tensor> };
}

const shapeOf = (shape: number | readonly number[]) => (typeof shape === "number" ? [shape] : shape);

function checkRate(name: string, value: number): void {
  if (!(value >= 0 && value < 1)) throw new UserError(`${name}: got ${value}, expected a number in [0, 1)`);
}

/** Gradient descent, with PyTorch's momentum if asked for: v ← momentum · v + g; p ← p − rate · v. */
export function sgd(options: { readonly momentum?: number } = {}): Optimizer {
  const { momentum = 0 } = options;
  checkRate("sgd momentum", momentum);
  if (momentum === 0) {
    return {
      initial: () => ({}),
      step: (params, gradient, _, rate) => ({ params: sub(params, mul(gradient, rate)), state: {} }),
    };
  }
  return {
    initial: (shape) => ({ velocity: zeros("float32", shapeOf(shape)) }),
    step: (params, gradient, state, rate) => {
      const velocity = add(mul(state.velocity!, momentum), gradient);
      return { params: sub(params, mul(velocity, rate)), state: { velocity } };
    },
  };
}

export interface AdamOptions {
  /** decay of the mean of gradients; default 0.9 */
  readonly beta1?: number;
  /** decay of the mean of squared gradients; default 0.999 */
  readonly beta2?: number;
  /** added to the root of the second moment; default 1e-8 */
  readonly epsilon?: number;
  /** L2 penalty added to the gradient, as in PyTorch's Adam (not AdamW); default 0 */
  readonly weightDecay?: number;
}

/**
 * Adam (Kingma and Ba 2015, algorithm 1), as PyTorch computes it.
 *
 * State: `m` and `v` [P], decayed sums of gradients and of their squares, and `correction` [2], the sums of the weights
 * in them, Σ βᵏ = (1 − βᵗ)/(1 − β). A sum divided by its weights is the bias-corrected mean of the paper; sums need
 * two passes over the vector less than means, no step counter, and nothing cancels in float32. Stacked agents have all
 * three each.
 */
export function adam(options: AdamOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
  checkRate("adam beta1", beta1);
  checkRate("adam beta2", beta2);
  return {
    initial: (shape) => ({
      m: zeros("float32", shapeOf(shape)),
      v: zeros("float32", shapeOf(shape)),
      correction: zeros("float32", [...shapeOf(shape).slice(0, -1), 2]),
    }),
    step: (params, gradient, state, rate) => {
      const g = weightDecay === 0 ? gradient : add(gradient, mul(params, weightDecay));
      const m = add(mul(state.m!, beta1), g);
      const v = add(mul(state.v!, beta2), square(g));
      const decay = constant(arrayFrom([2], params.dtype, [beta1, beta2]));
      const correction = add(mul(state.correction!, decay), 1);
      const [c1, c2] = split(correction, [1, 1], -1) as [Tensor, Tensor];
      // rate · (m/c₁) / (√(v/c₂) + ε) = (rate √c₂ / c₁) · m / (√v + ε √c₂): the numbers first, then the vectors.
      const root = sqrt(c2);
      const scale = div(mul(root, rate), c1);
      const update = div(m, add(sqrt(v), mul(root, epsilon)));
      return { params: sub(params, mul(update, scale)), state: { m, v, correction } };
    },
  };
}

export interface RmspropOptions {
  /** decay of the mean of squared gradients; default 0.99 */
  readonly alpha?: number;
  /** added to the root, outside it; default 1e-8 (PyMARL: 1e-5) */
  readonly epsilon?: number;
  /** decay of a sum of steps, which then is the step; default 0: none */
  readonly momentum?: number;
  /** divide by the standard deviation of the gradient instead of its root mean square; default false */
  readonly centered?: boolean;
  /** L2 penalty added to the gradient; default 0 */
  readonly weightDecay?: number;
}

/**
 * RMSprop (Tieleman and Hinton 2012; centred: Graves 2013), as PyTorch computes it: v ← αv + (1 − α)g²;
 * p ← p − rate · g/(√v + ε).
 *
 * State: `v` [P]; `mean` [P], the decayed mean of gradients, if centred; `velocity` [P], if there is momentum.
 *
 * Differs from PyTorch where rounding makes the variance v − mean² negative: 0 is used, PyTorch's parameter becomes NaN.
 */
export function rmsprop(options: RmspropOptions = {}): Optimizer {
  const { alpha = 0.99, epsilon = 1e-8, momentum = 0, centered = false, weightDecay = 0 } = options;
  checkRate("rmsprop alpha", alpha);
  checkRate("rmsprop momentum", momentum);
  const decayed = (old: Tensor, x: Tensor) => add(mul(old, alpha), mul(x, 1 - alpha));
  return {
    initial: (shape) => ({
      v: zeros("float32", shapeOf(shape)),
      ...(centered ? { mean: zeros("float32", shapeOf(shape)) } : {}),
      ...(momentum > 0 ? { velocity: zeros("float32", shapeOf(shape)) } : {}),
    }),
    step: (params, gradient, state, rate) => {
      const g = weightDecay === 0 ? gradient : add(gradient, mul(params, weightDecay));
      const next: Record<string, Tensor> = { v: decayed(state.v!, square(g)) };
      if (centered) next.mean = decayed(state.mean!, g);
      const variance = centered ? maximum(sub(next.v!, square(next.mean!)), 0) : next.v!;
      const update = div(g, add(sqrt(variance), epsilon));
      if (momentum > 0) next.velocity = add(mul(state.velocity!, momentum), update);
      return { params: sub(params, mul(next.velocity ?? update, rate)), state: next };
    },
  };
}

/**
 * The gradient scaled so that its Euclidean norm is at most `maxNorm`, as PyTorch's clip_grad_norm_.
 *
 * @param options.axes axes of one norm; default: all. For stacked agents [n, P], −1 clips each agent by its own norm
 * @returns the scaled gradient, and the norm before scaling ([], or the shape without the axes)
 */
export function clipGlobalNorm(
  gradient: Tensor,
  maxNorm: Operand,
  options: { readonly axes?: Axes } = {},
): { readonly gradient: Tensor; readonly norm: Tensor } {
  const { axes } = options;
  const limit = typeof maxNorm === "number" ? scalar(maxNorm, gradient.dtype) : maxNorm;
  const norms = sqrt(sum(square(gradient), axes, axes !== undefined));
  const scale = minimum(div(limit, add(norms, 1e-6)), 1);
  return { gradient: mul(gradient, scale), norm: axes === undefined ? norms : sum(norms, axes) };
}

/** A learning rate as a function of progress in [0, 1]. */
export type Schedule = (progress: number) => number;

export const constantSchedule =
  (value: number): Schedule =>
  () =>
    value;

/** From `start` at progress 0 to `end` at progress 1, in a straight line. */
export const linearSchedule =
  (start: number, end = 0): Schedule =>
  (progress) =>
    start + (end - start) * Math.min(1, Math.max(0, progress));
