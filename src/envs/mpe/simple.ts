/**
 * The smallest particle world: one agent goes to one landmark.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple/simple.py (`simple_v3`). The reward is −d(agent, landmark)² on the state
 * after the step. Page: docs/environments/simple.md.
 */
import { z } from "zod";
import type { NdArray } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import { episodeParameters, NO_CONTACTS, physicsParameters, pictureParameters } from "./common.js";
import { cssColor, discs } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_v3";

const parameters = {
  ...episodeParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.05).describe("radius of the agent (nothing collides)"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of the landmark"),
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeSimple(p: Parameters): EnvironmentSpec {
  const features = layout([
    { name: "velocity", size: 2 },
    { name: "landmark", size: 2 },
  ]);
  const group: GroupSpec = {
    name: "agents",
    agents: ["agent_0"],
    obsSize: sizeOfFeatures(features),
    features,
    action: movementSpace(p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: MOVES }),
  };
  return {
    id: ID,
    groups: [group],
    stateSize: group.obsSize,
    stateFeatures: concatenatedObsFeatures([group]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["distance"],
    capabilities: { saveState: true, frames: true },
  };
}

class Simple extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeSimple(p), options, true);
    const maxSpeed = p.maxSpeed ?? Number.POSITIVE_INFINITY;
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      [{ size: p.agentSize, collides: false, movable: true, mass: p.mass, maxSpeed }],
      [{ size: p.landmarkSize, collides: false }],
      { ...p, ...NO_CONTACTS },
    );
  }

  protected override startEpisode(e: number): void {
    this.#world.scatter(e, this.streams[e].reset);
  }

  protected override advance(): void {
    const { action, reward } = this.groups[0];
    decodeMovement(action, this.#world, 0, 1, this.#p.gain);
    this.#world.step();
    const p = this.#world.position.data;
    for (let e = 0, k = 0; e < this.copies; e++, k += 4) {
      const dx = p[k] - p[k + 2];
      const dy = p[k + 1] - p[k + 3];
      reward[e] = -(dx * dx + dy * dy);
    }
  }

  protected override observe(from: number, to: number): void {
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { obs } = this.groups[0];
    for (let e = from, k = from * 4; e < to; e++, k += 4) {
      obs[k] = v[2 * e];
      obs[k + 1] = v[2 * e + 1];
      obs[k + 2] = p[k + 2] - p[k];
      obs[k + 3] = p[k + 3] - p[k + 1];
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { position: this.#world.position, velocity: this.#world.velocity };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const p = this.#world.position.data;
    out[offset] = Math.sqrt((p[4 * e] - p[4 * e + 2]) ** 2 + (p[4 * e + 1] - p[4 * e + 3]) ** 2);
  }

  protected override draw(e: number): Frame {
    const { agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    return {
      shapes: [
        { ...disc(1, landmarkSize), color: cssColor(0.75, 0.25, 0.25), role: "goal" },
        { ...disc(0, agentSize), color: cssColor(0.25, 0.25, 0.25), role: "agent", agent: "agent_0" },
      ],
      captions: [],
    };
  }
}

export const simple = defineEnvironment({
  id: ID,
  summary: "One agent goes to one landmark: the smallest particle world, for a first test.",
  source: "MPE2 1.1 simple_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new Simple(p, options),
});
