/**
 * Cooperative continuous predator–prey: a team of predators chases prey that is part of the environment.
 *
 * Source: oxwhirl/facmac (Peng et al. 2021), src/envs/particle: continuous_pred_prey_3a, _6a, _9a; used by Zhou et al.
 * 2025 (ATSA), H.6, and, as "predator-prey", by Bukharin et al. 2023 (ERNIE). Every predator receives
 *
 *   10 · #{(prey, predator) pairs that overlap}
 *
 * on the state after the step; the team's reward is that number once. The prey moves as `Escape` says, decided from the
 * state before the step. Page: docs/environments/continuous_pred_prey.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import { box } from "../../env/spaces.js";
import { contactParameters, pictureParameters, worldParameters } from "./common.js";
import { Escape } from "./escape.js";
import { cssColor, discs } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/continuous_pred_prey_v0";
/** Obstacles start within this of the centre, in each coordinate. */
const OBSTACLE_RANGE = 0.9;

const parameters = {
  predators: z.int().min(1).default(3).describe("number of predators: 3, 6 or 9 in the original"),
  prey: z.int().min(1).default(1).describe("number of prey: 1, 2 or 3 in the original"),
  obstacles: z.int().min(0).default(2).describe("number of obstacles: 2, 4 or 6 in the original"),
  maxCycles: z.int().min(1).default(25).describe("steps until an episode is truncated"),
  viewRadius: z
    .number()
    .min(0)
    .nullable()
    .default(1.5)
    .describe("what is farther than this is observed as zero; null: everything is observed"),
  preyScore: z
    .literal(["min", "sum"])
    .default("min")
    .describe("prey keeps away from the nearest predator, or from everybody"),
  preyCandidates: z.int().min(1).default(100).describe("places the prey looks at in each step"),
  ...worldParameters,
  integration: worldParameters.integration.default("velocityFirst"),
  predatorGain: z.number().min(0).default(3).describe("force per unit of a predator's action"),
  preyGain: z.number().min(0).default(1).describe("force per unit of the prey's way to where it wants to be"),
  predatorMaxSpeed: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe("speed limit of predators; null: none"),
  preyMaxSpeed: z.number().positive().nullable().default(1.3).describe("speed limit of prey; null: none"),
  predatorSize: z.number().min(0).default(0.075).describe("radius of a predator"),
  preySize: z.number().min(0).default(0.05).describe("radius of prey"),
  obstacleSize: z.number().min(0).default(0.2).describe("radius of an obstacle"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describePredPrey(p: Parameters): EnvironmentSpec {
  const features = layout([
    { name: "velocity", size: 2 },
    { name: "position", size: 2 },
    { name: "obstacles", size: 2 * p.obstacles },
    { name: "others", size: 2 * (p.predators - 1) },
    { name: "prey", size: 2 * p.prey },
    { name: "preyVelocity", size: 2 * p.prey },
  ]);
  const group: GroupSpec = {
    name: "predators",
    agents: Array.from({ length: p.predators }, (_, i) => `agent_${i}`),
    obsSize: sizeOfFeatures(features),
    features,
    action: box(2, -1, 1),
    hasActionMask: false,
  };
  return {
    id: ID,
    groups: [group],
    stateSize: p.predators * group.obsSize,
    stateFeatures: concatenatedObsFeatures([group]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["captures", "caught"],
    capabilities: { saveState: true, frames: true },
  };
}

class ContinuousPredPrey extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  readonly #escape: Escape;
  /** [E, 2] pairs in contact, and steps with any, summed over the steps of the episode */
  readonly #tally: NdArray<"float64">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describePredPrey(p), options, true);
    const body = { collides: true, movable: true, mass: p.mass };
    const limit = (maxSpeed: number | null) => maxSpeed ?? Number.POSITIVE_INFINITY;
    const predator = { ...body, size: p.predatorSize, maxSpeed: limit(p.predatorMaxSpeed) };
    const prey = { ...body, size: p.preySize, maxSpeed: limit(p.preyMaxSpeed) };
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      [...Array(p.predators).fill(predator), ...Array(p.prey).fill(prey)],
      Array(p.obstacles).fill({ size: p.obstacleSize, collides: true }),
      p,
    );
    this.#escape = new Escape(p.preyCandidates, p.preyScore, p.predatorSize, p.preySize);
    this.#tally = zeros("float64", [this.copies, 2]);
  }

  protected override startEpisode(e: number): void {
    this.#world.scatter(e, this.streams[e].reset, OBSTACLE_RANGE);
    this.#tally.data.fill(0, 2 * e, 2 * e + 2);
  }

  protected override advance(): void {
    const { predators, prey, predatorGain } = this.#p;
    const { action, reward } = this.groups[0];
    const { control } = this.#world;
    for (let e = 0, a = 0; e < this.copies; e++) {
      const first = e * (predators + prey) * 2;
      // FACMAC multiplies float32 actions in float32.
      for (let k = 0; k < 2 * predators; k++) control[first + k] = Math.fround(action[a++] * predatorGain);
      for (let i = predators; i < predators + prey; i++) this.#flee(e, i);
    }
    this.#world.step();
    const tally = this.#tally.data;
    for (let e = 0; e < this.copies; e++) {
      const captures = this.#captures(e);
      for (let i = e * predators; i < (e + 1) * predators; i++) reward[i] = 10 * captures;
      tally[2 * e] += captures;
      if (captures > 0) tally[2 * e + 1]++;
    }
  }

  /** Let prey, agent i of copy e, decide. */
  #flee(e: number, i: number): void {
    const { predators, prey, obstacles, preyGain } = this.#p;
    const agents = predators + prey;
    const base = e * (agents + obstacles) * 2;
    const p = this.#world.position.data;
    const draws = this.streams[e].opponent;
    this.#escape.find(p, base, i, predators, agents, draws);
    const { found } = this.#escape;
    this.#world.control[(e * agents + i) * 2] = found[0] * preyGain;
    this.#world.control[(e * agents + i) * 2 + 1] = found[1] * preyGain;
  }

  /** Overlapping pairs of prey and predator. */
  #captures(e: number): number {
    const { predators, prey, obstacles, predatorSize, preySize } = this.#p;
    const p = this.#world.position.data;
    const base = e * (predators + prey + obstacles) * 2;
    const touch = predatorSize + preySize;
    let captures = 0;
    for (let i = base + 2 * predators; i < base + 2 * (predators + prey); i += 2) {
      for (let a = base; a < base + 2 * predators; a += 2) {
        const dx = p[i] - p[a];
        const dy = p[i + 1] - p[a + 1];
        if (dx * dx + dy * dy < touch * touch) captures++;
      }
    }
    return captures;
  }

  protected override observe(from: number, to: number): void {
    const { predators, prey, obstacles, viewRadius } = this.#p;
    const agents = predators + prey;
    const radius = viewRadius ?? Number.POSITIVE_INFINITY;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { obs } = this.groups[0];
    const { obsSize } = this.spec.groups[0];
    for (let e = from; e < to; e++) {
      const base = e * (agents + obstacles) * 2;
      const speeds = e * agents * 2;
      for (let i = 0; i < predators; i++) {
        const x = p[base + 2 * i];
        const y = p[base + 2 * i + 1];
        let o = (e * predators + i) * obsSize;
        obs[o++] = v[speeds + 2 * i];
        obs[o++] = v[speeds + 2 * i + 1];
        obs[o++] = x;
        obs[o++] = y;
        let velocities = o + 2 * (obstacles + agents - 1);
        // Obstacles first, then the other agents, prey last.
        for (let m = 0; m < obstacles + agents; m++) {
          const j = m < obstacles ? agents + m : m - obstacles;
          if (j === i) continue;
          const dx = p[base + 2 * j] - x;
          const dy = p[base + 2 * j + 1] - y;
          const seen = Math.sqrt(dx * dx + dy * dy) <= radius;
          obs[o++] = seen ? dx : 0;
          obs[o++] = seen ? dy : 0;
          if (j < predators || j >= agents) continue;
          obs[velocities++] = seen ? v[speeds + 2 * j] : 0;
          obs[velocities++] = seen ? v[speeds + 2 * j + 1] : 0;
        }
      }
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { position: this.#world.position, velocity: this.#world.velocity, tally: this.#tally };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#tally.data[2 * e];
    out[offset + 1] = this.#tally.data[2 * e + 1] / this.elapsed[e];
  }

  protected override draw(e: number): Frame {
    const { predators, prey, obstacles, predatorSize, preySize, obstacleSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [];
    for (let l = 0; l < obstacles; l++) {
      const color = cssColor(0.25, 0.25, 0.25);
      shapes.push({ ...disc(predators + prey + l, obstacleSize), color, role: "obstacle" });
    }
    for (const [i, agent] of this.spec.groups[0].agents.entries()) {
      shapes.push({ ...disc(i, predatorSize), color: cssColor(0.85, 0.35, 0.35), role: "agent", agent });
    }
    for (let i = 0; i < prey; i++) {
      const color = cssColor(0.35, 0.85, 0.35);
      shapes.push({ ...disc(predators + i, preySize), color, role: "goal", label: "prey" });
    }
    return { shapes, captions: [] };
  }
}

export const continuousPredPrey = defineEnvironment({
  id: ID,
  summary: "Predators chase scripted prey together, with continuous actions and a limited view.",
  source: "FACMAC's continuous_pred_prey; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new ContinuousPredPrey(p, options),
});
