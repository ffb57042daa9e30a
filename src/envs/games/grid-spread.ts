/**
 * Grid Independent Spread: every agent walks to its own landmark on a small grid and pays for company. The grid form of
 * the Independent Spread of Nika et al. 2025 (ART, appendix C.1), small enough to be solved exactly:
 *
 *   r_i = −distanceWeight · ‖p_i − landmark_i‖₂ − collisionPenalty · (others in the own cell)        (independent)
 *   r   = −distanceWeight · Σ_landmarks (distance of the nearest agent) − collisionPenalty · (pairs in one cell)  (shared)
 *
 * after all have moved at once. Page: docs/environments/grid_spread.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { UserError } from "../../core/errors.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { layout, sizeOfFeatures } from "../../env/features.js";
import { tabulate } from "../../games/markov.js";
import type { ExactModel } from "../../games/model.js";
import { durationParameters, horizonOf } from "./tabular.js";

const ID = "games/grid_spread_v0";
const MOVES = ["stay", "left", "right", "down", "up"] as const;
const DX = [0, -1, 1, 0, 0];
const DY = [0, 0, 0, -1, 1];
/** Most rows (states × joint actions) of an exact model: 4 million take about 250 MB with three agents. */
const MODEL_ROWS = 4_000_000;

const cell = z.array(z.int().min(0)).length(2);

const parameters = {
  size: z.int().min(2).max(32).default(4).describe("cells per side"),
  agents: z.int().min(1).max(16).default(3).describe("number of agents, each with a landmark of its own"),
  landmarks: z
    .array(cell)
    .nullable()
    .default(null)
    .describe(
      "cell [x, y] of every agent's landmark; null: the corners [0, 0], [0, top], [top, top], [top, 0]",
    ),
  reward: z
    .enum(["independent", "shared"])
    .default("independent")
    .describe("independent: own landmark, own company; shared: the team covers all landmarks"),
  distanceWeight: z.number().min(0).default(0.25).describe("price of a cell's width of distance"),
  collisionPenalty: z.number().min(0).default(1).describe("price of another agent in the own cell"),
  ...durationParameters(20),
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

/** @throws UserError if there are not as many landmarks as agents, or one lies outside the grid */
function landmarksOf({ landmarks, agents, size }: Parameters): readonly (readonly number[])[] {
  const top = size - 1;
  const chosen =
    landmarks ??
    [
      [0, 0],
      [0, top],
      [top, top],
      [top, 0],
    ].slice(0, agents);
  if (chosen.length !== agents) {
    const cure = landmarks === null ? " There are four corners; give the parameter landmarks." : "";
    throw new UserError(
      `${ID}: got ${chosen.length} landmarks for ${agents} agents, expected one for each.${cure}`,
    );
  }
  for (const [i, at] of chosen.entries()) {
    if (at.some((x) => x > top))
      throw new UserError(
        `${ID}, parameter "landmarks.${i}": got [${at.join(", ")}], expected cells in [0, ${top}].`,
      );
  }
  return chosen;
}

function describeGrid(p: Parameters): EnvironmentSpec {
  const n = p.agents;
  const cells = p.size * p.size;
  const oneHot = (name: string) => ({ name, size: cells, kind: "one-hot" as const, low: 0, high: 1 });
  const features = layout([
    oneHot("position"),
    ...Array.from({ length: n - 1 }, (_, k) => oneHot(`other_${k}`)),
  ]);
  const group: GroupSpec = {
    name: "agents",
    agents: Array.from({ length: n }, (_, i) => `agent_${i}`),
    obsSize: sizeOfFeatures(features),
    features,
    action: { kind: "discrete", n: MOVES.length },
    hasActionMask: false,
    actionNames: MOVES,
  };
  return {
    id: ID,
    groups: [group],
    stateSize: n * cells,
    stateFeatures: layout(group.agents.map((name) => oneHot(name))),
    maxSteps: p.steps,
    turnBased: false,
    episodeMetrics: ["covered", "collisions"],
    capabilities: {
      saveState: true,
      frames: true,
      exactModel: cells ** n * MOVES.length ** n <= MODEL_ROWS,
    },
  };
}

class GridSpread extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #landmarks: readonly (readonly number[])[];
  /** [E, n] cell of every agent: y · size + x */
  readonly #cell: NdArray<"int32">;
  /** [E, 2] landmarks covered after the last step; pairs in one cell, summed over the episode */
  readonly #tally: NdArray<"int32">;
  /** [n, cells] distance from a cell to landmark i */
  readonly #distance: Float64Array;
  /** [cells, 5] the cell after a move */
  readonly #moved: Int32Array;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeGrid(p), options);
    this.#p = p;
    this.#landmarks = landmarksOf(p);
    this.#cell = zeros("int32", [this.copies, p.agents]);
    this.#tally = zeros("int32", [this.copies, 2]);
    const { size } = p;
    const cells = size * size;
    this.#distance = Float64Array.from({ length: p.agents * cells }, (_, k) => {
      const [x, y] = this.#landmarks[Math.floor(k / cells)];
      return Math.sqrt(((k % size) - x) ** 2 + (Math.floor((k % cells) / size) - y) ** 2);
    });
    const clip = (x: number) => Math.min(size - 1, Math.max(0, x));
    this.#moved = Int32Array.from({ length: cells * MOVES.length }, (_, k) => {
      const at = Math.floor(k / MOVES.length);
      const move = k % MOVES.length;
      return clip(Math.floor(at / size) + DY[move]) * size + clip((at % size) + DX[move]);
    });
  }

  protected override startEpisode(e: number): void {
    const { agents, size } = this.#p;
    for (let i = 0; i < agents; i++) this.#cell.data[e * agents + i] = this.streams[e].reset.int(size * size);
    this.#tally.data.fill(0, 2 * e, 2 * e + 2);
  }

  /** Allocates nothing. */
  protected override advance(): void {
    const { agents: n, steps, timeLimit } = this.#p;
    const { action, reward } = this.groups[0];
    const cell = this.#cell.data;
    const tally = this.#tally.data;
    for (let row = 0; row < this.copies * n; row++)
      cell[row] = this.#moved[cell[row] * MOVES.length + action[row]];
    for (let e = 0; e < this.copies; e++) {
      this.#pay(cell, e * n, reward, e * n);
      tally[2 * e] = this.#covered(e);
      tally[2 * e + 1] += pairsInOneCell(cell, e * n, n);
      if (timeLimit === "terminated" && this.elapsed[e] === steps) this.terminated[e] = 1;
    }
  }

  /** Landmarks with their own agent on them; with the shared reward, with any agent. */
  #covered(e: number): number {
    const { agents: n, size, reward } = this.#p;
    const cell = this.#cell.data;
    let covered = 0;
    for (let l = 0; l < n; l++) {
      const first = reward === "shared" ? 0 : l;
      const last = reward === "shared" ? n - 1 : l;
      for (let i = first; i <= last; i++) {
        if (this.#distance[l * size * size + cell[e * n + i]] > 0) continue;
        covered++;
        break;
      }
    }
    return covered;
  }

  /** Rewards of the n agents in cell[at …], written to reward[out …]. */
  #pay(cell: Int32Array, at: number, reward: Float64Array, out: number): void {
    const { agents: n, distanceWeight, collisionPenalty } = this.#p;
    const cells = this.#p.size ** 2;
    if (this.#p.reward === "shared") {
      let distance = 0;
      for (let l = 0; l < n; l++) {
        let nearest = Number.POSITIVE_INFINITY;
        for (let i = 0; i < n; i++) nearest = Math.min(nearest, this.#distance[l * cells + cell[at + i]]);
        distance += nearest;
      }
      const paid = 0 - distanceWeight * distance - collisionPenalty * pairsInOneCell(cell, at, n);
      for (let i = 0; i < n; i++) reward[out + i] = paid;
      return;
    }
    for (let i = 0; i < n; i++) {
      let company = 0;
      for (let k = 0; k < n; k++) if (k !== i && cell[at + k] === cell[at + i]) company++;
      reward[out + i] =
        0 - distanceWeight * this.#distance[i * cells + cell[at + i]] - collisionPenalty * company;
    }
  }

  protected override observe(from: number, to: number): void {
    const { agents: n, size } = this.#p;
    const cells = size * size;
    const { obs } = this.groups[0];
    this.state.fill(0, from * n * cells, to * n * cells);
    obs.fill(0, from * n * n * cells, to * n * n * cells);
    for (let e = from; e < to; e++) {
      for (let i = 0; i < n; i++) {
        this.state[(e * n + i) * cells + this.#cell.data[e * n + i]] = 1;
        this.#see(this.#cell.data, e * n, i, obs, (e * n + i) * n * cells);
      }
    }
  }

  /** What agent i sees of the agents in cell[at …], itself first, then i + 1, i + 2, …; over zeros. */
  #see(cell: ArrayLike<number>, at: number, i: number, out: Float32Array, start: number): void {
    const { agents: n, size } = this.#p;
    for (let k = 0; k < n; k++) out[start + k * size * size + cell[at + ((i + k) % n)]] = 1;
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { cell: this.#cell, tally: this.#tally };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#tally.data[2 * e];
    out[offset + 1] = this.#tally.data[2 * e + 1];
  }

  /** A state of the model is the cells of all agents, the last agent's fastest. */
  protected override buildModel(): ExactModel {
    const p = this.#p;
    const cells = p.size * p.size;
    const states = cells ** p.agents;
    const initial = new Float64Array(states).fill(1 / states);
    const size = { states, actions: Array<number>(p.agents).fill(MOVES.length), initial };
    const cell = new Int32Array(p.agents);
    const reward = new Float64Array(p.agents);
    const game = tabulate({ ...size, discount: 1, horizon: horizonOf(p) }, (state, chosen) => {
      let next = 0;
      this.#cellsOf(state, cell);
      for (let i = 0; i < p.agents; i++) {
        cell[i] = this.#moved[cell[i] * MOVES.length + chosen[i]];
        next = next * cells + cell[i];
      }
      this.#pay(cell, 0, reward, 0);
      return { next: [[next, 1]], reward: [...reward] };
    });
    const observation = (player: number, state: number) => {
      const out = new Float32Array(this.spec.groups[0].obsSize);
      this.#see(this.#cellsOf(state, new Int32Array(p.agents)), 0, player, out, 0);
      return out;
    };
    return { kind: "markov", game, observation };
  }

  #cellsOf(state: number, out: Int32Array): Int32Array {
    const cells = this.#p.size ** 2;
    for (let i = out.length - 1; i >= 0; i--) {
      out[i] = state % cells;
      state = Math.floor(state / cells);
    }
    return out;
  }

  protected override locate(e: number): number {
    const { agents: n, size } = this.#p;
    let state = 0;
    for (let i = 0; i < n; i++) state = state * size * size + this.#cell.data[e * n + i];
    return state;
  }

  protected override draw(e: number): Frame {
    const { agents: n, size } = this.#p;
    const line = { kind: "line", color: "rgb(200, 200, 200)" } as const;
    const shapes: FrameShape[] = [];
    for (let k = 0; k <= size; k++) {
      const at = k - 0.5;
      shapes.push({ ...line, x1: at, y1: -0.5, x2: at, y2: size - 0.5 });
      shapes.push({ ...line, x1: -0.5, y1: at, x2: size - 0.5, y2: at });
    }
    const color = (i: number, lightness: number) => `hsl(${Math.round((360 * i) / n)}, 60%, ${lightness}%)`;
    this.#landmarks.forEach(([x, y], i) => {
      shapes.push({
        kind: "circle",
        x,
        y,
        radius: 0.4,
        color: color(i, 85),
        role: "landmark",
        label: `${i}`,
      });
    });
    this.spec.groups[0].agents.forEach((agent, i) => {
      const at = this.#cell.data[e * n + i];
      // A little apart, so that agents in one cell are all seen.
      const [dx, dy] = [Math.cos((2 * Math.PI * i) / n), Math.sin((2 * Math.PI * i) / n)];
      const x = (at % size) + 0.15 * dx;
      const y = Math.floor(at / size) + 0.15 * dy;
      shapes.push({ kind: "circle", x, y, radius: 0.2, color: color(i, 45), role: "agent", agent });
    });
    return { shapes, captions: [], bounds: { left: -1, right: size, bottom: -1, top: size } };
  }
}

function pairsInOneCell(cell: Int32Array, at: number, n: number): number {
  let pairs = 0;
  for (let i = 0; i < n; i++) for (let k = i + 1; k < n; k++) if (cell[at + i] === cell[at + k]) pairs++;
  return pairs;
}

export const gridSpread = defineEnvironment({
  id: ID,
  summary: "Agents walk to their own landmarks on a small grid and keep apart; solvable exactly.",
  source: "grid form of ART's Independent Spread (Nika et al. 2025, appendix C.1)",
  parameters,
  create: (p, options) => new GridSpread(p, options),
});
