/**
 * The two programs of PPO as functions over tensors: values of states, and one gradient step of actor and critic.
 * Shapes as in ppo.ts.
 */
import { ndarray } from "../core/array.js";
import { isLeaf, mapTree, type Tree } from "../core/tree.js";
import {
  adam,
  clipGlobalNorm,
  huber,
  type NormalizerState,
  type ValueNormalizer,
  weightedMean,
} from "../nn/index.js";
import type { Policy } from "../policy/index.js";
import {
  abs,
  add,
  cast,
  clip,
  concat,
  constant,
  div,
  exp,
  expand,
  gather,
  grad,
  greater,
  maximum,
  minimum,
  mul,
  named,
  neg,
  oneHot,
  reshape,
  slice,
  split,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.js";
import type { Critic } from "./critic.js";
import type { PpoOptions } from "./ppo-options.js";

/** What one unit computes with; its parameters are inputs. */
export interface PpoNetworks {
  readonly policy: Policy;
  /** [n] index in the group of each agent of the unit */
  readonly agents: readonly number[];
  readonly critic: Critic;
  /** Size of the critic's input, ids not counted. */
  readonly criticSize: number;
  /** Whether all agents of a copy have one value. */
  readonly criticPerCopy: boolean;
  /** Number of agent ids that the critic's input is extended by; 0 for none. */
  readonly criticIds: number;
  readonly normalizer: ValueNormalizer | null;
  /** L steps of one sequence of a minibatch; null where actor and critic have no memory. */
  readonly chunk: number | null;
}

/** Log-ratios beyond this cannot matter to a clipped objective, and exp of them would overflow to NaN. */
const MAX_LOG_RATIO = 20;
/** Columns of the per-sample array: one input to the program instead of six. */
export const COLUMNS = ["oldLogProb", "advantage", "returns", "oldValue"] as const;
/** Further columns where not every row counts; without them all weights are 1. */
export const WEIGHTS = ["actorWeight", "criticWeight"] as const;
/** What one minibatch reports, in this order. */
export const REPORTS = [
  "policyLoss",
  "valueLoss",
  "entropy",
  "kl",
  "clipFraction",
  "actorGradNorm",
  "criticGradNorm",
] as const;

export interface Memory {
  /** leaves [cells, n, …] */
  readonly actor: Tree<Tensor>;
  /** [cells, n or 1, H] */
  readonly critic: Tensor;
  /** [cells, 1] 1 where an episode starts at the step */
  readonly starts: Tensor;
}

export interface MinibatchInputs {
  readonly data: {
    readonly obs: Tensor;
    /** [C, cells, n]; C with or without the weights */
    readonly samples: Tensor;
    readonly action: Tensor;
    readonly actionMask?: Tensor;
    /** absent: `obs`, that is each agent's critic sees what its actor saw */
    readonly critic?: Tensor;
    /** what actor and critic carried before each step; absent where they have no memory */
    readonly memory?: Memory;
  };
  /** [B] the cells of the minibatch, chunks in order of time: [L, B/L]; absent: all of them, in order */
  readonly index?: Tensor;
  /** [3] learning rates of actor and critic, and R */
  readonly numbers: Tensor;
  readonly actor: Tensor;
  readonly critic: Tensor;
  readonly actorAdam: Record<string, Tensor>;
  readonly criticAdam: Record<string, Tensor>;
  readonly normalizer: NormalizerState<Tensor>;
}

/** What the critic sees: [R, C] inputs with ids beside them. */
function criticView({ criticIds }: PpoNetworks, input: Tensor, agent: Tensor | undefined): Tensor {
  return agent === undefined ? input : concat([input, oneHot(agent, criticIds)], 1);
}

/** Values in their own units, of rows; `state` [R, H] where the critic has a memory. */
export function valueGraph(networks: PpoNetworks, inputs: Record<string, Tensor>): Record<string, Tensor> {
  const x = criticView(networks, inputs.input!, inputs.agent);
  return { value: inOwnUnits(networks, inputs, networks.critic.forward(inputs.critic!, x, inputs.state)) };
}

/** Values in their own units over a rollout, `starts` [T, R], and the critic's memory after every step. */
export function sequenceValueGraph(
  networks: PpoNetworks,
  inputs: Record<string, Tensor>,
): Record<string, Tensor> {
  const x = criticView(networks, inputs.input!, inputs.agent);
  const { output, memory } = networks.critic.unroll(inputs.critic!, x, inputs.state!, inputs.starts!);
  return { value: inOwnUnits(networks, inputs, output), memory };
}

function inOwnUnits({ normalizer }: PpoNetworks, inputs: Record<string, Tensor>, output: Tensor): Tensor {
  const state = inputs.normalizer as unknown as NormalizerState<Tensor>;
  return normalizer?.denormalize(state, output) ?? output;
}

/**
 * One gradient step of actor and critic, each with its own Adam and its own clipped gradient.
 *
 * Rows that all count spare the program its weights, a minibatch of all cells its gathering: the numbers that come out
 * are the same, bit by bit.
 */
export function minibatchGraph(
  networks: PpoNetworks,
  options: PpoOptions,
  inputs: MinibatchInputs,
): Record<string, Tree<Tensor>> & { readonly reports: Tensor } {
  const { policy, agents } = networks;
  const { data, index } = inputs;
  const n = agents.length;
  const B = (index ?? data.obs).shape[0] as number;
  const R = B * n;
  const rows = (x: Tensor) =>
    reshape(index === undefined ? x : gather(x, index, 0), [B * (x.shape[1] as number), ...x.shape.slice(2)]);
  const { samples } = data;
  const columns = samples.shape[0] === COLUMNS.length ? COLUMNS : [...COLUMNS, ...WEIGHTS];
  const column = Object.fromEntries(
    split(
      index === undefined ? samples : gather(samples, index, 1),
      columns.map(() => 1),
      0,
    ).map((x, i) => [columns[i]!, reshape(x, [R])]),
  ) as Record<(typeof COLUMNS)[number], Tensor> & { [W in (typeof WEIGHTS)[number]]?: Tensor };
  const [actorRate, criticRate, count] = split(inputs.numbers, [1, 1, 1]).map((x) => reshape(x, []));
  const average = (x: Tensor, weights: Tensor | undefined) =>
    weights === undefined ? div(sum(x), count!) : weightedMean(x, weights);
  const agentOfRow = Int32Array.from({ length: R }, (_, r) => agents[r % n]!);
  const ids = () => constant(ndarray("int32", [R], agentOfRow));

  // Actor: clipped surrogate and entropy, over decisions that were this policy's own.
  const decided = column.actorWeight;
  const seen = {
    obs: rows(data.obs),
    actionMask: data.actionMask === undefined ? undefined : rows(data.actionMask),
    agent: policy.usesAgentId ? ids() : undefined,
  };
  // With memory: chunks of L steps from what was carried at their start, and back only to there.
  const memory = chunkMemory(networks, data.memory, index, B);
  const { distribution } =
    memory === undefined
      ? policy.forward(inputs.actor, seen, {})
      : policy.unroll!(inputs.actor, seen, memory.actor, memory.starts(n));
  const logRatio = clip(
    sub(distribution.logProb(rows(data.action)), column.oldLogProb),
    -MAX_LOG_RATIO,
    MAX_LOG_RATIO,
  );
  const ratio = exp(logRatio);
  const advantage =
    options.normalizeAdvantages === "minibatch"
      ? standardize(column.advantage, decided, count!)
      : column.advantage;
  const surrogate = clippedSurrogate(ratio, advantage, options.clipRatio);
  const policyLoss = named(neg(average(surrogate, decided)), "actor/policyLoss");
  const entropy = named(average(distribution.entropy(), decided), "actor/entropy");
  const actorLoss = sub(policyLoss, mul(entropy, options.entropyCoef));

  // Critic: Huber loss in normalised units, the normaliser updated first with this minibatch's targets.
  const counted = column.criticWeight;
  const normalizer =
    networks.normalizer?.update(inputs.normalizer, column.returns, counted) ?? inputs.normalizer;
  const target = networks.normalizer?.normalize(normalizer, column.returns) ?? column.returns;
  const view = criticView(
    networks,
    rows(data.critic ?? data.obs),
    networks.criticIds > 0 ? ids() : undefined,
  );
  const output =
    memory === undefined
      ? networks.critic.forward(inputs.critic, view)
      : networks.critic.unroll(
          inputs.critic,
          view,
          memory.critic,
          memory.starts(networks.criticPerCopy ? 1 : n),
        ).output;
  const value = networks.criticPerCopy ? reshape(expand(reshape(output, [B, 1]), [B, n]), [R]) : output;
  const loss = (v: Tensor) => {
    const error = sub(stopGradient(target), v);
    return options.huberDelta === null ? mul(square(error), 0.5) : huber(error, options.huberDelta);
  };
  const clippedValue =
    options.valueClip === null
      ? null
      : add(column.oldValue, clip(sub(value, column.oldValue), -options.valueClip, options.valueClip));
  const valueLoss = named(
    average(clippedValue === null ? loss(value) : maximum(loss(value), loss(clippedValue)), counted),
    "critic/valueLoss",
  );

  // Steps.
  const optimizer = adam({ epsilon: options.adamEpsilon });
  const descend = (
    objective: Tensor,
    parameters: Tensor,
    state: Record<string, Tensor>,
    rate: Tensor,
    weight: Tensor | undefined,
  ) => {
    const raw = grad(objective, parameters);
    const { gradient, norm } = clipGlobalNorm(raw, options.maxGradNorm ?? Infinity);
    const stepped = optimizer.step(parameters, gradient, state, rate);
    if (weight === undefined) return { norm, parameters: stepped.params, state: stepped.state };
    // A minibatch without a single entry of ours changes nothing; Adam's momentum alone would.
    const some = greater(sum(weight), 0);
    return {
      norm,
      parameters: where(some, stepped.params, parameters),
      state: selectTree(some, stepped.state, state),
    };
  };
  const actor = descend(actorLoss, inputs.actor, inputs.actorAdam, actorRate!, decided);
  const critic = descend(valueLoss, inputs.critic, inputs.criticAdam, criticRate!, counted);
  const outside = greater(abs(sub(ratio, 1)), options.clipRatio);
  const reports = [
    policyLoss,
    valueLoss,
    entropy,
    // k3 estimator of KL(old ‖ new) (Schulman 2020): unbiased, never negative.
    average(sub(sub(ratio, 1), logRatio), decided),
    average(cast(outside, ratio.dtype), decided),
    actor.norm,
    critic.norm,
  ];
  return {
    actor: actor.parameters,
    critic: critic.parameters,
    actorAdam: actor.state,
    criticAdam: critic.state,
    normalizer,
    reports: concat(
      reports.map((x) => reshape(x, [1])),
      0,
    ),
  };
}

/**
 * min(r A, clip(r, 1 ± clipRatio) A) of each decision (Schulman 2017, eq. 7).
 *
 * Where the clipped term is the smaller one, the ratio is outside and the term has no gradient; else the terms are
 * equal or the other one counts. So nothing is lost by stopping the gradient of the clipped ratio: derivatives of
 * every order are those of the whole expression.
 */
export function clippedSurrogate(ratio: Tensor, advantage: Tensor, clipRatio: number): Tensor {
  const clipped = stopGradient(clip(ratio, 1 - clipRatio, 1 + clipRatio));
  return minimum(mul(ratio, advantage), mul(clipped, advantage));
}

/** What chunks start from: S = B / L sequences, each with all its agents. */
function chunkMemory(
  { chunk }: PpoNetworks,
  memory: Memory | undefined,
  index: Tensor | undefined,
  B: number,
): { actor: Tree<Tensor>; critic: Tensor; starts: (width: number) => Tensor } | undefined {
  if (memory === undefined || chunk === null) return undefined;
  const S = B / chunk;
  const first = (x: Tensor) => {
    const rows =
      index === undefined ? slice(x, { 0: { end: S } }) : gather(x, slice(index, { 0: { end: S } }), 0);
    return reshape(rows, [S * (x.shape[1] as number), ...x.shape.slice(2)]);
  };
  const starts = index === undefined ? memory.starts : gather(memory.starts, index, 0);
  return {
    actor: mapTree<Tensor, Tensor>(memory.actor, first),
    critic: first(memory.critic),
    starts: (width) => reshape(expand(reshape(starts, [chunk, S, 1]), [chunk, S, width]), [chunk, S * width]),
  };
}

/**
 * Weighted (x − mean) / (std + 1e-8) (cleanrl).
 * @param weight undefined: all 1
 * @param count  number of elements
 */
function standardize(x: Tensor, weight: Tensor | undefined, count: Tensor): Tensor {
  const total = weight === undefined ? count : maximum(sum(weight), 1);
  const weighted = (v: Tensor) => (weight === undefined ? v : mul(v, weight));
  const centred = sub(x, div(sum(weighted(x)), total));
  const variance = div(sum(weighted(square(centred))), total);
  return div(centred, add(sqrt(variance), 1e-8));
}

function selectTree(condition: Tensor, yes: Tree<Tensor>, no: Tree<Tensor>): Tree<Tensor> {
  if (isLeaf(yes)) return where(condition, yes, no as Tensor);
  return Object.fromEntries(
    Object.keys(yes).map((key) => [
      key,
      selectTree(
        condition,
        (yes as Record<string, Tree<Tensor>>)[key]!,
        (no as Record<string, Tree<Tensor>>)[key]!,
      ),
    ]),
  );
}
