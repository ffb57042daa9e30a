import { z } from "zod";
import { batchScalar } from "../../src/env/scalar.js";
import { box } from "../../src/env/spaces.js";

/** [room][action of agent 0][action of agent 1] */
const PAYOFF = [
  [
    [1, 0],
    [0, 1],
  ],
  [
    [0, 0],
    [0, 4],
  ],
];

/** Best and uniformly random expected return of an episode, per agent (both receive the same). */
export const twoStepReturns = {
  discrete: { optimal: 4, random: 0.75 },
  box: { optimal: 2, random: 2 - 4 * (1 / 3 + 1 / 4) },
} as const;

/**
 * Known optimum: two agents, two steps, common reward. For tests of learners.
 *
 * Discrete: at step 1 agent_0's action chooses a room and nothing is paid; at step 2 the room's matrix pays. The
 * optimum is 4: enter room 1, both choose 1. Uniform play earns ½·½ + ½·1 = 0.75.
 *
 * Box (`continuousActions`): at each step a cue c ∈ {−½, ½} is drawn and seen by both; the reward is
 * 1 − (a₀ − c)² − (a₁ + c)² with actions in [−1, 1]. The optimum is 2; uniform play earns
 * 2·(1 − 2·(1/3 + 1/4)) = −1/3.
 */
export const twoStep = batchScalar({
  id: "fixture/two_step_v0",
  summary: "Two agents, two steps, one known optimum.",
  source: "own; shape of the game as in Rashid et al. 2018, two-step game",
  parameters: {
    continuousActions: z.boolean().default(false).describe("the version with box actions"),
  },
  describe: ({ continuousActions }) => ({
    groups: [
      {
        name: "agents",
        agents: ["agent_0", "agent_1"],
        features: continuousActions
          ? [
              { name: "cue", size: 1, low: -0.5, high: 0.5 },
              { name: "id", size: 2, kind: "id", low: 0, high: 1 },
            ]
          : [
              { name: "place", size: 3, kind: "one-hot", low: 0, high: 1 },
              { name: "id", size: 2, kind: "id", low: 0, high: 1 },
            ],
        action: continuousActions ? box(1, -1, 1) : { kind: "discrete", n: 2 },
      },
    ],
    state: continuousActions
      ? [{ name: "cue", size: 1, low: -0.5, high: 0.5 }]
      : [{ name: "place", size: 3, kind: "one-hot", low: 0, high: 1 }],
    metrics: ["optimal"],
    savedNumbers: 2,
  }),
  create: ({ continuousActions }) => {
    // place: 0 entrance, 1 and 2 the rooms
    let place = 0;
    let cue = 0;
    let dynamics: { int(n: number): number };
    const drawCue = () => {
      cue = continuousActions ? dynamics.int(2) - 0.5 : 0;
    };
    const view = () => {
      const seen = continuousActions ? [cue] : [0, 1, 2].map((k) => (k === place ? 1 : 0));
      return { obs: { agent_0: [...seen, 1, 0], agent_1: [...seen, 0, 1] }, state: seen };
    };
    const finish = (pay: number, nextPlace: number, best: number) => {
      const terminated = place > 0;
      place = nextPlace;
      drawCue();
      return {
        ...view(),
        reward: { agent_0: pay, agent_1: pay },
        terminated,
        metrics: { optimal: pay >= best ? 1 : 0 },
      };
    };
    return {
      reset: (streams) => {
        dynamics = streams.dynamics;
        place = 0;
        drawCue();
        return view();
      },
      step: ({ agent_0, agent_1 }) => {
        if (continuousActions) return finish(1 - (agent_0[0] - cue) ** 2 - (agent_1[0] + cue) ** 2, 1, 0.98);
        if (place === 0) return finish(0, 1 + agent_0, Number.POSITIVE_INFINITY);
        return finish(PAYOFF[place - 1][agent_0][agent_1], place, 4);
      },
      saveState: () => [place, cue],
      loadState: (numbers, streams) => {
        dynamics = streams.dynamics;
        [place, cue] = numbers;
        return view();
      },
    };
  },
});
