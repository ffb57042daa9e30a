/**
 * Two-state coordination: the toy on which belief-free hardening fails. Two agents, two actions, one team reward:
 *
 *   state 0: equal actions pay 1 and lead to state 1; unequal ones pay 0 and stay
 *   state 1: unequal actions pay 1 and stay; equal ones pay 0 and lead to state 0
 *
 * Source: kiarashkaz/BATPAL (the toy of Li et al. 2024, EIR); 50 steps, then the game is over. More than two agents:
 * only the first two matter. Page: docs/environments/two_state_coordination.md.
 */
import { z } from "zod";
import type { Script } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { jointActionCount, jointIndex } from "../../games/joint.js";
import { type MarkovGame, tabulate } from "../../games/markov.js";
import { type Duration, durationParameters, horizonOf, TabularEnvironment } from "./tabular.js";

const ID = "games/two_state_coordination_v0";

const parameters = {
  agents: z
    .int()
    .min(2)
    .max(6)
    .default(2)
    .describe("agents; the actions of all but the first two have no effect"),
  observeLast: z
    .boolean()
    .default(true)
    .describe("observe the last state and joint action, too; without it the exact model has two states"),
  ...durationParameters(50),
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

/**
 * With `observeLast` a state is what the agents see: 0 and 1 at the start, then 2 + last state · J + last joint
 * action, from which the present state of the two follows.
 */
export function coordinationGame({ agents, observeLast, ...duration }: Parameters): MarkovGame {
  const actions = Array<number>(agents).fill(2);
  const joints = jointActionCount(actions);
  const states = observeLast ? 2 + 2 * joints : 2;
  const initial = new Float64Array(states).fill(0.5, 0, 2);
  return tabulate(
    { states, actions, initial, discount: 1, horizon: horizonOf(duration) },
    (state, chosen) => {
      const room = roomOf(state, joints);
      const [next, paid] = play(room, chosen[0] === chosen[1]);
      const to = observeLast ? 2 + room * joints + jointIndex(actions, chosen) : next;
      return { next: [[to, 1]], reward: actions.map(() => paid) };
    },
  );
}

/** Next state and reward. */
function play(room: number, equal: boolean): readonly [next: number, reward: number] {
  if (room === 0) return equal ? [1, 1] : [0, 0];
  return equal ? [0, 0] : [1, 1];
}

/** Which of the two states a numbered state is. */
function roomOf(state: number, joints: number): number {
  if (state < 2) return state;
  const [last, joint] = lastOf(state, joints);
  // Of a joint action the first two agents' parts are its two highest binary digits.
  const high = Math.floor((4 * joint) / joints);
  return play(last, high === 0 || high === 3)[0];
}

/** Last state and last joint action. */
function lastOf(state: number, joints: number): readonly [number, number] {
  return [Math.floor((state - 2) / joints), (state - 2) % joints];
}

/** Both 0 in state 0; in state 1 agent_1 acts 1. */
const convention: Script = {
  summary: "In state 0 everybody acts 0; in state 1 agent_1 acts 1.",
  act({ agent, obs }, action) {
    action[0] = obs[1] === 1 && agent === 1 ? 1 : 0;
  },
};

export const twoStateCoordination = defineEnvironment({
  id: ID,
  summary: "Two agents must act alike in one state and differ in the other; a toy for hardening.",
  source: "BATPAL's toy; the exact model is checked against known values",
  parameters,
  scripts: { convention },
  create: (p, options) => {
    const n = p.agents;
    const joints = 2 ** n;
    return new TabularEnvironment(
      {
        id: ID,
        game: coordinationGame(p),
        duration: p satisfies Duration,
        agentName: "agent",
        features: [
          { name: "state", size: 2, kind: "one-hot", low: 0, high: 1 },
          { name: "id", size: n, kind: "id", low: 0, high: 1 },
          ...(p.observeLast
            ? [
                { name: "lastState", size: 2, kind: "one-hot" as const, low: 0, high: 1 },
                { name: "lastActions", size: 2 * n, low: 0, high: 1 },
              ]
            : []),
        ],
        observe: (player, state, out, at) => {
          out[at + roomOf(state, joints)] = 1;
          out[at + 2 + player] = 1;
          if (state < 2) return;
          const [last, joint] = lastOf(state, joints);
          out[at + 2 + n + last] = 1;
          for (let i = 0; i < n; i++) out[at + 4 + n + 2 * i + ((joint >> (n - 1 - i)) & 1)] = 1;
        },
        stateName: (state) =>
          `state ${roomOf(state, joints)}: ${roomOf(state, joints) === 0 ? "act alike" : "differ"}`,
      },
      options,
    );
  },
});
