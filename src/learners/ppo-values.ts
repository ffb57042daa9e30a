/** What PPO's critic thinks of the states of a rollout, before the update. Shapes as in ppo.ts. */
import { f32, type NdArray, ndarray, zeros } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import type { OnPolicyBuffer } from "../rollout/index.js";
import type { Program, Runtime } from "../runtime/index.js";
import type { Tensor } from "../tensor/index.js";
import { type PpoNetworks, sequenceValueGraph, valueGraph } from "./ppo-graph.js";

type ValueProgram = Program<Tree<NdArray>, Record<string, Tensor>>;

export class RolloutValues {
  /** [T+1, E, n] in their own units */
  readonly value: Float64Array;
  /** [T, E, n] of the states that truncated episodes ended in; valid at `cut` entries */
  readonly finalValue: Float64Array;
  /** [T·E, n or 1, H] what the critic remembered before each step; null: it has no memory */
  readonly memory: NdArray | null;
  /** What it remembers of the running episodes, from one rollout to the next; {} without memory. */
  carried: Tree<NdArray>;

  readonly #rows: ValueProgram;
  readonly #sequences: ValueProgram;
  /** values of a copy: one per agent, or one for all */
  readonly #width: number;

  constructor(
    runtime: Runtime,
    readonly networks: PpoNetworks,
    readonly buffer: OnPolicyBuffer,
  ) {
    const { steps, copies, agents: n } = buffer;
    const cells = steps * copies;
    this.#width = buffer.criticPerCopy ? 1 : n;
    this.value = new Float64Array((cells + copies) * n);
    this.finalValue = new Float64Array(cells * n);
    const H = networks.critic.stateSize;
    this.memory = H > 0 ? zeros("float32", [cells, this.#width, H]) : null;
    this.carried = H > 0 ? zeros("float32", [copies * this.#width, H]) : {};
    const freeRows = ["input", ...(networks.criticIds > 0 ? ["agent"] : []), ...(H > 0 ? ["state"] : [])];
    this.#rows = runtime.program<Tree<NdArray>, Record<string, Tensor>>(
      "ppo/values",
      (inputs) => valueGraph(networks, inputs as Record<string, Tensor>),
      { freeRows },
    );
    this.#sequences = runtime.program<Tree<NdArray>, Record<string, Tensor>>("ppo/sequenceValues", (inputs) =>
      sequenceValueGraph(networks, inputs as Record<string, Tensor>),
    );
  }

  /** Values of all states of the full buffer; `memory` and `carried` move on with them. */
  estimate(critic: NdArray, normalizer: Tree<NdArray>): void {
    const { buffer } = this;
    const { cut, agents: n } = buffer;
    const width = this.#width;
    const rows = (buffer.steps + 1) * buffer.copies * width;
    const feed = this.#feed(critic, normalizer, buffer.critic, rows);
    const after = this.memory === null ? null : this.#remember(feed);
    const value = after === null ? this.#rows.run(feed).value! : after.value;
    this.#write(value, this.value, (row) => Math.floor(row / width) * n + (width === n ? row % n : 0));
    if (cut.count === 0) return;
    const ends = cut.count * width;
    const last = this.#feed(critic, normalizer, cut.critic.subarray(0, ends * buffer.criticSize), ends);
    if (after !== null) last.state = this.#memoryAtCuts(after.memory);
    this.#write(
      this.#rows.run(last).value!,
      this.finalValue,
      (row) => cut.index[Math.floor(row / width)]! * n + (width === n ? row % n : 0),
    );
  }

  #feed(
    critic: NdArray,
    normalizer: Tree<NdArray>,
    input: Float32Array,
    rows: number,
  ): Record<string, Tree<NdArray>> {
    const { networks } = this;
    const { agents } = networks;
    const feed: Record<string, Tree<NdArray>> = {
      critic,
      normalizer,
      input: f32([rows, networks.criticSize], input),
    };
    if (networks.criticIds > 0) {
      const ids = Int32Array.from({ length: rows }, (_, r) => agents[r % agents.length]!);
      feed.agent = ndarray("int32", [rows], ids);
    }
    return feed;
  }

  /** One value per row; where agents share it, all of them get it. */
  #write(values: NdArray, out: Float64Array, at: (row: number) => number): void {
    const copies = this.buffer.agents / this.#width;
    const data = values.data as Float32Array;
    for (let r = 0; r < data.length; r++) {
      const k = at(r);
      for (let i = 0; i < copies; i++) out[k + i] = data[r]!;
    }
  }

  /** Through the rollout, with a step more for the states reached. */
  #remember(feed: Record<string, Tree<NdArray>>): { value: NdArray; memory: Float32Array } {
    const { steps, copies, starts, terminated, truncated } = this.buffer;
    const width = this.#width;
    const sequences = copies * width;
    const flags = new Float32Array((steps + 1) * sequences);
    for (let row = 0; row < flags.length; row++) {
      const cell = Math.floor(row / width);
      const before = cell - copies;
      flags[row] = cell < starts.length ? starts[cell]! : terminated[before]! | truncated[before]!;
    }
    const { value, memory } = this.#sequences.run({
      ...feed,
      state: this.carried,
      starts: f32([steps + 1, sequences], flags),
    });
    const after = memory!.data as Float32Array;
    const size = sequences * this.networks.critic.stateSize;
    const before = this.memory!.data as Float32Array;
    before.set((this.carried as NdArray<"float32">).data);
    before.set(after.subarray(0, (steps - 1) * size), size);
    const next = after.slice((steps - 1) * size, steps * size);
    this.#forget(next);
    this.carried = f32([sequences, this.networks.critic.stateSize], next);
    return { value: value!, memory: after };
  }

  /** Of episodes that are not the learner's nothing is kept. */
  #forget(carried: Float32Array): void {
    const { steps, copies, agents: n, criticWeight } = this.buffer;
    const H = this.networks.critic.stateSize;
    const share = n / this.#width;
    for (let r = 0; r < copies * this.#width; r++) {
      const last = (steps - 1) * copies * n + r * share;
      if (criticWeight.subarray(last, last + share).every((w) => w === 0))
        carried.fill(0, r * H, (r + 1) * H);
    }
  }

  /** What was remembered when episodes were cut: the memory after the step, before it is zeroed. */
  #memoryAtCuts(after: Float32Array): NdArray {
    const { cut } = this.buffer;
    const H = this.networks.critic.stateSize;
    const size = this.#width * H;
    const out = new Float32Array(cut.count * size);
    for (let k = 0; k < cut.count; k++) {
      const cell = cut.index[k]!;
      out.set(after.subarray(cell * size, (cell + 1) * size), k * size);
    }
    return f32([cut.count * this.#width, H], out);
  }
}
