import { UserError } from "../core/errors.js";
import {
  add,
  div,
  linear as linearOf,
  mean,
  mul,
  named,
  relu,
  sqrt,
  square,
  sub,
  type Tensor,
  tanh,
} from "../tensor/index.js";
import { constantInit, type Initializer, orthogonal, zerosInit } from "./init.js";
import type { Module } from "./params.js";

export type Activation = "tanh" | "relu";

const activations: { readonly [A in Activation]: (x: Tensor) => Tensor } = { tanh, relu };

/**
 * x · weight + bias, parameters `name/weight` [in, out] and `name/bias` [out].
 *
 * @param options.init weight initialiser; default orthogonal(1)
 * @param options.bias false leaves the bias out; biases start at 0
 */
export function linear(
  name: string,
  inputSize: number,
  outputSize: number,
  options: { readonly init?: Initializer; readonly bias?: boolean } = {},
): Module {
  if (!(inputSize >= 1 && outputSize >= 1)) {
    throw new UserError(`layer "${name}": got sizes ${inputSize} and ${outputSize}, expected both ≥ 1`);
  }
  const { init = orthogonal(), bias = true } = options;
  const weight = { name: `${name}/weight`, shape: [inputSize, outputSize], init };
  const offset = { name: `${name}/bias`, shape: [outputSize], init: zerosInit };
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
      const centred = sub(x, mean(x, -1, true));
      const scale = sqrt(add(mean(square(centred), -1, true), 1e-5));
      return named(add(mul(div(centred, scale), params[gain.name]!), params[bias.name]!), name);
    },
  };
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

/** Linear layers with an activation between them; layers are called `name/hidden0` … and `name/output`. */
export function mlp(name: string, options: MlpOptions): Module {
  const { sizes, activation, init = orthogonal(Math.SQRT2), outputInit = init } = options;
  if (sizes.length < 2) throw new UserError(`mlp "${name}": got sizes [${sizes}], expected at least two`);
  const act = activations[activation];
  const steps: Module[] = [];
  if (options.inputNorm) steps.push(layerNorm(`${name}/inputNorm`, sizes[0]!));
  for (let i = 0; i < sizes.length - 2; i++) {
    const layer = linear(`${name}/hidden${i}`, sizes[i]!, sizes[i + 1]!, { init });
    steps.push({
      parameters: layer.parameters,
      forward: (params, x) => named(act(layer.forward(params, x)), `${name}/${activation}${i}`),
    });
    if (options.layerNorm) steps.push(layerNorm(`${name}/norm${i}`, sizes[i + 1]!));
  }
  steps.push(
    linear(`${name}/output`, sizes[sizes.length - 2]!, sizes[sizes.length - 1]!, { init: outputInit }),
  );
  return sequential(steps);
}

/** Modules applied one after the other. */
export function sequential(modules: readonly Module[]): Module {
  return {
    parameters: modules.flatMap((m) => m.parameters),
    forward: (params, x) => modules.reduce((h, m) => m.forward(params, h), x),
  };
}
