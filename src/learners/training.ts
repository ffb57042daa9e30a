/**
 * Anything that learns in iterations and can be interrupted: a team under a defense, an adversary under an attack.
 * The experiment drives it: `while (t.iteration < t.iterations) t.step()`, saving in between.
 */
import type { SavedState } from "../core/saved-state.js";
import type { Environment } from "../env/contract.js";
import type { Runtime } from "../runtime/index.js";

export type { Json, SavedState } from "../core/saved-state.js";

/** Named numbers of one iteration; the same names every time. */
export type Metrics = Readonly<Record<string, number>>;

export interface Training {
  readonly iterations: number;
  /** Iterations done. */
  readonly iteration: number;
  /** Environment steps taken so far, copies counted. */
  readonly envSteps: number;
  /** false: the environment cannot be saved, so that `loadState` begins its episodes again; absent: it can */
  readonly savesEpisodes?: boolean;
  /**
   * One iteration: collect, update.
   * @throws NonFiniteError where a result is NaN or Inf; the state before the iteration is intact and can be saved
   */
  step(): Metrics;
  saveState(): SavedState;
  /** @throws UserError where the state belongs to another network, environment or size */
  loadState(state: SavedState): void;
  close(): void;
}

/** What every training is given. */
export interface TrainingContext {
  readonly runtime: Runtime;
  /** Makes the environment of the experiment (id and parameters fixed) with E copies. */
  createEnvironment(copies: number): Promise<Environment>;
  readonly seed: number;
  /** Environment steps to spend, copies counted; rounded up to whole iterations. */
  readonly steps: number;
}
