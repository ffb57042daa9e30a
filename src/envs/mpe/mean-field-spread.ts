/**
 * Cooperative navigation of many agents: N agents cover N landmarks, each seeing only who and what is near.
 *
 * Source: Bukharin et al. 2023 (ERNIE), section 5, with the tasks of Liu et al. 2020 (PIC): IouJenLiu/PIC,
 * multiagent-particle-envs/multiagent/scenarios/simple_spread_n{3,6,15,30,100,200}.py. On the state after the step,
 * the same for all agents:
 *
 *   R = −Σ_landmarks (distance to the nearest agent) − #{ordered pairs of agents that overlap}
 *
 * Page: docs/environments/mean_field_spread.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { UserError } from "../../core/errors.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import { contactParameters, episodeParameters, physicsParameters, pictureParameters } from "./common.js";
import { MeanField, type MeanFieldKind } from "./mean-field.js";
import { cssColor, discs } from "./pictures.js";
import { PointGrid } from "./point-grid.js";
import { PoissonDisc } from "./poisson-disc.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/mean_field_spread_v0";
/** A landmark counts as covered when an agent's centre is nearer than this. */
const COVER_DISTANCE = 0.1;
/** Landmarks keep this distance from each other: four and a half radii of an agent of the original. */
const SPACING = 0.675;
/** A Poisson disc sample has about half of area / spacing² points; more landmarks would hardly ever find a place. */
const DENSEST = 0.5;
/** PIC's half-widths of the field; N agents not in the list get √(N / 3.2), 0.8 agents per unit of area. */
const HALF_WIDTHS: Readonly<Record<number, number>> = { 3: 3, 6: 1.5, 15: 2.2, 30: 3, 100: 5, 200: 7 };

const parameters = {
  agents: z.int().min(1).default(15).describe("number of agents, and of landmarks"),
  halfWidth: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      "half the width of the field in which all start; null: as in PIC, growing with the number of agents",
    ),
  neighbors: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe("other agents observed, nearest first, and one landmark more; null: 5, at most all"),
  placement: z
    .literal(["poisson", "uniform"])
    .nullable()
    .default(null)
    .describe(
      "how landmarks are placed: apart from each other, or independently; null: as in PIC, poisson but for 6",
    ),
  meanField: z
    .literal(["none", "moments", "histogram"])
    .default("none")
    .describe("what of the population is observed, too"),
  histogramBins: z.int().min(1).default(8).describe("bins of the histogram per axis"),
  rewardScale: z
    .literal(["sum", "perAgent"])
    .default("sum")
    .describe("the team's reward, or divided by the number of agents"),
  rewardProfile: z
    .literal(["standard", "picN6"])
    .default("standard")
    .describe("picN6: as PIC's file for 6 agents, coverage times N and every agent touching itself"),
  ...episodeParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.15).describe("radius of an agent"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of a landmark (landmarks do not collide)"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

/** Parameters with what follows from the number of agents filled in. */
function settle(p: Parameters) {
  const n = p.agents;
  return {
    ...p,
    halfWidth: p.halfWidth ?? HALF_WIDTHS[n] ?? Math.sqrt(n / 3.2),
    neighbors: Math.min(p.neighbors ?? 5, n - 1),
    placement: p.placement ?? (n === 6 ? "uniform" : "poisson"),
  };
}

type Settled = ReturnType<typeof settle>;

function describeMeanFieldSpread(p: Settled): EnvironmentSpec {
  const n = p.agents;
  const features = layout([
    { name: "velocity", size: 2 },
    { name: "position", size: 2 },
    { name: "landmarks", size: 2 * Math.min(n, p.neighbors + 1) },
    { name: "others", size: 2 * p.neighbors },
    ...MeanField.features(p.meanField, p.histogramBins),
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
  const stateFeatures = layout([
    { name: "particles", size: 4 * n },
    { name: "landmarks", size: 2 * n },
  ]);
  return {
    id: ID,
    groups: [group],
    stateSize: 6 * n,
    stateFeatures,
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["distance", "covered", "collisions"],
    capabilities: { saveState: true, frames: true },
  };
}

class MeanFieldSpread extends BatchedEnvironment {
  readonly #p: Settled;
  readonly #world: ParticleWorld;
  readonly #meanField: MeanField;
  readonly #agents: PointGrid;
  readonly #landmarks: PointGrid;
  readonly #disc: PoissonDisc | null;
  /** scratch of drawing landmarks without replacement */
  readonly #pick: Int32Array;
  /** [E] pairs in contact, summed over the steps of the episode */
  readonly #collisions: NdArray<"float64">;

  constructor(p: Settled, options: CreateOptions) {
    super(describeMeanFieldSpread(p), options);
    const n = p.agents;
    const maxSpeed = p.maxSpeed ?? Number.POSITIVE_INFINITY;
    const agent = { size: p.agentSize, collides: true, movable: true, mass: p.mass, maxSpeed };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(this.copies, Array(n).fill(agent), Array(n).fill(landmark), p);
    this.#meanField = new MeanField(
      this.copies,
      n,
      p.meanField as MeanFieldKind,
      p.histogramBins,
      p.halfWidth,
    );
    this.#agents = new PointGrid(n);
    this.#landmarks = new PointGrid(n);
    this.#disc = p.placement === "poisson" ? new PoissonDisc(2 * p.halfWidth, SPACING) : null;
    this.#pick = new Int32Array(this.#disc === null ? 0 : this.#disc.points.length / 2);
    this.#collisions = zeros("float64", [this.copies]);
  }

  protected override startEpisode(e: number): void {
    const { halfWidth } = this.#p;
    this.#world.scatter(e, this.streams[e].reset, halfWidth, halfWidth);
    if (this.#disc !== null) this.#placeApart(e, this.#disc);
    this.#meanField.clear(e);
    this.#collisions.data[e] = 0;
  }

  /** Put copy e's landmarks on points of a Poisson disc sample that has enough of them, chosen without replacement. */
  #placeApart(e: number, disc: PoissonDisc): void {
    const { agents: n, halfWidth } = this.#p;
    const stream = this.streams[e].reset;
    const pick = this.#pick;
    let count = disc.sample(stream);
    while (count < n) count = disc.sample(stream);
    const p = this.#world.position.data;
    for (let m = 0; m < count; m++) pick[m] = m;
    for (let l = 0, k = (e * 2 + 1) * n * 2; l < n; l++, k += 2) {
      const at = l + stream.int(count - l);
      const chosen = pick[at];
      pick[at] = pick[l];
      p[k] = disc.points[2 * chosen] - halfWidth;
      p[k + 1] = disc.points[2 * chosen + 1] - halfWidth;
    }
  }

  protected override advance(): void {
    const { agents: n, gain, rewardProfile, rewardScale } = this.#p;
    const { action, reward } = this.groups[0];
    decodeMovement(action, this.#world, 0, n, gain);
    this.#meanField.note(action);
    this.#world.step();
    for (let e = 0; e < this.copies; e++) {
      this.#agents.build(this.#world.position.data, e * n * 4, n);
      const pairs = this.#pairs(e);
      const distance = this.#coverage(e);
      this.#collisions.data[e] += pairs;
      const team = rewardProfile === "picN6" ? -n * distance - n - 2 * pairs : -distance - 2 * pairs;
      const shared = rewardScale === "perAgent" ? team / n : team;
      for (let i = e * n; i < (e + 1) * n; i++) reward[i] = shared;
    }
  }

  /** Pairs of agents of copy e that overlap; the grid of agents is built. */
  #pairs(e: number): number {
    const { agents: n, agentSize } = this.#p;
    const p = this.#world.position.data;
    let pairs = 0;
    for (let i = 0, k = e * n * 4; i < n; i++, k += 2) {
      pairs += this.#agents.within(p, k, 2 * agentSize, i);
    }
    return pairs;
  }

  /** Sum over copy e's landmarks of the distance to the nearest agent; the grid of agents is built. */
  #coverage(e: number): number {
    let sum = 0;
    for (let l = 0; l < this.#p.agents; l++) sum += this.#uncovered(e, l);
    return sum;
  }

  /** Distance from landmark l of copy e to the nearest agent; the grid of agents is built. */
  #uncovered(e: number, l: number): number {
    const { agents: n } = this.#p;
    const p = this.#world.position.data;
    const k = (e * 2 + 1) * n * 2 + 2 * l;
    this.#agents.nearest(p, k, 1, -1);
    const a = e * n * 4 + 2 * this.#agents.order[0];
    const dx = p[a] - p[k];
    const dy = p[a + 1] - p[k + 1];
    return Math.sqrt(dx * dx + dy * dy);
  }

  protected override observe(from: number, to: number): void {
    const { agents: n, neighbors } = this.#p;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { obs } = this.groups[0];
    const { obsSize } = this.spec.groups[0];
    for (let e = from; e < to; e++) {
      const base = e * n * 4;
      const first = base + 2 * n;
      this.#agents.build(p, base, n);
      this.#landmarks.build(p, first, n);
      for (let i = 0; i < n; i++) {
        const row = e * n + i;
        const at = base + 2 * i;
        let o = row * obsSize;
        obs[o++] = v[2 * row];
        obs[o++] = v[2 * row + 1];
        obs[o++] = p[at];
        obs[o++] = p[at + 1];
        o = relative(this.#landmarks, p, first, at, neighbors + 1, -1, obs, o);
        relative(this.#agents, p, base, at, neighbors, i, obs, o);
      }
      this.#meanField.observe(e, p, v, obs, obsSize);
      this.#writeState(e);
    }
  }

  /** The population as a set: position and velocity of every agent, then the landmarks. */
  #writeState(e: number): void {
    const { agents: n } = this.#p;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { state } = this;
    let s = e * 6 * n;
    for (let i = 0; i < n; i++) {
      state[s++] = p[e * 4 * n + 2 * i];
      state[s++] = p[e * 4 * n + 2 * i + 1];
      state[s++] = v[e * 2 * n + 2 * i];
      state[s++] = v[e * 2 * n + 2 * i + 1];
    }
    for (let k = (e * 2 + 1) * n * 2; k < (e + 1) * n * 4; k++) state[s++] = p[k];
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      velocity: this.#world.velocity,
      lastAction: this.#meanField.lastAction,
      collisions: this.#collisions,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const { agents: n } = this.#p;
    this.#agents.build(this.#world.position.data, e * n * 4, n);
    let distance = 0;
    let covered = 0;
    for (let l = 0; l < n; l++) {
      const d = this.#uncovered(e, l);
      distance += d;
      if (d < COVER_DISTANCE) covered++;
    }
    out[offset] = distance;
    out[offset + 1] = covered;
    out[offset + 2] = this.#collisions.data[e];
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

/** Write the k points of a grid nearest to (p[at], p[at + 1]), relative to it; returns where the next entry goes. */
function relative(
  grid: PointGrid,
  p: Float64Array,
  first: number,
  at: number,
  k: number,
  skip: number,
  obs: Float32Array,
  o: number,
): number {
  const found = grid.nearest(p, at, k, skip);
  for (let m = 0; m < found; m++) {
    obs[o++] = p[first + 2 * grid.order[m]] - p[at];
    obs[o++] = p[first + 2 * grid.order[m] + 1] - p[at + 1];
  }
  return o;
}

function createMeanFieldSpread(given: Parameters, options: CreateOptions): MeanFieldSpread {
  const p = settle(given);
  const room = DENSEST * ((2 * p.halfWidth) / SPACING) ** 2;
  if (p.placement === "poisson" && p.agents > room) {
    throw new UserError(
      `${ID}, parameter "halfWidth": got ${p.halfWidth}, expected a field in which ${p.agents} landmarks ${SPACING} apart find room; it has room for ${Math.floor(room)}. Take a wider one, or placement = uniform.`,
    );
  }
  return new MeanFieldSpread(p, options);
}

export const meanFieldSpread = defineEnvironment({
  id: ID,
  summary:
    "Many agents cover as many landmarks, each seeing what is near, and the population as a whole if asked.",
  source:
    "Bukharin et al. 2023 with PIC's tasks; world of simple_spread, checked against MPE2; rewards checked against PIC",
  parameters,
  create: createMeanFieldSpread,
});
