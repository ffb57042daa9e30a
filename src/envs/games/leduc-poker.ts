/**
 * Leduc poker for two players: six cards (three ranks, two suits), ante 1, two betting rounds with a public card
 * between them, at most two raises a round, of 2 and of 4.
 *
 * Source: google-deepmind/open_spiel, open_spiel/games/leduc_poker/leduc_poker.{h,cc}. Fold is legal if the player has
 * paid less than the stakes, call always, raise while fewer than two raises were made in the round. A round ends when
 * both called without a raise, or when a raise was called. Fold: the other takes the pot. Showdown: a pair with the
 * public card wins, otherwise the higher rank; equal ranks split the pot. Page: docs/environments/leduc_poker.md.
 */
import { z } from "zod";
import type { Feature } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { layout } from "../../env/features.js";
import { CHANCE, TERMINAL } from "../../games/tree.js";
import { type PlayableRules, SequentialEnvironment } from "./sequential.js";

const ID = "games/leduc_poker_v0";
const FOLD = 0;
const CALL = 1;
const RAISE = 2;
const ACTION_NAMES = ["fold", "call", "raise"];
const SAYS = ["folds", "calls", "raises"];
const RANKS = ["J", "Q", "K"];
/** chips of every player before the ante */
const MONEY = 100;
/** most raises in a round, and what a raise adds in round 1 and 2 */
const MOST_RAISES = 2;
const RAISES = [2, 4];
/** most actions of a round: call, raise, raise, call */
const ROUND = 4;

const parameters = {
  suitIsomorphism: z
    .boolean()
    .default(false)
    .describe("cards are ranks: three instead of six, 288 information sets instead of 936"),
  observation: z
    .enum(["informationState", "contributions"])
    .default("informationState")
    .describe("informationState: the whole betting; contributions: chips in the pot only"),
};

export type LeducParameters = z.output<z.ZodObject<typeof parameters>>;

// A position, as offsets into its record.
const PRIVATE = 0; // 2: private cards; −1: none yet
const PUBLIC = 2; // public card; −1: none yet
const ROUND_NOW = 3; // 0 or 1
const MOVER = 4;
const PAID = 5; // 2: chips in the pot
const CALLS = 7; // since the round began or a raise was made
const RAISED = 8; // raises in the round
const FOLDED = 9; // the player who folded; −1: nobody
const TAKEN = 10; // 2: actions taken in each round
const ACTIONS = 12; // 2 × 4: the actions; −1: none yet
const WIDTH = ACTIONS + 2 * ROUND;

/** The rules. */
export function leducRules({ suitIsomorphism, observation }: LeducParameters): PlayableRules {
  const cards = suitIsomorphism ? 3 : 6;
  const suits = suitIsomorphism ? 2 : 1;
  const rank = (card: number) => (suitIsomorphism ? card : Math.floor(card / 2));

  const stakes = (state: Int32Array, at: number) => Math.max(state[at + PAID], state[at + PAID + 1]);
  const roundOver = (state: Int32Array, at: number) =>
    state[at + CALLS] === (state[at + RAISED] === 0 ? 2 : 1);
  const dealing = (state: Int32Array, at: number) =>
    state[at + PRIVATE + 1] < 0 || (state[at + ROUND_NOW] === 1 && state[at + PUBLIC] < 0);
  const isOver = (state: Int32Array, at: number) =>
    state[at + FOLDED] >= 0 || (state[at + ROUND_NOW] === 1 && roundOver(state, at));
  /** Strength at the showdown: a pair beats every rank. */
  const strength = (state: Int32Array, at: number, player: number) => {
    const own = rank(state[at + PRIVATE + player]);
    return own === rank(state[at + PUBLIC]) ? 3 : own;
  };
  /** Of a terminal position: 1 if player wins, 0.5 if the pot is split. */
  const share = (state: Int32Array, at: number, player: number) => {
    if (state[at + FOLDED] >= 0) return state[at + FOLDED] === player ? 0 : 1;
    const difference = strength(state, at, player) - strength(state, at, 1 - player);
    return difference === 0 ? 0.5 : difference > 0 ? 1 : 0;
  };
  const sequence = (state: Int32Array, at: number, round: number) => {
    const first = at + ACTIONS + round * ROUND;
    return state.subarray(first, first + state[at + TAKEN + round]).join(" ");
  };

  return {
    players: 2,
    width: WIDTH,
    actions: 3,
    outcomes: cards,
    longest: 2 * ROUND,
    start: (state, at) => {
      state.fill(-1, at, at + WIDTH);
      state.fill(0, at + ROUND_NOW, at + FOLDED);
      state[at + PAID] = 1;
      state[at + PAID + 1] = 1;
      state[at + TAKEN] = 0;
      state[at + TAKEN + 1] = 0;
    },
    mover: (state, at) => {
      if (isOver(state, at)) return TERMINAL;
      return dealing(state, at) ? CHANCE : state[at + MOVER];
    },
    chance: (state, at, probability) => {
      probability.fill(suits);
      let left = 6;
      for (let k = PRIVATE; k <= PUBLIC; k++) {
        const card = state[at + k];
        if (card < 0) continue;
        probability[card]--;
        left--;
      }
      for (let card = 0; card < cards; card++) probability[card] /= left;
    },
    legal: (state, at, mask, maskAt) => {
      mask[maskAt + FOLD] = state[at + PAID + state[at + MOVER]] < stakes(state, at) ? 1 : 0;
      mask[maskAt + CALL] = 1;
      mask[maskAt + RAISE] = state[at + RAISED] < MOST_RAISES ? 1 : 0;
    },
    apply: (state, at, move) => {
      if (dealing(state, at)) {
        const slot = state[at + PRIVATE] < 0 ? PRIVATE : state[at + PRIVATE + 1] < 0 ? PRIVATE + 1 : PUBLIC;
        state[at + slot] = move;
        return;
      }
      const player = state[at + MOVER];
      const round = state[at + ROUND_NOW];
      state[at + ACTIONS + round * ROUND + state[at + TAKEN + round]++] = move;
      state[at + MOVER] = 1 - player;
      if (move === FOLD) {
        state[at + FOLDED] = player;
        return;
      }
      state[at + PAID + player] = stakes(state, at);
      if (move === RAISE) {
        state[at + PAID + player] += RAISES[round];
        state[at + RAISED]++;
        state[at + CALLS] = 0;
        return;
      }
      state[at + CALLS]++;
      if (round === 1 || !roundOver(state, at)) return;
      state[at + ROUND_NOW] = 1;
      state[at + MOVER] = 0;
      state[at + CALLS] = 0;
      state[at + RAISED] = 0;
    },
    payoff: (state, at, player) => {
      const pot = state[at + PAID] + state[at + PAID + 1];
      return share(state, at, player) * pot - state[at + PAID + player];
    },
    /** OpenSpiel's information-state string. */
    key: (state, at) => {
      const player = state[at + MOVER];
      const money = [0, 1].map((i) => MONEY - state[at + PAID + i]).join(" ");
      const round = state[at + ROUND_NOW] + 1;
      return [
        `[Observer: ${player}][Private: ${state[at + PRIVATE + player]}][Round ${round}][Player: ${player}]`,
        `[Pot: ${state[at + PAID] + state[at + PAID + 1]}][Money: ${money}]`,
        state[at + PUBLIC] < 0 ? "" : `[Public: ${state[at + PUBLIC]}]`,
        `[Round1: ${sequence(state, at, 0)}][Round2: ${sequence(state, at, 1)}]`,
      ].join("");
    },

    features: leducFeatures(cards, observation),
    actionNames: ACTION_NAMES,
    metrics: ["win", "tie", "showdown"],
    observe: (state, at, player, out, outAt) => {
      out[outAt + player] = 1;
      if (state[at + PRIVATE + player] >= 0) out[outAt + 2 + state[at + PRIVATE + player]] = 1;
      if (state[at + PUBLIC] >= 0) out[outAt + 2 + cards + state[at + PUBLIC]] = 1;
      const rest = outAt + 2 + 2 * cards;
      if (observation === "contributions") {
        out[rest] = state[at + PAID];
        out[rest + 1] = state[at + PAID + 1];
        return;
      }
      for (let k = 0; k < 2 * ROUND; k++) {
        const action = state[at + ACTIONS + k];
        // A fold ends the game and leaves no trace.
        if (action > FOLD) out[rest + 2 * k + (action === RAISE ? 1 : 0)] = 1;
      }
    },
    metric: (state, at, m) => {
      if (m === 2) return state[at + FOLDED] < 0 ? 1 : 0;
      return share(state, at, 0) === (m === 0 ? 1 : 0.5) ? 1 : 0;
    },
    hand: (state, at, player) =>
      state[at + PRIVATE + player] < 0 ? "" : RANKS[rank(state[at + PRIVATE + player])],
    captions: (state, at, names) => {
      const lines = [`pot ${state[at + PAID] + state[at + PAID + 1]}`];
      for (let round = 0; round < 2; round++) {
        if (round === 1 && state[at + PUBLIC] >= 0)
          lines.push(`public card ${RANKS[rank(state[at + PUBLIC])]}`);
        for (let k = 0; k < state[at + TAKEN + round]; k++)
          lines.push(`${names[k % 2]} ${SAYS[state[at + ACTIONS + round * ROUND + k]]}`);
      }
      return lines;
    },
  };
}

/** OpenSpiel's information-state tensor (30 numbers; 24 with three cards) or observation tensor (16; 10). */
function leducFeatures(cards: number, observation: LeducParameters["observation"]): Feature[] {
  const bit = { low: 0, high: 1 };
  return layout([
    { name: "player", size: 2, kind: "id", ...bit },
    { name: "privateCard", size: cards, kind: "one-hot", ...bit },
    { name: "publicCard", size: cards, kind: "one-hot", ...bit },
    ...(observation === "contributions"
      ? [{ name: "contributions", size: 2, low: 1, high: 13 }]
      : Array.from({ length: 2 * ROUND }, (_, k) => ({
          name: `round${1 + Math.floor(k / ROUND)}_${k % ROUND}`,
          size: 2,
          kind: "one-hot" as const,
          ...bit,
        }))),
  ]);
}

export const leducPoker = defineEnvironment({
  id: ID,
  summary: "Leduc poker: two players, two betting rounds, one public card.",
  source: "OpenSpiel leduc_poker; every terminal history is checked against it",
  parameters,
  create: (p, options) => new SequentialEnvironment(ID, leducRules(p), true, options),
});
