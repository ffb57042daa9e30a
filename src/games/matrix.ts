/** Matrix games: all players move once, at the same time. */
import { UserError } from "../core/errors.js";
import { jointActionCount, jointProbabilities } from "./joint.js";

export interface MatrixGame {
  /** [n] A_i: how many actions every player has */
  readonly actions: readonly number[];
  /** [n, J] what player i is paid for joint action j (`jointIndex`) */
  readonly payoff: Float64Array;
}

/** How one nested list of numbers describes the payoffs of all players. */
export const SHARINGS = ["general", "common", "zeroSum", "symmetric"] as const;

/**
 * - `general`: one table per player, in one list
 * - `common`: one table, paid to everybody
 * - `zeroSum`: player 0's table, two players; player 1 gets its negative
 * - `symmetric`: player 0's table, two players with equal actions; player 1's is its transpose
 */
export type Sharing = (typeof SHARINGS)[number];

/**
 * A matrix game from nested lists, as an experiment file writes them: the outermost list of a table is player 0's
 * action, the next one player 1's, and so on.
 *
 * @param payoffs for `general` a list of one table per player, otherwise one table
 * @param place where the lists stand, for messages
 * @throws UserError in one sentence if the lists are ragged, empty, not finite or of an impossible shape
 */
export function matrixGame(payoffs: unknown, sharing: Sharing, place = "payoffs"): MatrixGame {
  const shape = shapeOf(payoffs, place);
  const entries: number[] = [];
  collect(payoffs, shape, 0, place, entries);
  if (sharing === "general") {
    const [tables, ...actions] = shape;
    if (actions.length !== tables) {
      throw new UserError(
        `${place}: got ${counted(tables, "table")} of ${counted(actions.length, "dimension")}, expected one table per player with one dimension per player.`,
      );
    }
    return { actions, payoff: Float64Array.from(entries) };
  }
  if (sharing === "common") {
    const payoff = new Float64Array(shape.length * entries.length);
    for (let i = 0; i < shape.length; i++) payoff.set(entries, i * entries.length);
    return { actions: shape, payoff };
  }
  if (shape.length !== 2) {
    throw new UserError(
      `${place}: got a table of ${counted(shape.length, "dimension")}, expected the rows and columns of two players (${sharing}).`,
    );
  }
  const [rows, columns] = shape;
  if (sharing === "symmetric" && rows !== columns) {
    throw new UserError(
      `${place}: got ${counted(rows, "row")} and ${counted(columns, "column")}, expected equally many (symmetric).`,
    );
  }
  // 0 − x, so that no payoff is −0.
  const other =
    sharing === "zeroSum"
      ? entries.map((x) => 0 - x)
      : entries.map((_, j) => entries[(j % columns) * columns + Math.floor(j / columns)]);
  return { actions: shape, payoff: Float64Array.of(...entries, ...other) };
}

const counted = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

/** The length of the first list at every depth. */
function shapeOf(payoffs: unknown, place: string): number[] {
  const shape: number[] = [];
  let node = payoffs;
  let at = place;
  while (Array.isArray(node)) {
    if (node.length === 0) throw new UserError(`${at}: got an empty list, expected at least one entry.`);
    shape.push(node.length);
    node = node[0];
    at += "[0]";
  }
  if (shape.length === 0)
    throw new UserError(`${place}: got ${String(payoffs)}, expected nested lists of numbers.`);
  return shape;
}

/** Append the numbers of a nested list, row by row, and hold every list to the shape. */
function collect(node: unknown, shape: readonly number[], depth: number, place: string, out: number[]): void {
  if (depth === shape.length) {
    if (typeof node !== "number" || !Number.isFinite(node)) {
      const got = Array.isArray(node) ? "a list" : String(node);
      throw new UserError(`${place}: got ${got}, expected a finite number.`);
    }
    out.push(node);
    return;
  }
  const length = Array.isArray(node) ? node.length : -1;
  if (length !== shape[depth]) {
    const got = length < 0 ? String(node) : `a list of ${length}`;
    throw new UserError(
      `${place}: got ${got}, expected a list of ${shape[depth]} like the first of its kind.`,
    );
  }
  (node as unknown[]).forEach((child, k) => {
    collect(child, shape, depth + 1, `${place}[${k}]`, out);
  });
}

/**
 * What every player expects when all draw their actions independently.
 *
 * @param policies [n][A_i] probabilities
 * @returns [n]
 */
export function expectedPayoffs(game: MatrixGame, policies: readonly ArrayLike<number>[]): Float64Array {
  const { actions, payoff } = game;
  const count = jointActionCount(actions);
  const probability = new Float64Array(count);
  jointProbabilities(actions, policies, 0, probability);
  return Float64Array.from(actions, (_, i) => {
    let sum = 0;
    for (let j = 0; j < count; j++) sum += probability[j] * payoff[i * count + j];
    return sum;
  });
}
