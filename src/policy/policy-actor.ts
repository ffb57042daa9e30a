/** A controller with a policy: one forward program for any number of rows, sampling outside the graph. */
import { type NdArray, ndarray } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import { maskSize } from "../env/index.js";
import { argMaxOf, sampleCategorical } from "../nn/index.js";
import type { Runtime } from "../runtime/index.js";
import type { Tensor } from "../tensor/index.js";
import type { ActBatch, ActionMode, Actor } from "./actor.js";
import type { Policy } from "./policy.js";

const LOG_SQRT_2PI = 0.9189385332046727;

type Inputs = Record<string, NdArray>;

/**
 * The trees that a policy's forward program takes and gives.
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
  },
): Inputs {
  const { count } = rows;
  const feed: Inputs = {
    parameters: ndarray("float32", [parameters.length], parameters),
    obs: ndarray("float32", [count, policy.obsSize], rows.obs),
  };
  if (policy.usesActionMask && rows.actionMask !== null) {
    feed.actionMask = ndarray("bool", [count, maskSize(policy.space)], rows.actionMask);
  }
  if (policy.usesAgentId) feed.agent = ndarray("int32", [count], rows.agent);
  return feed;
}

/** Names of the inputs of `policyFeed` that have one row per decision, for a program with free rows. */
export function rowInputs(policy: Policy): string[] {
  return ["obs", ...(policy.usesActionMask ? ["actionMask"] : []), ...(policy.usesAgentId ? ["agent"] : [])];
}

/** The symbolic side of `policyFeed`. */
export function policyInputs(inputs: Readonly<Record<string, Tensor>>) {
  return { obs: inputs.obs!, actionMask: inputs.actionMask, agent: inputs.agent };
}

export class PolicyActor implements Actor {
  readonly policy: { readonly policy: Policy; parameters: Float32Array };
  readonly #forward;

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
    this.#forward = runtime.program<Inputs, Record<string, Tensor>>(
      "policy/act",
      (inputs) => ({
        ...policy.forward(inputs.parameters!, policyInputs(inputs), {}).distribution.parameters,
      }),
      { freeRows: rowInputs(policy) },
    );
  }

  initialState(rows: number): Tree<NdArray> {
    return this.policy.policy.initialState(rows);
  }

  act(batch: ActBatch): void {
    const { policy, parameters } = this.policy;
    const outputs = this.#forward.run(
      policyFeed(policy, parameters, {
        count: batch.rows,
        obs: batch.obs,
        actionMask: batch.actionMask,
        agent: batch.agent,
      }),
    );
    const { space } = policy;
    if (space.kind === "box") {
      this.#gaussian(
        batch,
        outputs.mean!.data as Float32Array,
        outputs.std!.data as Float32Array,
        space.low.length,
      );
      return;
    }
    const logProbs = outputs.logProbs!.data as Float32Array;
    const sizes = space.kind === "discrete" ? [space.n] : space.sizes;
    this.#categorical(batch, logProbs, sizes);
  }

  #categorical(batch: ActBatch, logProbs: Float32Array, sizes: readonly number[]): void {
    const { action, logProb, streams } = batch;
    const D = sizes.length;
    for (let r = 0, offset = 0; r < batch.rows; r++) {
      let sum = 0;
      for (let d = 0; d < D; d++) {
        const n = sizes[d]!;
        const a =
          this.mode === "greedy"
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
    // A state-independent σ comes as one row for all.
    const perRow = std.length === batch.rows * D;
    for (let r = 0; r < batch.rows; r++) {
      let sum = 0;
      for (let d = 0; d < D; d++) {
        const k = r * D + d;
        const sigma = std[perRow ? k : d]!;
        const z = this.mode === "greedy" ? 0 : streams[r]!.normal();
        action[k] = mean[k]! + sigma * z;
        // The stored action is float32: its log-probability, not that of the unrounded sample.
        const e = (action[k]! - mean[k]!) / sigma;
        sum += -0.5 * e * e - Math.log(sigma) - LOG_SQRT_2PI;
      }
      logProb[r] = sum;
    }
  }
}
