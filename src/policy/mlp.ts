/** The feed-forward policy: observation (and agent id) → MLP → distribution over actions. */
import type { NdArray } from "../core/array.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import { layoutOf, type Module, mlp, orthogonal, type ParamLayout } from "../nn/index.js";
import type { Tensor } from "../tensor/index.js";
import {
  actionDistribution,
  networkInput,
  networkInputSize,
  networkOutputSize,
  scaleModule,
} from "./network.js";
import type { MlpPolicyConfig, Policy, PolicyInputs, PolicyOutputs } from "./policy.js";

export class MlpPolicy implements Policy {
  readonly space;
  readonly obsSize;
  readonly usesAgentId;
  readonly usesActionMask;
  readonly layout: ParamLayout;
  readonly #network: Module;

  constructor(readonly config: MlpPolicyConfig) {
    const { space, obsSize, agentIds, hidden, activation, outputGain } = config;
    this.space = space;
    this.obsSize = obsSize;
    this.usesAgentId = agentIds > 0;
    this.usesActionMask = config.actionMask;
    this.#network = mlp("policy", {
      sizes: [networkInputSize(config), ...hidden, networkOutputSize(space)],
      activation,
      layerNorm: config.layerNorm,
      init: orthogonal(Math.SQRT2),
      outputInit: orthogonal(outputGain),
    });
    this.layout = layoutOf(this.#network, scaleModule(space));
  }

  initialParameters(stream: RandomStream): Float32Array {
    return this.layout.initial(stream);
  }

  initialState(): Tree<NdArray> {
    return {};
  }

  forward(parameters: Tensor, inputs: PolicyInputs, _state: Tree<Tensor>): PolicyOutputs {
    const named = this.layout.unpack(parameters);
    const output = this.#network.forward(named, networkInput(this.config, inputs));
    return { distribution: actionDistribution(this.config, named, output, inputs), state: {}, aux: {} };
  }

  /** Rows are independent of one another, whatever their order. */
  unroll(parameters: Tensor, inputs: PolicyInputs, state: Tree<Tensor>): PolicyOutputs {
    return this.forward(parameters, inputs, state);
  }
}
