/** What players see: lists of foods and players, or maps; which of their actions have an effect. */
import type { Field } from "./field.js";
import type { Layout, Parameters } from "./parameters.js";

const ACTION_COUNT = 6;

/**
 * Lists: foods in row-major order, then the player itself, then the other players in index order, each as row, column
 * and level. What is not seen moves up; empty places are (−1, −1, 0) and come last.
 *
 * Cells count from the corner of what the player sees, cut off at the edge of the field. So near the upper and left
 * edge other players, but not foods, are seen from farther than `sight`, up to 2 · sight from the edge: that is what
 * the original does.
 *
 * @param obs [E, P, O]; rows of copies [from, to) are written
 */
export function writeLists(
  field: Field,
  p: Parameters,
  { sight }: Layout,
  obs: Float32Array,
  from: number,
  to: number,
): void {
  const whole = sight >= Math.max(p.rows, p.cols) - 1;
  for (let e = from; e < to; e++) {
    if (whole) writeWhole(field, p, obs, e);
    else writeSeen(field, p, sight, obs, e);
    field.changed[e] = 0;
  }
}

/** Of those who see the whole field: the same foods for all, rewritten like levels only where something changed. */
function writeWhole(field: Field, p: Parameters, obs: Float32Array, e: number): void {
  const { players: n, food: count, observeAgentLevels } = p;
  const players = field.players.data;
  const width = observeAgentLevels ? 3 : 2;
  const size = 3 * count + width * n;
  const start = e * n * size;
  const first = e * n * 3;
  const end = first + n * 3;
  const changed = field.changed[e] === 1;
  if (changed) {
    writeFoods(field, count, obs, e, start, 0, 0, p.rows, p.cols);
    for (let o = start + size; o < start + n * size; o += size) {
      for (let k = 0; k < 3 * count; k++) obs[o + k] = obs[start + k];
    }
  }
  for (let self = first, o = start + 3 * count; self < end; self += 3, o += 3 * count) {
    obs[o] = players[self];
    obs[o + 1] = players[self + 1];
    if (changed && observeAgentLevels) obs[o + 2] = players[self + 2];
    o += width;
    for (let k = first; k < end; k += 3) {
      if (k === self) continue;
      obs[o] = players[k];
      obs[o + 1] = players[k + 1];
      if (changed && observeAgentLevels) obs[o + 2] = players[k + 2];
      o += width;
    }
  }
}

/** Of those who see a part of it. */
function writeSeen(field: Field, p: Parameters, sight: number, obs: Float32Array, e: number): void {
  const { players: n, food: count, observeAgentLevels } = p;
  const players = field.players.data;
  const width = observeAgentLevels ? 3 : 2;
  const size = 3 * count + width * n;
  const first = e * n * 3;
  for (let self = first, i = e * n; i < (e + 1) * n; self += 3, i++) {
    const row = players[self];
    const col = players[self + 1];
    // Where the player itself is in what it sees.
    const down = Math.min(sight, row);
    const right = Math.min(sight, col);
    const top = row - down;
    const left = col - right;
    // Whoever stays where it was sees the foods that it saw.
    const place = row * field.stride + col;
    if (field.changed[e] === 1 || field.watched[i] !== place) {
      field.watched[i] = place;
      writeFoods(field, count, obs, e, i * size, top, left, down + sight, right + sight);
    }
    let o = i * size + 3 * count;
    obs[o] = down;
    obs[o + 1] = right;
    if (observeAgentLevels) obs[o + 2] = players[self + 2];
    o += width;
    for (let k = first; k < first + 3 * n; k += 3) {
      if (k === self) continue;
      const y = players[k] - top;
      const x = players[k + 1] - left;
      obs[o] = y;
      obs[o + 1] = x;
      if (observeAgentLevels) obs[o + 2] = players[k + 2];
      // Keep what was written if all are ≥ 0. No processor predicts who is seen, so there is no branch.
      o += width & ~((y | x | (2 * sight - y) | (2 * sight - x)) >> 31);
    }
    writeEmpty(obs, o, (i + 1) * size, width);
  }
}

/** Foods in rows `top` … `top + height` and columns `left` … `left + breadth`, relative to that corner. */
function writeFoods(
  field: Field,
  count: number,
  obs: Float32Array,
  e: number,
  start: number,
  top: number,
  left: number,
  height: number,
  breadth: number,
): void {
  const food = field.food.data;
  let o = start;
  for (let k = e * count * 3; k < (e + 1) * count * 3; k += 3) {
    const y = food[k] - top;
    const x = food[k + 1] - left;
    const level = food[k + 2];
    obs[o] = y;
    obs[o + 1] = x;
    obs[o + 2] = level;
    o += 3 & ~((y | x | (height - y) | (breadth - x) | (level - 1)) >> 31);
  }
  writeEmpty(obs, o, start + 3 * count, 3);
}

/** (−1, −1, 0) in all places from `o` to `end`. */
function writeEmpty(obs: Float32Array, o: number, end: number, width: number): void {
  for (; o < end; o += width) {
    obs[o] = -1;
    obs[o + 1] = -1;
    if (width === 3) obs[o + 2] = 0;
  }
}

/**
 * Maps of the (2 · sight + 1)² cells around each player, zero outside the field: levels of players (or 1), levels of
 * foods, 1 where neither a player nor a food stands. Where two players share a cell, the later one shows.
 */
export function writeMaps(
  field: Field,
  p: Parameters,
  { sight }: Layout,
  obs: Float32Array,
  from: number,
  to: number,
): void {
  const { rows, cols, players: n } = p;
  const { cells, area, stride } = field;
  const players = field.players.data;
  const side = 2 * sight + 1;
  const map = side * side;
  for (let e = from; e < to; e++) {
    const firstPlayer = e * n * 3;
    for (let i = 0; i < n; i++) {
      const row = players[firstPlayer + i * 3];
      const col = players[firstPlayer + i * 3 + 1];
      const start = (e * n + i) * 3 * map;
      obs.fill(0, start, start + 3 * map);
      const lastRow = Math.min(rows - 1, row + sight);
      const lastCol = Math.min(cols - 1, col + sight);
      for (let r = Math.max(0, row - sight); r <= lastRow; r++) {
        const line = e * area + (r + 1) * stride + 1;
        const o = start + (r - row + sight) * side - col + sight;
        for (let c = Math.max(0, col - sight); c <= lastCol; c++) {
          const level = cells[line + c];
          obs[o + c + map] = level;
          obs[o + c + 2 * map] = level === 0 ? 1 : 0;
        }
      }
      for (let k = firstPlayer; k < firstPlayer + 3 * n; k += 3) {
        const y = players[k] - row + sight;
        const x = players[k + 1] - col + sight;
        if (y < 0 || x < 0 || y >= side || x >= side) continue;
        obs[start + y * side + x] = p.observeAgentLevels ? players[k + 2] : 1;
        obs[start + 2 * map + y * side + x] = 0;
      }
    }
  }
}

/** The whole field: foods and players as row, column and level, in absolute cells; (−1, −1, 0) for a food that is gone. */
export function writeField(field: Field, p: Parameters, state: Float32Array, from: number, to: number): void {
  const { players: n, food: count } = p;
  const food = field.food.data;
  const players = field.players.data;
  const size = 3 * (count + n);
  for (let e = from; e < to; e++) {
    const foods = e * count * 3;
    let o = e * size;
    for (let k = foods; k < foods + 3 * count; k += 3, o += 3) {
      const there = food[k + 2] > 0;
      state[o] = there ? food[k] : -1;
      state[o + 1] = there ? food[k + 1] : -1;
      state[o + 2] = food[k + 2];
    }
    for (let k = e * n * 3; k < (e + 1) * n * 3; k++, o++) state[o] = players[k];
  }
}

/** Doing nothing always counts, moving into a cell of the field without food, loading beside a food. */
export function writeMasks(field: Field, p: Parameters, mask: Uint8Array, from: number, to: number): void {
  const { cells, at, stride } = field;
  for (let i = from * p.players; i < to * p.players; i++) {
    const cell = at[i];
    const north = cells[cell - stride];
    const south = cells[cell + stride];
    const west = cells[cell - 1];
    const east = cells[cell + 1];
    const m = i * ACTION_COUNT;
    mask[m] = 1;
    mask[m + 1] = 1 - unlessZero(north);
    mask[m + 2] = 1 - unlessZero(south);
    mask[m + 3] = 1 - unlessZero(west);
    mask[m + 4] = 1 - unlessZero(east);
    // Walls are −1, and count as 0 here.
    mask[m + 5] = unlessZero(
      (north & ~(north >> 31)) | (south & ~(south >> 31)) | (west & ~(west >> 31)) | (east & ~(east >> 31)),
    );
  }
}

/** 0 for 0, 1 for any other integer; without a branch, since no processor predicts what surrounds a player. */
function unlessZero(x: number): number {
  return (x | -x) >>> 31;
}
