import { describe, expect, it } from "vitest";
import { ndarray } from "../core/array.js";
import {
  abs,
  add,
  clip,
  exp,
  grad,
  input,
  interpret,
  mul,
  refuseGradient,
  scan,
  sigmoid,
  softplus,
  square,
  sum,
  type Tensor,
  TensorError,
  trace,
  withDerivative,
} from "./index.js";

const feeds = { x: ndarray("float64", [2], Float64Array.of(0.5, -3)) };
const traced = (fn: (x: Tensor) => Tensor): number[] =>
  trace(() => Array.from(interpret(fn(input("x", [2], "float64")), feeds).data as Float64Array));

describe("withDerivative", () => {
  it("gives the value, and the derivative that is written down", () => {
    const odd = (x: Tensor) => withDerivative(square(x), x, mul(x, 10));
    expect(traced(odd)).toEqual([0.25, 9]);
    expect(traced((x) => grad(sum(odd(x)), x))).toEqual([5, -30]);
    // Through the rest of the chain.
    expect(traced((x) => grad(sum(mul(odd(mul(x, 2)), 3)), x))).toEqual([60, -360]);
  });

  it("can be differentiated as often as the derivative can", () => {
    const smooth = (x: Tensor) => withDerivative(softplus(x), x, sigmoid(x));
    for (const order of [1, 2, 3]) {
      const derivative = (fn: (x: Tensor) => Tensor) => (x: Tensor) => {
        let y = fn(x);
        for (let k = 0; k < order; k++) y = grad(sum(y), x);
        return y;
      };
      expect(traced(derivative(smooth))).toEqual(traced(derivative(softplus)));
    }
  });

  it("wants three tensors of one shape and dtype", () => {
    trace(() => {
      const [x, y] = [input("x", [2]), input("y", [1])];
      expect(() => withDerivative(x, x, y)).toThrow(
        "withDerivative: got input#1 float32[1] for the value input#0 float32[2], expected its shape and dtype",
      );
      expect(() => withDerivative(y, x, y)).toThrow(TensorError);
      const n = input("n", [2], "int32");
      expect(() => withDerivative(n, n, n)).toThrow("withDerivative");
    });
  });
});

describe("refuseGradient", () => {
  /** A surrogate with a first derivative only: that of |x|, limited. */
  const surrogate = (x: Tensor) =>
    withDerivative(abs(x), x, refuseGradient(clip(x, -1, 1), "the limited distance"));
  const refusal =
    "grad: the limited distance has no further derivative: this one is written down, and is not differentiable";

  it("lets values and first derivatives through", () => {
    expect(traced(surrogate)).toEqual([0.5, 3]);
    expect(traced((x) => grad(sum(surrogate(x)), x))).toEqual([0.5, -1]);
    // Beside it everything can be differentiated twice.
    expect(traced((x) => grad(sum(add(surrogate(x), square(grad(sum(exp(x)), x)))), x))[0]).toBeCloseTo(
      0.5 + 2 * Math.exp(1),
      12,
    );
  });

  it("refuses a second one by the name of the function, also where it is hidden in products and loops", () => {
    expect(() => traced((x) => grad(sum(grad(sum(surrogate(x)), x)), x))).toThrow(refusal);
    expect(() =>
      traced((x) => {
        const first = grad(sum(square(surrogate(exp(x)))), x);
        return grad(sum(square(first)), x);
      }),
    ).toThrow(refusal);
    const looped = (x: Tensor) =>
      sum(scan({ init: x, length: 3 }, (h) => ({ carry: surrogate(mul(h, 0.5)) })).carry);
    // |x/2| three times: the limited derivatives of each step, times ½.
    expect(traced((x) => grad(looped(x), x))).toEqual([(0.25 * 0.125 * 0.0625) / 8, (-1 * 0.75 * 0.375) / 8]);
    expect(() => traced((x) => grad(sum(grad(looped(x), x)), x))).toThrow(refusal);
  });

  it("does not mind a derivative that passes elsewhere", () => {
    // The surrogate's argument does not depend on what is differentiated the second time.
    const values = trace(() => {
      const [x, w] = [input("x", [2], "float64"), input("w", [2], "float64")];
      const slope = grad(sum(mul(w, surrogate(x))), x);
      return Array.from(
        interpret(grad(sum(slope), w), { ...feeds, w: ndarray("float64", [2], Float64Array.of(7, 7)) })
          .data as Float64Array,
      );
    });
    expect(values).toEqual([0.5, -1]);
  });
});
