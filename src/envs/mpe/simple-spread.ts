/**
 * Cooperative navigation: N agents cover N landmarks without bumping into each other.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_spread/simple_spread.py (`simple_spread_v3`).
 *
 *   local_i = −#{j ≠ i : agents i and j overlap}        global = −Σ_landmarks (distance to the nearest agent)
 *   reward_i = localRatio · local_i + (1 − localRatio) · global
 *
 * both on the state after the step. Page: docs/environments/simple_spread.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type {
  CreateOptions,
  EnvironmentSpec,
  Frame,
  FrameShape,
  GroupSpec,
  Script,
} from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import {
  contactParameters,
  episodeParameters,
  neighborParameters,
  physicsParameters,
  pictureParameters,
} from "./common.js";
import { Neighbors } from "./neighbors.js";
import { cssColor, discs } from "./pictures.js";
import { steer } from "./scripts.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_spread_v3";
/** A landmark counts as covered when an agent's centre is nearer than this. */
const COVER_DISTANCE = 0.1;

const parameters = {
  agents: z.int().min(1).default(3).describe("number of agents, and of landmarks"),
  localRatio: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("weight of an agent's own collisions; the rest is the team's distance"),
  ...episodeParameters,
  terminateOnSuccess: z.boolean().default(false).describe("end the task when every landmark is covered"),
  curriculumStage: z.literal([0, 1]).default(1).describe("0: collisions cost nothing; 1: the full reward"),
  ...neighborParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.15).describe("radius of an agent"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of a landmark (landmarks do not collide)"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeSpread(p: Parameters): EnvironmentSpec {
  const n = p.agents;
  const others = p.agentNeighbors ?? n - 1;
  const features = layout([
    { name: "velocity", size: 2 },
    { name: "position", size: 2 },
    { name: "landmarks", size: 2 * (p.landmarkNeighbors ?? n) },
    { name: "others", size: 2 * others },
    { name: "othersComm", size: 2 * others, low: 0, high: 1 },
  ]);
  const group: GroupSpec = {
    name: "agents",
    agents: Array.from({ length: n }, (_, i) => `agent_${i}`),
    obsSize: sizeOfFeatures(features),
    features,
    action: movementSpace(p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: MOVES }),
  };
  return {
    id: ID,
    groups: [group],
    stateSize: n * group.obsSize,
    stateFeatures: concatenatedObsFeatures([group]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["collisions", "covered", "distance"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleSpread extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  /** [E] pairs in contact, summed over the steps of the episode */
  readonly #collisions: NdArray<"float64">;
  /** [E, 2] landmarks covered, and sum of their distances to the nearest agent, after the last step */
  readonly #last: NdArray<"float64">;
  readonly #neighbors: Neighbors;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeSpread(p), options, true);
    const n = p.agents;
    const agent = {
      size: p.agentSize,
      collides: true,
      movable: true,
      mass: p.mass,
      maxSpeed: p.maxSpeed ?? Number.POSITIVE_INFINITY,
    };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(this.copies, Array(n).fill(agent), Array(n).fill(landmark), p);
    this.#collisions = zeros("float64", [this.copies]);
    this.#last = zeros("float64", [this.copies, 2]);
    this.#neighbors = new Neighbors(n);
  }

  protected override startEpisode(e: number): void {
    this.#world.scatter(e, this.streams[e].reset);
    this.#collisions.data[e] = 0;
    this.#last.data.fill(0, 2 * e, 2 * e + 2);
  }

  protected override advance(): void {
    decodeMovement(this.groups[0].action, this.#world, 0, this.#p.agents, this.#p.gain);
    this.#world.step();
    this.#score();
  }

  /** Rewards, success and metrics of every copy. Allocates nothing. */
  #score(): void {
    const { agents: n, localRatio, agentSize, maxCycles, terminateOnSuccess } = this.#p;
    const penalty = this.#p.curriculumStage === 0 ? 0 : localRatio;
    const p = this.#world.position.data;
    const collisions = this.#collisions.data;
    const last = this.#last.data;
    const { reward } = this.groups[0];
    const touch2 = 4 * agentSize * agentSize;
    for (let e = 0; e < this.copies; e++) {
      const agents = e * n * 4;
      const landmarks = agents + 2 * n;
      let distance = 0;
      let covered = 0;
      for (let k = landmarks; k < landmarks + 2 * n; k += 2) {
        const x = p[k];
        const y = p[k + 1];
        let nearest = Number.POSITIVE_INFINITY;
        for (let a = agents; a < landmarks; a += 2) {
          const dx = p[a] - x;
          const dy = p[a + 1] - y;
          const d2 = dx * dx + dy * dy;
          if (d2 < nearest) nearest = d2;
        }
        const d = Math.sqrt(nearest);
        distance += d;
        if (d < COVER_DISTANCE) covered++;
      }
      const row = e * n;
      const shared = -distance * (1 - localRatio);
      for (let i = 0; i < n; i++) reward[row + i] = shared;
      for (let i = 0; i < n; i++) {
        const x = p[agents + 2 * i];
        const y = p[agents + 2 * i + 1];
        for (let j = i + 1; j < n; j++) {
          const dx = x - p[agents + 2 * j];
          const dy = y - p[agents + 2 * j + 1];
          if (dx * dx + dy * dy < touch2) {
            reward[row + i] -= penalty;
            reward[row + j] -= penalty;
            collisions[e]++;
          }
        }
      }
      last[2 * e] = covered;
      last[2 * e + 1] = distance;
      // At the last step MPE2 reports the limit only, even when the task is done.
      if (terminateOnSuccess && covered === n && this.elapsed[e] < maxCycles) this.terminated[e] = 1;
    }
  }

  protected override observe(from: number, to: number): void {
    if (this.#p.landmarkNeighbors !== null || this.#p.agentNeighbors !== null) {
      for (let e = from; e < to; e++) this.#observeNearest(e);
      return;
    }
    const n = this.#p.agents;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const obs = this.groups[0].obs;
    const obsSize = 6 * n;
    for (let e = from; e < to; e++) {
      const base = e * n * 4;
      for (let i = 0; i < n; i++) {
        const x = p[base + 2 * i];
        const y = p[base + 2 * i + 1];
        let o = (e * n + i) * obsSize;
        obs[o] = v[(e * n + i) * 2];
        obs[o + 1] = v[(e * n + i) * 2 + 1];
        obs[o + 2] = x;
        obs[o + 3] = y;
        o += 4;
        for (let k = base + 2 * n; k < base + 4 * n; k += 2, o += 2) {
          obs[o] = p[k] - x;
          obs[o + 1] = p[k + 1] - y;
        }
        for (let k = base; k < base + 2 * n; k += 2) {
          if (k === base + 2 * i) continue;
          obs[o] = p[k] - x;
          obs[o + 1] = p[k + 1] - y;
          o += 2;
        }
        // The others' utterances follow: nobody speaks here, so those entries stay zero for ever.
      }
    }
  }

  /** Observations with neighbour limits: nearest first, the rest of the slots zero. */
  #observeNearest(e: number): void {
    const { agents: n, landmarkNeighbors, agentNeighbors } = this.#p;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { obs } = this.groups[0];
    const { obsSize } = this.spec.groups[0];
    const base = e * n * 4;
    for (let i = 0; i < n; i++) {
      const start = (e * n + i) * obsSize;
      const x = p[base + 2 * i];
      const y = p[base + 2 * i + 1];
      obs.fill(0, start, start + obsSize);
      obs[start] = v[(e * n + i) * 2];
      obs[start + 1] = v[(e * n + i) * 2 + 1];
      obs[start + 2] = x;
      obs[start + 3] = y;
      const others = start + 4 + 2 * (landmarkNeighbors ?? n);
      this.#neighbors.write(p, base + 2 * n, n, -1, x, y, landmarkNeighbors, obs, start + 4);
      this.#neighbors.write(p, base, n, i, x, y, agentNeighbors, obs, others);
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      velocity: this.#world.velocity,
      collisions: this.#collisions,
      last: this.#last,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#collisions.data[e];
    out[offset + 1] = this.#last.data[2 * e];
    out[offset + 2] = this.#last.data[2 * e + 1];
  }

  protected override draw(e: number): Frame {
    const { agents: n, agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [];
    for (let l = 0; l < n; l++) {
      shapes.push({ ...disc(n + l, landmarkSize), color: cssColor(0.25, 0.25, 0.25), role: "landmark" });
    }
    for (const [i, agent] of this.spec.groups[0].agents.entries()) {
      shapes.push({ ...disc(i, agentSize), color: cssColor(0.35, 0.35, 0.85), role: "agent", agent });
    }
    return { shapes, captions: [] };
  }
}

/** Agent i drives to the i-th landmark that it observes. */
const shareOut: Script = {
  summary: "agent i drives to landmark i and does not look at the others",
  act({ group, agent, obs }, action) {
    const landmarks = group.features.find(({ name }) => name === "landmarks");
    if (landmarks === undefined || landmarks.size === 0) return;
    const at = landmarks.offset + 2 * (agent % (landmarks.size / 2));
    steer(action, obs[at], obs[at + 1], obs[0], obs[1]);
  },
};

export const simpleSpread = defineEnvironment({
  id: ID,
  summary: "N agents cover N landmarks together and should not bump into each other.",
  source: "MPE2 1.1 simple_spread_v3; checked step by step against recordings of it",
  parameters,
  scripts: { "share-out": shareOut },
  create: (p, options) => new SimpleSpread(p, options),
});
