/**
 * Random Markov games of any size, drawn by `src/games/random-markov.ts`. The game depends on the parameters alone,
 * not on the seed of the episodes: every run plays the same one. Page: docs/environments/random_markov.md.
 */
import { z } from "zod";
import { UserError } from "../../core/errors.js";
import { RandomStream } from "../../core/random.js";
import { defineEnvironment } from "../../env/definition.js";
import { REWARD_KINDS, randomMarkovGame } from "../../games/random-markov.js";
import { durationParameters, horizonOf, TabularEnvironment } from "./tabular.js";

const ID = "games/random_markov_v0";

const parameters = {
  states: z.int().min(1).max(100_000).default(4).describe("number of states"),
  players: z.int().min(1).max(8).default(2).describe("number of players"),
  actions: z
    .union([z.int().min(1), z.array(z.int().min(1))])
    .default(3)
    .describe("actions of every player; a list of one number per player where they differ"),
  branching: z.int().min(1).default(2).describe("successors of every state and joint action"),
  reward: z
    .enum(REWARD_KINDS)
    .default("general")
    .describe("general, zeroSum (two players), cooperative or potential"),
  rewardLow: z.number().default(-1).describe("least reward drawn"),
  rewardHigh: z.number().default(1).describe("greatest reward drawn"),
  sparsity: z.number().min(0).max(1).default(0).describe("probability that a drawn reward is 0 instead"),
  initial: z.enum(["uniform", "fixed0"]).default("uniform").describe("first state: any, or always state 0"),
  gamma: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe("discount of the exact model; play is not discounted"),
  gameSeed: z.int().min(0).default(0).describe("which game is drawn"),
  agentId: z.boolean().default(false).describe("observe the own number, too"),
  ...durationParameters(50, "truncated"),
};

export const randomMarkov = defineEnvironment({
  id: ID,
  summary: "A random Markov game of given sizes, the same one in every run.",
  source: "own generator; its properties are tested",
  parameters,
  create: (p, options) => {
    const actions = typeof p.actions === "number" ? Array<number>(p.players).fill(p.actions) : p.actions;
    if (actions.length !== p.players) {
      throw new UserError(
        `${ID}: got ${p.players} players and a list of ${actions.length} numbers of actions, expected one number per player.`,
      );
    }
    const stream = RandomStream.from(p.gameSeed, "random-markov");
    const sizes = { ...p, actions, discount: p.gamma, horizon: horizonOf(p) };
    return new TabularEnvironment(
      {
        id: ID,
        game: randomMarkovGame(sizes, stream, ID),
        duration: p,
        agentName: "player",
        features: [
          { name: "state", size: p.states, kind: "one-hot", low: 0, high: 1 },
          ...(p.agentId ? [{ name: "id", size: p.players, kind: "id" as const, low: 0, high: 1 }] : []),
        ],
        observe: (player, state, out, at) => {
          out[at + state] = 1;
          if (p.agentId) out[at + p.states + player] = 1;
        },
        stateName: (state) => `state ${state}`,
      },
      options,
    );
  },
});
