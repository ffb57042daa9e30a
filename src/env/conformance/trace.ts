/** Plays an environment with reproducible actions and keeps a fingerprint of everything each copy showed. */
import { RandomStream } from "../../core/random.js";
import type { Environment } from "../contract.js";
import { actionSize, sampleActions } from "../spaces.js";

/** In this order in every row of a trace. */
const QUANTITIES = [
  "observations",
  "global state",
  "action masks",
  "alive or acting flags",
  "rewards",
  "terminated or truncated flags",
  "last observations, last state or metrics of ended copies",
] as const;

/** What E copies showed in T steps. */
export interface Trace {
  readonly copies: number;
  /** [T][E · quantities] hashes */
  readonly steps: Uint32Array[];
}

/** Draws the actions of copy e from a stream of (seed, first + e) alone. */
export class Player {
  readonly #streams: readonly RandomStream[];

  constructor(copies: number, seed: number, first = 0) {
    this.#streams = Array.from({ length: copies }, (_, e) =>
      RandomStream.from(seed, "conformance", first + e),
    );
  }

  act(environment: Environment): void {
    sampleActions(environment, this.#streams);
  }
}

/** Sets the meaningless actions of agents that are dead or wait to anything their space allows. */
export function scribbleIdleActions(environment: Environment, stream: RandomStream): void {
  for (const [g, { action: space, hasActionMask }] of environment.spec.groups.entries()) {
    if (hasActionMask) continue;
    const { action, acting } = environment.groups[g];
    const size = actionSize(space);
    for (let k = 0; k < action.length; k++) {
      if (acting[Math.floor(k / size)] === 1) continue;
      const d = k % size;
      if (space.kind === "discrete") action[k] = stream.int(space.n);
      else if (space.kind === "multi-discrete") action[k] = stream.int(space.sizes[d]);
      else {
        const low = Math.max(space.low[d], -1e3);
        action[k] = stream.uniformIn(low, Math.min(space.high[d], low + 1e3));
      }
    }
  }
}

/** Take `steps` steps; `before` runs after the actions were drawn. */
export function play(environment: Environment, player: Player, steps: number, before?: () => void): Trace {
  const trace: Trace = { copies: environment.copies, steps: [] };
  for (let t = 0; t < steps; t++) {
    player.act(environment);
    before?.();
    environment.step();
    trace.steps.push(fingerprint(environment));
  }
  return trace;
}

/** Hashes of what every copy shows now. */
export function fingerprint(environment: Environment): Uint32Array {
  const { copies, spec, ended } = environment;
  const out = new Uint32Array(copies * QUANTITIES.length).fill(0x811c9dc5);
  /** Mix row `row` of an array [E, …] into the hash of a quantity of `copy`. */
  const mixRow = (quantity: number, array: ArrayLike<number>, row: number, copy: number) => {
    const width = array.length / copies;
    const at = copy * QUANTITIES.length + quantity;
    for (let k = row * width; k < (row + 1) * width; k++) out[at] = hashNumber(out[at], array[k]);
  };
  const mix = (quantity: number, array: ArrayLike<number>) => {
    for (let e = 0; e < copies; e++) mixRow(quantity, array, e, e);
  };
  for (const group of environment.groups) {
    mix(0, group.obs);
    if (group.actionMask !== null) mix(2, group.actionMask);
    mix(3, group.alive);
    mix(3, group.acting);
    mix(4, group.reward);
  }
  if (spec.stateSize > 0) mix(1, environment.state);
  mix(5, environment.terminated);
  mix(5, environment.truncated);
  for (let row = 0; row < ended.count; row++) {
    const copy = ended.copies[row];
    for (const obs of ended.obs) mixRow(6, obs, row, copy);
    if (spec.stateSize > 0) mixRow(6, ended.state, row, copy);
    if (spec.episodeMetrics.length > 0) mixRow(6, ended.metrics, row, copy);
  }
  return out;
}

const scratch = new Float64Array(1);
const words = new Uint32Array(scratch.buffer);

function hashNumber(h: number, x: number): number {
  scratch[0] = x;
  h = Math.imul(h ^ words[0], 0x01000193);
  h = Math.imul((h >>> 15) ^ h ^ words[1], 0x85ebca6b);
  return ((h >>> 13) ^ h) >>> 0;
}

/**
 * Where two traces part, as "observations of copy 3 at step 7"; null if they do not.
 *
 * @param pairs [copy of a, copy of b] to compare; by default every copy with itself
 */
export function firstDifference(
  a: Trace,
  b: Trace,
  pairs?: readonly (readonly [number, number])[],
): string | null {
  const compared = pairs ?? Array.from({ length: a.copies }, (_, e) => [e, e] as const);
  const width = QUANTITIES.length;
  for (let t = 0; t < Math.min(a.steps.length, b.steps.length); t++) {
    for (const [i, j] of compared) {
      for (let q = 0; q < width; q++) {
        if (a.steps[t][i * width + q] !== b.steps[t][j * width + q])
          return `${QUANTITIES[q]} of copy ${i} at step ${t + 1}`;
      }
    }
  }
  return null;
}
