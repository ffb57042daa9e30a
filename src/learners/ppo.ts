/**
 * Proximal policy optimisation (Schulman 2017) for teams: independent (IPPO) or with a centralised critic (MAPPO,
 * Yu 2022), with the details of HARL's implementation that matter for results. Read it from `update` down; the
 * numbered details are explained in docs/learners/ppo.md.
 *
 * Shapes: T steps, E copies, n agents of one unit, B cells of a minibatch (a cell is one (t, e) with all n agents),
 * R = B·n rows.
 */
import { cloneArray, f32, type NdArray, ndarray } from "../core/array.js";
import { NonFiniteError, UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { isLeaf, mapTree, type Tree } from "../core/tree.js";
import { actionSize, maskSize } from "../env/index.js";
import {
  adam,
  clipGlobalNorm,
  huber,
  layoutOf,
  type Module,
  mlp,
  type NormalizerState,
  orthogonal,
  type ParamLayout,
  valueNormalizer,
  weightedMean,
} from "../nn/index.js";
import { createPolicy, type Policy, PolicyActor, type TeamMember } from "../policy/index.js";
import { OnPolicyBuffer, seatsOf, seatsOfAgents } from "../rollout/index.js";
import type { Program } from "../runtime/index.js";
import {
  abs,
  add,
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
  split,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.js";
import { computeAdvantages, normalizeAdvantages } from "./advantages.js";
import type { Learner, LearnerContext, LearnerDefinition } from "./learner.js";
import { type PpoOptions, ppoOptions } from "./ppo-options.js";
import type { Json, Metrics, SavedState } from "./training.js";

/** Log-ratios beyond this cannot matter to a clipped objective, and exp of them would overflow to NaN. */
const MAX_LOG_RATIO = 20;
/** Columns of the per-sample array: one input to the program instead of six. */
const COLUMNS = ["oldLogProb", "advantage", "returns", "oldValue", "actorWeight", "criticWeight"] as const;
/** What one minibatch reports, in this order. */
const REPORTS = [
  "policyLoss",
  "valueLoss",
  "entropy",
  "kl",
  "clipFraction",
  "actorGradNorm",
  "criticGradNorm",
] as const;

/** Everything an update changes; a tree of arrays. */
interface UnitState {
  readonly [key: string]: Tree<NdArray>;
  readonly actor: NdArray;
  readonly critic: NdArray;
  readonly actorAdam: Tree<NdArray>;
  readonly criticAdam: Tree<NdArray>;
  readonly normalizer: Tree<NdArray>;
}

/** Agents that share parameters: one actor, one critic, one buffer. */
class PpoUnit {
  readonly policy: Policy;
  readonly buffer: OnPolicyBuffer;
  readonly actor: PolicyActor;
  state: UnitState;

  readonly #critic: Module;
  readonly #criticLayout: ParamLayout;
  /** Number of agent ids that the critic's input is extended by; 0 for none. */
  readonly #criticIds: number;
  readonly #normalizer;
  readonly #values: Program<Tree<NdArray>, Record<string, Tensor>>;
  readonly #minibatch: Program<Tree<NdArray>, Tree<Tensor>>;
  readonly #shuffle: RandomStream;
  readonly #advantage: Float64Array;
  readonly #value: Float64Array;
  readonly #finalValue: Float64Array;
  readonly #samples: Float32Array;

  constructor(
    readonly name: string,
    readonly group: number,
    readonly agents: readonly number[],
    readonly context: LearnerContext,
    readonly options: PpoOptions,
    actorIndex: number,
  ) {
    const { environment, runtime, seed } = context;
    const spec = environment.spec.groups[group]!;
    const n = agents.length;
    const ids = options.agentIds && n > 1 ? n : 0;
    this.buffer = new OnPolicyBuffer({
      environment,
      group,
      agents,
      steps: options.rolloutSteps,
      actor: actorIndex,
      role: context.role,
      criticInput: options.critic === "centralised" ? "global" : "observation",
      rewardWeights: context.rewardWeights,
    });
    this.policy = createPolicy({
      kind: "mlp",
      obsSize: spec.obsSize,
      space: spec.action,
      hidden: options.hidden,
      activation: options.activation,
      layerNorm: options.layerNorm,
      agentIds: ids,
      actionMask: spec.hasActionMask,
      ignored: ignoredRanges(context, group, agents),
      outputGain: options.outputGain,
    });
    // Several values of one cell differ only through ids: a centralised critic has one value for all agents.
    this.#criticIds = this.buffer.criticPerCopy ? 0 : ids;
    this.#critic = mlp("critic", {
      sizes: [this.buffer.criticSize + this.#criticIds, ...options.hidden, 1],
      activation: options.activation,
      layerNorm: options.layerNorm,
      init: orthogonal(Math.SQRT2),
      outputInit: orthogonal(1),
    });
    this.#criticLayout = layoutOf(this.#critic);
    this.#normalizer =
      options.valueNormBeta === null ? null : valueNormalizer({ beta: options.valueNormBeta });
    const stream = (purpose: string) => RandomStream.from(seed, context.name, name, purpose);
    this.#shuffle = stream("minibatches");
    const optimizer = adam({ epsilon: options.adamEpsilon });
    const actorParameters = this.policy.initialParameters(stream("actor"));
    const criticParameters = this.#criticLayout.initial(stream("critic"));
    this.state = {
      actor: f32([actorParameters.length], actorParameters),
      critic: f32([criticParameters.length], criticParameters),
      actorAdam: optimizer.initial(actorParameters.length),
      criticAdam: optimizer.initial(criticParameters.length),
      normalizer: this.#normalizer?.initial() ?? {},
    };
    this.actor = new PolicyActor(`${context.name}/${name}`, runtime, this.policy, actorParameters, "sample");
    this.#values = runtime.program<Tree<NdArray>, Record<string, Tensor>>(
      "ppo/values",
      (inputs) => this.#valueGraph(inputs as Record<string, Tensor>),
      { freeRows: this.#criticIds > 0 ? ["input", "agent"] : ["input"] },
    );
    this.#minibatch = runtime.program<Tree<NdArray>, Tree<Tensor>>("ppo/minibatch", (inputs) =>
      this.#minibatchGraph(inputs as unknown as MinibatchInputs),
    );
    const cells = options.rolloutSteps * environment.copies;
    this.#advantage = new Float64Array(cells * n);
    this.#value = new Float64Array((cells + environment.copies) * n);
    this.#finalValue = new Float64Array(cells * n);
    this.#samples = new Float32Array(cells * n * COLUMNS.length);
  }

  // ---------------------------------------------------------------- update

  /** One iteration: values → advantages → epochs of minibatches. The state changes only if all of it succeeded. */
  update(progress: number): Metrics {
    const { buffer, options } = this;
    const cells = buffer.steps * buffer.copies;
    this.#estimate();
    const hasDecisions =
      options.normalizeAdvantages === "iteration"
        ? normalizeAdvantages(this.#advantage, buffer.actorWeight, 1e-5)
        : buffer.actorWeight.some((w) => w !== 0);
    const returnsOfCritic = buffer.criticWeight.some((w) => w !== 0);
    if (!hasDecisions && !returnsOfCritic) {
      buffer.clear();
      return Object.fromEntries(REPORTS.map((name) => [name, 0]));
    }
    this.#fillSamples();

    const rate = options.schedule === "linear" ? 1 - progress : 1;
    const rates = f32(
      [2],
      [options.learningRate * rate, (options.criticLearningRate ?? options.learningRate) * rate],
    );
    const data = this.#data();
    const size = cells / options.minibatches;
    const order = new Int32Array(cells);
    const totals = new Float64Array(REPORTS.length);
    let state = this.state;
    let runs = 0;
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      if (options.minibatches > 1) this.#shuffle.permutation(order);
      else for (let i = 0; i < cells; i++) order[i] = i;
      let kl = 0;
      for (let m = 0; m < options.minibatches; m++) {
        const index = ndarray("int32", [size], order.slice(m * size, (m + 1) * size));
        const inputs = { data, index, rates, ...state };
        const { reports, ...next } = this.#minibatch.run(inputs) as unknown as UnitState & {
          reports: NdArray;
        };
        this.#checkReports(reports, inputs);
        state = next as unknown as UnitState;
        for (let i = 0; i < totals.length; i++) totals[i]! += reports.data[i] as number;
        kl += reports.data[REPORTS.indexOf("kl")] as number;
        runs++;
      }
      if (options.targetKl !== null && kl / options.minibatches > options.targetKl) break;
    }
    this.state = state;
    this.actor.policy.parameters = state.actor.data as Float32Array;
    buffer.clear();
    return Object.fromEntries(REPORTS.map((name, i) => [name, totals[i]! / runs]));
  }

  /** Critic values of every state, and generalised advantages; all with the critic as it was before the update. */
  #estimate(): void {
    const { buffer, options } = this;
    const { agents: n, cut } = buffer;
    const width = buffer.criticPerCopy ? 1 : n;
    const write = (input: Float32Array, rows: number, out: Float64Array, at: (row: number) => number) => {
      const feed: Record<string, Tree<NdArray>> = {
        critic: this.state.critic,
        normalizer: this.state.normalizer,
        input: f32([rows, buffer.criticSize], input),
      };
      if (this.#criticIds > 0)
        feed.agent = ndarray(
          "int32",
          [rows],
          Int32Array.from({ length: rows }, (_, r) => r % n),
        );
      const value = this.#values.run(feed).value!.data as Float32Array;
      for (let r = 0; r < rows; r++) {
        const k = at(r);
        if (width === n) out[k] = value[r]!;
        else for (let i = 0; i < n; i++) out[k + i] = value[r]!;
      }
    };
    write(buffer.critic, (buffer.steps + 1) * buffer.copies * width, this.#value, (r) =>
      width === n ? r : r * n,
    );
    if (cut.count > 0) {
      const rows = cut.count * width;
      write(cut.critic.subarray(0, rows * buffer.criticSize), rows, this.#finalValue, (r) =>
        width === n ? cut.index[Math.floor(r / n)]! * n + (r % n) : cut.index[r]! * n,
      );
    }
    computeAdvantages(
      {
        steps: buffer.steps,
        copies: buffer.copies,
        agents: n,
        reward: buffer.reward,
        value: this.#value,
        terminated: buffer.terminated,
        truncated: buffer.truncated,
        finalValue: this.#finalValue,
        gamma: options.gamma,
        gaeLambda: options.gaeLambda,
        timeLimit: options.timeLimit,
      },
      this.#advantage,
    );
    // Returns are written before the advantages are standardised.
    const C = COLUMNS.length;
    for (let k = 0; k < this.#advantage.length; k++)
      this.#samples[k * C + 2] = this.#advantage[k]! + this.#value[k]!;
  }

  #fillSamples(): void {
    const { buffer } = this;
    const C = COLUMNS.length;
    const samples = this.#samples;
    const toNormal = this.#normalizer?.arrays.moments(this.state.normalizer as NormalizerState<NdArray>) ?? {
      mean: 0,
      std: 1,
    };
    for (let k = 0; k < this.#advantage.length; k++) {
      samples[k * C] = buffer.logProb[k]!;
      samples[k * C + 1] = this.#advantage[k]!;
      samples[k * C + 3] = (this.#value[k]! - toNormal.mean) / toNormal.std;
      samples[k * C + 4] = buffer.actorWeight[k]!;
      samples[k * C + 5] = buffer.criticWeight[k]!;
    }
  }

  /** The rollout as the program's input: [cells, n, …]. */
  #data(): Record<string, NdArray> {
    const { buffer, policy } = this;
    const cells = buffer.steps * buffer.copies;
    const n = buffer.agents;
    const D = actionSize(policy.space);
    const data: Record<string, NdArray> = {
      obs: f32([cells, n, policy.obsSize], buffer.obs),
      samples: f32([cells, n, COLUMNS.length], this.#samples),
      action:
        policy.space.kind === "box"
          ? f32([cells, n, D], buffer.action as Float32Array)
          : ndarray(
              "int32",
              policy.space.kind === "discrete" ? [cells, n] : [cells, n, D],
              buffer.action as Int32Array,
            ),
    };
    if (buffer.actionMask !== null)
      data.actionMask = ndarray("bool", [cells, n, maskSize(policy.space)], buffer.actionMask);
    const width = buffer.criticPerCopy ? 1 : n;
    // An independent critic sees the clean observations, which need not be what the actor saw.
    data.critic = f32(
      [cells, width, buffer.criticSize],
      buffer.critic.subarray(0, cells * width * buffer.criticSize),
    );
    return data;
  }

  #checkReports(reports: NdArray, inputs: Tree<NdArray>): void {
    const bad = (reports.data as Float32Array).findIndex((x) => !Number.isFinite(x));
    if (bad < 0) return;
    const first = this.#minibatch.firstNonFiniteTensor(inputs) ?? "not found when run again";
    throw new NonFiniteError(
      `${this.context.name}/${this.name}, program "ppo/minibatch": ${REPORTS[bad]} is ${String(reports.data[bad])}; the first tensor that is not finite is ${first}.`,
    );
  }

  // ---------------------------------------------------------------- graphs

  /** Critic output in normalised units [R] for inputs [R, C]. */
  #criticOutput(parameters: Tensor, input: Tensor, agent: Tensor | undefined): Tensor {
    const x = agent === undefined ? input : concat([input, oneHot(agent, this.#criticIds)], 1);
    const output = this.#critic.forward(this.#criticLayout.unpack(parameters), x);
    return sum(output, [1]);
  }

  #valueGraph(inputs: Record<string, Tensor>): Record<string, Tensor> {
    const output = this.#criticOutput(inputs.critic!, inputs.input!, inputs.agent);
    const value =
      this.#normalizer?.denormalize(inputs.normalizer as unknown as NormalizerState<Tensor>, output) ??
      output;
    return { value };
  }

  /** One gradient step of actor and critic, each with its own Adam and its own clipped gradient. */
  #minibatchGraph(inputs: MinibatchInputs): Tree<Tensor> {
    const { options, policy } = this;
    const { data, index, rates } = inputs;
    const n = this.buffer.agents;
    const B = index.shape[0]!;
    const R = B * n;
    const rows = (x: Tensor) => reshape(gather(x, index, 0), [R, ...x.shape.slice(2)]);
    const column = Object.fromEntries(
      split(
        rows(data.samples),
        COLUMNS.map(() => 1),
        1,
      ).map((x, i) => [COLUMNS[i]!, reshape(x, [R])]),
    ) as Record<(typeof COLUMNS)[number], Tensor>;
    const ids = () =>
      constant(
        ndarray(
          "int32",
          [R],
          Int32Array.from({ length: R }, (_, r) => r % n),
        ),
      );

    // Actor: clipped surrogate and entropy, over decisions that were this policy's own.
    const decided = column.actorWeight;
    const { distribution } = policy.forward(
      inputs.actor,
      {
        obs: rows(data.obs),
        actionMask: data.actionMask === undefined ? undefined : rows(data.actionMask),
        agent: policy.usesAgentId ? ids() : undefined,
      },
      {},
    );
    const logRatio = clip(
      sub(distribution.logProb(rows(data.action)), column.oldLogProb),
      -MAX_LOG_RATIO,
      MAX_LOG_RATIO,
    );
    const ratio = exp(logRatio);
    const advantage =
      options.normalizeAdvantages === "minibatch" ? standardize(column.advantage, decided) : column.advantage;
    const clipped = clip(ratio, 1 - options.clipRatio, 1 + options.clipRatio);
    const surrogate = minimum(mul(ratio, advantage), mul(clipped, advantage));
    const policyLoss = named(neg(weightedMean(surrogate, decided)), "actor/policyLoss");
    const entropy = named(weightedMean(distribution.entropy(), decided), "actor/entropy");
    const actorLoss = sub(policyLoss, mul(entropy, options.entropyCoef));

    // Critic: Huber loss in normalised units, the normaliser updated first with this minibatch's targets.
    const counted = column.criticWeight;
    const normalizer =
      this.#normalizer?.update(inputs.normalizer, column.returns, counted) ?? inputs.normalizer;
    const target = this.#normalizer?.normalize(normalizer, column.returns) ?? column.returns;
    const criticInput = reshape(gather(data.critic, index, 0), [
      B * data.critic.shape[1]!,
      this.buffer.criticSize,
    ]);
    const output = this.#criticOutput(inputs.critic, criticInput, this.#criticIds > 0 ? ids() : undefined);
    const value = this.buffer.criticPerCopy ? reshape(expand(reshape(output, [B, 1]), [B, n]), [R]) : output;
    const loss = (v: Tensor) => {
      const error = sub(stopGradient(target), v);
      return options.huberDelta === null ? mul(square(error), 0.5) : huber(error, options.huberDelta);
    };
    const clippedValue =
      options.valueClip === null
        ? null
        : add(column.oldValue, clip(sub(value, column.oldValue), -options.valueClip, options.valueClip));
    const valueLoss = named(
      weightedMean(clippedValue === null ? loss(value) : maximum(loss(value), loss(clippedValue)), counted),
      "critic/valueLoss",
    );

    // Steps.
    const optimizer = adam({ epsilon: options.adamEpsilon });
    const [actorRate, criticRate] = split(rates, [1, 1]);
    const descend = (
      objective: Tensor,
      parameters: Tensor,
      state: Record<string, Tensor>,
      rate: Tensor,
      weight: Tensor,
    ) => {
      const raw = grad(objective, parameters);
      const { gradient, norm } = clipGlobalNorm(raw, options.maxGradNorm ?? Infinity);
      const stepped = optimizer.step(parameters, gradient, state, reshape(rate, []));
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
      weightedMean(sub(sub(ratio, 1), logRatio), decided),
      weightedMean(where(outside, onesOf(ratio), mul(ratio, 0)), decided),
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

  // ---------------------------------------------------------------- saving

  saveState(): { arrays: Tree<NdArray>; shuffle: Json } {
    return { arrays: mapTree<NdArray, NdArray>(this.state, cloneArray), shuffle: [...this.#shuffle.state] };
  }

  loadState(arrays: Tree<NdArray> | undefined, shuffle: Json | undefined, place: string): void {
    const where = `${place}, ${this.context.name}/${this.name}`;
    if (arrays === undefined || isLeaf(arrays) || !Array.isArray(shuffle) || shuffle.length !== 4) {
      throw new UserError(`${where}: holds no PPO state.`);
    }
    this.state = mapTree<NdArray, NdArray>(this.state, (now, path) => {
      let node: Tree<NdArray> | undefined = arrays;
      for (const key of path.split("/")) node = node === undefined || isLeaf(node) ? undefined : node[key];
      if (
        node === undefined ||
        !isLeaf(node) ||
        node.dtype !== now.dtype ||
        node.data.length !== now.data.length
      ) {
        const got = node === undefined || !isLeaf(node) ? "nothing" : `${node.data.length} numbers`;
        throw new UserError(
          `${where}, "${path}": got ${got}, expected ${now.data.length} (a state of another network?).`,
        );
      }
      return { ...node, shape: now.shape } as NdArray;
    }) as UnitState;
    this.#shuffle.state.set(shuffle as number[]);
    this.actor.policy.parameters = this.state.actor.data as Float32Array;
  }
}

interface MinibatchInputs {
  readonly data: {
    readonly obs: Tensor;
    readonly samples: Tensor;
    readonly action: Tensor;
    readonly actionMask?: Tensor;
    readonly critic: Tensor;
  };
  readonly index: Tensor;
  readonly rates: Tensor;
  readonly actor: Tensor;
  readonly critic: Tensor;
  readonly actorAdam: Record<string, Tensor>;
  readonly criticAdam: Record<string, Tensor>;
  readonly normalizer: NormalizerState<Tensor>;
}

const onesOf = (x: Tensor) => add(mul(x, 0), 1);

/** Weighted (x − mean) / (std + 1e-8) (cleanrl). */
function standardize(x: Tensor, weight: Tensor): Tensor {
  const total = maximum(sum(weight), 1);
  const centred = sub(x, div(sum(mul(x, weight)), total));
  const variance = div(sum(mul(square(centred), weight)), total);
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

/** Observation entries that all agents of the unit ignore; agents that share parameters must ignore the same. */
function ignoredRanges(
  context: LearnerContext,
  group: number,
  agents: readonly number[],
): (readonly [number, number])[] {
  const spec = context.environment.spec.groups[group]!;
  const lists = agents.map((i) => context.ignore[spec.agents[i]!] ?? []);
  const first = [...lists[0]!].sort().join(", ");
  for (const list of lists) {
    if ([...list].sort().join(", ") !== first) {
      throw new UserError(
        `ignore: agents of group "${spec.name}" share parameters but ignore different features ("${first}" and "${[...list].sort().join(", ")}"). Use sharing: separate.`,
      );
    }
  }
  return spec.features.filter((f) => lists[0]!.includes(f.name)).map((f) => [f.offset, f.size] as const);
}

class PpoLearner implements Learner {
  readonly actors: readonly PolicyActor[];
  readonly actorOfSeat: Int32Array;
  readonly recorders: readonly OnPolicyBuffer[];
  readonly #units: readonly PpoUnit[];

  constructor(
    readonly context: LearnerContext,
    options: PpoOptions,
  ) {
    const { environment, firstActor } = context;
    const seats = seatsOf(environment.spec);
    const mine = seatsOfAgents(seats, context.agents);
    this.actorOfSeat = new Int32Array(seats.count).fill(-1);
    const weighted =
      context.rewardWeights === null && options.reward === "team"
        ? { ...context, rewardWeights: new Float64Array(seats.count).fill(1 / seats.count) }
        : context;
    const units: PpoUnit[] = [];
    environment.spec.groups.forEach((group, g) => {
      const inGroup = mine.filter((seat) => seats.group[seat] === g);
      const parts = options.sharing === "group" ? [inGroup] : inGroup.map((seat) => [seat]);
      for (const part of parts) {
        if (part.length === 0) continue;
        const name = options.sharing === "group" ? group.name : seats.names[part[0]!]!;
        for (const seat of part) this.actorOfSeat[seat] = firstActor + units.length;
        const agents = part.map((seat) => seats.indexInGroup[seat]!);
        units.push(new PpoUnit(name, g, agents, weighted, options, firstActor + units.length));
      }
    });
    this.#units = units;
    this.actors = units.map((unit) => unit.actor);
    this.recorders = units.map((unit) => unit.buffer);
  }

  update(progress: number): Metrics {
    const metrics: Record<string, number> = {};
    for (const unit of this.#units) {
      for (const [name, value] of Object.entries(unit.update(progress))) {
        metrics[`${this.context.name}/${unit.name}/${name}`] = value;
      }
    }
    return metrics;
  }

  members(): TeamMember[] {
    const { groups } = this.context.environment.spec;
    return this.#units.map((unit) => ({
      name: unit.name,
      group: groups[unit.group]!.name,
      agents: unit.agents.map((i) => groups[unit.group]!.agents[i]!),
      policy: unit.policy,
      parameters: unit.actor.policy.parameters.slice(),
    }));
  }

  saveState(): SavedState {
    const saved = this.#units.map((unit) => [unit.name, unit.saveState()] as const);
    return {
      arrays: Object.fromEntries(saved.map(([name, s]) => [name, s.arrays])),
      meta: Object.fromEntries(saved.map(([name, s]) => [name, s.shuffle])),
    };
  }

  loadState(state: SavedState, place: string): void {
    if (isLeaf(state.arrays)) throw new UserError(`${place}: holds no PPO state.`);
    for (const unit of this.#units) unit.loadState(state.arrays[unit.name], state.meta[unit.name], place);
  }
}

export const ppo: LearnerDefinition<PpoOptions> = {
  name: "ppo",
  summary: "Proximal policy optimisation, independent (IPPO) or with a centralised critic (MAPPO).",
  options: ppoOptions,
  capabilities: {
    discrete: true,
    multiDiscrete: true,
    box: true,
    actionMasks: true,
    recurrent: false,
    turnBased: true,
    needsGlobalState: false,
  },
  rollout: ({ copies, rolloutSteps }) => ({ copies, steps: rolloutSteps }),
  scaleLearningRate: (options, factor) => ({
    ...options,
    learningRate: options.learningRate * factor,
    criticLearningRate: options.criticLearningRate === null ? null : options.criticLearningRate * factor,
  }),
  create: (context, options) => new PpoLearner(context, options),
};
