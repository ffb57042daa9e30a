/** The global state that is all observations one after the other. */
import type { EnvironmentSpec, GroupArrays } from "./contract.js";

/** Views of `state` and `obs` in units that are cheap to copy, with the sizes of rows in these units. */
type Parts = {
  readonly widths: readonly number[];
  readonly stride: number;
} & (
  | { readonly pairs: true; readonly state: Float64Array; readonly obs: readonly Float64Array[] }
  | { readonly pairs: false; readonly state: Int32Array; readonly obs: readonly Int32Array[] }
);

/**
 * Copies observations into the global state, groups and agents in order.
 *
 * Float by float each would be converted twice. As integers they are only moved; where all rows are even, two at once
 * as a double, which is NaN only where the second float is.
 */
export class Concatenation {
  readonly #parts: Parts;

  /** @param state [E, S]; S need not be the sum of the groups' sizes as long as `copy` is not called */
  constructor(spec: EnvironmentSpec, groups: readonly GroupArrays[], state: Float32Array) {
    const widths = spec.groups.map((g) => g.agents.length * g.obsSize);
    const pairs = [...widths, spec.stateSize].every((width) => width % 2 === 0);
    this.#parts = pairs
      ? {
          pairs,
          widths: widths.map((width) => width / 2),
          stride: spec.stateSize / 2,
          state: new Float64Array(state.buffer),
          obs: groups.map(({ obs }) => new Float64Array(obs.buffer)),
        }
      : {
          pairs,
          widths,
          stride: spec.stateSize,
          state: new Int32Array(state.buffer),
          obs: groups.map(({ obs }) => new Int32Array(obs.buffer)),
        };
  }

  /** Copies [from, to) of all groups. Allocates nothing. */
  copy(from: number, to: number): void {
    const parts = this.#parts;
    let offset = 0;
    for (let g = 0; g < parts.widths.length; g++) {
      const width = parts.widths[g];
      if (parts.pairs) copyPairs(parts.obs[g], width, parts.state, parts.stride, offset, from, to);
      else copyBits(parts.obs[g], width, parts.state, parts.stride, offset, from, to);
      offset += width;
    }
  }
}

/** Copy rows [from, to) of one group to their place in the rows of the global state. */
function copyBits(
  obs: Int32Array,
  width: number,
  state: Int32Array,
  stride: number,
  offset: number,
  from: number,
  to: number,
): void {
  for (let e = from; e < to; e++) {
    let source = e * width;
    let target = e * stride + offset;
    const end = source + width;
    // Four at a time: a third less time than one at a time.
    for (; source + 4 <= end; source += 4, target += 4) {
      state[target] = obs[source];
      state[target + 1] = obs[source + 1];
      state[target + 2] = obs[source + 2];
      state[target + 3] = obs[source + 3];
    }
    while (source < end) state[target++] = obs[source++];
  }
}

/** The same in pairs of floats. A copy of its own: one function for both kinds of array would be slow for both. */
function copyPairs(
  obs: Float64Array,
  width: number,
  state: Float64Array,
  stride: number,
  offset: number,
  from: number,
  to: number,
): void {
  for (let e = from; e < to; e++) {
    let source = e * width;
    let target = e * stride + offset;
    const end = source + width;
    for (; source + 4 <= end; source += 4, target += 4) {
      state[target] = obs[source];
      state[target + 1] = obs[source + 1];
      state[target + 2] = obs[source + 2];
      state[target + 3] = obs[source + 3];
    }
    while (source < end) state[target++] = obs[source++];
  }
}
