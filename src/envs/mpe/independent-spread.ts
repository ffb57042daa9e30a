/**
 * Independent Spread: every agent has a landmark of its own and pays for bumping into others.
 *
 * Source: Nika et al. 2025 (ART), Appendix C.1, a variant of MPE's simple_spread. On the state after the step:
 *
 *   reward_i = −d(agent i, landmark i) − collisionPenalty · #{j ≠ i : agents i and j overlap}
 *
 * What the paper does not state is listed on the page: docs/environments/independent_spread.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import { contactParameters, episodeParameters, physicsParameters, pictureParameters } from "./common.js";
import { cssColor, discs } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/independent_spread_v0";

const parameters = {
  agents: z
    .int()
    .min(1)
    .default(3)
    .describe("number of agents, and of landmarks; landmark i belongs to agent i"),
  collisionPenalty: z.number().min(0).default(10).describe("what bumping into another agent costs per step"),
  penalty: z
    .literal(["count", "any"])
    .default("count")
    .describe("whether every agent touched costs, or all together once"),
  includeVelocity: z.boolean().default(false).describe("observe one's own velocity, too"),
  ...episodeParameters,
  maxCycles: z.int().min(1).default(100).describe("steps until an episode is truncated"),
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.15).describe("radius of an agent"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of a landmark (landmarks do not collide)"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeIndependentSpread(p: Parameters): EnvironmentSpec {
  const features = layout([
    { name: "velocity", size: p.includeVelocity ? 2 : 0 },
    { name: "position", size: 2 },
    { name: "landmark", size: 2 },
    { name: "others", size: 2 * (p.agents - 1) },
  ]);
  const group: GroupSpec = {
    name: "agents",
    agents: Array.from({ length: p.agents }, (_, i) => `agent_${i}`),
    obsSize: sizeOfFeatures(features),
    features,
    action: movementSpace(p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: MOVES }),
  };
  return {
    id: ID,
    groups: [group],
    stateSize: p.agents * group.obsSize,
    stateFeatures: concatenatedObsFeatures([group]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["distance", "collisions"],
    capabilities: { saveState: true, frames: true },
  };
}

class IndependentSpread extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  /** [E] pairs in contact, summed over the steps of the episode */
  readonly #collisions: NdArray<"float64">;
  /** [agents] of the copy at hand: how many others each one touches */
  readonly #touched: Int32Array;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeIndependentSpread(p), options, true);
    const maxSpeed = p.maxSpeed ?? Number.POSITIVE_INFINITY;
    const agent = { size: p.agentSize, collides: true, movable: true, mass: p.mass, maxSpeed };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      Array(p.agents).fill(agent),
      Array(p.agents).fill(landmark),
      p,
    );
    this.#collisions = zeros("float64", [this.copies]);
    this.#touched = new Int32Array(p.agents);
  }

  protected override startEpisode(e: number): void {
    this.#world.scatter(e, this.streams[e].reset);
    this.#collisions.data[e] = 0;
  }

  protected override advance(): void {
    const { agents: n, agentSize, collisionPenalty, penalty, gain } = this.#p;
    const { action, reward } = this.groups[0];
    decodeMovement(action, this.#world, 0, n, gain);
    this.#world.step();
    const p = this.#world.position.data;
    const touched = this.#touched;
    const most = penalty === "any" ? 1 : n;
    const touch2 = 4 * agentSize * agentSize;
    for (let e = 0; e < this.copies; e++) {
      const base = e * n * 4;
      for (let i = 0; i < n; i++) touched[i] = 0;
      for (let i = 0; i < n; i++) {
        const x = p[base + 2 * i];
        const y = p[base + 2 * i + 1];
        for (let j = i + 1; j < n; j++) {
          const dx = x - p[base + 2 * j];
          const dy = y - p[base + 2 * j + 1];
          if (dx * dx + dy * dy >= touch2) continue;
          touched[i]++;
          touched[j]++;
          this.#collisions.data[e]++;
        }
        // All later agents have been compared with i by now, all earlier ones before.
        reward[e * n + i] = -this.#distance(e, i) - collisionPenalty * Math.min(touched[i], most);
      }
    }
  }

  /** Distance of agent i to its landmark. */
  #distance(e: number, i: number): number {
    const { agents: n } = this.#p;
    const p = this.#world.position.data;
    const k = e * n * 4 + 2 * i;
    const dx = p[k] - p[k + 2 * n];
    const dy = p[k + 1] - p[k + 2 * n + 1];
    return Math.sqrt(dx * dx + dy * dy);
  }

  protected override observe(from: number, to: number): void {
    const { agents: n, includeVelocity } = this.#p;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { obs } = this.groups[0];
    const { obsSize } = this.spec.groups[0];
    for (let e = from; e < to; e++) {
      const base = e * n * 4;
      for (let i = 0; i < n; i++) {
        const row = e * n + i;
        const x = p[base + 2 * i];
        const y = p[base + 2 * i + 1];
        let o = row * obsSize;
        if (includeVelocity) {
          obs[o++] = v[2 * row];
          obs[o++] = v[2 * row + 1];
        }
        obs[o++] = x;
        obs[o++] = y;
        obs[o++] = p[base + 2 * (n + i)] - x;
        obs[o++] = p[base + 2 * (n + i) + 1] - y;
        for (let k = base; k < base + 2 * n; k += 2) {
          if (k === base + 2 * i) continue;
          obs[o++] = p[k] - x;
          obs[o++] = p[k + 1] - y;
        }
      }
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      velocity: this.#world.velocity,
      collisions: this.#collisions,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const { agents: n } = this.#p;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += this.#distance(e, i);
    out[offset] = sum / n;
    out[offset + 1] = this.#collisions.data[e];
  }

  protected override draw(e: number): Frame {
    const { agents: n, agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [];
    for (let i = 0; i < n; i++) {
      const color = cssColor(0.25, 0.25, 0.25);
      shapes.push({ ...disc(n + i, landmarkSize), color, role: "landmark", label: `${i}` });
    }
    for (const [i, agent] of this.spec.groups[0].agents.entries()) {
      const color = cssColor(0.35, 0.35, 0.85);
      shapes.push({ ...disc(i, agentSize), color, role: "agent", agent, label: `${i}` });
    }
    return { shapes, captions: [] };
  }
}

export const independentSpread = defineEnvironment({
  id: ID,
  summary: "Every agent goes to a landmark of its own and should not bump into the others.",
  source:
    "Nika et al. 2025, Appendix C.1 (no public original); physics is that of simple_spread, checked against MPE2",
  parameters,
  create: (p, options) => new IndependentSpread(p, options),
});
