import { describe, expect, it } from "vitest";
import { f32, type NdArray } from "../core/array.js";
import { NonFiniteError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { flattenTree, type Tree } from "../core/tree.js";
import { adam, layoutOf, mlp } from "../nn/index.js";
import {
  concat,
  gather,
  grad,
  log,
  mean,
  named,
  reshape,
  square,
  sub,
  type Tensor,
} from "../tensor/index.js";
import { type EpochsOptions, type Executor, type MinibatchStep, Runtime } from "./index.js";
import { nodeBackend } from "./node.js";

/** Regression by a small network: a whole update in one run against one run for each step. */

const [SAMPLES, BATCH, EPOCHS] = [12, 4, 5];
const network = mlp("net", { sizes: [3, 8, 1], activation: "tanh" });
const layout = layoutOf(network);
const optimizer = adam();
const normal = RandomStream.from(4);
const random = (shape: number[]) =>
  f32(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => normal.normal()),
  );
const data = { x: random([SAMPLES, 3]), y: random([SAMPLES, 1]), rate: f32([], [0.02]) };

function start(): Tree<NdArray> {
  const parameters = layout.initial(RandomStream.from(1));
  return { adam: optimizer.initial(parameters.length), parameters: f32([parameters.length], parameters) };
}

function step({ state, data, index }: MinibatchStep) {
  const { parameters, adam } = state as { parameters: Tensor; adam: Record<string, Tensor> };
  const { x, y, rate } = data as Record<string, Tensor>;
  const rows = (a: Tensor) => (index === undefined ? a : gather(a, index, 0));
  const error = sub(network.forward(layout.unpack(parameters), rows(x!)), rows(y!));
  const loss = mean(square(error));
  const next = optimizer.step(parameters, grad(loss, parameters), adam, rate!);
  const first = named(log(loss), "log/loss");
  return {
    state: { parameters: next.params, adam: next.state },
    reports: concat([reshape(loss, [1]), reshape(first, [1])], 0),
  };
}

function order(minibatches: number): Int32Array | null {
  if (minibatches === 1) return null;
  const stream = RandomStream.from(9);
  const out = new Int32Array(EPOCHS * SAMPLES);
  const permutation = Int32Array.from({ length: SAMPLES }, (_, i) => i);
  for (let e = 0; e < EPOCHS; e++) {
    stream.permutation(permutation);
    out.set(permutation, e * SAMPLES);
  }
  return out;
}

function update(executor: Executor, options: Partial<EpochsOptions> = {}, given: Tree<NdArray> = data) {
  const runtime = new Runtime(nodeBackend(), { executor });
  const all = { epochs: EPOCHS, minibatches: SAMPLES / BATCH, reports: ["loss", "logLoss"], ...options };
  const { state, totals, steps } = runtime
    .epochs("fit", step, all)
    .run(start(), given, order(all.minibatches)?.slice(0, all.epochs * SAMPLES) ?? null);
  const leaves = flattenTree<NdArray>(state).map(([path, { data }]) => [path, [...data]] as const);
  return { leaves, totals: [...totals], steps, sessions: runtime.openSessions };
}

describe("a whole update in one run", () => {
  const cases: [string, Partial<EpochsOptions>, steps: number][] = [
    ["minibatches", {}, 15],
    ["one minibatch per epoch", { minibatches: 1 }, 5],
    ["a stop that never comes", { stop: { report: "loss", above: 100 } }, 15],
    ["a stop after the first epoch", { stop: { report: "loss", above: 0 } }, 3],
    ["a stop without minibatches", { minibatches: 1, stop: { report: "loss", above: 0 } }, 1],
    ["a single step", { epochs: 1, minibatches: 1 }, 1],
  ];
  it.each(cases)("is the same as step by step, bit by bit: %s", (_, options, steps) => {
    const [whole, stepwise] = [update("whole", options), update("stepwise", options)];
    expect(whole.leaves).toEqual(stepwise.leaves);
    expect(whole.totals).toEqual(stepwise.totals);
    expect([whole.steps, stepwise.steps]).toEqual([steps, steps]);
    expect(whole.leaves).not.toEqual(flattenTree<NdArray>(start()).map(([p, a]) => [p, [...a.data]]));
  });

  it("stops where the mean over an epoch passes the limit, not before", () => {
    const perEpoch = Array.from(
      { length: EPOCHS },
      (_, e) => update("stepwise", { epochs: e + 1 }).totals[0]!,
    );
    const means = perEpoch.map((t, e) => (t - (perEpoch[e - 1] ?? 0)) / 3);
    for (const executor of ["whole", "stepwise"] as const) {
      for (const above of [...means.map((m) => m * 0.999), Math.max(...means) * 1.001]) {
        const first = means.findIndex((m) => m > above);
        const expected = 3 * (first < 0 ? EPOCHS : first + 1);
        expect(update(executor, { stop: { report: "loss", above } }).steps).toBe(expected);
      }
    }
  });

  it("takes one session", () => {
    expect(update("whole").sessions).toBe(1);
  });

  it("names the first step and tensor that are not finite", () => {
    const bad = { ...data, y: f32([SAMPLES, 1], new Float32Array(SAMPLES).fill(Number.NaN)) };
    for (const executor of ["whole", "stepwise"] as const) {
      const attempt = () => update(executor, {}, bad);
      expect(attempt).toThrow(NonFiniteError);
      expect(attempt).toThrow(
        /^program "fit", step 0 of the update: loss is NaN; the first tensor that is not finite is "data\/y", input#/,
      );
    }
  });

  it("refuses to stop by what is not reported", () => {
    expect(() => update("whole", { stop: { report: "kl", above: 1 } })).toThrow(
      'fit: stops by "kl", expected one of loss, logLoss',
    );
  });
});
