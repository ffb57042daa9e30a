import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { checkEnvironment } from "../../src/env/conformance.js";
import { completeParameters, parameterNames } from "../../src/env/definition.js";
import { environments } from "../../src/envs/registry.js";
import { fixtureGames } from "./index.js";

/** Parameters beside the defaults under which an environment must pass, too. */
const variants: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  "mpe/simple_spread_v3": [
    { continuousActions: true, agents: 2, maxCycles: 7 },
    { agents: 1, terminateOnSuccess: true },
    { agents: 4, landmarkNeighbors: 2, agentNeighbors: 1 },
    { agents: 2, landmarkNeighbors: 4, agentNeighbors: 3, maxSpeed: 0.5, localRatio: 1 },
  ],
  "mpe/simple_speaker_listener_v4": [{ continuousActions: true, maxCycles: 6 }],
  "games/matrix_v0": [
    { steps: 7 },
    {
      ...{ steps: 5, timeLimit: "truncated", observation: "lastActions" },
      payoffs: [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        [
          [6, 5, 4],
          [3, 2, 1],
        ],
      ],
    },
    { payoffs: "climbing-3p", steps: 2 },
  ],
  "games/kuhn_poker_v0": [
    { players: 3 },
    { players: 4, observation: "contributions" },
    // Too large for a tree.
    { players: 10 },
  ],
  "games/leduc_poker_v0": [{ suitIsomorphism: true }, { observation: "contributions" }],
  "games/random_markov_v0": [
    { states: 30, players: 3, actions: [1, 2, 3], branching: 7, agentId: true },
    { reward: "zeroSum", timeLimit: "terminated", steps: 9, initial: "fixed0" },
  ],
  "games/two_state_coordination_v0": [{ agents: 3 }, { observeLast: false, timeLimit: "truncated" }],
  "games/grid_spread_v0": [
    { agents: 2, reward: "shared", steps: 5 },
    { agents: 1, size: 2, timeLimit: "truncated" },
    { size: 6, agents: 4 },
  ],
  "sumo/point_v0": [{ continuousActions: true, shaping: 0.1, steps: 30 }],
  "mpe/simple_v3": [{ continuousActions: true, maxCycles: 6, integration: "velocityFirst" }],
  "mpe/simple_tag_v3": [
    { continuousActions: true, good: 2, adversaries: 1, obstacles: 0, maxCycles: 7 },
    { terminateOnSuccess: true, good: 1, adversaries: 6, curriculumStage: 0, dynamicRescaling: false },
    { good: 2, landmarkNeighbors: 1, agentNeighbors: 2, goodMaxSpeed: null, adversaryMaxSpeed: null },
    { landmarkNeighbors: 3, agentNeighbors: 4 },
  ],
  "mpe/simple_adversary_v3": [
    { continuousActions: true, agents: 1, maxCycles: 6 },
    { agents: 4, landmarkNeighbors: 2, agentNeighbors: 5 },
  ],
  "mpe/simple_push_v3": [{ continuousActions: true, maxCycles: 6, maxSpeed: 0.5 }],
  "mpe/simple_reference_v3": [{ continuousActions: true, localRatio: 0, maxCycles: 6 }],
  "mpe/simple_crypto_v3": [{ continuousActions: true, maxCycles: 6, dynamicRescaling: false }],
  "mpe/simple_world_comm_v3": [
    { continuousActions: true, good: 1, adversaries: 1, obstacles: 0, food: 1, forests: 0, maxCycles: 7 },
    { good: 3, adversaries: 2, obstacles: 2, food: 3, forests: 5 },
  ],
  "mpe/independent_spread_v0": [
    { includeVelocity: true, penalty: "any", agents: 2, maxCycles: 7 },
    { continuousActions: true, agents: 1, maxCycles: 6 },
  ],
  "mpe/continuous_pred_prey_v0": [
    { predators: 6, prey: 2, obstacles: 4, preyScore: "sum", viewRadius: null },
    { predators: 1, obstacles: 0, preyCandidates: 3, integration: "positionFirst", maxCycles: 9 },
  ],
  "mpe/mean_field_spread_v0": [
    { agents: 60, meanField: "moments", maxCycles: 8, neighbors: 0 },
    { agents: 6, meanField: "histogram", histogramBins: 3, continuousActions: true, maxCycles: 8 },
    { agents: 1, meanField: "moments", rewardScale: "perAgent", rewardProfile: "picN6", maxCycles: 8 },
    { agents: 4, meanField: "moments", continuousActions: true, placement: "uniform", neighbors: 9 },
  ],
  "lbf/foraging_v3": [
    { gridObservation: true, sight: 2, globalState: "field", maxEpisodeSteps: 12 },
    { rows: 10, cols: 7, players: 4, food: 6, sight: 3, observeAgentLevels: false, penalty: 0.5 },
    { actionMask: false, timeLimitAs: "terminated", maxEpisodeSteps: 7, normalizeReward: false },
    { minPlayerLevel: [1, 3], maxPlayerLevel: [2, 3], minFoodLevel: [1, 2, 4], maxFoodLevel: [1, 5, 4] },
  ],
  "pursuit/pursuit_v5": [
    { width: 7, height: 6, pursuers: 3, evaders: 2, maxCycles: 40, sharedReward: false },
    { obsRange: 4, surround: false, catchers: 1, maxCycles: 30, constraintWindow: 0.8, evaders: 6 },
    { obsRange: 1, width: 12, height: 9, pursuers: 2, evaders: 9, freezeEvaders: true, maxCycles: 20 },
  ],
};

describe("every registered environment keeps the contract", () => {
  for (const [id, definition] of environments.entries()) {
    for (const parameters of [{}, ...(variants[id] ?? [])]) {
      it(`${id} ${JSON.stringify(parameters)}`, async () => {
        expect(await checkEnvironment(definition, parameters)).toEqual([]);
      });
    }
  }
});

describe("every fixture game keeps the contract", () => {
  for (const { definition, parameters } of fixtureGames) {
    it(`${definition.id} ${JSON.stringify(parameters)}`, async () => {
      expect(await checkEnvironment(definition, parameters)).toEqual([]);
    });
  }
});

const pageOf = (id: string) => {
  const page = id.slice(id.indexOf("/") + 1).replace(/_v\d+$/, "");
  return readFileSync(new URL(`../../docs/environments/${page}.md`, import.meta.url), "utf8");
};

describe("every registered environment has a page", () => {
  for (const [id, definition] of environments.entries()) {
    if (definition.presetOf !== undefined) {
      it(`${id}: the page of what it is a preset of names it and all its other defaults`, () => {
        const text = pageOf(definition.presetOf!);
        const [, section = ""] = text.split("\n## Presets\n");
        expect(section).toContain(`\`${id}\``);
        const base = completeParameters(environments.get(definition.presetOf!), {});
        const others = Object.entries(completeParameters(definition, {})).filter(
          ([name, value]) => JSON.stringify(value) !== JSON.stringify(base[name]),
        );
        expect(others.length).toBeGreaterThan(0);
        for (const [name, value] of others) expect(section).toContain(`\`${name}\` ${value}`);
      });
      continue;
    }
    it(`${id}: all agents' features, actions, parameters and metrics are on it`, async () => {
      const text = pageOf(id);
      const { spec } = await definition.create(completeParameters(definition, {}), { copies: 1 });
      const words = [
        id,
        ...spec.groups.flatMap((g) => [g.name, ...g.features.map((f) => f.name), ...(g.actionNames ?? [])]),
        ...spec.episodeMetrics,
        ...parameterNames(definition),
      ];
      expect(words.filter((word) => !text.includes(`\`${word}\``))).toEqual([]);
      for (const [name, value] of Object.entries(completeParameters(definition, {}))) {
        expect(text, `default of ${name}`).toMatch(new RegExp(`\\| \`${name}\` \\| ${value} \\|`));
      }
    });
  }
});
