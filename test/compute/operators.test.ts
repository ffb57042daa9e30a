import fc from "fast-check";
import { describe, it } from "vitest";
import { importModel, writeModel } from "../../src/onnx/index.js";
import { interpret, type Operator, trace } from "../../src/tensor/index.js";
import { type Case, cases, valuesOf } from "./cases.js";
import { check, checkEngine, checkGradients, feedsOf, traceCase } from "./check-case.js";

/** Every operator on random shapes: the engine against the float64 interpreter, gradients against differences. */

const RUNS = Number(process.env.PHALANX_PROPERTY_RUNS ?? 25);
/** Kernels that ONNX Runtime lacks in float64; without them the model does not load. */
const NO_FLOAT64 = new Set<Operator>(["erf"]);

for (const [op, arbitrary] of Object.entries(cases) as [Operator, fc.Arbitrary<Case> | null][]) {
  if (arbitrary === null) continue;
  describe(op, () => {
    const property = (fn: (example: Case, seed: number) => void) =>
      fc.assert(fc.property(arbitrary, fc.integer({ min: 0, max: 1e6 }), fn), { numRuns: RUNS });

    for (const dtype of ["float32", "float64"] as const) {
      if (dtype === "float64" && NO_FLOAT64.has(op)) continue;
      it(`means the same in the engine as in the interpreter, ${dtype}`, () => {
        // Rounding of a few operations on values up to about 30.
        // (a cast may go through float32 whatever the test's precision is)
        const exact = dtype === "float64" && op !== "cast";
        const tolerance = exact ? { rtol: 1e-10, atol: 1e-10 } : { rtol: 3e-5, atol: 1e-4 };
        property((example, seed) => checkEngine(op, example, dtype, seed, tolerance));
      });
    }

    it("survives being written and read back", () => {
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
        // stopGradient says that its derivative is not the true one; cast of a float to an integer likewise.
        if (op === "stopGradient") return;
        if (op === "cast" && traceCase(example, "float64").outputs.y!.dtype !== "float64") return;
        checkGradients(example, seed);
      });
    });
  });
}
