import { describe, expect, it } from "vitest";
import { checkEnvironment } from "../../src/env/conformance.js";
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
