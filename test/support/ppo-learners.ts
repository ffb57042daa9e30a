/** PPO learners on fixture games, with the loop that feeds them. */
import type { z } from "zod";
import type { Environment, EnvironmentDefinition } from "../../src/env/contract.js";
import { type Learner, type LearnerContext, ppo, ppoOptions } from "../../src/learners/index.js";
import { fixedCasting, Rollout } from "../../src/rollout/index.js";
import { createEnvironment, runtime } from "./rollouts.js";

/** Options as a file would give them. */
export type Given = z.input<typeof ppoOptions>;

/** A learner called "team" with seed 3 that holds all seats, unless the context says otherwise. */
export async function createPpo(
  game: EnvironmentDefinition,
  given: Given & { readonly copies: number },
  context: Partial<LearnerContext> = {},
  parameters: Record<string, unknown> = {},
) {
  const environment = await createEnvironment(game, given.copies, parameters);
  const options = ppoOptions.parse(given);
  const learner = ppo.create(
    {
      runtime,
      environment,
      seed: 3,
      name: "team",
      agents: environment.spec.groups.flatMap((g) => g.agents),
      role: "own",
      firstActor: 0,
      rewardWeights: null,
      ignore: {},
      ...context,
    },
    options,
  );
  return { environment, learner, options };
}

/** The loop in which the learner holds its seats. */
export function rolloutOf(environment: Environment, learner: Learner): Rollout {
  return new Rollout({
    environment,
    actors: learner.actors,
    cast: fixedCasting(learner.actorOfSeat),
    seed: 3,
    stream: "x",
    recorders: learner.recorders,
  });
}
