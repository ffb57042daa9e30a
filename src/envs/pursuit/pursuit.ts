/**
 * Pursuit: pursuers surround evaders that move at random around a building.
 *
 * Source: Farama-Foundation/PettingZoo, pettingzoo/sisl/pursuit/pursuit_base.py and pursuit.py (`pursuit_v5`), stepped
 * through its parallel API. One step is a cycle: the n pursuers move one after the other, each move being a substep;
 * then evaders are caught, and those left move.
 *
 *   reward_i = Σ_substeps tagReward · (evaders beside pursuer i) / n + catchReward · [i took part in a catch] + urgencyReward
 *
 * or, shared, the mean of it over all pursuers. Page: docs/environments/pursuit.md.
 */
import { type NdArray, zeros } from "../../core/array.js";
import { UserError } from "../../core/errors.js";
import { RandomStream } from "../../core/random.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, Frame, FrameShape } from "../../env/contract.js";
import { CHANNELS, describePursuit, type Parameters } from "./parameters.js";
import { CAUGHT, Town } from "./town.js";

const MOVES = 5;
/** Attempts to place everybody before the parameters are called impossible. */
const TRIES = 1000;

export class Pursuit extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #town: Town;
  /** [E] evaders caught in the running episode */
  readonly #captures: NdArray<"int32">;
  /** scratch: evaders caught in this step, as indices into `evaders`; who took part in a catch; how evaders move */
  readonly #caught: Int32Array;
  readonly #catchers: Uint8Array;
  readonly #draws: Int32Array;

  /** @throws UserError if the map, or the window of it where everybody starts, has no room for so many */
  constructor(id: string, p: Parameters, options: CreateOptions) {
    super(describePursuit(id, p), options);
    this.#p = p;
    this.#town = new Town(this.copies, p);
    if (!this.#town.hasRoom(RandomStream.from(0, "pursuit", "room"), TRIES)) {
      throw new UserError(
        `${id}: ${p.pursuers} pursuers or ${p.evaders} evaders, which never start side by side, find no room on ${p.width} × ${p.height} cells (constraintWindow ${p.constraintWindow}); expected fewer, or a larger map.`,
      );
    }
    this.#captures = zeros("int32", [this.copies]);
    this.#caught = new Int32Array(p.evaders);
    this.#catchers = new Uint8Array(p.pursuers);
    this.#draws = new Int32Array(p.evaders);
    this.#fillUnseen();
  }

  /**
   * Where obsRange is even, the original leaves the last row and column of what is seen as they are first filled: wall,
   * nobody. They are written here and never again.
   */
  #fillUnseen(): void {
    const { obsRange } = this.#p;
    const side = 2 * Math.floor((obsRange - 1) / 2) + 1;
    const { obs } = this.groups[0];
    for (let o = 0; o < obs.length; o += CHANNELS) {
      const cell = (o / CHANNELS) % (obsRange * obsRange);
      if (cell % obsRange >= side || Math.floor(cell / obsRange) >= side) obs[o] = 1;
    }
  }

  protected override startEpisode(e: number): void {
    this.#town.scatter(e, this.streams[e].reset);
    this.#captures.data[e] = 0;
  }

  protected override advance(): void {
    for (let e = 0; e < this.copies; e++) {
      this.#movePursuers(e);
      this.#catch(e);
      if (!this.#p.freezeEvaders) this.#moveEvaders(e);
      if (this.#p.sharedReward) this.#share(e);
      // At the last step PettingZoo reports the limit only, even when nobody is left.
      if (this.#town.left[e] === 0 && this.elapsed[e] < this.#p.maxCycles) this.terminated[e] = 1;
    }
  }

  /**
   * Pursuers move; everybody is paid for the evaders beside it at each substep. Evaders stand still meanwhile, so a
   * pursuer sees two numbers of them: before its own move, for as many substeps as come before, and after it.
   */
  #movePursuers(e: number): void {
    const { pursuers: n, tagReward, urgencyReward } = this.#p;
    const town = this.#town;
    const pursuers = town.pursuers.data;
    const { action, reward } = this.groups[0];
    for (let i = 0; i < n; i++) {
      const k = (e * n + i) * 2;
      const before = town.evadersBeside(e, pursuers[k], pursuers[k + 1]);
      town.move(e, pursuers, k, action[e * n + i], 1);
      const after = town.evadersBeside(e, pursuers[k], pursuers[k + 1]);
      reward[e * n + i] = (tagReward * (i * before + (n - i) * after)) / n + urgencyReward;
    }
  }

  /** All evaders are judged before any is removed. */
  #catch(e: number): void {
    const { pursuers: n, evaders: count, width, surround, catchers: needed, catchReward } = this.#p;
    const town = this.#town;
    const evaders = town.evaders.data;
    const { reward } = this.groups[0];
    let caught = 0;
    for (let k = e * count * 2; k < (e + 1) * count * 2; k += 2) {
      const x = evaders[k];
      const y = evaders[k + 1];
      if (x === CAUGHT) continue;
      const isCaught = surround
        ? town.sidesTaken(e, x, y) === town.need[y * width + x]
        : town.map[town.cell(e, x, y) + 1] >= needed;
      if (!isCaught) continue;
      this.#caught[caught++] = k;
      this.#markCatchers(e, x, y, surround ? 1 : 0);
    }
    if (caught === 0) return;
    for (let c = 0; c < caught; c++) town.remove(e, this.#caught[c]);
    for (let i = 0; i < n; i++) if (this.#catchers[i] === 1) reward[e * n + i] += catchReward;
    this.#catchers.fill(0);
    this.#captures.data[e] += caught;
  }

  /** Pursuers `distance` steps from a cell take part in the catch there. */
  #markCatchers(e: number, x: number, y: number, distance: number): void {
    const { pursuers: n } = this.#p;
    const pursuers = this.#town.pursuers.data;
    for (let i = 0; i < n; i++) {
      const k = (e * n + i) * 2;
      if (Math.abs(pursuers[k] - x) + Math.abs(pursuers[k + 1] - y) === distance) this.#catchers[i] = 1;
    }
  }

  /** Those that are left, in index order, each at random. */
  #moveEvaders(e: number): void {
    const { evaders: count } = this.#p;
    const town = this.#town;
    const evaders = town.evaders.data;
    const draws = this.#draws;
    this.streams[e].opponent.fillInts(draws, 0, town.left[e], MOVES);
    let next = 0;
    for (let k = e * count * 2; k < (e + 1) * count * 2; k += 2) {
      if (evaders[k] !== CAUGHT) town.move(e, evaders, k, draws[next++], 2);
    }
  }

  /** Everybody gets the mean. */
  #share(e: number): void {
    const { pursuers: n } = this.#p;
    const { reward } = this.groups[0];
    let sum = 0;
    for (let i = e * n; i < (e + 1) * n; i++) sum += reward[i];
    const mean = sum / n;
    // `fill` would box the number.
    for (let i = e * n; i < (e + 1) * n; i++) reward[i] = mean;
  }

  protected override observe(from: number, to: number): void {
    const { width, height, pursuers: n, obsRange } = this.#p;
    const { map, stride, pursuers } = this.#town;
    const { obs } = this.groups[0];
    const { state } = this;
    const reach = Math.floor((obsRange - 1) / 2);
    const seen = (2 * reach + 1) * CHANNELS;
    const line = width * CHANNELS;
    for (let e = from; e < to; e++) {
      for (let y = 0; y < height; y++) {
        const source = this.#town.cell(e, 0, y);
        const target = (e * height + y) * line;
        for (let k = 0; k < line; k++) state[target + k] = map[source + k];
      }
      for (let i = e * n; i < (e + 1) * n; i++) {
        let source = this.#town.cell(e, pursuers.data[2 * i] - reach, pursuers.data[2 * i + 1] - reach);
        let target = i * obsRange * obsRange * CHANNELS;
        for (let row = 0; row <= 2 * reach; row++) {
          for (let k = 0; k < seen; k++) obs[target + k] = map[source + k];
          source += stride;
          target += obsRange * CHANNELS;
        }
      }
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { pursuers: this.#town.pursuers, evaders: this.#town.evaders, captures: this.#captures };
  }

  protected override afterLoad(): void {
    for (let e = 0; e < this.copies; e++) this.#town.rebuild(e);
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#captures.data[e];
    out[offset + 1] = this.#town.left[e] === 0 ? 1 : 0;
  }

  protected override draw(e: number): Frame {
    const { width, height, pursuers: n, evaders: count } = this.#p;
    const town = this.#town;
    const shapes: FrameShape[] = [];
    const line = (x1: number, y1: number, x2: number, y2: number) => {
      shapes.push({ kind: "line", x1, y1: height - y1, x2, y2: height - y2, color: "rgb(130, 130, 130)" });
    };
    line(0, 0, width, 0);
    line(0, height, width, height);
    line(0, 0, 0, height);
    line(width, 0, width, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (!town.isBuilt(x, y)) continue;
        line(x, y, x + 1, y + 1);
        line(x, y + 1, x + 1, y);
      }
    }
    const circle = (team: Int32Array, k: number, channel: number) => {
      const here = town.map[town.cell(e, team[k], team[k + 1]) + channel];
      return {
        kind: "circle" as const,
        x: team[k] + 0.5,
        y: height - team[k + 1] - 0.5,
        ...(here > 1 ? { label: String(here) } : {}),
      };
    };
    const evaders = town.evaders.data;
    const pursuers = town.pursuers.data;
    for (let k = e * count * 2; k < (e + 1) * count * 2; k += 2) {
      if (evaders[k] === CAUGHT) continue;
      shapes.push({ ...circle(evaders, k, 2), radius: 1 / 3, color: "rgb(0, 0, 255)", role: "goal" });
    }
    for (let i = 0; i < n; i++) {
      const agent = this.spec.groups[0].agents[i];
      const shape = circle(pursuers, (e * n + i) * 2, 1);
      shapes.push({ ...shape, radius: 1 / 3, color: "rgb(255, 0, 0)", role: "agent", agent });
    }
    return { shapes, captions: [], bounds: { left: 0, right: width, bottom: 0, top: height } };
  }
}
