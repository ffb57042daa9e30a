/**
 * The scripted prey of FACMAC's continuous predator–prey: it looks at random places around itself and moves to the best.
 *
 * Source: oxwhirl/facmac, src/envs/particle/scenarios/continuous_pred_prey_3a.py (`prey_policy`).
 */
import type { RandomStream } from "../../core/random.js";

/** "min": as far as possible from the nearest predator; "sum": from everybody, along a way that is free. */
export type EscapeScore = "min" | "sum";

/** Points on the way to a candidate that have to be free under "sum". */
const WAY_POINTS = 5;
/** Score of a candidate at which the prey would touch somebody. */
const BLOCKED = -9999999;

/** Finds escapes. Scratch memory of one environment; allocates nothing. */
export class Escape {
  /** [2] the last escape found: offset from the prey, or (0, 0) if there is none */
  readonly found = new Float64Array(2);
  readonly #score: EscapeScore;
  readonly #length: Float64Array;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #scores: Float32Array;

  readonly #predatorSize: number;
  readonly #preySize: number;

  constructor(candidates: number, score: EscapeScore, predatorSize: number, preySize: number) {
    this.#score = score;
    this.#predatorSize = predatorSize;
    this.#preySize = preySize;
    this.#length = new Float64Array(candidates);
    this.#cos = new Float64Array(candidates);
    this.#sin = new Float64Array(candidates);
    this.#scores = new Float32Array(candidates);
  }

  /**
   * Draw candidates uniformly from the unit disc around the prey and keep the best in `found`, in float32.
   *
   * @param p positions; agent j lies at p[base + 2j], p[base + 2j + 1]: predators first, then prey
   * @param self index of the prey
   * @param draws first one number per candidate for its distance, then one for its direction
   */
  find(
    p: Float64Array,
    base: number,
    self: number,
    predators: number,
    agents: number,
    draws: RandomStream,
  ): void {
    const length = this.#length;
    const scores = this.#scores;
    const count = length.length;
    draws.fillUniform(length, 0, count);
    draws.fillUniform(this.#cos, 0, count);
    for (let k = 0; k < count; k++) {
      length[k] = Math.sqrt(length[k]);
      const angle = Math.PI * (2 * this.#cos[k]);
      this.#cos[k] = Math.cos(angle);
      this.#sin[k] = Math.sin(angle);
    }
    scores.fill(0);
    const touch = this.#predatorSize + this.#preySize;
    if (this.#score === "min") {
      const nearest = nearestOf(p, base, self, predators);
      for (let a = 0; a < predators; a++) this.#judge(p, base, self, a, WAY_POINTS, touch, a === nearest);
    } else {
      for (let w = 1; w <= WAY_POINTS; w++) {
        for (let a = 0; a < agents; a++) {
          if (a === self) continue;
          const sizes = a < predators ? touch : 2 * this.#preySize;
          this.#judge(p, base, self, a, w, sizes, w === WAY_POINTS);
        }
      }
    }
    let best = 0;
    for (let k = 1; k < count; k++) if (scores[k] > scores[best]) best = k;
    const free = scores[best] >= 0;
    this.found[0] = free ? Math.fround(length[best] * this.#cos[best]) : 0;
    this.found[1] = free ? Math.fround(length[best] * this.#sin[best]) : 0;
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
