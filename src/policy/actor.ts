/**
 * Who chooses actions for rows. An actor is the executable form of a controller: a policy with parameters and an
 * action mode, or something that needs no network. The rollout gathers an actor's rows and asks once per step.
 */
import type { NdArray } from "../core/array.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import type { Policy } from "./policy.js";

/** R rows of one group. Arrays are exactly R rows long; the actor fills `action`, `logProb` and the state in place. */
export interface ActBatch {
  rows: number;
  /** [R, O] what the actor sees */
  obs: Float32Array;
  /** [R, A] or null */
  actionMask: Uint8Array | null;
  /** [R] index of the agent in its group */
  agent: Int32Array;
  /** One stream per row: what a seat draws depends on its own draws alone. */
  streams: readonly RandomStream[];
  /** out: Int32Array [R], Int32Array [R, D] (multi-discrete) or Float32Array [R, D] (box, not clipped) */
  action: Int32Array | Float32Array;
  /** out: [R] log-probability of the action */
  logProb: Float32Array;
  /** in and out: carried state of the rows; leaves [R, …] */
  state: Tree<NdArray>;
}

export interface Actor {
  readonly name: string;
  act(batch: ActBatch): void;
  /** Carried state of R rows at the start of an episode; {} where nothing is carried. */
  initialState(rows: number): Tree<NdArray>;
  /** The differentiable policy behind the actor, where there is one: what white-box attacks work on. */
  readonly policy: { readonly policy: Policy; readonly parameters: Float32Array } | null;
}

/** How a controller chooses from its distribution. */
export type ActionMode = "sample" | "greedy";
