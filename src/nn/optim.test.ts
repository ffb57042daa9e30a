import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { ndarray } from "../core/array.js";
import { constant, interpret, trace } from "../tensor/index.js";
import * as nn from "./index.js";

const f64 = (shape: number[], data: number[]) => ndarray("float64", shape, Float64Array.from(data));
const c64 = (shape: number[], data: number[]) => constant(f64(shape, data));

/** Steps against PyTorch's recorded ones: test/compute/nn-recorded.test.ts. */
describe("RMSprop", () => {
  it("divides by the root mean square, ε outside the root", () => {
    const out = trace(() => {
      const state = { v: c64([2], [4, 0]) };
      return interpret(
        nn.rmsprop({ alpha: 0.75, epsilon: 0.5 }).step(c64([2], [1, 1]), c64([2], [6, 0]), state, 0.1),
      );
    });
    // v = 0.75 · 4 + 0.25 · 36 = 12
    expect(out.state.v).toBeAllclose([12, 0]);
    expect(out.params).toBeAllclose([1 - (0.1 * 6) / (Math.sqrt(12) + 0.5), 1], { rtol: 1e-12 });
  });

  it("survives a variance that rounding makes negative", () => {
    // v − mean² = −1e-8 after the step: the root of that would be NaN
    const out = trace(() => {
      const state = { v: c64([1], [4 - 1e-8]), mean: c64([1], [2]) };
      return interpret(
        nn.rmsprop({ centered: true, epsilon: 0.5 }).step(c64([1], [1]), c64([1], [2]), state, 0.1),
      );
    });
    expect(out.params).toBeAllclose([1 - (0.1 * 2) / 0.5], { rtol: 1e-12 });
  });

  it("has the state that its options need", () => {
    const names = (options: nn.RmspropOptions, shape: number | number[] = 3) =>
      Object.entries(nn.rmsprop(options).initial(shape)).map(([name, a]) => [name, a.shape]);
    expect(names({})).toEqual([["v", [3]]]);
    expect(names({ centered: true, momentum: 0.9 }, [2, 3])).toEqual([
      ["v", [2, 3]],
      ["mean", [2, 3]],
      ["velocity", [2, 3]],
    ]);
    expect(() => nn.rmsprop({ alpha: 1 })).toThrow("rmsprop alpha: got 1, expected a number in [0, 1)");
    expect(() => nn.rmsprop({ momentum: -0.1 })).toThrow("rmsprop momentum: got -0.1");
  });
});

describe("clipping", () => {
  it("by each row's own norm leaves short rows alone", () => {
    const { gradient, norm } = trace(() =>
      interpret(nn.clipGlobalNorm(c64([3, 2], [3, 4, 0.3, 0.4, 0, 0]), 1, { axes: -1 })),
    );
    expect(norm).toBeAllclose(f64([3], [5, 0.5, 0]), { rtol: 1e-12 });
    // PyTorch's form: 1 / (norm + 1e-6), at most 1
    expect(gradient).toBeAllclose(f64([3, 2], [3 / 5.000001, 4 / 5.000001, 0.3, 0.4, 0, 0]), { rtol: 1e-12 });
  });
});
