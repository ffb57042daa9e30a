/** Every registered learner reaches known optima of small tasks, from several seeds. */
import { describe, expect, it } from "vitest";
import { evaluate } from "../../src/attacks/index.js";
import { defenses } from "../../src/defenses/index.js";
import type { EnvironmentDefinition } from "../../src/env/contract.js";
import { learners } from "../../src/learners/index.js";
import type { Team } from "../../src/policy/index.js";
import { threatSchema } from "../../src/threats/index.js";
import { twoStep, twoStepReturns } from "../games/index.js";
import { createEnvironment, runtime } from "../support/rollouts.js";
import { bandit, recall, relay } from "./games.js";

type Options = Readonly<Record<string, unknown>>;

interface Task {
  readonly game: EnvironmentDefinition;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly steps: number;
  readonly options: Options;
  /** The optimum, and what a good learner's greedy team must reach. */
  readonly optimum: number;
  readonly enough: number;
  /** What nobody without a memory can pass; absent: none is needed. */
  readonly forgetful?: number;
}

/** What every learner must solve; options by learner, in several forms. */
const small = { hidden: [16], learningRate: 0.01, outputGain: 0.1, epochs: 4, minibatches: 2, gamma: 0.95 };
const forms: Readonly<Record<string, Readonly<Record<string, Options>>>> = {
  ppo: {
    "MAPPO, shared": { critic: "centralised", sharing: "group" },
    "MAPPO, separate": { critic: "centralised", sharing: "separate" },
    "IPPO, shared": { critic: "independent", sharing: "group" },
    "IPPO, separate": { critic: "independent", sharing: "separate" },
  },
};

/** The forms with a memory, for what can only be learned with one. */
const recurrent: typeof forms = {
  ppo: {
    "MAPPO with a memory": { critic: "centralised", recurrent: 16 },
    "IPPO with a memory": { critic: "independent", recurrent: 16 },
  },
};

const tasks: Readonly<Record<string, Task>> = {
  "a matrix game after a choice of rooms": {
    game: twoStep,
    steps: 16 * 8 * 40,
    options: { copies: 16, rolloutSteps: 8, entropyCoef: 0.05 },
    optimum: twoStepReturns.discrete.optimal,
    enough: twoStepReturns.discrete.optimal,
  },
  "box actions": {
    game: twoStep,
    parameters: { continuousActions: true },
    steps: 16 * 16 * 60,
    options: { copies: 16, rolloutSteps: 16, entropyCoef: 0, schedule: "linear" },
    optimum: twoStepReturns.box.optimal,
    // Means off by a tenth each cost 0.04.
    enough: twoStepReturns.box.optimal - 0.04,
  },
  "multi-discrete actions with masks": {
    game: bandit,
    steps: 16 * 8 * 30,
    options: { copies: 16, rolloutSteps: 8 },
    optimum: 1,
    enough: 1,
  },
  "a cue to be remembered": {
    game: recall,
    steps: 16 * 16 * 60,
    options: { copies: 16, rolloutSteps: 16, chunk: 4 },
    optimum: 1,
    enough: 1,
    forgetful: 1 / 3,
  },
  "turns, paid while waiting": {
    game: relay,
    steps: 16 * 16 * 30,
    options: { copies: 16, rolloutSteps: 16 },
    optimum: 1,
    enough: 1,
  },
};

async function train(task: Task, learner: string, options: Options, seed: number): Promise<Team> {
  const training = await defenses.get("plain").start(
    {
      runtime,
      createEnvironment: (copies) => createEnvironment(task.game, copies, task.parameters),
      seed,
      steps: task.steps,
      learner: {
        name: learner,
        options: learners.get(learner).options.parse({ ...small, ...task.options, ...options }),
      },
      threat: null,
      ignore: {},
    },
    {},
  );
  while (training.iteration < training.iterations) training.step();
  const team = training.team();
  training.close();
  return team;
}

async function greedyReturn(task: Task, team: Team): Promise<number> {
  const { returns } = await evaluate({
    runtime,
    createEnvironment: (copies, o) => createEnvironment(task.game, copies, task.parameters, o),
    team,
    adversary: null,
    // A world with nothing changed: only to say how the team chooses.
    threat: threatSchema.parse({ channel: "dynamics", parameters: { unchanged: 1 }, victimMode: "greedy" }),
    episodes: 100,
    seed: 1000,
    labels: { team: "t", adversary: "none" },
  });
  return returns.reduce((a, b) => a + b) / returns.length;
}

for (const name of learners.names()) {
  describe(name, () => {
    const all = { ...(forms[name] ?? { default: {} }), ...recurrent[name] };
    for (const [form, options] of Object.entries(all)) {
      for (const [what, task] of Object.entries(tasks)) {
        const remembers = recurrent[name]?.[form] !== undefined;
        if (remembers !== (task.forgetful !== undefined)) continue;
        it(`${form}: ${what}`, async () => {
          for (const seed of [0, 1, 2]) {
            const result = await greedyReturn(task, await train(task, name, options, seed));
            expect(result, `seed ${seed}`).toBeGreaterThanOrEqual(task.enough);
            expect(result).toBeLessThanOrEqual(task.optimum + 1e-9);
          }
        });
      }
    }
  });
}

describe("a task for the memory", () => {
  it("is beyond a learner without one", async () => {
    const [task] = Object.values(tasks).filter((t) => t.forgetful !== undefined);
    for (const name of Object.keys(recurrent)) {
      const [form] = Object.values(forms[name]!);
      const result = await greedyReturn(task!, await train(task!, name, form!, 0));
      // 100 episodes scatter by 0.047.
      expect(result).toBeLessThan(task!.forgetful! + 0.2);
    }
  });
});

describe("the tasks", () => {
  it.each(Object.keys(tasks))("are no gift, untrained teams fall short: %s", async (what) => {
    const task = tasks[what]!;
    for (const name of learners.names()) {
      const untrained = (seed: number) => train({ ...task, steps: 1 }, name, { learningRate: 1e-9 }, seed);
      let sum = 0;
      for (const seed of [0, 1, 2]) sum += await greedyReturn(task, await untrained(seed));
      expect(sum / 3).toBeLessThan(task.enough);
    }
  });
});
