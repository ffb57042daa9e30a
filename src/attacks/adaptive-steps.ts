/** The step sizes of Auto-PGD (Croce & Hein 2020, section 3), for each row on its own. */

/** Share of the steps since a checkpoint that must have been improvements. */
const IMPROVING = 0.75;

/**
 * Numbers of steps after which the step size is looked at: w = ⌈p K⌉ with p = 0.22 and then p + max(last
 * difference − 0.03, 0.06), below K. Ascending, without repetition.
 */
export function checkpoints(steps: number): number[] {
  const out: number[] = [];
  let [before, p] = [0, 0.22];
  // The sums of decimals are a little off; a checkpoint at 41 must not become one at 42.
  for (let w = count(p, steps); w < steps; w = count(p, steps)) {
    if (w !== out[out.length - 1]) out.push(w);
    [before, p] = [p, p + Math.max(p - before - 0.03, 0.06)];
  }
  return out;
}

const count = (p: number, steps: number) => Math.ceil(p * steps - 1e-9);

/**
 * Halves a row's step at a checkpoint if fewer than three quarters of the steps since the last one were improvements,
 * or if neither the step nor the best value has changed since.
 */
export class AdaptiveSteps {
  /** [R] length of the next step as a share of ε */
  readonly share: Float32Array;
  readonly #checkpoints: ReadonlySet<number>;
  readonly #improvements: Int32Array;
  /** [R] 1 where the step was halved at the last checkpoint */
  readonly #halved: Uint8Array;
  readonly #bestThen: Float64Array;
  #last = 0;

  /**
   * @param first length of the first step as a share of ε
   * @param value [R] objective at the start
   */
  constructor(
    readonly steps: number,
    first: number,
    value: ArrayLike<number>,
  ) {
    const rows = value.length;
    this.share = new Float32Array(rows).fill(first);
    this.#checkpoints = new Set(checkpoints(steps));
    this.#improvements = new Int32Array(rows);
    this.#halved = new Uint8Array(rows);
    this.#bestThen = Float64Array.from(value);
  }

  /** Row r has got from one value to another in a step. */
  saw(r: number, before: number, after: number): void {
    if (after > before) this.#improvements[r]!++;
  }

  /**
   * @param step number of steps taken
   * @param best [R] best value of each row so far
   * @returns the rows whose step was halved: they go on from their best point
   */
  look(step: number, best: ArrayLike<number>): number[] {
    if (!this.#checkpoints.has(step)) return [];
    const since = step - this.#last;
    this.#last = step;
    const rows: number[] = [];
    for (let r = 0; r < this.share.length; r++) {
      const isStuck = this.#halved[r] === 0 && best[r] === this.#bestThen[r];
      const halve = this.#improvements[r]! < IMPROVING * since || isStuck;
      this.#improvements[r] = 0;
      this.#bestThen[r] = best[r]!;
      this.#halved[r] = halve ? 1 : 0;
      if (!halve) continue;
      this.share[r]! /= 2;
      rows.push(r);
    }
    return rows;
  }
}
