/**
 * The recurrent policy as MAPPO builds it (Yu et al. 2022; HARL, `harl/models/base/rnn.py`): observation (and agent
 * id) → hidden layers → GRU → layer normalisation → output layer → distribution over actions. The carried state is
 * the GRU's, `hidden` [R, H], zero at the start of an episode.
 */
import { type NdArray, zeros } from "../core/array.js";
import type { RandomStream } from "../core/random.js";
import { isLeaf, type Tree } from "../core/tree.js";
import {
  gruCell,
  layerNorm,
  layoutOf,
  linear,
  type Module,
  mlpBase,
  orthogonal,
  type ParamLayout,
  type RecurrentCell,
  sequential,
  unrollCell,
} from "../nn/index.js";
import { reshape, type Tensor, TensorError } from "../tensor/index.js";
import {
  actionDistribution,
  networkInput,
  networkInputSize,
  networkOutputSize,
  scaleModule,
} from "./network.js";
import type { GruPolicyConfig, Policy, PolicyInputs, PolicyOutputs } from "./policy.js";

export class GruPolicy implements Policy {
  readonly space;
  readonly obsSize;
  readonly usesAgentId;
  readonly usesActionMask;
  readonly layout: ParamLayout;
  readonly #base: Module;
  readonly #cell: RecurrentCell<Tensor>;
  /** from the GRU's output to logits or means */
  readonly #head: Module;

  /** @throws UserError if a size is below 1 */
  constructor(readonly config: GruPolicyConfig) {
    const { space, obsSize, agentIds, hidden, activation, outputGain, recurrent } = config;
    this.space = space;
    this.obsSize = obsSize;
    this.usesAgentId = agentIds > 0;
    this.usesActionMask = config.actionMask;
    const sizes = [networkInputSize(config), ...hidden];
    this.#base = mlpBase("policy", { sizes, activation, layerNorm: config.layerNorm });
    // All gates orthogonal in one, as there.
    this.#cell = gruCell("policy/gru", sizes[sizes.length - 1]!, recurrent, { init: orthogonal() });
    this.#head = sequential([
      layerNorm("policy/gruNorm", recurrent),
      linear("policy/output", recurrent, networkOutputSize(space), { init: orthogonal(outputGain) }),
    ]);
    this.layout = layoutOf(this.#base, this.#cell, this.#head, scaleModule(space));
  }

  initialParameters(stream: RandomStream): Float32Array {
    return this.layout.initial(stream);
  }

  initialState(rows: number): Tree<NdArray> {
    return { hidden: zeros("float32", [rows, this.#cell.hiddenSize]) };
  }

  forward(parameters: Tensor, inputs: PolicyInputs, state: Tree<Tensor>): PolicyOutputs {
    const named = this.layout.unpack(parameters);
    const projected = this.#cell.project(named, this.#features(named, inputs));
    const hidden = this.#cell.step(named, projected, hiddenOf(state));
    return this.#outputs(named, hidden, inputs, hidden);
  }

  unroll(parameters: Tensor, inputs: PolicyInputs, state: Tree<Tensor>, starts: Tensor): PolicyOutputs {
    const named = this.layout.unpack(parameters);
    const first = hiddenOf(state);
    const H = this.#cell.hiddenSize;
    const [T, R] = starts.shape as readonly number[];
    const rows = inputs.obs.shape[0];
    if (starts.shape.length !== 2 || T! * R! !== rows || R !== first.shape[0]) {
      throw new TensorError(
        `policy: got ${rows} rows, starts ${starts} and a state of ${first.shape[0]} rows, expected T · R rows, [T, R] and R rows`,
      );
    }
    const features = reshape(this.#features(named, inputs), [T!, R!, -1]);
    const projected = this.#cell.project(named, features);
    const { last, all } = unrollCell(this.#cell, named, projected, first, starts);
    return this.#outputs(named, reshape(all, [rows, H]), inputs, last);
  }

  /** What the GRU sees, of any number of steps at once: [rows, …]. */
  #features(named: Record<string, Tensor>, inputs: PolicyInputs): Tensor {
    return this.#base.forward(named, networkInput(this.config, inputs));
  }

  #outputs(named: Record<string, Tensor>, hidden: Tensor, inputs: PolicyInputs, next: Tensor): PolicyOutputs {
    const output = this.#head.forward(named, hidden);
    return {
      distribution: actionDistribution(this.config, named, output, inputs),
      state: { hidden: next },
      aux: {},
    };
  }
}

function hiddenOf(state: Tree<Tensor>): Tensor {
  const hidden = isLeaf(state) ? undefined : state.hidden;
  if (hidden === undefined || !isLeaf(hidden))
    throw new TypeError("policy: state `hidden` is missing, this policy is recurrent");
  return hidden;
}
