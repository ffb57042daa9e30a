/**
 * Sumo of two discs in a ring: whoever leaves the ring loses. A light two-sided contest with wins, losses and ties.
 * Own design; physics in match.ts.
 *
 * One disc out: the other wins (+1, −1). Both out in one step, or the time is up: a tie (0). All of them terminate: the
 * limit is a rule of the match, and time is observed. Page: docs/environments/point.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { layout, sizeOfFeatures } from "../../env/features.js";
import { box } from "../../env/spaces.js";
import { stepMatch } from "./match.js";

const ID = "sumo/point_v0";
const MOVES = ["stay", "left", "right", "down", "up"] as const;
const UX = [0, -1, 1, 0, 0];
const UY = [0, 0, 0, -1, 1];
/** Reset: distance of both discs from the centre, scatter around that, and standard deviation of velocities. */
const START = 1.15;
const SCATTER = 0.1;
const START_SPEED = 0.1;
/** velocities are observed in these units */
const SPEED = 3;

const parameters = {
  continuousActions: z.boolean().default(false).describe("box [−1, 1]² instead of five directions"),
  steps: z.int().min(1).max(100_000).default(200).describe("steps after which the match is a tie"),
  ringRadius: z.number().min(1.5).max(100).default(2).describe("radius of the ring; discs start near 1.15"),
  discRadius: z.number().positive().max(1).default(0.4).describe("radius of a disc"),
  dt: z.number().positive().max(1).default(0.05).describe("length of a step in seconds"),
  force: z.number().min(0).default(3).describe("force of full drive; discs have mass 1"),
  drag: z.number().min(0).default(0.5).describe("drag per unit of velocity"),
  noise: z
    .number()
    .min(0)
    .default(4)
    .describe("standard deviation of the random force; without it two good discs stand still"),
  shaping: z.number().min(0).default(0).describe("weight of the potential: how much nearer to the centre"),
  gamma: z.number().min(0).max(1).default(0.995).describe("discount in the shaping, the learner's own"),
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describePoint(p: Parameters): EnvironmentSpec {
  const features = layout([
    { name: "position", size: 2 },
    { name: "velocity", size: 2 },
    { name: "opponent", size: 2 },
    { name: "opponentVelocity", size: 2 },
    { name: "margin", size: 1, high: 1 },
    { name: "opponentMargin", size: 1, high: 1 },
    { name: "time", size: 1, low: 0, high: 1 },
  ]);
  const group: GroupSpec = {
    name: "discs",
    agents: ["disc_0", "disc_1"],
    obsSize: sizeOfFeatures(features),
    features,
    action: p.continuousActions ? box(2, -1, 1) : { kind: "discrete", n: MOVES.length },
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: MOVES }),
  };
  const stateFeatures = layout([
    ...group.agents.flatMap((name) => [
      { name: `${name}/position`, size: 2 },
      { name: `${name}/velocity`, size: 2 },
    ]),
    { name: "time", size: 1, low: 0, high: 1 },
  ]);
  return {
    id: ID,
    groups: [group],
    stateSize: sizeOfFeatures(stateFeatures),
    stateFeatures,
    maxSteps: p.steps,
    turnBased: false,
    episodeMetrics: ["win", "tie", "loss", "score", "nonFail", "length"],
    capabilities: { saveState: true, frames: true },
  };
}

class SumoPoint extends BatchedEnvironment {
  readonly #p: Parameters;
  /** [E, 2, 2] */
  readonly #position: NdArray<"float64">;
  /** [E, 2, 2] */
  readonly #velocity: NdArray<"float64">;
  /** [E] 1: disc_0 won its last match, −1: it lost, 0: tie or still fighting; metrics only */
  readonly #result: NdArray<"int32">;
  /** scratch of one match */
  readonly #drive = new Float64Array(4);
  readonly #shake = new Float64Array(4);

  constructor(p: Parameters, options: CreateOptions) {
    super(describePoint(p), options);
    this.#p = p;
    this.#position = zeros("float64", [this.copies, 2, 2]);
    this.#velocity = zeros("float64", [this.copies, 2, 2]);
    this.#result = zeros("int32", [this.copies]);
  }

  protected override startEpisode(e: number): void {
    const stream = this.streams[e].reset;
    const angle = stream.uniformIn(0, 2 * Math.PI);
    const p = this.#position.data;
    for (let i = 0; i < 2; i++) {
      const k = 4 * e + 2 * i;
      p[k] = START * Math.cos(angle + i * Math.PI) + stream.uniformIn(-SCATTER, SCATTER);
      p[k + 1] = START * Math.sin(angle + i * Math.PI) + stream.uniformIn(-SCATTER, SCATTER);
    }
    for (let k = 4 * e; k < 4 * e + 4; k++) this.#velocity.data[k] = START_SPEED * stream.normal();
    this.#result.data[e] = 0;
  }

  /** Allocates nothing. */
  protected override advance(): void {
    const { steps, ringRadius, shaping, gamma } = this.#p;
    const { reward } = this.groups[0];
    const p = this.#position.data;
    for (let e = 0; e < this.copies; e++) {
      const before = shaping > 0 ? this.#potential(e) : 0;
      this.#readDrive(e);
      const stream = this.streams[e].dynamics;
      for (let k = 0; k < 4; k++) this.#shake[k] = stream.normal();
      stepMatch(p, this.#velocity.data, 4 * e, this.#drive, this.#shake, this.#p);
      const out0 = this.#distance(e, 0) > ringRadius;
      const out1 = this.#distance(e, 1) > ringRadius;
      const over = out0 || out1 || this.elapsed[e] >= steps;
      const result = out0 === out1 ? 0 : out1 ? 1 : -1;
      this.#result.data[e] = result;
      if (over) this.terminated[e] = 1;
      let paid: number = result;
      if (shaping > 0) paid += shaping * (over ? 0 - before : gamma * this.#potential(e) - before);
      reward[2 * e] = paid;
      reward[2 * e + 1] = 0 - paid;
    }
  }

  /** ‖p_i‖ */
  #distance(e: number, i: number): number {
    const x = this.#position.data[4 * e + 2 * i];
    const y = this.#position.data[4 * e + 2 * i + 1];
    return Math.sqrt(x * x + y * y);
  }

  /** Φ of disc_0: how much nearer to the centre it is than its opponent, in ring radii. */
  #potential(e: number): number {
    return (this.#distance(e, 1) - this.#distance(e, 0)) / this.#p.ringRadius;
  }

  /** u of both discs of one match. */
  #readDrive(e: number): void {
    const { action } = this.groups[0];
    const drive = this.#drive;
    for (let i = 0; i < 2; i++) {
      if (!this.#p.continuousActions) {
        const move = action[2 * e + i];
        drive[2 * i] = UX[move];
        drive[2 * i + 1] = UY[move];
        continue;
      }
      const x = action[4 * e + 2 * i];
      const y = action[4 * e + 2 * i + 1];
      const scale = 1 / Math.max(1, Math.sqrt(x * x + y * y));
      drive[2 * i] = x * scale;
      drive[2 * i + 1] = y * scale;
    }
  }

  protected override observe(from: number, to: number): void {
    const { steps, ringRadius: ring } = this.#p;
    const p = this.#position.data;
    const v = this.#velocity.data;
    const { obs } = this.groups[0];
    for (let e = from; e < to; e++) {
      const time = this.elapsed[e] / steps;
      for (let i = 0; i < 2; i++) {
        const own = 4 * e + 2 * i;
        const other = 4 * e + 2 - 2 * i;
        const o = (2 * e + i) * 11;
        obs[o] = p[own] / ring;
        obs[o + 1] = p[own + 1] / ring;
        obs[o + 2] = v[own] / SPEED;
        obs[o + 3] = v[own + 1] / SPEED;
        obs[o + 4] = (p[other] - p[own]) / ring;
        obs[o + 5] = (p[other + 1] - p[own + 1]) / ring;
        obs[o + 6] = v[other] / SPEED;
        obs[o + 7] = v[other + 1] / SPEED;
        obs[o + 8] = 1 - this.#distance(e, i) / ring;
        obs[o + 9] = 1 - this.#distance(e, 1 - i) / ring;
        obs[o + 10] = time;
        const s = 9 * e + 4 * i;
        this.state[s] = p[own];
        this.state[s + 1] = p[own + 1];
        this.state[s + 2] = v[own];
        this.state[s + 3] = v[own + 1];
      }
      this.state[9 * e + 8] = time;
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { position: this.#position, velocity: this.#velocity, result: this.#result };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const result = this.#result.data[e];
    out[offset] = result > 0 ? 1 : 0;
    out[offset + 1] = result === 0 ? 1 : 0;
    out[offset + 2] = result < 0 ? 1 : 0;
    out[offset + 3] = (1 + result) / 2;
    out[offset + 4] = result < 0 ? 0 : 1;
    out[offset + 5] = this.elapsed[e];
  }

  protected override draw(e: number): Frame {
    const { ringRadius, discRadius } = this.#p;
    const p = this.#position.data;
    const edge = ringRadius + 2 * discRadius;
    const colors = ["rgb(70, 70, 170)", "rgb(200, 120, 40)"];
    return {
      shapes: [
        { kind: "circle", x: 0, y: 0, radius: ringRadius, color: "rgb(225, 225, 225)", role: "landmark" },
        ...this.spec.groups[0].agents.map((agent, i) => ({
          kind: "circle" as const,
          x: p[4 * e + 2 * i],
          y: p[4 * e + 2 * i + 1],
          radius: discRadius,
          color: colors[i],
          role: "agent" as const,
          agent,
        })),
      ],
      captions: [],
      bounds: { left: -edge, right: edge, bottom: -edge, top: edge },
    };
  }
}

export const sumoPoint = defineEnvironment({
  id: ID,
  summary: "Two discs push each other out of a ring: a light contest with wins, losses and ties.",
  source: "own design; symmetries, goldens and outcomes of scripted discs are tested",
  parameters,
  create: (p, options) => new SumoPoint(p, options),
});
