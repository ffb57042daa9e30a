import { describe, expect, it } from "vitest";
import "../support/allclose.js";
import { f32, type NdArray, ndarray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { clippedSurrogate } from "../../src/learners/ppo-graph.js";
import { categorical, diagonalGaussian, huber, layoutOf, mlp, unrolledAscent } from "../../src/nn/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  add,
  clip,
  exp,
  FREE,
  grad,
  interpret,
  matmul,
  mean,
  mul,
  neg,
  reshape,
  sign,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
  trace,
} from "../../src/tensor/index.js";
import { finiteDifferences } from "./finite-differences.js";

/** Whole losses of the kind that learners and attacks build, through tracing, differentiation and the engine. */

const runtime = new Runtime(nodeBackend());
const stream = RandomStream.from(7);
const normal = (...shape: number[]) =>
  ndarray(
    "float64",
    shape,
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => stream.normal()),
  );
const widen = (flat: Float32Array) => ndarray("float64", [flat.length], Float64Array.from(flat));

describe("the PPO loss of an MLP", () => {
  const [actorNet, criticNet] = [
    mlp("actor", { sizes: [4, 6, 3], activation: "tanh", layerNorm: true }),
    mlp("critic", { sizes: [4, 6, 1], activation: "tanh" }),
  ];
  const layout = layoutOf(actorNet, criticNet);

  function loss(inputs: Record<string, Tensor>): Tensor {
    const params = layout.unpack(inputs.params!);
    const pi = categorical(actorNet.forward(params, inputs.obs!), inputs.mask!);
    const ratio = exp(clip(sub(pi.logProb(inputs.action!), inputs.oldLogProb!), -20, 20));
    const surrogate = clippedSurrogate(ratio, inputs.advantage!, 0.2);
    const value = reshape(criticNet.forward(params, inputs.obs!), [5]);
    const valueLoss = mean(huber(sub(value, inputs.returns!), 1));
    return add(neg(add(mean(surrogate), mul(mean(pi.entropy()), 0.01))), mul(valueLoss, 0.5));
  }

  const feeds: Record<string, NdArray> = {
    params: widen(layout.initial(stream)),
    obs: normal(5, 4),
    mask: ndarray("bool", [5, 3], Uint8Array.of(1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1)),
    action: ndarray("int32", [5], Int32Array.of(0, 1, 2, 1, 2)),
    oldLogProb: ndarray("float64", [5], Float64Array.of(-1, -0.9, -1.3, -0.7, -1.2)),
    advantage: normal(5),
    returns: normal(5),
  };

  it("has the gradient that finite differences give, in the interpreter and in the engine, twice", () => {
    const traced = trace((graph) => {
      const inputs = Object.fromEntries(
        Object.entries(feeds).map(([name, a]) => [name, graph.input(name, a.shape, a.dtype)]),
      );
      const y = loss(inputs);
      const first = grad(y, inputs.params!);
      // Half the squared norm of the gradient: its gradient is the Hessian times the gradient.
      const norm = mul(sum(square(first)), 0.5);
      return { y, first, norm, second: grad(norm, inputs.params!) };
    });
    const exact = interpret(traced, feeds);
    expect(exact.first).toBeAllclose(finiteDifferences(traced.y, feeds, "params"), {
      rtol: 1e-6,
      atol: 1e-8,
    });
    expect(exact.second).toBeAllclose(finiteDifferences(traced.norm, feeds, "params"), {
      rtol: 1e-6,
      atol: 1e-8,
    });

    const program = runtime.program("test/ppo", (inputs: Record<string, Tensor>) => {
      const y = loss(inputs);
      const first = grad(y, inputs.params!);
      return { y, first, second: grad(mul(sum(square(first)), 0.5), inputs.params!) };
    });
    const run = program.run(feeds);
    expect(run.first).toBeAllclose(exact.first, { rtol: 1e-10, atol: 1e-12 });
    expect(run.second).toBeAllclose(exact.second, { rtol: 1e-10, atol: 1e-12 });
  });
});

describe("unrolled projected gradient ascent (Stackelberg)", () => {
  const x: NdArray = ndarray("float64", [2, 3], Float64Array.of(0.2, -0.1, 0.4, 1, 0.3, -0.7));
  const w: NdArray = ndarray("float64", [3, 2], Float64Array.of(0.5, -0.3, 0.8, 0.2, -0.4, 0.9));
  const start: NdArray = ndarray("float64", [2, 3], Float64Array.of(0.01, -0.02, 0.03, -0.01, 0.02, 0.01));

  /** The leader's loss after the follower took K projected steps against it. */
  function leaderLoss(inputs: Record<string, Tensor>, steps: number): Tensor {
    const clean = tanh(matmul(inputs.x!, inputs.w!));
    const change = (delta: Tensor) => sum(square(sub(tanh(matmul(add(inputs.x!, delta), inputs.w!)), clean)));
    const delta = unrolledAscent({
      objective: change,
      start: inputs.start!,
      steps,
      direction: "raw",
      stepSize: 0.05,
      projection: { kind: "box", radius: 0.1 },
    });
    return add(sum(square(clean)), mul(change(delta), 3));
  }

  // torch 2.15, float64, torch.autograd.grad(..., create_graph=True) through the same steps
  it.each<[number, number, number[]]>([
    [
      1,
      1.1818666349605915,
      [
        0.5715375448495531, -0.6107747572431198, 0.21913330947530296, -0.26625635247621593,
        -0.5531075649783767, 0.704424435862415,
      ],
    ],
    [
      5,
      1.1866680609786673,
      [
        0.5754813736895177, -0.6139829055478185, 0.22853211944494134, -0.2726164802753699,
        -0.5666083281457813, 0.7134135403282204,
      ],
    ],
  ])("through %i steps agrees with PyTorch's double backward", (steps, expectedLoss, expectedGradient) => {
    const program = runtime.program(`test/stackelberg${steps}`, (inputs: Record<string, Tensor>) => {
      const loss = leaderLoss(inputs, steps);
      return { loss, gradient: grad(loss, inputs.w!) };
    });
    const out = program.run({ x, w, start });
    expect(out.loss).toBeAllclose(expectedLoss, { rtol: 1e-13 });
    expect(out.gradient).toBeAllclose(expectedGradient, { rtol: 1e-12 });
  });

  it("stays small: nodes grow linearly with the steps", () => {
    const nodes = [1, 10, 20].map((steps) =>
      trace((graph) => {
        const inputs = Object.fromEntries(
          Object.entries({ x, w, start }).map(([name, a]) => [name, graph.input(name, a.shape, a.dtype)]),
        );
        grad(leaderLoss(inputs, steps), inputs.w!);
        return graph.size;
      }),
    );
    expect((nodes[2]! - nodes[1]!) / (nodes[1]! - nodes[0]!)).toBeCloseTo(10 / 9, 1);
  });
});

describe("attacks on any number of rows", () => {
  it("FGSM through a policy with free rows equals row by row, and raises the loss", () => {
    const net = mlp("policy", { sizes: [4, 16, 5], activation: "tanh" });
    const layout = layoutOf(net);
    const attack = runtime.program(
      "test/fgsm",
      (inputs: { params: Tensor; obs: Tensor; action: Tensor }) => {
        const logProb = categorical(net.forward(layout.unpack(inputs.params), inputs.obs)).logProb(
          inputs.action,
        );
        const delta = mul(sign(grad(sum(logProb), inputs.obs)), -0.1);
        const attacked = categorical(net.forward(layout.unpack(inputs.params), add(inputs.obs, delta)));
        return { delta, before: logProb, after: attacked.logProb(inputs.action) };
      },
      { freeRows: ["obs", "action"] },
    );
    const params = f32([layout.size], layout.initial(stream));
    const rows = 33;
    const obs = f32(
      [rows, 4],
      Float32Array.from({ length: rows * 4 }, () => stream.normal()),
    );
    const action = ndarray(
      "int32",
      [rows],
      Int32Array.from({ length: rows }, () => stream.int(5)),
    );
    const all = attack.run({ params, obs, action });
    expect(all.delta.shape).toEqual([rows, 4]);
    for (let r = 0; r < rows; r++) {
      const one = attack.run({
        params,
        obs: f32([1, 4], obs.data.slice(4 * r, 4 * r + 4)),
        action: ndarray("int32", [1], action.data.slice(r, r + 1)),
      });
      expect(one.delta).toBeAllclose(f32([1, 4], (all.delta.data as Float32Array).slice(4 * r, 4 * r + 4)));
      expect(all.after.data[r]!).toBeLessThan(Number(all.before.data[r]!));
    }
  });

  it("a Gaussian policy with a shared standard deviation works on free rows", () => {
    const program = runtime.program(
      "test/gaussian",
      (inputs: { mean: Tensor; std: Tensor; action: Tensor }) => {
        const pi = diagonalGaussian(inputs.mean, inputs.std);
        return {
          logProb: pi.logProb(inputs.action),
          entropy: pi.entropy(),
          slope: grad(sum(pi.entropy()), inputs.std),
        };
      },
      { freeRows: ["mean", "action"] },
    );
    const out = program.run({
      mean: f32([3, 2], new Float32Array(6)),
      std: f32([2], [1, 2]),
      action: f32([3, 2], new Float32Array(6)),
    });
    expect(out.entropy.shape).toEqual([3]);
    expect(out.logProb).toBeAllclose(new Array(3).fill(-Math.log(2 * Math.PI) - Math.log(2)));
    expect(out.slope).toBeAllclose([3, 1.5]);
    expect(FREE).toBe(-1);
  });
});

describe("numerics of the engine", () => {
  it("log-probabilities, entropy and its gradient survive huge logits", () => {
    const program = runtime.program("test/huge", (inputs: { x: Tensor }) => {
      const pi = categorical(inputs.x);
      return { logProbs: pi.logProbs, entropy: pi.entropy(), g: grad(sum(pi.entropy()), inputs.x) };
    });
    const out = program.run({ x: f32([2, 3], [1e4, 0, -1e4, 1e38, -1e38, 0]) });
    for (const a of Object.values(out)) for (const v of a.data as Float32Array) expect(v).not.toBeNaN();
    expect(out.entropy).toBeAllclose([0, 0]);
  });

  it("a NaN in one row stays in that row, through every form the engine is given", () => {
    const program = runtime.program("test/rows", (inputs: { x: Tensor; c: Tensor }) => ({
      spread: mul(inputs.x, inputs.c),
      columns: sum(inputs.x, 0),
    }));
    const x = new Float32Array(70 * 3).fill(1);
    const c = new Float32Array(70).fill(1);
    x[3 * 10 + 1] = Number.NaN;
    c[20] = Number.POSITIVE_INFINITY;
    const out = program.run({ x: f32([70, 3], x), c: f32([70, 1], c) });
    const bad = Array.from(out.spread.data as Float32Array).flatMap((v, i) =>
      Number.isFinite(v) ? [] : [i],
    );
    expect(bad).toEqual([31, 60, 61, 62]);
    expect(Array.from(out.columns.data as Float32Array)).toEqual([70, Number.NaN, 70]);
  });
});
