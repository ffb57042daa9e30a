import fc from "fast-check";
import { describe, it } from "vitest";
import type { Case } from "./cases.js";
import { checkEngine, checkGradients } from "./check-case.js";
import { nnCases } from "./nn-cases.js";

/** Layers, distributions and optimisers on random shapes: engine against interpreter, gradients against differences. */

const RUNS = Number(process.env.PHALANX_PROPERTY_RUNS ?? 10);
// Some have kinks (ReLU, |x|, a norm at its limit), which differences must not straddle: the same examples every time.
const SEED = 5;

for (const [name, arbitrary] of Object.entries(nnCases)) {
  describe(name, () => {
    const property = (fn: (example: Case, seed: number) => void) =>
      fc.assert(fc.property(arbitrary, fc.integer({ min: 0, max: 1e6 }), fn), { numRuns: RUNS, seed: SEED });

    it("means the same in the engine as in the interpreter, float32", () => {
      // Second derivatives of a few dozen operations.
      property((example, seed) => checkEngine(name, example, "float32", seed, { rtol: 2e-4, atol: 2e-4 }));
    });

    it("means the same in the engine as in the interpreter, float64", () => {
      property((example, seed) => checkEngine(name, example, "float64", seed, { rtol: 1e-10, atol: 1e-10 }));
    });

    it("has gradients that agree with finite differences, first and second order", () => {
      property(checkGradients);
    });
  });
}
