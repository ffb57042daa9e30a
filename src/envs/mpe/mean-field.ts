/** What an agent observes of a population as a whole. */
import { type NdArray, zeros } from "../../core/array.js";
import type { FeatureInput } from "../../env/features.js";

/**
 * moments: mean position relative to the agent, mean velocity and mean last action of the others;
 * histogram: share of the agents in each square of the field, those outside counted in the squares at the border.
 */
export type MeanFieldKind = "none" | "moments" | "histogram";

/** entries of an action: one-hot, or how strongly each movement */
const MOVES = 5;

/** Keeps the last actions of E copies, and writes the features at the end of the observations. */
export class MeanField {
  /** [E, agents, 5] one-hot or as given; zero before the first step. [E, 0, 5] where nobody observes it. */
  readonly lastAction: NdArray<"float64">;
  readonly #agents: number;
  readonly #kind: MeanFieldKind;
  readonly #bins: number;
  readonly #halfWidth: number;
  /** sums over the agents of the copy at hand: position, velocity, action */
  readonly #sums = new Float64Array(4 + MOVES);
  readonly #counts: Float64Array;

  constructor(copies: number, agents: number, kind: MeanFieldKind, bins: number, halfWidth: number) {
    this.lastAction = zeros("float64", [copies, kind === "moments" ? agents : 0, MOVES]);
    this.#agents = agents;
    this.#kind = kind;
    this.#bins = bins;
    this.#halfWidth = halfWidth;
    this.#counts = new Float64Array(bins * bins);
  }

  static features(kind: MeanFieldKind, bins: number): FeatureInput[] {
    if (kind === "none") return [];
    if (kind === "histogram") return [{ name: "density", size: bins * bins, low: 0, high: 1 }];
    return [
      { name: "meanOffset", size: 2 },
      { name: "meanVelocity", size: 2 },
      { name: "meanAction", size: MOVES, low: 0, high: 1 },
    ];
  }

  /** Forget the actions of copy e. */
  clear(e: number): void {
    if (this.#kind !== "moments") return;
    const width = this.#agents * MOVES;
    this.lastAction.data.fill(0, e * width, (e + 1) * width);
  }

  /** @param action discrete [E, agents], box [E, agents, 5] */
  note(action: Int32Array | Float32Array): void {
    if (this.#kind !== "moments") return;
    const { data } = this.lastAction;
    if (action instanceof Float32Array) {
      data.set(action);
      return;
    }
    data.fill(0);
    for (let row = 0; row < action.length; row++) data[row * MOVES + action[row]] = 1;
  }

  /** Write the features of all agents of copy e. @param p [E, 2 agents, 2] agents, then landmarks @param v [E, agents, 2] */
  observe(e: number, p: Float64Array, v: Float64Array, obs: Float32Array, obsSize: number): void {
    if (this.#kind === "moments") this.#writeMoments(e, p, v, obs, obsSize);
    else if (this.#kind === "histogram") this.#writeHistogram(e, p, obs, obsSize);
  }

  #writeMoments(e: number, p: Float64Array, v: Float64Array, obs: Float32Array, obsSize: number): void {
    const n = this.#agents;
    const sums = this.#sums;
    const actions = this.lastAction.data;
    const base = e * n * 4;
    sums.fill(0);
    for (let i = 0; i < n; i++) {
      for (let d = 0; d < 2; d++) {
        sums[d] += p[base + 2 * i + d];
        sums[2 + d] += v[(e * n + i) * 2 + d];
      }
      for (let a = 0; a < MOVES; a++) sums[4 + a] += actions[(e * n + i) * MOVES + a];
    }
    // Alone one has no others: all means are zero.
    const others = Math.max(1, n - 1);
    for (let i = 0; i < n; i++) {
      const row = e * n + i;
      const o = (row + 1) * obsSize - (4 + MOVES);
      for (let d = 0; d < 2; d++) {
        const own = p[base + 2 * i + d];
        obs[o + d] = n > 1 ? (sums[d] - own) / others - own : 0;
        obs[o + 2 + d] = (sums[2 + d] - v[2 * row + d]) / others;
      }
      for (let a = 0; a < MOVES; a++) obs[o + 4 + a] = (sums[4 + a] - actions[row * MOVES + a]) / others;
    }
  }

  #writeHistogram(e: number, p: Float64Array, obs: Float32Array, obsSize: number): void {
    const n = this.#agents;
    const bins = this.#bins;
    const counts = this.#counts;
    const bin = (x: number) => {
      const b = Math.floor(((x + this.#halfWidth) / (2 * this.#halfWidth)) * bins);
      return b < 0 ? 0 : b < bins ? b : bins - 1;
    };
    counts.fill(0);
    for (let k = e * n * 4; k < e * n * 4 + 2 * n; k += 2) counts[bin(p[k]) + bins * bin(p[k + 1])]++;
    for (let i = 0; i < n; i++) {
      const o = (e * n + i + 1) * obsSize - bins * bins;
      for (let b = 0; b < bins * bins; b++) obs[o + b] = counts[b] / n;
    }
  }
}
