import { describe, expect, it } from "vitest";
import { createGame, modelOf } from "../../../test/support/games.js";
import { expectedPayoffs, jointActionCount, jointIndex, type MatrixGame } from "../../games/index.js";

const stage = async (payoffs: unknown, parameters = {}): Promise<MatrixGame> =>
  modelOf(await createGame("games/matrix", { payoffs, ...parameters }), "matrix").game;

/** Whether nobody gains by deviating alone. */
function isEquilibrium(game: MatrixGame, policies: readonly number[][]): boolean {
  const values = expectedPayoffs(game, policies);
  return policies.every((_, i) =>
    Array.from({ length: game.actions[i] }, (_, a) => {
      const deviation = policies.map((p, k) => (k === i ? p.map((_, b) => (b === a ? 1 : 0)) : p));
      return expectedPayoffs(game, deviation)[i] <= values[i] + 1e-12;
    }).every(Boolean),
  );
}

describe("matrix games", () => {
  const pure = (n: number, a: number) => Array.from({ length: n }, (_, b) => (a === b ? 1 : 0));
  const third = [1 / 3, 1 / 3, 1 / 3];
  const half = [0.5, 0.5];
  it.each([
    ["mp", [half, half]],
    ["rps", [third, third]],
    ["rps-liu", [third, third]],
    [
      "brps",
      [
        [1 / 16, 10 / 16, 5 / 16],
        [1 / 16, 10 / 16, 5 / 16],
      ],
    ],
    [
      "rpsw",
      [
        [...third, 0],
        [...third, 0],
      ],
    ],
    ["rpsw", [pure(4, 3), pure(4, 3)]],
    ["shapley", [third, third]],
    ["pd", [pure(2, 1), pure(2, 1)]],
    ["sh", [half, half]],
    ["sh", [pure(2, 0), pure(2, 0)]],
    ["coord", [half, half]],
    ["cd", [half, half]],
    ["cd", [pure(2, 0), pure(2, 1)]],
    [
      "bos",
      [
        [0.6, 0.4],
        [0.4, 0.6],
      ],
    ],
    ["bos", [pure(2, 1), pure(2, 1)]],
    ["climbing", [pure(3, 0), pure(3, 0)]],
    ["climbing", [pure(3, 1), pure(3, 1)]],
    ["penalty-100", [pure(3, 0), pure(3, 2)]],
    ["penalty-25", [pure(3, 1), pure(3, 1)]],
    ["climbing-3p", [pure(3, 0), pure(3, 0), pure(3, 0)]],
  ])("%s has the equilibrium %j", async (name, policies) => {
    expect(isEquilibrium(await stage(name), policies)).toBe(true);
  });

  it.each([
    ["mp", [pure(2, 0), half]],
    ["pd", [pure(2, 0), pure(2, 0)]],
    ["climbing", [pure(3, 2), pure(3, 2)]],
  ])("%s has no equilibrium %j", async (name, policies) => {
    expect(isEquilibrium(await stage(name), policies)).toBe(false);
  });

  it.each([
    ["climbing", 11, [0, 0]],
    ["penalty-50", 10, [0, 2]],
    ["climbing-3p", 11, [0, 0, 0]],
    ["trivial", 11, [0, 0]],
    ["linear", 5, [2, 1]],
    ["nonlinear", 6, [2, 1]],
  ])("%s pays at best %d, for %j", async (name, best, chosen) => {
    const game = await stage(name);
    const joints = jointActionCount(game.actions);
    expect(Math.max(...game.payoff)).toBe(best);
    for (let i = 0; i < chosen.length; i++)
      expect(game.payoff[i * joints + jointIndex(game.actions, chosen)]).toBe(best);
  });

  it.each([
    ["games/climbing", [0, 0], 275],
    ["games/climbing", [1, 1], 175],
    ["games/penalty", [2, 0], 250],
    ["games/penalty", [1, 1], 50],
    ["games/penalty", [0, 0], -2500],
  ])("%s repeated with %j returns %d in 25 steps, once to each", async (id, chosen, expected) => {
    const game = await createGame(id);
    const returns = [0, 0];
    for (let t = 0; t < 25; t++) {
      expect(game.ended.count).toBe(0);
      game.groups[0].action.set(chosen);
      game.step();
      for (let i = 0; i < 2; i++) returns[i] += game.groups[0].reward[i];
    }
    expect(returns).toEqual([expected, expected]);
    expect([game.ended.count, game.terminated[0]]).toEqual([1, 1]);
  });

  it("plays a table of its own, with other actions for every player, and shows the last joint action", async () => {
    const payoffs = [
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [
        [-1, -2, -3],
        [-4, -5, -6],
      ],
    ];
    const game = await createGame("games/matrix", {
      payoffs,
      steps: 3,
      observation: "lastActions",
      timeLimit: "truncated",
    });
    expect(game.spec.groups.map(({ name, action }) => [name, action])).toEqual([
      ["player_0", { kind: "discrete", n: 2 }],
      ["player_1", { kind: "discrete", n: 3 }],
    ]);
    const play = (a: number, b: number) => {
      game.groups[0].action[0] = a;
      game.groups[1].action[0] = b;
      game.step();
      return [game.groups[0].reward[0], game.groups[1].reward[0]];
    };
    expect([...game.groups[1].obs]).toEqual([0, 0, 0, 0, 0]);
    expect(play(1, 2)).toEqual([6, -6]);
    expect([...game.groups[1].obs]).toEqual([0, 1, 0, 0, 1]);
    const labels = game.frame!(0).shapes.flatMap((shape) => (shape.kind === "circle" ? [shape.label] : []));
    expect(labels).toEqual([undefined, undefined, "1", "2"]);
    expect(play(0, 1)).toEqual([2, -2]);
    expect(play(0, 0)).toEqual([1, -1]);
    expect([game.truncated[0], game.terminated[0]]).toEqual([1, 0]);
    const { game: model } = modelOf(game, "markov");
    expect([model.states, model.horizon]).toEqual([7, null]);
  });

  it.each([
    [
      { payoffs: "clibming" },
      'games/matrix_v0, parameter "payoffs": got "clibming", expected the name of a game or nested lists. Did you mean "climbing"?',
    ],
    [
      { payoffs: [] },
      'games/matrix_v0, parameter "payoffs": got an empty list, expected at least one entry.',
    ],
    [
      { payoffs: [[1, 2], [3]], sharing: "common" },
      'games/matrix_v0, parameter "payoffs"[1]: got a list of 1, expected a list of 2',
    ],
    [
      {
        payoffs: [
          [1, 2],
          [3, 4],
        ],
      },
      "got 2 tables of 1 dimension, expected one table per player",
    ],
    [
      {
        payoffs: [
          [1, Number.NaN],
          [3, 4],
        ],
        sharing: "zeroSum",
      },
      '"payoffs"[0][1]: got NaN, expected a finite number.',
    ],
    [
      { payoffs: "rps", sharing: "common" },
      'parameter "sharing": got "common" with the named game "rps", expected nested lists as payoffs.',
    ],
    [{ steps: 0 }, 'parameter "steps": got 0, expected a number ≥ 1.'],
    [{ payoffs: 3 }, 'parameter "payoffs": got 3, expected a string or a list.'],
  ])("refuses %j in one sentence", async (parameters, message) => {
    await expect(createGame("games/matrix", parameters)).rejects.toThrow(message);
  });
});
