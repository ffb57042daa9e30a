import { z } from "zod";
import { type NdArray, zeros } from "../../src/core/array.js";
import { BatchedEnvironment } from "../../src/env/batch.js";
import type { CreateOptions, EnvironmentSpec } from "../../src/env/contract.js";
import { defineEnvironment } from "../../src/env/definition.js";
import { layout } from "../../src/env/features.js";
import { onlyFirst } from "../../src/env/spaces.js";

const OBS = 4;
/** First entry: rest, gather, hunt. Second: alone or together (together is masked when nobody else lives). */
const SIZES = [3, 2];
const GAIN = [0, 1, 3];

function describe(agents: number, stopProbability: number): EnvironmentSpec {
  return {
    id: "fixture/foragers_v0",
    groups: [
      {
        name: "foragers",
        agents: Array.from({ length: agents }, (_, i) => `forager_${i}`),
        obsSize: OBS,
        features: layout([
          { name: "danger", size: 1, low: 0, high: 1 },
          { name: "health", size: 1, low: 0, high: 1 },
          { name: "living", size: 1, low: 0, high: agents },
          { name: "one", size: 1, kind: "id", low: 0, high: 1 },
        ]),
        action: { kind: "multi-discrete", sizes: SIZES },
        hasActionMask: true,
      },
    ],
    stateSize: 0,
    stateFeatures: [],
    maxSteps: stopProbability > 0 ? null : 50,
    turnBased: false,
    episodeMetrics: ["survivors"],
    capabilities: { saveState: true, frames: false },
  };
}

/** See `foragers`. */
class Foragers extends BatchedEnvironment {
  readonly #agents: number;
  readonly #stopProbability: number;
  /** [E] in [0, 1] */
  readonly #danger: NdArray<"float64">;
  /** [E, n] in [0, 1] */
  readonly #health: NdArray<"float64">;

  constructor(agents: number, stopProbability: number, options: CreateOptions) {
    super(describe(agents, stopProbability), options);
    this.#agents = agents;
    this.#stopProbability = stopProbability;
    this.#danger = zeros("float64", [this.copies]);
    this.#health = zeros("float64", [this.copies, agents]);
  }

  protected override startEpisode(e: number): void {
    const n = this.#agents;
    this.#danger.data[e] = this.streams[e].reset.uniform();
    for (let i = 0; i < n; i++) this.#health.data[e * n + i] = 1 - 0.3 * this.streams[e].reset.uniform();
  }

  protected override advance(): void {
    const n = this.#agents;
    const { action, reward, alive, acting } = this.groups[0];
    for (let e = 0; e < this.copies; e++) {
      const { dynamics } = this.streams[e];
      for (let i = 0; i < n; i++) {
        const row = e * n + i;
        reward[row] = 0;
        if (alive[row] === 0) continue;
        const effort = action[2 * row];
        const together = action[2 * row + 1];
        reward[row] = GAIN[effort] * (together === 1 ? 0.75 : 1);
        // Resting heals, effort hurts, company halves the harm.
        const harm = effort * this.#danger.data[e] * (together === 1 ? 0.1 : 0.2);
        this.#health.data[row] = Math.min(1, this.#health.data[row] + (effort === 0 ? 0.1 : -harm));
        if (this.#health.data[row] <= 0 || dynamics.uniform() < 0.05 * effort * this.#danger.data[e]) {
          alive[row] = 0;
          acting[row] = 0;
        }
      }
      this.#danger.data[e] = Math.min(1, Math.max(0, this.#danger.data[e] + dynamics.uniformIn(-0.2, 0.2)));
      if (this.#living(e) === 0 || dynamics.uniform() < this.#stopProbability) this.terminated[e] = 1;
    }
  }

  #living(e: number): number {
    let count = 0;
    for (let i = 0; i < this.#agents; i++) count += this.groups[0].alive[e * this.#agents + i];
    return count;
  }

  protected override observe(from: number, to: number): void {
    const n = this.#agents;
    const { obs, actionMask, alive } = this.groups[0];
    const { action } = this.spec.groups[0];
    for (let e = from; e < to; e++) {
      const living = this.#living(e);
      for (let row = e * n; row < (e + 1) * n; row++) {
        if (alive[row] === 0) {
          obs.fill(0, row * OBS, (row + 1) * OBS);
          onlyFirst(action, actionMask!, row * 5);
        } else {
          obs.set([this.#danger.data[e], Math.max(0, this.#health.data[row]), living, 1], row * OBS);
          actionMask!.set([1, 1, 1, 1, living > 1 ? 1 : 0], row * 5);
        }
      }
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { danger: this.#danger, health: this.#health };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#living(e);
  }
}

/**
 * Agents that die, and an end that comes at random: foragers rest (0), gather (1 point) or hunt (3 points), alone or
 * together (a quarter less, half the harm). Effort in danger costs health and may kill at once. The episode ends
 * when nobody lives, or with `stopProbability` after any step; with `stopProbability` 0 after 50 steps at the latest.
 *
 * Proves: deaths inside an episode, random termination, chance in the dynamics, multi-discrete actions with masks.
 * Known: while anyone lives and p = stopProbability > 0, an episode's expected length is at most 1/p; always resting,
 * it is exactly 1/p and the return is 0.
 */
export const foragers = defineEnvironment({
  id: "fixture/foragers_v0",
  summary: "Foragers gather and die.",
  source: "own",
  parameters: {
    agents: z.int().min(1).default(3).describe("number of foragers"),
    stopProbability: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe("chance that the episode ends after a step"),
  },
  create: (p, options) => new Foragers(p.agents, p.stopProbability, options),
});
