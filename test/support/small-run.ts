/** One small training that any engine can do, in Node or in a page: what engines are compared by. */
import type { NdArray } from "../../src/core/array.js";
import { flattenTree } from "../../src/core/tree.js";
import { createEnvironment } from "../../src/envs/index.js";
import { ppo, ppoOptions } from "../../src/learners/index.js";
import { fixedCasting, Rollout, Tally } from "../../src/rollout/index.js";
import type { Runtime } from "../../src/runtime/index.js";

export interface SmallRun {
  /** every array that the training ends with (parameters, moments, statistics), by path */
  readonly state: Readonly<Record<string, readonly number[]>>;
  /** of each iteration */
  readonly metrics: readonly Readonly<Record<string, number>>[];
  /** mean returns of the episodes, in the order in which they ended */
  readonly returns: readonly number[];
}

/**
 * MAPPO for `iterations` iterations of 8 copies × 25 steps in simple_spread, three agents, seed 0.
 * Plain numbers come back, which a page can hand over.
 *
 * @param options PPO's, beside those that make the run small
 */
export async function trainSmallRun(
  runtime: Runtime,
  iterations: number,
  options: Readonly<Record<string, unknown>> = {},
): Promise<SmallRun> {
  const [copies, steps] = [8, 25];
  const environment = await createEnvironment("mpe/simple_spread", {}, { copies });
  const learner = ppo.create(
    {
      runtime,
      environment,
      seed: 0,
      name: "team",
      agents: environment.spec.groups.flatMap((group) => group.agents),
      role: "own",
      firstActor: 0,
      rewardWeights: null,
      ignore: {},
    },
    ppoOptions.parse({
      copies,
      rolloutSteps: steps,
      hidden: [32, 32],
      epochs: 4,
      minibatches: 2,
      ...options,
    }),
  );
  const tally = new Tally();
  const rollout = new Rollout({
    environment,
    actors: learner.actors,
    cast: fixedCasting(learner.actorOfSeat),
    seed: 0,
    stream: "training",
    recorders: [...learner.recorders, tally],
  });
  const metrics = [];
  for (let i = 0; i < iterations; i++) {
    rollout.run(steps);
    metrics.push(learner.update(i / iterations));
  }
  const arrays = flattenTree<NdArray>(learner.saveState().arrays);
  environment.close();
  return {
    state: Object.fromEntries(arrays.map(([path, a]) => [path, Array.from(a.data as Float32Array, Number)])),
    metrics,
    returns: tally.episodes.map(({ returns }) => returns.reduce((a, b) => a + b, 0) / returns.length),
  };
}
