import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { ndarray } from "../core/array.js";
import {
  constant,
  grad,
  input,
  interpret,
  mul,
  scalar,
  square,
  stopGradient,
  sum,
  type Tensor,
  TensorError,
  trace,
} from "../tensor/index.js";
import {
  type AscentProblem,
  type AscentRule,
  ascentStep,
  projected,
  stackelbergDifferences,
  stackelbergGradient,
  unrolledAscent,
} from "./index.js";

const f64 = (shape: number[], values: number[]) => ndarray("float64", shape, Float64Array.from(values));
const numbers = (x: { data: ArrayLike<number | bigint> }) => Array.from(x.data, Number);
const none = { kind: "none" } as const;

describe("the scalar game π(o) = θ o, D = (θ δ)²", () => {
  // Closed form: δ^K = δ⁰ u^K with u = 1 + 2ηθ², R = (θ δ^K)²; numbers of θ = 1.5, η = 0.1, δ⁰ = 0.01, K = 3.
  const problem = (theta: Tensor): AscentProblem => ({
    objective: (delta) => square(mul(theta, delta)),
    start: scalar(0.01, "float64"),
    steps: 3,
    direction: "raw",
    stepSize: 0.1,
    projection: none,
  });

  it("has the known ascent, value, partial and total gradient, to ten digits", () => {
    trace(() => {
      const theta = input("theta", [], "float64");
      const game = problem(theta);
      const delta = unrolledAscent(game);
      const value = game.objective(delta);
      const got = interpret(
        {
          delta,
          value,
          leader: grad(game.objective(stopGradient(delta)), theta),
          total: grad(value, theta),
          products: stackelbergGradient(game, theta).gradient,
          differences: stackelbergDifferences(game, theta).gradient,
        },
        { theta: f64([], [1.5]) },
      );
      expect(numbers(got.delta)[0]!.toFixed(10)).toBe("0.0304862500");
      expect(numbers(got.value)[0]!.toFixed(10)).toBe("0.0020911757");
      expect(numbers(got.leader)[0]!.toFixed(10)).toBe("0.0027882343");
      expect(numbers(got.total)[0]!.toFixed(10)).toBe("0.0079801189");
      expect(numbers(got.products)[0]!.toFixed(10)).toBe("0.0079801189");
      expect(numbers(got.differences)).toBeAllclose(numbers(got.total), { rtol: 1e-8, atol: 0 });
    });
  });

  it("has another leader where one is given, and parameters in a tree", () => {
    trace(() => {
      const [theta, weight] = [input("theta", [], "float64"), input("weight", [], "float64")];
      const game = problem(theta);
      const leader = (delta: Tensor) => mul(mul(weight, theta), delta);
      const { value, gradient, delta } = stackelbergGradient(game, { theta, head: { weight } }, leader);
      const got = interpret({ value, ...gradient, delta }, { theta: f64([], [1.5]), weight: f64([], [2]) });
      const end = 0.01 * 1.45 ** 3;
      expect(numbers(got.value)[0]).toBeCloseTo(3 * end, 14);
      expect(numbers(got.head.weight)[0]).toBeCloseTo(1.5 * end, 14);
      // d(wθ δ^K)/dθ = w δ^K + wθ δ⁰ · 3 u² · 4ηθ
      expect(numbers(got.theta)[0]).toBeCloseTo(2 * end + 3 * 0.01 * 3 * 1.45 ** 2 * 0.6, 14);
      expect(numbers(got.delta)[0]).toBeCloseTo(end, 15);
    });
  });
});

describe("a step", () => {
  const step = (delta: number[], slope: number[], rule: AscentRule | (() => AscentRule)) =>
    trace(() => {
      const [d, s] = [constant(f64([2, 2], delta)), constant(f64([2, 2], slope))];
      return numbers(interpret(ascentStep(d, s, typeof rule === "function" ? rule() : rule)));
    });
  const start = [0.1, -0.2, 0, 0];
  const slope = [3, 4, -0.5, 0];

  it("follows the sign, the direction or the gradient itself", () => {
    expect(step(start, slope, { direction: "sign", stepSize: 0.5, projection: none })).toEqual([
      0.6, 0.3, -0.5, 0,
    ]);
    expect(step(start, slope, { direction: "normalised", stepSize: 0.5, projection: none })).toBeAllclose([
      0.4, 0.2, -0.5, 0,
    ]);
    expect(step(start, slope, { direction: "raw", stepSize: 0.5, projection: none })).toBeAllclose([
      1.6, 1.8, -0.25, 0,
    ]);
    // One length for the whole array: 5.025 instead of 5 and 0.5.
    const length = Math.hypot(3, 4, 0.5);
    expect(
      step(start, slope, { direction: "normalised", stepSize: length, projection: none, axes: [0, 1] }),
    ).toBeAllclose([3.1, 3.8, -0.5, 0]);
  });

  it("does not move where there is no gradient", () => {
    for (const direction of ["sign", "normalised", "raw"] as const)
      expect(step(start, [0, 0, 0, 0], { direction, stepSize: 1, projection: none })).toEqual(start);
  });

  it("ends in the box or in the ball, radius by radius", () => {
    const rule = { direction: "raw", stepSize: 1 } as const;
    expect(step(start, slope, { ...rule, projection: { kind: "box", radius: 0.4 } })).toEqual([
      0.4, 0.4, -0.4, 0,
    ]);
    const rows = () => constant(f64([2, 1], [0.49, 9]));
    const inBalls = step(start, slope, () => ({ ...rule, projection: { kind: "ball", radius: rows() } }));
    const length = Math.hypot(3.1, 3.8);
    expect(inBalls).toBeAllclose([(3.1 * 0.49) / length, (3.8 * 0.49) / length, -0.5, 0]);
    expect(step(start, slope, { ...rule, projection: { kind: "ball", radius: 0 } })).toEqual([0, 0, -0, 0]);
  });

  it("moves and ends in the units of the entries", () => {
    const unit = () => constant(f64([2], [2, 0]));
    const got = step([0.2, 0, 0, 0], slope, () => ({
      direction: "normalised",
      stepSize: 0.25,
      projection: { kind: "ball", radius: 0.3 },
      scale: unit(),
    }));
    // 0.2 is 0.1 units; 0.1 + 0.25 is cut to 0.3 units.
    expect(got).toBeAllclose([0.6, 0, -0.5, 0]);
  });

  it("projects on its own, too", () => {
    const rule: AscentRule = { direction: "raw", stepSize: 1, projection: { kind: "ball", radius: 1 } };
    trace(() => {
      const got = interpret(projected(constant(f64([2, 2], [3, 4, 0.3, 0.4])), rule));
      expect(numbers(got)).toBeAllclose([0.6, 0.8, 0.3, 0.4]);
    });
  });
});

describe("settings that make no sense", () => {
  const problem = { direction: "raw", stepSize: 0.1, projection: none, steps: 1 } as const;
  const run = (change: Partial<AscentProblem>) =>
    trace(() => {
      const start = constant(f64([2, 3], [1, 2, 3, 4, 5, 6]));
      return unrolledAscent({ ...problem, start, objective: (d) => sum(square(d), -1), ...change });
    });

  it("are refused by name", () => {
    expect(() => run({})).not.toThrow();
    expect(() => run({ steps: -1 })).toThrow("ascent: got steps -1, expected an integer ≥ 0");
    expect(() => run({ steps: 1.5 })).toThrow("got steps 1.5");
    expect(() => run({ stepSize: 0 })).toThrow("ascent: got stepSize 0, expected a finite number > 0");
    expect(() => run({ stepSize: NaN })).toThrow("got stepSize NaN");
    expect(() => run({ projection: { kind: "ball", radius: -1 } })).toThrow(
      "ascent: got radius -1, expected a number ≥ 0",
    );
    expect(() => run({ axes: [2] })).toThrow("ascent: got axis 2, expected an axis of δ of shape [2, 3]");
    expect(() => run({ steps: -1 })).toThrow(TensorError);
  });
});
