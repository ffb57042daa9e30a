/** Points that keep a distance from each other. */
import type { RandomStream } from "../../core/random.js";

/**
 * Poisson disc sampling of a square (Bridson 2007): from a first point outwards, every point gets a few tries to place
 * others between one and two spacings away, where nobody is nearer than the spacing. Scratch memory; allocates nothing
 * after construction.
 */
export class PoissonDisc {
  /** [points, 2] coordinates in [0, width)² of the last sample */
  readonly points: Float64Array;
  readonly #width: number;
  readonly #spacing: number;
  readonly #tries: number;
  /** cells of spacing/√2 hold one point at most; index + 1 of the point, 0 if empty */
  readonly #cells: Int32Array;
  readonly #side: number;
  readonly #columns: number;
  readonly #active: Int32Array;
  #count = 0;

  /** @param tries per point (5 in Python's `bridson`, which PIC uses) */
  constructor(width: number, spacing: number, tries = 5) {
    this.#width = width;
    this.#spacing = spacing;
    this.#tries = tries;
    this.#side = spacing / Math.SQRT2;
    this.#columns = Math.ceil(width / this.#side);
    this.#cells = new Int32Array(this.#columns * this.#columns);
    this.#active = new Int32Array(this.#cells.length);
    this.points = new Float64Array(2 * this.#cells.length);
  }

  /**
   * Draw a new sample into `points`.
   * @returns how many points it has: as many as found a place
   */
  sample(stream: RandomStream): number {
    const active = this.#active;
    this.#cells.fill(0);
    this.#count = 0;
    this.#add(this.#width * stream.uniform(), this.#width * stream.uniform());
    let waiting = 1;
    active[0] = 0;
    while (waiting > 0) {
      // Every point has its turn once.
      const turn = stream.int(waiting);
      const from = active[turn];
      active[turn] = active[--waiting];
      for (let t = 0; t < this.#tries; t++) {
        const angle = 2 * Math.PI * stream.uniform();
        const distance = this.#spacing * Math.sqrt(3 * stream.uniform() + 1);
        const x = this.points[2 * from] + distance * Math.cos(angle);
        const y = this.points[2 * from + 1] + distance * Math.sin(angle);
        if (!this.#fits(x, y)) continue;
        active[waiting++] = this.#count;
        this.#add(x, y);
      }
    }
    return this.#count;
  }

  #add(x: number, y: number): void {
    this.points[2 * this.#count] = x;
    this.points[2 * this.#count + 1] = y;
    this.#cells[Math.floor(x / this.#side) + this.#columns * Math.floor(y / this.#side)] = ++this.#count;
  }

  #fits(x: number, y: number): boolean {
    if (!(x >= 0 && x < this.#width && y >= 0 && y < this.#width)) return false;
    const column = Math.floor(x / this.#side);
    const row = Math.floor(y / this.#side);
    const last = this.#columns - 1;
    for (let r = Math.max(0, row - 2); r <= Math.min(last, row + 2); r++) {
      for (let c = Math.max(0, column - 2); c <= Math.min(last, column + 2); c++) {
        const other = this.#cells[c + this.#columns * r] - 1;
        if (other < 0) continue;
        const dx = this.points[2 * other] - x;
        const dy = this.points[2 * other + 1] - y;
        if (dx * dx + dy * dy <= this.#spacing * this.#spacing) return false;
      }
    }
    return true;
  }
}
