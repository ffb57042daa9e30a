import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { type NdArray, ndarray } from "../core/array.js";
import { constant, input, interpret, trace } from "../tensor/index.js";
import * as nn from "./index.js";

const f64 = (shape: number[], data: number[]) => ndarray("float64", shape, Float64Array.from(data));
const c64 = (shape: number[], data: number[]) => constant(f64(shape, data));

describe("Polyak targets", () => {
  const run = (tau: number | "tensor", value = 0) =>
    trace(() => {
      const t = tau === "tensor" ? input("tau", [], "float64") : tau;
      const next = nn.polyak(
        { actor: c64([2], [1, 0.1]), critics: { a: c64([1], [3]) } },
        { actor: c64([2], [2, 0.7]), critics: { a: c64([1], [-1]) } },
        t,
      );
      return interpret(next, { tau: f64([], [value]) });
    });
  const leaves = (out: ReturnType<typeof run>) =>
    [out.actor, out.critics.a].map((a: NdArray) => Array.from(a.data as Float64Array));

  it("move by tau", () => {
    const out = run(0.25);
    expect(out.actor).toBeAllclose([1.25, 0.25], { rtol: 1e-12 });
    expect(out.critics.a).toBeAllclose([2], { rtol: 1e-12 });
  });

  it("copy at 1 and stay at 0 exactly, by number and by tensor", () => {
    for (const out of [run(1), run("tensor", 1)]) expect(leaves(out)).toEqual([[2, 0.7], [-1]]);
    for (const out of [run(0), run("tensor", 0)]) expect(leaves(out)).toEqual([[1, 0.1], [3]]);
  });

  it("refuse trees that differ, and what is no fraction", () => {
    trace(() => {
      const [x, y] = [c64([2], [1, 2]), c64([1], [1])];
      expect(() => nn.polyak(x, y, 0.5)).toThrow("polyak: got target float64[2] and online float64[1]");
      expect(() => nn.polyak({ a: { b: x } }, { a: { b: y } }, 0.5)).toThrow(
        'polyak, "a/b": got target float64[2]',
      );
      expect(() => nn.polyak({ a: x, b: x } as object as { a: typeof x }, { a: x }, 0.5)).toThrow(
        "polyak: got target { a, b } and online { a }, expected the same structure and shapes",
      );
      expect(() => nn.polyak(x, x, 1.5)).toThrow("polyak: got tau 1.5, expected a number in [0, 1]");
    });
  });
});
