/**
 * Gradient attacks on observations, through the victim's own forward pass. The objective is the cross-entropy of the
 * action that the policy likes best on the clean observation: −log π(mode(π(·|s)) | s + δ). For a Gaussian policy
 * that is, up to constants, the squared distance of the means in units of σ, whose gradient at δ = 0 is 0: such a
 * policy is attacked from a random start.
 */
import { f32, type NdArray } from "../core/array.js";
import { internalError, UserError } from "../core/errors.js";
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
  minimum,
  mul,
  neg,
  reshape,
  sign,
  sqrt,
  square,
  stopGradient,
  sum,
  type Tensor,
} from "../tensor/index.js";

export interface AscentOptions {
  /** K ≥ 1 steps */
  readonly steps: number;
  /** Length of one step as a share of ε. */
  readonly stepSize: number;
  /** Start from a random point of the ball instead of the clean observation (always for Gaussian policies). */
  readonly randomStart: boolean;
}

/** Ascent steps in one program; more are taken in several runs, so that programs stay small. */
const MAX_UNROLLED = 10;

type Inputs = Record<string, NdArray>;
const Programs = WeakMap<Policy, Program<Inputs, Record<string, Tensor>>>;

/**
 * Projected gradient ascent (Madry 2018); one step of full length from the clean observation is FGSM (Goodfellow
 * 2015). ℓ∞ steps follow the sign of the gradient, ℓ2 steps its direction.
 */
export class GradientPerturber implements Perturber {
  /** by norm and policy */
  readonly #programs = { linf: new Programs(), l2: new Programs() };
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

  perturb(request: PerturbRequest, delta: Float32Array): void {
    const { victim, rows, scale, epsilon, norm } = request;
    if (victim.policy === null) {
      throw new UserError(
        `${this.name}: "${victim.name}" has no differentiable policy; a gradient attack needs one.`,
      );
    }
    const { policy, parameters } = victim.policy;
    const O = scale.length;
    const isGaussian = policy.space.kind === "box";
    if (this.options.randomStart || isGaussian)
      randomStart(request, delta, this.options.randomStart ? 1 : 1e-2);
    if (norm === "gaussian") throw internalError(`${this.name} under Gaussian noise`);
    let program = this.#programs[norm].get(policy);
    if (program === undefined) {
      program = this.#compile(policy, norm);
      this.#programs[norm].set(policy, program);
    }
    const feed = {
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
    let current: NdArray = f32([fedRows(rows), O], feedRows(delta, rows));
    for (let done = 0; done < this.options.steps; done += this.#unrolled) {
      current = program.run({ ...feed, delta: current }).delta!;
    }
    delta.set((current.data as Float32Array).subarray(0, rows * O));
  }

  /** δ → δ after the unrolled steps. */
  #compile(policy: Policy, norm: "linf" | "l2"): Program<Inputs, Record<string, Tensor>> {
    const { stepSize } = this.options;
    return this.runtime.program<Inputs, Record<string, Tensor>>(
      `attack/${this.name}`,
      (inputs) => {
        const rows = policyInputs(inputs);
        // Incoming, and the same at every step: an attack never advances what the victim carries.
        const state = policyState(inputs);
        const clean = rows.obs;
        const O = policy.obsSize;
        const radius = mul(reshape(inputs.epsilon!, [-1, 1]), reshape(inputs.scale!, [1, O]));
        const favourite = stopGradient(policy.forward(inputs.parameters!, rows, state).distribution.mode());
        let delta = inputs.delta!;
        for (let k = 0; k < this.#unrolled; k++) {
          const seen = add(clean, delta);
          const { distribution } = policy.forward(inputs.parameters!, { ...rows, obs: seen }, state);
          // A sum, not a mean: rows are independent, and the gradient of each is its own.
          const slope = grad(neg(sum(distribution.logProb(favourite))), seen);
          delta =
            norm === "linf"
              ? clampTo(add(delta, mul(sign(slope), mul(radius, stepSize))), radius)
              : ballTo(delta, slope, radius, inputs.epsilon!, stepSize);
        }
        return { delta };
      },
      { freeRows: [...rowInputs(policy), "epsilon", "delta"] },
    );
  }
}

const clampTo = (delta: Tensor, radius: Tensor) => maximum(minimum(delta, radius), neg(radius));

/** One ℓ2 step and projection, in units in which the ball is a sphere (entries divided by their scale). */
function ballTo(delta: Tensor, slope: Tensor, radius: Tensor, epsilon: Tensor, stepSize: number): Tensor {
  const limit = maximum(reshape(epsilon, [-1, 1]), 1e-12);
  const scale = div(radius, limit);
  const length = (x: Tensor) => sqrt(add(sum(square(x), [1], true), 1e-24));
  const direction = mul(slope, scale);
  const moved = add(
    div(delta, maximum(scale, 1e-12)),
    mul(div(direction, length(direction)), mul(limit, stepSize)),
  );
  return mul(mul(moved, minimum(div(limit, length(moved)), 1)), scale);
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
