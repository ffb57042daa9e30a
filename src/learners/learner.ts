/**
 * A learner improves the policies of some seats from what one rollout shows it. It owns neither the loop nor the
 * threat: a defense or an attack casts it, runs the rollout, and calls `update` when its recorders are full.
 */
import type { z } from "zod";
import type { Environment } from "../env/contract.js";
import type { Actor } from "../policy/actor.js";
import type { TeamMember } from "../policy/team.js";
import type { Recorder } from "../rollout/types.js";
import type { Runtime } from "../runtime/index.js";
import type { Metrics, SavedState } from "./training.js";

export interface Capabilities {
  readonly discrete: boolean;
  readonly multiDiscrete: boolean;
  readonly box: boolean;
  readonly actionMasks: boolean;
  readonly recurrent: boolean;
  readonly turnBased: boolean;
  readonly needsGlobalState: boolean;
}

export interface LearnerContext {
  readonly runtime: Runtime;
  readonly environment: Environment;
  readonly seed: number;
  /** Separates the streams of several learners of one run ("team", "adversary"). */
  readonly name: string;
  /** Agents it plays, by name. */
  readonly agents: readonly string[];
  /** Whether it holds its seats, or hijacks them from another controller. */
  readonly role: "own" | "hijack";
  /** Index of its first actor in the rollout's list. */
  readonly firstActor: number;
  /** [N] weight of each seat's reward in its own reward; null: every agent its own. */
  readonly rewardWeights: Float64Array | null;
  /** Observation features that the named agent's policy never sees. */
  readonly ignore: Readonly<Record<string, readonly string[]>>;
}

export interface Learner {
  /** In the order of their indices from `firstActor`. */
  readonly actors: readonly Actor[];
  /** [N] actor index per seat, −1 for seats it does not play. */
  readonly actorOfSeat: Int32Array;
  readonly recorders: readonly Recorder[];
  /**
   * Learn from what the recorders hold, and empty them.
   * @param progress share of the training that is over, in [0, 1): for schedules
   * @throws NonFiniteError naming the program and the first bad tensor; parameters are as before the call
   */
  update(progress: number): Metrics;
  /** The policies as they stand (copies). */
  members(): TeamMember[];
  saveState(): SavedState;
  /** @throws UserError if the state belongs to another network */
  loadState(state: SavedState, place: string): void;
}

export interface LearnerDefinition<Options = unknown> {
  readonly name: string;
  readonly summary: string;
  /** strict object: every option with its default, range and description */
  readonly options: z.ZodType<Options>;
  readonly capabilities: Capabilities;
  /** How the rollout must be shaped: E copies, T steps an iteration. */
  rollout(options: Options): { readonly copies: number; readonly steps: number };
  /** The same options with every learning rate multiplied: what two timescales differ in. */
  scaleLearningRate(options: Options, factor: number): Options;
  create(context: LearnerContext, options: Options): Learner;
}
