import { expect } from "vitest";
import type { DType, NdArray } from "../../src/core/array.js";
import { ModelCache } from "../../src/runtime/model-cache.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { add, cast, grad, interpret, isFloat, mul, sum, type Tensor, trace } from "../../src/tensor/index.js";
import { farthest } from "../support/allclose.js";
import { type Case, valuesOf } from "./cases.js";
import { finiteDifferences, fixedWeights } from "./finite-differences.js";

/** What is asked of every function over tensors: the engine agrees with the interpreter, gradients with differences. */

const cache = new ModelCache(nodeBackend(), 64);

export interface Traced {
  readonly inputs: readonly Tensor[];
  readonly outputs: Record<string, Tensor>;
}

/** The function's value, its gradients, and the gradients of a function of these. */
export function traceCase(example: Case, dtype: DType): Traced {
  return trace((graph) => {
    const values = valuesOf(example.inputs, dtype, 1);
    const inputs = values.map((v, i) => graph.input(`x${i}`, v.shape, v.dtype));
    const y = example.build(inputs);
    const outputs: Record<string, Tensor> = { y };
    const xs = inputs.filter((x) => isFloat(x.dtype));
    if (isFloat(y.dtype) && xs.length > 0) {
      const loss = cast(sum(mul(y, fixedWeights(y, 7))), dtype);
      const first = grad(loss, xs);
      first.forEach((g, i) => {
        outputs[`first${i}`] = g;
      });
      const penalty = first.map((g, i) => sum(mul(g, fixedWeights(g, 11 + i)))).reduce((a, b) => add(a, b));
      grad(penalty, xs).forEach((g, i) => {
        outputs[`second${i}`] = g;
      });
      outputs.loss = loss;
      outputs.penalty = penalty;
    }
    return { inputs, outputs };
  });
}

export function feedsOf(inputs: readonly Tensor[], values: readonly NdArray[]): Record<string, NdArray> {
  return Object.fromEntries(inputs.map((_, i) => [`x${i}`, values[i]!]));
}

export function check(what: string, actual: NdArray, expected: NdArray, rtol: number, atol: number): void {
  const wrong = farthest(actual, expected, { rtol, atol });
  if (wrong !== undefined) throw new Error(`${what}: ${wrong}`);
  expect(actual.shape).toEqual(expected.shape);
}

/** Value, first and second gradient mean the same in the engine as in the interpreter. */
export function checkEngine(
  name: string,
  example: Case,
  dtype: "float32" | "float64",
  seed: number,
  tolerance: { readonly rtol: number; readonly atol: number },
): void {
  const { inputs, outputs } = traceCase(example, dtype);
  const feeds = feedsOf(inputs, valuesOf(example.inputs, dtype, seed));
  const expected = interpret(outputs, feeds);
  const actual = cache.load(name, { inputs, outputs }).acquire().run(feeds);
  for (const key of Object.keys(outputs)) {
    check(key, actual[key]!, expected[key]!, tolerance.rtol, tolerance.atol);
  }
}

/** First and second gradient agree with finite differences, in the float64 interpreter. */
export function checkGradients(example: Case, seed: number): void {
  const { inputs, outputs } = traceCase(example, "float64");
  const { loss, penalty } = outputs;
  if (loss === undefined || penalty === undefined) return;
  const feeds = feedsOf(inputs, valuesOf(example.inputs, "float64", seed));
  const exact = interpret(outputs, feeds);
  const xs = inputs.filter((x) => isFloat(x.dtype));
  for (const [i, x] of xs.entries()) {
    const { name } = (x as Tensor<"input">).attrs;
    check(`first${i}`, exact[`first${i}`]!, finiteDifferences(loss, feeds, name), 1e-6, 1e-6);
    check(`second${i}`, exact[`second${i}`]!, finiteDifferences(penalty, feeds, name), 1e-6, 1e-6);
  }
}
