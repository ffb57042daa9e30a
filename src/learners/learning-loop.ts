/**
 * Learners on one rollout: iterations of collect and update, taken back whole if they fail, saved and resumed exactly.
 * Defenses and attacks that learn are this loop with a casting, a threat in the rollout, and rates.
 */
import { UserError } from "../core/errors.js";
import { isLeaf } from "../core/tree.js";
import type { Environment } from "../env/contract.js";
import type { Actor } from "../policy/index.js";
import { Rollout, type RolloutOptions, Tally } from "../rollout/index.js";
import type { Learner } from "./learner.js";
import type { Metrics, SavedState, Training } from "./training.js";

export interface LearningLoopOptions
  extends Pick<RolloutOptions, "cast" | "hijack" | "perturb" | "stream" | "seed"> {
  readonly environment: Environment;
  /** T, steps per copy and iteration */
  readonly steps: number;
  /** Environment steps to spend, copies counted; rounded up to whole iterations. */
  readonly envSteps: number;
  /** Actors that do not learn; they come first in the rollout's list. */
  readonly frozen?: readonly Actor[];
  /** In order of update; their actors follow the frozen ones. */
  readonly learners: readonly Learner[];
  /** What it is, for messages ("team training"). */
  readonly place: string;
}

export class LearningLoop implements Training {
  readonly iterations: number;
  iteration = 0;
  readonly learners: readonly Learner[];
  readonly environment: Environment;
  readonly #options: LearningLoopOptions;
  readonly #rollout: Rollout;
  readonly #tally = new Tally();

  constructor(options: LearningLoopOptions) {
    const {
      environment,
      steps,
      envSteps,
      frozen = [],
      learners,
      cast,
      hijack,
      perturb,
      stream,
      seed,
    } = options;
    this.#options = options;
    this.learners = learners;
    this.environment = environment;
    this.iterations = Math.ceil(envSteps / (steps * environment.copies));
    this.#rollout = new Rollout({
      environment,
      actors: [...frozen, ...learners.flatMap((learner) => learner.actors)],
      recorders: [...learners.flatMap((learner) => learner.recorders), this.#tally],
      cast,
      seed,
      stream,
      ...(hijack === undefined ? {} : { hijack }),
      ...(perturb === undefined ? {} : { perturb }),
    });
  }

  get envSteps(): number {
    return this.iteration * this.#options.steps * this.environment.copies;
  }

  get savesEpisodes(): boolean {
    return this.#rollout.isResumable;
  }

  /** Share of the training that is over, in [0, 1]. */
  get progress(): number {
    return this.iteration / this.iterations;
  }

  step(): Metrics {
    const before = this.saveState();
    try {
      this.#rollout.run(this.#options.steps);
      const { progress } = this;
      // Simultaneous: every learner learns from the same rollout, with the policies that made it.
      const metrics = this.learners.map((learner) => learner.update(progress));
      this.iteration++;
      return Object.assign({ return: this.#tally.takeMeanReturn() }, ...metrics) as Metrics;
    } catch (error) {
      this.loadState(before);
      throw error;
    }
  }

  saveState(): SavedState {
    const saved = this.learners.map((learner) => learner.saveState());
    return {
      arrays: {
        learners: Object.fromEntries(saved.map((s, i) => [String(i), s.arrays])),
        rollout: this.#rollout.saveState(),
        tally: this.#tally.saveState(),
      },
      meta: { learners: saved.map((s) => s.meta), iteration: this.iteration },
    };
  }

  loadState({ arrays, meta }: SavedState): void {
    const saved = isLeaf(arrays) ? undefined : arrays.learners;
    if (
      isLeaf(arrays) ||
      saved === undefined ||
      isLeaf(saved) ||
      typeof meta.iteration !== "number" ||
      !Array.isArray(meta.learners)
    ) {
      throw new UserError(`${this.#options.place}: the checkpoint holds no saved training.`);
    }
    const metas = meta.learners as readonly SavedState["meta"][];
    this.learners.forEach((learner, i) => {
      learner.loadState({ arrays: saved[String(i)] ?? {}, meta: metas[i] ?? {} }, this.#options.place);
    });
    this.#rollout.loadState(arrays.rollout ?? {});
    // Episodes that ended since are not to be counted twice, and those that could not be saved not by halves.
    this.#tally.episodes = [];
    const { tally } = arrays;
    if (this.#rollout.isResumable)
      this.#tally.loadState(tally !== undefined && isLeaf(tally) ? tally : undefined, this.#rollout.view);
    this.iteration = meta.iteration;
  }

  close(): void {
    this.environment.close();
  }
}
