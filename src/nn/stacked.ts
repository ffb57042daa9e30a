import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import type { ParamLayout } from "./params.js";

/**
 * Agents with parameters of their own and networks of one shape, run as one batched program: parameters [n, P], one
 * flat vector for each agent; inputs [n, B, I], or [..., n, B, I] where there are more axes (time). One run with few
 * large products takes the place of n runs.
 *
 * Modules, cells, distributions and policies need no second form. `layout.unpack` gives the parameters of [n, P] the
 * shapes [n, in, out] and [n, 1, size], which broadcast; `linear` multiplies agent by agent. Optimisers update [n, P] as
 * if each agent were alone, and `clipGlobalNorm(gradient, maxNorm, { axes: -1 })` clips each by its own norm.
 */
export interface StackedLayout {
  /** [n, P] */
  readonly shape: readonly [agents: number, size: number];
  /** First values [n, P]: each agent has those that `layout.initial` draws from its stream. */
  initial(streams: readonly RandomStream[]): Float32Array;
  /** A view [P] of one agent's vector in [n, P]. */
  agent(params: Float32Array, index: number): Float32Array;
}

/**
 * @param layout of one agent
 * @param agents n ≥ 1
 */
export function stackedLayout(layout: ParamLayout, agents: number): StackedLayout {
  if (!(Number.isInteger(agents) && agents >= 1)) {
    throw new UserError(`stacked parameters: got ${agents} agents, expected an integer ≥ 1`);
  }
  const { size } = layout;
  const agent = (params: Float32Array, index: number) => {
    if (!(Number.isInteger(index) && index >= 0 && index < agents)) {
      throw new UserError(`stacked parameters: got agent ${index}, expected one of 0 … ${agents - 1}`);
    }
    return params.subarray(index * size, (index + 1) * size);
  };
  return {
    shape: [agents, size],
    agent,
    initial: (streams) => {
      if (streams.length !== agents) {
        throw new UserError(
          `stacked parameters: got ${streams.length} streams, expected one for each of ${agents} agents`,
        );
      }
      const params = new Float32Array(agents * size);
      for (const [i, stream] of streams.entries()) agent(params, i).set(layout.initial(stream));
      return params;
    },
  };
}
