/**
 * What a policy is: a symbolic forward pass. Rollout, losses, gradient attacks, regularisers, certificates and export
 * all use this one function.
 */
import type { NdArray } from "../core/array.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import type { Space } from "../env/contract.js";
import type { ParamLayout } from "../nn/index.js";
import type { Tensor } from "../tensor/index.js";
import type { OnnxPolicyConfig } from "./foreign-binding.js";

/** Rows R are (copy, agent) pairs. */
export interface PolicyInputs {
  /** [R, O] */
  readonly obs: Tensor;
  /** [R, A] bool, where the environment has masks */
  readonly actionMask?: Tensor;
  /** [R] int32 index of the agent in its group, where the policy wants ids */
  readonly agent?: Tensor;
}

/** A distribution over actions, one per row. Discrete actions are int32 [R]; box actions [R, D]. */
export interface PolicyDistribution {
  /** [R] */
  logProb(action: Tensor): Tensor;
  /** [R] */
  entropy(): Tensor;
  /** [R] Kullback–Leibler divergence KL(this ‖ other) */
  kl(other: PolicyDistribution): Tensor;
  /** int32 [R], [R, D] multi-discrete, or [R, D] box */
  mode(): Tensor;
  /**
   * What a sampler outside the graph needs: `logProbs` [R, A] (multi-discrete: the parts side by side), or
   * `mean` [R, D] and `std` [R, D].
   */
  readonly parameters: Readonly<Record<string, Tensor>>;
}

export interface PolicyOutputs {
  readonly distribution: PolicyDistribution;
  /** Next carried state; {} for feed-forward policies. */
  readonly state: Tree<Tensor>;
  /** What learners and replays want to see (Q values, belief). */
  readonly aux: Readonly<Record<string, Tensor>>;
}

export interface Policy {
  /** Everything needed to build this policy again; stored beside its parameters. */
  readonly config: PolicyConfig;
  readonly space: Space;
  readonly obsSize: number;
  /** Whether `forward` wants `agent`. */
  readonly usesAgentId: boolean;
  readonly usesActionMask: boolean;
  /** True: it plays its distribution's mode, whatever action mode it is asked for (Q values, deterministic actors). */
  readonly deterministic?: boolean;
  readonly layout: ParamLayout;
  /** Flat float32 parameters. */
  initialParameters(stream: RandomStream): Float32Array;
  /** Carried state of R rows before the first step; {} for feed-forward policies. */
  initialState(rows: number): Tree<NdArray>;
  /**
   * One step.
   * @param parameters [P] flat
   * @param state carried state of the rows before the step; leaves [R, …]
   */
  forward(parameters: Tensor, inputs: PolicyInputs, state: Tree<Tensor>): PolicyOutputs;
  /**
   * T steps at once, for training on sequences; absent where a policy can only be stepped. A policy that carries
   * nothing gives what `forward` gives.
   *
   * @param inputs rows in order of time: row t · R + r is step t of sequence r
   * @param state  carried state before the first step; leaves [R, …]
   * @param starts [T, R] float, 1 where an episode starts at the step: the state is zeroed before it
   * @returns distribution and aux of T · R rows; the state after the last step, leaves [R, …]
   */
  unroll?(parameters: Tensor, inputs: PolicyInputs, state: Tree<Tensor>, starts: Tensor): PolicyOutputs;
}

/** Serialisable description of a policy. */
export type PolicyConfig = MlpPolicyConfig | GruPolicyConfig | OnnxPolicyConfig;

/** Feed-forward: hidden layers and an output layer. */
export interface MlpPolicyConfig extends NetworkConfig {
  readonly kind: "mlp";
}

/** Recurrent: hidden layers, a GRU, layer normalisation and an output layer, as in MAPPO. */
export interface GruPolicyConfig extends NetworkConfig {
  readonly kind: "gru";
  /** Units H of the GRU. */
  readonly recurrent: number;
}

/** What every network of ours needs to know. */
export interface NetworkConfig {
  readonly obsSize: number;
  readonly space: Space;
  /** Sizes of the hidden layers; [] for none. */
  readonly hidden: readonly number[];
  readonly activation: "tanh" | "relu";
  readonly layerNorm: boolean;
  /** Number of agents whose one-hot id is appended to the observation; 0 for none. */
  readonly agentIds: number;
  readonly actionMask: boolean;
  /** Observation entries that the network never sees, as [offset, size] pairs. */
  readonly ignored: readonly (readonly [offset: number, size: number])[];
  /** Orthogonal gain of the output layer (MAPPO: 0.01). */
  readonly outputGain: number;
}
