import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DType, NdArray } from "../../src/core/array.js";
import { importModel, writeModel } from "../../src/onnx/index.js";
import { ModelCache } from "../../src/runtime/model-cache.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  add,
  cast,
  grad,
  interpret,
  isFloat,
  mul,
  type Operator,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";
import { farthest } from "../support/allclose.js";
import { type Case, cases, valuesOf } from "./cases.js";
import { finiteDifferences, fixedWeights } from "./finite-differences.js";

/** Every operator on random shapes: the engine against the float64 interpreter, gradients against differences. */

const RUNS = Number(process.env.PHALANX_PROPERTY_RUNS ?? 25);
/** Kernels that ONNX Runtime lacks in float64; without them the model does not load. */
const NO_FLOAT64 = new Set<Operator>(["erf"]);
/** Loops are ours alone: the reader refuses foreign ones by name. */
const NOT_READ = new Set<Operator>(["scanCarry", "scanStack"]);
const cache = new ModelCache(nodeBackend(), 64);

interface Traced {
  readonly inputs: readonly Tensor[];
  readonly outputs: Record<string, Tensor>;
}

/** The operator's value, its gradients, and the gradients of a function of these. */
function traceCase(example: Case, dtype: DType): Traced {
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

function feedsOf(inputs: readonly Tensor[], values: readonly NdArray[]): Record<string, NdArray> {
  return Object.fromEntries(inputs.map((_, i) => [`x${i}`, values[i]!]));
}

function check(what: string, actual: NdArray, expected: NdArray, rtol: number, atol: number): void {
  const wrong = farthest(actual, expected, { rtol, atol });
  if (wrong !== undefined) throw new Error(`${what}: ${wrong}`);
  expect(actual.shape).toEqual(expected.shape);
}

for (const [op, arbitrary] of Object.entries(cases) as [Operator, fc.Arbitrary<Case> | null][]) {
  if (arbitrary === null) continue;
  describe(op, () => {
    const property = (fn: (example: Case, seed: number) => void) =>
      fc.assert(fc.property(arbitrary, fc.integer({ min: 0, max: 1e6 }), fn), { numRuns: RUNS });

    for (const dtype of ["float32", "float64"] as const) {
      if (dtype === "float64" && NO_FLOAT64.has(op)) continue;
      it(`means the same in the engine as in the interpreter, ${dtype}`, () => {
        property((example, seed) => {
          const { inputs, outputs } = traceCase(example, dtype);
          const values = valuesOf(example.inputs, dtype, seed);
          const expected = interpret(outputs, feedsOf(inputs, values));
          const model = cache.load(op, { inputs, outputs }).acquire();
          const actual = model.run(feedsOf(inputs, values));
          for (const name of Object.keys(outputs)) {
            // Rounding of a few operations on values up to about 30.
            // (a cast may go through float32 whatever the test's precision is)
            if (dtype === "float32" || op === "cast") check(name, actual[name]!, expected[name]!, 3e-5, 1e-4);
            else check(name, actual[name]!, expected[name]!, 1e-10, 1e-10);
          }
        });
      });
    }

    it("survives being written and read back", () => {
      if (NOT_READ.has(op)) return;
      property((example, seed) => {
        const { inputs, outputs } = traceCase(example, "float64");
        const feeds = feedsOf(inputs, valuesOf(example.inputs, "float64", seed));
        const bytes = writeModel({ inputs, outputs });
        const again = trace((graph) => {
          const named = inputs.map((x, i) => [`x${i}`, graph.input(`x${i}`, x.shape, x.dtype)]);
          return interpret(importModel(bytes).apply(Object.fromEntries(named)), feeds);
        });
        const expected = interpret(outputs, feeds);
        for (const name of Object.keys(outputs)) check(name, again[name]!, expected[name]!, 1e-12, 1e-12);
      });
    });

    it("has gradients that agree with finite differences, first and second order", () => {
      property((example, seed) => {
        const { inputs, outputs } = traceCase(example, "float64");
        if (outputs.loss === undefined) return;
        const values = valuesOf(example.inputs, "float64", seed);
        const feeds = feedsOf(inputs, values);
        const exact = interpret(outputs, feeds);
        const xs = inputs.filter((x) => isFloat(x.dtype));
        for (const [i, x] of xs.entries()) {
          const name = (x as Tensor<"input">).attrs.name;
          // stopGradient says that its derivative is not the true one; cast of a float to an integer likewise.
          if (op === "stopGradient" || (op === "cast" && outputs.y!.dtype !== "float64")) continue;
          check(`first${i}`, exact[`first${i}`]!, finiteDifferences(outputs.loss, feeds, name), 1e-6, 1e-6);
          check(
            `second${i}`,
            exact[`second${i}`]!,
            finiteDifferences(outputs.penalty!, feeds, name),
            1e-6,
            1e-6,
          );
        }
      });
    });
  });
}
