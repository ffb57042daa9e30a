/**
 * What every batched environment does in the same way: arrays, streams, step counters, the list of ended copies,
 * same-step reset, saving. An environment extends `BatchedEnvironment` and supplies the game.
 */
import { type NdArray, ndarray, sizeOf } from "../core/array.js";
import { formatShape, internalError, UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { flattenTree, mapTree } from "../core/tree.js";
import type { ExactModel } from "../games/model.js";
import { Concatenation } from "./concatenation.js";
import type {
  CreateOptions,
  EndedCopies,
  Environment,
  EnvironmentSpec,
  EnvironmentState,
  Frame,
  GroupArrays,
} from "./contract.js";
import { actionSize, maskSize, validateActions } from "./spaces.js";

/** The random streams of one copy: who draws what must not disturb anyone else. */
export interface CopyStreams {
  /** initial states */
  readonly reset: RandomStream;
  /** chance inside the dynamics */
  readonly dynamics: RandomStream;
  /** scripted opponents */
  readonly opponent: RandomStream;
}

const STREAM_NAMES = ["reset", "dynamics", "opponent"] as const;
const WORDS = 4;

/** Fresh arrays of every group: zero, all agents alive and acting, everything allowed. */
export function allocateGroups(spec: EnvironmentSpec, copies: number): GroupArrays[] {
  return spec.groups.map((group) => {
    const rows = copies * group.agents.length;
    const actions = rows * actionSize(group.action);
    return {
      obs: new Float32Array(rows * group.obsSize),
      actionMask: group.hasActionMask ? new Uint8Array(rows * maskSize(group.action)).fill(1) : null,
      action: group.action.kind === "box" ? new Float32Array(actions) : new Int32Array(actions),
      reward: new Float64Array(rows),
      alive: new Uint8Array(rows).fill(1),
      acting: new Uint8Array(rows).fill(1),
    };
  });
}

/**
 * Base of batched environments. A subclass keeps the hidden state of all copies in typed arrays and implements
 * `startEpisode`, `advance`, `observe` and `hiddenState`; optionally `writeMetrics`, `draw` and `release`.
 *
 * A step runs: validate actions → count → `advance` → limit → `observe` all → record ended copies → restart them.
 */
export abstract class BatchedEnvironment implements Environment {
  readonly spec: EnvironmentSpec;
  readonly copies: number;
  readonly groups: readonly GroupArrays[];
  readonly state: Float32Array;
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
  readonly ended: EndedCopies;
  readonly saveState?: () => EnvironmentState;
  readonly loadState?: (state: EnvironmentState) => void;
  readonly frame?: (copy: number) => Frame;
  readonly exactModel?: () => ExactModel;
  readonly modelState?: (copy: number) => number;

  /** [E] steps of the running episode, the present one included while `advance` runs */
  protected readonly elapsed: Int32Array;
  /** [E] streams of every copy */
  protected readonly streams: readonly CopyStreams[];

  readonly #streamWords: Uint32Array;
  readonly #concatenation: Concatenation;
  readonly #keepFrames: boolean;
  readonly #fingerprint: number;
  #started = false;
  #closed = false;

  /**
   * @param shareState the global state is the only group's observations one after the other: `state` is then the
   *   same memory as `groups[0].obs` and costs nothing
   * @throws UserError if `copies` is not an integer ≥ 1
   */
  constructor(spec: EnvironmentSpec, options: CreateOptions, shareState = false) {
    const { copies } = options;
    if (!Number.isInteger(copies) || copies < 1) {
      throw new UserError(`${spec.id}, copies: got ${copies}, expected an integer ≥ 1.`);
    }
    this.spec = spec;
    this.copies = copies;
    this.groups = allocateGroups(spec, copies);
    const lastObs = spec.groups.map((g) => new Float32Array(copies * g.agents.length * g.obsSize));
    this.state = shareState ? this.groups[0].obs : new Float32Array(copies * spec.stateSize);
    this.#concatenation = new Concatenation(spec, this.groups, this.state);
    this.terminated = new Uint8Array(copies);
    this.truncated = new Uint8Array(copies);
    this.ended = {
      count: 0,
      copies: new Int32Array(copies),
      obs: lastObs,
      state: shareState ? lastObs[0] : new Float32Array(copies * spec.stateSize),
      metrics: new Float64Array(copies * spec.episodeMetrics.length),
      frames: Array<Frame | null>(copies).fill(null),
    };
    this.elapsed = new Int32Array(copies);
    this.#streamWords = new Uint32Array(copies * STREAM_NAMES.length * WORDS);
    this.streams = Array.from({ length: copies }, (_, e) => {
      const stream = (k: number) => {
        const start = (e * STREAM_NAMES.length + k) * WORDS;
        return new RandomStream(this.#streamWords.subarray(start, start + WORDS));
      };
      return { reset: stream(0), dynamics: stream(1), opponent: stream(2) };
    });
    this.#keepFrames = options.keepFinalFrames === true && spec.capabilities.frames;
    this.#fingerprint = fingerprint(spec);
    if (spec.capabilities.saveState) {
      this.saveState = () => this.#save();
      this.loadState = (state) => this.#load(state);
    }
    if (spec.capabilities.frames) {
      this.frame = (copy) => {
        this.#assertCopy("frame", copy);
        return this.draw(copy);
      };
    }
    if (spec.capabilities.exactModel === true) {
      let model: ExactModel | undefined;
      this.exactModel = () => {
        model ??= this.buildModel();
        return model;
      };
      this.modelState = (copy) => {
        this.#assertCopy("modelState", copy);
        return this.locate(copy);
      };
    }
  }

  /** Draw a new initial state of copy e from `streams[e].reset`, `alive` and `acting` included; not `obs`. */
  protected abstract startEpisode(e: number): void;

  /**
   * Move every copy on by one step with the (validated) actions; write `reward` and `terminated`, and `alive` and
   * `acting` where they change; not `obs`. Truncation at `spec.maxSteps` is added afterwards where the copy did not terminate;
   * other limits may be written to `truncated` here.
   */
  protected abstract advance(): void;

  /** Write `obs`, `state` and `actionMask` of copies [from, to) from the hidden state. */
  protected abstract observe(from: number, to: number): void;

  /** The live arrays (not copies) that hold the hidden state; together with the streams they determine the future. */
  protected abstract hiddenState(): Record<string, NdArray>;

  /** Called before `hiddenState` is copied out: bring it up to date if it is not kept so. */
  protected beforeSave(): void {}

  /** Called after `hiddenState` was overwritten, before `observe`. */
  protected afterLoad(): void {}

  /** Write the metrics of copy e, whose episode just ended, to out[offset …] in the order of `spec.episodeMetrics`. */
  protected writeMetrics(_e: number, _out: Float64Array, _offset: number): void {}

  /** With the capability `exactModel`: the whole game, from the rules that `advance` follows. */
  protected buildModel(): ExactModel {
    throw internalError(`${this.spec.id} declares an exact model but builds none`);
  }

  /** With the capability `exactModel`: where in the model copy e is. */
  protected locate(_e: number): number {
    throw internalError(`${this.spec.id} declares an exact model but locates no copy`);
  }

  /** The picture of copy e. */
  protected draw(_e: number): Frame {
    return { shapes: [], captions: [] };
  }

  /**
   * Write the global state of copies [from, to) as `concatenatedObsFeatures` declares it: the observations of all
   * agents, groups and agents in order. For `observe`, after `obs`.
   */
  protected concatenateObs(from: number, to: number): void {
    this.#concatenation.copy(from, to);
  }

  /** Called once by the first `close`. */
  protected release(): void {}

  reset(seed: number, first = 0): void {
    this.#assertOpen("reset()");
    for (const [name, value] of [
      ["seed", seed],
      ["first", first],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new UserError(`${this.spec.id}, reset, ${name}: got ${value}, expected an integer ≥ 0.`);
      }
    }
    for (let e = 0; e < this.copies; e++) {
      for (const name of STREAM_NAMES) this.streams[e][name].reseed(seed, "environment", first + e, name);
      this.#begin(e);
    }
    this.observe(0, this.copies);
    this.#clearStep();
    this.#started = true;
  }

  step(): void {
    this.#assertOpen("step()");
    if (!this.#started)
      throw new UserError(`${this.spec.id}: step() before reset(). Call reset(seed) first.`);
    const { copies, elapsed, terminated, truncated, ended, spec } = this;
    validateActions(spec.id, spec.groups, this.groups, copies);
    terminated.fill(0);
    truncated.fill(0);
    for (let e = 0; e < copies; e++) elapsed[e]++;
    this.advance();
    const limit = spec.maxSteps ?? Number.POSITIVE_INFINITY;
    let count = 0;
    for (let e = 0; e < copies; e++) {
      if (elapsed[e] >= limit && terminated[e] === 0) truncated[e] = 1;
      if ((terminated[e] | truncated[e]) === 1) ended.copies[count++] = e;
    }
    ended.count = count;
    this.observe(0, copies);
    for (let row = 0; row < count; row++) this.#restart(ended.copies[row], row);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.release();
  }

  #assertCopy(call: string, copy: number): void {
    if (!Number.isInteger(copy) || copy < 0 || copy >= this.copies) {
      throw new UserError(
        `${this.spec.id}, ${call} of copy ${copy}: expected an integer in [0, ${this.copies}).`,
      );
    }
  }

  #assertOpen(call: string): void {
    if (this.#closed)
      throw new UserError(`${this.spec.id}: ${call} after close(). Create a new environment.`);
  }

  #begin(e: number): void {
    this.elapsed[e] = 0;
    for (let g = 0; g < this.groups.length; g++) {
      const n = this.spec.groups[g].agents.length;
      this.groups[g].alive.fill(1, e * n, (e + 1) * n);
      this.groups[g].acting.fill(1, e * n, (e + 1) * n);
    }
    this.startEpisode(e);
  }

  /** Keep what copy e showed last in row `row` of `ended`, then begin its next episode. */
  #restart(e: number, row: number): void {
    const { ended, spec } = this;
    for (let g = 0; g < this.groups.length; g++) {
      const width = spec.groups[g].agents.length * spec.groups[g].obsSize;
      copyRow(this.groups[g].obs, e, ended.obs[g], row, width);
    }
    if (ended.state !== ended.obs[0]) copyRow(this.state, e, ended.state, row, spec.stateSize);
    this.writeMetrics(e, ended.metrics, row * spec.episodeMetrics.length);
    if (this.#keepFrames) ended.frames[row] = this.draw(e);
    this.#begin(e);
    this.observe(e, e + 1);
  }

  #clearStep(): void {
    for (const group of this.groups) group.reward.fill(0);
    this.terminated.fill(0);
    this.truncated.fill(0);
    this.ended.count = 0;
  }

  /** Everything that determines the future, as live arrays. */
  #liveState(): Record<string, NdArray> {
    const words = new Int32Array(this.#streamWords.buffer);
    const out: Record<string, NdArray> = {
      "environment.streams": ndarray("int32", [this.copies, STREAM_NAMES.length, WORDS], words),
      "environment.elapsed": ndarray("int32", [this.copies], this.elapsed),
      ...this.hiddenState(),
    };
    this.groups.forEach((group, g) => {
      const shape = [this.copies, this.spec.groups[g].agents.length];
      out[`environment.alive.${g}`] = ndarray("bool", shape, group.alive);
      out[`environment.acting.${g}`] = ndarray("bool", shape, group.acting);
    });
    return out;
  }

  #save(): EnvironmentState {
    if (!this.#started)
      throw new UserError(`${this.spec.id}: saveState() before reset(). Call reset(seed) first.`);
    this.beforeSave();
    const id = ndarray("int32", [1], Int32Array.of(this.#fingerprint));
    return mapTree<NdArray, NdArray>(
      { "environment.fingerprint": id, ...this.#liveState() },
      (leaf) => ({ ...leaf, data: leaf.data.slice() }) as NdArray,
    );
  }

  #load(state: EnvironmentState): void {
    const given = new Map(flattenTree(state));
    if (given.get("environment.fingerprint")?.data[0] !== this.#fingerprint) {
      throw new UserError(
        `${this.spec.id}, loadState: the state is of another environment or of other agents, spaces or limits.`,
      );
    }
    const live = Object.entries(this.#liveState());
    for (const [name, { shape, dtype }] of live) {
      const leaf = given.get(name);
      const found = leaf === undefined ? "nothing" : `${leaf.dtype} ${formatShape(leaf.shape)}`;
      const expected = `${dtype} ${formatShape(shape)}`;
      if (leaf === undefined || found !== expected || leaf.data.length !== sizeOf(shape)) {
        throw new UserError(`${this.spec.id}, loadState, "${name}": got ${found}, expected ${expected}.`);
      }
    }
    for (const [name, leaf] of live) (leaf.data as Float64Array).set(given.get(name)!.data as Float64Array);
    this.afterLoad();
    this.observe(0, this.copies);
    this.#clearStep();
    this.#started = true;
  }
}

function copyRow(from: Float32Array, fromRow: number, to: Float32Array, toRow: number, width: number): void {
  const source = fromRow * width;
  const target = toRow * width;
  for (let k = 0; k < width; k++) to[target + k] = from[source + k];
}

/** 32-bit FNV-1a of what a saved state must agree on: id, groups, sizes, limit. */
function fingerprint(spec: EnvironmentSpec): number {
  const groups = spec.groups.map((g) => [g.name, g.agents, g.obsSize, g.action]);
  const text = JSON.stringify([spec.id, groups, spec.stateSize, spec.maxSteps]);
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h | 0;
}
