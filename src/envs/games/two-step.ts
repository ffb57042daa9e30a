/**
 * The two-step game: at step 1 player 0 chooses a matrix and nothing is paid, at step 2 both play it.
 *
 * Source: Rashid et al. 2018 (QMIX), section 5, with the payoffs of uoe-agents/matrix-games,
 * matrixgames/games.py (`TwoStep`). Page: docs/environments/two_step.md.
 */
import { defineEnvironment } from "../../env/definition.js";
import { tabulate } from "../../games/markov.js";
import { TabularEnvironment } from "./tabular.js";

const ID = "games/two_step_v0";

/** [matrix][action of player 0][action of player 1] */
const PAYOFF = [
  [
    [1, 5],
    [5, 9],
  ],
  [
    [0, 0],
    [0, 10],
  ],
];

const STATES = ["choose a matrix", "matrix A", "matrix B"];

export const twoStep = defineEnvironment({
  id: ID,
  summary: "One player chooses which of two matrices both play; the better one needs both to agree.",
  source: "Rashid et al. 2018 with the payoffs of uoe-agents/matrix-games",
  parameters: {},
  create: (_, options) => {
    const size = { states: 3, actions: [2, 2], initial: Float64Array.of(1, 0, 0), discount: 1, horizon: 2 };
    const game = tabulate(size, (state, [a, b]) => {
      const paid = state === 0 ? 0 : PAYOFF[state - 1][a][b];
      return { next: [[state === 0 ? 1 + a : state, 1]], reward: [paid, paid] };
    });
    return new TabularEnvironment(
      {
        id: ID,
        game,
        duration: { steps: 2, timeLimit: "terminated" },
        agentName: "player",
        features: [{ name: "place", size: 3, kind: "one-hot", low: 0, high: 1 }],
        observe: (_player, state, out, at) => {
          out[at + state] = 1;
        },
        stateName: (state) => STATES[state],
      },
      options,
    );
  },
});
