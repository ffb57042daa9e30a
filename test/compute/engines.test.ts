import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { DType, NdArray } from "../../src/core/array.js";
import { writeModel } from "../../src/onnx/index.js";
import type { Backend } from "../../src/runtime/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { webBackend } from "../../src/runtime/web.js";
import { cast, grad, isFloat, mul, type Operator, sum, type Tensor, trace } from "../../src/tensor/index.js";
import { farthest } from "../support/allclose.js";
import { expectSameRun } from "../support/same-run.js";
import { trainSmallRun } from "../support/small-run.js";
import { type Case, cases, valuesOf } from "./cases.js";
import { fixedWeights } from "./finite-differences.js";

/** The wasm engine against the native one: every operator with its gradient, and a whole training. */

const RUNS = Number(process.env.PHALANX_PROPERTY_RUNS ?? 12);
/** Kernels that both engines lack in float64. */
const NO_FLOAT64 = new Set<Operator>(["erf"]);

const native = nodeBackend();
let wasm: Backend;
beforeAll(async () => {
  wasm = await webBackend();
});

/** The operator's value, and the gradient of a weighted sum of it, as one model. */
function modelOf({ inputs, build }: Case, dtype: DType): Uint8Array<ArrayBuffer> {
  return trace((graph) => {
    const xs = valuesOf(inputs, dtype, 1).map((v, i) => graph.input(`x${i}`, v.shape, v.dtype));
    const y = build(xs);
    const outputs: Record<string, Tensor> = { y };
    const floats = xs.filter((x) => isFloat(x.dtype));
    if (isFloat(y.dtype) && floats.length > 0) {
      const loss = cast(sum(mul(y, fixedWeights(y, 7))), dtype);
      grad(loss, floats).forEach((g, i) => {
        outputs[`gradient${i}`] = g;
      });
    }
    return writeModel({ inputs: xs, outputs });
  });
}

function resultsOf(engine: Backend, bytes: Uint8Array<ArrayBuffer>, values: readonly NdArray[]) {
  const model = engine.load(bytes);
  const results = model.call(values);
  model.dispose();
  return results;
}

describe.each(["float32", "float64"] as const)("the wasm engine computes as the native one, %s:", (dtype) => {
  for (const [op, arbitrary] of Object.entries(cases) as [Operator, fc.Arbitrary<Case> | null][]) {
    if (arbitrary === null || (dtype === "float64" && NO_FLOAT64.has(op))) continue;
    it(op, () => {
      // Rounding of a few operations on values up to about 30; a cast may go through float32 in either precision.
      const tolerance =
        dtype === "float32" || op === "cast" ? { rtol: 1e-5, atol: 2e-5 } : { rtol: 1e-12, atol: 1e-12 };
      fc.assert(
        fc.property(arbitrary, fc.integer({ min: 0, max: 1e6 }), (example, seed) => {
          const bytes = modelOf(example, dtype);
          const values = valuesOf(example.inputs, dtype, seed);
          const expected = resultsOf(native, bytes, values);
          for (const [i, actual] of resultsOf(wasm, bytes, values).entries()) {
            expect(actual.dtype).toBe(expected[i]!.dtype);
            expect(actual.shape).toEqual(expected[i]!.shape);
            const wrong = farthest(actual, expected[i]!, tolerance);
            if (wrong !== undefined) throw new Error(`output ${i}: ${wrong}`);
          }
        }),
        { numRuns: RUNS },
      );
    });
  }
});

it("a kernel that the native engine lacks is not in the wasm engine either, and both say which", () => {
  const [op] = NO_FLOAT64;
  const [example] = fc.sample(cases[op!]!, { numRuns: 1, seed: 1 });
  const bytes = modelOf(example!, "float64");
  for (const engine of [native, wasm]) expect(() => engine.load(bytes)).toThrow(/Erf/);
});

describe.each([
  ["feed-forward", {}],
  ["ending its updates early", { targetKl: 1e-5 }],
  ["with a GRU over time", { recurrent: 16, chunk: 5 }],
])("the same small training, native and wasm, %s,", (_, options) => {
  it("gives the same team, statistics and metrics", async () => {
    const expected = await trainSmallRun(new Runtime(native), 5, options);
    expectSameRun(await trainSmallRun(new Runtime(wasm), 5, options), expected);
  });

  it("gives the same bits in wasm whether an update is one run or one for each step", async () => {
    const [whole, stepwise] = await Promise.all(
      (["whole", "stepwise"] as const).map((executor) =>
        trainSmallRun(new Runtime(wasm, { executor }), 2, options),
      ),
    );
    expect(whole).toEqual(stepwise);
  });
});

it("a training of one iteration less is not the same: the comparison can fail", async () => {
  const run = await trainSmallRun(new Runtime(wasm), 2);
  const shorter = await trainSmallRun(new Runtime(wasm), 1);
  const { metrics, returns } = run;
  expect(() => expectSameRun({ ...shorter, metrics, returns }, run)).toThrow();
});
