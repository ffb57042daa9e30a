/** A controller with a policy: one forward program for any number of rows, sampling outside the graph. */
import { type NdArray, ndarray } from "../core/array.js";
import { NonFiniteError } from "../core/errors.js";
import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import { maskSize } from "../env/index.js";
import { argMaxOf, sampleCategorical } from "../nn/index.js";
import type { Runtime } from "../runtime/index.js";
import type { Tensor } from "../tensor/index.js";
import type { ActBatch, ActionMode, Actor } from "./actor.js";
import type { Policy, PolicyInputs } from "./policy.js";

const LOG_SQRT_2PI = 0.9189385332046727;

type Inputs = Record<string, Tree<NdArray>>;

/**
 * Rows that are fed for `count` rows. The engine takes rows in blocks of four, and those left over in another order
 * of summation: whole blocks make a row's result the same to the last bit whatever is beside it.
 */
export function fedRows(count: number): number {
  return Math.ceil(count / 4) * 4;
}

/** `data` of `count` rows as `fedRows(count)` rows, zeros added. */
export function feedRows<T extends Float32Array | Int32Array | Uint8Array>(data: T, count: number): T {
  if (fedRows(count) === count) return data;
  const length = (data.length / count) * fedRows(count);
  const padded = new (data.constructor as new (length: number) => T)(length);
  padded.set(data);
  return padded;
}

/**
 * The tree that a policy's forward program takes. What a row gives must not depend on the rows beside it, to the
 * last bit: see `fedRows`.
 * @param rows any number; every call may have another
 */
export function policyFeed(
  policy: Policy,
  parameters: Float32Array,
  rows: {
    readonly count: number;
    readonly obs: Float32Array;
    readonly actionMask: Uint8Array | null;
    readonly agent: Int32Array;
    /** leaves [count, …] as `policy.initialState` has them */
    readonly state: Tree<NdArray>;
  },
): Inputs {
  const { count } = rows;
  const fed = fedRows(count);
  const feed: Inputs = {
    parameters: ndarray("float32", [parameters.length], parameters),
    obs: ndarray("float32", [fed, policy.obsSize], feedRows(rows.obs, count)),
  };
  if (policy.usesActionMask && rows.actionMask !== null) {
    feed.actionMask = ndarray("bool", [fed, maskSize(policy.space)], feedRows(rows.actionMask, count));
  }
  if (policy.usesAgentId) feed.agent = ndarray("int32", [fed], feedRows(rows.agent, count));
  if (carriesState(policy))
    feed.state = mapTree<NdArray, NdArray>(rows.state, (leaf) => fedLeaf(leaf, count));
  return feed;
}

/** A leaf of the carried state with whole blocks of rows. */
function fedLeaf({ dtype, shape, data }: NdArray, count: number): NdArray {
  const rows = feedRows(data as Float32Array, count);
  return { dtype, shape: [fedRows(count), ...shape.slice(1)], data: rows } as NdArray;
}

/** Whether the policy's decisions depend on more than what it sees now. */
export function carriesState(policy: Policy): boolean {
  return flattenTree(policy.initialState(1)).length > 0;
}

/** Names of the inputs of `policyFeed` that have one row per decision, for a program with free rows. */
export function rowInputs(policy: Policy): string[] {
  return [
    "obs",
    ...(policy.usesActionMask ? ["actionMask"] : []),
    ...(policy.usesAgentId ? ["agent"] : []),
    ...(carriesState(policy) ? ["state"] : []),
  ];
}

/** The symbolic side of `policyFeed`: what the policy sees. */
export function policyInputs(inputs: Readonly<Record<string, Tree<Tensor>>>): PolicyInputs {
  const { obs, actionMask, agent } = inputs as Record<string, Tensor>;
  return { obs: obs!, actionMask, agent };
}

/** The symbolic side of `policyFeed`: what the policy carries. */
export function policyState(inputs: Readonly<Record<string, Tree<Tensor>>>): Tree<Tensor> {
  return inputs.state ?? {};
}

export class PolicyActor implements Actor {
  readonly policy: { readonly policy: Policy; parameters: Float32Array };
  readonly #forward;
  readonly #carriesState: boolean;

  /** Whether it takes the likeliest action. */
  get #isGreedy(): boolean {
    return this.mode === "greedy" || this.policy.policy.deterministic === true;
  }

  /**
   * @param parameters flat; the owner may replace the array between steps (`actor.policy.parameters = …`)
   */
  constructor(
    readonly name: string,
    runtime: Runtime,
    policy: Policy,
    parameters: Float32Array,
    public mode: ActionMode,
  ) {
    this.policy = { policy, parameters };
    this.#carriesState = carriesState(policy);
    this.#forward = runtime.program<Inputs, Record<string, Tree<Tensor>>>(
      "policy/act",
      (inputs) => {
        const { distribution, state } = policy.forward(
          inputs.parameters as Tensor,
          policyInputs(inputs),
          policyState(inputs),
        );
        return this.#carriesState ? { ...distribution.parameters, state } : { ...distribution.parameters };
      },
      { freeRows: rowInputs(policy) },
    );
  }

  initialState(rows: number): Tree<NdArray> {
    return this.policy.policy.initialState(rows);
  }

  /** @throws NonFiniteError naming the first bad tensor, where parameters or observations lead to NaN or Inf */
  act(batch: ActBatch): void {
    const { policy, parameters } = this.policy;
    const { rows: count, obs, actionMask, agent, state } = batch;
    const feed = policyFeed(policy, parameters, { count, obs, actionMask, agent, state });
    const outputs = this.#forward.run(feed) as Record<string, NdArray>;
    if (this.#carriesState) advance(state, outputs.state!);
    const { space } = policy;
    if (space.kind === "box") {
      const { mean, std } = outputs;
      this.#gaussian(batch, mean!.data as Float32Array, std!.data as Float32Array, space.low.length);
    } else {
      const sizes = space.kind === "discrete" ? [space.n] : space.sizes;
      this.#categorical(batch, outputs.logProbs!.data as Float32Array, sizes);
    }
    const bad = batch.logProb.findIndex((x) => !Number.isFinite(x));
    if (bad < 0) return;
    const first = this.#forward.firstNonFiniteTensor(feed) ?? "not found when run again";
    throw new NonFiniteError(
      `${this.name}, program "policy/act": the log-probability of row ${bad} is ${batch.logProb[bad]}; the first tensor that is not finite is ${first}.`,
    );
  }

  #categorical(batch: ActBatch, logProbs: Float32Array, sizes: readonly number[]): void {
    const { action, logProb, streams } = batch;
    const D = sizes.length;
    const greedy = this.#isGreedy;
    for (let r = 0, offset = 0; r < batch.rows; r++) {
      let sum = 0;
      for (let d = 0; d < D; d++) {
        const n = sizes[d]!;
        const a = greedy
          ? argMaxOf(logProbs, offset, n)
          : sampleCategorical(logProbs, offset, n, streams[r]!.uniform());
        action[r * D + d] = a;
        sum += logProbs[offset + a]!;
        offset += n;
      }
      logProb[r] = sum;
    }
  }

  #gaussian(batch: ActBatch, mean: Float32Array, std: Float32Array, D: number): void {
    const { action, logProb, streams } = batch;
    const greedy = this.#isGreedy;
    // A state-independent σ comes as one row for all.
    const perRow = std.length > D;
    for (let r = 0; r < batch.rows; r++) {
      let sum = 0;
      for (let d = 0; d < D; d++) {
        const k = r * D + d;
        const sigma = std[perRow ? k : d]!;
        const z = greedy ? 0 : streams[r]!.normal();
        action[k] = mean[k]! + sigma * z;
        // The stored action is float32: its log-probability, not that of the unrounded sample.
        const e = (action[k]! - mean[k]!) / sigma;
        sum += -0.5 * e * e - Math.log(sigma) - LOG_SQRT_2PI;
      }
      logProb[r] = sum;
    }
  }
}

/** The next carried state into the leaves of the present one; what belongs to padding stays behind. */
function advance(state: Tree<NdArray>, next: Tree<NdArray>): void {
  const leaves = flattenTree(next);
  flattenTree(state).forEach(([, leaf], i) => {
    const { data } = leaves[i]![1] as NdArray<"float32">;
    (leaf as NdArray<"float32">).data.set(data.subarray(0, leaf.data.length));
  });
}
