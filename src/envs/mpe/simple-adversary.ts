/**
 * Physical deception: good agents know which landmark is the goal, the adversary does not and follows them there.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_adversary/simple_adversary.py (`simple_adversary_v3`). On the state after
 * the step, d being the distance to the goal:
 *
 *   adversary   −d(adversary)
 *   good agent  d(adversary) − min over good agents of d, the same for all good agents
 *
 * Page: docs/environments/simple_adversary.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import {
  episodeParameters,
  NO_CONTACTS,
  neighborParameters,
  physicsParameters,
  pictureParameters,
} from "./common.js";
import { Neighbors } from "./neighbors.js";
import { cssColor, discs } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_adversary_v3";

const parameters = {
  agents: z.int().min(1).default(2).describe("number of good agents, and of landmarks"),
  ...episodeParameters,
  ...neighborParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.15).describe("radius of an agent (nothing collides)"),
  landmarkSize: z.number().min(0).default(0.08).describe("radius of a landmark"),
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeAdversary(p: Parameters): EnvironmentSpec {
  const n = p.agents;
  const seen = [
    { name: "landmarks", size: 2 * (p.landmarkNeighbors ?? n) },
    { name: "others", size: 2 * (p.agentNeighbors ?? n) },
  ];
  const group = (name: string, agents: readonly string[], features: GroupSpec["features"]): GroupSpec => ({
    name,
    agents,
    obsSize: sizeOfFeatures(features),
    features,
    action: movementSpace(p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: MOVES }),
  });
  const good = Array.from({ length: n }, (_, i) => `agent_${i}`);
  const groups = [
    group("adversary", ["adversary_0"], layout(seen)),
    group("agents", good, layout([{ name: "goal", size: 2 }, ...seen])),
  ];
  return {
    id: ID,
    groups,
    stateSize: groups[0].obsSize + n * groups[1].obsSize,
    stateFeatures: concatenatedObsFeatures(groups),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["adversaryDistance", "agentDistance", "occupied"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleAdversary extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  readonly #neighbors: Neighbors;
  /** [E] index of the goal landmark */
  readonly #goal: NdArray<"int32">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeAdversary(p), options);
    const maxSpeed = p.maxSpeed ?? Number.POSITIVE_INFINITY;
    const agent = { size: p.agentSize, collides: false, movable: true, mass: p.mass, maxSpeed };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      Array(p.agents + 1).fill(agent),
      Array(p.agents).fill(landmark),
      { ...p, ...NO_CONTACTS },
    );
    this.#neighbors = new Neighbors(p.agents + 1);
    this.#goal = zeros("int32", [this.copies]);
  }

  protected override startEpisode(e: number): void {
    const stream = this.streams[e].reset;
    this.#goal.data[e] = stream.int(this.#p.agents);
    this.#world.scatter(e, stream);
  }

  protected override advance(): void {
    const { agents: n, gain } = this.#p;
    const [adversary, good] = this.groups;
    decodeMovement(adversary.action, this.#world, 0, 1, gain);
    decodeMovement(good.action, this.#world, 1, n, gain);
    this.#world.step();
    for (let e = 0; e < this.copies; e++) {
      const away = this.#distance(e, 0);
      const reward = away - this.#nearest(e);
      adversary.reward[e] = -away;
      for (let i = e * n; i < (e + 1) * n; i++) good.reward[i] = reward;
    }
  }

  /** Distance from agent i (0: the adversary) to the goal. */
  #distance(e: number, i: number): number {
    const { agents: n } = this.#p;
    const p = this.#world.position.data;
    const base = e * (2 * n + 1) * 2;
    const goal = base + 2 * (n + 1 + this.#goal.data[e]);
    const dx = p[base + 2 * i] - p[goal];
    const dy = p[base + 2 * i + 1] - p[goal + 1];
    return Math.sqrt(dx * dx + dy * dy);
  }

  /** Distance from the goal to the good agent nearest to it. */
  #nearest(e: number): number {
    let nearest = Number.POSITIVE_INFINITY;
    for (let i = 1; i <= this.#p.agents; i++) nearest = Math.min(nearest, this.#distance(e, i));
    return nearest;
  }

  protected override observe(from: number, to: number): void {
    const { agents: n, landmarkNeighbors, agentNeighbors } = this.#p;
    const limited = landmarkNeighbors !== null || agentNeighbors !== null;
    const p = this.#world.position.data;
    const goals = this.#goal.data;
    const entities = 2 * n + 1;
    const [adversary, good] = this.groups;
    const sizes = [this.spec.groups[0].obsSize, this.spec.groups[1].obsSize];
    for (let e = from; e < to; e++) {
      const base = e * entities * 2;
      const landmarks = base + 2 * (n + 1);
      const goal = landmarks + 2 * goals[e];
      for (let i = 0; i <= n; i++) {
        const obs = i === 0 ? adversary.obs : good.obs;
        let o = i === 0 ? e * sizes[0] : (e * n + i - 1) * sizes[1];
        const x = p[base + 2 * i];
        const y = p[base + 2 * i + 1];
        if (i > 0) {
          obs[o++] = p[goal] - x;
          obs[o++] = p[goal + 1] - y;
        }
        if (limited) {
          this.#observeNearest(base, i, obs, o);
          continue;
        }
        for (let k = landmarks; k < landmarks + 2 * n; k += 2) {
          obs[o++] = p[k] - x;
          obs[o++] = p[k + 1] - y;
        }
        for (let k = base; k < landmarks; k += 2) {
          if (k === base + 2 * i) continue;
          obs[o++] = p[k] - x;
          obs[o++] = p[k + 1] - y;
        }
      }
    }
    this.concatenateObs(from, to);
  }

  /** Landmarks and others with neighbour limits: nearest first, the rest of the places zero. */
  #observeNearest(base: number, i: number, obs: Float32Array, start: number): void {
    const { agents: n, landmarkNeighbors, agentNeighbors } = this.#p;
    const neighbors = this.#neighbors;
    const p = this.#world.position.data;
    const x = p[base + 2 * i];
    const y = p[base + 2 * i + 1];
    const others = start + 2 * (landmarkNeighbors ?? n);
    obs.fill(0, start, others + 2 * (agentNeighbors ?? n));
    neighbors.write(p, base + 2 * (n + 1), n, -1, x, y, landmarkNeighbors, obs, start);
    neighbors.write(p, base, n + 1, i, x, y, agentNeighbors, obs, others);
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { position: this.#world.position, velocity: this.#world.velocity, goal: this.#goal };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#distance(e, 0);
    out[offset + 1] = this.#nearest(e);
    out[offset + 2] = this.#occupied(e);
  }

  /** Landmarks with a good agent within two of their radii. */
  #occupied(e: number): number {
    const { agents: n, landmarkSize } = this.#p;
    const p = this.#world.position.data;
    const base = e * (2 * n + 1) * 2;
    let occupied = 0;
    for (let l = n + 1; l <= 2 * n; l++) {
      for (let i = 1; i <= n; i++) {
        const dx = p[base + 2 * i] - p[base + 2 * l];
        const dy = p[base + 2 * i + 1] - p[base + 2 * l + 1];
        if (Math.sqrt(dx * dx + dy * dy) >= 2 * landmarkSize) continue;
        occupied++;
        break;
      }
    }
    return occupied;
  }

  protected override draw(e: number): Frame {
    const { agents: n, agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [];
    for (let l = 0; l < n; l++) {
      const isGoal = l === this.#goal.data[e];
      const color = isGoal ? cssColor(0.15, 0.65, 0.15) : cssColor(0.15, 0.15, 0.15);
      shapes.push({ ...disc(n + 1 + l, landmarkSize), color, role: isGoal ? "goal" : "landmark" });
    }
    for (const [i, agent] of this.spec.groups.flatMap((g) => g.agents).entries()) {
      const color = i === 0 ? cssColor(0.85, 0.35, 0.35) : cssColor(0.35, 0.35, 0.85);
      shapes.push({ ...disc(i, agentSize), color, role: "agent", agent });
    }
    return { shapes, captions: [] };
  }
}

export const simpleAdversary = defineEnvironment({
  id: ID,
  summary: "Good agents know the goal and hide it from an adversary that looks for it.",
  source: "MPE2 1.1 simple_adversary_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new SimpleAdversary(p, options),
});
