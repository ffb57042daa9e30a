/**
 * What every defense's training loop shares: the team's learner in all seats, and the team that comes out. What makes a
 * defense is the casting, the threat in the rollout, and who learns at which rate.
 */
import { internalError } from "../core/errors.js";
import type { Environment } from "../env/contract.js";
import type { Learner } from "../learners/learner.js";
import { LearningLoop } from "../learners/learning-loop.js";
import { learners } from "../learners/registry.js";
import type { Team } from "../policy/index.js";
import type { RolloutOptions } from "../rollout/index.js";
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
export class TeamLoop extends LearningLoop implements TeamTraining {
  constructor(
    context: DefenseContext,
    environment: Environment,
    /** T */
    steps: number,
    learners: readonly Learner[],
    options: LoopOptions,
  ) {
    super({
      environment,
      steps,
      envSteps: context.steps,
      learners,
      seed: context.seed,
      stream: "training",
      place: "team training",
      ...options,
    });
  }

  team(): Team {
    const [team] = this.learners;
    if (team === undefined) throw internalError("a training loop without a learner");
    return { environment: this.environment.spec.id, members: team.members() };
  }
}
