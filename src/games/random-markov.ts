/** Random Markov games: transitions with a given number of successors, rewards of a given kind. */
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import { jointActionCount } from "./joint.js";
import type { MarkovGame } from "./markov.js";

/**
 * - `general`: every player's rewards are drawn on their own
 * - `zeroSum`: two players; player 1 is paid the negative of player 0's reward
 * - `cooperative`: all are paid the same
 * - `potential`: R_i(s, a) = Φ(s, a) + D_i(s, a_−i): a player who deviates alone changes its reward as it changes Φ;
 *   transitions do not depend on the actions
 */
export const REWARD_KINDS = ["general", "zeroSum", "cooperative", "potential"] as const;
export type RewardKind = (typeof REWARD_KINDS)[number];

export interface RandomMarkovOptions {
  /** S ≥ 1 */
  readonly states: number;
  /** [n] A_i ≥ 1 */
  readonly actions: readonly number[];
  /** successors of every row, in [1, S] */
  readonly branching: number;
  readonly reward: RewardKind;
  readonly rewardLow: number;
  /** ≥ rewardLow */
  readonly rewardHigh: number;
  /** probability that a drawn reward (of a potential game: Φ or D_i) is 0 instead */
  readonly sparsity: number;
  readonly discount: number;
  readonly horizon: number | null;
  /** the first state: uniformly random, or always state 0 */
  readonly initial: "uniform" | "fixed0";
}

/** Most numbers of a table: 400 MB as float64. */
const LIMIT = 50_000_000;

/**
 * Draw a game. Per row: distinct successors by a partial Fisher–Yates shuffle of all states, then their
 * probabilities from a flat Dirichlet distribution (−ln(1 − U), normalised); then the rewards, player by player,
 * state by state, joint action by joint action, each uniform in [rewardLow, rewardHigh) and one more draw for
 * `sparsity`. A potential game draws one row per state, then Φ, then D_i player by player.
 *
 * @throws UserError if the sizes are impossible: branching > states, zeroSum without two players, too large
 */
export function randomMarkovGame(
  options: RandomMarkovOptions,
  stream: RandomStream,
  place = "random Markov game",
): MarkovGame {
  const { states, actions, branching, reward: kind } = options;
  const players = actions.length;
  if (branching > states) {
    throw new UserError(
      `${place}: got ${branching} successors (branching) of ${states} states, expected at most ${states}.`,
    );
  }
  if (options.rewardLow > options.rewardHigh) {
    throw new UserError(
      `${place}: got rewards from ${options.rewardLow} (rewardLow) to ${options.rewardHigh} (rewardHigh), expected rewardLow ≤ rewardHigh.`,
    );
  }
  if (kind === "zeroSum" && players !== 2)
    throw new UserError(`${place}: got ${players} players, expected 2 (zeroSum).`);
  const joints = jointActionCount(actions);
  const rows = states * joints;
  if (rows * Math.max(players, branching) > LIMIT) {
    throw new UserError(
      `${place}: ${states} states with ${joints} joint actions make tables of ${rows * Math.max(players, branching)} numbers, expected at most ${LIMIT}.`,
    );
  }
  return {
    states,
    actions,
    ...drawTransitions(options, joints, stream),
    reward: drawRewards(options, joints, stream),
    initial: initialDistribution(states, options.initial),
    discount: options.discount,
    horizon: options.horizon,
  };
}

function initialDistribution(states: number, kind: RandomMarkovOptions["initial"]): Float64Array {
  const initial = new Float64Array(states);
  if (kind === "uniform") initial.fill(1 / states);
  else initial[0] = 1;
  return initial;
}

function drawTransitions(
  { states, branching, reward: kind }: RandomMarkovOptions,
  joints: number,
  stream: RandomStream,
): Pick<MarkovGame, "rowStart" | "successor" | "probability"> {
  const rows = states * joints;
  const rowStart = Int32Array.from({ length: rows + 1 }, (_, row) => row * branching);
  const successor = new Int32Array(rows * branching);
  const probability = new Float64Array(rows * branching);
  const pool = Int32Array.from({ length: states }, (_, s) => s);
  const swaps = new Int32Array(branching);
  for (let row = 0; row < rows; row++) {
    const at = row * branching;
    if (kind === "potential" && row % joints > 0) {
      successor.copyWithin(at, at - branching, at);
      probability.copyWithin(at, at - branching, at);
      continue;
    }
    for (let k = 0; k < branching; k++) {
      swaps[k] = k + stream.int(states - k);
      swap(pool, k, swaps[k]);
      successor[at + k] = pool[k];
    }
    // Back to 0 … S−1, in as many steps.
    for (let k = branching - 1; k >= 0; k--) swap(pool, k, swaps[k]);
    let sum = 0;
    for (let k = at; k < at + branching; k++) {
      // 1 − U > 0; the smallest float keeps a single weight of 0 from dividing 0 by 0.
      probability[k] = Math.max(-Math.log(1 - stream.uniform()), Number.MIN_VALUE);
      sum += probability[k];
    }
    for (let k = at; k < at + branching; k++) probability[k] /= sum;
  }
  return { rowStart, successor, probability };
}

function swap(pool: Int32Array, a: number, b: number): void {
  const kept = pool[a];
  pool[a] = pool[b];
  pool[b] = kept;
}

function drawRewards(options: RandomMarkovOptions, joints: number, stream: RandomStream): Float64Array {
  const { states, actions, reward: kind } = options;
  const rows = states * joints;
  const reward = new Float64Array(actions.length * rows);
  const draw = () => {
    const value = stream.uniformIn(options.rewardLow, options.rewardHigh);
    return stream.uniform() < options.sparsity ? 0 : value;
  };
  const drawn = kind === "general" ? actions.length : 1;
  for (let k = 0; k < drawn * rows; k++) reward[k] = draw();
  if (kind === "zeroSum") for (let k = 0; k < rows; k++) reward[rows + k] = 0 - reward[k];
  if (kind === "cooperative" || kind === "potential")
    for (let i = 1; i < actions.length; i++) reward.copyWithin(i * rows, 0, rows);
  if (kind === "potential") addDummies(options, joints, reward, draw);
  return reward;
}

/** Add D_i(s, a_−i), one draw for each combination of the others' actions, in the order of the joint actions. */
function addDummies(
  { states, actions }: RandomMarkovOptions,
  joints: number,
  reward: Float64Array,
  draw: () => number,
): void {
  let stride = joints;
  for (let i = 0; i < actions.length; i++) {
    stride /= actions[i];
    for (let s = 0; s < states; s++) {
      const first = (i * states + s) * joints;
      for (let j = 0; j < joints; j++) {
        if (Math.floor(j / stride) % actions[i] > 0) continue;
        const dummy = draw();
        for (let a = 0; a < actions[i]; a++) reward[first + j + a * stride] += dummy;
      }
    }
  }
}
