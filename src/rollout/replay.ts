/**
 * Replays for off-policy learners: single transitions, and whole episodes. Neither keeps what a recurrent policy
 * carries: such a policy learns from whole episodes, which begin with its initial state.
 */
import { type DType, type NdArray, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import { isLeaf, type Tree } from "../core/tree.js";
import type { Environment } from "../env/contract.js";
import { actionSize, maskSize } from "../env/index.js";
import { copyRow, type Numbers } from "./rows.js";
import type { Recorder, StepView } from "./types.js";

/** Rows of a replay are time steps of one copy; every field is [rows, …] over all n agents of a group. */
export interface TransitionArrays {
  /** [rows, n, O] what the policies saw */
  readonly obs: Float32Array;
  /** [rows, n, O] observations after the step, before any reset; clean */
  readonly nextObs: Float32Array;
  /** [rows, n, A] or null, at the action and after it */
  readonly actionMask: Uint8Array | null;
  readonly nextActionMask: Uint8Array | null;
  /** [rows, n] or [rows, n, D] executed actions */
  readonly action: Int32Array | Float32Array;
  /** [rows, n] */
  readonly reward: Float64Array;
  /** [rows] 1 where the task ended: no value beyond */
  readonly terminated: Uint8Array;
  /** [rows, S] global state before and after; empty if the environment declares none */
  readonly state: Float32Array;
  readonly nextState: Float32Array;
  /** [rows, n] 1 where the agent lived and its action counted */
  readonly acting: Uint8Array;
  /** [rows, n] 1 where an adversary's action was executed */
  readonly controlled: Uint8Array;
}

/** The widths of one group's fields, and how to write a row of them. */
class TransitionTable {
  readonly arrays: TransitionArrays;
  readonly n: number;
  readonly O: number;
  readonly A: number;
  readonly D: number;
  readonly S: number;

  constructor(
    readonly environment: Environment,
    readonly group: number,
    readonly rows: number,
  ) {
    const spec = environment.spec.groups[group]!;
    this.n = spec.agents.length;
    this.O = spec.obsSize;
    this.A = spec.hasActionMask ? maskSize(spec.action) : 0;
    this.D = actionSize(spec.action);
    this.S = environment.spec.stateSize;
    const { n, O, A, D, S } = this;
    const mask = () => (A > 0 ? new Uint8Array(rows * n * A) : null);
    this.arrays = {
      obs: new Float32Array(rows * n * O),
      nextObs: new Float32Array(rows * n * O),
      actionMask: mask(),
      nextActionMask: mask(),
      action: spec.action.kind === "box" ? new Float32Array(rows * n * D) : new Int32Array(rows * n * D),
      reward: new Float64Array(rows * n),
      terminated: new Uint8Array(rows),
      state: new Float32Array(rows * S),
      nextState: new Float32Array(rows * S),
      acting: new Uint8Array(rows * n),
      controlled: new Uint8Array(rows * n),
    };
  }

  /** Copies of all fields by name. */
  saveState(): Record<string, NdArray> {
    return Object.fromEntries(this.#fields().map(([name, data]) => [name, arrayOf(data.slice() as Numbers)]));
  }

  /** The assignments that `saved` asks for, once it is known that all of them fit. */
  checked(saved: Tree<NdArray> | undefined, place: string): Assignment[] {
    return this.#fields().map(([name, data]) => [data, fieldOf(saved, name, data, place)]);
  }

  #fields(): [name: string, data: Numbers][] {
    return Object.entries(this.arrays).filter((field): field is [string, Numbers] => field[1] !== null);
  }

  /** The part of copy e that is known when the actions are chosen. */
  writeAct(view: StepView, e: number, row: number): void {
    const { arrays, n, O, A, D, S } = this;
    const step = view.groups[this.group]!;
    copyRow(step.seen, e, arrays.obs, row, n * O);
    if (A > 0) copyRow(step.actionMask!, e, arrays.actionMask!, row, n * A);
    copyRow(step.action, e, arrays.action, row, n * D);
    copyRow(view.environment.state, e, arrays.state, row, S);
    for (let i = 0; i < n; i++) {
      arrays.acting[row * n + i] = step.acting[e * n + i]! & step.alive[e * n + i]!;
      arrays.controlled[row * n + i] = step.controlled[e * n + i]!;
    }
  }

  /** The part known after the step; `endedRow` ≥ 0 where the copy ended. */
  writeOutcome(view: StepView, e: number, row: number, endedRow: number): void {
    const { arrays, n, O, A, S } = this;
    const { environment } = view;
    const group = environment.groups[this.group]!;
    copyRow(group.reward, e, arrays.reward, row, n);
    arrays.terminated[row] = environment.terminated[e]!;
    if (endedRow >= 0) {
      copyRow(environment.ended.obs[this.group]!, endedRow, arrays.nextObs, row, n * O);
      copyRow(environment.ended.state, endedRow, arrays.nextState, row, S);
      // The last state's mask is gone with the reset: everything allowed, as targets there are cut or bootstrapped.
      if (A > 0) arrays.nextActionMask!.fill(1, row * n * A, (row + 1) * n * A);
      return;
    }
    copyRow(group.obs, e, arrays.nextObs, row, n * O);
    copyRow(environment.state, e, arrays.nextState, row, S);
    if (A > 0) copyRow(group.actionMask!, e, arrays.nextActionMask!, row, n * A);
  }
}

type Assignment = readonly [into: Numbers, from: Numbers];

function assign(assignments: readonly Assignment[]): void {
  for (const [into, from] of assignments) into.set(from);
}

function dtypeOf(data: Numbers): DType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  return data instanceof Int32Array ? "int32" : "bool";
}

const arrayOf = (data: Numbers) => ndarray(dtypeOf(data), [data.length], data as never);

/** @throws UserError unless `saved` has an array of that name, of the same type and length as `like` */
function fieldOf(saved: Tree<NdArray> | undefined, name: string, like: Numbers, place: string): Numbers {
  const leaf = saved === undefined || isLeaf(saved) ? undefined : saved[name];
  const array = leaf !== undefined && isLeaf(leaf) ? leaf : undefined;
  const expected = `${like.length} numbers of ${dtypeOf(like)}`;
  const got = array === undefined ? "nothing" : `${array.data.length} numbers of ${array.dtype}`;
  if (array === undefined || got !== expected) {
    throw new UserError(`${place} state, "${name}": got ${got}, expected ${expected}.`);
  }
  return array.data as Numbers;
}

/** Row of each copy in the list of ended copies, −1 where it goes on. */
function endedRows(environment: Environment, out: Int32Array): void {
  out.fill(-1);
  for (let r = 0; r < environment.ended.count; r++) out[environment.ended.copies[r]!] = r;
}

/** The last `capacity` transitions of one group, oldest overwritten first. */
export class TransitionReplay implements Recorder {
  readonly #table: TransitionTable;
  readonly #ended: Int32Array;
  #next = 0;
  #size = 0;

  /** @param capacity rows; at least the number of copies */
  constructor(
    environment: Environment,
    group: number,
    readonly capacity: number,
  ) {
    if (capacity < environment.copies) {
      throw new RangeError(
        `transition replay: got capacity ${capacity}, expected at least ${environment.copies} (one step)`,
      );
    }
    this.#table = new TransitionTable(environment, group, capacity);
    this.#ended = new Int32Array(environment.copies);
  }

  /** Rows filled so far. */
  get size(): number {
    return this.#size;
  }

  get arrays(): TransitionArrays {
    return this.#table.arrays;
  }

  onAct(view: StepView): void {
    for (let e = 0; e < this.#ended.length; e++)
      this.#table.writeAct(view, e, (this.#next + e) % this.capacity);
  }

  onOutcome(view: StepView): void {
    const E = this.#ended.length;
    endedRows(view.environment, this.#ended);
    for (let e = 0; e < E; e++)
      this.#table.writeOutcome(view, e, (this.#next + e) % this.capacity, this.#ended[e]!);
    this.#next = (this.#next + E) % this.capacity;
    this.#size = Math.min(this.capacity, this.#size + E);
  }

  saveState(): Tree<NdArray> {
    return { rows: this.#table.saveState(), counters: arrayOf(Int32Array.of(this.#next, this.#size)) };
  }

  /** @throws UserError if the state is of a replay of another size or group; nothing has changed then */
  loadState(saved: Tree<NdArray>): void {
    const place = "transition replay";
    const counters = fieldOf(saved, "counters", new Int32Array(2), place);
    assign(this.#table.checked((saved as Record<string, Tree<NdArray>>).rows, place));
    [this.#next, this.#size] = [counters[0]!, counters[1]!];
  }

  /** Uniformly random rows, with replacement. */
  sample(stream: RandomStream, rows: Int32Array): Int32Array {
    for (let i = 0; i < rows.length; i++) rows[i] = stream.int(this.#size);
    return rows;
  }
}

/** The last `capacity` finished episodes of one group, each in a block of `maxSteps` rows; oldest overwritten first. */
export class EpisodeReplay implements Recorder {
  readonly maxSteps: number;
  /** [capacity] length of each stored episode */
  readonly lengths: Int32Array;
  readonly #running: TransitionTable;
  readonly #stored: TransitionTable;
  readonly #ended: Int32Array;
  readonly #elapsed: Int32Array;
  #next = 0;
  #size = 0;

  /** @throws RangeError if nothing bounds the length of an episode */
  constructor(
    environment: Environment,
    group: number,
    readonly capacity: number,
  ) {
    const { maxSteps, id } = environment.spec;
    if (maxSteps === null) throw new RangeError(`episode replay: episodes of ${id} have no greatest length`);
    this.maxSteps = maxSteps;
    this.lengths = new Int32Array(capacity);
    this.#running = new TransitionTable(environment, group, environment.copies * maxSteps);
    this.#stored = new TransitionTable(environment, group, capacity * maxSteps);
    this.#ended = new Int32Array(environment.copies);
    this.#elapsed = new Int32Array(environment.copies);
  }

  /** Episodes stored. */
  get size(): number {
    return this.#size;
  }

  /** Row k·maxSteps + t is step t of episode k; valid below `lengths[k]`. */
  get arrays(): TransitionArrays {
    return this.#stored.arrays;
  }

  onReset(): void {
    this.#elapsed.fill(0);
  }

  onAct(view: StepView): void {
    for (let e = 0; e < this.#elapsed.length; e++) {
      this.#running.writeAct(view, e, e * this.maxSteps + this.#elapsed[e]!);
    }
  }

  onOutcome(view: StepView): void {
    endedRows(view.environment, this.#ended);
    for (let e = 0; e < this.#elapsed.length; e++) {
      const row = e * this.maxSteps + this.#elapsed[e]!;
      this.#running.writeOutcome(view, e, row, this.#ended[e]!);
      this.#elapsed[e]!++;
      if (this.#ended[e]! < 0) continue;
      this.#store(e, this.#elapsed[e]!);
      this.#elapsed[e] = 0;
    }
  }

  /** Running episodes included. */
  saveState(): Tree<NdArray> {
    return {
      running: this.#running.saveState(),
      stored: this.#stored.saveState(),
      lengths: arrayOf(this.lengths.slice()),
      elapsed: arrayOf(this.#elapsed.slice()),
      counters: arrayOf(Int32Array.of(this.#next, this.#size)),
    };
  }

  /** @throws UserError if the state is of a replay of another size or group; nothing has changed then */
  loadState(saved: Tree<NdArray>): void {
    const place = "episode replay";
    const { running, stored } = (isLeaf(saved) ? {} : saved) as Record<string, Tree<NdArray> | undefined>;
    const counters = fieldOf(saved, "counters", new Int32Array(2), place);
    assign([
      [this.lengths, fieldOf(saved, "lengths", this.lengths, place)],
      [this.#elapsed, fieldOf(saved, "elapsed", this.#elapsed, place)],
      ...this.#running.checked(running, place),
      ...this.#stored.checked(stored, place),
    ]);
    [this.#next, this.#size] = [counters[0]!, counters[1]!];
  }

  #store(e: number, length: number): void {
    const slot = this.#next;
    this.#next = (slot + 1) % this.capacity;
    this.#size = Math.min(this.capacity, this.#size + 1);
    this.lengths[slot] = length;
    const from = this.#running.arrays;
    const to = this.#stored.arrays;
    for (const key of Object.keys(from) as (keyof TransitionArrays)[]) {
      const source = from[key];
      const target = to[key];
      if (source === null || target === null) continue;
      const width = source.length / this.#running.rows;
      const start = e * this.maxSteps * width;
      (target as Float32Array).set(
        (source as Float32Array).subarray(start, start + length * width),
        slot * this.maxSteps * width,
      );
    }
  }
}
