import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import { named, reshape, split, type Tensor, TensorError } from "../tensor/index.js";
import type { ParamLayout } from "./params.js";

/**
 * Agents with parameters of their own and networks of one shape, run as one batched program: parameters [n, P], one
 * flat vector for each agent, inputs [n, B, I]. One run with few large products instead of n runs with small ones.
 *
 * A module needs no second form: `unpack` gives its parameters a leading agent axis and the row axis that they
 * broadcast along, and `linear` multiplies weights that have one agent by agent. Optimisers update [n, P] as they
 * are; `clipGlobalNorm(gradient, maxNorm, { axes: -1 })` clips each agent by its own norm.
 */
export interface StackedLayout {
  /** of one agent */
  readonly layout: ParamLayout;
  /** n */
  readonly count: number;
  /** [n, P], to build optimiser states with */
  readonly shape: readonly [count: number, size: number];
  /** See `unpackStacked`. */
  unpack(params: Tensor): Record<string, Tensor>;
  /** First values [n, P]: each agent's are those that `layout.initial` draws from its stream. */
  initial(streams: readonly RandomStream[]): Float32Array;
  /** A view [P] of one agent's vector in [n, P]. */
  agent(params: Float32Array, index: number): Float32Array;
}

/**
 * @param layout of one agent
 * @param count  number of agents n ≥ 1
 */
export function stackedLayout(layout: ParamLayout, count: number): StackedLayout {
  if (!(Number.isInteger(count) && count >= 1)) {
    throw new UserError(`stacked parameters: got ${count} agents, expected an integer ≥ 1`);
  }
  const agent = (params: Float32Array, index: number) => {
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw new UserError(`stacked parameters: got agent ${index}, expected one in [0, ${count})`);
    }
    return params.subarray(index * layout.size, (index + 1) * layout.size);
  };
  return {
    layout,
    count,
    shape: [count, layout.size],
    unpack: (params) => {
      if (params.shape[0] !== count) {
        throw new TensorError(`stacked parameters: got ${params}, expected [${count}, ${layout.size}]`);
      }
      return unpackStacked(layout, params);
    },
    initial: (streams) => {
      if (streams.length !== count) {
        throw new UserError(`stacked parameters: got ${streams.length} streams for ${count} agents`);
      }
      const params = new Float32Array(count * layout.size);
      for (const [i, stream] of streams.entries()) agent(params, i).set(layout.initial(stream));
      return params;
    },
    agent,
  };
}

/**
 * The named parameters of n agents. A matrix [in, out] becomes [n, in, out]; what has fewer axes gets a row axis, so
 * that it broadcasts against [n, B, size]: a vector [size] becomes [n, 1, size], a number [n, 1, 1]. One Split, as for
 * one agent.
 *
 * @param params [n, P]
 */
export function unpackStacked(layout: ParamLayout, params: Tensor): Record<string, Tensor> {
  const [count, size] = params.shape;
  if (params.shape.length !== 2 || size !== layout.size) {
    throw new TensorError(`stacked parameters: got ${params}, expected [n, ${layout.size}]`);
  }
  const parts = split(
    params,
    layout.entries.map((e) => e.size),
    1,
  );
  return Object.fromEntries(
    layout.entries.map(({ name, shape }, i) => {
      const rows = new Array<number>(Math.max(0, 2 - shape.length)).fill(1);
      return [name, named(reshape(parts[i]!, [count!, ...rows, ...shape]), name)];
    }),
  );
}

/**
 * A vector parameter as it broadcasts against x: as it is for one agent; [n, 1, size] → [n, 1, …, 1, size] for stacked
 * agents whose rows have several axes.
 */
export function alongRows(parameter: Tensor, x: Tensor): Tensor {
  const [count, , size] = parameter.shape;
  const rank = x.shape.length;
  if (parameter.shape.length !== 3 || rank === 3) return parameter;
  if (rank < 2)
    throw new TensorError(`stacked parameter ${parameter}: got ${x}, expected [${count}, …, ${size}]`);
  return reshape(parameter, [count!, ...new Array<number>(rank - 2).fill(1), size!]);
}
