/**
 * What every defense's training loop shares: learners on one rollout, iterations of collect and update, saving. What
 * makes a defense is the casting, the threat in the rollout, and who learns at which rate.
 */
import { internalError, UserError } from "../core/errors.js";
import { isLeaf } from "../core/tree.js";
import type { Environment } from "../env/contract.js";
import type { Learner } from "../learners/learner.js";
import { learners } from "../learners/registry.js";
import type { Metrics, SavedState } from "../learners/training.js";
import type { Team } from "../policy/index.js";
import { Rollout, type RolloutOptions, Tally } from "../rollout/index.js";
import type { DefenseContext, TeamTraining } from "./defense.js";

/** The environment, and the team's learner in all seats. */
export async function teamLearner(context: DefenseContext): Promise<{
  readonly learner: Learner;
  readonly environment: Environment;
  /** T */
  readonly steps: number;
}> {
  const definition = learners.get(context.learner.name);
  const { copies, steps } = definition.rollout(context.learner.options);
  const environment = await context.createEnvironment(copies);
  const learner = definition.create(
    {
      runtime: context.runtime,
      environment,
      seed: context.seed,
      name: "team",
      agents: environment.spec.groups.flatMap((g) => [...g.agents]),
      role: "own",
      firstActor: 0,
      rewardWeights: null,
      ignore: context.ignore,
    },
    context.learner.options,
  );
  return { learner, environment, steps };
}

export type LoopOptions = Pick<RolloutOptions, "cast" | "hijack" | "perturb">;

/** Learners by order of update; the first one is the team's. */
export class TeamLoop implements TeamTraining {
  readonly iterations: number;
  iteration = 0;
  readonly #rollout: Rollout;
  readonly #tally = new Tally();

  constructor(
    readonly context: DefenseContext,
    readonly environment: Environment,
    /** T */
    readonly steps: number,
    readonly learners: readonly Learner[],
    options: LoopOptions,
  ) {
    this.iterations = Math.ceil(context.steps / (steps * environment.copies));
    this.#rollout = new Rollout({
      environment,
      actors: learners.flatMap((learner) => learner.actors),
      seed: context.seed,
      stream: "training",
      recorders: [...learners.flatMap((learner) => learner.recorders), this.#tally],
      ...options,
    });
  }

  get envSteps(): number {
    return this.iteration * this.steps * this.environment.copies;
  }

  /** Share of the training that is over, in [0, 1]. */
  get progress(): number {
    return this.iteration / this.iterations;
  }

  step(): Metrics {
    const before = this.saveState();
    try {
      this.#rollout.run(this.steps);
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

  team(): Team {
    const [team] = this.learners;
    if (team === undefined) throw internalError("a training loop without a learner");
    return { environment: this.environment.spec.id, members: team.members() };
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
      throw new UserError("team training: the checkpoint holds no saved training.");
    }
    const metas = meta.learners as readonly SavedState["meta"][];
    this.learners.forEach((learner, i) => {
      learner.loadState({ arrays: saved[String(i)] ?? {}, meta: metas[i] ?? {} }, "team training");
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
