/** The map of Pursuit in all copies: a building in the middle, who stands where, and where everybody starts. */
import { type NdArray, zeros } from "../../core/array.js";
import type { RandomStream } from "../../core/random.js";
import { CHANNELS, type Parameters } from "./parameters.js";

/** An evader that was caught has this as its column. */
export const CAUGHT = -1;

/** What every action changes column and row by. */
const MOVE_X = Int32Array.of(-1, 1, 0, 0, 0);
const MOVE_Y = Int32Array.of(0, 0, 1, -1, 0);

export class Town {
  /** [E, P, 2] column, row */
  readonly pursuers: NdArray<"int32">;
  /** [E, V, 2] column, row; CAUGHT, CAUGHT once caught */
  readonly evaders: NdArray<"int32">;
  /** [E] evaders that are left; follows from `evaders` */
  readonly left: Int32Array;
  /**
   * [E, height + 2·margin, width + 2·margin, 3] walls (1), pursuers and evaders in each cell of the map, with walls
   * around it; follows from the two above
   */
  readonly map: Float32Array;
  /** cells around the map: as far as anybody sees over its edge, and at least one */
  readonly margin: number;
  /** entries of `map` from one row to the next, and from one copy to the next */
  readonly stride: number;
  readonly area: number;
  /** [height, width] pursuers on different sides that it takes to catch an evader here by surrounding it */
  readonly need: Int32Array;

  readonly #p: Parameters;
  /** [height, width] 1 where the building stands */
  readonly #building: Uint8Array;
  /** [area] an empty map */
  readonly #empty: Float32Array;
  /** scratch of a reset: where the window begins, as shares of the map */
  readonly #corner = new Float64Array(2);
  /** scratch of a reset: the first `#openCount` entries are the cells where the next of a team may start */
  readonly #open: Int32Array;
  #openCount = 0;
  /** scratch per cell: where it is in `#open`; −1: it is closed */
  readonly #place: Int32Array;

  constructor(copies: number, p: Parameters) {
    const { width, height } = p;
    this.#p = p;
    this.pursuers = zeros("int32", [copies, p.pursuers, 2]);
    this.evaders = zeros("int32", [copies, p.evaders, 2]);
    this.left = new Int32Array(copies);
    this.margin = Math.max(1, Math.floor((p.obsRange - 1) / 2));
    this.stride = (width + 2 * this.margin) * CHANNELS;
    this.area = (height + 2 * this.margin) * this.stride;
    this.map = new Float32Array(copies * this.area);
    this.#building = new Uint8Array(width * height);
    this.#empty = new Float32Array(this.area);
    for (let k = 0; k < this.area; k += CHANNELS) this.#empty[k] = 1;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const built = isBuilding(x, y, width, height);
        this.#building[y * width + x] = built ? 1 : 0;
        this.#empty[this.cell(0, x, y)] = built ? 1 : 0;
      }
    }
    this.need = Int32Array.from({ length: width * height }, (_, k) =>
      this.#sides(k % width, Math.floor(k / width)),
    );
    this.#open = new Int32Array(width * height);
    this.#place = new Int32Array(width * height);
  }

  /** Index in `map` of a cell of copy e. */
  cell(e: number, x: number, y: number): number {
    return e * this.area + (y + this.margin) * this.stride + (x + this.margin) * CHANNELS;
  }

  /** Free sides of a cell, as the original counts them: a building in column or row 0 would not be seen. */
  #sides(x: number, y: number): number {
    const { width, height } = this.#p;
    let sides = 4;
    if (x === 0 || x === width - 1) sides--;
    if (y === 0 || y === height - 1) sides--;
    for (let a = 0; a < 4; a++) {
      const nx = x + MOVE_X[a];
      const ny = y + MOVE_Y[a];
      if (nx > 0 && nx < width && ny > 0 && ny < height) sides -= this.#building[ny * width + nx];
    }
    return sides;
  }

  /** Bring what follows from pursuers and evaders of copy e in line with them. */
  rebuild(e: number): void {
    const { map } = this;
    map.set(this.#empty, e * this.area);
    this.left[e] = 0;
    const add = (team: Int32Array, n: number, channel: number) => {
      for (let k = e * n * 2; k < (e + 1) * n * 2; k += 2) {
        if (team[k] === CAUGHT) continue;
        map[this.cell(e, team[k], team[k + 1]) + channel]++;
        if (channel === 2) this.left[e]++;
      }
    };
    add(this.pursuers.data, this.#p.pursuers, 1);
    add(this.evaders.data, this.#p.evaders, 2);
  }

  /** Move one of a team, at data[k], by an action, unless a wall is in the way. */
  move(e: number, data: Int32Array, k: number, action: number, channel: number): void {
    const { map } = this;
    const from = this.cell(e, data[k], data[k + 1]);
    const to = from + MOVE_Y[action] * this.stride + MOVE_X[action] * CHANNELS;
    if (map[to] === 1) return;
    map[from + channel]--;
    map[to + channel]++;
    data[k] += MOVE_X[action];
    data[k + 1] += MOVE_Y[action];
  }

  /** Take an evader, at evaders.data[k], off the map. */
  remove(e: number, k: number): void {
    const evaders = this.evaders.data;
    this.map[this.cell(e, evaders[k], evaders[k + 1]) + 2]--;
    evaders[k] = CAUGHT;
    evaders[k + 1] = CAUGHT;
    this.left[e]--;
  }

  /** Evaders on the four sides of a cell; at the edge the cell itself stands in for each side that is missing. */
  evadersBeside(e: number, x: number, y: number): number {
    const { width, height } = this.#p;
    const { map, stride } = this;
    const evaders = this.cell(e, x, y) + 2;
    return (
      map[x > 0 ? evaders - CHANNELS : evaders] +
      map[x < width - 1 ? evaders + CHANNELS : evaders] +
      map[y < height - 1 ? evaders + stride : evaders] +
      map[y > 0 ? evaders - stride : evaders]
    );
  }

  /** How many of the four sides of a cell hold a pursuer. */
  sidesTaken(e: number, x: number, y: number): number {
    const { map, stride } = this;
    const pursuers = this.cell(e, x, y) + 1;
    return (
      (map[pursuers - CHANNELS] > 0 ? 1 : 0) +
      (map[pursuers + CHANNELS] > 0 ? 1 : 0) +
      (map[pursuers - stride] > 0 ? 1 : 0) +
      (map[pursuers + stride] > 0 ? 1 : 0)
    );
  }

  /**
   * Draw a new episode of copy e. Nobody starts in the building, nor in or beside the cell of somebody of the same team.
   *
   * Differs from the original where a team finds no room: all is drawn again, where the original would try for ever.
   */
  scatter(e: number, stream: RandomStream): void {
    while (!this.#tryScatter(e, stream));
    this.rebuild(e);
  }

  /** Whether any of `tries` attempts at an episode finds room for everybody. */
  hasRoom(stream: RandomStream, tries: number): boolean {
    for (let t = 0; t < tries; t++) if (this.#tryScatter(0, stream)) return true;
    return false;
  }

  #tryScatter(e: number, stream: RandomStream): boolean {
    const { width, height, pursuers, evaders, constraintWindow: share } = this.#p;
    // Two draws, even where the window is the whole map.
    stream.fillUniform(this.#corner, 0, 2, 0, 1 - share);
    const [u, v] = this.#corner;
    const left = Math.floor(width * u);
    const right = Math.floor(width * (u + share));
    const top = Math.floor(height * v);
    const bottom = Math.floor(height * (v + share));
    const place = (team: Int32Array, n: number) => {
      this.#openWindow(left, right, top, bottom);
      for (let k = e * n * 2; k < (e + 1) * n * 2; k += 2) {
        if (this.#openCount === 0) return false;
        const cell = this.#open[stream.int(this.#openCount)];
        team[k] = cell % width;
        team[k + 1] = Math.floor(cell / width);
        this.#closeAround(team[k], team[k + 1]);
      }
      return true;
    };
    return place(this.pursuers.data, pursuers) && place(this.evaders.data, evaders);
  }

  /** Open the free cells of columns [left, right) and rows [top, bottom). */
  #openWindow(left: number, right: number, top: number, bottom: number): void {
    const { width } = this.#p;
    this.#place.fill(-1);
    this.#openCount = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const cell = y * width + x;
        if (this.#building[cell] === 1) continue;
        this.#place[cell] = this.#openCount;
        this.#open[this.#openCount++] = cell;
      }
    }
  }

  /** Close a cell and the four beside it. */
  #closeAround(x: number, y: number): void {
    const { width, height } = this.#p;
    for (let a = 0; a < MOVE_X.length; a++) {
      const nx = x + MOVE_X[a];
      const ny = y + MOVE_Y[a];
      if (nx < 0 || nx >= width || ny < 0 || ny >= height) continue;
      const at = this.#place[ny * width + nx];
      if (at < 0) continue;
      const last = this.#open[--this.#openCount];
      this.#open[at] = last;
      this.#place[last] = at;
      this.#place[ny * width + nx] = -1;
    }
  }

  /** Whether a building stands in a cell of the map. */
  isBuilt(x: number, y: number): boolean {
    return this.#building[y * this.#p.width + x] === 1;
  }
}

/** The middle of the map: 0.3 < x/width < 0.7 and 0.2 < y/height < 0.8. */
function isBuilding(x: number, y: number, width: number, height: number): boolean {
  const inside = (share: number, buffer: number) => share > buffer && share < 1 - buffer;
  return inside(x / width, 0.3) && inside(y / height, 0.2);
}
