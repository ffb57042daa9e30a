/**
 * The one loop that steps environments and applies threats:
 *
 *   cast → observe → [observation threat] → policies act → [control, action threat] → step → record
 *
 * Learners, attacks, defenses, evaluation and replays all run it; none re-implements it. Steps allocate nothing
 * beyond what actors and recorders allocate.
 */
import { cloneArray, type NdArray, ndarray } from "../core/array.js";
import { internalError, UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { flattenTree, isLeaf, mapTree, type Tree } from "../core/tree.js";
import type { Environment, EnvironmentSpec, EnvironmentState, GroupSpec } from "../env/contract.js";
import { actionSize } from "../env/index.js";
import type { Actor } from "../policy/actor.js";
import type { ObservationThreat } from "../threats/index.js";
import { PerturbStage } from "./perturb-stage.js";
import { RowSet } from "./row-sets.js";
import type { Numbers } from "./rows.js";
import { type Seats, seatsOf } from "./seats.js";
import type { CastFunction, Casting, GroupStep, Perturber, Recorder, StepView } from "./types.js";

export interface RolloutOptions {
  readonly environment: Environment;
  readonly actors: readonly Actor[];
  readonly cast: CastFunction;
  /** C, the width of `casting.context` (default 0) */
  readonly contextSize?: number;
  readonly seed: number;
  /** Name of this rollout's streams: rollouts of one seed with different names are independent. */
  readonly stream: string;
  /** How hijackers take over: one coin per copy and step for the whole set, or one per agent. */
  readonly hijack?: { readonly epsilon: number; readonly coin: "set" | "agent" };
  readonly perturb?: { readonly threat: ObservationThreat; readonly perturber: Perturber };
  readonly recorders: readonly Recorder[];
}

interface GroupBuffers {
  readonly spec: GroupSpec;
  readonly size: number;
  /** [n] bounds per action dimension as float32; null unless box */
  readonly bounds: { readonly low: Float32Array; readonly high: Float32Array } | null;
  readonly step: {
    -readonly [K in keyof GroupStep]: GroupStep[K];
  };
}

/** Streams per (copy, seat) and role, all words in one array so that saving is one copy. */
class StreamTable {
  readonly words: Uint32Array;
  readonly streams: readonly RandomStream[];

  constructor(count: number) {
    this.words = new Uint32Array(count * 4);
    this.streams = Array.from(
      { length: count },
      (_, i) => new RandomStream(this.words.subarray(4 * i, 4 * i + 4)),
    );
  }
}

export class Rollout {
  readonly environment: Environment;
  readonly spec: EnvironmentSpec;
  readonly seats: Seats;
  readonly view: StepView & { step: number; firstCopy: number };

  readonly #options: RolloutOptions;
  readonly #casting: Casting;
  readonly #episode: Int32Array;
  /** the row sets whose actors carry a state, and what the view shows of their episodes' starts */
  readonly #stateful: RowSet[];
  readonly #starts: Uint8Array | null;
  readonly #groups: GroupBuffers[];
  readonly #own: RowSet[];
  readonly #hijack: RowSet[];
  readonly #perturb: PerturbStage | null;
  /** [E·N] action draws of controllers and of hijackers: a seat draws the same whoever else is hijacked */
  readonly #ownStreams: StreamTable;
  readonly #hijackStreams: StreamTable;
  /** [E] coins, castings and perturbations */
  readonly #coinStreams: StreamTable;
  readonly #castStreams: StreamTable;
  readonly #perturbStreams: StreamTable;
  #started = false;

  constructor(options: RolloutOptions) {
    const { environment, actors } = options;
    this.#options = options;
    this.environment = environment;
    this.spec = environment.spec;
    this.seats = seatsOf(environment.spec);
    const E = environment.copies;
    const N = this.seats.count;
    const contextSize = options.contextSize ?? 0;
    this.#casting = {
      controller: new Int32Array(E * N),
      hijacker: new Int32Array(E * N).fill(-1),
      attackScale: new Float64Array(E).fill(1),
      context: new Float32Array(E * contextSize),
      contextSize,
    };
    this.#episode = new Int32Array(E);
    this.#ownStreams = new StreamTable(E * N);
    this.#hijackStreams = new StreamTable(options.hijack === undefined ? 0 : E * N);
    this.#coinStreams = new StreamTable(E);
    this.#castStreams = new StreamTable(E);
    this.#perturbStreams = new StreamTable(options.perturb === undefined ? 0 : E * N);
    const rowsOf = (table: StreamTable, g: number) => this.#streamsOfGroup(table, g);
    this.#own = actors.flatMap((actor) =>
      this.spec.groups.map((spec, g) => new RowSet(actor, g, spec, E, rowsOf(this.#ownStreams, g))),
    );
    this.#hijack =
      options.hijack === undefined
        ? []
        : actors.flatMap((actor) =>
            this.spec.groups.map((spec, g) => new RowSet(actor, g, spec, E, rowsOf(this.#hijackStreams, g))),
          );
    this.#stateful = [...this.#own, ...this.#hijack].filter((set) => set.hasState);
    this.#starts = this.#stateful.length > 0 ? new Uint8Array(E).fill(1) : null;
    this.#groups = this.spec.groups.map((spec, g) => this.#allocate(spec, g));
    this.#perturb =
      options.perturb === undefined
        ? null
        : new PerturbStage(
            environment,
            this.seats,
            options.perturb.threat,
            options.perturb.perturber,
            this.spec.groups.map((_, g) => rowsOf(this.#perturbStreams, g)),
          );
    this.view = {
      environment,
      spec: this.spec,
      step: 0,
      episode: this.#episode,
      starts: this.#starts,
      firstCopy: 0,
      casting: this.#casting,
      groups: this.#groups.map((g) => g.step),
    };
  }

  /**
   * New episodes in every copy, all streams from the start.
   * @param first index of copy 0 in the larger set of copies that share the seed
   */
  reset(first = 0): void {
    const { seed, stream } = this.#options;
    const N = this.seats.count;
    this.environment.reset(seed, first);
    this.view.step = 0;
    this.view.firstCopy = first;
    this.#episode.fill(0);
    this.#starts?.fill(1);
    for (const set of [...this.#own, ...this.#hijack]) {
      for (let e = 0; e < this.environment.copies; e++) set.restart(e);
    }
    for (let e = 0; e < this.environment.copies; e++) {
      this.#coinStreams.streams[e]!.reseed(seed, stream, "coin", first + e);
      this.#castStreams.streams[e]!.reseed(seed, stream, "casting", first + e);
      for (let seat = 0; seat < N; seat++) {
        this.#ownStreams.streams[e * N + seat]!.reseed(seed, stream, "action", first + e, seat);
        this.#hijackStreams.streams[e * N + seat]?.reseed(seed, stream, "hijack", first + e, seat);
        this.#perturbStreams.streams[e * N + seat]?.reseed(seed, stream, "perturb", first + e, seat);
      }
      this.#cast(e);
    }
    this.#recast();
    this.#started = true;
    for (const recorder of this.#options.recorders) recorder.onReset?.(this.view);
  }

  /** Take `steps` steps in every copy, resetting first if that has not happened. */
  run(steps: number): void {
    if (!this.#started) this.reset();
    for (let i = 0; i < steps; i++) this.step();
  }

  /** One step of every copy. */
  step(): void {
    const { environment, view } = this;
    const { recorders } = this.#options;
    for (const set of this.#stateful) set.keepState();
    this.#perturb?.apply(this.#own, this.#casting, view.groups, this.#coinStreams.streams);
    for (const set of this.#own) if (!set.isEmpty) set.act(actArrays(view.groups[set.group]!, "own"));
    for (const set of this.#hijack) if (!set.isEmpty) set.act(actArrays(view.groups[set.group]!, "hijack"));
    this.#execute();
    for (const recorder of recorders) recorder.onAct?.(view);
    environment.step();
    for (const recorder of recorders) recorder.onOutcome?.(view);
    view.step++;
    this.#starts?.fill(0);
    const { ended } = environment;
    if (ended.count === 0) return;
    for (let r = 0; r < ended.count; r++) {
      const copy = ended.copies[r]!;
      this.#episode[copy]!++;
      if (this.#starts !== null) this.#starts[copy] = 1;
      this.#cast(copy);
      for (const set of this.#own) set.restart(copy);
      for (const set of this.#hijack) set.restart(copy);
    }
    this.#recast();
  }

  /** Decide whose action is executed, and write it within its bounds. */
  #execute(): void {
    const { epsilon, coin } = this.#options.hijack ?? { epsilon: 0, coin: "set" };
    const E = this.environment.copies;
    const N = this.seats.count;
    const { hijacker } = this.#casting;
    for (let g = 0; g < this.#groups.length; g++) {
      const { step, size, bounds } = this.#groups[g]!;
      const { action, own, acting, controlled } = step;
      const rows = acting.length;
      controlled.fill(0);
      for (let row = 0, k = 0; row < rows; row++) {
        const acts = acting[row] === 1;
        for (let d = 0; d < size; d++, k++) {
          const chosen = acts ? own.action[k]! : 0;
          action[k] = bounds === null ? chosen : within(chosen, bounds, d);
        }
      }
    }
    if (this.#hijack.length === 0) return;
    for (let e = 0; e < E; e++) {
      const stream = this.#coinStreams.streams[e]!;
      // One coin for the whole set, drawn whether or not anyone is hijacked in this copy.
      const setFalls = coin === "set" && stream.uniform() < epsilon;
      for (let seat = 0; seat < N; seat++) {
        const falls = coin === "set" ? setFalls : stream.uniform() < epsilon;
        if (!falls || hijacker[e * N + seat]! < 0) continue;
        const g = this.seats.group[seat]!;
        const { step, size, bounds, spec } = this.#groups[g]!;
        const row = e * spec.agents.length + this.seats.indexInGroup[seat]!;
        if (step.acting[row] === 0) continue;
        step.controlled[row] = 1;
        const proposal = step.hijack!.action;
        for (let d = 0, k = row * size; d < size; d++, k++) {
          step.action[k] = bounds === null ? proposal[k]! : within(proposal[k]!, bounds, d);
        }
      }
    }
  }

  #cast(copy: number): void {
    this.#options.cast(copy, this.#episode[copy]!, this.#castStreams.streams[copy]!, this.#casting);
  }

  /** Sort the rows by actor anew after castings changed. */
  #recast(): void {
    const { actors } = this.#options;
    const G = this.#groups.length;
    const N = this.seats.count;
    const { controller, hijacker } = this.#casting;
    for (const set of this.#own) set.count = 0;
    for (const set of this.#hijack) set.count = 0;
    // What nobody proposes is 0, not left over from an earlier hijacker.
    for (const { step } of this.#groups) {
      step.hijack?.action.fill(0);
      step.hijack?.logProb.fill(0);
    }
    for (let e = 0; e < this.environment.copies; e++) {
      for (let seat = 0; seat < N; seat++) {
        const g = this.seats.group[seat]!;
        const row = e * this.#groups[g]!.spec.agents.length + this.seats.indexInGroup[seat]!;
        const who = controller[e * N + seat]!;
        if (!(who >= 0 && who < actors.length)) {
          throw new RangeError(
            `cast: copy ${e}, seat "${this.seats.names[seat]}": got actor ${who}, expected 0 … ${actors.length - 1}`,
          );
        }
        const own = this.#own[who * G + g]!;
        own.rows[own.count++] = row;
        const thief = hijacker[e * N + seat]!;
        if (thief < 0) continue;
        const set = this.#hijack[thief * G + g];
        if (set === undefined)
          throw new RangeError(`cast: hijacker ${thief} without hijack options or actor`);
        set.rows[set.count++] = row;
      }
    }
    for (const set of this.#own) set.refresh(actArrays(this.view.groups[set.group]!, "own"));
    for (const set of this.#hijack) set.refresh(actArrays(this.view.groups[set.group]!, "hijack"));
  }

  #allocate(spec: GroupSpec, g: number): GroupBuffers {
    const arrays = this.environment.groups[g]!;
    const rows = this.environment.copies * spec.agents.length;
    const size = actionSize(spec.action);
    const actions = () =>
      spec.action.kind === "box" ? new Float32Array(rows * size) : new Int32Array(rows * size);
    const proposals = (sets: readonly RowSet[]) => ({
      action: actions(),
      logProb: new Float32Array(rows),
      state: sets.filter((set) => set.group === g).map((set) => set.stateBefore),
    });
    return {
      spec,
      size,
      bounds:
        spec.action.kind === "box"
          ? { low: Float32Array.from(spec.action.low), high: Float32Array.from(spec.action.high) }
          : null,
      step: {
        obs: arrays.obs,
        seen: this.#options.perturb === undefined ? arrays.obs : new Float32Array(arrays.obs.length),
        actionMask: arrays.actionMask,
        own: proposals(this.#own),
        hijack: this.#options.hijack === undefined ? null : proposals(this.#hijack),
        controlled: new Uint8Array(rows),
        perturbed: new Uint8Array(rows),
        action: arrays.action,
        alive: arrays.alive,
        acting: arrays.acting,
      },
    };
  }

  #streamsOfGroup(table: StreamTable, g: number): RandomStream[] {
    const n = this.spec.groups[g]!.agents.length;
    const N = this.seats.count;
    const offset = this.seats.offset[g]!;
    return Array.from({ length: this.environment.copies * n }, (_, row) => {
      return table.streams[Math.floor(row / n) * N + offset + (row % n)]!;
    });
  }

  /** Whether `saveState` captures the running episodes (the environment can be saved). */
  get isResumable(): boolean {
    return this.spec.capabilities.saveState;
  }

  /**
   * Everything that determines the rest of this rollout, recorders apart. Where the environment cannot be saved, the
   * running episodes are not in it: `loadState` then begins others.
   */
  saveState(): Tree<NdArray> {
    if (!this.#started) this.reset();
    const words = (table: StreamTable) =>
      ndarray("int32", [table.words.length], new Int32Array(table.words.slice().buffer));
    const states = (sets: readonly RowSet[]) =>
      Object.fromEntries(
        sets.flatMap((set, i) =>
          isEmptyTree(set.state) ? [] : [[String(i), mapTree<NdArray, NdArray>(set.state, cloneArray)]],
        ),
      );
    const { controller, hijacker, attackScale, context } = this.#casting;
    return {
      ...(this.isResumable ? { environment: this.environment.saveState!() } : {}),
      counters: ndarray("int32", [2], Int32Array.of(this.view.step, this.view.firstCopy)),
      episode: ndarray("int32", [this.#episode.length], this.#episode.slice()),
      streams: {
        own: words(this.#ownStreams),
        hijack: words(this.#hijackStreams),
        coin: words(this.#coinStreams),
        cast: words(this.#castStreams),
        perturb: words(this.#perturbStreams),
      },
      casting: {
        controller: ndarray("int32", [controller.length], controller.slice()),
        hijacker: ndarray("int32", [hijacker.length], hijacker.slice()),
        attackScale: ndarray("float64", [attackScale.length], attackScale.slice()),
        context: ndarray("float32", [context.length], context.slice()),
      },
      ...(this.#starts === null
        ? {}
        : { starts: ndarray("bool", [this.#starts.length], this.#starts.slice()) }),
      own: states(this.#own),
      hijack: states(this.#hijack),
    };
  }

  /**
   * Go on from a saved state. Where the environment cannot be saved, every copy begins a new episode, as after the
   * end of the one that was running, and recorders are told so (`onReset`).
   * @throws UserError if the state is of a rollout of another shape; nothing has changed then
   */
  loadState(saved: Tree<NdArray>): void {
    const counters = new Int32Array(2);
    const targets: [path: string, into: Numbers][] = [
      ["counters", counters],
      ["episode", this.#episode],
      ["streams/own", new Int32Array(this.#ownStreams.words.buffer)],
      ["streams/hijack", new Int32Array(this.#hijackStreams.words.buffer)],
      ["streams/coin", new Int32Array(this.#coinStreams.words.buffer)],
      ["streams/cast", new Int32Array(this.#castStreams.words.buffer)],
      ["streams/perturb", new Int32Array(this.#perturbStreams.words.buffer)],
    ];
    if (this.isResumable) {
      const { controller, hijacker, attackScale, context } = this.#casting;
      for (const [name, into] of Object.entries({ controller, hijacker, attackScale, context })) {
        targets.push([`casting/${name}`, into]);
      }
      if (this.#starts !== null) targets.push(["starts", this.#starts]);
      for (const [role, sets] of [["own", this.#own] as const, ["hijack", this.#hijack] as const]) {
        sets.forEach((set, i) => {
          const leaves = isEmptyTree(set.state) ? [] : flattenTree(set.state);
          for (const [path, leaf] of leaves) {
            targets.push([[role, i, path].filter((part) => part !== "").join("/"), leaf.data as Numbers]);
          }
        });
      }
    }
    const values = targets.map(([path, into]) => leafOf(saved, path, into.length));
    if (this.isResumable) {
      const environment = (saved as Record<string, Tree<NdArray>>).environment;
      if (environment === undefined) throw new UserError(`rollout state: no state of ${this.spec.id} in it.`);
      this.environment.loadState!(environment as EnvironmentState);
    }
    targets.forEach(([, into], i) => {
      into.set(values[i]!);
    });
    [this.view.step, this.view.firstCopy] = [counters[0]!, counters[1]!];
    this.#started = true;
    if (this.isResumable) this.#recast();
    else this.#beginAgain();
  }

  /** New episodes in every copy of an environment that could not be saved; other ones than the first of the seed. */
  #beginAgain(): void {
    const { seed, stream, recorders } = this.#options;
    const { step, firstCopy } = this.view;
    this.#starts?.fill(1);
    this.environment.reset(RandomStream.from(seed, stream, "again", step).nextUint32(), firstCopy);
    for (let e = 0; e < this.environment.copies; e++) {
      this.#episode[e]!++;
      this.#cast(e);
      for (const set of this.#own) set.restart(e);
      for (const set of this.#hijack) set.restart(e);
    }
    this.#recast();
    for (const recorder of recorders) recorder.onReset?.(this.view);
  }
}

/** @throws UserError if there is no leaf of that path and length */
function leafOf(saved: Tree<NdArray>, path: string, length: number): Numbers {
  let node: Tree<NdArray> | undefined = saved;
  for (const key of path.split("/")) node = node === undefined || isLeaf(node) ? undefined : node[key];
  if (node !== undefined && isLeaf(node) && node.data.length === length) return node.data as Numbers;
  const got = node === undefined || !isLeaf(node) ? "nothing" : `${node.data.length} numbers`;
  throw new UserError(`rollout state, "${path}": got ${got}, expected ${length} numbers.`);
}

function actArrays(step: GroupStep, role: "own" | "hijack") {
  const proposal = role === "own" ? step.own : step.hijack;
  if (proposal === null) throw internalError("no hijacker in this rollout");
  // A hijacker sees the truth: the observation threat deceives the team, not the adversary.
  return {
    seen: role === "own" ? step.seen : step.obs,
    actionMask: step.actionMask,
    action: proposal.action,
    logProb: proposal.logProb,
  };
}

function within(
  value: number,
  bounds: { readonly low: Float32Array; readonly high: Float32Array },
  d: number,
): number {
  const low = bounds.low[d]!;
  const high = bounds.high[d]!;
  return Math.min(Math.max(value, low), high);
}

function isEmptyTree(tree: Tree<NdArray>): boolean {
  return !isLeaf(tree) && Object.keys(tree).length === 0;
}
