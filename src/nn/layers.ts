import { UserError } from "../core/errors.js";
import {
  add,
  div,
  filled,
  linear as linearOf,
  mean,
  mul,
  named,
  oneHot,
  relu,
  sqrt,
  square,
  sub,
  type Tensor,
  tanh,
} from "../tensor/index.js";
import { constantInit, type Initializer, normalInit, orthogonal, zerosInit } from "./init.js";
import type { Module } from "./params.js";

export type Activation = "tanh" | "relu";

const activations: { readonly [A in Activation]: (x: Tensor) => Tensor } = { tanh, relu };

/**
 * x · weight + bias, parameters `name/weight` [in, out] and `name/bias` [out].
 *
 * @param options.init     weight initialiser; default orthogonal(1)
 * @param options.bias     false leaves the bias out
 * @param options.biasInit default: 0
 */
export function linear(
  name: string,
  inputSize: number,
  outputSize: number,
  options: { readonly init?: Initializer; readonly bias?: boolean; readonly biasInit?: Initializer } = {},
): Module {
  if (!(inputSize >= 1 && outputSize >= 1)) {
    throw new UserError(`layer "${name}": got sizes ${inputSize} and ${outputSize}, expected both ≥ 1`);
  }
  const { init = orthogonal(), bias = true, biasInit = zerosInit } = options;
  const weight = { name: `${name}/weight`, shape: [inputSize, outputSize], init };
  const offset = { name: `${name}/bias`, shape: [outputSize], init: biasInit };
  return {
    parameters: bias ? [weight, offset] : [weight],
    forward: (params, x) =>
      named(linearOf(x, params[weight.name]!, bias ? params[offset.name]! : undefined), name),
  };
}

/**
 * Layer normalisation over the last axis (Ba et al. 2016) with gain and bias, parameters `name/gain` and
 * `name/bias`; variance without Bessel's correction and 1e-5 added to it, as in PyTorch.
 */
export function layerNorm(name: string, size: number): Module {
  const gain = { name: `${name}/gain`, shape: [size], init: constantInit(1) };
  const bias = { name: `${name}/bias`, shape: [size], init: zerosInit };
  return {
    parameters: [gain, bias],
    forward: (params, x) => {
      const centred = sub(x, rowMean(x, size));
      const scale = sqrt(add(rowMean(square(centred), size), 1e-5));
      return named(add(mul(div(centred, scale), params[gain.name]!), params[bias.name]!), name);
    },
  };
}

/**
 * A learnt vector for each of `count` ids, parameter `name/weight` [count, size]; `forward` takes int32 ids [...] and
 * gives [..., size]. Rows are taken by a product with one-hot vectors: its gradient adds in one order on any number of
 * threads, which that of a row gather does not. An id outside [0, count) gives zeros.
 *
 * @param options.init default normalInit(1), as in PyTorch
 */
export function embedding(
  name: string,
  count: number,
  size: number,
  options: { readonly init?: Initializer } = {},
): Module {
  if (!(count >= 1 && size >= 1)) {
    throw new UserError(`embedding "${name}": got ${count} ids of size ${size}, expected both ≥ 1`);
  }
  const weight = { name: `${name}/weight`, shape: [count, size], init: options.init ?? normalInit() };
  return {
    parameters: [weight],
    forward: (params, ids) => {
      const table = params[weight.name]!;
      return named(linearOf(oneHot(ids, count, table.dtype), table), name);
    },
  };
}

/**
 * Mean over the last axis, [..., 1], of a row the same to the last bit wherever the row lies: the engine sums blocks
 * of four numbers, and begins them elsewhere in every row unless rows are whole blocks. A product has no such blocks.
 */
function rowMean(x: Tensor, size: number): Tensor {
  return size % 4 === 0 ? mean(x, -1, true) : linearOf(x, filled(1 / size, [size, 1], x.dtype));
}

export interface MlpOptions {
  /** [in, ...hidden, out] */
  readonly sizes: readonly number[];
  readonly activation: Activation;
  /** weights of the hidden layers; default orthogonal(√2) */
  readonly init?: Initializer;
  /** weights of the output layer; default: as the hidden ones */
  readonly outputInit?: Initializer;
  /** normalise after each hidden activation, as MAPPO does; default false */
  readonly layerNorm?: boolean;
  /** normalise the input (MAPPO's feature normalisation); default false */
  readonly inputNorm?: boolean;
}

/**
 * The hidden layers of an MLP, each with its activation (and normalisation): everything but the output layer. The
 * identity where there are none.
 *
 * @param options `sizes` is [in, ...hidden]
 */
export function mlpBase(name: string, options: Omit<MlpOptions, "outputInit">): Module {
  const { sizes, activation, init = orthogonal(Math.SQRT2) } = options;
  const act = activations[activation];
  const steps: Module[] = [];
  if (options.inputNorm) steps.push(layerNorm(`${name}/inputNorm`, sizes[0]!));
  for (let i = 0; i < sizes.length - 1; i++) {
    const layer = linear(`${name}/hidden${i}`, sizes[i]!, sizes[i + 1]!, { init });
    steps.push({
      parameters: layer.parameters,
      forward: (params, x) => named(act(layer.forward(params, x)), `${name}/${activation}${i}`),
    });
    if (options.layerNorm) steps.push(layerNorm(`${name}/norm${i}`, sizes[i + 1]!));
  }
  return sequential(steps);
}

/** Linear layers with an activation between them; layers are called `name/hidden0` … and `name/output`. */
export function mlp(name: string, options: MlpOptions): Module {
  const { sizes, init = orthogonal(Math.SQRT2), outputInit = init } = options;
  if (sizes.length < 2) throw new UserError(`mlp "${name}": got sizes [${sizes}], expected at least two`);
  const [last, outputs] = sizes.slice(-2);
  return sequential([
    mlpBase(name, { ...options, sizes: sizes.slice(0, -1) }),
    linear(`${name}/output`, last!, outputs!, { init: outputInit }),
  ]);
}

/** Modules applied one after the other. */
export function sequential(modules: readonly Module[]): Module {
  return {
    parameters: modules.flatMap((m) => m.parameters),
    forward: (params, x) => modules.reduce((h, m) => m.forward(params, h), x),
  };
}
