/** What the networks of all policies have in common: the observation before them, the distribution after them. */
import { ndarray } from "../core/array.js";
import type { Space } from "../env/contract.js";
import { actionSize, maskSize } from "../env/index.js";
import { categorical, constantInit, diagonalGaussian, type Module, multiCategorical } from "../nn/index.js";
import { concat, constant, mul, oneHot, sigmoid, type Tensor, where } from "../tensor/index.js";
import type { NetworkConfig, PolicyDistribution, PolicyInputs } from "./policy.js";

/** HARL's Gaussian scale: σ = 0.5 · sigmoid(s), one state-independent s per dimension, starting at 1 (σ = 0.366). */
const STD_SCALE = 0.5;
const STD_START = 1;

/** Numbers per row that enter a network. */
export const networkInputSize = ({ obsSize, agentIds }: NetworkConfig) => obsSize + agentIds;

/** Numbers per row that a network puts out: logits, or means. */
export const networkOutputSize = (space: Space) =>
  space.kind === "box" ? actionSize(space) : maskSize(space);

/** [R, O + ids] observations without what is ignored, ids beside them. */
export function networkInput(config: NetworkConfig, inputs: PolicyInputs): Tensor {
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
  return x;
}

/** The parameter of a Gaussian's scale, `policy/std` [D]; nothing for discrete actions. */
export function scaleModule(space: Space): Module {
  return {
    parameters:
      space.kind === "box"
        ? [{ name: "policy/std", shape: [actionSize(space)], init: constantInit(STD_START) }]
        : [],
    forward: (_, x) => x,
  };
}

/** @param output [R, networkOutputSize] */
export function actionDistribution(
  config: NetworkConfig,
  named: Readonly<Record<string, Tensor>>,
  output: Tensor,
  inputs: PolicyInputs,
): PolicyDistribution {
  const mask = config.actionMask ? inputs.actionMask : undefined;
  switch (config.space.kind) {
    case "discrete":
      return categorical(output, mask);
    case "multi-discrete":
      return multiCategorical(output, config.space.sizes, mask);
    case "box":
      return diagonalGaussian(output, mul(sigmoid(named["policy/std"]!), STD_SCALE));
  }
}
