import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { f32, type NdArray, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import {
  add,
  constant,
  grad,
  input,
  interpret,
  mul,
  square,
  sum,
  type Tensor,
  trace,
} from "../tensor/index.js";
import * as nn from "./index.js";

/** Expected numbers: PyTorch 2.15 in float64, the call beside each. */

const f64 = (shape: number[], data: number[]) => ndarray("float64", shape, Float64Array.from(data));
const c64 = (shape: number[], data: number[]) => constant(f64(shape, data));
const value = (build: () => Tensor): NdArray => trace(() => interpret({ y: build() }).y);

describe("optimisers", () => {
  const gradientAt = (step: number) => [0.5 * step, -step - 2, 0.01 * step - 0.02];

  function run(optimizer: nn.Optimizer, gradients: number[][], rate: number): number[][] {
    let params: NdArray = f64([3], [1, -2, 3]);
    let state = optimizer.initial(3);
    return gradients.map((g) => {
      const out = trace(() => {
        const symbols = Object.fromEntries(
          Object.entries(state).map(([name, a]) => [name, input(name, [...a.shape], "float64")]),
        );
        const p = input("p", [3], "float64");
        return interpret(optimizer.step(p, c64([3], g), symbols, rate), { p: params, ...state });
      });
      params = out.params;
      state = out.state as typeof state;
      return Array.from(params.data as Float64Array);
    });
  }

  // p = tensor([1., -2., 3.]); opt = torch.optim.Adam([p], lr=0.1); p.grad = [0.5 t, -t - 2, 0.01 t - 0.02]
  it("Adam takes PyTorch's steps", () => {
    const steps = run(nn.adam(), [1, 2, 3, 4, 5].map(gradientAt), 0.1);
    expect(steps[0]).toBeAllclose([0.900000002, -1.9000000003333333, 3.0999999000001], { rtol: 1e-12 });
    expect(steps[4]).toBeAllclose([0.5149169101703723, -1.5005080722804853, 3.037099653700209], {
      rtol: 1e-12,
    });
  });

  it("Adam takes PyTorch's steps with weight decay 0.1", () => {
    const steps = run(nn.adam({ weightDecay: 0.1 }), [1, 2, 3, 4, 5].map(gradientAt), 0.1);
    expect(steps[4]).toBeAllclose([0.5112822011099352, -1.5000271329528763, 2.5000000171899317], {
      rtol: 1e-12,
    });
  });

  // torch.optim.SGD([p], lr=0.1, momentum=0.9), gradient t · [0.5, -1, 0.01], three steps
  it("momentum is PyTorch's", () => {
    const gradients = [1, 2, 3].map((t) => [0.5 * t, -t, 0.01 * t]);
    expect(run(nn.sgd({ momentum: 0.9 }), gradients, 0.1)[2]).toBeAllclose([0.5245, -1.049, 2.99049]);
    expect(run(nn.sgd(), [[1, 2, 3]], 0.5)[0]).toEqual([0.5, -3, 1.5]);
  });

  // torch.nn.utils.clip_grad_norm_([3, 4], 1.0) → norm 5, gradient [0.59999988, 0.79999984]
  it("clips to a global norm", () => {
    const { gradient, norm } = trace(() => interpret(nn.clipGlobalNorm(c64([2], [3, 4]), 1)));
    expect(norm).toBeAllclose(5);
    expect(gradient).toBeAllclose([0.599999880000024, 0.799999840000032], { rtol: 1e-12 });
    expect(value(() => nn.clipGlobalNorm(c64([2], [0.3, 0.4]), 1).gradient)).toBeAllclose([0.3, 0.4]);
  });

  it("schedules are straight lines", () => {
    expect([0, 0.5, 1, 2].map(nn.linearSchedule(1e-3))).toEqual([1e-3, 5e-4, 0, 0]);
    expect(nn.constantSchedule(0.1)(0.7)).toBe(0.1);
  });
});

describe("layers and losses", () => {
  it("layer normalisation is PyTorch's", () => {
    const layer = nn.layerNorm("n", 3);
    const y = value(() =>
      layer.forward(
        { "n/gain": c64([3], [1, 2, 0.5]), "n/bias": c64([3], [0, 0.1, -1]) },
        c64([1, 3], [1, 2, 4]),
      ),
    );
    // F.layer_norm([[1, 2, 4]], [3], [1, 2, .5], [0, .1, -1])
    expect(y).toBeAllclose([-1.0690415314502977, -0.4345207657251491, -0.3318490428435641], { rtol: 1e-12 });
  });

  it("Huber's loss counts large errors of both signs", () => {
    // F.huber_loss([.5, -3, 12], 0, delta=2, reduction="none")
    expect(value(() => nn.huber(c64([3], [0.5, -3, 12]), 2))).toBeAllclose([0.125, 4, 22]);
  });

  it("Huber's loss has the clipped error for derivative, and a second one inside", () => {
    const derivatives = (order: number) =>
      value(() => {
        const e = c64([3], [0.5, -3, 12]);
        let y = sum(nn.huber(e, 2));
        for (let k = 1; k < order; k++) y = sum(grad(y, e));
        return grad(y, e);
      });
    expect(derivatives(1)).toBeAllclose([0.5, -2, 2]);
    expect(derivatives(2)).toBeAllclose([1, 0, 0]);
    expect(derivatives(3)).toBeAllclose([0, 0, 0]);
  });

  it("a weighted mean of nothing is 0", () => {
    expect(value(() => nn.weightedMean(c64([2], [1, 3]), c64([2], [1, 3])))).toBeAllclose(2.5);
    expect(value(() => nn.weightedMean(c64([2], [1, 3]), c64([2], [0, 0])))).toBeAllclose(0);
  });

  it("an MLP has the parameters it says, and views into the flat vector", () => {
    const net = nn.mlp("pi", { sizes: [3, 4, 2], activation: "relu", layerNorm: true, inputNorm: true });
    const layout = nn.layoutOf(net);
    expect(layout.entries.map((e) => [e.name, e.shape])).toEqual([
      ["pi/inputNorm/gain", [3]],
      ["pi/inputNorm/bias", [3]],
      ["pi/hidden0/weight", [3, 4]],
      ["pi/hidden0/bias", [4]],
      ["pi/norm0/gain", [4]],
      ["pi/norm0/bias", [4]],
      ["pi/output/weight", [4, 2]],
      ["pi/output/bias", [2]],
    ]);
    const flat = layout.initial(RandomStream.from(3));
    expect(flat).toEqual(layout.initial(RandomStream.from(3)));
    expect(Array.from(layout.view(flat, "pi/norm0/gain"))).toEqual([1, 1, 1, 1]);
    layout.view(flat, "pi/output/bias").set([7, 8]);
    const bias = value(() => layout.unpack(constant(f32([layout.size], flat)))["pi/output/bias"]!);
    expect(Array.from(bias.data as Float64Array)).toEqual([7, 8]);
    expect(() => layout.view(flat, "pi/output/bia")).toThrow('Did you mean "pi/output/bias"?');
    expect(() => nn.layoutOf(net, net)).toThrow("two modules use this name");
    expect(() => trace(() => layout.unpack(input("p", [5])))).toThrow(
      `expected a vector of ${layout.size} elements`,
    );
  });
});

describe("initialisers", () => {
  const filled = (init: nn.Initializer, shape: number[]) => {
    const out = new Float32Array(shape.reduce((a, b) => a * b, 1));
    init(shape, RandomStream.from(1), out);
    return out;
  };

  it.each([
    [20, 7],
    [7, 20],
    [5, 5],
    [1, 4],
  ])("orthogonal %d × %d has orthonormal rows or columns", (rows, cols) => {
    const w = filled(nn.orthogonal(2), [rows, cols]);
    const [count, length] = rows < cols ? [rows, cols] : [cols, rows];
    const at = (k: number, i: number) => (rows < cols ? w[k * cols + i]! : w[i * cols + k]!);
    for (let a = 0; a < count; a++) {
      for (let b = 0; b <= a; b++) {
        let dot = 0;
        for (let i = 0; i < length; i++) dot += at(a, i) * at(b, i);
        expect(dot).toBeCloseTo(a === b ? 4 : 0, 5);
      }
    }
  });

  it("uniform and normal ones have the spread of their formula", () => {
    const spread = (x: Float32Array) => Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length);
    // standard deviation of U(−a, a) is a/√3; 20,000 values: relative error about 1 %
    expect(spread(filled(nn.xavierUniform(), [100, 200]))).toBeCloseTo(Math.sqrt(2 / 300), 2);
    expect(spread(filled(nn.xavierNormal(), [100, 200]))).toBeCloseTo(Math.sqrt(2 / 300), 2);
    expect(spread(filled(nn.kaimingUniform(), [100, 200]))).toBeCloseTo(Math.sqrt(2 / 100), 2);
    expect(spread(filled(nn.kaimingNormal(), [100, 200]))).toBeCloseTo(Math.sqrt(2 / 100), 2);
    expect(Math.max(...filled(nn.xavierUniform(), [100, 200]))).toBeLessThanOrEqual(Math.sqrt(6 / 300));
    expect(filled(nn.constantInit(3), [2])).toEqual(Float32Array.of(3, 3));
  });
});

describe("distributions", () => {
  // c = Categorical(logits=[.1, 2, -1]), k = Categorical(logits=[1, 0, .5])
  it("categorical agrees with PyTorch", () => {
    const out = trace(() => {
      const c = nn.categorical(c64([1, 3], [0.1, 2, -1]));
      const k = nn.categorical(c64([1, 3], [1, 0, 0.5]));
      const action = constant(ndarray("int32", [1], Int32Array.of(1)));
      return interpret({ logProb: c.logProb(action), entropy: c.entropy(), kl: c.kl(k), mode: c.mode() });
    });
    expect(out.logProb).toBeAllclose([-0.1817844855891133], { rtol: 1e-12 });
    expect(out.entropy).toBeAllclose([0.5432632246423977], { rtol: 1e-12 });
    expect(out.kl).toBeAllclose([0.9915432150231612], { rtol: 1e-12 });
    expect(Array.from(out.mode.data as Int32Array)).toEqual([1]);
  });

  it("masks make neither values nor first or second gradients NaN, even in a row without actions", () => {
    const mask = [1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0];
    const out = trace(() => {
      const logits = input("logits", [4, 3], "float64");
      const allowed = constant(ndarray("bool", [4, 3], Uint8Array.from(mask)));
      const pi = nn.categorical(logits, allowed);
      const other = nn.categorical(mul(logits, 0.5), allowed);
      const action = constant(ndarray("int32", [4], Int32Array.of(0, 1, 2, 1)));
      const loss = add(add(sum(pi.logProb(action)), sum(pi.entropy())), sum(pi.kl(other)));
      const first = grad(loss, logits);
      const second = grad(sum(square(first)), logits);
      return interpret(
        { loss, first, second, probs: pi.probs, entropy: pi.entropy() },
        { logits: f64([4, 3], [1, 2, 3, 1e4, -1e4, 0, 3e38, 0, -3e38, 5, 0, -5]) },
      );
    });
    for (const a of Object.values(out)) {
      for (const v of a.data as Float64Array) expect(Number.isFinite(v)).toBe(true);
    }
    const probs = out.probs.data as Float64Array;
    for (let i = 0; i < 12; i++) if (mask[i] === 0 && i > 5) expect(probs[i]).toBe(0);
    expect(probs.slice(3, 6)).toBeAllclose([1 / 3, 1 / 3, 1 / 3]);
    const first = out.first.data as Float64Array;
    for (let i = 0; i < 12; i++) if (mask[i] === 0) expect(Math.abs(first[i]!)).toBe(0);
  });

  // n = Normal([.5, -1], [.3, 2]), q = Normal([0, 1], [1, .5])
  it.each([
    ["per row", [1, 2]],
    ["shared", [2]],
  ])("diagonal Gaussian agrees with PyTorch, std %s", (_, shape) => {
    const out = trace(() => {
      const n = nn.diagonalGaussian(c64([1, 2], [0.5, -1]), c64(shape, [0.3, 2]));
      const q = nn.diagonalGaussian(c64([1, 2], [0, 1]), c64(shape, [1, 0.5]));
      const action = c64([1, 2], [0.1, 0.7]);
      return interpret({
        perDim: n.logProbPerDim(action),
        logProb: n.logProb(action),
        entropy: n.entropy(),
        kl: n.kl(q),
      });
    });
    expect(out.perDim).toBeAllclose([-0.6038546177676256, -1.973335713764618], { rtol: 1e-12 });
    expect(out.logProb).toBeAllclose([-2.577190331532244], { rtol: 1e-12 });
    expect(out.entropy).toBeAllclose([2.327051442643355], { rtol: 1e-12 });
    expect(out.kl).toBeAllclose([14.987678443206045], { rtol: 1e-12 });
    expect(out.entropy.shape).toEqual([1]);
  });

  it("multi-categorical is a product of its parts", () => {
    const out = trace(() => {
      const logits = c64([1, 5], [0.1, 2, -1, 1, 0]);
      const both = nn.multiCategorical(logits, [3, 2]);
      const parts = [nn.categorical(c64([1, 3], [0.1, 2, -1])), nn.categorical(c64([1, 2], [1, 0]))];
      const action = constant(ndarray("int32", [1, 2], Int32Array.of(2, 0)));
      const at = (k: number) => constant(ndarray("int32", [1], Int32Array.of(k)));
      return interpret({
        logProb: both.logProb(action),
        expected: add(parts[0]!.logProb(at(2)), parts[1]!.logProb(at(0))),
        entropy: both.entropy(),
        entropies: add(parts[0]!.entropy(), parts[1]!.entropy()),
        mode: both.mode(),
        kl: both.kl(both),
        logProbs: both.parameters.logProbs,
      });
    });
    expect(out.logProb).toBeAllclose(out.expected);
    expect(out.entropy).toBeAllclose(out.entropies);
    expect(out.kl).toBeAllclose([0]);
    expect(Array.from(out.mode.data as Int32Array)).toEqual([1, 0]);
    expect(out.logProbs.shape).toEqual([1, 5]);
  });

  it("samples follow the probabilities and never an impossible action", () => {
    const probs = [0, 0.2, 0.5, 0, 0.3, 0];
    const logProbs = Float32Array.from(probs, Math.log);
    const stream = RandomStream.from(9);
    const counts = new Array(6).fill(0);
    for (let i = 0; i < 20_000; i++) counts[nn.sampleCategorical(logProbs, 0, 6, stream.uniform())]++;
    // standard error of a frequency: below 0.0036
    for (const [i, p] of probs.entries()) {
      expect(Math.abs(counts[i] / 20_000 - p)).toBeLessThan(p === 0 ? 1e-12 : 0.015);
    }
    expect(nn.sampleCategorical(logProbs, 0, 6, 1 - 2 ** -53)).toBe(4);
    expect(nn.sampleCategorical(logProbs, 0, 6, 0)).toBe(1);
    const rows = nn.sampleCategoricalRows(
      Float32Array.from([...logProbs, ...logProbs]),
      6,
      [0.1, 0.9],
      new Int32Array(2),
    );
    expect(Array.from(rows)).toEqual([1, 4]);
    expect(
      Array.from(
        nn.sampleGaussian(Float32Array.of(1, 2), Float32Array.of(0.5), [1, -2], new Float32Array(2)),
      ),
    ).toEqual([1.5, 1]);
    expect(nn.argMaxOf(Float32Array.of(9, 1, 3, 3), 1, 3)).toBe(1);
  });
});

describe("value normaliser", () => {
  it("follows its definition, in programs and outside", () => {
    const normalizer = nn.valueNormalizer({ beta: 0.9 });
    let arrays = normalizer.initial();
    let symbolic = normalizer.initial();
    expect(normalizer.arrays.moments(arrays)).toEqual({ mean: 0, std: 0.1 });
    const batches: [number[], number[]][] = [
      [
        [1, 2, 3, 100],
        [1, 1, 1, 0],
      ],
      [
        [5, 6, 7, 8],
        [0, 0, 0, 0],
      ],
      [
        [-4, 0, 10, 3],
        [1, 0.5, 1, 1],
      ],
    ];
    for (const [targets, weights] of batches) {
      arrays = normalizer.arrays.update(arrays, targets, weights);
      symbolic = trace(() => {
        const statistics = input("statistics", [3], "float64");
        const next = normalizer.update({ statistics }, c64([4], targets), c64([4], weights));
        return interpret(next, { statistics: symbolic.statistics });
      });
      expect(symbolic.statistics).toBeAllclose(arrays.statistics, { rtol: 1e-14 });
    }
    // by hand: mean ← 0.9 m + 0.1 · 2, then 0.9 m + 0.1 · (9 / 3.5); weight 0.1, then 0.19
    const mean = (0.9 * 0.2 + 0.1 * (9 / 3.5)) / 0.19;
    const meanSquare = (0.9 * 0.1 * (14 / 3) + 0.1 * (125 / 3.5)) / 0.19;
    const moments = normalizer.arrays.moments(arrays);
    expect(moments.mean).toBeCloseTo(mean, 12);
    expect(moments.std).toBeCloseTo(Math.sqrt(meanSquare - mean * mean), 12);
    const x = Float32Array.of(1, -2, 30);
    const back = trace(() => {
      const state = { statistics: constant(arrays.statistics) };
      const normal = normalizer.normalize(state, constant(f32([3], x)));
      return interpret({ normal, again: normalizer.denormalize(state, normal) });
    });
    expect(back.again).toBeAllclose(x);
    const normal = normalizer.arrays.normalize(arrays, x, new Float32Array(3));
    expect(back.normal).toBeAllclose(normal);
    expect(normalizer.arrays.denormalize(arrays, normal, new Float32Array(3))).toBeAllclose(x);
  });

  it("counts every value when no weights are given", () => {
    const normalizer = nn.valueNormalizer();
    const targets = [1, 2, 6];
    const symbolic = trace(() =>
      interpret(normalizer.update({ statistics: c64([3], [0, 0, 0]) }, c64([3], targets))),
    );
    const arrays = normalizer.arrays.update(normalizer.initial(), targets);
    expect(symbolic.statistics).toBeAllclose(arrays.statistics, { rtol: 1e-12, atol: 1e-16 });
  });
});
