import { UserError } from "../core/errors.js";
import {
  abs,
  add,
  concat,
  matmul,
  mul,
  named,
  relu,
  reshape,
  sigmoid,
  softmax,
  sum,
  type Tensor,
  transpose,
  where,
} from "../tensor/index.js";
import { kaimingUniform, uniformInit } from "./init.js";
import { linear } from "./layers.js";
import type { Module, ParamSpec } from "./params.js";

/**
 * How much each of N agents counts in a joint value, as a function of the global state: the attention parts of the
 * mixers of FOP, QPLEX and Qatten. The mixers themselves are sums over agents and belong to the learners.
 */

type Params = Readonly<Record<string, Tensor>>;

/** PyTorch's default layer: weights and biases U(−1/√in, 1/√in). */
function layer(name: string, inputs: number, outputs: number, bias = true): Module {
  const biasInit = uniformInit(1 / Math.sqrt(inputs));
  return linear(name, inputs, outputs, { init: kaimingUniform(1 / Math.sqrt(3)), bias, biasInit });
}

/** [..., heads · size] → [..., heads, size] */
function perHead(x: Tensor, heads: number, size: number): Tensor {
  return reshape(x, [...x.shape.slice(0, -1), heads, size]);
}

function checkSizes(what: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(sizes)) {
    if (!(Number.isInteger(value) && value >= 1)) {
      throw new UserError(`${what}: got ${name} ${value}, expected an integer ≥ 1`);
    }
  }
}

export interface ImportanceWeights {
  readonly parameters: readonly ParamSpec[];
  /**
   * @param state       [..., S]
   * @param jointAction [..., actionSize] all agents' actions side by side, one-hot or continuous
   * @returns λ [..., N], > 0
   */
  forward(params: Params, state: Tensor, jointAction: Tensor): Tensor;
}

/**
 * Weights of the agents' advantages in FOP (Zhang 2021; `modules/mixers/fop.py`) and QPLEX (Wang 2021):
 *
 *   λ_i(s, a) = Σ_h |k_h(s)| · σ(g_{h,i}(s)) · σ(f_{h,i}(s, a))
 *
 * with one linear layer for all heads of k, g and f each (`name/key`, `name/agents`, `name/actions`), and 1e-10 added to
 * |k|.
 *
 * @param options.actionSize of the joint action: N · A where actions are one-hot
 * @param options.heads      default 4
 */
export function importanceWeights(
  name: string,
  options: {
    readonly stateSize: number;
    readonly actionSize: number;
    readonly agents: number;
    readonly heads?: number;
  },
): ImportanceWeights {
  const { stateSize, actionSize, agents, heads = 4 } = options;
  checkSizes(`importance weights "${name}"`, { stateSize, actionSize, agents, heads });
  const key = layer(`${name}/key`, stateSize, heads);
  const agent = layer(`${name}/agents`, stateSize, heads * agents);
  const action = layer(`${name}/actions`, stateSize + actionSize, heads * agents);
  return {
    parameters: [key, agent, action].flatMap((l) => l.parameters),
    forward: (params, state, jointAction) => {
      const strength = add(abs(perHead(key.forward(params, state), heads, 1)), 1e-10);
      const ofAgents = sigmoid(perHead(agent.forward(params, state), heads, agents));
      const both = concat([state, jointAction], -1);
      const ofActions = sigmoid(perHead(action.forward(params, both), heads, agents));
      return named(sum(mul(strength, mul(ofAgents, ofActions)), -2), name);
    },
  };
}

export interface AgentAttention {
  readonly parameters: readonly ParamSpec[];
  /**
   * @param inputs.state    [..., S]
   * @param inputs.features [..., N, F] what is known of each agent
   * @param inputs.mask     bool [..., N], true for agents that count (alive); where none does, all count alike
   * @returns weights [..., N], the sum of the heads; heads [..., H, N], each with sum 1; logits [..., H, N] unscaled, whose
   *          squares QPLEX penalises
   */
  forward(
    params: Params,
    inputs: { readonly state: Tensor; readonly features: Tensor; readonly mask?: Tensor },
  ): { readonly weights: Tensor; readonly heads: Tensor; readonly logits: Tensor };
}

/**
 * Attention of the state to the agents, as in Qatten (Yang 2020) and QPLEX's mixer of that form
 * (`dmaq_qatten_weight.py`): in each head, the selector made of the state meets the key made of each agent's features,
 *
 *   w_{h,i} = softmax_i( selector_h(s) · key_h(f_i) / √embedSize ).
 *
 * Selectors are two layers with a ReLU between them, keys one layer; only the first has a bias.
 *
 * @param options.heads         default 4
 * @param options.embedSize     of selectors and keys; default 32
 * @param options.hiddenSize    of a selector's first layer; default 64
 * @param options.weightedHeads multiply each head by |v_h(s)|, v of two layers; default false
 */
export function agentAttention(
  name: string,
  options: {
    readonly stateSize: number;
    readonly featureSize: number;
    readonly heads?: number;
    readonly embedSize?: number;
    readonly hiddenSize?: number;
    readonly weightedHeads?: boolean;
  },
): AgentAttention {
  const { stateSize, featureSize, heads: H = 4, embedSize = 32, hiddenSize = 64 } = options;
  checkSizes(`agent attention "${name}"`, { stateSize, featureSize, heads: H, embedSize, hiddenSize });
  const selectors = Array.from({ length: H }, (_, h) => ({
    hidden: layer(`${name}/selector${h}/hidden`, stateSize, hiddenSize),
    output: layer(`${name}/selector${h}/output`, hiddenSize, embedSize, false),
  }));
  const keys = layer(`${name}/keys`, featureSize, H * embedSize, false);
  const strength = options.weightedHeads
    ? [layer(`${name}/heads/hidden`, stateSize, hiddenSize), layer(`${name}/heads/output`, hiddenSize, H)]
    : [];
  return {
    parameters: [...selectors.flatMap((s) => [s.hidden, s.output]), keys, ...strength].flatMap(
      (l) => l.parameters,
    ),
    forward: (params, { state, features, mask }) => {
      const rows = state.shape.slice(0, -1);
      const agents = features.shape[features.shape.length - 2]!;
      const selected = selectors.map((s) => s.output.forward(params, relu(s.hidden.forward(params, state))));
      // [..., H, 1, embed] · [..., H, embed, N]
      const selector = reshape(concat(selected, -1), [...rows, H, 1, embedSize]);
      const key = transpose(perHead(keys.forward(params, features), H, embedSize), keyOrder(rows.length));
      const logits = reshape(matmul(selector, key), [...rows, H, agents]);
      const scaled = mul(logits, 1 / Math.sqrt(embedSize));
      const heads = softmax(
        mask === undefined ? scaled : where(reshape(mask, [...rows, 1, agents]), scaled, -1e9),
        -1,
      );
      const [first, last] = strength;
      if (first === undefined || last === undefined)
        return { weights: named(sum(heads, -2), name), heads, logits };
      const factor = abs(last.forward(params, relu(first.forward(params, state))));
      return { weights: named(sum(mul(heads, perHead(factor, H, 1)), -2), name), heads, logits };
    },
  };
}

/** [..., N, H, embed] → [..., H, embed, N] */
function keyOrder(lead: number): number[] {
  return [...Array.from({ length: lead }, (_, axis) => axis), lead + 1, lead + 2, lead];
}
