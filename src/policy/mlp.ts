/** The feed-forward policy: observation (and agent id) → MLP → distribution over actions. */
import { type NdArray, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import { actionSize, maskSize } from "../env/index.js";
import {
  categorical,
  constantInit,
  diagonalGaussian,
  layoutOf,
  type Module,
  mlp,
  multiCategorical,
  orthogonal,
  type ParamLayout,
} from "../nn/index.js";
import { concat, constant, mul, oneHot, sigmoid, type Tensor, where } from "../tensor/index.js";
import type { Policy, PolicyConfig, PolicyInputs, PolicyOutputs } from "./policy.js";

/** HARL's Gaussian scale: σ = 0.5 · sigmoid(s), one state-independent s per dimension, starting at 1 (σ = 0.366). */
const STD_SCALE = 0.5;
const STD_START = 1;

class MlpPolicy implements Policy {
  readonly space;
  readonly obsSize;
  readonly usesAgentId;
  readonly usesActionMask;
  readonly layout: ParamLayout;
  readonly #network: Module;

  constructor(readonly config: PolicyConfig) {
    const { space, obsSize, agentIds, hidden, activation, outputGain } = config;
    this.space = space;
    this.obsSize = obsSize;
    this.usesAgentId = agentIds > 0;
    this.usesActionMask = config.actionMask;
    const outputs = space.kind === "box" ? actionSize(space) : maskSize(space);
    this.#network = mlp("policy", {
      sizes: [obsSize + agentIds, ...hidden, outputs],
      activation,
      layerNorm: config.layerNorm,
      init: orthogonal(Math.SQRT2),
      outputInit: orthogonal(outputGain),
    });
    const scale: Module = {
      parameters:
        space.kind === "box" ? [{ name: "policy/std", shape: [outputs], init: constantInit(STD_START) }] : [],
      forward: (_, x) => x,
    };
    this.layout = layoutOf(this.#network, scale);
  }

  initialParameters(stream: RandomStream): Float32Array {
    return this.layout.initial(stream);
  }

  initialState(): Tree<NdArray> {
    return {};
  }

  forward(parameters: Tensor, inputs: PolicyInputs, _state: Tree<Tensor>): PolicyOutputs {
    const { config } = this;
    const named = this.layout.unpack(parameters);
    let x = inputs.obs;
    if (config.ignored.length > 0) {
      // Selected, not multiplied: not even a NaN gets through.
      const keep = new Uint8Array(config.obsSize).fill(1);
      for (const [offset, size] of config.ignored) keep.fill(0, offset, offset + size);
      x = where(constant(ndarray("bool", [config.obsSize], keep)), x, 0);
    }
    if (config.agentIds > 0) {
      if (inputs.agent === undefined)
        throw new TypeError("policy: input `agent` is missing, this policy wants agent ids");
      x = concat([x, oneHot(inputs.agent, config.agentIds)], 1);
    }
    const output = this.#network.forward(named, x);
    const mask = config.actionMask ? inputs.actionMask : undefined;
    switch (config.space.kind) {
      case "discrete": {
        const distribution = categorical(output, mask);
        return { distribution, state: {}, aux: {} };
      }
      case "multi-discrete": {
        const distribution = multiCategorical(output, config.space.sizes, mask);
        return { distribution, state: {}, aux: {} };
      }
      case "box": {
        const std = mul(sigmoid(named["policy/std"]!), STD_SCALE);
        const distribution = diagonalGaussian(output, std);
        return { distribution, state: {}, aux: {} };
      }
    }
  }
}

/**
 * Build the policy that a configuration describes.
 * @throws UserError if the description makes no sense (a size below 1, an ignored range outside the observation)
 */
export function createPolicy(config: PolicyConfig): Policy {
  if (!(config.obsSize >= 1))
    throw new UserError(`policy: got observation size ${config.obsSize}, expected ≥ 1.`);
  for (const [offset, size] of config.ignored) {
    if (!(offset >= 0 && size >= 1 && offset + size <= config.obsSize)) {
      throw new UserError(
        `policy: ignored entries ${offset} … ${offset + size - 1} lie outside the observation of ${config.obsSize}.`,
      );
    }
  }
  return new MlpPolicy(config);
}
