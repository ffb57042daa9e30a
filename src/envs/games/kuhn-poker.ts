/**
 * Kuhn poker for n players: a deck of n + 1 cards, ante 1, one card each, one bet of 1.
 *
 * Source: google-deepmind/open_spiel, open_spiel/games/kuhn_poker/kuhn_poker.cc. Players act in order; if nobody bets,
 * the cards are shown after n passes. After the first bet, by player f, everybody else calls (bets) or folds (passes)
 * in turn, n + f actions in all. The highest card among those who bet, or among all if nobody did, takes the pot.
 * Page: docs/environments/kuhn_poker.md.
 */
import { z } from "zod";
import type { Feature } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { layout } from "../../env/features.js";
import { CHANCE, TERMINAL } from "../../games/tree.js";
import { type PlayableRules, SequentialEnvironment } from "./sequential.js";

const ID = "games/kuhn_poker_v0";
const PASS = 0;
const BET = 1;
/** Beyond five players (115,000 nodes) the tree grows by a factor of 13 with every player. */
const TREE_PLAYERS = 5;

const parameters = {
  players: z.int().min(2).max(10).default(2).describe("number of players"),
  observation: z
    .enum(["informationState", "contributions"])
    .default("informationState")
    .describe("informationState: the whole betting; contributions: chips in the pot only"),
};

export type KuhnParameters = z.output<z.ZodObject<typeof parameters>>;

/** The rules. A position is [cards dealt, actions taken, n cards (−1: none yet), 2n − 1 actions (−1: none yet)]. */
export function kuhnRules({ players: n, observation }: KuhnParameters): PlayableRules {
  const cards = n + 1;
  const longest = 2 * n - 1;
  const CARD = 2;
  const ACTION = CARD + n;

  /** Number of the action that was the first bet; −1 if nobody has bet. */
  const firstBet = (state: Int32Array, at: number) => {
    const taken = state[at + 1];
    for (let k = 0; k < taken; k++) if (state[at + ACTION + k] === BET) return k;
    return -1;
  };
  const hasBet = (state: Int32Array, at: number, player: number) => {
    const taken = state[at + 1];
    for (let k = player; k < taken; k += n) if (state[at + ACTION + k] === BET) return true;
    return false;
  };
  const isOver = (state: Int32Array, at: number) => {
    const first = firstBet(state, at);
    return state[at + 1] === (first < 0 ? n : n + first);
  };
  /** Of a terminal position. */
  const winner = (state: Int32Array, at: number) => {
    const nobodyBet = firstBet(state, at) < 0;
    let best = -1;
    for (let i = 0; i < n; i++) {
      if (!nobodyBet && !hasBet(state, at, i)) continue;
      if (best < 0 || state[at + CARD + i] > state[at + CARD + best]) best = i;
    }
    return best;
  };
  const contribution = (state: Int32Array, at: number, player: number) => (hasBet(state, at, player) ? 2 : 1);

  return {
    players: n,
    width: ACTION + longest,
    actions: 2,
    outcomes: cards,
    longest,
    start: (state, at) => {
      state.fill(-1, at, at + ACTION + longest);
      state[at] = 0;
      state[at + 1] = 0;
    },
    mover: (state, at) => {
      if (state[at] < n) return CHANCE;
      return isOver(state, at) ? TERMINAL : state[at + 1] % n;
    },
    chance: (state, at, probability) => {
      const dealt = state[at];
      // No fill(): handed a fraction, the engine allocates it.
      for (let card = 0; card < cards; card++) probability[card] = 1 / (cards - dealt);
      for (let i = 0; i < dealt; i++) probability[state[at + CARD + i]] = 0;
    },
    legal: (_, __, mask, maskAt) => {
      mask[maskAt] = 1;
      mask[maskAt + 1] = 1;
    },
    apply: (state, at, move) => {
      if (state[at] < n) state[at + CARD + state[at]++] = move;
      else state[at + ACTION + state[at + 1]++] = move;
    },
    payoff: (state, at, player) => {
      let paid = 0;
      if (winner(state, at) === player) for (let i = 0; i < n; i++) paid += contribution(state, at, i);
      return paid - contribution(state, at, player);
    },
    key: (state, at) => {
      const bets = state.subarray(at + ACTION, at + ACTION + state[at + 1]);
      return `${state[at + CARD + (state[at + 1] % n)]}${Array.from(bets, (a) => (a === BET ? "b" : "p")).join("")}`;
    },

    features: kuhnFeatures(n, observation),
    actionNames: ["pass", "bet"],
    metrics: ["win", "showdown"],
    observe: (state, at, player, out, outAt) => {
      out[outAt + player] = 1;
      if (state[at + CARD + player] >= 0) out[outAt + n + state[at + CARD + player]] = 1;
      const rest = outAt + n + cards;
      if (observation === "contributions") {
        for (let i = 0; i < n; i++) out[rest + i] = contribution(state, at, i);
        return;
      }
      for (let k = 0; k < state[at + 1]; k++) out[rest + 2 * k + state[at + ACTION + k]] = 1;
    },
    metric: (state, at, m) => {
      if (m === 0) return winner(state, at) === 0 ? 1 : 0;
      let stayed = 0;
      for (let i = 0; i < n; i++) if (hasBet(state, at, i)) stayed++;
      return stayed === 1 ? 0 : 1;
    },
    hand: (state, at, player) => (state[at + CARD + player] < 0 ? "" : `${state[at + CARD + player]}`),
    captions: (state, at, names) =>
      Array.from(
        state.subarray(at + ACTION, at + ACTION + state[at + 1]),
        (action, k) => `${names[k % n]} ${action === PASS ? "passes" : "bets"}`,
      ),
  };
}

/** OpenSpiel's information-state tensor (6n − 1 numbers) or observation tensor (3n + 1). */
function kuhnFeatures(n: number, observation: KuhnParameters["observation"]): Feature[] {
  const bit = { low: 0, high: 1 };
  return layout([
    { name: "player", size: n, kind: "id", ...bit },
    { name: "card", size: n + 1, kind: "one-hot", ...bit },
    ...(observation === "contributions"
      ? [{ name: "contributions", size: n, low: 1, high: 2 }]
      : Array.from({ length: 2 * n - 1 }, (_, k) => ({
          name: `bet_${k}`,
          size: 2,
          kind: "one-hot" as const,
          ...bit,
        }))),
  ]);
}

export const kuhnPoker = defineEnvironment({
  id: ID,
  summary: "Kuhn poker: one card, one bet; two to ten players.",
  source: "OpenSpiel kuhn_poker; every terminal history is checked against it",
  parameters,
  create: (p, options) => new SequentialEnvironment(ID, kuhnRules(p), p.players <= TREE_PLAYERS, options),
});
