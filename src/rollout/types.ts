/** What the rollout hands over, and what it calls. */
import type { NdArray } from "../core/array.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import type { Environment, EnvironmentSpec } from "../env/contract.js";
import type { Actor } from "../policy/actor.js";

/**
 * Seats are all agents of an environment in group order; seat indices run over groups.
 * E copies, N seats, n agents of one group.
 */
export interface Casting {
  /** [E, N] index of the actor that holds the seat */
  readonly controller: Int32Array;
  /** [E, N] index of the actor that may take the seat over, −1 for none */
  readonly hijacker: Int32Array;
  /** [E] factor in [0, 1] on an observation threat's radius for this episode */
  readonly attackScale: Float64Array;
  /** [E, C] what a privileged critic may see (type, subset, target) */
  readonly context: Float32Array;
  /** C */
  readonly contextSize: number;
}

/**
 * Assigns every seat of one copy at the start of an episode, by writing rows `copy` of the casting.
 * @param stream the copy's own casting stream
 */
export type CastFunction = (copy: number, episode: number, stream: RandomStream, casting: Casting) => void;

/** What the actors of one role want to do. */
export interface Proposals {
  /** [E, n], or [E, n, D] */
  readonly action: Int32Array | Float32Array;
  /** [E, n] */
  readonly logProb: Float32Array;
  /** by actor: the carried state that it chose from, of all rows of the group; leaves [E · n, …], {} for none */
  readonly state: readonly Tree<NdArray>[];
}

/** One group's part of a step. Arrays belong to the rollout or the environment and are valid during the call. */
export interface GroupStep {
  /** [E, n, O] the truth */
  readonly obs: Float32Array;
  /** [E, n, O] what the policies saw; the same array where nothing perturbs */
  readonly seen: Float32Array;
  /** [E, n, A] or null */
  readonly actionMask: Uint8Array | null;
  /** what the seat's controller chose; box actions not clipped */
  readonly own: Proposals;
  /** what the hijacker proposed; null where nothing is ever hijacked */
  readonly hijack: Proposals | null;
  /** [E, n] 1 where the hijacker's action was executed */
  readonly controlled: Uint8Array;
  /** [E, n] 1 where the observation was perturbed */
  readonly perturbed: Uint8Array;
  /** executed action, box clipped to bounds */
  readonly action: Int32Array | Float32Array;
  /** [E, n] as they were when the action was chosen */
  readonly alive: Uint8Array;
  readonly acting: Uint8Array;
}

/** The moment between choosing actions and stepping (`onAct`), and after the step (`onOutcome`). */
export interface StepView {
  readonly environment: Environment;
  readonly spec: EnvironmentSpec;
  /** Number of steps taken since the rollout was created or reset. */
  readonly step: number;
  /** [E] number of the running episode of each copy */
  readonly episode: Int32Array;
  /** [E] 1 where this step is the first of the copy's episode; null where no actor carries a state */
  readonly starts: Uint8Array | null;
  /** Index of copy 0 in the larger set of copies that share the seed. */
  readonly firstCopy: number;
  readonly casting: Casting;
  readonly groups: readonly GroupStep[];
}

/**
 * A listener of the loop. `onAct`: observations, masks, states are those the actions were chosen from.
 * `onOutcome`: the environment shows rewards, flags, ended copies and the next observations; the casting is still
 * that of the step taken.
 */
export interface Recorder {
  onReset?(view: StepView): void;
  onAct?(view: StepView): void;
  onOutcome?(view: StepView): void;
}

/** R rows whose observations an adversary may change. */
export interface PerturbRequest {
  readonly rows: number;
  /** the victim, with its differentiable policy where there is one */
  readonly victim: Actor;
  /** [R, O] */
  readonly clean: Float32Array;
  /** [R, A] or null */
  readonly actionMask: Uint8Array | null;
  /** [R] index of the agent in its group */
  readonly agent: Int32Array;
  /** [R] radius of each row */
  readonly epsilon: Float32Array;
  /** [O] factor on the radius; 0 where the entry may not change */
  readonly scale: Float64Array;
  readonly norm: "linf" | "l2" | "gaussian";
  /** the victim's carried state before this step, a copy; leaves [R, …], {} where it carries nothing */
  readonly state: Tree<NdArray>;
  /** one stream per row */
  readonly streams: readonly RandomStream[];
}

/**
 * The executable adversary of the observation channel. It proposes δ; the loop projects onto the budget and records
 * the effect. It never advances the victim's carried state.
 */
export interface Perturber {
  readonly name: string;
  /** @param delta [R, O] out: the proposal */
  perturb(request: PerturbRequest, delta: Float32Array): void;
}
