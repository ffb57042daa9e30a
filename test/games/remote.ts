import { z } from "zod";
import { batchScalar } from "../../src/env/scalar.js";

const STATES = 5;
const ACTIONS = 3;

/** Successor of every (state, action), read off a digest: the platform computes it asynchronously. */
async function loadTransitions(seed: number): Promise<number[]> {
  const digest = await crypto.subtle.digest("SHA-256", Uint8Array.of(seed & 255, seed >>> 8));
  return [...new Uint8Array(digest)].slice(0, STATES * ACTIONS).map((byte) => byte % STATES);
}

/**
 * Created asynchronously: the transition table comes from a promise that is really pending (a digest computed
 * outside the thread). Two agents walk over five states; in state s an agent receives s/4, plus 1 when both stand
 * in the same state.
 *
 * Proves: awaited work in `create`; everything after it is synchronous. No global state, no masks, no metrics.
 */
export const remote = batchScalar({
  id: "fixture/remote_v0",
  summary: "Two walkers on a table that is loaded asynchronously.",
  source: "own",
  parameters: {
    table: z.int().min(0).max(65535).default(7).describe("which transition table to load"),
  },
  describe: () => ({
    groups: [
      {
        name: "walkers",
        agents: ["walker_0", "walker_1"],
        features: [
          { name: "own", size: STATES, kind: "one-hot", low: 0, high: 1 },
          { name: "other", size: STATES, kind: "one-hot", low: 0, high: 1 },
        ],
        action: { kind: "discrete", n: ACTIONS },
      },
    ],
    maxSteps: 6,
    savedNumbers: 2,
  }),
  create: async ({ table }) => {
    const next = await loadTransitions(table);
    let at = [0, 0];
    const oneHot = (s: number) => Array.from({ length: STATES }, (_, k) => (k === s ? 1 : 0));
    const view = () => ({
      obs: {
        walker_0: [...oneHot(at[0]), ...oneHot(at[1])],
        walker_1: [...oneHot(at[1]), ...oneHot(at[0])],
      },
    });
    return {
      reset: ({ reset }) => {
        at = [reset.int(STATES), reset.int(STATES)];
        return view();
      },
      step: ({ walker_0, walker_1 }) => {
        at = [next[at[0] * ACTIONS + walker_0], next[at[1] * ACTIONS + walker_1]];
        const meeting = at[0] === at[1] ? 1 : 0;
        return { ...view(), reward: { walker_0: at[0] / 4 + meeting, walker_1: at[1] / 4 + meeting } };
      },
      saveState: () => at,
      loadState: (numbers) => {
        at = [...numbers];
        return view();
      },
    };
  },
});
