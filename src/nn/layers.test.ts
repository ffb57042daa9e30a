import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { ndarray } from "../core/array.js";
import { constant, interpret, trace } from "../tensor/index.js";
import * as nn from "./index.js";

const f64 = (shape: number[], data: number[]) => ndarray("float64", shape, Float64Array.from(data));
const c64 = (shape: number[], data: number[]) => constant(f64(shape, data));

describe("embedding", () => {
  it("gives zeros for ids outside its range, and refuses sizes that make no sense", () => {
    const out = trace(() => {
      const ids = constant(ndarray("int32", [2, 2], Int32Array.of(1, -1, 3, 0)));
      return interpret({
        y: nn.embedding("e", 3, 2).forward({ "e/weight": c64([3, 2], [1, 2, 3, 4, 5, 6]) }, ids),
      });
    });
    expect(out.y).toBeAllclose(f64([2, 2, 2], [3, 4, 0, 0, 0, 0, 1, 2]));
    expect(() => nn.embedding("e", 0, 2)).toThrow('embedding "e": got 0 ids of size 2, expected both ≥ 1');
  });
});
