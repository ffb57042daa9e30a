import { describe, expect, it } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import {
  type AscentProblem,
  type AscentRule,
  categorical,
  stackelbergDifferences,
  stackelbergGradient,
  unrolledAscent,
} from "../../src/nn/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  add,
  grad,
  input,
  interpret,
  reshape,
  stopGradient,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";
import { smallPolicy } from "../support/teams.js";
import { finiteDifferences } from "./finite-differences.js";

/**
 * The gradient through a follower that perturbs every step of an episode of a recurrent policy, where a perturbation
 * reaches all later steps by what the policy carries: second derivatives of a loop.
 */

const [T, R, O, A, H] = [5, 2, 3, 3, 4];
const policy = smallPolicy({
  obsSize: O,
  space: { kind: "discrete", n: A },
  hidden: [5],
  recurrent: H,
  outputGain: 1,
});

function feedsOf(seed: number): Record<string, NdArray> {
  const stream = RandomStream.from(seed, "stackelberg", "recurrent");
  const normal = (shape: number[], scale: number) =>
    ndarray(
      "float64",
      shape,
      Float64Array.from({ length: sizeOf(shape) }, () => scale * stream.normal()),
    );
  return {
    params: ndarray("float64", [policy.layout.size], Float64Array.from(policy.initialParameters(stream))),
    obs: normal([T, R, O], 1),
    start: normal([T, R, O], 0.2),
    hidden: normal([R, H], 0.5),
    // One row starts a new episode on the way.
    starts: ndarray(
      "float64",
      [T, R],
      Float64Array.from({ length: T * R }, (_, k) => (k === 2 * R + 1 ? 1 : 0)),
    ),
  };
}

/** KL of every step to what the policy does on clean observations, summed. */
function outputsOf(inputs: Record<string, Tensor>, rule: AscentRule, steps: number) {
  const { params, obs, start, hidden, starts } = inputs as Record<string, Tensor>;
  const logProbs = (seen: Tensor) =>
    policy.unroll!(params!, { obs: reshape(seen, [T * R, O]) }, { hidden: hidden! }, starts!).distribution
      .parameters.logProbs!;
  const clean = categorical(logProbs(obs!));
  const objective = (delta: Tensor) => sum(categorical(logProbs(add(obs!, delta))).kl(clean));
  const problem: AscentProblem = { ...rule, objective, start: start!, steps };
  const delta = unrolledAscent(problem);
  const value = objective(delta);
  return {
    value,
    delta,
    exact: grad(value, params!),
    leader: grad(objective(stopGradient(delta)), params!),
    products: stackelbergGradient(problem, params!).gradient,
    differences: stackelbergDifferences(problem, params!).gradient,
  };
}

const numbers = (x: NdArray) => x.data as Float64Array;
const norm = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));
/** ‖a − b‖ / ‖b‖ */
const distance = (a: NdArray, b: NdArray) =>
  norm(numbers(a).map((x, i) => x - numbers(b)[i]!)) / norm(numbers(b));

const rules: Readonly<Record<string, AscentRule>> = {
  raw: { direction: "raw", stepSize: 0.5, projection: { kind: "none" } },
  // A ball for every step and row.
  "normalised, in balls": {
    direction: "normalised",
    stepSize: 0.2,
    projection: { kind: "ball", radius: 0.45 },
  },
  // One for the whole episode of a row.
  "normalised, one ball for all steps": {
    direction: "normalised",
    stepSize: 0.3,
    projection: { kind: "ball", radius: 0.8 },
    axes: [0, 2],
  },
};

describe("the gradient through K steps of ascent against a recurrent policy", () => {
  for (const [name, rule] of Object.entries(rules)) {
    it(`is that of the whole objective by finite differences, in every form: ${name}`, () => {
      for (const steps of [1, 3]) {
        const feeds = feedsOf(steps);
        trace(() => {
          const inputs = Object.fromEntries(
            Object.entries(feeds).map(([key, { shape }]) => [key, input(key, shape, "float64")]),
          );
          const symbols = outputsOf(inputs, rule, steps);
          const values = interpret(symbols, feeds);
          expect(distance(values.exact, finiteDifferences(symbols.value, feeds, "params"))).toBeLessThan(
            1e-6,
          );
          expect(distance(values.products, values.exact)).toBeLessThan(1e-11);
          expect(distance(values.differences, values.exact)).toBeLessThan(1e-5);
          expect(distance(values.leader, values.exact)).toBeGreaterThan(1e-2);
        });
      }
    });
  }

  it("is the same through the engine", () => {
    const runtime = new Runtime(nodeBackend());
    const feeds = feedsOf(3);
    const rule = rules["normalised, in balls"]!;
    const program = runtime.program("test/stackelberg", (inputs: Record<string, Tensor>) => {
      const { value, exact, products } = outputsOf(inputs, rule, 3);
      return { value, exact, products };
    });
    const got = program.run(feeds);
    trace(() => {
      const inputs = Object.fromEntries(
        Object.entries(feeds).map(([key, { shape }]) => [key, input(key, shape, "float64")]),
      );
      const { exact } = interpret({ exact: outputsOf(inputs, rule, 3).exact }, feeds);
      expect(distance(got.exact, exact)).toBeLessThan(1e-10);
      expect(distance(got.products, exact)).toBeLessThan(1e-10);
    });
  });
});
