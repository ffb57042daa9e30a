/** Action spaces: sizes, validation and uniform sampling of legal actions. */
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import type { Environment, GroupArrays, GroupSpec, Space } from "./contract.js";

/** Numbers that one action consists of: 1 for discrete, D otherwise. */
export function actionSize(space: Space): number {
  if (space.kind === "discrete") return 1;
  return space.kind === "multi-discrete" ? space.sizes.length : space.low.length;
}

/** Entries of one action mask: A for discrete, the sum of the sizes for multi-discrete, 0 for box. */
export function maskSize(space: Space): number {
  if (space.kind === "discrete") return space.n;
  return space.kind === "multi-discrete" ? space.sizes.reduce((a, b) => a + b, 0) : 0;
}

/** A mask that allows action 0 (in every dimension) and nothing else. */
export function onlyFirst(space: Space, mask: Uint8Array, offset: number): void {
  mask.fill(0, offset, offset + maskSize(space));
  if (space.kind === "discrete") mask[offset] = 1;
  if (space.kind !== "multi-discrete") return;
  for (const size of space.sizes) {
    mask[offset] = 1;
    offset += size;
  }
}

/** A box of `size` dimensions with the same bounds in each. */
export function box(size: number, low: number, high: number): Space {
  return { kind: "box", low: Array<number>(size).fill(low), high: Array<number>(size).fill(high) };
}

/** "an integer in [0, 5)", for messages; `dimension` picks one entry of a multi-discrete or box action. */
function expectation(space: Space, dimension: number): string {
  if (space.kind === "discrete") return `an integer in [0, ${space.n})`;
  if (space.kind === "multi-discrete") return `an integer in [0, ${space.sizes[dimension]})`;
  return `a number in [${space.low[dimension]}, ${space.high[dimension]}]`;
}

/**
 * Refuse actions outside their space and masked actions (except where `maskedAction` says what they become), of every
 * agent and copy. Entries of dead and waiting agents are checked too: a caller that writes nonsense there has a mistake
 * worth hearing about.
 *
 * @param place where the actions belong, for the message ("mpe/simple_spread_v3")
 * @param arrays in the order of `groups`
 * @throws UserError naming agent, copy, value and what is expected
 */
export function validateActions(
  place: string,
  groups: readonly GroupSpec[],
  arrays: readonly GroupArrays[],
  copies: number,
): void {
  for (let g = 0; g < groups.length; g++) {
    const bad = firstBadAction(groups[g], arrays[g], copies * groups[g].agents.length);
    if (bad >= 0) throw actionError(place, groups[g], arrays[g], bad);
  }
}

/** Index into `arrays.action` of the first illegal entry; −1 if all are legal. Allocates nothing. */
function firstBadAction(group: GroupSpec, arrays: GroupArrays, rows: number): number {
  const { action: space, maskedAction } = group;
  const { action } = arrays;
  const actionMask = maskedAction === undefined ? arrays.actionMask : null;
  if (space.kind === "box") return firstOutside(action as Float32Array, space.low, space.high);
  if (space.kind === "discrete") return firstBadInteger(space.n, action as Int32Array, actionMask);
  const { sizes } = space;
  const width = maskSize(space);
  for (let row = 0; row < rows; row++) {
    let offset = row * width;
    for (let d = 0; d < sizes.length; d++) {
      const a = action[row * sizes.length + d];
      if (!(a >= 0 && a < sizes[d])) return row * sizes.length + d;
      if (actionMask !== null && actionMask[offset + a] === 0) return row * sizes.length + d;
      offset += sizes[d];
    }
  }
  return -1;
}

function firstBadInteger(n: number, action: Int32Array, mask: Uint8Array | null): number {
  for (let row = 0; row < action.length; row++) {
    const a = action[row];
    if (a < 0 || a >= n) return row;
    if (mask !== null && mask[row * n + a] === 0) return row;
  }
  return -1;
}

function firstOutside(action: Float32Array, low: readonly number[], high: readonly number[]): number {
  const size = low.length;
  for (let k = 0, d = 0; k < action.length; k++) {
    // Negated, so that NaN is refused. Bounds are compared as the float32 that the action array holds.
    if (!(action[k] >= Math.fround(low[d]) && action[k] <= Math.fround(high[d]))) return k;
    d = d + 1 === size ? 0 : d + 1;
  }
  return -1;
}

function actionError(place: string, group: GroupSpec, arrays: GroupArrays, index: number): UserError {
  const size = actionSize(group.action);
  const row = Math.floor(index / size);
  const dimension = index % size;
  const agent = group.agents[row % group.agents.length];
  const copy = Math.floor(row / group.agents.length);
  const value = arrays.action[index];
  const entry = group.action.kind === "discrete" ? "action" : `action entry ${dimension}`;
  const sentence = `${place}, copy ${copy}, agent "${agent}": got ${entry} ${value}`;
  const { action } = group;
  const allowedEverywhere =
    action.kind === "box" ||
    !(value >= 0 && value < (action.kind === "discrete" ? action.n : action.sizes[dimension]));
  if (allowedEverywhere) return new UserError(`${sentence}, expected ${expectation(action, dimension)}.`);
  const width = maskSize(action);
  let start = row * width;
  let n = width;
  if (action.kind === "multi-discrete") {
    for (let d = 0; d < dimension; d++) start += action.sizes[d];
    n = action.sizes[dimension];
  }
  const allowed = Array.from({ length: n }, (_, a) => a).filter((a) => arrays.actionMask![start + a] === 1);
  return new UserError(`${sentence}, which is masked; expected one of ${allowed.join(", ")}.`);
}

/**
 * Write uniformly random legal actions of every agent and copy into the environment's action arrays. Agents that
 * are dead or wait get action 0 (their only legal one), box agents the bound nearest to 0. A dimension that is
 * unbounded on both sides is drawn from N(0, 1), one bounded on one side from that bound plus or minus |N(0, 1)|.
 *
 * @param streams one stream for all copies, or one per copy: then a copy's actions depend on its own stream alone
 */
export function sampleActions(
  environment: Environment,
  streams: RandomStream | readonly RandomStream[],
): void {
  const { groups } = environment.spec;
  for (let g = 0; g < groups.length; g++) {
    const { action: space, agents, hasActionMask } = groups[g];
    const arrays = environment.groups[g];
    const n = agents.length;
    if (space.kind === "discrete" && !hasActionMask) {
      sampleIntegers(space.n, arrays.action as Int32Array, arrays.acting, n, streams);
      continue;
    }
    if (space.kind === "discrete") {
      sampleMaskedIntegers(space.n, arrays, n, streams);
      continue;
    }
    for (let row = 0; row < environment.copies * n; row++) {
      sampleRow(space, arrays, row, "state" in streams ? streams : streams[Math.floor(row / n)]);
    }
  }
}

/** The commonest case in a loop of its own. */
function sampleIntegers(
  choices: number,
  action: Int32Array,
  acting: Uint8Array,
  n: number,
  streams: RandomStream | readonly RandomStream[],
): void {
  // Runs of agents that act and share a stream are drawn at once.
  const run = "state" in streams ? action.length : n;
  for (let start = 0; start < action.length; start += run) {
    const stream = "state" in streams ? streams : streams[start / n];
    const end = start + run;
    for (let row = start; row < end; ) {
      if (acting[row] === 0) {
        action[row++] = 0;
        continue;
      }
      let next = row + 1;
      while (next < end && acting[next] === 1) next++;
      stream.fillInts(action, row, next, choices);
      row = next;
    }
  }
}

/** Scratch: what the row at hand may do; grows with the largest action space. */
let allowedActions = new Int32Array(32);

/** The commonest case but one: no processor predicts masks, so what they allow is collected without branches. */
function sampleMaskedIntegers(
  n: number,
  { action, actionMask, acting }: GroupArrays,
  agents: number,
  streams: RandomStream | readonly RandomStream[],
): void {
  if (allowedActions.length <= n) allowedActions = new Int32Array(2 * n);
  const allowed = allowedActions;
  const mask = actionMask!;
  const shared = "state" in streams ? streams : null;
  for (let row = 0; row < action.length; row++) {
    if (acting[row] === 0) {
      action[row] = 0;
      continue;
    }
    let count = 0;
    for (let a = 0, k = row * n; a < n; a++, k++) {
      allowed[count] = a;
      count += mask[k];
    }
    const stream = shared ?? (streams as readonly RandomStream[])[Math.floor(row / agents)];
    const drawn = stream.int(Math.max(1, count));
    action[row] = count === 0 ? 0 : allowed[drawn];
  }
}

function sampleRow(
  space: Exclude<Space, { kind: "discrete" }>,
  arrays: GroupArrays,
  row: number,
  stream: RandomStream,
): void {
  const { action, actionMask, acting } = arrays;
  const active = acting[row] === 1;
  const size = actionSize(space);
  if (space.kind === "multi-discrete") {
    let offset = row * maskSize(space);
    for (let d = 0; d < size; d++) {
      action[row * size + d] = active ? sampleMasked(actionMask, offset, space.sizes[d], stream) : 0;
      offset += space.sizes[d];
    }
    return;
  }
  for (let d = 0; d < size; d++) {
    const low = space.low[d];
    const high = space.high[d];
    action[row * size + d] = active ? sampleInterval(low, high, stream) : Math.min(Math.max(0, low), high);
  }
}

function sampleMasked(mask: Uint8Array | null, offset: number, n: number, stream: RandomStream): number {
  if (mask === null) return stream.int(n);
  let allowed = 0;
  for (let a = 0; a < n; a++) allowed += mask[offset + a];
  let left = stream.int(Math.max(1, allowed));
  for (let a = 0; a < n; a++) {
    if (mask[offset + a] === 1 && left-- === 0) return a;
  }
  return 0;
}

function sampleInterval(low: number, high: number, stream: RandomStream): number {
  const lowFinite = Number.isFinite(low);
  if (lowFinite && Number.isFinite(high)) return stream.uniformIn(low, high);
  const z = stream.normal();
  if (lowFinite) return low + Math.abs(z);
  return Number.isFinite(high) ? high - Math.abs(z) : z;
}
