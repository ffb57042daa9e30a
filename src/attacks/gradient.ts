/**
 * Gradient attacks on observations, through the victim's own forward pass: projected ascent of an objective (see
 * objectives.ts) at the action that the policy likes best on the clean observation. The cross-entropy of a Gaussian
 * policy is, up to constants, the squared distance of the means in units of σ, whose gradient at δ = 0 is 0: such a
 * policy is attacked from a random start.
 */
import { f32, type NdArray } from "../core/array.js";
import { internalError, UserError } from "../core/errors.js";
import type { Tree } from "../core/tree.js";
import { type AscentRule, ascentStep, projected } from "../nn/index.js";
import {
  fedRows,
  feedRows,
  type Policy,
  policyFeed,
  policyInputs,
  policyState,
  rowInputs,
} from "../policy/index.js";
import type { Perturber, PerturbRequest } from "../rollout/index.js";
import type { Program, Runtime } from "../runtime/index.js";
import {
  add,
  div,
  grad,
  maximum,
  mul,
  type Operand,
  reshape,
  stopGradient,
  sub,
  sum,
  type Tensor,
  zerosLike,
} from "../tensor/index.js";
import { AdaptiveSteps } from "./adaptive-steps.js";
import { type AttackObjective, objectiveOf } from "./objectives.js";

export interface AscentOptions {
  /** K ≥ 1 steps */
  readonly steps: number;
  /** Length of one step as a share of ε; of the first one, where the rule changes it. */
  readonly stepSize: number;
  /** `decay`: linearly, to stepSize / K at the last step. `adaptive`: halved row by row, see AdaptiveSteps. */
  readonly stepRule: "constant" | "decay" | "adaptive";
  /** Share of the last movement in the next one, in [0, 1). */
  readonly momentum: number;
  /** Start from a random point of the ball instead of the clean observation (always for Gaussian policies). */
  readonly randomStart: boolean;
  /** Number of starts ≥ 1, all but the first at random; each row keeps the best result. */
  readonly restarts: number;
  /** What a start results in: the last point, or the best one on the way. */
  readonly keep: "last" | "best";
  readonly objective: AttackObjective;
}

/** Nothing but steps of one length from one start. */
export const PLAIN_ASCENT = {
  stepRule: "constant",
  momentum: 0,
  randomStart: false,
  restarts: 1,
  keep: "last",
  objective: "cross-entropy",
} as const satisfies Partial<AscentOptions>;

/** Ascent steps in one program; more are taken in several runs, so that programs stay small. */
const MAX_UNROLLED = 10;

type Norm = "linf" | "l2";
type Feed = Record<string, Tree<NdArray>>;
type Symbols = Record<string, Tensor>;
type AscentProgram = Program<Feed, Symbols>;

/** Points of the search, fed rows × O, with their objective and, where it is needed, its gradient. */
interface Reached {
  readonly delta: Float32Array;
  readonly value: Float32Array;
  readonly slope?: Float32Array;
}

/**
 * Projected gradient ascent (Madry 2018); one step of full length from the clean observation is FGSM (Goodfellow
 * 2015). ℓ∞ steps follow the sign of the gradient, ℓ2 steps its direction. Rows do not see each other.
 */
export class GradientPerturber implements Perturber {
  readonly #programs = new Map<string, WeakMap<Policy, AscentProgram>>();
  readonly #moves = new Map<Norm, AscentProgram>();
  /** Largest divisor of K that is small enough to unroll. */
  readonly #unrolled: number;

  constructor(
    readonly name: string,
    readonly runtime: Runtime,
    readonly options: AscentOptions,
  ) {
    let unrolled = Math.min(options.steps, MAX_UNROLLED);
    while (options.steps % unrolled !== 0) unrolled--;
    this.#unrolled = unrolled;
  }

  /** Gradients through the policy for one attacked decision. */
  get gradientsPerDecision(): number {
    return this.options.restarts * this.options.steps;
  }

  /** @param delta in: where the first start is, if it is not at random; out: the proposal */
  perturb(request: PerturbRequest, delta: Float32Array): void {
    const { victim, rows, scale, epsilon, norm } = request;
    if (victim.policy === null) {
      throw new UserError(
        `${this.name}: "${victim.name}" has no differentiable policy; a gradient attack needs one.`,
      );
    }
    const { policy, parameters } = victim.policy;
    if (norm === "gaussian") throw internalError(`${this.name} under Gaussian noise`);
    const O = scale.length;
    const feed: Feed = {
      ...policyFeed(policy, parameters, {
        count: rows,
        obs: request.clean,
        actionMask: request.actionMask,
        agent: request.agent,
        state: request.state,
      }),
      epsilon: f32([fedRows(rows)], feedRows(epsilon, rows)),
      scale: f32([O], Float32Array.from(scale)),
    };
    const { randomStart: isRandom, restarts } = this.options;
    const start = delta.slice();
    let best: Reached | null = null;
    for (let s = 0; s < restarts; s++) {
      if (s > 0 || isRandom) randomStart(request, start, 1);
      else if (policy.space.kind === "box") randomStart(request, start, 1e-2);
      const reached = this.#ascend(policy, norm, feed, feedRows(start, rows), rows);
      if (best === null) best = reached;
      else for (let r = 0; r < rows; r++) if (reached.value[r]! > best.value[r]!) copyRow(reached, best, r);
    }
    delta.set(best!.delta.subarray(0, rows * O));
  }

  /** From one start. The values are those of the rows, NaN where nobody asks for them. */
  #ascend(policy: Policy, norm: Norm, feed: Feed, start: Float32Array, rows: number): Reached {
    const { stepRule, momentum, keep, restarts } = this.options;
    if (stepRule !== "constant" || momentum > 0 || keep === "best")
      return this.#search(policy, norm, feed, start, rows);
    let current: NdArray = f32([fedRows(rows), policy.obsSize], start);
    // On the clean observation, the first forward pass is the one that finds the favourite action.
    let isClean = isZero(start);
    for (let done = 0; done < this.options.steps; done += this.#unrolled) {
      const program = this.#climbing(policy, norm, isClean);
      current = program.run(isClean ? feed : { ...feed, delta: current }).delta!;
      isClean = false;
    }
    // A single result need not be compared with anything.
    const value =
      restarts > 1 ? this.#valueAt(policy, feed, current) : new Float32Array(fedRows(rows)).fill(NaN);
    return { delta: current.data as Float32Array, value };
  }

  /** Steps whose lengths differ, or that remember where they came from: one at a time. */
  #search(policy: Policy, norm: Norm, feed: Feed, start: Float32Array, rows: number): Reached {
    const { steps, stepSize, stepRule, momentum, keep } = this.options;
    const [fed, O] = [fedRows(rows), policy.obsSize];
    const evaluate = this.#program("slope", policy, (inputs) => {
      const { value, slope } = this.#objective(policy, inputs)(inputs.delta!);
      return { value, slope: slope() };
    });
    const move = this.#move(norm);
    const { epsilon, scale } = feed;

    let current = f32([fed, O], start);
    let previous = current;
    let { value, slope } = evaluate.run({ ...feed, delta: current }) as Record<string, NdArray<"float32">>;
    const best = { delta: start.slice(), slope: slope!.data.slice(), value: value!.data.slice() };
    const adaptive = stepRule === "adaptive" ? new AdaptiveSteps(steps, stepSize, value!.data) : null;
    const share = adaptive?.share ?? new Float32Array(fed).fill(stepSize);
    for (let k = 0; k < steps; k++) {
      if (stepRule === "decay") share.fill(stepSize * (1 - k / steps));
      // The first step has nothing to remember.
      const inertia = f32([1], Float32Array.of(k === 0 ? 0 : momentum));
      const state = { delta: current, previous, slope: slope!, share: f32([fed], share), inertia };
      previous = current;
      current = move.run({ epsilon: epsilon!, scale: scale!, ...state }).delta as NdArray<"float32">;
      const before = value!;
      // The last point is only looked at.
      if (k === steps - 1) value = f32([fed], this.#valueAt(policy, feed, current));
      else
        ({ value, slope } = evaluate.run({ ...feed, delta: current }) as Record<string, NdArray<"float32">>);
      const here = { delta: current.data, slope: slope!.data, value: value!.data };
      for (let r = 0; r < rows; r++) {
        adaptive?.saw(r, before.data[r]!, here.value[r]!);
        if (here.value[r]! > best.value[r]!) copyRow(here, best, r);
      }
      for (const r of adaptive?.look(k + 1, best.value) ?? []) copyRow(best, here, r);
    }
    return keep === "best" ? best : { delta: current.data, value: value!.data };
  }

  #valueAt(policy: Policy, feed: Feed, delta: NdArray): Float32Array {
    const program = this.#program("value", policy, (inputs) => ({
      value: this.#objective(policy, inputs)(inputs.delta!).value,
    }));
    return program.run({ ...feed, delta }).value!.data as Float32Array;
  }

  /** δ, or 0 where there is none, → δ after the unrolled steps. */
  #climbing(policy: Policy, norm: Norm, isClean: boolean): AscentProgram {
    if (!isClean)
      return this.#program(`climb ${norm}`, policy, (inputs) => this.#climb(policy, norm, inputs));
    return this.#program(
      `climb ${norm} from 0`,
      policy,
      (inputs) => this.#climb(policy, norm, { ...inputs, delta: zerosLike(inputs.obs!) }),
      [],
    );
  }

  #climb(policy: Policy, norm: Norm, inputs: Symbols): Symbols {
    const objective = this.#objective(policy, inputs);
    const rule = ruleOf(norm, inputs, this.options.stepSize);
    let delta = inputs.delta!;
    for (let k = 0; k < this.#unrolled; k++) {
      delta = ascentStep(delta, objective(delta).slope(), rule);
    }
    return { delta };
  }

  /** The objective [R] as a function of δ [R, O], and its gradient [R, O]. */
  #objective(policy: Policy, inputs: Symbols): (delta: Tensor) => { value: Tensor; slope: () => Tensor } {
    const rows = policyInputs(inputs);
    // Incoming, and the same at every step: an attack never advances what the victim carries.
    const state = policyState(inputs);
    const distributionAt = (obs: Tensor) =>
      policy.forward(inputs.parameters!, { ...rows, obs }, state).distribution;
    const favourite = stopGradient(distributionAt(rows.obs).mode());
    const { objective } = this.options;
    return (delta) => {
      // By what is seen, which is what it is by δ, and exists where δ is 0, too.
      const seen = add(rows.obs, delta);
      const value = objectiveOf(objective, policy.space, distributionAt(seen), favourite);
      // A sum, not a mean: rows are independent, and the gradient of each is its own.
      return { value, slope: () => grad(sum(value), seen) };
    };
  }

  /** @param points inputs that are points of the search */
  #program(
    kind: string,
    policy: Policy,
    fn: (inputs: Symbols) => Symbols,
    points: readonly string[] = ["delta"],
  ): AscentProgram {
    const programs = this.#programs.get(kind) ?? new WeakMap<Policy, AscentProgram>();
    this.#programs.set(kind, programs);
    let program = programs.get(policy);
    if (program === undefined) {
      const freeRows = [...rowInputs(policy), "epsilon", ...points];
      program = this.runtime.program<Feed, Symbols>(`attack/${this.name}`, (x) => fn(x as Symbols), {
        freeRows,
      });
      programs.set(policy, program);
    }
    return program;
  }

  /** A step with its own length for each row, and a share of the movement before it (Croce & Hein 2020, algorithm 1). */
  #move(norm: Norm): AscentProgram {
    let program = this.#moves.get(norm);
    if (program === undefined) {
      const move = (inputs: Symbols): Symbols => {
        const { delta, previous, slope, inertia } = inputs as Record<string, Tensor>;
        const rule = ruleOf(norm, inputs, reshape(inputs.share!, [-1, 1]));
        const next = ascentStep(delta!, slope!, rule);
        if (this.options.momentum === 0) return { delta: next };
        const movement = add(mul(sub(next, delta!), sub(1, inertia!)), mul(sub(delta!, previous!), inertia!));
        return { delta: projected(add(delta!, movement), rule) };
      };
      const freeRows = ["delta", "previous", "slope", "share", "epsilon"];
      program = this.runtime.program<Feed, Symbols>(`attack/${this.name}/move`, (x) => move(x as Symbols), {
        freeRows,
      });
      this.#moves.set(norm, program);
    }
    return program;
  }
}

/**
 * Steps and projection in an observation threat's ball. ℓ∞: each entry in its own units. ℓ2: in units in which the
 * ball is a sphere (entries divided by their scale).
 *
 * @param inputs `epsilon` [R], `scale` [O]
 * @param share  length of a step as a share of ε
 */
function ruleOf(norm: Norm, { epsilon, scale }: Symbols, share: Operand): AscentRule {
  const radius = mul(reshape(epsilon!, [-1, 1]), reshape(scale!, [1, scale!.shape[0]!]));
  if (norm === "linf")
    return { direction: "sign", stepSize: mul(radius, share), projection: { kind: "box", radius } };
  const limit = maximum(reshape(epsilon!, [-1, 1]), 1e-12);
  return {
    direction: "normalised",
    stepSize: mul(limit, share),
    projection: { kind: "ball", radius: limit },
    scale: div(radius, limit),
  };
}

/** A loop: `every` takes ten times as long, which is much of FGSM. */
function isZero(x: Float32Array): boolean {
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) return false;
  return true;
}

function copyRow(from: Reached, to: Reached, r: number): void {
  const O = to.delta.length / to.value.length;
  to.value[r] = from.value[r]!;
  to.delta.set(from.delta.subarray(r * O, (r + 1) * O), r * O);
  if (from.slope !== undefined) to.slope?.set(from.slope.subarray(r * O, (r + 1) * O), r * O);
}

/** A random point of the ball, `share` of its radius away at most. */
function randomStart(request: PerturbRequest, delta: Float32Array, share: number): void {
  const { rows, epsilon, scale, norm, streams } = request;
  const O = scale.length;
  for (let r = 0; r < rows; r++) {
    let squared = 0;
    for (let i = 0, k = r * O; i < O; i++, k++) {
      const z = norm === "linf" ? 2 * streams[r]!.uniform() - 1 : streams[r]!.normal();
      squared += scale[i] === 0 ? 0 : z * z;
      delta[k] = share * epsilon[r]! * scale[i]! * z;
    }
    if (norm !== "linf" && squared > 1) {
      const shrink = 1 / Math.sqrt(squared);
      for (let i = 0, k = r * O; i < O; i++, k++) delta[k]! *= shrink;
    }
  }
}

/** @throws UserError under Gaussian noise: there is no ball to search in */
export function requireBall(attack: string, norm: PerturbRequest["norm"]): void {
  if (norm === "gaussian") {
    throw new UserError(
      `attack "${attack}": got norm gaussian, expected linf or l2 (Gaussian noise has no ball to search in). Use the random attack.`,
    );
  }
}
