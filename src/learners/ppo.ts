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
import { suggestion } from "../core/suggest.js";
import { isLeaf, mapTree, type Tree } from "../core/tree.js";
import { actionSize, maskSize } from "../env/index.js";
import { adam, type NormalizerState, valueNormalizer } from "../nn/index.js";
import { createPolicy, type Policy, PolicyActor, type TeamMember } from "../policy/index.js";
import { OnPolicyBuffer, seatsOf, seatsOfAgents } from "../rollout/index.js";
import type { Epochs } from "../runtime/index.js";
import { computeAdvantages, normalizeAdvantages } from "./advantages.js";
import { Critic } from "./critic.js";
import type { Learner, LearnerContext, LearnerDefinition } from "./learner.js";
import {
  COLUMNS,
  type MinibatchInputs,
  minibatchGraph,
  type PpoNetworks,
  REPORTS,
  WEIGHTS,
} from "./ppo-graph.js";
import { type PpoOptions, ppoOptions } from "./ppo-options.js";
import { RolloutValues } from "./ppo-values.js";
import type { Json, Metrics, SavedState } from "./training.js";

/** Everything an update changes; a tree of arrays. */
interface UnitState {
  readonly [key: string]: Tree<NdArray>;
  readonly actor: NdArray;
  readonly critic: NdArray;
  readonly actorAdam: Tree<NdArray>;
  readonly criticAdam: Tree<NdArray>;
  readonly normalizer: Tree<NdArray>;
}

/** The same step with all inputs; without weights, all being 1; and without the critic's own input too. */
type MinibatchForm = "weighted" | "full" | "shared";

/** Agents that share parameters: one actor, one critic, one buffer. */
class PpoUnit {
  readonly policy: Policy;
  readonly buffer: OnPolicyBuffer;
  readonly actor: PolicyActor;
  state: UnitState;

  readonly #networks: PpoNetworks;
  readonly #values: RolloutValues;
  readonly #epochs: Readonly<Record<MinibatchForm, Epochs>>;
  readonly #shuffle: RandomStream;
  readonly #advantage: Float64Array;
  readonly #returns: Float32Array;
  /** [C, cells, n] the columns of the minibatch program */
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
    // Agents are told apart by their place in the group, also where the unit plays only some of it.
    const ids = options.agentIds && n > 1 ? spec.agents.length : 0;
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
    const network = {
      obsSize: spec.obsSize,
      space: spec.action,
      hidden: options.hidden,
      activation: options.activation,
      layerNorm: options.layerNorm,
      agentIds: ids,
      actionMask: spec.hasActionMask,
      ignored: ignoredRanges(context, group, agents),
      outputGain: options.outputGain,
    };
    const { recurrent } = options;
    this.policy = createPolicy(
      recurrent === null ? { kind: "mlp", ...network } : { kind: "gru", ...network, recurrent },
    );
    // Several values of one cell differ only through ids: a centralised critic has one value for all agents.
    const criticIds = this.buffer.criticPerCopy ? 0 : ids;
    const networks: PpoNetworks = {
      policy: this.policy,
      agents,
      critic: new Critic({ ...options, inputSize: this.buffer.criticSize + criticIds }),
      criticSize: this.buffer.criticSize,
      criticPerCopy: this.buffer.criticPerCopy,
      criticIds,
      normalizer: options.valueNormBeta === null ? null : valueNormalizer({ beta: options.valueNormBeta }),
      chunk: recurrent === null ? null : options.chunk,
    };
    this.#networks = networks;
    const stream = (purpose: string) => RandomStream.from(seed, context.name, name, purpose);
    this.#shuffle = stream("minibatches");
    const optimizer = adam({ epsilon: options.adamEpsilon });
    const actorParameters = this.policy.initialParameters(stream("actor"));
    const criticParameters = networks.critic.layout.initial(stream("critic"));
    this.state = {
      actor: f32([actorParameters.length], actorParameters),
      critic: f32([criticParameters.length], criticParameters),
      actorAdam: optimizer.initial(actorParameters.length),
      criticAdam: optimizer.initial(criticParameters.length),
      normalizer: networks.normalizer?.initial() ?? {},
    };
    this.actor = new PolicyActor(`${context.name}/${name}`, runtime, this.policy, actorParameters, "sample");
    this.#values = new RolloutValues(runtime, networks, this.buffer);
    const { epochs, minibatches, targetKl } = options;
    const update = () =>
      runtime.epochs(
        "ppo/minibatch",
        (step) => {
          const inputs = { ...(step.data as object), ...(step.state as object), index: step.index };
          const { reports, ...state } = minibatchGraph(networks, options, inputs as MinibatchInputs);
          return { state, reports };
        },
        {
          epochs,
          minibatches,
          reports: REPORTS,
          stop: targetKl === null ? undefined : { report: "kl", above: targetKl },
        },
      );
    this.#epochs = { weighted: update(), full: update(), shared: update() };
    const cells = options.rolloutSteps * environment.copies;
    this.#advantage = new Float64Array(cells * n);
    this.#returns = new Float32Array(cells * n);
    this.#samples = new Float32Array(cells * n * (COLUMNS.length + WEIGHTS.length));
  }

  // ---------------------------------------------------------------- update

  /**
   * One iteration: values → advantages → epochs of minibatches.
   * @throws NonFiniteError; the unit is then in the middle of an update, and the learner takes it back
   */
  update(progress: number): Metrics {
    const { buffer, options } = this;
    this.#estimate();
    const hasDecisions =
      options.normalizeAdvantages === "iteration"
        ? normalizeAdvantages(this.#advantage, buffer.actorWeight, 1e-5)
        : buffer.actorWeight.some((w) => w !== 0);
    const hasTargets = buffer.criticWeight.some((w) => w !== 0);
    const totals = new Float64Array(REPORTS.length);
    const runs = hasDecisions || hasTargets ? this.#descend(progress, totals) : 1;
    buffer.clear();
    return Object.fromEntries(REPORTS.map((name, i) => [name, totals[i]! / runs]));
  }

  /**
   * Epochs of minibatches.
   * @param totals out: sums of what the minibatches reported
   * @returns how many there were
   */
  #descend(progress: number, totals: Float64Array): number {
    const { buffer, options } = this;
    const cells = buffer.steps * buffer.copies;
    const isFull = buffer.actorWeight.every((w) => w === 1) && buffer.criticWeight.every((w) => w === 1);
    const form = !isFull ? "weighted" : buffer.criticSeesObs ? "shared" : "full";
    this.#fillSamples();
    const rate = options.schedule === "linear" ? 1 - progress : 1;
    const numbers = f32(
      [3],
      [
        options.learningRate * rate,
        (options.criticLearningRate ?? options.learningRate) * rate,
        (cells / options.minibatches) * buffer.agents,
      ],
    );
    try {
      const result = this.#epochs[form].run(
        this.state,
        { data: this.#data(form), numbers },
        this.#order(cells),
      );
      this.state = result.state as UnitState;
      totals.set(result.totals);
      this.actor.policy.parameters = this.state.actor.data as Float32Array;
      return result.steps;
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      throw new NonFiniteError(`${this.context.name}/${this.name}, ${error.message}`, { cause: error });
    }
  }

  /**
   * [epochs, minibatches, B] the cells of every minibatch: each epoch is a permutation of all cells; with memory, of all
   * chunks, whose L steps follow each other in order of time: [L, B/L].
   */
  #order(cells: number): Int32Array | null {
    const { epochs, minibatches } = this.options;
    const { copies } = this.buffer;
    const chunk = this.#networks.chunk ?? 1;
    if (minibatches === 1 && (chunk === 1 || chunk === this.buffer.steps)) return null;
    const order = new Int32Array(epochs * cells);
    const permutation = Int32Array.from({ length: cells / chunk }, (_, i) => i);
    const size = permutation.length / minibatches;
    let to = 0;
    for (let epoch = 0; epoch < epochs; epoch++) {
      if (minibatches > 1) this.#shuffle.permutation(permutation);
      for (let m = 0; m < minibatches; m++) {
        for (let l = 0; l < chunk; l++) {
          for (let s = m * size; s < (m + 1) * size; s++) {
            // Chunk k of copy e is number k · E + e.
            const number = permutation[s]!;
            const k = Math.floor(number / copies);
            order[to++] = (k * chunk + l) * copies + (number % copies);
          }
        }
      }
    }
    return order;
  }

  /** Generalised advantages, with the critic as it was before the update. */
  #estimate(): void {
    const { buffer, options } = this;
    this.#values.estimate(this.state.critic, this.state.normalizer);
    const { value, finalValue } = this.#values;
    computeAdvantages(
      {
        steps: buffer.steps,
        copies: buffer.copies,
        agents: buffer.agents,
        reward: buffer.reward,
        value,
        terminated: buffer.terminated,
        truncated: buffer.truncated,
        finalValue,
        gamma: options.gamma,
        gaeLambda: options.gaeLambda,
        timeLimit: options.timeLimit,
      },
      this.#advantage,
    );
    // Returns are written before the advantages are standardised.
    for (let k = 0; k < this.#advantage.length; k++) this.#returns[k] = this.#advantage[k]! + value[k]!;
  }

  #fillSamples(): void {
    const { buffer } = this;
    const samples = this.#samples;
    const size = this.#advantage.length;
    const { value } = this.#values;
    const statistics = this.state.normalizer as NormalizerState<NdArray>;
    const { mean, std } = this.#networks.normalizer?.arrays.moments(statistics) ?? { mean: 0, std: 1 };
    samples.set(buffer.logProb);
    samples.set(this.#advantage, size);
    samples.set(this.#returns, 2 * size);
    for (let k = 0; k < size; k++) samples[3 * size + k] = (value[k]! - mean) / std;
    samples.set(buffer.actorWeight, 4 * size);
    samples.set(buffer.criticWeight, 5 * size);
  }

  /** The rollout as the program's input: [cells, n, …], samples [columns, cells, n]. */
  #data(form: MinibatchForm): Record<string, Tree<NdArray>> {
    const { buffer, policy } = this;
    const cells = buffer.steps * buffer.copies;
    const n = buffer.agents;
    const D = actionSize(policy.space);
    const columns = COLUMNS.length + (form === "weighted" ? WEIGHTS.length : 0);
    const data: Record<string, Tree<NdArray>> = {
      obs: f32([cells, n, policy.obsSize], buffer.obs),
      samples: f32([columns, cells, n], this.#samples.subarray(0, columns * cells * n)),
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
    if (this.#values.memory !== null) {
      data.memory = {
        actor: mapTree<NdArray, NdArray>(buffer.state, (x) => ({
          ...x,
          shape: [cells, ...x.shape.slice(2)],
        })),
        critic: this.#values.memory,
        starts: f32([cells, 1], buffer.starts),
      };
    }
    if (form === "shared") return data;
    // An independent critic sees the clean observations, which need not be what the actor saw.
    const width = buffer.criticPerCopy ? 1 : n;
    data.critic = f32(
      [cells, width, buffer.criticSize],
      buffer.critic.subarray(0, cells * width * buffer.criticSize),
    );
    return data;
  }

  // ---------------------------------------------------------------- saving

  /** Puts everything back as it is now, in case an update fails. Nothing is copied: updates make new arrays. */
  checkpoint(): () => void {
    const { state } = this;
    const { carried } = this.#values;
    const shuffle = this.#shuffle.state.slice();
    return () => this.#restore(state, carried, shuffle);
  }

  #restore(state: UnitState, carried: Tree<NdArray>, shuffle: ArrayLike<number>): void {
    this.state = state;
    this.#values.carried = carried;
    this.#shuffle.state.set(shuffle);
    this.actor.policy.parameters = state.actor.data as Float32Array;
    this.buffer.clear();
  }

  saveState(): { arrays: Tree<NdArray>; meta: Json } {
    return {
      arrays: mapTree<NdArray, NdArray>(this.#saved(), cloneArray),
      meta: { shuffle: [...this.#shuffle.state], networks: this.#describe() },
    };
  }

  /** With what the critic remembers of the running episodes, if it does. */
  #saved(): Record<string, Tree<NdArray>> {
    return { ...this.state, criticMemory: this.#values.carried };
  }

  /** What a saved state must agree on beside the number of parameters. */
  #describe(): string {
    const { policy, critic } = this.#networks;
    const entries = [...policy.layout.entries, ...critic.layout.entries];
    return entries.map(({ name, shape }) => `${name} [${shape.join(", ")}]`).join("; ");
  }

  /** The assignment that a saved state asks for, once it is known to fit. */
  checked(arrays: Tree<NdArray> | undefined, meta: Json | undefined, place: string): () => void {
    const where = `${place}, ${this.context.name}/${this.name}`;
    const { shuffle, networks } = (meta ?? {}) as { shuffle?: Json; networks?: Json };
    if (arrays === undefined || isLeaf(arrays) || !Array.isArray(shuffle) || shuffle.length !== 4) {
      throw new UserError(`${where}: holds no PPO state.`);
    }
    const saved = mapTree<NdArray, NdArray>(this.#saved(), (now, path) => {
      let node: Tree<NdArray> | undefined = arrays;
      for (const key of path.split("/")) node = node === undefined || isLeaf(node) ? undefined : node[key];
      const found = node !== undefined && isLeaf(node) ? node : undefined;
      if (found?.dtype !== now.dtype || found.data.length !== now.data.length) {
        const got = found === undefined ? "nothing" : `${found.data.length} ${found.dtype} numbers`;
        throw new UserError(
          `${where}, "${path}": got ${got}, expected ${now.data.length} ${now.dtype} (a state of another network?).`,
        );
      }
      return cloneArray({ ...found, shape: now.shape } as NdArray);
    });
    const { criticMemory, ...state } = saved as UnitState & { criticMemory: Tree<NdArray> };
    if (networks !== this.#describe()) {
      throw new UserError(`${where}: got networks ${String(networks)}, expected ${this.#describe()}.`);
    }
    return () => this.#restore(state as UnitState, criticMemory, shuffle as number[]);
  }
}

/** Observation entries that all agents of the unit ignore; agents that share parameters must ignore the same. */
function ignoredRanges(
  context: LearnerContext,
  group: number,
  agents: readonly number[],
): (readonly [number, number])[] {
  const spec = context.environment.spec.groups[group]!;
  const known = spec.features.map((f) => f.name);
  const lists = agents.map((i) => [...(context.ignore[spec.agents[i]!] ?? [])].sort());
  for (const [k, list] of lists.entries()) {
    const unknown = list.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw new UserError(
        `ignore, ${spec.agents[agents[k]!]}: got "${unknown}", expected an observation feature. ${suggestion(unknown, known)}`,
      );
    }
    if (list.join() !== lists[0]!.join()) {
      throw new UserError(
        `ignore: agents of group "${spec.name}" share parameters but ignore different features ("${lists[0]!.join(", ")}" and "${list.join(", ")}"). Use sharing: separate.`,
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
    // All units or none: a team half of whose members have learned is no state to go on from.
    const undo = this.#units.map((unit) => unit.checkpoint());
    const metrics: Record<string, number> = {};
    try {
      for (const unit of this.#units) {
        for (const [name, value] of Object.entries(unit.update(progress))) {
          metrics[`${this.context.name}/${unit.name}/${name}`] = value;
        }
      }
    } catch (error) {
      for (const restore of undo) restore();
      throw error;
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
      meta: Object.fromEntries(saved.map(([name, s]) => [name, s.meta])),
    };
  }

  loadState(state: SavedState, place: string): void {
    const { arrays, meta } = state;
    if (isLeaf(arrays)) throw new UserError(`${place}: holds no PPO state.`);
    const loads = this.#units.map((unit) => unit.checked(arrays[unit.name], meta[unit.name], place));
    for (const load of loads) load();
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
    recurrent: true,
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
