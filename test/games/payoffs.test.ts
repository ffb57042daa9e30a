/** Payoffs as people write them: nested lists in an experiment file. */
import { describe, expect, it } from "vitest";
import { toolbox } from "../../src/experiment/builtin.js";
import { parseExperiment } from "../../src/experiment/load.js";

const experiment = (environment: string) => `name: own game
environment: ${environment}
seeds: [0]
training: { steps: 100, learner: ppo }
teams: { plain: {} }
`;
const parse = (environment: string) =>
  parseExperiment("game.yaml", experiment(environment), [], toolbox.registries);

describe("an experiment on a game of one's own", () => {
  it("takes payoffs as nested lists, in one line or in many", async () => {
    const line = await parse(
      "{ id: games/matrix, sharing: common, payoffs: [[11, -30, 0], [-30, 7, 0], [0, 6, 5]] }",
    );
    const block = await parse(`
  id: games/matrix
  sharing: common
  payoffs:
    - [11, -30, 0]
    - [-30, 7, 0]
    - [0, 6, 5]`);
    expect(line.environment.parameters).toEqual(block.environment.parameters);
    expect(line.environment.parameters.payoffs).toEqual([
      [11, -30, 0],
      [-30, 7, 0],
      [0, 6, 5],
    ]);
  });

  it.each([
    [
      "{ id: games/matrix, sharing: common, payoffs: [[1, 2], [3]] }",
      "[1]: got a list of 1, expected a list of 2",
    ],
    [
      "{ id: games/matrix, sharing: common, payoffs: [[1, .nan]] }",
      "[0][1]: got NaN, expected a finite number",
    ],
    [
      "{ id: games/matrix, sharing: common, payoffs: [[1, two]] }",
      "[0][1]: got two, expected a finite number",
    ],
    ["{ id: games/matrix, payoffs: [[], []] }", "[0]: got an empty list, expected at least one entry"],
    [
      "{ id: games/matrix, payoffs: clibming }",
      'got "clibming", expected the name of a game or nested lists',
    ],
    ["{ id: games/matrix, sharing: commn, payoffs: [[1]] }", "sharing"],
  ])("refuses %s in one sentence with its place", async (environment, message) => {
    const mistake = await parse(environment).then(
      () => "",
      (error: Error) => error.message,
    );
    expect(mistake).toContain("game.yaml:2:");
    expect(mistake).toContain(message);
    expect(mistake.split("\n")).toHaveLength(1);
  });
});
