import { z } from "zod";
import { batchScalar } from "../../src/env/scalar.js";

/**
 * Turn-based: two players alternately take 1 to 3 stones; who takes the last one wins (+1, the other −1).
 *
 * Proves: `acting`, a no-op as the waiting player's only action, masks that shrink, episodes without a step limit.
 * Known: the player to move wins iff stones mod 4 ≠ 0, by taking stones mod 4. The pile starts with 5 to 10
 * stones and player_0 moves first, so with best play player_0 wins unless the pile starts with 8.
 */
export const nim = batchScalar({
  id: "fixture/nim_v0",
  summary: "Take 1 to 3 stones in turn; the last stone wins.",
  source: "Bouton 1901, subtraction game",
  parameters: {
    most: z.int().min(5).max(20).default(10).describe("most stones at the start; the fewest is 5"),
  },
  describe: ({ most }) => ({
    groups: [
      {
        name: "players",
        agents: ["player_0", "player_1"],
        features: [
          { name: "stones", size: 1, low: 0, high: most },
          { name: "turn", size: 1, kind: "mask", low: 0, high: 1 },
        ],
        action: { kind: "discrete", n: 4 },
        hasActionMask: true,
        actionNames: ["wait", "take 1", "take 2", "take 3"],
      },
    ],
    turnBased: true,
    metrics: ["win"],
    savedNumbers: 2,
  }),
  create: ({ most }) => {
    let stones = 0;
    let mover = 0;
    const names = ["player_0", "player_1"] as const;
    const perPlayer = <T>(value: (i: number) => T) => ({ player_0: value(0), player_1: value(1) });
    const view = () => ({
      obs: perPlayer((i) => [stones, i === mover ? 1 : 0]),
      mask: perPlayer((i) => (i === mover ? [0, 1, stones >= 2, stones >= 3] : [1, 0, 0, 0])),
      acting: perPlayer((i) => i === mover),
    });
    return {
      reset: ({ reset }) => {
        stones = 5 + reset.int(most - 4);
        mover = 0;
        return view();
      },
      step: (actions) => {
        const winner = mover;
        stones -= actions[names[mover]];
        mover = 1 - mover;
        const over = stones === 0;
        return {
          ...view(),
          // Nobody can move any more; the mask of a last view is never used but must not be empty.
          ...(over ? { mask: perPlayer(() => [1, 0, 0, 0]) } : {}),
          reward: perPlayer((i) => (over ? (i === winner ? 1 : -1) : 0)),
          terminated: over,
          metrics: { win: winner === 0 ? 1 : 0 },
        };
      },
      saveState: () => [stones, mover],
      loadState: ([savedStones, savedMover]) => {
        stones = savedStones;
        mover = savedMover;
        return view();
      },
    };
  },
});
