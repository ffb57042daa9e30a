import { describe, expect, it } from "vitest";
import { createGame, expectFrequencies, modelOf } from "../../../test/support/games.js";
import { RandomStream } from "../../core/random.js";
import { sampleActions } from "../../env/spaces.js";
import {
  type GameTree,
  terminalHistories,
  treePolicy,
  treeValues,
  uniformTreePolicy,
} from "../../games/index.js";

const tree = async (id: string, parameters = {}): Promise<GameTree> =>
  modelOf(await createGame(id, parameters), "tree").game;

/**
 * Play `episodes` random episodes in each of 300 copies; returns how often each terminal history of the tree was
 * reached, and checks what it paid.
 */
async function playTree(id: string, parameters: Record<string, unknown>, episodes: number) {
  const copies = 300;
  const game = await createGame(id, parameters, copies);
  const model = modelOf(game, "tree").game;
  const { players, firstEdge, edgeAction, edgeChild, mover } = model;
  const stream = RandomStream.from(5, "actions");
  const { action, reward } = game.groups[0];
  const counts = new Map<number, number>();
  // Equally many of every copy: with a common end of time, short episodes would be counted more often.
  const open = new Int32Array(copies).fill(episodes);
  while (open.some((left) => left > 0)) {
    const nodes = Array.from({ length: copies }, (_, e) => game.modelState!(e));
    sampleActions(game, stream);
    game.step();
    for (let r = 0; r < game.ended.count; r++) {
      const e = game.ended.copies[r];
      if (open[e]-- <= 0) continue;
      const chosen = action[e * players + mover[nodes[e]]];
      let k = firstEdge[nodes[e]];
      while (edgeAction[k] !== chosen) k++;
      const end = edgeChild[k];
      counts.set(end, (counts.get(end) ?? 0) + 1);
      expect([...reward.subarray(e * players, (e + 1) * players)]).toEqual([
        ...model.payoff.subarray(end * players, (end + 1) * players),
      ]);
    }
  }
  return { model, counts };
}

/** Probability of every terminal history under uniform play. */
function uniformEnds(model: GameTree): Map<number, number> {
  const out = new Map<number, number>();
  const visit = (node: number, p: number) => {
    const [from, to] = [model.firstEdge[node], model.firstEdge[node + 1]];
    if (from === to) out.set(node, p);
    for (let k = from; k < to; k++)
      visit(model.edgeChild[k], model.mover[node] < 0 ? p * model.edgeChance[k] : p / (to - from));
  };
  visit(0, 1);
  return out;
}

describe("Kuhn poker", () => {
  it.each([{}, { players: 3 }])(
    "played step by step (%j) goes every way that its tree has, as often",
    async (parameters) => {
      const { model, counts } = await playTree("games/kuhn_poker", parameters, 70);
      const ends = [...uniformEnds(model)];
      expect(counts.size).toBe(terminalHistories(model).length);
      expectFrequencies(
        ends.map(([node]) => counts.get(node)!),
        ends.map(([, p]) => p),
      );
    },
  );

  // OpenSpiel, open_spiel/games/kuhn_poker and exploitability_test.py.
  it("is worth what is known of it", async () => {
    const two = await tree("games/kuhn_poker");
    const [first, second] = treeValues(two, uniformTreePolicy(two));
    expect(first).toBeCloseTo(0.125, 14);
    expect(second).toBeCloseTo(-0.125, 14);
    for (const always of [0, 1]) {
      const policy = treePolicy(two, () => (always === 0 ? [1, 0] : [0, 1]));
      expect(treeValues(two, policy)[0]).toBeCloseTo(0, 14);
    }
    for (const alpha of [0, 0.1, 1 / 3]) {
      // Probability of betting: the equilibria of Kuhn 1950.
      const bet: Record<string, number> = {
        ...{ "0": alpha, "0pb": 0, "1": 0, "1pb": 1 / 3 + alpha, "2": 3 * alpha, "2pb": 1 },
        ...{ "0p": 1 / 3, "0b": 0, "1p": 0, "1b": 1 / 3, "2p": 1, "2b": 1 },
      };
      const policy = treePolicy(two, ({ key }) => [1 - bet[key], bet[key]]);
      expect(treeValues(two, policy)[0]).toBeCloseTo(-1 / 18, 12);
    }
    const three = await tree("games/kuhn_poker", { players: 3 });
    treeValues(three, uniformTreePolicy(three)).forEach((value, i) => {
      expect(value).toBeCloseTo([0.234375, -0.046875, -0.1875][i], 14);
    });
    const four = await tree("games/kuhn_poker", { players: 4 });
    const known = [0.3098958333, 0.01822916667, -0.1276041667, -0.2005208333];
    treeValues(four, uniformTreePolicy(four)).forEach((value, i) => {
      expect(value).toBeCloseTo(known[i], 9);
    });
  });

  it("has no tree where it would be too large, and plays all the same", async () => {
    const game = await createGame("games/kuhn_poker", { players: 7 }, 50);
    expect(game.spec.capabilities.exactModel).toBe(false);
    expect(game.exactModel).toBeUndefined();
    const stream = RandomStream.from(0, "actions");
    let ended = 0;
    for (let t = 0; t < 100; t++) {
      sampleActions(game, stream);
      game.step();
      for (let r = 0; r < game.ended.count; r++) {
        const row = game.ended.copies[r] * 7;
        const paid = game.groups[0].reward.subarray(row, row + 7);
        expect(paid.reduce((a, b) => a + b, 0)).toBe(0);
        expect(paid.filter((x) => x > 0)).toHaveLength(1);
        ended++;
      }
    }
    expect(ended).toBeGreaterThan(300);
  });

  it("reports who won and whether cards were shown", async () => {
    const game = await createGame("games/kuhn_poker", {}, 400);
    const stream = RandomStream.from(1, "actions");
    const seen = new Set<string>();
    for (let t = 0; t < 20; t++) {
      sampleActions(game, stream);
      game.step();
      for (let r = 0; r < game.ended.count; r++) {
        const paid = game.groups[0].reward[2 * game.ended.copies[r]];
        const [win, showdown] = game.ended.metrics.subarray(2 * r, 2 * r + 2);
        expect(win).toBe(paid > 0 ? 1 : 0);
        // Without cards shown the pot is one ante.
        if (showdown === 0) expect(Math.abs(paid)).toBe(1);
        seen.add(`${paid} ${showdown}`);
      }
    }
    expect([...seen].sort()).toEqual(["-1 0", "-1 1", "-2 1", "1 0", "1 1", "2 1"]);
  });

  it("draws the cards and tells the betting", async () => {
    const game = await createGame("games/kuhn_poker", {}, 1);
    const before = game.frame!(0);
    const labels = before.shapes.map((shape) => (shape.kind === "circle" ? shape.label : undefined));
    const cards = labels.slice(2).map(Number);
    expect([...game.groups[0].obs.subarray(2, 5)].indexOf(1)).toBe(cards[0]);
    expect([...game.groups[0].obs.subarray(13, 16)].indexOf(1)).toBe(cards[1]);
    expect(before.captions).toEqual([]);
    game.groups[0].action.set([1, 0]);
    game.step();
    expect(game.frame!(0).captions).toEqual(["player_0 bets"]);
  });
});

describe("Leduc poker", () => {
  it("played step by step agrees with its tree, and its cards fall evenly", async () => {
    const { model, counts } = await playTree("games/leduc_poker", {}, 40);
    const ends = [...uniformEnds(model)];
    // 5520 ends, most of them hardly ever reached: compare by what they pay.
    const histories = new Map(terminalHistories(model).map((history) => [history.node, history]));
    const paid = new Map<number, { count: number; p: number }>();
    for (const [node, p] of ends) {
      const [payoff] = histories.get(node)!.payoff;
      const group = paid.get(payoff) ?? { count: 0, p: 0 };
      paid.set(payoff, { count: group.count + (counts.get(node) ?? 0), p: group.p + p });
    }
    // 0, and ±1, 3, 5, 7, 9, 11, 13.
    expect(paid.size).toBe(15);
    expectFrequencies(
      [...paid.values()].map(({ count }) => count),
      [...paid.values()].map(({ p }) => p),
    );
    const deals = new Map<string, number>();
    for (const [node, count] of counts) {
      const key = histories.get(node)!.moves.slice(0, 2).join();
      deals.set(key, (deals.get(key) ?? 0) + count);
    }
    expect(deals.size).toBe(30);
    expectFrequencies([...deals.values()], Array(30).fill(1 / 30));
  });

  // OpenSpiel, open_spiel/games/leduc_poker.
  it("is worth what is known of it", async () => {
    const leduc = await tree("games/leduc_poker");
    expect(treeValues(leduc, uniformTreePolicy(leduc))[0]).toBeCloseTo(-0.078125, 12);
    const prefer = (order: readonly number[]) =>
      treePolicy(leduc, ({ actions }) => {
        const chosen = order.find((a) => actions.includes(a));
        return actions.map((a) => (a === chosen ? 1 : 0));
      });
    for (const order of [[0, 1], [1], [2, 1]]) expect(treeValues(leduc, prefer(order))[0]).toBeCloseTo(0, 12);
    const extremes = leduc.payoff.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [0, 0]);
    expect(extremes).toEqual([-13, 13]);
  });

  it("follows a raise that is folded: cards 5 and 1", async () => {
    const leduc = await tree("games/leduc_poker");
    const { payoff } = terminalHistories(leduc).find(({ moves }) => moves.join("") === "5120")!;
    expect(payoff).toEqual([1, -1]);
    expect(leduc.informationSets.map(({ key }) => key)).toContain(
      "[Observer: 1][Private: 1][Round 1][Player: 1][Pot: 4][Money: 97 99][Round1: 2][Round2: ]",
    );
  });
});
