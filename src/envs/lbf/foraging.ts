/**
 * Level-Based Foraging: players walk a grid and load foods that none of them may be strong enough to load alone.
 *
 * Source: semitable/lb-foraging, lbforaging/foraging/environment.py (rules "v3"), and the copy of it in
 * kiarashkaz/BATPAL, BATPAL/env/lbforaging/environment.py (rules "batpal"). In one step
 *
 *   1. an action without effect (into a food or a wall, loading where no food is beside) becomes "none";
 *   2. every player claims the cell it wants to be in; v3: who claims a cell alone enters it, batpal: the first does;
 *   3. all who load one food succeed if their levels add up to at least its level; then player i earns
 *      level_i · level_food / (sum of their levels · sum of all foods' levels at the start).
 *
 * Differs from the original where an episode reaches its last step: truncated, not terminated, unless `timeLimitAs`
 * says so. Page: docs/environments/foraging.md.
 */
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, Frame, FrameShape } from "../../env/contract.js";
import { Field } from "./field.js";
import { writeField, writeLists, writeMaps, writeMasks } from "./observations.js";
import { describeForaging, type Layout, layOut, type Parameters } from "./parameters.js";

/** What an action changes row and column by; "none" and "load" stay. */
const ROWS = Int32Array.of(0, -1, 1, 0, 0, 0);
const COLS = Int32Array.of(0, 0, 0, -1, 1, 0);
const LOAD = 5;
/** a cell that several claim, under the rules of v3 */
const CONTESTED = -1;
/** of `#tally`: levels eaten, foods eaten, groups that loaded in vain */
const TALLIES = 3;

export class Foraging extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #layout: Layout;
  readonly #field: Field;
  /** [E, 3] see TALLIES, over the running episode */
  readonly #tally: NdArray<"int32">;
  /** [6] what an action changes the index of a cell by */
  readonly #moves: Int32Array;
  /** scratch per player: the cell it claims, the cell of the food it loads (−1: none) */
  readonly #claim: Int32Array;
  readonly #loads: Int32Array;
  /** scratch per cell of a copy: 1 + the player who may enter it, or CONTESTED; 0 between steps */
  readonly #claimant: Int32Array;

  /** @throws UserError if the parameters are impossible together */
  constructor(id: string, p: Parameters, options: CreateOptions) {
    const layout = layOut(id, p);
    super(describeForaging(id, p, layout), options, p.globalState === "observations");
    this.#p = p;
    this.#layout = layout;
    this.#field = new Field(this.copies, p, layout);
    this.#tally = zeros("int32", [this.copies, TALLIES]);
    this.#moves = ROWS.map((row, a) => row * this.#field.stride + COLS[a]);
    this.#claim = new Int32Array(p.players);
    this.#loads = new Int32Array(p.players);
    this.#claimant = new Int32Array(this.#field.area);
  }

  override reset(seed: number, first = 0): void {
    this.#field.forget();
    super.reset(seed, first);
  }

  protected override startEpisode(e: number): void {
    this.#field.scatter(e, this.streams[e].reset);
    this.#tally.data.fill(0, e * TALLIES, (e + 1) * TALLIES);
  }

  protected override advance(): void {
    const { maxEpisodeSteps, sharedReward, timeLimitAs } = this.#p;
    const { left } = this.#field;
    this.groups[0].reward.fill(0);
    for (let e = 0; e < this.copies; e++) {
      if (this.#move(e)) this.#load(e);
      if (sharedReward) this.#share(e);
      const late = timeLimitAs === "terminated" && this.elapsed[e] >= maxEpisodeSteps;
      if (left[e] === 0 || late) this.terminated[e] = 1;
    }
  }

  /**
   * Everybody claims a cell; those who may enter theirs do.
   *
   * All claims are judged by the positions before the step: chains and swaps succeed, and a player may enter a cell
   * whose owner wanted to leave it but could not.
   * @returns whether anybody wants to load
   */
  #move(e: number): boolean {
    const { players: n, rules } = this.#p;
    const { cells, area, at } = this.#field;
    const players = this.#field.players.data;
    const { action } = this.groups[0];
    const moves = this.#moves;
    const claimant = this.#claimant;
    const claim = this.#claim;
    const first = e * n;
    const base = e * area;
    let loading = false;
    for (let i = 0; i < n; i++) {
      const cell = at[first + i];
      const a = action[first + i];
      const wanted = cell + moves[a];
      claim[i] = cells[wanted] === 0 ? wanted : cell;
      if (a === LOAD) loading = true;
      const claimed = claim[i] - base;
      if (claimant[claimed] === 0) claimant[claimed] = i + 1;
      else if (rules === "v3") claimant[claimed] = CONTESTED;
    }
    for (let i = 0; i < n; i++) {
      // Whoever comes later to a cell finds it taken back, and stays.
      const enters = claimant[claim[i] - base] === i + 1;
      claimant[claim[i] - base] = 0;
      if (!enters || claim[i] === at[first + i]) continue;
      at[first + i] = claim[i];
      const a = action[first + i];
      players[3 * (first + i)] += ROWS[a];
      players[3 * (first + i) + 1] += COLS[a];
    }
    return loading;
  }

  /** The cell of the food beside a cell; −1 if there is none. No cell has two. */
  #foodBeside(cell: number): number {
    const { cells, stride } = this.#field;
    if (cells[cell - stride] > 0) return cell - stride;
    if (cells[cell + stride] > 0) return cell + stride;
    if (cells[cell - 1] > 0) return cell - 1;
    return cells[cell + 1] > 0 ? cell + 1 : -1;
  }

  /** Those who load the same food do it together. They have not moved. */
  #load(e: number): void {
    const { players: n, penalty, normalizeReward } = this.#p;
    const players = this.#field.players.data;
    const { action, reward } = this.groups[0];
    const loads = this.#loads;
    const tally = this.#tally.data;
    const row = e * n;
    for (let i = 0; i < n; i++) {
      loads[i] = action[row + i] === LOAD ? this.#foodBeside(this.#field.at[row + i]) : -1;
    }
    for (let i = 0; i < n; i++) {
      const cell = loads[i];
      if (cell < 0) continue;
      const level = this.#field.cells[cell];
      let strength = 0;
      for (let j = i; j < n; j++) if (loads[j] === cell) strength += players[(row + j) * 3 + 2];
      const lifted = strength >= level;
      const scale = normalizeReward ? strength * this.#field.spawned.data[e] : 1;
      for (let j = i; j < n; j++) {
        if (loads[j] !== cell) continue;
        loads[j] = -1;
        reward[row + j] = lifted ? (players[(row + j) * 3 + 2] * level) / scale : 0 - penalty;
      }
      if (lifted) {
        this.#field.eat(e, cell);
        tally[e * TALLIES] += level;
        tally[e * TALLIES + 1]++;
      } else tally[e * TALLIES + 2]++;
    }
  }

  /** Everybody gets the sum. */
  #share(e: number): void {
    const { players: n } = this.#p;
    const { reward } = this.groups[0];
    let sum = 0;
    for (let i = e * n; i < (e + 1) * n; i++) sum += reward[i];
    // `fill` would box the number.
    for (let i = e * n; i < (e + 1) * n; i++) reward[i] = sum;
  }

  protected override observe(from: number, to: number): void {
    const { obs, actionMask } = this.groups[0];
    if (this.#p.gridObservation) writeMaps(this.#field, this.#p, this.#layout, obs, from, to);
    else writeLists(this.#field, this.#p, this.#layout, obs, from, to);
    if (this.#p.globalState === "field") writeField(this.#field, this.#p, this.state, from, to);
    if (actionMask !== null) writeMasks(this.#field, this.#p, actionMask, from, to);
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      players: this.#field.players,
      food: this.#field.food,
      spawned: this.#field.spawned,
      tally: this.#tally,
    };
  }

  protected override afterLoad(): void {
    for (let e = 0; e < this.copies; e++) this.#field.rebuild(e);
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const tally = this.#tally.data;
    // Where nothing found room at the start, nothing is left to collect either.
    out[offset] = tally[e * TALLIES] / Math.max(1, this.#field.spawned.data[e]);
    out[offset + 1] = tally[e * TALLIES + 1];
    out[offset + 2] = tally[e * TALLIES + 2];
  }

  protected override draw(e: number): Frame {
    const { rows, cols, players: n, food: count } = this.#p;
    const food = this.#field.food.data;
    const players = this.#field.players.data;
    const shapes: FrameShape[] = [];
    const line = (x1: number, y1: number, x2: number, y2: number) => {
      shapes.push({ kind: "line", x1, y1, x2, y2, color: "rgb(200, 200, 200)" });
    };
    for (let r = 0; r <= rows; r++) line(0, r, cols, r);
    for (let c = 0; c <= cols; c++) line(c, 0, c, rows);
    const circle = (data: Int32Array, at: number) => ({
      kind: "circle" as const,
      x: data[at + 1] + 0.5,
      y: rows - data[at] - 0.5,
      label: String(data[at + 2]),
    });
    for (let k = 0, at = e * count * 3; k < count; k++, at += 3) {
      if (food[at + 2] === 0) continue;
      shapes.push({ ...circle(food, at), radius: 0.35, color: "rgb(190, 60, 50)", role: "goal" });
    }
    for (let i = 0, at = e * n * 3; i < n; i++, at += 3) {
      const agent = this.spec.groups[0].agents[i];
      shapes.push({ ...circle(players, at), radius: 0.4, color: "rgb(70, 110, 180)", role: "agent", agent });
    }
    return { shapes, captions: [], bounds: { left: 0, right: cols, bottom: 0, top: rows } };
  }
}
