/** Finite Markov games: n players move at the same time, chance draws the next state. Tables with sparse rows. */
import { UserError } from "../core/errors.js";
import { jointAction, jointActionCount, jointProbabilities } from "./joint.js";

/**
 * Row (s, j), for state s and joint action j (`jointIndex`), has the number s · J + j. Its successors are
 * successor[rowStart[row]] … successor[rowStart[row + 1] − 1], with as many probabilities that sum to 1.
 */
export interface MarkovGame {
  /** S */
  readonly states: number;
  /** [n] A_i: how many actions every player has, in every state */
  readonly actions: readonly number[];
  /** [S · J + 1] where the successors of every row begin */
  readonly rowStart: Int32Array;
  /** [K] next states; of one row distinct */
  readonly successor: Int32Array;
  /** [K] */
  readonly probability: Float64Array;
  /** [n, S, J] what player i expects to be paid for joint action j in state s */
  readonly reward: Float64Array;
  /** [S] distribution of the first state */
  readonly initial: Float64Array;
  /** weight of the next step against this one, in [0, 1]; 1: not discounted */
  readonly discount: number;
  /** steps after which play is over; null: it goes on for ever */
  readonly horizon: number | null;
}

/** One row: where a joint action leads, and what it pays. */
export interface MarkovRow {
  /** distinct states with their probabilities, which sum to 1 */
  readonly next: readonly (readonly [state: number, probability: number])[];
  /** [n] */
  readonly reward: readonly number[];
}

/**
 * Write the rules of a game down as tables.
 *
 * @param rule called once per state and joint action, in the order of the rows
 * @throws UserError if the tables are no game (`assertMarkovGame`)
 */
export function tabulate(
  size: Pick<MarkovGame, "states" | "actions" | "initial" | "discount" | "horizon">,
  rule: (state: number, chosen: readonly number[]) => MarkovRow,
): MarkovGame {
  const { states, actions } = size;
  const joints = jointActionCount(actions);
  const rows = states * joints;
  const rowStart = new Int32Array(rows + 1);
  const reward = new Float64Array(actions.length * rows);
  const successor: number[] = [];
  const probability: number[] = [];
  const chosen = Array.from({ length: joints }, (_, j) => jointAction(actions, j));
  for (let row = 0; row < rows; row++) {
    const { next, reward: paid } = rule(Math.floor(row / joints), chosen[row % joints]);
    for (const [state, p] of next) {
      successor.push(state);
      probability.push(p);
    }
    rowStart[row + 1] = successor.length;
    for (let i = 0; i < actions.length; i++) reward[i * rows + row] = paid[i];
  }
  const game = {
    ...size,
    rowStart,
    successor: Int32Array.from(successor),
    probability: Float64Array.from(probability),
    reward,
  };
  assertMarkovGame(game);
  return game;
}

/** Rounding of a sum of probabilities. */
const SLACK = 1e-9;

/**
 * @throws UserError naming the first table or row that does not fit: sizes, states outside [0, S), probabilities
 *   below 0 or that do not sum to 1, rewards that are not finite
 */
export function assertMarkovGame(game: MarkovGame, place = "Markov game"): void {
  const { states, actions, rowStart, successor, probability, reward, initial } = game;
  const bad = actions.find((count) => !Number.isInteger(count) || count < 1);
  if (!Number.isInteger(states) || states < 1)
    throw new UserError(`${place}, states: got ${states}, expected an integer ≥ 1.`);
  if (bad !== undefined || actions.length === 0) {
    throw new UserError(
      `${place}, actions: got [${actions.join(", ")}], expected integers ≥ 1, one per player.`,
    );
  }
  const joints = jointActionCount(actions);
  const rows = states * joints;
  const sizes: readonly (readonly [string, ArrayLike<number>, number])[] = [
    ["rowStart", rowStart, rows + 1],
    ["successor", successor, rowStart[rows]],
    ["probability", probability, successor.length],
    ["reward", reward, actions.length * rows],
    ["initial", initial, states],
  ];
  for (const [name, table, length] of sizes) {
    if (table.length !== length)
      throw new UserError(`${place}, ${name}: got ${table.length} entries, expected ${length}.`);
  }
  const worst = reward.findIndex((x) => !Number.isFinite(x));
  if (worst >= 0)
    throw new UserError(`${place}, reward[${worst}]: got ${reward[worst]}, expected a finite number.`);
  for (let row = 0; row < rows; row++) {
    const where = () => `${place}, state ${Math.floor(row / joints)}, joint action ${row % joints}`;
    for (let k = rowStart[row]; k < rowStart[row + 1]; k++) {
      if (!(successor[k] >= 0 && successor[k] < states))
        throw new UserError(`${where()}: leads to state ${successor[k]}, expected one in [0, ${states}).`);
    }
    assertDistribution(probability, rowStart[row], rowStart[row + 1], where);
  }
  assertDistribution(initial, 0, states, () => `${place}, initial`);
}

function assertDistribution(p: Float64Array, from: number, to: number, where: () => string): void {
  let sum = 0;
  for (let k = from; k < to; k++) {
    if (!(p[k] >= 0)) throw new UserError(`${where()}: got the probability ${p[k]}, expected a number ≥ 0.`);
    sum += p[k];
  }
  if (!(Math.abs(sum - 1) <= SLACK))
    throw new UserError(`${where()}: the probabilities sum to ${sum}, expected 1.`);
}

/**
 * What every player expects from the first `steps` steps when all draw their actions independently, each from its
 * own stationary policy: Σ_t discount^t E[r_i]. Exact for games with a horizon; for the others the rest is at most
 * discount^steps / (1 − discount) times the largest reward.
 *
 * @param policies [n][S, A_i] probabilities
 * @param steps the horizon if left out
 * @returns [n]
 * @throws RangeError if the game has no horizon and `steps` is left out
 */
export function expectedReturns(
  game: MarkovGame,
  policies: readonly ArrayLike<number>[],
  steps: number | null = game.horizon,
): Float64Array {
  if (steps === null) throw new RangeError("expectedReturns: the game has no horizon; say how many steps");
  const { states, actions, rowStart, successor, probability, reward } = game;
  const joints = jointActionCount(actions);
  const chosen = new Float64Array(joints);
  const total = new Float64Array(actions.length);
  let now = game.initial.slice();
  let next = new Float64Array(states);
  let weight = 1;
  for (let t = 0; t < steps; t++) {
    next.fill(0);
    for (let s = 0; s < states; s++) {
      if (now[s] === 0) continue;
      jointProbabilities(actions, policies, s, chosen);
      for (let j = 0; j < joints; j++) {
        const p = now[s] * chosen[j];
        if (p === 0) continue;
        const row = s * joints + j;
        for (let i = 0; i < total.length; i++) total[i] += weight * p * reward[i * states * joints + row];
        for (let k = rowStart[row]; k < rowStart[row + 1]; k++) next[successor[k]] += p * probability[k];
      }
    }
    [now, next] = [next, now];
    weight *= game.discount;
  }
  return total;
}
