/** Poker and matrix games against whole games recorded from OpenSpiel (record/openspiel.py). */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type KuhnParameters, kuhnRules } from "../../src/envs/games/kuhn-poker.js";
import { type LeducParameters, leducRules } from "../../src/envs/games/leduc-poker.js";
import type { PlayableRules } from "../../src/envs/games/sequential.js";
import { createEnvironment } from "../../src/envs/registry.js";
import {
  buildTree,
  type ExactModel,
  type GameTree,
  terminalHistories,
  treePolicy,
  treeValues,
} from "../../src/games/index.js";

interface RecordedSet {
  readonly player: number;
  readonly actions: readonly number[];
  /** information-state tensor of the player who moves */
  readonly tensor: string;
  readonly observation: string;
  /** histories that the player cannot tell apart, chance moves included */
  readonly nodes: string;
}

interface Recording {
  readonly env: string;
  readonly kwargs: Record<string, unknown>;
  readonly version: string;
  readonly informationSets: Readonly<Record<string, RecordedSet>>;
  readonly chances: readonly number[];
  /** history → [index into chances, returns of all players] */
  readonly histories: Readonly<Record<string, readonly number[]>>;
  /** history → per player [information-state tensor, observation tensor] */
  readonly views: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  readonly policies: readonly { readonly values: readonly number[]; readonly nashConv: number }[];
}

const read = <T>(name: string) =>
  JSON.parse(readFileSync(new URL(`fixtures/openspiel/${name}.json`, import.meta.url), "utf8")) as T;

const KINDS = ["informationState", "contributions"] as const;

/** The rules that the recorded environment plays by. */
function rulesOf({ env, kwargs }: Recording, observation: (typeof KINDS)[number]): PlayableRules {
  return env.startsWith("games/kuhn")
    ? kuhnRules({ players: 2, observation, ...kwargs } as KuhnParameters)
    : leducRules({ suitIsomorphism: false, observation, ...kwargs } as LeducParameters);
}

/** A tensor as the recorder writes it. */
function digits(values: ArrayLike<number>): string {
  const texts = Array.from(values, String);
  return texts.every((text) => text.length === 1) ? texts.join("") : texts.join(" ");
}

/** The node of every history: moves of players and chance in one string. */
function nodesByHistory(tree: GameTree): Map<string, number> {
  const out = new Map<string, number>();
  const visit = (node: number, moves: string) => {
    out.set(moves, node);
    for (let k = tree.firstEdge[node]; k < tree.firstEdge[node + 1]; k++)
      visit(tree.edgeChild[k], `${moves}${tree.edgeAction[k]}`);
  };
  visit(0, "");
  return out;
}

/** Every terminal history: the same ones, with the same chance and returns. */
function compareEnds(recording: Recording, tree: GameTree): string[] {
  const histories = terminalHistories(tree);
  const wrong = histories.filter(({ moves, chance, payoff }) => {
    const [at, ...returns] = recording.histories[moves.join("")] ?? [];
    return payoff.join() !== returns.join() || !(Math.abs(chance - recording.chances[at]) < 1e-15);
  });
  const missing = Object.keys(recording.histories).length - histories.length;
  return [...wrong.map(({ moves }) => moves.join("")), ...(missing === 0 ? [] : [`${missing} missing`])];
}

/** Every information set: key, player, legal actions, the histories in it. */
function compareSets(recording: Recording, tree: GameTree): string[] {
  const members = new Map<number, string[]>();
  for (const [moves, node] of nodesByHistory(tree)) {
    const set = tree.informationSet[node];
    if (set >= 0) members.set(set, [...(members.get(set) ?? []), moves]);
  }
  const sorted = (texts: readonly string[]) => [...texts].sort().join(" ");
  const wrong = tree.informationSets.filter(({ key, player, actions }, k) => {
    const recorded = recording.informationSets[key];
    return (
      recorded?.player !== player ||
      recorded.actions.join() !== actions.join() ||
      sorted(recorded.nodes.split(" ")) !== sorted(members.get(k)!)
    );
  });
  const missing = Object.keys(recording.informationSets).length - tree.informationSets.length;
  return [...wrong.map(({ key }) => key), ...(missing === 0 ? [] : [`${missing} missing`])];
}

/** What all players see at recorded nodes, and whoever moves in every information set. */
function compareTensors(recording: Recording, rules: PlayableRules, kind: (typeof KINDS)[number]): string[] {
  const { tree, records } = buildTree(rules);
  const nodes = nodesByHistory(tree);
  const width = rules.features.reduce((sum, { size }) => sum + size, 0);
  const see = (moves: string, player: number) => {
    const out = new Float32Array(width);
    rules.observe(records, nodes.get(moves)! * rules.width, player, out, 0);
    return digits(out);
  };
  const k = KINDS.indexOf(kind);
  return [
    ...Object.entries(recording.views).flatMap(([moves, players]) =>
      players.flatMap((tensors, i) => (see(moves, i) === tensors[k] ? [] : [`${moves}, player ${i}`])),
    ),
    ...Object.entries(recording.informationSets).flatMap(([key, { player, nodes: all, ...tensors }]) => {
      const expected = kind === "informationState" ? tensors.tensor : tensors.observation;
      return all.split(" ").every((moves) => see(moves, player) === expected) ? [] : [key];
    }),
  ];
}

/** The recorder's policy number `seed`: weights by place in the sorted list of information sets. */
function recordedPolicy(tree: GameTree, seed: number) {
  const order = new Map(
    tree.informationSets
      .map(({ key }) => key)
      .sort()
      .map((key, k) => [key, k]),
  );
  return treePolicy(tree, ({ key, actions }) => {
    const k = order.get(key)!;
    const raw = actions.map((a) => 1 + ((7 * k + 13 * a + 29 * seed + 3 * k * seed) % 101));
    const sum = raw.reduce((x, y) => x + y, 0);
    return raw.map((w) => w / sum);
  });
}

/** Expected values of recorded policies. */
function compareValues(recording: Recording, tree: GameTree): string[] {
  return recording.policies.flatMap(({ values }, seed) => {
    const got = treeValues(tree, recordedPolicy(tree, seed));
    return values.every((value, i) => Math.abs(got[i] - value) < 1e-9) ? [] : [`policy ${seed}`];
  });
}

/** Nodes, terminal histories, information sets. */
const COUNTS: Readonly<Record<string, readonly [nodes: number, terminal: number, sets: number]>> = {
  "kuhn-2p": [58, 30, 12],
  "kuhn-3p": [617, 312, 48],
  leduc: [9457, 5520, 936],
  "leduc-isomorphic": [1939, 1116, 288],
};

describe.each(Object.keys(COUNTS))("OpenSpiel's %s", (name) => {
  const recording = read<Recording>(name);
  const { tree } = buildTree(rulesOf(recording, "informationState"));

  it("has as many nodes, terminal histories and information sets", () => {
    const sizes = [tree.mover.length, terminalHistories(tree).length, tree.informationSets.length];
    expect(sizes).toEqual(COUNTS[name]);
  });

  it("ends in the same histories with the same chance and the same returns", () => {
    expect(compareEnds(recording, tree)).toEqual([]);
  });

  it("has the same information sets: key, player, legal actions, histories", () => {
    expect(compareSets(recording, tree)).toEqual([]);
  });

  it.each(KINDS)("shows all players the same, whether they move, wait or are done (%s)", (kind) => {
    expect(Object.keys(recording.views).length).toBeGreaterThan(50);
    expect(compareTensors(recording, rulesOf(recording, kind), kind)).toEqual([]);
  });

  it("is worth the same under a hundred policies, to 1e-9", () => {
    expect(compareValues(recording, tree)).toEqual([]);
    // Policies that differ: a test that compares one number a hundred times would prove little.
    expect(new Set(recording.policies.map(({ values }) => values[0])).size).toBe(100);
  });

  it("is what the environment states", async () => {
    const environment = await createEnvironment(recording.env, recording.kwargs, { copies: 1 });
    const model = environment.exactModel!() as Extract<ExactModel, { kind: "tree" }>;
    expect(model.game).toEqual(tree);
    const shown = model.game.informationSets.map((_, k) => digits(model.observation(k)));
    expect(shown).toEqual(tree.informationSets.map(({ key }) => recording.informationSets[key].tensor));
  });
});

describe("the comparison rejects", () => {
  const kuhn = read<Recording>("kuhn-2p");
  const leduc = read<Recording>("leduc");
  const mutant = (recording: Recording, flaw: (rules: PlayableRules) => Partial<PlayableRules>) => {
    const sound = rulesOf(recording, "informationState");
    return { ...sound, ...flaw(sound) };
  };

  it.each([
    [
      "a pot that pays one chip less",
      kuhn,
      (sound) => ({
        payoff: (state, at, player) => sound.payoff(state, at, player) - (state[at + 2] === 2 ? 1 : 0),
      }),
    ],
    [
      "cards that are not equally likely",
      kuhn,
      (sound) => ({
        chance: (state, at, probability) => {
          sound.chance(state, at, probability);
          if (state[at] > 0) return;
          probability[0] += 1e-9;
          probability[1] -= 1e-9;
        },
      }),
    ],
    [
      "an ace that wins less in a split pot",
      leduc,
      (sound) => ({
        payoff: (state, at, player) => {
          const paid = sound.payoff(state, at, player);
          return paid === 0 && player === 0 ? 1e-6 : paid;
        },
      }),
    ],
  ] satisfies [string, Recording, (sound: PlayableRules) => Partial<PlayableRules>][])(
    "in ends and values: %s",
    (_, recording, flaw) => {
      const { tree } = buildTree(mutant(recording, flaw));
      expect(compareEnds(recording, tree)).not.toEqual([]);
    },
  );

  it.each([
    [
      "a fold that is always legal",
      leduc,
      (sound) => ({
        legal: (state, at, mask, maskAt) => {
          sound.legal(state, at, mask, maskAt);
          mask[maskAt] = 1;
        },
      }),
    ],
    [
      "a card that its holder does not see",
      kuhn,
      (sound) => ({
        key: (state, at) => sound.key(state, at).replace("1", "0"),
      }),
    ],
    [
      "a third raise",
      leduc,
      (sound) => ({
        legal: (state, at, mask, maskAt) => {
          sound.legal(state, at, mask, maskAt);
          // Where a round has room for it.
          if (state[at + 10] === 2 && state[at + 3] === 0) mask[maskAt + 2] = 1;
        },
      }),
    ],
  ] satisfies [string, Recording, (sound: PlayableRules) => Partial<PlayableRules>][])(
    "in information sets: %s",
    (_, recording, flaw) => {
      const { tree } = buildTree(mutant(recording, flaw));
      expect(compareSets(recording, tree)).not.toEqual([]);
    },
  );

  it("in tensors: the other player's card", () => {
    const rules = mutant(kuhn, (sound) => ({
      observe: (state, at, player, out, outAt) => {
        sound.observe(state, at, player, out, outAt);
        if (player === 1) out[outAt + 2 + state[at + 2]] = 1;
      },
    }));
    expect(compareTensors(kuhn, rules, "informationState")).not.toEqual([]);
  });

  it("in values: a policy of the next seed", () => {
    const { tree } = buildTree(rulesOf(kuhn, "informationState"));
    const shifted = { ...kuhn, policies: kuhn.policies.slice(1) };
    expect(compareValues(shifted, tree)).toHaveLength(99);
  });
});

describe("OpenSpiel's matrix games", () => {
  const { tables } = read<{ tables: Record<string, number[][][]> }>("matrices");

  it.each(Object.keys(tables))("%s has the same payoffs", async (name) => {
    const environment = await createEnvironment("games/matrix", { payoffs: name }, { copies: 1 });
    const { game } = environment.exactModel!() as Extract<ExactModel, { kind: "matrix" }>;
    expect(game.actions).toEqual([tables[name][0].length, tables[name][0][0].length]);
    expect([...game.payoff]).toEqual(tables[name].flat(2));
  });
});
