/** Names that carry parameters, in experiment files. */
import { describe, expect, it } from "vitest";
import { toolbox } from "./builtin.js";
import { parseExperiment } from "./load.js";

const load = (environment: string) =>
  parseExperiment(
    "t.yaml",
    `name: trial\nenvironment: ${environment}\nseeds: [0]\ntraining: { steps: 100, learner: ppo }\nteams:\n  plain: {}\n`,
    [],
    toolbox.registries,
  );

describe("an experiment that names a task of a family", () => {
  it("plays it, with its full name and further parameters", async () => {
    const { environment } = await load("{ id: lbf/8x8-2p-3f-coop, penalty: 0.5 }");
    expect(environment.id).toBe("lbf/Foraging-8x8-2p-3f-coop-v3");
    expect(environment.parameters).toMatchObject({ rows: 8, food: 3, forceCoop: true, penalty: 0.5 });
    // The full name stands for the same.
    const again = await load("{ id: lbf/Foraging-8x8-2p-3f-coop-v3, penalty: 0.5 }");
    expect([again.environment.id, again.environment.parameters]).toEqual([
      environment.id,
      environment.parameters,
    ]);
  });

  it.each([
    [
      "lbf/Foraging-8x8-2p-v3",
      't.yaml:2:14, environment: "lbf/Foraging-8x8-2p-v3": the number of foods is missing, expected lbf/Foraging[',
    ],
    [
      "lbf/Foraging-5x5-2p-9f-v3",
      't.yaml:2:14, environment: lbf/Foraging-5x5-2p-9f-v3, parameter "food": got 9, expected at most 4 on a field of 5 × 5 cells.',
    ],
    ["{ id: lbf/8x8-2p-3f, foods: 3 }", 't.yaml:2:35, environment.foods: unknown key. Did you mean "food"?'],
    [
      "{ id: lbf/8x8-2p-3f, players: 40 }",
      't.yaml:2:1, environment: lbf/Foraging-8x8-2p-3f-v3, parameter "players": got 40, expected at most 32 on a field of 8 × 8 cells (half of them).',
    ],
  ])("says what is wrong with it, and where: %s", async (environment, message) => {
    await expect(load(environment)).rejects.toThrow(message);
  });
});
