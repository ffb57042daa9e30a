import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { type NdArray, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import { constant, input, interpret, linear, type Tensor, trace } from "../tensor/index.js";
import * as nn from "./index.js";

const f64 = (shape: readonly number[], data: ArrayLike<number>) =>
  ndarray("float64", shape, Float64Array.from(Array.from(data)));
const c64 = (shape: readonly number[], data: ArrayLike<number>) => constant(f64(shape, data));
const stream = RandomStream.from(12);
const draw = (n: number, mean = 0, std = 1) => Array.from({ length: n }, () => mean + std * stream.normal());

describe("PopArt", () => {
  it("keeps every unnormalised output where it was while the statistics move by orders of magnitude", () => {
    const normalizer = nn.popArt({ beta: 0.5 });
    let state: { statistics: NdArray } = normalizer.initial();
    let head: { weight: NdArray; bias: NdArray } = { weight: f64([4, 2], draw(8)), bias: f64([2], draw(2)) };
    const x = f64([6, 4], draw(24));
    for (const [mean, std] of [
      [3, 1],
      [500, 20],
      [-2e4, 3e3],
      [0.01, 0.001],
      [0.01, 0.001],
    ] as const) {
      const targets = f64([32], draw(32, mean, std));
      const out = trace(() => {
        const before = { statistics: constant(state.statistics) };
        const old = { weight: constant(head.weight), bias: constant(head.bias) };
        const next = normalizer.update(before, old, constant(targets));
        const outputs = (s: { statistics: Tensor }, h: nn.PopArtHead) =>
          normalizer.denormalize(s, linear(constant(x), h.weight, h.bias));
        return interpret({ ...next, before: outputs(before, old), after: outputs(next.state, next.head) });
      });
      expect(out.after).toBeAllclose(out.before, { rtol: 1e-10, atol: 1e-10 });
      expect(out.head.weight).not.toBeAllclose(head.weight);
      state = out.state as typeof state;
      head = out.head as typeof head;
    }
  });

  it("normalises a stationary stream of targets to mean 0 and standard deviation 1", () => {
    const normalizer = nn.popArt({ beta: 0.95 });
    let state: { statistics: NdArray } = normalizer.initial();
    const update = (targets: number[]) =>
      trace(() => {
        const head = { weight: c64([1, 1], [1]), bias: c64([1], [0]) };
        const statistics = input("statistics", [3], "float64");
        return interpret(normalizer.update({ statistics }, head, c64([64], targets)).state, state);
      });
    for (let t = 0; t < 100; t++) state = update(draw(64, 7, 30)) as typeof state;
    const sample = draw(20_000, 7, 30);
    const normal = trace(() =>
      interpret({
        y: normalizer.normalize({ statistics: constant(state.statistics) }, c64([20_000], sample)),
      }),
    ).y.data as Float64Array;
    const mean = normal.reduce((s, v) => s + v, 0) / normal.length;
    const std = Math.sqrt(normal.reduce((s, v) => s + (v - mean) ** 2, 0) / normal.length);
    // about 20 · 64 targets count: standard errors 0.03 and 0.02
    expect(Math.abs(mean)).toBeLessThan(0.12);
    expect(Math.abs(std - 1)).toBeLessThan(0.08);
  });

  it("changes nothing where no target counts, for stacked agents each on its own", () => {
    const normalizer = nn.popArt({ beta: 0.9 });
    const [n, B] = [3, 4];
    const weight = f64([n, 2, 1], draw(6));
    const bias = f64([n, 1, 1], draw(3));
    const targets = f64([n, B], draw(n * B, 10, 5));
    const weights = f64([n, B], [1, 1, 0, 1, 0, 0, 0, 0, 0.5, 1, 1, 1]);
    const start = f64([n, 3], [0.5, 2, 0.4, 1, 3, 0.7, 0, 0, 0]);
    const stacked = trace(() =>
      interpret(
        normalizer.update(
          { statistics: constant(start) },
          { weight: constant(weight), bias: constant(bias) },
          constant(targets),
          constant(weights),
        ),
      ),
    );
    const row = (a: NdArray, i: number, shape: number[]) => {
      const size = a.data.length / n;
      return f64(shape, (a.data as Float64Array).slice(i * size, (i + 1) * size));
    };
    for (let i = 0; i < n; i++) {
      const alone = trace(() =>
        interpret(
          normalizer.update(
            { statistics: constant(row(start, i, [3])) },
            { weight: constant(row(weight, i, [2, 1])), bias: constant(row(bias, i, [1])) },
            constant(row(targets, i, [B])),
            constant(row(weights, i, [B])),
          ),
        ),
      );
      expect(row(stacked.state.statistics, i, [3])).toBeAllclose(alone.state.statistics, { rtol: 1e-13 });
      expect(row(stacked.head.weight, i, [2, 1])).toBeAllclose(alone.head.weight, { rtol: 1e-13 });
      expect(row(stacked.head.bias, i, [1])).toBeAllclose(alone.head.bias, { rtol: 1e-13 });
    }
    expect(row(stacked.state.statistics, 1, [3])).toEqual(row(start, 1, [3]));
    expect(row(stacked.head.weight, 1, [2, 1])).toEqual(row(weight, 1, [2, 1]));
    expect(row(stacked.head.bias, 1, [1])).toEqual(row(bias, 1, [1]));
    expect(normalizer.initial(2).statistics.shape).toEqual([2, 3]);
  });

  it("puts the rescaled layer back into the flat vector of the critic", () => {
    const critic = nn.mlp("critic", { sizes: [3, 5, 1], activation: "tanh" });
    const layout = nn.layoutOf(critic);
    const flat = f64([layout.size], layout.initial(stream));
    const obs = f64([8, 3], draw(24));
    const normalizer = nn.popArt({ beta: 0.5 });
    const out = trace(() => {
      const params = constant(flat);
      const { "critic/output/weight": weight, "critic/output/bias": bias } = layout.unpack(params);
      const before = { statistics: c64([3], [0.2, 1.5, 0.5]) };
      const { state, head } = normalizer.update(
        before,
        { weight: weight!, bias: bias! },
        c64([5], draw(5, 40, 9)),
      );
      const next = layout.replace(params, {
        "critic/output/weight": head.weight,
        "critic/output/bias": head.bias,
      });
      const value = (s: typeof before, p: Tensor) =>
        normalizer.denormalize(s, critic.forward(layout.unpack(p), constant(obs)));
      return interpret({ next, before: value(before, params), after: value(state, next) });
    });
    expect(out.after).toBeAllclose(out.before, { rtol: 1e-12, atol: 1e-12 });
    const hidden = layout.size - 6;
    expect(out.next.data.slice(0, hidden)).toEqual(flat.data.slice(0, hidden));
    expect(out.next.data.slice(hidden)).not.toEqual(flat.data.slice(hidden));
  });
});
