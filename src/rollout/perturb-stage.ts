/**
 * The place in the loop where observation threats act: gathers the rows under attack, lets the perturber propose δ,
 * projects onto the budget, and writes what the policies will see. Whatever the perturber proposes, what is seen
 * stays within the threat.
 */
import type { RandomStream } from "../core/random.js";
import type { Environment } from "../env/contract.js";
import { maskSize } from "../env/index.js";
import { type Ball, type ObservationThreat, projectRow } from "../threats/index.js";
import type { RowSet } from "./row-sets.js";
import { gather } from "./rows.js";
import { type Seats, seatsOfAgents } from "./seats.js";
import type { Casting, GroupStep, Perturber } from "./types.js";

interface GroupStage {
  readonly ball: Ball;
  readonly agents: number;
  readonly obsSize: number;
  readonly maskSize: number;
  /** [n] whether the threat names this agent */
  readonly hit: Uint8Array;
  readonly rows: Int32Array;
  readonly epsilon: Float32Array;
  readonly agent: Int32Array;
  readonly clean: Float32Array;
  readonly seen: Float32Array;
  readonly mask: Uint8Array | null;
  readonly delta: Float32Array;
  /** what the perturber is told; a copy of the ball's, for it may write there */
  readonly scale: Float64Array;
}

export class PerturbStage {
  readonly #groups: readonly GroupStage[];
  /** [E] radius factor of this step: the episode's scale, 0 where the step's coin fell the other way */
  readonly #scale: Float64Array;

  constructor(
    readonly environment: Environment,
    seats: Seats,
    readonly threat: ObservationThreat,
    readonly perturber: Perturber,
    /** per group [E·n] */
    readonly streams: readonly (readonly RandomStream[])[],
  ) {
    const targets = seatsOfAgents(seats, threat.agents);
    this.#scale = new Float64Array(environment.copies);
    this.#groups = environment.spec.groups.map((spec, g) => {
      const n = spec.agents.length;
      const total = environment.copies * n;
      const scale = new Float64Array(spec.obsSize);
      const low = new Float64Array(spec.obsSize).fill(-Infinity);
      const high = new Float64Array(spec.obsSize).fill(Infinity);
      for (const feature of spec.features) {
        const chosen =
          threat.features === "perturbable" ? feature.perturbable : threat.features.includes(feature.name);
        for (let i = feature.offset; i < feature.offset + feature.size; i++) {
          scale[i] = chosen ? (threat.scale[feature.name] ?? 1) : 0;
          if (threat.keepRange) {
            low[i] = feature.low;
            high[i] = feature.high;
          }
        }
      }
      const width = spec.hasActionMask ? maskSize(spec.action) : 0;
      return {
        ball: { norm: threat.norm, scale, low, high },
        agents: n,
        obsSize: spec.obsSize,
        maskSize: width,
        hit: Uint8Array.from(spec.agents, (_, i) => (targets.includes(seats.offset[g]! + i) ? 1 : 0)),
        rows: new Int32Array(total),
        epsilon: new Float32Array(total),
        agent: new Int32Array(total),
        clean: new Float32Array(total * spec.obsSize),
        seen: new Float32Array(total * spec.obsSize),
        mask: spec.hasActionMask ? new Uint8Array(total * width) : null,
        delta: new Float32Array(total * spec.obsSize),
        scale: scale.slice(),
      };
    });
  }

  apply(
    own: readonly RowSet[],
    casting: Casting,
    groups: readonly GroupStep[],
    coins: readonly RandomStream[],
  ): void {
    const { threat } = this;
    for (let e = 0; e < coins.length; e++) {
      const falls = threat.probability >= 1 || coins[e]!.uniform() < threat.probability;
      const share = casting.attackScale[e]!;
      this.#scale[e] = falls && share > 0 ? Math.min(share, 1) : 0;
    }
    for (const step of groups) {
      step.seen.set(step.obs);
      step.perturbed.fill(0);
    }
    for (const set of own)
      if (!set.isEmpty) this.#perturbRows(set, groups[set.group]!, this.#groups[set.group]!);
  }

  #perturbRows(set: RowSet, step: GroupStep, stage: GroupStage): void {
    const { rows, epsilon, agent, obsSize } = stage;
    let count = 0;
    for (let r = 0; r < set.count; r++) {
      const row = set.rows[r]!;
      const i = row % stage.agents;
      const radius = this.#radiusOf(set.group, row);
      if (stage.hit[i] === 0 || radius === 0 || step.acting[row] === 0) continue;
      rows[count] = row;
      epsilon[count] = radius;
      agent[count] = i;
      count++;
    }
    if (count === 0) return;
    const clean = stage.clean.subarray(0, count * obsSize);
    const delta = stage.delta.subarray(0, count * obsSize);
    delta.fill(0);
    if (stage.ball.norm === "gaussian") this.#drawNoise(set.group, stage, count);
    else this.#ask(set, step, stage, count);
    // Again after the perturber had its hands on it: the truth is the environment's.
    gather(step.obs, clean, rows, count, obsSize);
    for (let r = 0; r < count; r++) {
      const row = rows[r]!;
      // The float64 radius decides, not its float32 copy that the perturber was told.
      const radius = this.#radiusOf(set.group, row);
      projectRow(stage.ball, radius, delta, clean, stage.seen, r * obsSize);
      let changed = 0;
      for (let i = 0; i < obsSize; i++) {
        step.seen[row * obsSize + i] = stage.seen[r * obsSize + i]!;
        if (delta[r * obsSize + i] !== 0) changed = 1;
      }
      step.perturbed[row] = changed;
    }
  }

  /** The perturber's proposal. */
  #ask(set: RowSet, step: GroupStep, stage: GroupStage, count: number): void {
    const { rows, clean, mask, obsSize } = stage;
    const streams = this.streams[set.group]!;
    gather(step.obs, clean, rows, count, obsSize);
    if (mask !== null) gather(step.actionMask!, mask, rows, count, stage.maskSize);
    this.perturber.perturb(
      {
        rows: count,
        victim: set.actor,
        clean: clean.subarray(0, count * obsSize),
        actionMask: mask === null ? null : mask.subarray(0, count * stage.maskSize),
        agent: stage.agent.subarray(0, count),
        epsilon: stage.epsilon.subarray(0, count),
        scale: stage.scale,
        norm: stage.ball.norm,
        state: set.stateOf(rows, count),
        streams: Array.from({ length: count }, (_, r) => streams[rows[r]!]!),
      },
      stage.delta.subarray(0, count * obsSize),
    );
    stage.scale.set(stage.ball.scale);
  }

  /** Gaussian noise knows no ball to stay in: the loop draws it itself, whoever the perturber is. */
  #drawNoise(group: number, { rows, ball, delta, obsSize }: GroupStage, count: number): void {
    for (let r = 0; r < count; r++) {
      const radius = this.#radiusOf(group, rows[r]!);
      const stream = this.streams[group]![rows[r]!]!;
      for (let i = 0; i < obsSize; i++) {
        if (ball.scale[i]! > 0) delta[r * obsSize + i] = radius * ball.scale[i]! * stream.normal();
      }
    }
  }

  /** ε of a row in this step. */
  #radiusOf(group: number, row: number): number {
    return this.threat.epsilon * this.#scale[Math.floor(row / this.#groups[group]!.agents)]!;
  }
}
