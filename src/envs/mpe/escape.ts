/**
 * The scripted prey of FACMAC's continuous predator–prey: it looks at random places around itself and moves to the best.
 *
 * Source: oxwhirl/facmac, src/envs/particle/scenarios/continuous_pred_prey_3a.py (`prey_policy`).
 */

/** "min": as far as possible from the nearest predator; "sum": from everybody, along a way that is free. */
export type EscapeScore = "min" | "sum";

/** Points on the way to a candidate that have to be free under "sum". */
const WAY_POINTS = 5;
/** Score of a candidate at which the prey would touch somebody. */
const BLOCKED = -9999999;

/** Finds escapes. Scratch memory of one environment; allocates nothing. */
export class Escape {
  /** the last escape found: offset from the prey, or (0, 0) if there is none */
  x = 0;
  y = 0;
  readonly #score: EscapeScore;
  readonly #length: Float64Array;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #scores: Float32Array;

  constructor(candidates: number, score: EscapeScore) {
    this.#score = score;
    this.#length = new Float64Array(candidates);
    this.#cos = new Float64Array(candidates);
    this.#sin = new Float64Array(candidates);
    this.#scores = new Float32Array(candidates);
  }

  /**
   * Draw candidates uniformly from the unit disc around the prey and keep the best as (x, y), in float32.
   *
   * @param p positions; agent j lies at p[base + 2j], p[base + 2j + 1]: predators first, then prey
   * @param self index of the prey
   * @param draws [0, 1), first one per candidate for its distance, then one for its direction
   */
  find(
    p: Float64Array,
    base: number,
    self: number,
    predators: number,
    agents: number,
    predatorSize: number,
    preySize: number,
    draws: { uniform(): number },
  ): void {
    const length = this.#length;
    const scores = this.#scores;
    const count = length.length;
    for (let k = 0; k < count; k++) length[k] = Math.sqrt(draws.uniform());
    for (let k = 0; k < count; k++) {
      const angle = Math.PI * (2 * draws.uniform());
      this.#cos[k] = Math.cos(angle);
      this.#sin[k] = Math.sin(angle);
    }
    scores.fill(0);
    const touch = predatorSize + preySize;
    if (this.#score === "min") {
      const nearest = nearestOf(p, base, self, predators);
      for (let a = 0; a < predators; a++) this.#judge(p, base, self, a, WAY_POINTS, touch, a === nearest);
    } else {
      for (let w = 1; w <= WAY_POINTS; w++) {
        for (let a = 0; a < agents; a++) {
          if (a === self) continue;
          const sizes = a < predators ? touch : 2 * preySize;
          this.#judge(p, base, self, a, w, sizes, w === WAY_POINTS);
        }
      }
    }
    let best = 0;
    for (let k = 1; k < count; k++) if (scores[k] > scores[best]) best = k;
    const free = scores[best] >= 0;
    this.x = free ? Math.fround(length[best] * this.#cos[best]) : 0;
    this.y = free ? Math.fround(length[best] * this.#sin[best]) : 0;
  }

  /**
   * Let every candidate's score know of agent a: blocked where they would touch at one of the points of the way, then,
   * if `counts`, the distance added. A later agent's block replaces what earlier ones added, as in the original.
   */
  #judge(
    p: Float64Array,
    base: number,
    self: number,
    a: number,
    wayPoint: number,
    touch: number,
    counts: boolean,
  ): void {
    const scores = this.#scores;
    const x = p[base + 2 * self];
    const y = p[base + 2 * self + 1];
    const ax = p[base + 2 * a];
    const ay = p[base + 2 * a + 1];
    for (let k = 0; k < scores.length; k++) {
      const reach = wayPoint === WAY_POINTS ? this.#length[k] : (this.#length[k] / WAY_POINTS) * wayPoint;
      const dx = ax - (reach * this.#cos[k] + x);
      const dy = ay - (reach * this.#sin[k] + y);
      const d = Math.sqrt(dx * dx + dy * dy);
      if (d < touch) scores[k] = BLOCKED;
      // Added in double, kept in float32.
      if (counts) scores[k] += d;
    }
  }
}

/** Index of the predator nearest to the prey, the first if tied. */
function nearestOf(p: Float64Array, base: number, self: number, predators: number): number {
  let nearest = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let a = 0; a < predators; a++) {
    const dx = p[base + 2 * self] - p[base + 2 * a];
    const dy = p[base + 2 * self + 1] - p[base + 2 * a + 1];
    const d = Math.sqrt(dx * dx + dy * dy);
    if (d >= least) continue;
    least = d;
    nearest = a;
  }
  return nearest;
}
