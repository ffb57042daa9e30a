/** Observation of the nearest only (MPE2's partial observability). */

/** Selects from a run of entities those nearest to a point. Scratch memory of one environment; allocates nothing. */
export class Neighbors {
  /** indices of the entities that the last `write` wrote, in the order written */
  readonly order: Int32Array;
  readonly #keys: Float64Array;

  /** @param most how many entities there are at most to choose from */
  constructor(most: number) {
    this.order = new Int32Array(most);
    this.#keys = new Float64Array(most);
  }

  /**
   * Write relative positions of entities: all in index order, or only the `limit` nearest, nearest first.
   *
   * @param p positions; entity m lies at p[first + 2m], p[first + 2m + 1]
   * @param skip index of an entity to leave out (the observer itself); −1: none
   * @param x and y: the observer's position
   * @param limit null: all, in index order
   * @returns how many were written; `order` says which
   */
  write(
    p: Float64Array,
    first: number,
    count: number,
    skip: number,
    x: number,
    y: number,
    limit: number | null,
    out: Float32Array,
    offset: number,
  ): number {
    const { order } = this;
    const keys = this.#keys;
    let found = 0;
    for (let m = 0; m < count; m++) {
      if (m === skip) continue;
      const dx = p[first + 2 * m] - x;
      const dy = p[first + 2 * m + 1] - y;
      const key = dx * dx + dy * dy;
      // Insertion sort; equal distances keep index order.
      let at = found++;
      if (limit !== null) {
        while (at > 0 && keys[at - 1] > key) {
          keys[at] = keys[at - 1];
          order[at] = order[at - 1];
          at--;
        }
      }
      keys[at] = key;
      order[at] = m;
    }
    const shown = Math.min(found, limit ?? found);
    for (let k = 0; k < shown; k++) {
      out[offset + 2 * k] = p[first + 2 * order[k]] - x;
      out[offset + 2 * k + 1] = p[first + 2 * order[k] + 1] - y;
    }
    return shown;
  }
}
