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

describe("every registered environment has a page", () => {
  for (const [id, definition] of environments.entries()) {
    it(`${id}: all agents' features, actions, parameters and metrics are on it`, async () => {
      const page = id.slice(id.indexOf("/") + 1).replace(/_v\d+$/, "");
      const text = readFileSync(new URL(`../../docs/environments/${page}.md`, import.meta.url), "utf8");
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
