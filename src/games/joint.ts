/** Joint actions as one number: the last player's action runs fastest. */

/** J: how many joint actions there are. */
export function jointActionCount(actions: readonly number[]): number {
  return actions.reduce((product, count) => product * count, 1);
}

/**
 * The number of a joint action: ((a_0 · A_1 + a_1) · A_2 + a_2) · …
 *
 * @param actions [n] A_i: how many actions every player has
 * @param chosen [n] a_i in [0, A_i)
 */
export function jointIndex(actions: readonly number[], chosen: ArrayLike<number>): number {
  let joint = 0;
  for (let i = 0; i < actions.length; i++) joint = joint * actions[i] + chosen[i];
  return joint;
}

/** The inverse of `jointIndex`: [n] the action of every player. */
export function jointAction(actions: readonly number[], joint: number): number[] {
  const chosen = Array<number>(actions.length).fill(0);
  for (let i = actions.length - 1; i >= 0; i--) {
    chosen[i] = joint % actions[i];
    joint = Math.floor(joint / actions[i]);
  }
  return chosen;
}

/**
 * Probability of every joint action when the players draw independently.
 *
 * @param policies player i's probabilities stand at policies[i][offset_i … offset_i + A_i)
 * @param state which block of A_i entries of every policy to read (offset_i = state · A_i)
 * @param out [J] written
 */
export function jointProbabilities(
  actions: readonly number[],
  policies: readonly ArrayLike<number>[],
  state: number,
  out: Float64Array,
): void {
  out[0] = 1;
  let count = 1;
  for (let i = 0; i < actions.length; i++) {
    const width = actions[i];
    // From the back, so that nothing is overwritten before it is read.
    for (let j = count - 1; j >= 0; j--) {
      const before = out[j];
      for (let a = width - 1; a >= 0; a--) out[j * width + a] = before * policies[i][state * width + a];
    }
    count *= width;
  }
}
