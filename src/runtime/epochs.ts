import { type NdArray, ndarray } from "../core/array.js";
import { NonFiniteError } from "../core/errors.js";
import type { Tree } from "../core/tree.js";
import {
  add,
  and,
  arrayFrom,
  cast,
  constant,
  div,
  greater,
  reshape,
  scan,
  slice,
  type Tensor,
  TensorError,
  where,
} from "../tensor/index.js";
import type { Program } from "./program.js";

/** One minibatch, as tensors. */
export interface MinibatchStep {
  /** what the step changes: parameters, moments, statistics */
  readonly state: Tree<Tensor>;
  /** what all steps share: the rollout, learning rates */
  readonly data: Tree<Tensor>;
  /** int32 [B] which samples; undefined: all of them, in order */
  readonly index: Tensor | undefined;
}

export interface EpochsOptions {
  readonly epochs: number;
  /** minibatches per epoch; 1: every step sees all samples, and there is no index */
  readonly minibatches: number;
  /** names of what a step reports, for messages */
  readonly reports: readonly string[];
  /** No further epoch once the mean of a report over an epoch's minibatches exceeds a limit. */
  readonly stop?: { readonly report: string; readonly above: number };
}

/** How an update runs: all steps as one graph, or one run for each step. The numbers are the same, bit by bit. */
export type Executor = "whole" | "stepwise";

export interface EpochsResult {
  readonly state: Tree<NdArray>;
  /** sums over the steps of what they reported, in the order of `reports` */
  readonly totals: Float64Array;
  /** number of steps taken */
  readonly steps: number;
}

type Compile = (name: string, fn: (inputs: never) => Tree<Tensor>) => Program<Tree<NdArray>, Tree<Tensor>>;

/**
 * Gradient steps over the minibatches of one batch of samples, epoch after epoch: the whole update of an on-policy
 * learner. Made by `Runtime.epochs`.
 */
export class Epochs {
  readonly #step: Program<Tree<NdArray>, Tree<Tensor>>;
  readonly #whole: Program<Tree<NdArray>, Tree<Tensor>> | undefined;

  /**
   * @param step one minibatch: the next state, and float32 [K] reports
   */
  constructor(
    readonly name: string,
    compile: Compile,
    step: (minibatch: MinibatchStep) => { readonly state: Tree<Tensor>; readonly reports: Tensor },
    readonly options: EpochsOptions,
    executor: Executor,
  ) {
    const { epochs, minibatches, reports, stop } = options;
    if (stop !== undefined && !reports.includes(stop.report)) {
      throw new TensorError(`${name}: stops by "${stop.report}", expected one of ${reports.join(", ")}`);
    }
    this.#step = compile(
      name,
      ({ state, data, index }: Record<"state" | "data", never> & { index?: Tensor }) =>
        step({ state, data, index }),
    );
    // A single step gains nothing from a loop around it.
    if (executor === "whole" && epochs * minibatches > 1) {
      this.#whole = compile(`${name}/epochs`, (inputs: WholeInputs) => wholeUpdate(step, options, inputs));
    }
  }

  /**
   * @param state  what the steps change
   * @param data   what they share
   * @param order  int32 [epochs, minibatches, B] samples of every step; null where there is one minibatch
   * @throws NonFiniteError naming the step, the report and the first tensor that is not finite
   */
  run(state: Tree<NdArray>, data: Tree<NdArray>, order: Int32Array | null): EpochsResult {
    if (this.#whole === undefined) return this.#stepwise(state, data, order);
    const { epochs, minibatches, reports } = this.options;
    const steps = epochs * minibatches;
    const inputs: Record<string, Tree<NdArray>> = { state, data };
    if (order !== null) inputs.order = ndarray("int32", [steps, order.length / steps], order);
    const result = this.#whole.run(inputs) as unknown as {
      state: Tree<NdArray>;
      totals: NdArray;
      steps: NdArray;
    };
    const totals = result.totals.data as Float64Array;
    // A sum keeps what is not finite. Going again step by step finds out where it comes from.
    if (!totals.every(Number.isFinite)) {
      this.#stepwise(state, data, order);
      const bad = reports[totals.findIndex((x) => !Number.isFinite(x))];
      throw new NonFiniteError(
        `program "${this.name}": ${bad} is not finite, but only in one run of all steps.`,
      );
    }
    return { state: result.state, totals, steps: Number(result.steps.data[0]) };
  }

  /** One run for each step: the reference, and the way to look into a failure. */
  #stepwise(state: Tree<NdArray>, data: Tree<NdArray>, order: Int32Array | null): EpochsResult {
    const { epochs, minibatches, reports, stop } = this.options;
    const totals = new Float64Array(reports.length);
    const watched = stop === undefined ? -1 : reports.indexOf(stop.report);
    const size = order === null ? 0 : order.length / (epochs * minibatches);
    let steps = 0;
    for (let epoch = 0; epoch < epochs; epoch++) {
      let sum = 0;
      for (let m = 0; m < minibatches; m++, steps++) {
        const inputs: Record<string, Tree<NdArray>> = { state, data };
        if (order !== null) {
          inputs.index = ndarray("int32", [size], order.slice(steps * size, (steps + 1) * size));
        }
        const result = this.#step.run(inputs) as unknown as { state: Tree<NdArray>; reports: NdArray };
        const values = result.reports.data as Float32Array;
        this.#check(values, steps, inputs);
        for (let k = 0; k < totals.length; k++) totals[k]! += values[k]!;
        if (watched >= 0) sum += values[watched]!;
        state = result.state;
      }
      if (stop !== undefined && sum / minibatches > stop.above) break;
    }
    return { state, totals, steps };
  }

  #check(values: Float32Array, step: number, inputs: Tree<NdArray>): void {
    const bad = values.findIndex((x) => !Number.isFinite(x));
    if (bad < 0) return;
    const first = this.#step.firstNonFiniteTensor(inputs) ?? "not found when run again";
    throw new NonFiniteError(
      `program "${this.name}", step ${step} of the update: ${this.options.reports[bad]} is ${values[bad]}; the first tensor that is not finite is ${first}.`,
    );
  }
}

interface WholeInputs {
  readonly state: Tree<Tensor>;
  readonly data: Tree<Tensor>;
  readonly order?: Tensor;
}

/** All steps as one loop. Sums are float64, as they are outside. */
function wholeUpdate(
  step: (minibatch: MinibatchStep) => { readonly state: Tree<Tensor>; readonly reports: Tensor },
  { epochs, minibatches, reports, stop }: EpochsOptions,
  { state, data, order }: WholeInputs,
): Tree<Tensor> {
  const steps = epochs * minibatches;
  const zero = constant(arrayFrom([], "float64", [0]));
  const init: Record<string, Tree<Tensor>> = {
    state,
    totals: constant(arrayFrom([reports.length], "float64", new Float64Array(reports.length))),
    steps: constant(arrayFrom([], "int32", [0])),
  };
  const xs: Record<string, Tensor> = order === undefined ? {} : { index: order };
  if (stop !== undefined) {
    init.epoch = zero;
    const last = Uint8Array.from({ length: steps }, (_, i) => ((i + 1) % minibatches === 0 ? 1 : 0));
    xs.last = constant(ndarray("bool", [steps], last));
  }
  const { carry } = scan({ init, xs, length: steps }, (c, { index, last }) => {
    const next = step({ state: c.state!, data, index });
    const report = cast(next.reports, "float64");
    const done = {
      state: next.state,
      totals: add(c.totals as Tensor, report),
      steps: add(c.steps as Tensor, 1),
    };
    if (stop === undefined) return { carry: done };
    const watched = reports.indexOf(stop.report);
    const sum = add(
      c.epoch as Tensor,
      reshape(slice(report, { 0: { start: watched, end: watched + 1 } }), []),
    );
    return {
      carry: { ...done, epoch: where(last!, zero, sum) },
      stop: and(last!, greater(div(sum, minibatches), stop.above)),
    };
  });
  const { state: final, totals, steps: taken } = carry;
  return { state: final!, totals: totals!, steps: taken! };
}
