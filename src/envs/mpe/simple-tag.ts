/**
 * Predator and prey: slower adversaries chase faster good agents around obstacles.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_tag/simple_tag.py (`simple_tag_v3`). On the state after the step:
 *
 *   adversary   +10 · #{(good agent, adversary) pairs that overlap}, the same for all adversaries
 *   good agent  −10 · #{adversaries that overlap it} − bound(|x|) − bound(|y|)
 *
 * Page: docs/environments/simple_tag.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import {
  bound,
  chaseParameters,
  contactParameters,
  episodeParameters,
  neighborParameters,
  pictureParameters,
  worldParameters,
} from "./common.js";
import { Neighbors } from "./neighbors.js";
import { cssColor, discs } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_tag_v3";
/** Obstacles start within this of the centre, in each coordinate. */
const OBSTACLE_RANGE = 0.9;
/** Curriculum: share of their speed limit and gain that good agents have. */
const STAGE_SPEED = [0.5, 0.75, 1] as const;

const parameters = {
  good: z.int().min(1).default(1).describe("number of good agents (prey)"),
  adversaries: z.int().min(1).default(3).describe("number of adversaries (predators)"),
  obstacles: z.int().min(0).default(2).describe("number of obstacles"),
  ...episodeParameters,
  terminateOnSuccess: z
    .boolean()
    .default(false)
    .describe("end the task when every good agent is caught at once"),
  curriculumStage: z
    .literal([0, 1, 2])
    .default(2)
    .describe("good agents have 50, 75 or 100 % of their speed limit and gain"),
  ...neighborParameters,
  ...worldParameters,
  ...chaseParameters,
  adversarySize: z.number().min(0).default(0.075).describe("radius of an adversary"),
  goodSize: z.number().min(0).default(0.05).describe("radius of a good agent"),
  obstacleSize: z.number().min(0).default(0.2).describe("radius of an obstacle"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeTag(p: Parameters): EnvironmentSpec {
  const { good, adversaries, obstacles, landmarkNeighbors, agentNeighbors } = p;
  const others = agentNeighbors ?? good + adversaries - 1;
  const group = (name: string, agent: string, count: number, otherGood: number): GroupSpec => {
    const features = layout([
      { name: "velocity", size: 2 },
      { name: "position", size: 2 },
      { name: "obstacles", size: 2 * (landmarkNeighbors ?? obstacles) },
      { name: "others", size: 2 * others },
      // With a limit on neighbours there is a place for each of them, zero where it is an adversary.
      { name: "goodVelocity", size: 2 * (agentNeighbors ?? otherGood) },
    ]);
    return {
      name,
      agents: Array.from({ length: count }, (_, i) => `${agent}_${i}`),
      obsSize: sizeOfFeatures(features),
      features,
      action: movementSpace(p.continuousActions),
      hasActionMask: false,
      ...(p.continuousActions ? {} : { actionNames: MOVES }),
    };
  };
  const groups = [
    group("adversaries", "adversary", adversaries, good),
    group("agents", "agent", good, good - 1),
  ];
  return {
    id: ID,
    groups,
    stateSize: adversaries * groups[0].obsSize + good * groups[1].obsSize,
    stateFeatures: concatenatedObsFeatures(groups),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["captures", "caught", "outside"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleTag extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  readonly #neighbors: Neighbors;
  /** [E, 3] pairs in contact, steps with a good agent caught, good agents outside [−1, 1]², summed over the steps */
  readonly #tally: NdArray<"float64">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeTag(p), options);
    const body = { collides: true, movable: true, mass: p.mass };
    const limit = (maxSpeed: number | null) => maxSpeed ?? Number.POSITIVE_INFINITY;
    const adversary = { ...body, size: p.adversarySize, maxSpeed: limit(p.adversaryMaxSpeed) };
    const speed = STAGE_SPEED[p.curriculumStage];
    const good = { ...body, size: p.goodSize, maxSpeed: limit(p.goodMaxSpeed) * speed };
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      [...Array(p.adversaries).fill(adversary), ...Array(p.good).fill(good)],
      Array(p.obstacles).fill({ size: p.obstacleSize, collides: true }),
      p,
    );
    this.#neighbors = new Neighbors(Math.max(p.adversaries + p.good, p.obstacles));
    this.#tally = zeros("float64", [this.copies, 3]);
  }

  protected override startEpisode(e: number): void {
    this.#world.scatter(e, this.streams[e].reset, OBSTACLE_RANGE);
    this.#tally.data.fill(0, 3 * e, 3 * e + 3);
  }

  protected override advance(): void {
    const { adversaries, good, adversaryGain, goodGain, curriculumStage } = this.#p;
    decodeMovement(this.groups[0].action, this.#world, 0, adversaries, adversaryGain);
    const gain = goodGain * STAGE_SPEED[curriculumStage];
    decodeMovement(this.groups[1].action, this.#world, adversaries, good, gain);
    this.#world.step();
    this.#score();
  }

  /** Rewards, success and metrics of every copy. Allocates nothing. */
  #score(): void {
    const { adversaries, good, obstacles, maxCycles, terminateOnSuccess } = this.#p;
    const p = this.#world.position.data;
    const tally = this.#tally.data;
    const [hunters, prey] = this.groups;
    const touch = this.#p.adversarySize + this.#p.goodSize;
    const stride = (adversaries + good + obstacles) * 2;
    for (let e = 0; e < this.copies; e++) {
      const base = e * stride;
      let captures = 0;
      let caught = 0;
      for (let i = 0; i < good; i++) {
        const x = p[base + 2 * (adversaries + i)];
        const y = p[base + 2 * (adversaries + i) + 1];
        let hits = 0;
        for (let a = 0; a < adversaries; a++) {
          const dx = x - p[base + 2 * a];
          const dy = y - p[base + 2 * a + 1];
          if (dx * dx + dy * dy < touch * touch) hits++;
        }
        prey.reward[e * good + i] = 0 - 10 * hits - bound(x) - bound(y);
        captures += hits;
        if (hits > 0) caught++;
        if (Math.max(Math.abs(x), Math.abs(y)) > 1) tally[3 * e + 2]++;
      }
      for (let a = 0; a < adversaries; a++) hunters.reward[e * adversaries + a] = 10 * captures;
      tally[3 * e] += captures;
      if (caught > 0) tally[3 * e + 1]++;
      // At the last step MPE2 reports the limit only, even when the task is done.
      if (terminateOnSuccess && caught === good && this.elapsed[e] < maxCycles) this.terminated[e] = 1;
    }
  }

  protected override observe(from: number, to: number): void {
    const { adversaries, good, obstacles, landmarkNeighbors, agentNeighbors } = this.#p;
    const limited = landmarkNeighbors !== null || agentNeighbors !== null;
    const agents = adversaries + good;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    for (let g = 0; g < 2; g++) {
      const { obs } = this.groups[g];
      const { obsSize } = this.spec.groups[g];
      const first = g === 0 ? 0 : adversaries;
      const last = g === 0 ? adversaries : agents;
      let o = from * (last - first) * obsSize;
      for (let e = from; e < to; e++) {
        const base = e * (agents + obstacles) * 2;
        const speeds = e * agents * 2;
        for (let i = first; i < last; i++) {
          if (limited) {
            this.#observeNearest(e, i, obs, o, obsSize);
            o += obsSize;
            continue;
          }
          const x = p[base + 2 * i];
          const y = p[base + 2 * i + 1];
          obs[o++] = v[speeds + 2 * i];
          obs[o++] = v[speeds + 2 * i + 1];
          obs[o++] = x;
          obs[o++] = y;
          for (let k = base + 2 * agents; k < base + 2 * (agents + obstacles); k += 2) {
            obs[o++] = p[k] - x;
            obs[o++] = p[k + 1] - y;
          }
          for (let j = 0; j < agents; j++) {
            if (j === i) continue;
            obs[o++] = p[base + 2 * j] - x;
            obs[o++] = p[base + 2 * j + 1] - y;
          }
          for (let j = adversaries; j < agents; j++) {
            if (j === i) continue;
            obs[o++] = v[speeds + 2 * j];
            obs[o++] = v[speeds + 2 * j + 1];
          }
        }
      }
    }
    this.concatenateObs(from, to);
  }

  /** Observation of agent i with neighbour limits: nearest first, the rest of the places zero. */
  #observeNearest(e: number, i: number, obs: Float32Array, start: number, obsSize: number): void {
    const { adversaries, good, obstacles, landmarkNeighbors, agentNeighbors } = this.#p;
    const agents = adversaries + good;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const neighbors = this.#neighbors;
    const base = e * (agents + obstacles) * 2;
    const speeds = e * agents * 2;
    const x = p[base + 2 * i];
    const y = p[base + 2 * i + 1];
    obs.fill(0, start, start + obsSize);
    obs[start] = v[speeds + 2 * i];
    obs[start + 1] = v[speeds + 2 * i + 1];
    obs[start + 2] = x;
    obs[start + 3] = y;
    neighbors.write(p, base + 2 * agents, obstacles, -1, x, y, landmarkNeighbors, obs, start + 4);
    const others = start + 4 + 2 * (landmarkNeighbors ?? obstacles);
    const shown = neighbors.write(p, base, agents, i, x, y, agentNeighbors, obs, others);
    let o = others + 2 * (agentNeighbors ?? agents - 1);
    for (let k = 0; k < shown; k++) {
      const j = neighbors.order[k];
      if (j >= adversaries) {
        obs[o] = v[speeds + 2 * j];
        obs[o + 1] = v[speeds + 2 * j + 1];
      }
      // Without a limit only good agents have a place.
      if (j >= adversaries || agentNeighbors !== null) o += 2;
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { position: this.#world.position, velocity: this.#world.velocity, tally: this.#tally };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const tally = this.#tally.data;
    out[offset] = tally[3 * e];
    out[offset + 1] = tally[3 * e + 1] / this.elapsed[e];
    out[offset + 2] = tally[3 * e + 2] / (this.elapsed[e] * this.#p.good);
  }

  protected override draw(e: number): Frame {
    const { adversaries, good, obstacles, adversarySize, goodSize, obstacleSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [];
    for (let l = 0; l < obstacles; l++) {
      const color = cssColor(0.25, 0.25, 0.25);
      shapes.push({ ...disc(adversaries + good + l, obstacleSize), color, role: "obstacle" });
    }
    const [hunters, prey] = this.spec.groups;
    for (const [i, agent] of hunters.agents.entries()) {
      shapes.push({ ...disc(i, adversarySize), color: cssColor(0.85, 0.35, 0.35), role: "agent", agent });
    }
    for (const [i, agent] of prey.agents.entries()) {
      const color = cssColor(0.35, 0.85, 0.35);
      shapes.push({ ...disc(adversaries + i, goodSize), color, role: "agent", agent });
    }
    return { shapes, captions: [] };
  }
}

export const simpleTag = defineEnvironment({
  id: ID,
  summary: "Slower adversaries chase faster good agents around obstacles.",
  source: "MPE2 1.1 simple_tag_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new SimpleTag(p, options),
});
