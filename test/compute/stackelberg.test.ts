import { describe, expect, it } from "vitest";
import "../support/allclose.js";
import { type NdArray, ndarray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import {
  type AscentProblem,
  type AscentRule,
  categorical,
  layoutOf,
  mlp,
  stackelbergDifferences,
  stackelbergGradient,
  unrolledAscent,
} from "../../src/nn/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  add,
  constant,
  grad,
  input,
  interpret,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";
import { finiteDifferences } from "./finite-differences.js";

/** The gradient of a leader through K steps of a follower, for networks: Bukharin 2023, eq. 4. */

const runtime = new Runtime(nodeBackend());
const ROWS = 6;
const O = 4;
const net = mlp("policy", { sizes: [O, 16, 3], activation: "tanh" });
const layout = layoutOf(net);

/** Squared distance of the outputs, or KL(π(o + δ) ‖ π(o)); one value for every row. */
type Divergence = "squared" | "kl";

function divergence(kind: Divergence, params: Tensor, obs: Tensor): (delta: Tensor) => Tensor {
  const named = layout.unpack(params);
  const clean = net.forward(named, obs);
  return (delta) => {
    const seen = net.forward(named, add(obs, delta));
    return kind === "kl" ? categorical(seen).kl(categorical(clean)) : sum(square(sub(seen, clean)), -1);
  };
}

const feedsOf = (seed: number, startSize = 0.2): Record<string, NdArray> => {
  const stream = RandomStream.from(seed, "stackelberg");
  const normal = (shape: number[], scale: number) =>
    ndarray(
      "float64",
      shape,
      Float64Array.from({ length: sizeOf(shape) }, () => scale * stream.normal()),
    );
  const params = layout.initial(stream);
  return {
    params: ndarray("float64", [layout.size], Float64Array.from(params)),
    obs: normal([ROWS, O], 1),
    start: normal([ROWS, O], startSize),
  };
};

/** [R, 1] binds for every other row. */
const radius = () => constant(ndarray("float64", [ROWS, 1], Float64Array.from({ length: ROWS }, radiusOf)));
const radiusOf = (_: unknown, row: number) => (row % 2 === 0 ? 0.2 : 9);
const units = () => constant(ndarray("float64", [O], Float64Array.of(1, 0.5, 2, 0)));

/** Traced, for constants belong to a trace. */
const rules: Readonly<Record<string, () => AscentRule>> = {
  raw: () => ({ direction: "raw", stepSize: 0.3, projection: { kind: "none" } }),
  normalised: () => ({ direction: "normalised", stepSize: 0.2, projection: { kind: "none" } }),
  "raw, in balls": () => ({
    direction: "raw",
    stepSize: 0.15,
    projection: { kind: "ball", radius: radius() },
  }),
  "normalised, in balls": () => ({
    direction: "normalised",
    stepSize: 0.2,
    projection: { kind: "ball", radius: radius() },
  }),
  "normalised, in ellipsoids": () => ({
    direction: "normalised",
    stepSize: 0.2,
    projection: { kind: "ball", radius: radius() },
    scale: units(),
  }),
  "normalised, in boxes": () => ({
    direction: "normalised",
    stepSize: 0.2,
    projection: { kind: "box", radius: 0.3 },
  }),
};

interface Settings {
  readonly kind?: Divergence;
  readonly steps: number;
  readonly rule: () => AscentRule;
  readonly projectAt?: AscentProblem["projectAt"];
}

/** Everything a test compares, of the sum of all rows. */
function outputsOf(inputs: Record<string, Tensor>, { kind = "squared", steps, rule, projectAt }: Settings) {
  const { params, obs, start } = inputs as Record<"params" | "obs" | "start", Tensor>;
  const objective = divergence(kind, params, obs);
  const problem: AscentProblem = { ...rule(), objective, start, steps, projectAt: projectAt ?? "every step" };
  const delta = unrolledAscent(problem);
  const value = sum(objective(delta));
  const hessian = stackelbergGradient(problem, { params });
  const differences = stackelbergDifferences(problem, { params });
  return {
    value,
    delta,
    exact: grad(value, params),
    leader: grad(sum(objective(stopGradient(delta))), params),
    products: hessian.gradient.params,
    productsValue: hessian.value,
    differences: differences.gradient.params,
    atStart: sum(objective(start)),
    startGradient: grad(sum(objective(stopGradient(start))), params),
  };
}

function interpreted(settings: Settings, feeds: Record<string, NdArray>) {
  return trace(() => {
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape }]) => [name, input(name, shape, "float64")]),
    );
    const outputs = outputsOf(inputs, settings);
    return { values: interpret(outputs, feeds), symbols: outputs };
  });
}

const numbers = (x: NdArray) => x.data as Float64Array;
const wideOf = ({ shape, data }: NdArray) =>
  ndarray("float64", shape, Float64Array.from(data as Float32Array));
const norm = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));
/** ‖a − b‖ / ‖b‖ */
const distance = (a: NdArray, b: NdArray) =>
  norm(numbers(a).map((x, i) => x - numbers(b)[i]!)) / norm(numbers(b));

describe("the gradient through K steps of ascent", () => {
  for (const [name, rule] of Object.entries(rules)) {
    it(`is that of the whole objective by finite differences, in every form: ${name}`, () => {
      for (const steps of [1, 2, 3, 10]) {
        const kind = steps === 2 ? "kl" : "squared";
        const feeds = feedsOf(steps);
        const { values, symbols } = interpreted({ kind, steps, rule }, feeds);
        const numeric = finiteDifferences(symbols.value, feeds, "params");
        expect(distance(values.exact, numeric)).toBeLessThan(1e-6);
        expect(distance(values.products, values.exact)).toBeLessThan(1e-11);
        expect(distance(values.differences, values.exact)).toBeLessThan(1e-5);
        expect(numbers(values.productsValue)[0]).toBeCloseTo(numbers(values.value)[0]!, 13);
        // A test of the second derivatives: what they add is no rounding error.
        expect(distance(values.leader, values.exact)).toBeGreaterThan(1e-3);
      }
    });
  }

  it("is taken with rows on the surface of their ball, and rows inside", () => {
    for (const name of ["raw, in balls", "normalised, in balls", "normalised, in ellipsoids"]) {
      const { values } = interpreted({ steps: 3, rule: rules[name]! }, feedsOf(3));
      for (let r = 0; r < ROWS; r++) {
        const row = numbers(values.delta).subarray(r * O, (r + 1) * O);
        const scale = name.includes("ellipsoids") ? [1, 0.5, 2, Infinity] : [1, 1, 1, 1];
        const size = norm(row.map((x, i) => x / scale[i]!));
        if (r % 2 === 0) expect(size).toBeCloseTo(0.2, 12);
        else expect(size).toBeGreaterThan(0.2 + 1e-3);
        if (name.includes("ellipsoids")) expect(row[3]).toBe(0);
      }
    }
  });

  it("is taken with entries on the side of their box, and entries inside", () => {
    const { values } = interpreted({ steps: 3, rule: rules["normalised, in boxes"]! }, feedsOf(3));
    const onSide = numbers(values.delta).filter((x) => Math.abs(x) === 0.3).length;
    expect(onSide).toBeGreaterThan(2);
    expect(onSide).toBeLessThan(ROWS * O - 2);
  });

  it("can leave the projection for the end", () => {
    const rule = rules["raw, in balls"]!;
    const feeds = feedsOf(4);
    const { values, symbols } = interpreted({ steps: 3, rule, projectAt: "end" }, feeds);
    const everyStep = interpreted({ steps: 3, rule }, feeds).values;
    expect(distance(values.delta, everyStep.delta)).toBeGreaterThan(1e-3);
    expect(distance(values.exact, finiteDifferences(symbols.value, feeds, "params"))).toBeLessThan(1e-6);
    expect(distance(values.products, values.exact)).toBeLessThan(1e-11);
  });

  it("is the gradient at the start where there are no steps", () => {
    const { values } = interpreted({ steps: 0, rule: rules.raw! }, feedsOf(5));
    expect(values.value).toEqual(values.atStart);
    expect(values.exact).toEqual(values.startGradient);
    expect(values.products).toEqual(values.startGradient);
  });

  it("is the leader's alone under sign steps: the follower does not answer", () => {
    for (const projection of [{ kind: "none" }, { kind: "box", radius: 0.2 }] as const) {
      const rule = (): AscentRule => ({ direction: "sign", stepSize: 0.1, projection });
      const { values } = interpreted({ steps: 3, rule }, feedsOf(6));
      expect(distance(values.delta, feedsOf(6).start!)).toBeGreaterThan(0.1);
      expect(values.exact).toBeAllclose(values.leader, { rtol: 1e-13, atol: 1e-16 });
      expect(values.products).toBeAllclose(values.leader, { rtol: 1e-13, atol: 1e-16 });
    }
  });

  it("differs from the leader's by a tenth and more for half of all networks", () => {
    const shares = Array.from({ length: 10 }, (_, seed) => {
      const rule = rules.normalised!;
      const { values } = interpreted({ steps: 3, rule }, feedsOf(100 + seed, 1e-3));
      return distance(values.leader, values.exact);
    }).sort((a, b) => a - b);
    expect((shares[4]! + shares[5]!) / 2).toBeGreaterThanOrEqual(0.1);
  });

  it("is the same through the engine, in both precisions", () => {
    const feeds = feedsOf(7);
    const narrow = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape, data }]) => [
        name,
        ndarray("float32", shape, Float32Array.from(data as Float64Array)),
      ]),
    );
    for (const name of ["raw, in balls", "normalised, in balls", "normalised"]) {
      const settings = { kind: "kl", steps: 10, rule: rules[name]! } as const;
      const { values } = interpreted(settings, feeds);
      const run = (given: Record<string, NdArray>) =>
        runtime
          .program("test/stackelberg", (inputs: Record<string, Tensor>) => {
            const { value, delta, exact, products } = outputsOf(inputs, settings);
            return { value, delta, exact, products };
          })
          .run(given);
      const wide = run(feeds);
      for (const key of ["value", "delta", "exact", "products"] as const) {
        expect(wide[key]).toBeAllclose(values[key], { rtol: 1e-11, atol: 1e-13 });
      }
      if (name.includes("balls")) continue;
      const small = run(narrow);
      expect(distance(wideOf(small.exact), values.exact)).toBeLessThan(1e-4);
      expect(distance(wideOf(small.products), values.exact)).toBeLessThan(1e-4);
    }
  });
});
