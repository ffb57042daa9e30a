import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream } from "../core/random.js";
import {
  assertMarkovGame,
  buildTree,
  CHANCE,
  expectedPayoffs,
  expectedReturns,
  jointAction,
  jointActionCount,
  jointIndex,
  type MarkovGame,
  matrixGame,
  type RandomMarkovOptions,
  randomMarkovGame,
  type SequentialRules,
  TERMINAL,
  tabulate,
  terminalHistories,
  treePolicy,
  treePolicyFromTable,
  treeValues,
  uniformTreePolicy,
} from "./index.js";

const ROCK_PAPER_SCISSORS = [
  [0, -1, 1],
  [1, 0, -1],
  [-1, 1, 0],
];

describe("joint actions", () => {
  it("are numbered with the last player fastest, and back", () => {
    const actions = [2, 3, 4];
    expect(jointActionCount(actions)).toBe(24);
    expect(jointIndex(actions, [1, 0, 2])).toBe(14);
    for (let j = 0; j < 24; j++) expect(jointIndex(actions, jointAction(actions, j))).toBe(j);
  });
});

describe("a matrix game", () => {
  it("is read from one table in every sharing", () => {
    const zeroSum = matrixGame(ROCK_PAPER_SCISSORS, "zeroSum");
    expect(zeroSum.actions).toEqual([3, 3]);
    expect([...zeroSum.payoff]).toEqual([0, -1, 1, 1, 0, -1, -1, 1, 0, 0, 1, -1, -1, 0, 1, 1, -1, 0]);
    const prisoners = matrixGame(
      [
        [5, 0],
        [10, 1],
      ],
      "symmetric",
    );
    expect([...prisoners.payoff]).toEqual([5, 0, 10, 1, 5, 10, 0, 1]);
    const three = matrixGame(
      [
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ],
      "common",
    );
    expect(three.actions).toEqual([1, 3, 2]);
    expect([...three.payoff]).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
    const sexes = matrixGame(
      [
        [
          [3, 0],
          [0, 2],
        ],
        [
          [2, 0],
          [0, 3],
        ],
      ],
      "general",
    );
    expect(sexes.actions).toEqual([2, 2]);
    expect([...sexes.payoff]).toEqual([3, 0, 0, 2, 2, 0, 0, 3]);
    expect([...matrixGame([[7, 8]], "general").payoff], "one player").toEqual([7, 8]);
  });

  it.each([
    [
      "general",
      [
        [1, 2],
        [3, 4],
      ],
      "payoffs: got 2 tables of 1 dimension, expected one table per player with one dimension per player.",
    ],
    ["common", 3, "payoffs: got 3, expected nested lists of numbers."],
    ["common", null, "payoffs: got null, expected nested lists of numbers."],
    ["common", [], "payoffs: got an empty list, expected at least one entry."],
    ["common", [[], []], "payoffs[0]: got an empty list, expected at least one entry."],
    [
      "common",
      [[1, 2], [3]],
      "payoffs[1]: got a list of 1, expected a list of 2 like the first of its kind.",
    ],
    ["common", [[1, 2], 3], "payoffs[1]: got 3, expected a list of 2 like the first of its kind."],
    [
      "common",
      [
        [1, 2],
        [3, [4]],
      ],
      "payoffs[1][1]: got a list, expected a finite number.",
    ],
    ["common", [[1, Number.NaN]], "payoffs[0][1]: got NaN, expected a finite number."],
    ["common", [[1, Number.POSITIVE_INFINITY]], "payoffs[0][1]: got Infinity, expected a finite number."],
    ["common", [[1, "a"]], "payoffs[0][1]: got a, expected a finite number."],
    [
      "zeroSum",
      [1, 2],
      "payoffs: got a table of 1 dimension, expected the rows and columns of two players (zeroSum).",
    ],
    ["symmetric", [[1, 2]], "payoffs: got 1 row and 2 columns, expected equally many (symmetric)."],
  ] as const)("of sharing %s from %j is refused in one sentence", (sharing, payoffs, message) => {
    expect(() => matrixGame(payoffs, sharing)).toThrow(message);
  });

  it("pays what its players' mixed strategies earn", () => {
    const game = matrixGame(ROCK_PAPER_SCISSORS, "zeroSum");
    const uniform = [1 / 3, 1 / 3, 1 / 3];
    expect([...expectedPayoffs(game, [uniform, uniform])]).toEqual([0, 0]);
    // Rock against (1/2 paper, 1/2 scissors) wins and loses equally often; against paper alone it loses.
    expect([
      ...expectedPayoffs(game, [
        [1, 0, 0],
        [0, 0.5, 0.5],
      ]),
    ]).toEqual([0, 0]);
    expect([
      ...expectedPayoffs(game, [
        [1, 0, 0],
        [0, 1, 0],
      ]),
    ]).toEqual([-1, 1]);
    // Battle of the sexes, mixed equilibrium (3/5, 2/5) × (2/5, 3/5): both expect 6/5.
    const sexes = matrixGame(
      [
        [
          [3, 0],
          [0, 2],
        ],
        [
          [2, 0],
          [0, 3],
        ],
      ],
      "general",
    );
    for (const x of expectedPayoffs(sexes, [
      [0.6, 0.4],
      [0.4, 0.6],
    ]))
      expect(x).toBeCloseTo(1.2, 12);
  });
});

/** Two states; player 0's action 0 stays, action 1 moves with probability 3/4; state 1 pays player 0's wage. */
function twoStates(discount: number, horizon: number | null): MarkovGame {
  const size = { states: 2, actions: [2, 1], initial: Float64Array.of(1, 0), discount, horizon };
  return tabulate(size, (state, [move]) => ({
    next:
      move === 0
        ? [[state, 1]]
        : [
            [1 - state, 0.75],
            [state, 0.25],
          ],
    reward: [state, -2 * state],
  }));
}

describe("a Markov game", () => {
  it("earns what its policies earn", () => {
    // Move once, then stay: the second and third step pay with probability 3/4 and 15/16.
    const eager = [
      [0, 1, 1, 0],
      [1, 1],
    ];
    const [mine, yours] = expectedReturns(twoStates(1, 3), eager);
    expect(mine).toBeCloseTo(0.75 + 0.9375, 12);
    expect(yours).toBeCloseTo(-2 * mine, 12);
    // Discounted for ever: V(0) = γ(3/4 V(1) + 1/4 V(0)), V(1) = 1 / (1 − γ).
    const gamma = 0.5;
    const value = (gamma * 0.75 * (1 / (1 - gamma))) / (1 - gamma * 0.25);
    expect(expectedReturns(twoStates(gamma, null), eager, 200)[0]).toBeCloseTo(value, 12);
    expect(() => expectedReturns(twoStates(gamma, null), eager)).toThrow("no horizon");
  });

  it.each([
    [
      "probabilities that do not sum to one",
      { probability: Float64Array.of(1, 0.7, 0.25, 1, 0.75, 0.25) },
      "state 0, joint action 1: the probabilities sum to 0.95, expected 1.",
    ],
    [
      "a negative probability",
      { probability: Float64Array.of(1, 1.25, -0.25, 1, 0.75, 0.25) },
      "state 0, joint action 1: got the probability -0.25, expected a number ≥ 0.",
    ],
    [
      "an unknown state",
      { successor: Int32Array.of(0, 2, 0, 1, 0, 1) },
      "state 0, joint action 1: leads to state 2, expected one in [0, 2).",
    ],
    [
      "a reward that is not finite",
      { reward: Float64Array.of(0, 0, 1, Number.NaN, 0, 0, -2, -2) },
      "reward[3]: got NaN, expected a finite number.",
    ],
    ["a table too short", { reward: Float64Array.of(0, 0, 1, 1) }, "reward: got 4 entries, expected 8."],
    ["no players", { actions: [] }, "actions: got [], expected integers ≥ 1, one per player."],
    [
      "a player without actions",
      { actions: [2, 0] },
      "actions: got [2, 0], expected integers ≥ 1, one per player.",
    ],
    ["no states", { states: 0 }, "states: got 0, expected an integer ≥ 1."],
    [
      "an initial distribution that is none",
      { initial: Float64Array.of(0.5, 0.4) },
      "initial: the probabilities sum to 0.9, expected 1.",
    ],
  ])("with %s is refused in one sentence", (_, change, message) => {
    expect(() => assertMarkovGame({ ...twoStates(1, 3), ...change })).toThrow(`Markov game, ${message}`);
  });
});

const options: RandomMarkovOptions = {
  ...{ states: 5, actions: [2, 3], branching: 3, reward: "general", rewardLow: -1, rewardHigh: 1 },
  ...{ sparsity: 0, discount: 0.9, horizon: null, initial: "uniform" },
};
const draw = (change: Partial<RandomMarkovOptions> = {}, seed = 0) =>
  randomMarkovGame({ ...options, ...change }, RandomStream.from(seed, "game"));

describe("a random Markov game", () => {
  it("is a game of the sizes asked for, whatever they are", () => {
    fc.assert(
      fc.property(
        fc.record({
          states: fc.integer({ min: 1, max: 7 }),
          actions: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 2 }),
          branching: fc.integer({ min: 1, max: 7 }),
          reward: fc.constantFrom(
            "general" as const,
            "zeroSum" as const,
            "cooperative" as const,
            "potential" as const,
          ),
          seed: fc.nat(),
        }),
        ({ seed, branching, ...size }) => {
          const b = Math.min(branching, size.states);
          const game = draw({ ...size, branching: b }, seed);
          assertMarkovGame(game);
          const joints = jointActionCount(game.actions);
          const rows = game.states * joints;
          for (let row = 0; row < rows; row++) {
            const [from, to] = [game.rowStart[row], game.rowStart[row + 1]];
            expect(new Set(game.successor.subarray(from, to)).size).toBe(b);
            const sum = game.probability.subarray(from, to).reduce((x, y) => x + y, 0);
            expect(Math.abs(sum - 1)).toBeLessThan(1e-12);
            if (b === 1) expect(game.probability[from]).toBe(1);
            const [mine, yours] = [game.reward[row], game.reward[rows + row]];
            if (size.reward === "zeroSum") expect(mine + yours).toBe(0);
            if (size.reward === "cooperative") expect(mine).toBe(yours);
          }
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  it("of kind potential has a potential, and transitions that no action changes", () => {
    const game = draw({ reward: "potential", actions: [2, 3, 2] });
    const joints = 12;
    const rows = game.states * joints;
    const at = (i: number, s: number, chosen: number[]) =>
      game.reward[i * rows + s * joints + jointIndex(game.actions, chosen)];
    for (let s = 0; s < game.states; s++) {
      for (let j = 1; j < joints; j++) {
        const [from, first] = [(s * joints + j) * 3, s * joints * 3];
        expect(game.successor.subarray(from, from + 3)).toEqual(game.successor.subarray(first, first + 3));
        expect(game.probability.subarray(from, from + 3)).toEqual(
          game.probability.subarray(first, first + 3),
        );
      }
      // Monderer and Shapley 1996, corollary 2.9: gains around every square of two deviating players sum to 0.
      for (const [i, k, rest] of [
        [0, 1, 2],
        [1, 2, 0],
        [0, 2, 1],
      ] as const) {
        for (let a = 1; a < game.actions[i]; a++) {
          for (let b = 1; b < game.actions[k]; b++) {
            const chosen = (x: number, y: number) => {
              const out = [0, 0, 0];
              [out[i], out[k], out[rest]] = [x, y, 1];
              return out;
            };
            const sum =
              at(i, s, chosen(a, 0)) -
              at(i, s, chosen(0, 0)) +
              (at(k, s, chosen(a, b)) - at(k, s, chosen(a, 0))) +
              (at(i, s, chosen(0, b)) - at(i, s, chosen(a, b))) +
              (at(k, s, chosen(0, 0)) - at(k, s, chosen(0, b)));
            expect(Math.abs(sum)).toBeLessThan(1e-12);
          }
        }
      }
      // The players do differ: what is added for others' actions is their own.
      expect(at(0, s, [0, 0, 0])).not.toBe(at(1, s, [0, 0, 0]));
    }
  });

  it("draws uniform rewards, as sparse as asked, and flat weights over uniform successors", () => {
    const game = draw({ states: 400, branching: 2, sparsity: 0.3, rewardLow: 2, rewardHigh: 3 });
    const zeros = game.reward.filter((x) => x === 0).length / game.reward.length;
    // 4800 draws: standard error 0.007.
    expect(Math.abs(zeros - 0.3)).toBeLessThan(0.03);
    const others = game.reward.filter((x) => x !== 0);
    expect(others.every((x) => x >= 2 && x < 3)).toBe(true);
    expect(others.reduce((a, b) => a + b, 0) / others.length).toBeCloseTo(2.5, 1);
    // Of two flat Dirichlet weights each is uniform in [0, 1]: mean 1/2, mean square 1/3.
    const first = game.probability.filter((_, k) => k % 2 === 0);
    expect(first.reduce((a, b) => a + b, 0) / first.length).toBeCloseTo(0.5, 1);
    expect(first.reduce((a, b) => a + b * b, 0) / first.length).toBeCloseTo(1 / 3, 1);
    const counts = new Int32Array(400);
    for (const s of game.successor) counts[s]++;
    const expected = game.successor.length / 400;
    const chi2 = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // χ² with 399 degrees of freedom: mean 399, standard deviation 28.
    expect(Math.abs(chi2 - 399)).toBeLessThan(120);
  });

  it("is the same for the same seed, for ever", () => {
    const sum = (x: Float64Array) => x.reduce((total, value, k) => total + value * ((k % 7) + 1), 0);
    const game = draw({}, 0);
    expect([...game.successor.subarray(0, 6)]).toEqual([4, 0, 3, 4, 3, 2]);
    expect(sum(game.probability)).toBeCloseTo(124.83770335882103, 10);
    expect(sum(game.reward)).toBeCloseTo(1.5106358531730955, 10);
    expect(sum(draw({}, 1).reward)).not.toBeCloseTo(1.5106358531730955, 3);
  });

  it.each([
    [{ branching: 6 }, "got 6 successors (branching) of 5 states, expected at most 5."],
    [{ reward: "zeroSum", actions: [2, 2, 2] }, "got 3 players, expected 2 (zeroSum)."],
    [{ rewardLow: 2 }, "got rewards from 2 (rewardLow) to 1 (rewardHigh), expected rewardLow ≤ rewardHigh."],
    [
      { states: 1_000_000, actions: [10, 10] },
      "1000000 states with 100 joint actions make tables of 300000000 numbers",
    ],
  ] as const)("of impossible sizes %j is refused in one sentence", (change, message) => {
    expect(() => draw(change as Partial<RandomMarkovOptions>)).toThrow(message);
  });
});

/**
 * A coin (heads 1/4) that only player 0 sees; player 0 says 0 or 1; player 1 guesses and wins 1 from player 0 if it
 * is right. Position: [coin, word, guess], −1 where not yet.
 */
const liar: SequentialRules = {
  ...{ players: 2, width: 3, actions: 2, outcomes: 2 },
  start: (state, at) => state.fill(-1, at, at + 3),
  mover: (state, at) => (state[at] < 0 ? CHANCE : state[at + 1] < 0 ? 0 : state[at + 2] < 0 ? 1 : TERMINAL),
  chance: (_, __, probability) => probability.set([0.25, 0.75]),
  legal: (_, __, mask, maskAt) => mask.fill(1, maskAt, maskAt + 2),
  apply: (state, at, move) => {
    state[at + state.subarray(at, at + 3).indexOf(-1)] = move;
  },
  payoff: (state, at, player) => (state[at] !== state[at + 2] ? 0 : player === 1 ? 1 : -1),
  key: (state, at) => (state[at + 1] < 0 ? `coin ${state[at]}` : `heard ${state[at + 1]}`),
};

describe("a game tree", () => {
  const { tree, records } = buildTree(liar);

  it("has every position once, parents before children", () => {
    // Root, 2 coins, 4 words, 8 guesses.
    expect(tree.mover).toHaveLength(15);
    expect([...tree.mover].filter((m) => m === TERMINAL)).toHaveLength(8);
    expect(records).toHaveLength(45);
    expect([...tree.edgeChild].sort((a, b) => a - b)).toEqual(Array.from({ length: 14 }, (_, k) => k + 1));
    for (let node = 0; node < 15; node++) {
      for (let k = tree.firstEdge[node]; k < tree.firstEdge[node + 1]; k++)
        expect(tree.edgeChild[k]).toBeGreaterThan(node);
    }
    expect(tree.informationSets.map(({ player, key, offset }) => [player, key, offset])).toEqual([
      [0, "coin 0", 0],
      [1, "heard 0", 2],
      [1, "heard 1", 4],
      [0, "coin 1", 6],
    ]);
  });

  it("lists its terminal histories with the probabilities of chance", () => {
    const histories = terminalHistories(tree);
    expect(histories.map(({ moves }) => moves.join("")).join(" ")).toBe("000 001 010 011 100 101 110 111");
    expect(histories.map(({ chance }) => chance)).toEqual([...Array(4).fill(0.25), ...Array(4).fill(0.75)]);
    expect(histories[1].payoff).toEqual([0, 0]);
    expect(histories[7].payoff).toEqual([-1, 1]);
    for (const { node, moves } of histories)
      expect([...records.subarray(3 * node, 3 * node + 3)]).toEqual(moves);
  });

  it("is worth what its policies earn", () => {
    expect(treeValues(tree, uniformTreePolicy(tree))[1]).toBeCloseTo(0.5, 12);
    // Honest words, believed: always right. Believed lies: always wrong.
    const say = (honest: boolean) =>
      treePolicy(tree, ({ player, key }) => {
        const heads = key.endsWith("0") === (player === 1 || honest);
        return heads ? [1, 0] : [0, 1];
      });
    expect([...treeValues(tree, say(true))]).toEqual([-1, 1]);
    expect([...treeValues(tree, say(false))].map(Math.abs)).toEqual([0, 0]);
    const guess = { "coin 0": [1, 0], "coin 1": [1, 0], "heard 0": [0, 1], "heard 1": [0.5, 0.5] };
    expect(treeValues(tree, treePolicyFromTable(tree, guess))[1]).toBeCloseTo(0.75, 12);
  });

  const table = { "coin 0": [1, 0], "coin 1": [1, 0], "heard 0": [0, 1], "heard 1": [0.5, 0.5] };
  it.each([
    [{ "heard 1": undefined }, 'policy: no entry for the information set "heard 1", expected 2 numbers.'],
    [{ "heard 2": [1, 0] }, 'policy, "heard 2": unknown information set. There is, for example, "heard 0".'],
    [{ "coin 0": [1] }, 'policy, "coin 0": got 1 numbers, expected 2, one for each of the actions 0, 1.'],
    [
      { "coin 0": [0.5, 0.6] },
      'policy, "coin 0": got the probabilities 0.5, 0.6, which sum to 1.1; expected',
    ],
    [{ "coin 0": [1.5, -0.5] }, "expected numbers ≥ 0 that sum to 1."],
  ])("refuses the policy table with %j in one sentence", (change, message) => {
    const changed = Object.fromEntries(
      Object.entries({ ...table, ...change }).filter(([, value]) => value !== undefined),
    ) as Record<string, number[]>;
    expect(() => treePolicyFromTable(tree, changed)).toThrow(message);
  });

  it("refuses more nodes than the limit, and rules that contradict themselves", () => {
    expect(() => buildTree(liar, 14)).toThrow("game tree: more than 14 nodes. Choose a smaller game.");
    expect(buildTree(liar, 15).tree.mover).toHaveLength(15);
    expect(() => buildTree({ ...liar, key: () => "same" })).toThrow("two movers");
    expect(() => buildTree({ ...liar, chance: (_, __, p) => p.set([0.5, 0.4]) })).toThrow("sum to 0.9");
    expect(() => buildTree({ ...liar, mover: () => 0, key: () => "same", apply: () => {} })).toThrow(
      "game tree: a line of more than 1000 moves",
    );
  });
});
