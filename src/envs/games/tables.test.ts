import { describe, expect, it } from "vitest";
import { createGame, expectFrequencies, modelOf } from "../../../test/support/games.js";
import { RandomStream } from "../../core/random.js";
import { sampleActions } from "../../env/spaces.js";
import { expectedReturns, type MarkovGame } from "../../games/index.js";

const markov = async (id: string, parameters = {}): Promise<MarkovGame> =>
  modelOf(await createGame(id, parameters), "markov").game;

describe("two-state coordination", () => {
  it("pays and moves as its rules say, and shows what happened", async () => {
    const copies = 40;
    const game = await createGame("games/two_state_coordination", {}, copies);
    const stream = RandomStream.from(2, "actions");
    const { action, obs, reward } = game.groups[0];
    const rooms = Array.from({ length: copies }, (_, e) => obs[e * 20 + 1]);
    expect(new Set(rooms).size).toBe(2);
    for (let t = 0; t < 49; t++) {
      sampleActions(game, stream);
      game.step();
      for (let e = 0; e < copies; e++) {
        const [a, b] = action.subarray(2 * e, 2 * e + 2);
        const room = rooms[e];
        const paid = (room === 0) === (a === b) ? 1 : 0;
        rooms[e] = a === b ? 1 - room : room;
        expect([...reward.subarray(2 * e, 2 * e + 2)]).toEqual([paid, paid]);
        for (let i = 0; i < 2; i++) {
          const bits = (x: number) => [1 - x, x];
          const seen = [...bits(rooms[e]), ...bits(i), ...bits(room), ...bits(a), ...bits(b)];
          expect([...obs.subarray((2 * e + i) * 10, (2 * e + i + 1) * 10)]).toEqual(seen);
        }
      }
    }
    game.step();
    expect(game.terminated.every((x) => x === 1)).toBe(true);
  });

  /** State 0: both act 0; state 1: actions 0 and 1; each with probability 0.98. */
  const convention = (i: number, room: number) => (room === 0 || i === 0 ? [0.98, 0.02] : [0.02, 0.98]);

  it.each([2, 3])(
    "is worth 48.04 to a softened convention, and 1.00 under attack (%d agents)",
    async (agents) => {
      const game = await markov("games/two_state_coordination", { agents, observeLast: false });
      const policies = Array.from({ length: agents }, (_, i) =>
        [0, 1].flatMap((room) => convention(i, room)),
      );
      expect(expectedReturns(game, policies)[0]).toBeCloseTo(48.04, 2);
      // Agent 0 turns: the least that it can make of the rest of the convention, by induction from the end.
      let least = [0, 0];
      for (let t = 0; t < 50; t++) {
        least = [0, 1].map((room) =>
          Math.min(
            ...[0, 1].map((a) => {
              let value = 0;
              for (const b of [0, 1]) {
                const paid = (room === 0) === (a === b) ? 1 : 0;
                value += convention(1, room)[b] * (paid + least[a === b ? 1 - room : room]);
              }
              return value;
            }),
          ),
        );
      }
      expect((least[0] + least[1]) / 2).toBeCloseTo(1.0, 2);
    },
  );

  it("is the same game with and without what was last observed", async () => {
    const small = await markov("games/two_state_coordination", { observeLast: false });
    const large = await markov("games/two_state_coordination");
    expect([small.states, large.states]).toEqual([2, 10]);
    const policy = [0.3, 0.7, 0.8, 0.2];
    // The room of a state of the large game is what both agents see first.
    const environment = await createGame("games/two_state_coordination");
    const { observation } = modelOf(environment, "markov");
    const spread = Array.from({ length: 10 }, (_, s) => {
      const room = observation(0, s)[1];
      return policy.slice(2 * room, 2 * room + 2);
    }).flat();
    const [a, b] = [expectedReturns(small, [policy, policy]), expectedReturns(large, [spread, spread])];
    a.forEach((value, i) => {
      expect(b[i]).toBeCloseTo(value, 12);
    });
  });
});

describe("the two-step game", () => {
  it("pays 10 at best, behind the matrix that needs both", async () => {
    const game = await createGame("games/two_step");
    const play = (a: number, b: number) => {
      game.groups[0].action.set([a, b]);
      game.step();
      return game.groups[0].reward[1];
    };
    expect([play(1, 0), play(1, 1), game.terminated[0]]).toEqual([0, 10, 1]);
    expect([play(0, 1), play(1, 1), game.terminated[0]]).toEqual([0, 9, 1]);
    expect([play(0, 1), play(0, 1)]).toEqual([0, 5]);
    const model = modelOf(game, "markov").game;
    const always = [0, 1, 0, 1, 0, 1];
    expect([...expectedReturns(model, [always, always])]).toEqual([10, 10]);
    const uniform = Array(6).fill(0.5);
    expect(expectedReturns(model, [uniform, uniform])[0]).toBeCloseTo((20 / 4 + 10 / 4) / 2, 12);
  });
});

describe("random Markov games", () => {
  it("step to successors as often as their tables say", async () => {
    const copies = 500;
    const parameters = { states: 3, actions: [2, 1], branching: 3, steps: 1000 };
    const game = await createGame("games/random_markov", parameters, copies);
    const model = modelOf(game, "markov").game;
    const counts = new Int32Array(model.successor.length);
    const stream = RandomStream.from(0, "actions");
    for (let t = 0; t < 100; t++) {
      const before = Array.from({ length: copies }, (_, e) => game.modelState!(e));
      sampleActions(game, stream);
      game.step();
      for (let e = 0; e < copies; e++) {
        const row = before[e] * 2 + game.groups[0].action[e];
        const reached = model.successor.indexOf(game.modelState!(e), model.rowStart[row]);
        counts[reached]++;
        expect(game.groups[0].reward[e]).toBe(model.reward[row]);
        expect(game.groups[1].reward[e]).toBe(model.reward[6 + row]);
      }
    }
    for (let row = 0; row < 6; row++) {
      const [from, to] = [model.rowStart[row], model.rowStart[row + 1]];
      expectFrequencies([...counts.subarray(from, to)], [...model.probability.subarray(from, to)]);
    }
  });

  it("are the same for every seed of the episodes, and others for another gameSeed", async () => {
    const game = async (gameSeed: number, seed: number) => {
      const environment = await createGame("games/random_markov", { gameSeed });
      environment.reset(seed);
      return modelOf(environment, "markov").game;
    };
    expect(await game(0, 1)).toEqual(await game(0, 2));
    expect((await game(0, 1)).reward).not.toEqual((await game(1, 1)).reward);
  });

  it.each([
    [{ branching: 5 }, "got 5 successors (branching) of 4 states, expected at most 4."],
    [{ players: 3, reward: "zeroSum" }, "got 3 players, expected 2 (zeroSum)."],
    [
      { players: 3, actions: [2, 2] },
      "got 3 players and a list of 2 numbers of actions, expected one number per player.",
    ],
    [{ actions: 0 }, 'parameter "actions": got 0, expected'],
    [{ states: 0 }, 'parameter "states": got 0, expected a number ≥ 1.'],
    [{ states: 100_000, actions: 100 }, "expected at most 50000000"],
    [{ rewardLow: Number.POSITIVE_INFINITY }, 'parameter "rewardLow"'],
  ])("refuse %j in one sentence", async (parameters, message) => {
    await expect(createGame("games/random_markov", parameters)).rejects.toThrow(message);
  });
});

describe("grid spread", () => {
  /** One episode's step from given cells. */
  async function step(cells: readonly number[], actions: readonly number[], parameters = {}) {
    const game = await createGame("games/grid_spread", parameters);
    const state = game.saveState!() as Record<string, { data: Int32Array }>;
    state.cell.data.set(cells);
    game.loadState!(state as never);
    game.groups[0].action.set(actions);
    game.step();
    return game;
  }
  const at = (x: number, y: number, size = 4) => y * size + x;

  it("moves all at once, keeps them on the grid, and pays distance and company", async () => {
    // Landmarks (0, 0), (0, 3), (3, 3). Agent 0 is held by the left edge, agents 1 and 2 meet at (2, 2).
    const game = await step([at(0, 1), at(1, 2), at(2, 1)], [1, 2, 4]);
    const { obs, reward } = game.groups[0];
    const expected = [-0.25, -0.25 * Math.sqrt(5) - 1, -0.25 * Math.sqrt(2) - 1];
    reward.forEach((r, i) => {
      expect(r).toBeCloseTo(expected[i], 12);
    });
    const places = [at(0, 1), at(2, 2), at(2, 2)];
    for (let i = 0; i < 3; i++) {
      for (let k = 0; k < 3; k++) {
        const start = (3 * i + k) * 16;
        expect(obs.subarray(start, start + 16).indexOf(1)).toBe(places[(i + k) % 3]);
      }
    }
  });

  it("shares one reward for landmarks covered by anybody", async () => {
    // Distances: (0, 0) covered by agent 1, (0, 3) one from agent 0, (3, 3) covered by agent 2.
    const game = await step([at(0, 2), at(0, 0), at(3, 3)], [0, 0, 0], { reward: "shared" });
    expect([...game.groups[0].reward]).toEqual([-0.25, -0.25, -0.25]);
    const crowded = await step([at(0, 0), at(0, 0), at(0, 0)], [0, 0, 0], { reward: "shared" });
    const distance = 3 + Math.sqrt(18);
    expect(crowded.groups[0].reward[0]).toBeCloseTo(-0.25 * distance - 3, 12);
  });

  it("ends after its steps, counts covered landmarks and meetings", async () => {
    const game = await step([at(0, 0), at(0, 3), at(3, 2)], [0, 0, 4], { steps: 2 });
    game.groups[0].action.set([0, 3, 0]);
    game.step();
    expect([game.terminated[0], ...game.ended.metrics]).toEqual([1, 2, 0]);
    const crowd = await step([at(1, 1), at(1, 1), at(1, 1)], [0, 0, 0], { steps: 1 });
    expect([...crowd.ended.metrics]).toEqual([0, 3]);
  });

  it("states its model while it is small", async () => {
    const game = await createGame("games/grid_spread", { size: 2, agents: 2 });
    const model = modelOf(game, "markov").game;
    expect([model.states, model.actions, model.horizon]).toEqual([16, [5, 5], 20]);
    // Who stays home is paid nothing; a policy that always stays keeps its start: E = −(mean distance)·w − 1/4, 20 times.
    const stay = Array.from({ length: 16 }, () => [1, 0, 0, 0, 0]).flat();
    const mean = (0 + 1 + 1 + Math.SQRT2) / 4;
    expect(expectedReturns(model, [stay, stay])[0]).toBeCloseTo(-20 * (0.25 * mean + 0.25), 10);
    const large = await createGame("games/grid_spread", { size: 8 });
    expect(large.exactModel).toBeUndefined();
  });

  it.each([
    [
      { agents: 5 },
      "got 4 landmarks for 5 agents, expected one for each. There are four corners; give the parameter landmarks.",
    ],
    [{ agents: 1, landmarks: [[4, 0]] }, 'parameter "landmarks.0": got [4, 0], expected cells in [0, 3].'],
    [{ landmarks: [[0, 0]] }, "got 1 landmarks for 3 agents, expected one for each."],
    [{ agents: 0 }, 'parameter "agents": got 0, expected a number ≥ 1.'],
    [{ size: 1 }, 'parameter "size": got 1, expected a number ≥ 2.'],
  ])("refuses %j in one sentence", async (parameters, message) => {
    await expect(createGame("games/grid_spread", parameters)).rejects.toThrow(message);
  });
});
