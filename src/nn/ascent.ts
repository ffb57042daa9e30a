/**
 * Projected gradient ascent inside a graph: the inner maximisation of adversarial regularisers, the steps of gradient
 * attacks, and the gradient of a leader through a follower's ascent (Stackelberg).
 */
import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import {
  add,
  div,
  formatDims,
  grad,
  hessianVectorProduct,
  maximum,
  minimum,
  mixedVectorProduct,
  mul,
  neg,
  type Operand,
  sign,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  TensorError,
} from "../tensor/index.js";

/** How one step moves, and where it must end. δ is [R, O], or has further leading axes (steps of an episode). */
export interface AscentRule {
  /**
   * `sign`: stepSize per entry, along the sign of the gradient (its derivative is 0: no gradient gets through).
   * `normalised`: stepSize along the direction of the gradient. `raw`: stepSize times the gradient.
   */
  readonly direction: "sign" | "normalised" | "raw";
  /** > 0; a number, or a tensor that broadcasts against δ */
  readonly stepSize: Operand;
  /**
   * `box`: |δ| ≤ radius per entry; an entry beyond it is set back, and has derivative 0 there. `ball`: ‖δ‖₂ ≤ radius,
   * by shrinking. The radius is a number ≥ 0, or a tensor that broadcasts against δ (`ball`: its `axes` being 1).
   */
  readonly projection:
    | { readonly kind: "none" }
    | { readonly kind: "box" | "ball"; readonly radius: Operand };
  /** Axes of δ over which lengths are measured; default the last: one length for every row. */
  readonly axes?: readonly number[];
  /**
   * The unit of every entry, broadcasting against δ; default 1. Entries are divided by it for steps and projection,
   * so that a ball is one in these units. Entries of unit 0 cannot move; they start at 0.
   */
  readonly scale?: Tensor;
}

/** Under the root of every length: directions shorter than about its root give shorter steps, 0 gives none. */
const TINY = 1e-24;
const SMALLEST_SCALE = 1e-12;

/** ‖x‖₂ over the axes, kept as 1. Differentiable at 0, where it is 1e-12. */
function lengthOf(x: Tensor, axes: readonly number[] | undefined): Tensor {
  return sqrt(add(sum(square(x), axes ?? [-1], true), TINY));
}

/**
 * One projected step of ascent.
 *
 * @param delta where the step starts; 0 where the unit is 0
 * @param slope gradient of the objective there, the shape of delta
 * @returns the shape of delta
 */
export function ascentStep(delta: Tensor, slope: Tensor, rule: AscentRule): Tensor {
  return inUnits(rule, delta, (x) => project(rule, move(rule, x, slope)));
}

/** The projection of a rule on its own. */
export function projected(delta: Tensor, rule: AscentRule): Tensor {
  return inUnits(rule, delta, (x) => project(rule, x));
}

function inUnits({ scale }: AscentRule, delta: Tensor, fn: (x: Tensor) => Tensor): Tensor {
  if (scale === undefined) return fn(delta);
  return mul(fn(div(delta, maximum(scale, SMALLEST_SCALE))), scale);
}

/** @param slope in the units of the observation */
function move({ direction, stepSize, axes, scale }: AscentRule, x: Tensor, slope: Tensor): Tensor {
  const own = scale === undefined ? slope : mul(slope, scale);
  switch (direction) {
    case "sign":
      return add(x, mul(sign(own), stepSize));
    case "normalised":
      return add(x, mul(div(own, lengthOf(own, axes)), stepSize));
    case "raw":
      return add(x, mul(own, stepSize));
  }
}

function project({ projection, axes }: AscentRule, x: Tensor): Tensor {
  switch (projection.kind) {
    case "none":
      return x;
    case "box": {
      const { radius } = projection;
      return maximum(minimum(x, radius), typeof radius === "number" ? -radius : neg(radius));
    }
    case "ball": {
      const { radius } = projection;
      // radius / max(length, radius), not min(radius / length, 1): inside, nothing divides by a length near 0.
      return mul(x, div(radius, maximum(lengthOf(x, axes), radius)));
    }
  }
}

/** A follower that climbs its objective by K steps. */
export interface AscentProblem extends AscentRule {
  /**
   * What is climbed, from δ: a scalar, or values whose sum is climbed (one for every row: rows then do not see each
   * other, and a raw step has the same length whatever the number of rows).
   */
  readonly objective: (delta: Tensor) => Tensor;
  /** δ⁰, a constant. Not 0 where the objective is flat there, as every divergence is. */
  readonly start: Tensor;
  /** K ≥ 0 */
  readonly steps: number;
  /** Project after every step (default), or once at the end. */
  readonly projectAt?: "every step" | "end";
}

/**
 * δ^K after K steps of projected ascent, all steps in the graph: `grad` of anything made of it is the exact total
 * gradient, through the steps, the normalisation and the projection (Bukharin 2023, eq. 4; second derivatives of the
 * objective, K times). `stopGradient` of it leaves the gradient of the leader alone.
 *
 * @throws TensorError if a setting makes no sense
 */
export function unrolledAscent(problem: AscentProblem): Tensor {
  check(problem);
  let delta = startOf(problem);
  for (let k = 0; k < problem.steps; k++) {
    delta = ascentStep(delta, grad(total(problem.objective(delta)), delta), ruleAt(problem, k));
  }
  return delta;
}

function startOf({ start, scale }: AscentProblem): Tensor {
  return stopGradient(scale === undefined ? start : mul(start, sign(scale)));
}

/** The rule of step k (from 0): the projection may be left for the last one. */
function ruleAt(problem: AscentProblem, k: number): AscentRule {
  const isFree = problem.projectAt === "end" && k < problem.steps - 1;
  return isFree ? { ...problem, projection: { kind: "none" } } : problem;
}

export interface StackelbergGradient<P extends Tree<Tensor>> {
  /** scalar: the leader's objective at δ^K, summed */
  readonly value: Tensor;
  /** d value / d parameters, through δ^K */
  readonly gradient: P;
  /** δ^K, a constant */
  readonly delta: Tensor;
}

/**
 * The gradient of `unrolledAscent` in its Hessian-vector form: the adjoint runs back over the K steps and meets a
 * product with second derivatives at each, so that no step is differentiated as a whole. The same result as
 * `grad(sum(leader(unrolledAscent(problem))), parameters)`, up to rounding.
 *
 * With F the objective, s the step rule with its projection, and δ^{k+1} = s(δ^k, ∇F(δ^k)):
 *
 *   v ← ∂R/∂δ^K,  G ← ∂R/∂θ at fixed δ^K;  for k = K−1 … 0, with w, u the derivatives of ⟨s, v⟩ in δ^k and ∇F:
 *   G ← G + ∂²F/∂θ∂δ u,  v ← w + ∂²F/∂δ² u
 *
 * @param parameters the leader's θ, tensors that the objective uses
 * @param leader     what the leader minimises or maximises at δ^K, summed; default the follower's objective
 * @throws TensorError if a setting makes no sense
 */
export function stackelbergGradient<P extends Tree<Tensor>>(
  problem: AscentProblem,
  parameters: P,
  leader: (delta: Tensor) => Tensor = problem.objective,
): StackelbergGradient<P> {
  return adjoint(problem, parameters, leader, (point, u) => {
    const value = total(problem.objective(point));
    return {
      mixed: mixedVectorProduct<Tensor, Tree<Tensor>>(value, point, parameters, u) as Tree<Tensor>,
      own: hessianVectorProduct(value, point, u),
    };
  });
}

/**
 * `stackelbergGradient` with central differences of first gradients in place of its products (Bukharin 2023): for
 * reports and tests. Each row of u has its own shift. Exact to about `shift`² in float64, of no use in float32, and
 * wrong by as much as it likes where the shift crosses a kink.
 *
 * @param problem its objective gives one value for every row, [R] of δ [R, …] (rows independent), or a scalar
 * @param shift   distance of the two points from δ^k
 */
export function stackelbergDifferences<P extends Tree<Tensor>>(
  problem: AscentProblem,
  parameters: P,
  leader: (delta: Tensor) => Tensor = problem.objective,
  shift = 1e-4,
): StackelbergGradient<P> {
  return adjoint(problem, parameters, leader, (point, u) => {
    const rows = problem.objective(point).shape;
    const axes = point.shape.map((_, i) => i).slice(rows.length);
    const r = div(shift, lengthOf(u, axes));
    // 1 / 2r of each row goes into the sum, for the gradient in θ adds up the rows.
    const weight = stopGradient(div(0.5, sum(r, axes)));
    const at = (side: 1 | -1) => {
      const x = stopGradient(add(point, mul(u, mul(r, side))));
      return grad(sum(mul(problem.objective(x), weight)), {
        point: x,
        parameters: parameters as Tree<Tensor>,
      });
    };
    const [ahead, behind] = [at(1), at(-1)];
    return {
      mixed: combine(ahead.parameters, behind.parameters, sub),
      own: sub(ahead.point, behind.point),
    };
  });
}

/** Products of second derivatives of the objective at a point with u: `mixed` in θ and δ, `own` in δ twice. */
type Products = (point: Tensor, u: Tensor) => { readonly mixed: Tree<Tensor>; readonly own: Tensor };

function adjoint<P extends Tree<Tensor>>(
  problem: AscentProblem,
  parameters: P,
  leader: (delta: Tensor) => Tensor,
  products: Products,
): StackelbergGradient<P> {
  check(problem);
  const { objective, steps } = problem;
  const path: { readonly point: Tensor; readonly slope: Tensor; readonly next: Tensor }[] = [];
  let delta = startOf(problem);
  for (let k = 0; k < steps; k++) {
    const slope = stopGradient(grad(total(objective(delta)), delta));
    const next = ascentStep(delta, slope, ruleAt(problem, k));
    path.push({ point: delta, slope, next });
    delta = stopGradient(next);
  }
  const value = total(leader(delta));
  const end = grad(value, { delta, parameters: parameters as Tree<Tensor> });
  let { delta: v, parameters: gradient } = end;
  for (const { point, slope, next } of path.reverse()) {
    const back = grad(next, { point, slope }, v);
    const { mixed, own } = products(point, back.slope);
    gradient = combine(gradient, mixed, add);
    v = add(back.point, own);
  }
  return { value, gradient: gradient as P, delta };
}

/** Leaf by leaf. */
function combine(a: Tree<Tensor>, b: Tree<Tensor>, fn: (a: Tensor, b: Tensor) => Tensor): Tree<Tensor> {
  const others = new Map(flattenTree<Tensor>(b));
  return mapTree<Tensor, Tensor>(a, (x, path) => fn(x, others.get(path)!));
}

const total = (x: Tensor): Tensor => (x.shape.length === 0 ? x : sum(x));

function check({ steps, stepSize, projection, start, axes }: AscentProblem): void {
  const bad = (what: string, got: unknown, expected: string) =>
    new TensorError(`ascent: got ${what} ${got}, expected ${expected}`);
  if (!(Number.isInteger(steps) && steps >= 0)) throw bad("steps", steps, "an integer ≥ 0");
  if (typeof stepSize === "number" && !(stepSize > 0 && stepSize < Infinity))
    throw bad("stepSize", stepSize, "a finite number > 0");
  if (projection.kind !== "none" && typeof projection.radius === "number" && !(projection.radius >= 0))
    throw bad("radius", projection.radius, "a number ≥ 0");
  const rank = start.shape.length;
  const outside = axes?.find((a) => !(Number.isInteger(a) && a >= -rank && a < rank));
  if (outside !== undefined) throw bad("axis", outside, `an axis of δ of shape ${formatDims(start.shape)}`);
}
