/** Small tasks with known optima, for tests of learning. */
import { z } from "zod";
import { batchScalar } from "../../src/env/scalar.js";

/**
 * Multi-discrete with masks, one step: an agent sees a cue c of 3 and which of the second choices is open, and earns
 * ½ for choosing c first and ½ for choosing the open one of the greatest number. The optimum is 1; uniform legal play
 * earns ½·⅓ + ½·(½ + 1)/2 = 0.5417.
 */
export const bandit = batchScalar({
  id: "fixture/bandit_v0",
  summary: "Match the cue, take the most.",
  source: "own",
  parameters: { agents: z.int().min(1).default(2).describe("players, each for itself") },
  describe: ({ agents }) => ({
    groups: [
      {
        name: "players",
        agents: Array.from({ length: agents }, (_, i) => `player_${i}`),
        features: [
          { name: "cue", size: 3, kind: "one-hot", low: 0, high: 1 },
          { name: "open", size: 1, kind: "mask", low: 0, high: 1 },
        ],
        action: { kind: "multi-discrete", sizes: [3, 2] },
        hasActionMask: true,
      },
    ],
    savedNumbers: 2 * agents,
  }),
  create: ({ agents }) => {
    let cues: number[] = [];
    let open: number[] = [];
    const names = Array.from({ length: agents }, (_, i) => `player_${i}`);
    const each = <T>(value: (i: number) => T) => Object.fromEntries(names.map((name, i) => [name, value(i)]));
    const view = () => ({
      obs: each((i) => [...[0, 1, 2].map((k) => (k === cues[i] ? 1 : 0)), open[i]!]),
      mask: each((i) => [1, 1, 1, 1, open[i]!]),
    });
    return {
      reset: ({ reset }) => {
        cues = names.map(() => reset.int(3));
        open = names.map(() => reset.int(2));
        return view();
      },
      step: (actions) => ({
        ...view(),
        reward: each((i) => {
          const [first, second] = actions[names[i]!] as readonly number[];
          return (first === cues[i] ? 0.5 : 0) + (second === open[i] ? 0.5 : 0);
        }),
        terminated: true,
      }),
      saveState: () => [...cues, ...open],
      loadState: (numbers) => {
        cues = numbers.slice(0, agents);
        open = numbers.slice(agents);
        return view();
      },
    };
  },
});

/**
 * Two players in turn, each with its own cue of 3; both are paid at the end only, ½ for each cue that was answered
 * with its number. Whoever moves first earns while it waits. The optimum is 1; uniform play earns ⅓.
 */
export const relay = batchScalar({
  id: "fixture/relay_v0",
  summary: "Answer your cue in turn; pay comes at the end.",
  source: "own",
  parameters: {},
  describe: () => ({
    groups: [
      {
        name: "players",
        agents: ["player_0", "player_1"],
        features: [
          { name: "cue", size: 3, kind: "one-hot", low: 0, high: 1 },
          { name: "turn", size: 1, kind: "mask", low: 0, high: 1 },
        ],
        action: { kind: "discrete", n: 4 },
        hasActionMask: true,
        actionNames: ["wait", "one", "two", "three"],
      },
    ],
    turnBased: true,
    savedNumbers: 4,
  }),
  create: () => {
    let cues = [0, 0];
    let mover = 0;
    let earned = 0;
    const names = ["player_0", "player_1"] as const;
    const each = <T>(value: (i: number) => T) => ({ player_0: value(0), player_1: value(1) });
    const view = () => ({
      obs: each((i) => [
        ...[0, 1, 2].map((k) => (i === mover && k === cues[i] ? 1 : 0)),
        i === mover ? 1 : 0,
      ]),
      mask: each((i) => (i === mover ? [0, 1, 1, 1] : [1, 0, 0, 0])),
      acting: each((i) => i === mover),
    });
    return {
      reset: ({ reset }) => {
        cues = [reset.int(3), reset.int(3)];
        mover = 0;
        earned = 0;
        return view();
      },
      step: (actions) => {
        earned += actions[names[mover]!] - 1 === cues[mover] ? 0.5 : 0;
        const over = mover === 1;
        mover = 1 - mover;
        return { ...view(), reward: each(() => (over ? earned : 0)), terminated: over };
      },
      saveState: () => [...cues, mover, earned],
      loadState: (numbers) => {
        cues = numbers.slice(0, 2);
        [mover, earned] = [numbers[2]!, numbers[3]!];
        return view();
      },
    };
  },
});

/**
 * A cue of 3 is seen once, at the start; after `delay` blank steps it has to be answered, for 1. The optimum is 1, and
 * needs a memory: whoever sees only the present observation earns ⅓.
 */
export const recall = batchScalar({
  id: "fixture/recall_v0",
  summary: "Answer with the cue that was shown at the start.",
  source: "own",
  parameters: { delay: z.int().min(1).default(3).describe("blank steps between cue and answer") },
  describe: () => ({
    groups: [
      {
        name: "players",
        agents: ["player_0"],
        features: [
          { name: "cue", size: 3, kind: "one-hot", low: 0, high: 1 },
          { name: "answer", size: 1, kind: "mask", low: 0, high: 1 },
        ],
        action: { kind: "discrete", n: 3 },
      },
    ],
    savedNumbers: 2,
  }),
  create: ({ delay }) => {
    let cue = 0;
    let t = 0;
    const view = () => ({
      obs: { player_0: [...[0, 1, 2].map((k) => (t === 0 && k === cue ? 1 : 0)), t === delay ? 1 : 0] },
    });
    return {
      reset: ({ reset }) => {
        cue = reset.int(3);
        t = 0;
        return view();
      },
      step: ({ player_0 }) => {
        const over = t === delay;
        const reward = over && player_0 === cue ? 1 : 0;
        t++;
        return { ...view(), reward: { player_0: reward }, terminated: over };
      },
      saveState: () => [cue, t],
      loadState: (numbers) => {
        [cue, t] = [numbers[0]!, numbers[1]!];
        return view();
      },
    };
  },
});
