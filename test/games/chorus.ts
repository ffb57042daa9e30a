import { z } from "zod";
import { type NdArray, zeros } from "../../src/core/array.js";
import { BatchedEnvironment } from "../../src/env/batch.js";
import type { CreateOptions, EnvironmentSpec } from "../../src/env/contract.js";
import { defineEnvironment } from "../../src/env/definition.js";
import { layout } from "../../src/env/features.js";

const NOTES = 3;

function describe(agents: number, longest: number): EnvironmentSpec {
  return {
    id: "fixture/chorus_v0",
    groups: [
      {
        name: "singers",
        agents: Array.from({ length: agents }, (_, i) => `singer_${i}`),
        obsSize: agents + 1,
        features: layout([
          { name: "seat", size: agents, kind: "id", low: 0, high: 1 },
          { name: "progress", size: 1, low: 0, high: 1 },
        ]),
        action: { kind: "discrete", n: NOTES },
        hasActionMask: false,
      },
    ],
    stateSize: agents * NOTES + 1,
    stateFeatures: layout([
      ...Array.from({ length: agents }, (_, i) => ({
        name: `note_${i}`,
        size: NOTES,
        kind: "one-hot" as const,
        low: 0,
        high: 1,
      })),
      { name: "progress", size: 1, low: 0, high: 1 },
    ]),
    maxSteps: longest,
    turnBased: false,
    episodeMetrics: ["highest"],
    capabilities: { saveState: true, frames: false },
  };
}

/** See `chorus`. */
class Chorus extends BatchedEnvironment {
  readonly #agents: number;
  readonly #longest: number;
  /** [E] steps of this episode, drawn at its start */
  readonly #length: NdArray<"int32">;
  /** [E, n] last notes; −1 before the first step */
  readonly #notes: NdArray<"int32">;
  /** [E] highest team code so far */
  readonly #highest: NdArray<"float64">;

  constructor(agents: number, longest: number, options: CreateOptions) {
    super(describe(agents, longest), options);
    this.#agents = agents;
    this.#longest = longest;
    this.#length = zeros("int32", [this.copies]);
    this.#notes = zeros("int32", [this.copies, agents]);
    this.#highest = zeros("float64", [this.copies]);
  }

  protected override startEpisode(e: number): void {
    this.#length.data[e] = 2 + this.streams[e].reset.int(this.#longest - 1);
    this.#notes.data.fill(-1, e * this.#agents, (e + 1) * this.#agents);
    this.#highest.data[e] = 0;
  }

  protected override advance(): void {
    const n = this.#agents;
    const { action, reward } = this.groups[0];
    for (let e = 0; e < this.copies; e++) {
      let code = 0;
      for (let i = n - 1; i >= 0; i--) {
        this.#notes.data[e * n + i] = action[e * n + i];
        code = code * NOTES + action[e * n + i];
      }
      for (let i = 0; i < n; i++) reward[e * n + i] = code;
      this.#highest.data[e] = Math.max(this.#highest.data[e], code);
      if (this.elapsed[e] >= this.#length.data[e] && this.elapsed[e] < this.#longest) this.terminated[e] = 1;
    }
  }

  protected override observe(from: number, to: number): void {
    const n = this.#agents;
    const { obs } = this.groups[0];
    for (let e = from; e < to; e++) {
      const progress = this.elapsed[e] / this.#longest;
      for (let i = 0; i < n; i++) {
        const start = (e * n + i) * (n + 1);
        for (let k = 0; k < n; k++) obs[start + k] = k === i ? 1 : 0;
        obs[start + n] = progress;
      }
      const start = e * this.spec.stateSize;
      for (let i = 0; i < n; i++) {
        for (let a = 0; a < NOTES; a++) {
          this.state[start + i * NOTES + a] = this.#notes.data[e * n + i] === a ? 1 : 0;
        }
      }
      this.state[start + n * NOTES] = progress;
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { length: this.#length, notes: this.#notes, highest: this.#highest };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#highest.data[e];
  }
}

/**
 * For casting: singers of one homogeneous group choose one of three notes; everyone receives the code
 * Σ_i action_i · 3^i, so that a single reward tells exactly who did what (`decodeChorus`). Episodes last between 2
 * and `longest` steps, drawn per copy and episode: copies drift apart, and so do castings. The longest are
 * truncated, all others terminate.
 *
 * Proves: who acts in which seat of which copy and episode; global state (last notes, progress).
 */
export const chorus = defineEnvironment({
  id: "fixture/chorus_v0",
  summary: "The reward spells out who sang what.",
  source: "own",
  parameters: {
    agents: z.int().min(1).max(20).default(4).describe("number of singers"),
    longest: z.int().min(2).default(5).describe("most steps of an episode"),
  },
  create: (p, options) => new Chorus(p.agents, p.longest, options),
});

/** The actions of `agents` singers that earned `reward`. */
export function decodeChorus(reward: number, agents: number): number[] {
  return Array.from({ length: agents }, (_, i) => Math.floor(reward / NOTES ** i) % NOTES);
}
