import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { f32, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import type { PolicyDistribution } from "../policy/policy.js";
import { constant, grad, input, interpret, sum, type Tensor, trace } from "../tensor/index.js";
import * as nn from "./index.js";

const f64 = (shape: number[], data: number[]) => ndarray("float64", shape, Float64Array.from(data));
const c64 = (shape: number[], data: number[]) => constant(f64(shape, data));
const numbers = (build: () => Tensor): number[] =>
  Array.from(trace(() => interpret({ y: build() }).y).data as Float64Array);

/** One dimension, one row. */
const single = (mean: number, std: number, bounds?: nn.ActionBounds) =>
  nn.squashedGaussian(c64([1, 1], [mean]), { std: c64([1], [std]) }, bounds);

describe("the squashed Gaussian", () => {
  it("is a distribution of the kind that policies return", () => {
    const pi: PolicyDistribution = trace(() => single(0, 1));
    expect(Object.keys(pi.parameters)).toEqual(["mean", "std"]);
  });

  it("has a density that integrates to 1 over the box", () => {
    for (const [mean, std, low, high] of [
      [0, 0.5, -1, 1],
      [0.7, 0.3, 2, 5],
      [-0.4, 1, -3, -1],
    ] as const) {
      const n = 40_000;
      const width = (high - low) / n;
      const actions = Array.from({ length: n }, (_, i) => low + (i + 0.5) * width);
      const logProbs = numbers(() => {
        const bounds = { low: [low], high: [high] };
        const pi = nn.squashedGaussian(
          c64([n, 1], new Array(n).fill(mean)),
          { std: c64([1], [std]) },
          bounds,
        );
        return pi.logProb(c64([n, 1], actions));
      });
      // midpoint rule on 40,000 intervals
      const total = logProbs.reduce((s, l) => s + Math.exp(l) * width, 0);
      expect(total).toBeCloseTo(1, 5);
    }
  });

  it("gives finite densities and gradients on and beyond the bounds, and far out where x is known", () => {
    const actions = [-2, -1, -1 + 1e-9, 0, 0.999, 1 - 1e-9, 1, 1.5];
    const xs = [-1e4, -100, -20, 0, 0.5, 20, 100, 1e4];
    const out = trace(() => {
      const mean = input("mean", [8, 1], "float64");
      const action = input("action", [8, 1], "float64");
      const pi = nn.squashedGaussian(mean, { std: c64([1], [0.7]) });
      const logProb = pi.logProb(action);
      const known = pi.logProbUnsquashed(c64([8, 1], xs));
      return interpret(
        { logProb, known, byAction: grad(sum(logProb), action), byMean: grad(sum(known), mean) },
        { mean: f64([8, 1], new Array(8).fill(0.3)), action: f64([8, 1], actions) },
      );
    });
    for (const a of Object.values(out)) {
      for (const v of a.data as Float64Array) expect(Number.isFinite(v)).toBe(true);
    }
    const logProb = out.logProb.data as Float64Array;
    expect(logProb[0]).toBe(logProb[1]);
    expect(logProb[6]).toBe(logProb[7]);
    expect(logProb[1]).toBeCloseTo(logProb[2]!, 10);
    const slope = out.byAction.data as Float64Array;
    expect([slope[0], slope[1], slope[6], slope[7]]).toEqual([0, 0, 0, 0]);
    expect(Math.abs(slope[4]!)).toBeGreaterThan(1);
    // by hand at x = 100, σ 0.7, μ 0.3: −z²/2 − log σ − log √2π − 2 (log 2 − 100)
    const z = (100 - 0.3) / 0.7;
    const expected = -0.5 * z * z - Math.log(0.7) - 0.5 * Math.log(2 * Math.PI) - 2 * (Math.LN2 - 100);
    expect((out.known.data as Float64Array)[6]).toBeCloseTo(expected, 9);
  });

  it("inverts itself inside the box, and the log-probability of a sample is that of its action", () => {
    const noise = [0.3, -1.2, 2, 0.01, -0.4, 1.1];
    const bounds = { low: [-1, 0, 10], high: [1, 0.5, 30] };
    const out = trace(() => {
      const pi = nn.squashedGaussian(
        c64([2, 3], [0.1, -1, 2, 0, 0.5, -2]),
        { logStd: c64([3], [-1, 0, -0.5]) },
        bounds,
      );
      const { action, logProb } = pi.sample(c64([2, 3], noise));
      return interpret({
        action,
        logProb,
        again: pi.logProb(action),
        back: pi.squash(pi.unsquash(action)),
        mode: pi.mode(),
      });
    });
    expect(out.again).toBeAllclose(out.logProb, { rtol: 1e-9 });
    expect(out.back).toBeAllclose(out.action, { rtol: 1e-12 });
    // centre + half width · tanh(mean)
    expect((out.mode.data as Float64Array)[2]).toBeCloseTo(20 + 10 * Math.tanh(2), 12);
  });

  it("has the entropy that fine integration gives, to the stated error", () => {
    const logSlope = (x: number) => 2 * (Math.LN2 - Math.abs(x) - Math.log1p(Math.exp(-2 * Math.abs(x))));
    for (const [std, error] of [
      [Math.exp(-5), 1e-6],
      [0.3, 1e-6],
      [1, 1e-6],
      [1.6, 1e-6],
      [Math.E, 1e-4],
      [Math.exp(2), 0.03],
    ] as const) {
      for (const mean of [0, 0.2, -1, 2.5]) {
        let expected = 0.5 + 0.5 * Math.log(2 * Math.PI) + Math.log(std) + Math.log(3);
        const step = 1e-3;
        for (let z = -9; z <= 9; z += step) {
          expected += (step * Math.exp(-0.5 * z * z) * logSlope(mean + std * z)) / Math.sqrt(2 * Math.PI);
        }
        const [entropy] = numbers(() => single(mean, std, { low: [-1], high: [5] }).entropy());
        expect(Math.abs(entropy! - expected), `σ ${std}, μ ${mean}`).toBeLessThan(error);
      }
    }
  });

  it("has an entropy that the samples' log-probabilities average to", () => {
    const n = 4000;
    const stream = RandomStream.from(3);
    const noise = Array.from({ length: 2 * n }, () => stream.normal());
    const repeated = (row: number[]) => Array.from({ length: n }, () => row).flat();
    const [estimate, entropy] = [
      numbers(() => {
        const pi = nn.squashedGaussian(c64([n, 2], repeated([0.5, -1])), { std: c64([2], [0.8, 0.4]) });
        return pi.sample(c64([n, 2], noise)).logProb;
      }).reduce((s, v) => s - v / n, 0),
      numbers(() => nn.squashedGaussian(c64([1, 2], [0.5, -1]), { std: c64([2], [0.8, 0.4]) }).entropy())[0]!,
    ];
    // standard error about 0.02
    expect(Math.abs(estimate - entropy)).toBeLessThan(0.08);
  });

  it("has the KL of the normals, and refuses that of different boxes", () => {
    const [kl, base] = [
      numbers(() => single(0.5, 0.3).kl(single(-1, 2))),
      numbers(() =>
        nn
          .diagonalGaussian(c64([1, 1], [0.5]), c64([1], [0.3]))
          .kl(nn.diagonalGaussian(c64([1, 1], [-1]), c64([1], [2]))),
      ),
    ];
    expect(kl).toEqual(base);
    trace(() => {
      const other = single(0, 1, { low: [0], high: [1] });
      expect(() => single(0, 1).kl(other)).toThrow(
        "KL between boxes [-1] … [1] and [0] … [1], expected the same bounds",
      );
      expect(() => single(0, 1, { low: [1], high: [1] })).toThrow(
        "expected 1 finite numbers each, low < high",
      );
      expect(() => single(0, 1, { low: [0, 0], high: [1, 1] })).toThrow(
        "got bounds [0,0] … [1,1], expected 1",
      );
      expect(() => single(0, 1, { low: [-Infinity], high: [1] })).toThrow("finite");
    });
  });

  it("is sampled outside the graph as inside, and never beyond the bounds", () => {
    const stream = RandomStream.from(8);
    const [rows, D] = [50, 2];
    const bounds = { low: [-0.1, 0.3], high: [0.7, 0.9] };
    const draw = (scale: number) => Float32Array.from({ length: rows * D }, () => scale * stream.normal());
    const [mean, noise] = [draw(4), draw(1)];
    const std = Float32Array.of(2, 0.5);
    const out = {
      action: new Float32Array(rows * D),
      unsquashed: new Float32Array(rows * D),
      logProb: new Float32Array(rows),
    };
    nn.sampleSquashedGaussian(mean, std, noise, bounds, out);
    const graph = trace(() => {
      const pi = nn.squashedGaussian(
        constant(f32([rows, D], mean)),
        { std: constant(f32([D], std)) },
        bounds,
      );
      return interpret(pi.sample(constant(f32([rows, D], noise))));
    });
    expect(out.action).toBeAllclose(graph.action.data as Float32Array, { rtol: 1e-5, atol: 1e-6 });
    expect(out.logProb).toBeAllclose(graph.logProb.data as Float32Array, { rtol: 1e-4, atol: 1e-4 });
    for (const [k, a] of out.action.entries()) {
      expect(a).toBeGreaterThanOrEqual(Math.fround(bounds.low[k % D]!));
      expect(a).toBeLessThanOrEqual(Math.fround(bounds.high[k % D]!));
    }
  });
});
