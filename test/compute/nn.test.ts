import fc from "fast-check";
import { describe, expect, it } from "vitest";
import "../support/allclose.js";
import { f32, type NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { type PopArtHead, popArt, squashedGaussian } from "../../src/nn/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { grad, linear, sum, type Tensor } from "../../src/tensor/index.js";
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

describe("in float32, in the engine", () => {
  const runtime = new Runtime(nodeBackend());
  const stream = RandomStream.from(30);
  const draw = (n: number, mean = 0, std = 1) =>
    Float32Array.from({ length: n }, () => mean + std * stream.normal());

  it("PopArt keeps outputs through 200 updates of its statistics, each to float precision", () => {
    const normalizer = popArt({ beta: 0.9 });
    const program = runtime.program(
      "test/pop-art",
      (inputs: { state: { statistics: Tensor }; head: PopArtHead; x: Tensor; targets: Tensor }) => {
        const { state, head, x, targets } = inputs;
        const next = normalizer.update(state, head, targets);
        const outputs = (s: typeof state, h: PopArtHead) =>
          normalizer.denormalize(s, linear(x, h.weight, h.bias));
        return { ...next, before: outputs(state, head), after: outputs(next.state, next.head) };
      },
    );
    let state: { statistics: NdArray } = normalizer.initial();
    let head: { weight: NdArray; bias: NdArray } = { weight: f32([8, 1], draw(8)), bias: f32([1], draw(1)) };
    const x = f32([16, 8], draw(128));
    for (let t = 0; t < 200; t++) {
      const targets = f32([32], draw(32, 100 * Math.sin(t / 20), 10 + (t % 50)));
      const out = program.run({ state, head, x, targets });
      // Relative to the values' scale, the mean included: about 100.
      expect(out.after).toBeAllclose(out.before, { rtol: 1e-6, atol: 2e-4 });
      state = out.state;
      head = out.head;
    }
  });

  it("a saturated squashed Gaussian has finite log-probabilities, entropies and gradients", () => {
    const program = runtime.program(
      "test/saturated",
      (inputs: { mean: Tensor; logStd: Tensor; noise: Tensor; action: Tensor }) => {
        const pi = squashedGaussian(inputs.mean, { logStd: inputs.logStd });
        const { action, logProb } = pi.sample(inputs.noise);
        const given = pi.logProb(inputs.action);
        const entropy = pi.entropy();
        const total = sum(logProb, 0);
        return {
          action,
          logProb,
          given,
          entropy,
          bySample: grad(total, inputs.mean),
          byAction: grad(sum(given), inputs.mean),
          byEntropy: grad(sum(entropy), inputs.logStd),
        };
      },
    );
    const mean = f32([6, 1], [0, 10, -30, 100, -1000, 20]);
    const out = program.run({
      mean,
      logStd: f32([6, 1], [-20, 0, 2, -5, 1, -2]),
      noise: f32([6, 1], [0, 3, -3, 1, 2, -1]),
      action: f32([6, 1], [0, 1, -1, 1 - 2 ** -24, -1 + 2 ** -24, 0.5]),
    });
    for (const [name, a] of Object.entries(out)) {
      for (const v of a.data as Float32Array) expect(Number.isFinite(v), name).toBe(true);
    }
    expect((out.action.data as Float32Array)[3]).toBe(1);
  });
});
