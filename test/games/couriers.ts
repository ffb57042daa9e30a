import { z } from "zod";
import { type NdArray, zeros } from "../../src/core/array.js";
import { BatchedEnvironment } from "../../src/env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame } from "../../src/env/contract.js";
import { defineEnvironment } from "../../src/env/definition.js";
import { layout } from "../../src/env/features.js";

const COURIERS = 2;
const LOW = [-0.5, -1];
const HIGH = [1, 0.5];
/** The four possible places of the parcel. */
const PLACES = [
  [1, 1],
  [-1, 1],
  [-1, -1],
  [1, -1],
];

const spec: EnvironmentSpec = {
  id: "fixture/couriers_v0",
  groups: [
    {
      name: "dispatch",
      agents: ["dispatcher"],
      obsSize: 4,
      features: layout([{ name: "place", size: 4, kind: "one-hot", low: 0, high: 1 }]),
      action: { kind: "discrete", n: 4 },
      hasActionMask: false,
    },
    {
      name: "couriers",
      agents: ["courier_0", "courier_1"],
      obsSize: 7,
      features: layout([
        { name: "position", size: 2, low: -3, high: 3 },
        { name: "call", size: 4, kind: "one-hot", low: 0, high: 1 },
        { name: "number", size: 1, kind: "id", low: 0, high: COURIERS - 1 },
      ]),
      action: { kind: "box", low: LOW, high: HIGH },
      hasActionMask: false,
    },
  ],
  stateSize: 6,
  stateFeatures: layout([
    { name: "place", size: 2, low: -1, high: 1 },
    { name: "positions", size: 4, low: -3, high: 3 },
  ]),
  maxSteps: 8,
  turnBased: false,
  episodeMetrics: ["distance"],
  capabilities: { saveState: true, frames: true },
};

/** See `couriers`. */
class Couriers extends BatchedEnvironment {
  /** [E] */
  readonly #place = zeros("int32", [this.copies]);
  /** [E] last call; −1 before the first */
  readonly #call = zeros("int32", [this.copies]);
  /** [E, 2, 2] */
  readonly #position = zeros("float64", [this.copies, COURIERS, 2]);

  constructor(options: CreateOptions) {
    super(spec, options);
  }

  protected override startEpisode(e: number): void {
    const { reset } = this.streams[e];
    this.#place.data[e] = reset.int(4);
    this.#call.data[e] = -1;
    for (let k = 0; k < 4; k++) this.#position.data[4 * e + k] = reset.uniformIn(-1, 1);
  }

  protected override advance(): void {
    const [dispatch, couriers] = this.groups;
    for (let e = 0; e < this.copies; e++) {
      for (let k = 0; k < 4; k++) {
        const moved = this.#position.data[4 * e + k] + couriers.action[4 * e + k];
        this.#position.data[4 * e + k] = Math.min(Math.max(moved, -3), 3);
      }
      this.#call.data[e] = dispatch.action[e];
      const distances = [this.#distance(e, 0), this.#distance(e, 1)];
      couriers.reward[2 * e] = -distances[0];
      couriers.reward[2 * e + 1] = -distances[1];
      dispatch.reward[e] = -(distances[0] + distances[1]);
      if (Math.max(...distances) < 0.1) this.terminated[e] = 1;
    }
  }

  #distance(e: number, i: number): number {
    const [x, y] = PLACES[this.#place.data[e]];
    const at = 4 * e + 2 * i;
    return Math.sqrt((this.#position.data[at] - x) ** 2 + (this.#position.data[at + 1] - y) ** 2);
  }

  protected override observe(from: number, to: number): void {
    for (let e = from; e < to; e++) {
      const position = this.#position.data.subarray(4 * e, 4 * e + 4);
      for (let k = 0; k < 4; k++) this.groups[0].obs[4 * e + k] = this.#place.data[e] === k ? 1 : 0;
      for (let i = 0; i < COURIERS; i++) {
        const call = [0, 1, 2, 3].map((k) => (this.#call.data[e] === k ? 1 : 0));
        this.groups[1].obs.set([position[2 * i], position[2 * i + 1], ...call, i], (2 * e + i) * 7);
      }
      this.state.set([...PLACES[this.#place.data[e]], ...position], 6 * e);
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { place: this.#place, call: this.#call, position: this.#position };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#distance(e, 0) + this.#distance(e, 1);
  }

  protected override draw(e: number): Frame {
    const [x, y] = PLACES[this.#place.data[e]];
    const couriers = [0, 1].map((i) => ({
      kind: "circle" as const,
      x: this.#position.data[4 * e + 2 * i],
      y: this.#position.data[4 * e + 2 * i + 1],
      radius: 0.1,
      agent: `courier_${i}`,
      color: "steelblue",
      role: "agent" as const,
    }));
    const goal = { kind: "circle" as const, x, y, radius: 0.1, color: "seagreen", role: "goal" as const };
    return { shapes: [goal, ...couriers], captions: [] };
  }
}

/**
 * Unequal spaces: a dispatcher (4 numbers seen, discrete actions) calls out where the parcel is; two couriers
 * (7 numbers seen, box actions with other bounds in each dimension) fetch it. Courier i receives −distance, the
 * dispatcher the sum; the task ends when both are within 0.1.
 *
 * Proves: groups of different sizes and kinds of action, id features, global state, both ways to end.
 */
export const couriers = defineEnvironment({
  id: spec.id,
  summary: "A dispatcher calls, two couriers fetch.",
  source: "own",
  parameters: { name: z.string().default("couriers").describe("has no effect") },
  create: (_parameters, options) => new Couriers(options),
});
