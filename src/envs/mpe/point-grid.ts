/**
 * Neighbours in a plane without looking at all pairs: points are sorted into square cells, about two to a cell, over
 * their bounding box. Answers are exact, and the same as those of looking at all points. Scratch memory of one
 * environment; allocates nothing after construction.
 */
export class PointGrid {
  /** indices of the points that the last query found */
  readonly order: Int32Array;
  /** [points] squared distances of `order`, where `nearest` found them */
  readonly #keys: Float64Array;
  /** indices and coordinates of all points, cell by cell, within a cell by index */
  readonly #items: Int32Array;
  readonly #x: Float64Array;
  readonly #y: Float64Array;
  /** cell of each point, by index */
  readonly #cell: Int32Array;
  /** [cells + 1] where each cell begins in `#items`, row by row */
  readonly #start: Int32Array;
  /** [3] point looked for, and the square of the distance beyond which nobody was looked at: an array, unboxed */
  readonly #query = new Float64Array(3);
  #left = 0;
  #bottom = 0;
  #width = 0;
  #height = 0;
  #side = 1;
  #columns = 1;
  #rows = 1;

  /** @param most points at most */
  constructor(most: number) {
    this.order = new Int32Array(most);
    this.#keys = new Float64Array(most);
    this.#items = new Int32Array(most);
    this.#x = new Float64Array(most);
    this.#y = new Float64Array(most);
    this.#cell = new Int32Array(most);
    // (w/s + 1)(h/s + 1) ≤ n/2 + 2n + 1 cells, for s as in `build`.
    this.#start = new Int32Array(3 * most + 4);
  }

  /** Sort points in: point m lies at p[first + 2m], p[first + 2m + 1]. */
  build(p: Float64Array, first: number, count: number): void {
    let left = Number.POSITIVE_INFINITY;
    let right = Number.NEGATIVE_INFINITY;
    let bottom = Number.POSITIVE_INFINITY;
    let top = Number.NEGATIVE_INFINITY;
    for (let k = first; k < first + 2 * count; k += 2) {
      left = Math.min(left, p[k]);
      right = Math.max(right, p[k]);
      bottom = Math.min(bottom, p[k + 1]);
      top = Math.max(top, p[k + 1]);
    }
    this.#left = left;
    this.#bottom = bottom;
    this.#width = right - left;
    this.#height = top - bottom;
    const longest = Math.max(this.#width, this.#height);
    const side = Math.max(Math.sqrt((2 * this.#width * this.#height) / count), longest / count);
    this.#side = side > 0 ? side : 1;
    this.#columns = Math.floor(this.#width / this.#side) + 1;
    this.#rows = Math.floor(this.#height / this.#side) + 1;
    this.#sort(p, first, count);
  }

  /** Counting sort by cell; stable, so that points of a cell stay in index order. */
  #sort(p: Float64Array, first: number, count: number): void {
    const start = this.#start;
    const cell = this.#cell;
    const cells = this.#columns * this.#rows;
    for (let c = 0; c <= cells; c++) start[c] = 0;
    for (let m = 0; m < count; m++) {
      const c = this.#column(p[first + 2 * m]) + this.#columns * this.#row(p[first + 2 * m + 1]);
      cell[m] = c;
      start[c + 1]++;
    }
    for (let c = 0; c < cells; c++) start[c + 1] += start[c];
    // Filling moves each start to its cell's end; walking back from the last point puts it where it was.
    for (let m = count - 1; m >= 0; m--) {
      const at = --start[cell[m] + 1];
      this.#items[at] = m;
      this.#x[at] = p[first + 2 * m];
      this.#y[at] = p[first + 2 * m + 1];
    }
    // Now start[c + 1] is where cell c begins.
    for (let c = 0; c < cells; c++) start[c] = start[c + 1];
    start[cells] = count;
  }

  #column(x: number): number {
    const c = Math.floor((x - this.#left) / this.#side);
    return c < 0 ? 0 : c < this.#columns ? c : this.#columns - 1;
  }

  #row(y: number): number {
    const r = Math.floor((y - this.#bottom) / this.#side);
    return r < 0 ? 0 : r < this.#rows ? r : this.#rows - 1;
  }

  /** Share of the box that a query of `within` looks through, at most 1: whether the grid is worth it. */
  share(radius: number): number {
    const reach = 2 * (radius + this.#side);
    const share = (extent: number) => (reach < extent ? reach / extent : 1);
    return share(this.#width) * share(this.#height);
  }

  /**
   * Points with an index above `after` and nearer than `radius` to (p[at], p[at + 1]), by index, in `order`.
   * @returns how many
   */
  within(p: Float64Array, at: number, radius: number, after: number): number {
    const { order } = this;
    const x = p[at];
    const y = p[at + 1];
    const from = this.#column(x - radius);
    const to = this.#column(x + radius);
    const last = this.#row(y + radius);
    let found = 0;
    for (let row = this.#row(y - radius); row <= last; row++) {
      const end = this.#start[row * this.#columns + to + 1];
      for (let k = this.#start[row * this.#columns + from]; k < end; k++) {
        const m = this.#items[k];
        if (m <= after) continue;
        const dx = this.#x[k] - x;
        const dy = this.#y[k] - y;
        if (dx * dx + dy * dy >= radius * radius) continue;
        let place = found++;
        for (; place > 0 && order[place - 1] > m; place--) order[place] = order[place - 1];
        order[place] = m;
      }
    }
    return found;
  }

  /**
   * The `k` points nearest to (p[at], p[at + 1]) without point `skip` (−1: none), nearest first, of equal distances the
   * lower index first, in `order`.
   * @returns how many: k, or all there are
   */
  nearest(p: Float64Array, at: number, k: number, skip: number): number {
    if (k === 0) return 0;
    this.#query[0] = p[at];
    this.#query[1] = p[at + 1];
    const column = this.#column(p[at]);
    const row = this.#row(p[at + 1]);
    let found = this.#scan(k, skip, row, column, column, 0);
    for (let ring = 1; ; ring++) {
      const more = this.#lookBeyond(column, row, ring - 1);
      // A point as far as the last one found may have a lower index.
      if (!more || (found === k && this.#keys[k - 1] < this.#query[2])) return found;
      const from = Math.max(0, column - ring);
      const to = Math.min(this.#columns - 1, column + ring);
      const top = Math.min(this.#rows - 1, row + ring);
      for (let r = Math.max(0, row - ring); r <= top; r++) {
        if (r === row - ring || r === row + ring) {
          found = this.#scan(k, skip, r, from, to, found);
        } else {
          if (column - ring >= 0) found = this.#scan(k, skip, r, column - ring, column - ring, found);
          if (column + ring < this.#columns)
            found = this.#scan(k, skip, r, column + ring, column + ring, found);
        }
      }
    }
  }

  /**
   * Note in `#query[2]` the square of how far away points outside the square of `ring` cells around a cell are at least.
   * @returns whether there are cells outside
   */
  #lookBeyond(column: number, row: number, ring: number): boolean {
    const side = this.#side;
    const x = this.#query[0] - this.#left;
    const y = this.#query[1] - this.#bottom;
    let least = Number.POSITIVE_INFINITY;
    if (column - ring > 0) least = Math.min(least, x - (column - ring) * side);
    if (column + ring < this.#columns - 1) least = Math.min(least, (column + ring + 1) * side - x);
    if (row - ring > 0) least = Math.min(least, y - (row - ring) * side);
    if (row + ring < this.#rows - 1) least = Math.min(least, (row + ring + 1) * side - y);
    // Rounding may have put a point one rounding beyond the edge of its cell.
    const beyond = Math.max(0, least - 1e-9 * side);
    this.#query[2] = beyond * beyond;
    return least < Number.POSITIVE_INFINITY;
  }

  /** Add cells [from, to] of a row to the k nearest found so far. */
  #scan(k: number, skip: number, row: number, from: number, to: number, found: number): number {
    const { order } = this;
    const x = this.#query[0];
    const y = this.#query[1];
    const keys = this.#keys;
    const end = this.#start[row * this.#columns + to + 1];
    for (let i = this.#start[row * this.#columns + from]; i < end; i++) {
      const m = this.#items[i];
      if (m === skip) continue;
      const dx = this.#x[i] - x;
      const dy = this.#y[i] - y;
      const key = dx * dx + dy * dy;
      if (found === k && (key > keys[k - 1] || (key === keys[k - 1] && m > order[k - 1]))) continue;
      let at = found < k ? found++ : k - 1;
      for (; at > 0 && (keys[at - 1] > key || (keys[at - 1] === key && order[at - 1] > m)); at--) {
        keys[at] = keys[at - 1];
        order[at] = order[at - 1];
      }
      keys[at] = key;
      order[at] = m;
    }
    return found;
  }
}
