/** Suite `train`: whole training loops, rollout, update and all, as bench/peers/README.md defines them. */
import { plain } from "../src/defenses/index.js";
import { createEnvironment } from "../src/envs/index.js";
import { type PpoOptions, ppoOptions } from "../src/learners/index.js";
import type { Runtime } from "../src/runtime/index.js";

export interface TrainCase {
  readonly name: string;
  /** Environment steps of one measurement. */
  readonly envSteps: number;
  /** Train from scratch for so many environment steps, creating the environment included. */
  run(runtime: Runtime, envSteps: number, seed: number): Promise<void>;
}

function training(name: string, envSteps: number, maxCycles: number, options: PpoOptions): TrainCase {
  return {
    name,
    envSteps,
    async run(runtime, steps, seed) {
      const context = {
        runtime,
        createEnvironment: (copies: number) =>
          createEnvironment("mpe/simple_spread_v3", { maxCycles }, { copies }),
        seed,
        steps,
        learner: { name: "ppo", options },
        threat: null,
        ignore: {},
      };
      const run = await plain.start(context, {});
      while (run.iteration < run.iterations) run.step();
      run.close();
    },
  };
}

const shared = { agentIds: false, hidden: [64, 64] };
const mappo = { ...shared, copies: 10, rolloutSteps: 25, epochs: 10, learningRate: 7e-4 };

export const trainCases: readonly TrainCase[] = [
  training("mappo", 5000, 25, ppoOptions.parse(mappo)),
  // Gradients go back through the whole of an episode.
  training("mappo-gru", 5000, 25, ppoOptions.parse({ ...mappo, recurrent: 64, chunk: 25 })),
  training(
    "ippo",
    20_480,
    26,
    ppoOptions.parse({
      ...shared,
      critic: "independent",
      copies: 16,
      rolloutSteps: 128,
      epochs: 4,
      minibatches: 4,
      learningRate: 2.5e-4,
      schedule: "linear",
      maxGradNorm: 0.5,
      huberDelta: null,
      valueNormBeta: null,
      normalizeAdvantages: "minibatch",
    }),
  ),
];
