import { describe, expect, it } from "vitest";
import { ndarray } from "../core/array.js";
import {
  add,
  exp,
  hessianVectorProduct,
  input,
  interpret,
  matmul,
  mixedVectorProduct,
  mul,
  reshape,
  scalar,
  square,
  sum,
  type Tensor,
  TensorError,
  trace,
} from "./index.js";

const f64 = (shape: number[], values: number[]) => ndarray("float64", shape, Float64Array.from(values));
const variable = (name: string, ...shape: number[]) => input(name, shape, "float64");
const numbers = (x: { data: ArrayLike<number | bigint> }) => Array.from(x.data, Number);

describe("hessianVectorProduct", () => {
  it("multiplies by the matrix of a quadratic form", () => {
    trace(() => {
      const [x, v, a] = [variable("x", 2), variable("v", 2), variable("a", 2, 2)];
      const column = reshape(x, [2, 1]);
      const y = sum(mul(column, matmul(a, column)));
      // H = A + Aᵀ
      const feeds = { x: f64([2], [5, -7]), v: f64([2], [1, 2]), a: f64([2, 2], [1, 2, 4, 3]) };
      expect(numbers(interpret(hessianVectorProduct(y, x, v), feeds))).toEqual([14, 18]);
    });
  });

  it("mixes the leaves of trees and arrays, for x and v alike", () => {
    trace(() => {
      const [p, q] = [variable("p"), variable("q")];
      // y = p² q: H = [[2 q, 2 p], [2 p, 0]]
      const y = mul(square(p), q);
      const feeds = { p: f64([], [3]), q: f64([], [5]) };
      const [one, ten] = [scalar(1, "float64"), scalar(10, "float64")];
      const tree = interpret(
        hessianVectorProduct(y, { p, deep: { q } }, { p: one, deep: { q: ten } }),
        feeds,
      );
      expect([numbers(tree.p), numbers(tree.deep.q)]).toEqual([[70], [6]]);
      const list = hessianVectorProduct(y, [q, p], [ten, one]);
      expect(list.map((x) => numbers(interpret(x, feeds)))).toEqual([[6], [70]]);
    });
  });

  it("takes v for a constant, even if it is made of x", () => {
    trace(() => {
      const x = variable("x", 2);
      const y = sum(mul(square(x), x));
      // H = 6 diag(x); v = x
      const out = interpret(hessianVectorProduct(y, x, x), { x: f64([2], [2, -1]) });
      expect(numbers(out)).toEqual([24, 6]);
    });
  });

  it("refuses a v that does not fit", () => {
    trace(() => {
      const [x, w] = [variable("x", 2), variable("w", 3)];
      const y = add(sum(square(x)), sum(w));
      expect(() => hessianVectorProduct(y, x, w)).toThrow(
        "hessianVectorProduct: got v = float64[3], expected float64[2] as in x",
      );
      expect(() => hessianVectorProduct(y, x, input("n", [2], "float32"))).toThrow("got v = float32[2]");
      expect(() => hessianVectorProduct<Record<string, Tensor>>(y, { x, w }, { x, q: w })).toThrow(
        "got v = q: float64[3], x: float64[2], expected w: float64[3], x: float64[2] as in x",
      );
      expect(() => hessianVectorProduct(x, x, x)).toThrow(TensorError);
    });
  });
});

describe("mixedVectorProduct", () => {
  it("is the derivative of ⟨∇_x y, v⟩ in θ", () => {
    trace(() => {
      const [x, v, theta] = [variable("x", 2), variable("v", 2), variable("theta", 2)];
      // y = Σ θ e^x: ∂²y/∂θ∂x = diag(e^x)
      const y = sum(mul(theta, exp(x)));
      const feeds = { x: f64([2], [0, Math.log(3)]), v: f64([2], [2, -1]), theta: f64([2], [9, 9]) };
      const { a, b } = interpret(mixedVectorProduct(y, x, { a: theta, b: x }, v), feeds);
      expect(numbers(a)[0]).toBe(2);
      expect(numbers(a)[1]).toBeCloseTo(-3, 12);
      expect(numbers(b)[0]).toBe(18);
      expect(numbers(b)[1]).toBeCloseTo(-27, 12);
      expect(() => mixedVectorProduct(y, x, theta, scalar(1, "float64"))).toThrow(
        "mixedVectorProduct: got v = float64[], expected float64[2] as in x",
      );
    });
  });
});
