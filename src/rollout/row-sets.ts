/**
 * Rows of one actor in one group: which (copy, agent) pairs it acts for, with buffers to gather them into. A set that
 * covers the whole group works on the group's own arrays and copies nothing.
 */
import { allocate, cloneArray, type NdArray, sizeOf } from "../core/array.js";
import type { RandomStream } from "../core/random.js";
import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import type { GroupSpec } from "../env/contract.js";
import { actionSize, maskSize } from "../env/index.js";
import type { ActBatch, Actor } from "../policy/actor.js";
import { gather, type Numbers, scatter } from "./rows.js";

/** One group's arrays at the time of acting. */
export interface ActArrays {
  readonly seen: Float32Array;
  readonly actionMask: Uint8Array | null;
  readonly action: Int32Array | Float32Array;
  readonly logProb: Float32Array;
}

export class RowSet {
  /** [E·n] rows (copy · n + agent) in ascending order; the first `count` are valid */
  readonly rows: Int32Array;
  count = 0;
  /** carried state of every row of the group, the actor's or not; leaves [E·n, …] */
  readonly state: Tree<NdArray>;
  /** the same as it was before the last `act`, of any actor: see `keepState` */
  readonly stateBefore: Tree<NdArray>;

  /** leaves of `state` and of `stateBefore`, numbers per row of each, one row of each at the start of an episode */
  readonly #leaves: NdArray[];
  readonly #before: NdArray[];
  readonly #widths: number[];
  readonly #fresh: NdArray[];
  readonly #obsSize: number;
  readonly #maskSize: number;
  readonly #actionSize: number;
  readonly #total: number;
  readonly #agents: number;
  readonly #buffers: {
    obs: Float32Array;
    mask: Uint8Array | null;
    agent: Int32Array;
    action: Int32Array | Float32Array;
    logProb: Float32Array;
  };
  readonly #stateBuffers: NdArray[];
  /** leaves of the batch's state, cut to its rows */
  #parts: NdArray[] = [];
  readonly #streamOfRow: readonly RandomStream[];
  #batch: ActBatch | null = null;
  #direct = false;

  constructor(
    readonly actor: Actor,
    readonly group: number,
    spec: GroupSpec,
    copies: number,
    streamOfRow: readonly RandomStream[],
  ) {
    const total = copies * spec.agents.length;
    this.#total = total;
    this.#agents = spec.agents.length;
    this.#obsSize = spec.obsSize;
    this.#maskSize = spec.hasActionMask ? maskSize(spec.action) : 0;
    this.#actionSize = actionSize(spec.action);
    this.#streamOfRow = streamOfRow;
    this.rows = new Int32Array(total);
    const box = spec.action.kind === "box";
    this.#buffers = {
      obs: new Float32Array(total * spec.obsSize),
      mask: spec.hasActionMask ? new Uint8Array(total * this.#maskSize) : null,
      agent: new Int32Array(total),
      action: box ? new Float32Array(total * this.#actionSize) : new Int32Array(total * this.#actionSize),
      logProb: new Float32Array(total),
    };
    this.state = actor.initialState(total);
    this.stateBefore = mapTree<NdArray, NdArray>(this.state, cloneArray);
    this.#leaves = flattenTree(this.state).map(([, leaf]) => leaf);
    this.#before = flattenTree(this.stateBefore).map(([, leaf]) => leaf);
    this.#widths = this.#leaves.map((leaf) => sizeOf(leaf.shape) / total);
    this.#fresh = flattenTree(actor.initialState(1)).map(([, leaf]) => leaf);
    this.#stateBuffers = this.#leaves.map((leaf) => ({
      ...leaf,
      data: allocate(leaf.dtype, sizeOf(leaf.shape)),
    }));
  }

  /** Whether the actor carries anything from step to step. */
  get hasState(): boolean {
    return this.#leaves.length > 0;
  }

  /** Remember the state that the actor is about to choose from. */
  keepState(): void {
    for (let i = 0; i < this.#leaves.length; i++) numbers(this.#before[i]!).set(numbers(this.#leaves[i]!));
  }

  /**
   * The carried state of some rows, as a copy that is valid until the next call or `act`.
   * @param rows the first `count` count
   * @returns leaves [count, …]
   */
  stateOf(rows: Int32Array, count: number): Tree<NdArray> {
    if (!this.hasState) return this.state;
    const parts = this.#cut(count);
    parts.forEach((part, i) => {
      gather(numbers(this.#leaves[i]!), numbers(part), rows, count, this.#widths[i]!);
    });
    return this.#treeOf(parts);
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** The rows changed: cut the buffers anew. */
  refresh(arrays: ActArrays): void {
    const { count } = this;
    this.#direct = count === this.#total;
    if (count === 0) {
      this.#batch = null;
      return;
    }
    const { obs, mask, agent, action, logProb } = this.#buffers;
    for (let r = 0; r < count; r++) agent[r] = this.rows[r]! % this.#agents;
    const streams = this.#direct
      ? this.#streamOfRow
      : Array.from({ length: count }, (_, r) => this.#streamOfRow[this.rows[r]!]!);
    const common = { rows: count, agent: agent.subarray(0, count), streams };
    if (this.#direct) {
      this.#batch = {
        ...common,
        obs: arrays.seen,
        actionMask: arrays.actionMask,
        action: arrays.action,
        logProb: arrays.logProb,
        state: this.state,
      };
      return;
    }
    this.#parts = this.#cut(count);
    this.#batch = {
      ...common,
      obs: obs.subarray(0, count * this.#obsSize),
      actionMask: mask === null ? null : mask.subarray(0, count * this.#maskSize),
      action: action.subarray(0, count * this.#actionSize),
      logProb: logProb.subarray(0, count),
      state: this.#treeOf(this.#parts),
    };
  }

  /** The buffers of the state, cut to `count` rows. */
  #cut(count: number): NdArray[] {
    return this.#leaves.map(({ dtype, shape }, i) => {
      const data = this.#stateBuffers[i]!.data.subarray(0, count * this.#widths[i]!);
      return { dtype, shape: [count, ...shape.slice(1)], data } as NdArray;
    });
  }

  /** Leaves in order as the tree that they belong to. */
  #treeOf(leaves: readonly NdArray[]): Tree<NdArray> {
    let leaf = 0;
    return mapTree(this.state, () => leaves[leaf++]!);
  }

  /** Gather, act, scatter. */
  act(arrays: ActArrays): void {
    const batch = this.#batch;
    if (batch === null) return;
    if (this.#direct) {
      this.actor.act(batch);
      return;
    }
    const { count, rows } = this;
    gather(arrays.seen, batch.obs, rows, count, this.#obsSize);
    if (batch.actionMask !== null) gather(arrays.actionMask!, batch.actionMask, rows, count, this.#maskSize);
    this.#parts.forEach((part, i) => {
      gather(numbers(this.#leaves[i]!), numbers(part), rows, count, this.#widths[i]!);
    });
    this.actor.act(batch);
    scatter(batch.action, arrays.action, rows, count, this.#actionSize);
    scatter(batch.logProb, arrays.logProb, rows, count, 1);
    this.#parts.forEach((part, i) => {
      scatter(numbers(part), numbers(this.#leaves[i]!), rows, count, this.#widths[i]!);
    });
  }

  /** The carried state of one copy's agents starts anew. */
  restart(copy: number): void {
    this.#leaves.forEach((leaf, i) => {
      for (let a = 0; a < this.#agents; a++) {
        numbers(leaf).set(numbers(this.#fresh[i]!), (copy * this.#agents + a) * this.#widths[i]!);
      }
    });
  }
}

/** Carried state is of numbers, whatever their type. */
const numbers = (leaf: NdArray) => leaf.data as Numbers;
