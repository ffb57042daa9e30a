/**
 * The environment contract (batched, allocation-free).
 *
 * An environment runs E independent *copies*. Agents live in *groups* with equal spaces; every group has one
 * contiguous array per quantity, owned by the environment, written in place and valid until the next call.
 * Shape letters: E copies, n agents of the group, O observation size, A number of discrete actions,
 * D action dimensions, S global state size.
 */
import type { NdArray } from "../core/array.js";
import type { Frame } from "../core/film.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import type { ExactModel } from "../games/model.js";

export type { Frame, FrameShape } from "../core/film.js";

export type Space =
  /** one integer in [0, n) */
  | { readonly kind: "discrete"; readonly n: number }
  /** D integers, the d-th in [0, sizes[d]) */
  | { readonly kind: "multi-discrete"; readonly sizes: readonly number[] }
  /** D reals, the d-th in [low[d], high[d]]; ±Infinity where unbounded */
  | { readonly kind: "box"; readonly low: readonly number[]; readonly high: readonly number[] };

/** A named, contiguous part of an observation or of the global state. */
export interface Feature {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly kind: "continuous" | "one-hot" | "id" | "mask";
  /** Valid range of every entry; ±Infinity where unbounded. */
  readonly low: number;
  readonly high: number;
  /** Whether an observation threat may touch it by default (ids and masks: no). */
  readonly perturbable: boolean;
}

export interface GroupSpec {
  readonly name: string;
  /** Agent names, unique in the environment; their order is the order of every [E, n, …] array. */
  readonly agents: readonly string[];
  readonly obsSize: number;
  /** Covers [0, obsSize) without gaps or overlaps. */
  readonly features: readonly Feature[];
  readonly action: Space;
  /** Whether `actionMask` is written (discrete: A entries; multi-discrete: the sizes concatenated). */
  readonly hasActionMask: boolean;
  /** The discrete action that a masked one becomes, where the original defines that; absent: it is refused. */
  readonly maskedAction?: number;
  /** What each discrete action is called ("left", "says B"), for films and tables; absent: by number. */
  readonly actionNames?: readonly string[];
}

export interface Capabilities {
  /** `saveState`/`loadState` restore a copy exactly, streams included. */
  readonly saveState: boolean;
  /** `frame` draws a copy. */
  readonly frames: boolean;
  /** `exactModel` states the whole game as tables or a tree; absent: it does not. */
  readonly exactModel?: boolean;
}

export interface EnvironmentSpec {
  /** "family/name_vK" */
  readonly id: string;
  readonly groups: readonly GroupSpec[];
  /** Size S of the declared global state; 0 where there is none. */
  readonly stateSize: number;
  readonly stateFeatures: readonly Feature[];
  /** Most steps of an episode: what still runs then is truncated; null if nothing but the task ends it. */
  readonly maxSteps: number | null;
  /** Whether agents take turns (`acting` is not all ones). */
  readonly turnBased: boolean;
  /** Names of the numbers in `EndedCopies.metrics` ("win", "collisions", …). */
  readonly episodeMetrics: readonly string[];
  readonly capabilities: Capabilities;
  /** Versions of foreign software that its behaviour depends on; part of what identifies a result. */
  readonly versions?: Readonly<Record<string, string>>;
}

/** The arrays of one group. All but `action` are written by the environment. */
export interface GroupArrays {
  /** [E, n, O] */
  readonly obs: Float32Array;
  /** [E, n, A]: 1 where allowed; null unless `hasActionMask` */
  readonly actionMask: Uint8Array | null;
  /** discrete: Int32Array [E, n]; multi-discrete: Int32Array [E, n, D]; box: Float32Array [E, n, D]. Written by the caller before `step`. */
  readonly action: Int32Array | Float32Array;
  /** [E, n] reward of the last step */
  readonly reward: Float64Array;
  /** [E, n]: 1 while the agent lives. A dead agent has zero observations, zero rewards and only action 0. */
  readonly alive: Uint8Array;
  /** [E, n]: 1 where the agent's next action counts (turn-based games: whose turn it is) */
  readonly acting: Uint8Array;
}

/** The copies whose episode ended in the last step, in ascending order; rows 0 … count−1 are valid. */
export interface EndedCopies {
  count: number;
  /** [E] copy index of row r */
  readonly copies: Int32Array;
  /** per group [E, n, O]: last observations (before the reset) of row r's copy */
  readonly obs: readonly Float32Array[];
  /** [E, S] last global state; empty if S = 0 */
  readonly state: Float32Array;
  /** [E, M] episode metrics in the order of `spec.episodeMetrics` */
  readonly metrics: Float64Array;
  /** Last frame of row r's copy; filled only when created with `keepFinalFrames`. */
  readonly frames: (Frame | null)[];
}

/** Everything that determines the future of some or all copies: a tree of arrays, exact. */
export type EnvironmentState = Tree<NdArray>;

export interface Environment {
  readonly spec: EnvironmentSpec;
  /** E */
  readonly copies: number;
  /** In the order of `spec.groups`. */
  readonly groups: readonly GroupArrays[];
  /** [E, S] global state; empty if S = 0 */
  readonly state: Float32Array;
  /** [E]: 1 where the task ended in the last step: no value beyond */
  readonly terminated: Uint8Array;
  /** [E]: 1 where only a limit cut the episode: value kept. Never 1 together with `terminated`. */
  readonly truncated: Uint8Array;
  readonly ended: EndedCopies;

  /**
   * Start a new episode in every copy. Copy e draws from streams of (seed, first + e): what a copy does depends on
   * its seed and its actions alone, not on E or on other copies.
   * @param seed integer ≥ 0
   * @param first index of this batch's copy 0 in a larger set of copies (default 0)
   */
  reset(seed: number, first?: number): void;

  /**
   * Advance every copy by one step with the actions in `groups[g].action`. A copy that ends is reset in the same
   * step: `obs` already shows the new episode, the last observations are in `ended`. `reward`, `terminated` and
   * `truncated` belong to the step just taken; `alive`, `acting` and `actionMask` to the next action.
   * @throws UserError naming agent, copy and value of an action outside its space (NaN included) or masked (unless the
   *   group's `maskedAction` says what it becomes), or step before reset
   */
  step(): void;

  /** Present when `capabilities.saveState`: all copies. */
  saveState?(): EnvironmentState;
  /** @throws UserError if the state is of another environment, size or number of copies */
  loadState?(state: EnvironmentState): void;
  /** Present when `capabilities.frames`: the current state of one copy. */
  frame?(copy: number): Frame;
  /** Present when `capabilities.exactModel`: the game itself, the same object at every call. */
  exactModel?(): ExactModel;
  /** Present when `capabilities.exactModel`: the state (Markov game, matrix game: 0) or node (tree) of one copy. */
  modelState?(copy: number): number;
  /** Release what the environment holds outside memory; idempotent. */
  close(): void;
}

export interface CreateOptions {
  /** E ≥ 1 */
  readonly copies: number;
  /** Keep the last frame of every ended copy (for films); costs allocation at episode ends. */
  readonly keepFinalFrames?: boolean;
}

/** What one agent knows when it has to act. */
export interface ScriptMoment {
  readonly group: GroupSpec;
  /** Index of the agent in its group. */
  readonly agent: number;
  /** [O] */
  readonly obs: Float32Array;
  /** [A]; null unless the group has masks */
  readonly actionMask: Uint8Array | null;
  /** The agent's own. */
  readonly stream: RandomStream;
}

/** A way to play written by hand: every agent acts on what it observes, and remembers nothing. */
export interface Script {
  /** One sentence for lists. */
  readonly summary: string;
  /** @param action out: [1] or [D]; zeros when called. Box actions are clipped to their bounds. */
  act(moment: ScriptMoment, action: Int32Array | Float32Array): void;
}

/** A registry entry: everything known about an environment before one exists. */
export interface EnvironmentDefinition {
  /** "mpe/simple_spread_v3" */
  readonly id: string;
  /** One sentence for lists. */
  readonly summary: string;
  /** Id of the environment that this one is, with other defaults; they share a page. */
  readonly presetOf?: string;
  /** Where dynamics and constants come from, and how they are checked. */
  readonly source: string;
  /** Validates and completes the parameters (zod object schema; every key with default and description). */
  readonly parameters: import("zod").ZodType<Record<string, unknown>>;
  /** Scripted policies by name, to look at and to compare with. */
  readonly scripts?: Readonly<Record<string, Script>>;
  /** @param parameters output of `parameters` */
  create(parameters: Record<string, unknown>, options: CreateOptions): Promise<Environment>;
}

/** Environments whose names carry parameters ("lbf/Foraging-8x8-2p-3f-v3"): more than a registry can list. */
export interface EnvironmentFamily {
  /** How a name is made, for lists and messages. */
  readonly pattern: string;
  /**
   * The environment that a name stands for; undefined if the name is not of this family.
   * @throws UserError in one sentence if it is of this family but malformed, or stands for something impossible
   */
  parse(name: string): EnvironmentDefinition | undefined;
}
