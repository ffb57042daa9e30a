/**
 * What an on-policy learner sees of the loop: T steps × E copies × n agents of one group, dense, with weights that say
 * which entries are the learner's. Static shapes are what compiled update programs need.
 */
import { allocate, type NdArray } from "../core/array.js";
import { mapTree, type Tree } from "../core/tree.js";
import type { Environment } from "../env/contract.js";
import { actionSize, maskSize } from "../env/index.js";
import { copyRow, type Numbers } from "./rows.js";
import { type Seats, seatsOf } from "./seats.js";
import type { Recorder, StepView } from "./types.js";

export interface OnPolicyOptions {
  readonly environment: Environment;
  readonly group: number;
  /** Agents of the group by index: the n of this buffer. */
  readonly agents: readonly number[];
  /** T */
  readonly steps: number;
  /** Index of the actor whose decisions are learned from. */
  readonly actor: number;
  /** Whether the actor holds its seats, or hijacks them. */
  readonly role: "own" | "hijack";
  /** What the critic sees: the agent's own clean observation [O], or the global state [S] (else all observations). */
  readonly criticInput: "observation" | "global";
  /** [N] weight of each seat's reward in this learner's reward; null: each agent's own reward. */
  readonly rewardWeights: Float64Array | null;
}

export class OnPolicyBuffer implements Recorder {
  readonly steps: number;
  readonly copies: number;
  readonly agents: number;
  /** Size of the critic's input. */
  readonly criticSize: number;
  /** Whether the critic's input belongs to the copy ([T+1, E, S]) rather than to agents ([T+1, E, n, O]). */
  readonly criticPerCopy: boolean;

  /** [T, E, n, O] what the actor saw */
  readonly obs: Float32Array;
  /** [T, E, n, A] or null */
  readonly actionMask: Uint8Array | null;
  /** [T, E, n] or [T, E, n, D]; box actions not clipped */
  readonly action: Int32Array | Float32Array;
  /** [T, E, n] */
  readonly logProb: Float32Array;
  readonly reward: Float64Array;
  /** 1 where the executed action was this actor's own choice by a living, acting agent: the policy learns from it */
  readonly actorWeight: Float32Array;
  /** 1 where the actor is cast in this episode: the critic learns from it */
  readonly criticWeight: Float32Array;
  /** [T+1, E, n, O] or [T+1, E, S]; the last step is the state reached */
  readonly critic: Float32Array;
  /** Whether the first T steps of `critic` are `obs`: nobody perturbed what the actors saw. */
  criticSeesObs = false;
  /** [T, E] */
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
  /**
   * The actor's carried state before each step, leaves [T, E, n, …]; {} where it carries nothing. There from the first
   * step on: what an actor carries shows there.
   */
  state: Tree<NdArray> = {};
  /** [T, E] 1 where the step is the first of the copy's episode; empty where no actor of the loop carries anything */
  starts: Float32Array = new Float32Array(0);
  /** Flat indices t·E + e of truncated steps, and the critic's input there before the reset. */
  readonly cut: { count: number; readonly index: Int32Array; readonly critic: Float32Array };
  /** Steps recorded so far. */
  t = 0;

  readonly #options: OnPolicyOptions;
  readonly #seats: Seats;
  readonly #obsSize: number;
  readonly #maskSize: number;
  readonly #actionSize: number;
  readonly #groupAgents: number;
  /** the loop's arrays of carried state, and the leaves of `state` to copy their rows to */
  #carried: Tree<NdArray> | null = null;
  #leaves: { readonly from: Numbers; readonly to: Numbers; readonly width: number }[] = [];

  constructor(options: OnPolicyOptions) {
    const { environment, group, agents, steps } = options;
    const { spec } = environment;
    const groupSpec = spec.groups[group]!;
    this.#options = options;
    this.#seats = seatsOf(spec);
    this.steps = steps;
    this.copies = environment.copies;
    this.agents = agents.length;
    this.#groupAgents = groupSpec.agents.length;
    this.#obsSize = groupSpec.obsSize;
    this.#maskSize = groupSpec.hasActionMask ? maskSize(groupSpec.action) : 0;
    this.#actionSize = actionSize(groupSpec.action);
    const cells = steps * this.copies;
    const rows = cells * this.agents;
    this.criticPerCopy = options.criticInput === "global";
    this.criticSize = this.criticPerCopy ? globalSize(environment) : groupSpec.obsSize;
    const criticWidth = this.criticPerCopy ? this.criticSize : this.agents * this.criticSize;
    this.obs = new Float32Array(rows * groupSpec.obsSize);
    this.actionMask = groupSpec.hasActionMask ? new Uint8Array(rows * this.#maskSize) : null;
    const box = groupSpec.action.kind === "box";
    this.action = box ? new Float32Array(rows * this.#actionSize) : new Int32Array(rows * this.#actionSize);
    this.logProb = new Float32Array(rows);
    this.reward = new Float64Array(rows);
    this.actorWeight = new Float32Array(rows);
    this.criticWeight = new Float32Array(rows);
    this.critic = new Float32Array((cells + this.copies) * criticWidth);
    this.terminated = new Uint8Array(cells);
    this.truncated = new Uint8Array(cells);
    this.cut = { count: 0, index: new Int32Array(cells), critic: new Float32Array(cells * criticWidth) };
  }

  onAct(view: StepView): void {
    const { group, agents, actor, role } = this.#options;
    if (this.t === this.steps)
      throw new RangeError(`on-policy buffer: full after ${this.steps} steps; clear() it`);
    const step = view.groups[group]!;
    const proposal = role === "own" ? step.own : step.hijack!;
    const obs = role === "own" ? step.seen : step.obs;
    if (proposal.state[actor] !== this.#carried) this.#follow(view, proposal.state[actor]!);
    const isClean = !this.criticPerCopy && obs === view.environment.groups[group]!.obs;
    this.criticSeesObs = isClean && (this.t === 0 || this.criticSeesObs);
    const { controller, hijacker } = view.casting;
    const N = this.#seats.count;
    const n = this.agents;
    const O = this.#obsSize;
    const A = this.#maskSize;
    const D = this.#actionSize;
    let to = this.t * this.copies * n;
    for (let e = 0; e < this.copies; e++) {
      for (let i = 0; i < n; i++, to++) {
        const row = e * this.#groupAgents + agents[i]!;
        copyRow(obs, row, this.obs, to, O);
        if (A > 0) copyRow(step.actionMask!, row, this.actionMask!, to, A);
        copyRow(proposal.action, row, this.action, to, D);
        this.logProb[to] = proposal.logProb[row]!;
        for (const { from, to: leaf, width } of this.#leaves) copyRow(from, row, leaf, to, width);
        const seat = e * N + this.#seats.offset[group]! + agents[i]!;
        const active = step.alive[row] === 1 && step.acting[row] === 1;
        // The team does not learn from a seat that is hijacked in this episode, even where the coin spared it.
        const cast =
          role === "own" ? controller[seat] === actor && hijacker[seat]! < 0 : hijacker[seat] === actor;
        this.criticWeight[to] = cast ? 1 : 0;
        this.actorWeight[to] = cast && active && (role === "own" || step.controlled[row] === 1) ? 1 : 0;
      }
    }
    if (view.starts !== null) this.starts.set(view.starts, this.t * this.copies);
    this.#copyCritic(view, this.t);
  }

  onOutcome(view: StepView): void {
    const { environment } = view;
    const { group, agents, rewardWeights } = this.#options;
    const { terminated, truncated, ended } = environment;
    const n = this.agents;
    const base = this.t * this.copies;
    for (let e = 0; e < this.copies; e++) {
      this.terminated[base + e] = terminated[e]!;
      this.truncated[base + e] = truncated[e]!;
      const shared = rewardWeights === null ? 0 : this.#weightedReward(environment, e, rewardWeights);
      for (let i = 0; i < n; i++) {
        const own = environment.groups[group]!.reward[e * this.#groupAgents + agents[i]!]!;
        this.reward[(base + e) * n + i] = rewardWeights === null ? own : shared;
      }
    }
    for (let r = 0; r < ended.count; r++) {
      const e = ended.copies[r]!;
      if (truncated[e] === 0) continue;
      const at = this.cut.count++;
      this.cut.index[at] = base + e;
      if (this.criticPerCopy) writeGlobal(environment, ended, r, this.cut.critic, at * this.criticSize);
      else {
        for (let i = 0; i < n; i++) {
          copyRow(
            ended.obs[group]!,
            r * this.#groupAgents + agents[i]!,
            this.cut.critic,
            at * n + i,
            this.#obsSize,
          );
        }
      }
    }
    this.t++;
    if (this.t === this.steps) this.#copyCritic(view, this.t);
  }

  clear(): void {
    this.t = 0;
    this.cut.count = 0;
  }

  /** The first step in this loop: room for what the actor carries. */
  #follow(view: StepView, carried: Tree<NdArray>): void {
    this.#carried = carried;
    this.#leaves = [];
    this.state = mapTree<NdArray, NdArray>(carried, ({ dtype, shape, data }) => {
      const width = data.length / shape[0]!;
      const to = allocate(dtype, this.steps * this.copies * this.agents * width);
      this.#leaves.push({ from: data as Numbers, to: to as Numbers, width });
      return { dtype, shape: [this.steps, this.copies, this.agents, ...shape.slice(1)], data: to } as NdArray;
    });
    this.starts = new Float32Array(view.starts === null ? 0 : this.steps * this.copies);
  }

  /** The critic's input for the environment's present state, into slot t. */
  #copyCritic(view: StepView, t: number): void {
    const { group, agents } = this.#options;
    const { environment } = view;
    if (this.criticPerCopy) {
      for (let e = 0; e < this.copies; e++) {
        writeGlobal(environment, null, e, this.critic, (t * this.copies + e) * this.criticSize);
      }
      return;
    }
    // Critics see the truth, whatever the policies were shown.
    const { obs } = environment.groups[group]!;
    let to = t * this.copies * this.agents;
    for (let e = 0; e < this.copies; e++) {
      for (let i = 0; i < this.agents; i++, to++) {
        copyRow(obs, e * this.#groupAgents + agents[i]!, this.critic, to, this.#obsSize);
      }
    }
  }

  #weightedReward(environment: Environment, e: number, weights: Float64Array): number {
    let sum = 0;
    let seat = 0;
    for (const { reward, alive } of environment.groups) {
      const n = alive.length / this.copies;
      for (let i = 0; i < n; i++) sum += weights[seat++]! * reward[e * n + i]!;
    }
    return sum;
  }
}

/** Size of the critic's global input: the declared state, else all observations side by side. */
export function globalSize(environment: Environment): number {
  const { spec } = environment;
  return spec.stateSize > 0
    ? spec.stateSize
    : spec.groups.reduce((sum, g) => sum + g.agents.length * g.obsSize, 0);
}

/** Global input of copy `e` (or, where `ended` is given, of its row `e` before the reset). */
function writeGlobal(
  environment: Environment,
  ended: Environment["ended"] | null,
  e: number,
  out: Float32Array,
  offset: number,
): void {
  const { spec } = environment;
  if (spec.stateSize > 0) {
    const from = ended === null ? environment.state : ended.state;
    out.set(from.subarray(e * spec.stateSize, (e + 1) * spec.stateSize), offset);
    return;
  }
  for (let g = 0; g < spec.groups.length; g++) {
    const width = spec.groups[g]!.agents.length * spec.groups[g]!.obsSize;
    const from = ended === null ? environment.groups[g]!.obs : ended.obs[g]!;
    out.set(from.subarray(e * width, (e + 1) * width), offset);
    offset += width;
  }
}
