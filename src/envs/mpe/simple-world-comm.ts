/**
 * Predator and prey with food, forests to hide in, and a leader of the adversaries who sees everything and speaks.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_world_comm/simple_world_comm.py (`simple_world_comm_v3`). On the state
 * after the step:
 *
 *   adversary   −0.1 · min over good agents of the distance + 5 · #{(good agent, adversary) pairs that overlap}
 *   good agent  −5 · #{adversaries that overlap it} − 2 · (bound(|x|) + bound(|y|))
 *               + 2 · #{food that it overlaps} − 0.05 · min over food of the distance
 *
 * Another agent is seen (position, velocity) by one that overlaps the same forest, if neither is in a forest, or by
 * the leader; else both are shown as zero. Page: docs/environments/simple_world_comm.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import {
  decodeMovement,
  decodeSpeech,
  hear,
  MOVES,
  movementSpace,
  movingSpeechNames,
  movingSpeechSpace,
  strongestWord,
} from "./actions.js";
import {
  bound,
  chaseParameters,
  contactParameters,
  episodeParameters,
  pictureParameters,
  worldParameters,
} from "./common.js";
import { cssColor, discs, speechCaption } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_world_comm_v3";
const VOCABULARY = 4;
/** Landmarks of every kind start within this of the centre, in each coordinate. */
const LANDMARK_RANGE = 0.9;
/** A forest is one bit of an agent's place. */
const MOST_FORESTS = 30;

const parameters = {
  good: z.int().min(1).default(2).describe("number of good agents (prey)"),
  adversaries: z.int().min(1).default(4).describe("number of adversaries (predators), the leader included"),
  obstacles: z.int().min(0).default(1).describe("number of obstacles"),
  food: z.int().min(1).default(2).describe("number of places with food"),
  forests: z.int().min(0).max(MOST_FORESTS).default(2).describe("number of forests"),
  ...episodeParameters,
  ...worldParameters,
  ...chaseParameters,
  adversarySize: z.number().min(0).default(0.075).describe("radius of an adversary"),
  goodSize: z.number().min(0).default(0.045).describe("radius of a good agent"),
  obstacleSize: z.number().min(0).default(0.2).describe("radius of an obstacle"),
  foodSize: z.number().min(0).default(0.03).describe("radius of food (which does not collide)"),
  forestSize: z.number().min(0).default(0.3).describe("radius of a forest (which does not collide)"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeWorldComm(p: Parameters): EnvironmentSpec {
  const { good, adversaries, obstacles, food, forests, continuousActions } = p;
  const common = [
    { name: "velocity", size: 2 },
    { name: "position", size: 2 },
    { name: "obstacles", size: 2 * obstacles },
    { name: "food", size: 2 * food },
    { name: "forests", size: 2 * forests },
    { name: "others", size: 2 * (good + adversaries - 1) },
  ];
  const inForest = { name: "inForest", size: forests, low: -1, high: 1 };
  const speech = continuousActions ? "continuous" : "one-hot";
  const hunted = layout([
    ...common,
    { name: "goodVelocity", size: 2 * good },
    inForest,
    { name: "message", size: VOCABULARY, kind: speech, low: 0, high: 1 },
  ]);
  const group = (name: string, agents: readonly string[], features: GroupSpec["features"]): GroupSpec => {
    const leads = name === "leader";
    return {
      name,
      agents,
      obsSize: sizeOfFeatures(features),
      features,
      action: leads ? movingSpeechSpace(VOCABULARY, continuousActions) : movementSpace(continuousActions),
      hasActionMask: false,
      ...(continuousActions ? {} : { actionNames: leads ? movingSpeechNames(VOCABULARY) : MOVES }),
    };
  };
  const names = (stem: string, count: number) => Array.from({ length: count }, (_, i) => `${stem}_${i}`);
  const prey = layout([...common, inForest, { name: "goodVelocity", size: 2 * (good - 1) }]);
  const groups = [
    group("leader", ["leadadversary_0"], hunted),
    // The leader alone is a pack, too.
    ...(adversaries > 1 ? [group("adversaries", names("adversary", adversaries - 1), hunted)] : []),
    group("agents", names("agent", good), prey),
  ];
  return {
    id: ID,
    groups,
    stateSize: groups.reduce((sum, g) => sum + g.agents.length * g.obsSize, 0),
    stateFeatures: concatenatedObsFeatures(groups),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["captures", "eaten", "hidden"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleWorldComm extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  /** agents of one copy */
  readonly #agents: number;
  /** [E, 1, 4] what the leader said last; zero before the first step */
  readonly #message: NdArray<"float64">;
  /** [E, 3] pairs in contact, food in contact, good agents in forests, summed over the steps */
  readonly #tally: NdArray<"float64">;
  /** [agents] of the copy at hand: bit f is set where the agent overlaps forest f */
  readonly #place: Int32Array;
  /** [good] of the copy at hand: adversaries that overlap the good agent */
  readonly #hits: Int32Array;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeWorldComm(p), options);
    const body = { collides: true, movable: true, mass: p.mass };
    const limit = (maxSpeed: number | null) => maxSpeed ?? Number.POSITIVE_INFINITY;
    const adversary = { ...body, size: p.adversarySize, maxSpeed: limit(p.adversaryMaxSpeed) };
    const good = { ...body, size: p.goodSize, maxSpeed: limit(p.goodMaxSpeed) };
    this.#p = p;
    this.#agents = p.adversaries + p.good;
    this.#world = new ParticleWorld(
      this.copies,
      [...Array(p.adversaries).fill(adversary), ...Array(p.good).fill(good)],
      [
        ...Array(p.obstacles).fill({ size: p.obstacleSize, collides: true }),
        ...Array(p.food).fill({ size: p.foodSize, collides: false }),
        ...Array(p.forests).fill({ size: p.forestSize, collides: false }),
      ],
      p,
    );
    this.#message = zeros("float64", [this.copies, 1, VOCABULARY]);
    this.#tally = zeros("float64", [this.copies, 3]);
    this.#place = new Int32Array(this.#agents);
    this.#hits = new Int32Array(p.good);
  }

  protected override startEpisode(e: number): void {
    // The original draws food and forests twice and keeps the second: the same distribution.
    this.#world.scatter(e, this.streams[e].reset, LANDMARK_RANGE);
    this.#message.data.fill(0, e * VOCABULARY, (e + 1) * VOCABULARY);
    this.#tally.data.fill(0, 3 * e, 3 * e + 3);
  }

  protected override advance(): void {
    const { adversaries, good, adversaryGain, goodGain } = this.#p;
    const { groups } = this;
    const [leader] = groups;
    decodeMovement(leader.action, this.#world, 0, 1, adversaryGain, VOCABULARY);
    decodeSpeech(leader.action, this.#message.data, this.copies, 0, 1, 1, VOCABULARY, true);
    if (adversaries > 1) decodeMovement(groups[1].action, this.#world, 1, adversaries - 1, adversaryGain);
    decodeMovement(groups[groups.length - 1].action, this.#world, adversaries, good, goodGain);
    this.#world.step();
    for (let e = 0; e < this.copies; e++) {
      this.#locate(e);
      this.#score(e);
    }
  }

  /** Offset of copy e's positions. */
  #base(e: number): number {
    const { obstacles, food, forests } = this.#p;
    return e * (this.#agents + obstacles + food + forests) * 2;
  }

  /** Whether agent and landmark (offsets of their positions) are nearer than `touch`. */
  #overlap(a: number, b: number, touch: number): boolean {
    const p = this.#world.position.data;
    const dx = p[a] - p[b];
    const dy = p[a + 1] - p[b + 1];
    return dx * dx + dy * dy < touch * touch;
  }

  /** Find out who of copy e is in which forest. */
  #locate(e: number): void {
    const { adversaries, adversarySize, goodSize, obstacles, food, forests, forestSize } = this.#p;
    const base = this.#base(e);
    const firstForest = base + 2 * (this.#agents + obstacles + food);
    for (let i = 0; i < this.#agents; i++) {
      const touch = (i < adversaries ? adversarySize : goodSize) + forestSize;
      let place = 0;
      for (let f = 0; f < forests; f++) {
        if (this.#overlap(base + 2 * i, firstForest + 2 * f, touch)) place |= 1 << f;
      }
      this.#place[i] = place;
    }
  }

  /** Rewards and metrics of copy e. Allocates nothing. */
  #score(e: number): void {
    const { adversaries, good, obstacles, food, adversarySize, goodSize, foodSize } = this.#p;
    const p = this.#world.position.data;
    const tally = this.#tally.data;
    const hits = this.#hits;
    const { groups } = this;
    const prey = groups[groups.length - 1].reward;
    const base = this.#base(e);
    const touch = adversarySize + goodSize;
    let captures = 0;
    for (let i = 0; i < good; i++) hits[i] = 0;
    for (let a = 0; a < adversaries; a++) {
      let nearest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < good; i++) {
        const dx = p[base + 2 * (adversaries + i)] - p[base + 2 * a];
        const dy = p[base + 2 * (adversaries + i) + 1] - p[base + 2 * a + 1];
        const d2 = dx * dx + dy * dy;
        nearest = Math.min(nearest, d2);
        if (d2 >= touch * touch) continue;
        hits[i]++;
        captures++;
      }
      const shaped = -0.1 * Math.sqrt(nearest);
      if (a === 0) groups[0].reward[e] = shaped;
      else groups[1].reward[e * (adversaries - 1) + a - 1] = shaped;
    }
    groups[0].reward[e] += 5 * captures;
    for (let a = 1; a < adversaries; a++) groups[1].reward[e * (adversaries - 1) + a - 1] += 5 * captures;
    const firstFood = base + 2 * (this.#agents + obstacles);
    for (let i = 0; i < good; i++) {
      const x = p[base + 2 * (adversaries + i)];
      const y = p[base + 2 * (adversaries + i) + 1];
      let reward = 0 - 5 * hits[i] - 2 * bound(x) - 2 * bound(y);
      let nearest = Number.POSITIVE_INFINITY;
      for (let k = firstFood; k < firstFood + 2 * food; k += 2) {
        const dx = p[k] - x;
        const dy = p[k + 1] - y;
        const d2 = dx * dx + dy * dy;
        nearest = Math.min(nearest, d2);
        if (d2 >= (goodSize + foodSize) * (goodSize + foodSize)) continue;
        reward += 2;
        tally[3 * e + 1]++;
      }
      prey[e * good + i] = reward - 0.05 * Math.sqrt(nearest);
      if (this.#place[adversaries + i] !== 0) tally[3 * e + 2]++;
    }
    tally[3 * e] += captures;
  }

  protected override observe(from: number, to: number): void {
    const { adversaries, good } = this.#p;
    const agents = this.#agents;
    const { groups } = this;
    const prey = groups.length - 1;
    for (let e = from; e < to; e++) {
      this.#locate(e);
      for (let i = 0; i < agents; i++) {
        const g = i === 0 ? 0 : i < adversaries ? 1 : prey;
        const row = g === 0 ? e : g === prey ? e * good + i - adversaries : e * (adversaries - 1) + i - 1;
        this.#observeAs(e, i, groups[g].obs, row * this.spec.groups[g].obsSize);
      }
    }
    this.concatenateObs(from, to);
  }

  /** Observation of agent i of copy e, whose places are located; obs[o …] is written. */
  #observeAs(e: number, i: number, obs: Float32Array, o: number): void {
    const { adversaries, obstacles, food, forests } = this.#p;
    const agents = this.#agents;
    const place = this.#place;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const base = this.#base(e);
    const speeds = e * agents * 2;
    const x = p[base + 2 * i];
    const y = p[base + 2 * i + 1];
    obs[o++] = v[speeds + 2 * i];
    obs[o++] = v[speeds + 2 * i + 1];
    obs[o++] = x;
    obs[o++] = y;
    const landmarks = base + 2 * agents;
    for (let k = landmarks; k < landmarks + 2 * (obstacles + food + forests); k += 2) {
      obs[o++] = p[k] - x;
      obs[o++] = p[k + 1] - y;
    }
    // An adversary's flags follow the velocities of good agents, a good agent's stand before them.
    let flags = o + 2 * (agents - 1);
    let velocities = flags + forests;
    if (i < adversaries) {
      velocities = flags;
      flags += 2 * (agents - adversaries);
    }
    for (let j = 0; j < agents; j++) {
      if (j === i) continue;
      const seen = i === 0 || (place[i] & place[j]) !== 0 || (place[i] | place[j]) === 0;
      obs[o++] = seen ? p[base + 2 * j] - x : 0;
      obs[o++] = seen ? p[base + 2 * j + 1] - y : 0;
      if (j < adversaries) continue;
      obs[velocities++] = seen ? v[speeds + 2 * j] : 0;
      obs[velocities++] = seen ? v[speeds + 2 * j + 1] : 0;
    }
    for (let f = 0; f < forests; f++) obs[flags++] = (place[i] >> f) & 1 ? 1 : -1;
    if (i >= adversaries) return;
    hear(this.#message.data, e * VOCABULARY, VOCABULARY, obs, flags);
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      velocity: this.#world.velocity,
      message: this.#message,
      tally: this.#tally,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const tally = this.#tally.data;
    out[offset] = tally[3 * e];
    out[offset + 1] = tally[3 * e + 1];
    out[offset + 2] = tally[3 * e + 2] / (this.elapsed[e] * this.#p.good);
  }

  protected override draw(e: number): Frame {
    const { adversaries, obstacles, food, forests, dynamicRescaling } = this.#p;
    const { adversarySize, goodSize, obstacleSize, foodSize, forestSize } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [];
    let k = this.#agents;
    for (let l = 0; l < obstacles; l++) {
      shapes.push({ ...disc(k++, obstacleSize), color: cssColor(0.25, 0.25, 0.25), role: "obstacle" });
    }
    for (let l = 0; l < food; l++) {
      shapes.push({ ...disc(k++, foodSize), color: cssColor(0.15, 0.15, 0.65), role: "landmark" });
    }
    for (let l = 0; l < forests; l++) {
      shapes.push({ ...disc(k++, forestSize), color: cssColor(0.6, 0.9, 0.6), role: "landmark" });
    }
    for (const [i, agent] of this.spec.groups.flatMap((g) => g.agents).entries()) {
      let color = cssColor(0.45, 0.95, 0.45);
      if (i < adversaries) color = cssColor(0.95, 0.45, 0.45);
      if (i === 0) color = cssColor(0.65, 0.15, 0.15);
      const size = i < adversaries ? adversarySize : goodSize;
      shapes.push({ ...disc(i, size), color, role: "agent", agent });
    }
    const word = strongestWord(this.#message.data, e * VOCABULARY, VOCABULARY);
    return { shapes, captions: [speechCaption("leadadversary_0", word)] };
  }
}

export const simpleWorldComm = defineEnvironment({
  id: ID,
  summary: "Predators with a leader who speaks chase prey among food, obstacles and forests to hide in.",
  source: "MPE2 1.1 simple_world_comm_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new SimpleWorldComm(p, options),
});
