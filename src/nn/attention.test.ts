import { describe, expect, it } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import { arrayFrom, constant, grad, input, interpret, sum, trace } from "../tensor/index.js";
import * as nn from "./index.js";

const stream = RandomStream.from(4);
const draw = (shape: readonly number[]) =>
  ndarray(
    "float64",
    shape,
    Float64Array.from({ length: sizeOf(shape) }, () => stream.normal()),
  );
const data = (a: NdArray) => a.data as Float64Array;

describe("multi-head attention", () => {
  it("gives blocked keys no weight and no gradient, and a query that sees nothing the mean of all values", () => {
    const layer = nn.multiHeadAttention("a", { size: 4, heads: 2 });
    const layout = nn.layoutOf(layer);
    const [flat, x] = [draw([layout.size]), draw([2, 3, 4])];
    // rows of queries, columns of keys; query 1 of the second row sees nothing
    const mask = [1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1];
    const out = trace(() => {
      const value = input("value", [2, 3, 4], "float64");
      const keys = constant(x);
      const { output, weights } = layer.forward(layout.unpack(constant(flat)), {
        query: keys,
        key: keys,
        value,
        mask: constant(arrayFrom([2, 3, 3], "bool", mask)),
      });
      return interpret({ weights, slope: grad(sum(output), value) }, { value: draw([2, 3, 4]) });
    });
    const weights = data(out.weights);
    for (let b = 0; b < 2; b++) {
      for (let h = 0; h < 2; h++) {
        for (let q = 0; q < 3; q++) {
          const row = weights.slice(((b * 2 + h) * 3 + q) * 3, ((b * 2 + h) * 3 + q + 1) * 3);
          expect(row.reduce((s, v) => s + v)).toBeCloseTo(1, 12);
          const allowed = mask.slice((b * 3 + q) * 3, (b * 3 + q + 1) * 3);
          const empty = allowed.every((m) => m === 0);
          for (let k = 0; k < 3; k++) {
            if (empty) expect(row[k]).toBeCloseTo(1 / 3, 12);
            else if (allowed[k] === 0) expect(row[k]).toBe(0);
          }
        }
      }
    }
    // no query of the first row sees key 1
    expect(Array.from(data(out.slope).slice(4, 8))).toEqual([0, 0, 0, 0]);
  });

  it("refuses sizes that the heads do not divide", () => {
    expect(() => nn.multiHeadAttention("a", { size: 6, heads: 4 })).toThrow(
      'attention "a": got size 6 and 4 heads, expected a multiple of the heads',
    );
  });
});
