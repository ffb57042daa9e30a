import { UserError } from "../core/errors.js";
import { matmul, mul, reshape, softmax, type Tensor, transpose, where } from "../tensor/index.js";
import { type Initializer, xavierUniform } from "./init.js";
import { linear } from "./layers.js";
import type { ParamSpec } from "./params.js";

/** L queries look at S keys; leading axes agree. With stacked parameters of n agents: [..., n, L, E] and so on. */
export interface AttentionInputs {
  /** [..., L, E] */
  readonly query: Tensor;
  /** [..., S, keySize] */
  readonly key: Tensor;
  /** [..., S, valueSize] */
  readonly value: Tensor;
  /**
   * bool, broadcasts to [..., L, S]: true where the query may look (PyTorch's `attn_mask` says where it may not). A
   * query without any such key looks at all alike, and nothing becomes NaN.
   */
  readonly mask?: Tensor;
}

export interface MultiHeadAttention {
  readonly parameters: readonly ParamSpec[];
  /** @returns output [..., L, E]; weights [..., heads, L, S], each row with sum 1 */
  forward(
    params: Readonly<Record<string, Tensor>>,
    inputs: AttentionInputs,
  ): { readonly output: Tensor; readonly weights: Tensor };
}

/** As for actions (`categorical`): underflows to weight 0. */
const BLOCKED = -1e9;

/**
 * Multi-head scaled dot-product attention (Vaswani 2017, sec. 3.2.2) without dropout, as PyTorch's
 * `nn.MultiheadAttention` computes it. Parameters: weights and biases of `name/query`, `name/key`, `name/value` and
 * `name/output`; PyTorch's `in_proj_weight` holds the transposes of the first three one below the other.
 *
 * @param options.size      E, a multiple of heads
 * @param options.keySize   features of a key; default E
 * @param options.valueSize features of a value; default E
 * @param options.init      weights; default xavierUniform(), biases start at 0
 * @throws UserError if E is not a multiple of the number of heads
 */
export function multiHeadAttention(
  name: string,
  options: {
    readonly size: number;
    readonly heads: number;
    readonly keySize?: number;
    readonly valueSize?: number;
    readonly bias?: boolean;
    readonly init?: Initializer;
  },
): MultiHeadAttention {
  const { size, heads, keySize = size, valueSize = size, bias = true, init = xavierUniform() } = options;
  if (!(Number.isInteger(heads) && heads >= 1 && size % heads === 0)) {
    throw new UserError(
      `attention "${name}": got size ${size} and ${heads} heads, expected a multiple of the heads`,
    );
  }
  const layer = (part: string, inputs: number) => linear(`${name}/${part}`, inputs, size, { init, bias });
  const [queryLayer, keyLayer] = [layer("query", size), layer("key", keySize)];
  const [valueLayer, outputLayer] = [layer("value", valueSize), layer("output", size)];
  const perHead = size / heads;

  /** [..., T, E] → [..., heads, T, E / heads], or the last two the other way round */
  const toHeads = (x: Tensor, order: readonly [number, number, number]) => {
    const lead = x.shape.length - 2;
    const parts = reshape(x, [...x.shape.slice(0, -1), heads, perHead]);
    const kept = Array.from({ length: lead }, (_, axis) => axis);
    return transpose(parts, [...kept, ...order.map((axis) => lead + axis)]);
  };

  return {
    parameters: [queryLayer, keyLayer, valueLayer, outputLayer].flatMap((l) => l.parameters),
    forward: (params, { query, key, value, mask }) => {
      const q = toHeads(mul(queryLayer.forward(params, query), 1 / Math.sqrt(perHead)), [1, 0, 2]);
      const k = toHeads(keyLayer.forward(params, key), [1, 2, 0]);
      const v = toHeads(valueLayer.forward(params, value), [1, 0, 2]);
      const scores = matmul(q, k);
      const weights = softmax(mask === undefined ? scores : where(forHeads(mask), scores, BLOCKED), -1);
      const heard = joinHeads(matmul(weights, v), size);
      return { output: outputLayer.forward(params, heard), weights };
    },
  };
}

/** [..., L, S] → [..., 1, L, S] */
function forHeads(mask: Tensor): Tensor {
  const { shape } = mask;
  return shape.length < 3 ? mask : reshape(mask, [...shape.slice(0, -2), 1, ...shape.slice(-2)]);
}

/** [..., heads, L, E / heads] → [..., L, E] */
function joinHeads(x: Tensor, size: number): Tensor {
  const lead = x.shape.length - 3;
  const kept = Array.from({ length: lead }, (_, axis) => axis);
  const rows = transpose(x, [...kept, lead + 1, lead, lead + 2]);
  return reshape(rows, [...rows.shape.slice(0, -2), size]);
}
