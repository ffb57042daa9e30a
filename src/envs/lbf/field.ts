/** The fields of all copies: where foods and players are, how they are laid out, who may move where. */
import { type NdArray, zeros } from "../../core/array.js";
import type { RandomStream } from "../../core/random.js";
import type { Layout, LevelRange, Parameters } from "./parameters.js";

/** Tries to place foods in one episode; what finds no room by then is left out. */
const ATTEMPTS = 1000;
/** entries of a player or food: row, column, level */
const WIDTH = 3;

export class Field {
  /** [E, P, 3] row, column, level; a row of −1: not placed yet */
  readonly players: NdArray<"int32">;
  /** [E, F, 3] row, column, level in row-major order of cells; level 0: eaten, or never placed */
  readonly food: NdArray<"int32">;
  /** [E] sum of the levels of all foods laid out in this episode */
  readonly spawned: NdArray<"int32">;
  /** [E, P] index in `cells` of the cell that each player is in; follows from `players` */
  readonly at: Int32Array;
  /** [E] foods that are left; follows from `food` */
  readonly left: Int32Array;
  /** [E] 1 where `food` changed since the players last saw it */
  readonly changed: Uint8Array;
  /** [E, P] the place from which each player last saw the foods */
  readonly watched: Int32Array;
  /**
   * [E, rows + 2, cols + 2] what stands in a cell: the level of a food, 0 where nothing does, −1 around the field;
   * follows from `food`
   */
  readonly cells: Int32Array;
  /** cells of a row, the two walls included */
  readonly stride: number;
  /** cells of a copy, the walls included */
  readonly area: number;

  readonly #p: Parameters;
  /** [area] the cells of a field without foods */
  readonly #empty: Int32Array;
  readonly #layout: Layout;
  /** cells of a copy that are not at the edge of the field: where foods may be */
  readonly #interior: Int32Array;
  /** per cell: where it is in `#interior`; −1: nowhere */
  readonly #interiorPlace: Int32Array;
  /** scratch of a reset: the first `#openCount` entries are the cells where a food may still be placed */
  readonly #open: Int32Array;
  #openCount = 0;
  /** scratch per cell: where it is in `#open`; −1: it is closed */
  readonly #place: Int32Array;
  /** per number of open cells: 1 / log of the share of closed cells; 0 if none is closed */
  readonly #patience: Float64Array;
  /** scratch: a uniform number */
  readonly #luck = new Float64Array(1);
  /** which range of levels a player or food gets in this episode: dealt anew where they are not all the same */
  readonly #order: Int32Array;
  readonly #foodOrder: Int32Array;
  readonly #unequalPlayers: boolean;
  readonly #unequalFood: boolean;

  constructor(copies: number, p: Parameters, layout: Layout) {
    this.#p = p;
    this.#layout = layout;
    this.players = zeros("int32", [copies, p.players, WIDTH]);
    this.food = zeros("int32", [copies, p.food, WIDTH]);
    this.spawned = zeros("int32", [copies]);
    this.at = new Int32Array(copies * p.players);
    this.left = new Int32Array(copies);
    this.changed = new Uint8Array(copies).fill(1);
    this.watched = new Int32Array(copies * p.players);
    this.stride = p.cols + 2;
    this.area = (p.rows + 2) * this.stride;
    this.cells = new Int32Array(copies * this.area);
    this.#empty = new Int32Array(this.area).fill(-1);
    for (let row = 0; row < p.rows; row++) {
      this.#empty.fill(0, this.cell(0, row, 0), this.cell(0, row, p.cols));
    }
    const interior = [];
    for (let row = 1; row < p.rows - 1; row++) {
      for (let col = 1; col < p.cols - 1; col++) interior.push(this.cell(0, row, col));
    }
    this.#interior = Int32Array.from(interior);
    this.#open = new Int32Array(interior.length);
    this.#place = new Int32Array(this.area);
    this.#interiorPlace = new Int32Array(this.area).fill(-1);
    for (const [k, cell] of interior.entries()) this.#interiorPlace[cell] = k;
    this.#patience = Float64Array.from({ length: interior.length + 1 }, (_, open) =>
      open === interior.length ? 0 : 1 / Math.log(1 - open / interior.length),
    );
    this.#order = Int32Array.from({ length: p.players }, (_, i) => i);
    this.#foodOrder = Int32Array.from({ length: p.food }, (_, k) => k);
    this.#unequalPlayers = unequal(layout.playerLevels);
    this.#unequalFood = unequal(layout.foodLevels ?? layout.minFoodLevels.map((min) => ({ min, max: 0 })));
    this.forget();
  }

  /** Nobody is anywhere: what the first episode of a copy starts from. */
  forget(): void {
    this.players.data.fill(-1);
  }

  /** Index of a cell of copy e in `cells`. */
  cell(e: number, row: number, col: number): number {
    return e * this.area + (row + 1) * this.stride + col + 1;
  }

  /** Bring what follows from players and foods of copy e in line with them. */
  rebuild(e: number): void {
    const { players: n, food: count } = this.#p;
    const { cells } = this;
    const players = this.players.data;
    const food = this.food.data;
    for (let i = e * n; i < (e + 1) * n; i++) this.at[i] = this.cell(e, players[3 * i], players[3 * i + 1]);
    cells.set(this.#empty, e * this.area);
    this.left[e] = 0;
    this.changed[e] = 1;
    for (let k = e * count * WIDTH; k < (e + 1) * count * WIDTH; k += WIDTH) {
      if (food[k + 2] === 0) continue;
      cells[this.cell(e, food[k], food[k + 1])] = food[k + 2];
      this.left[e]++;
    }
  }

  /** Take the food in a cell of copy e away. */
  eat(e: number, cell: number): void {
    const { food: count } = this.#p;
    const food = this.food.data;
    this.cells[cell] = 0;
    this.left[e]--;
    this.changed[e] = 1;
    for (let k = e * count * WIDTH; k < (e + 1) * count * WIDTH; k += WIDTH) {
      if (food[k + 2] > 0 && this.cell(e, food[k], food[k + 1]) === cell) food[k + 2] = 0;
    }
  }

  /** Draw a new episode of copy e: players, then foods. */
  scatter(e: number, stream: RandomStream): void {
    const lowest = this.#placePlayers(e, stream);
    this.#placeFood(e, lowest, stream);
    this.rebuild(e);
  }

  /** @returns the sum of the three lowest levels */
  #placePlayers(e: number, stream: RandomStream): number {
    const { rows, cols, players: n } = this.#p;
    const { playerLevels } = this.#layout;
    const players = this.players.data;
    const start = e * n * WIDTH;
    if (this.#unequalPlayers) stream.permutation(this.#order);
    for (let i = 0; i < n; i++) {
      const at = start + i * WIDTH;
      let row: number;
      let col: number;
      do {
        row = stream.int(rows);
        col = stream.int(cols);
        // Players who are not placed yet still stand, and block, where the last episode left them.
      } while (occupied(players, start, n, row, col));
      players[at] = row;
      players[at + 1] = col;
      players[at + 2] = draw(playerLevels[this.#order[i]], stream);
    }
    return sumOfThreeLowest(players, start, n);
  }

  #placeFood(e: number, lowest: number, stream: RandomStream): void {
    const { players: n, food: count, rules, forceCoop } = this.#p;
    const { foodLevels, minFoodLevels } = this.#layout;
    const players = this.players.data;
    const food = this.food.data;
    const start = e * count * WIDTH;
    if (this.#unequalFood) stream.permutation(this.#foodOrder);
    this.#clearInterior();
    for (let k = e * n * WIDTH; k < (e + 1) * n * WIDTH; k += WIDTH) {
      this.#close(this.cell(0, players[k], players[k + 1]));
    }
    let placed = 0;
    let total = 0;
    let attempts = 0;
    while (placed < count && this.#openCount > 0) {
      attempts += this.#attempts(stream);
      if (attempts > ATTEMPTS) break;
      const cell = this.#open[stream.int(this.#openCount)];
      this.#closeAround(cell);
      const which = this.#foodOrder[placed];
      const max = foodLevels === null ? lowest : foodLevels[which].max;
      const min = foodLevels === null ? (forceCoop ? lowest : minFoodLevels[which]) : foodLevels[which].min;
      // BATPAL keeps a defect of LBF before version 3: the greatest level is not drawn.
      const top = rules === "batpal" && max > min ? max - 1 : max;
      const level = min + (top > min ? stream.int(top - min + 1) : 0);
      const row = Math.floor(cell / this.stride) - 1;
      insert(food, start, placed++, row, (cell % this.stride) - 1, level);
      total += level;
    }
    food.fill(0, start + placed * WIDTH, start + count * WIDTH);
    this.spawned.data[e] = total;
  }

  /**
   * How many draws of a cell of the interior it takes until one is open: geometrically distributed, so one number
   * stands for all the draws of the original that hit a closed cell.
   */
  #attempts(stream: RandomStream): number {
    const patience = this.#patience[this.#openCount];
    if (patience === 0) return 1;
    stream.fillUniform(this.#luck, 0, 1);
    return 1 + Math.floor(Math.log(1 - this.#luck[0]) * patience);
  }

  /** Open every cell but those at the edge. */
  #clearInterior(): void {
    this.#open.set(this.#interior);
    this.#openCount = this.#interior.length;
    this.#place.set(this.#interiorPlace);
  }

  /** No food may be placed here any more. */
  #close(cell: number): void {
    const open = this.#open;
    const place = this.#place;
    const at = place[cell];
    if (at < 0) return;
    const last = open[--this.#openCount];
    open[at] = last;
    place[last] = at;
    place[cell] = -1;
  }

  /** No other food may stand within two steps. */
  #closeAround(cell: number): void {
    // Open cells are not at the edge, so that two steps from them end on the wall at most.
    for (let d = -2; d <= 2; d++) {
      const reach = 2 - Math.abs(d);
      for (let c = -reach; c <= reach; c++) this.#close(cell + d * this.stride + c);
    }
  }
}

function unequal(ranges: readonly LevelRange[]): boolean {
  return ranges.some(({ min, max }) => min !== ranges[0].min || max !== ranges[0].max);
}

function draw({ min, max }: LevelRange, stream: RandomStream): number {
  return min + (max > min ? stream.int(max - min + 1) : 0);
}

function occupied(players: Int32Array, start: number, n: number, row: number, col: number): boolean {
  for (let k = start; k < start + n * WIDTH; k += WIDTH) {
    if (players[k] === row && players[k + 1] === col) return true;
  }
  return false;
}

/** Of all levels, if there are fewer than three players. */
function sumOfThreeLowest(players: Int32Array, start: number, n: number): number {
  // a ≤ b ≤ c: the lowest so far, of as many as there were
  let a = 0;
  let b = 0;
  let c = 0;
  for (let i = 0; i < n; i++) {
    const level = players[start + i * WIDTH + 2];
    if (i === 0 || level < a) {
      c = b;
      b = a;
      a = level;
    } else if (i === 1 || level < b) {
      c = b;
      b = level;
    } else if (i === 2 || level < c) c = level;
  }
  return a + b + c;
}

/** Insert a food among the first `placed` at `start`, which are in row-major order. */
function insert(
  food: Int32Array,
  start: number,
  placed: number,
  row: number,
  col: number,
  level: number,
): void {
  let at = start + placed * WIDTH;
  while (at > start) {
    const before = at - WIDTH;
    if (food[before] < row || (food[before] === row && food[before + 1] < col)) break;
    food[at] = food[before];
    food[at + 1] = food[before + 1];
    food[at + 2] = food[before + 2];
    at = before;
  }
  food[at] = row;
  food[at + 1] = col;
  food[at + 2] = level;
}
