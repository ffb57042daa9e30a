import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { type NdArray, ndarray, sizeOf } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import {
  add,
  arrayFrom,
  constant,
  grad,
  input,
  interpret,
  mul,
  stopGradient,
  sub,
  sum,
  type Tensor,
  trace,
} from "../tensor/index.js";
import * as nn from "./index.js";

const f64 = (shape: readonly number[], data: ArrayLike<number>) =>
  ndarray("float64", shape, Float64Array.from(Array.from(data)));
const c64 = (shape: readonly number[], data: ArrayLike<number>) => constant(f64(shape, data));
const stream = RandomStream.from(4);
const draw = (shape: readonly number[]) =>
  f64(
    shape,
    Array.from({ length: sizeOf(shape) }, () => stream.normal()),
  );
const data = (a: NdArray) => a.data as Float64Array;

describe("importance weights", () => {
  // One head, N = 2, A = 2, s = 0.5, one-hot actions (0, 1): computed by hand.
  it("and FOP's joint value have the values of a worked example", () => {
    const net = nn.importanceWeights("w", { stateSize: 1, actionSize: 4, agents: 2, heads: 1 });
    expect(nn.layoutOf(net).entries.map((e) => [e.name, e.shape])).toEqual([
      ["w/key/weight", [1, 1]],
      ["w/key/bias", [1]],
      ["w/agents/weight", [1, 2]],
      ["w/agents/bias", [2]],
      ["w/actions/weight", [5, 2]],
      ["w/actions/bias", [2]],
    ]);
    const out = trace(() => {
      const params = {
        "w/key/weight": c64([1, 1], [0.8]),
        "w/key/bias": c64([1], [-0.1]),
        "w/agents/weight": c64([1, 2], [1, -1]),
        "w/agents/bias": c64([2], [0, 0.2]),
        "w/actions/weight": c64([5, 2], [0.2, -0.4, 0.1, 0, -0.1, 0.2, 0, 0.5, 0.3, 0.1]),
        "w/actions/bias": c64([2], [0.05, -0.05]),
      };
      const weights = net.forward(params, c64([1, 1], [0.5]), c64([1, 4], [1, 0, 0, 1]));
      const [q, v, stateValue] = [input("q", [1, 2], "float64"), c64([1, 2], [1.5, 1.75]), 0.3];
      // Σ Q + v(s) + Σ (λ − 1) · sg(Q − V)
      const joint = add(add(sum(q), stateValue), sum(mul(sub(weights, 1), stopGradient(sub(q, v)))));
      return interpret({ weights, joint, slope: grad(joint, q) }, { q: f64([1, 2], [1, 2]) });
    });
    expect(out.weights).toBeAllclose([0.1184170848, 0.0590550573], { rtol: 1e-9 });
    expect(out.joint).toBeAllclose(3.5055552219, { rtol: 1e-10 });
    expect(Array.from(data(out.slope))).toEqual([1, 1]);
  });

  it("are the sum over heads of |key| · σ(agent) · σ(action)", () => {
    const [S, A, N, H, B] = [3, 4, 2, 3, 5];
    const net = nn.importanceWeights("w", { stateSize: S, actionSize: A, agents: N, heads: H });
    const layout = nn.layoutOf(net);
    const flat = draw([layout.size]);
    const [state, action] = [draw([B, S]), draw([B, A])];
    const { weights } = trace(() =>
      interpret({
        weights: net.forward(layout.unpack(constant(flat)), constant(state), constant(action)),
      }),
    );
    const view = (name: string) => {
      const entry = layout.entries.find((e) => e.name === name)!;
      return data(flat).slice(entry.offset, entry.offset + entry.size);
    };
    const output = (part: string, x: number[], column: number, columns: number) =>
      x.reduce(
        (s, v, i) => s + v * view(`w/${part}/weight`)[i * columns + column]!,
        view(`w/${part}/bias`)[column]!,
      );
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    for (let b = 0; b < B; b++) {
      const s = Array.from(data(state).slice(b * S, (b + 1) * S));
      const both = [...s, ...data(action).slice(b * A, (b + 1) * A)];
      for (let i = 0; i < N; i++) {
        let expected = 0;
        for (let h = 0; h < H; h++) {
          const column = h * N + i;
          expected +=
            (Math.abs(output("key", s, h, H)) + 1e-10) *
            sigmoid(output("agents", s, column, H * N)) *
            sigmoid(output("actions", both, column, H * N));
        }
        expect(data(weights)[b * N + i]).toBeCloseTo(expected, 12);
      }
    }
  });

  it("refuse sizes that make no sense", () => {
    expect(() => nn.importanceWeights("w", { stateSize: 0, actionSize: 4, agents: 2 })).toThrow(
      'importance weights "w": got stateSize 0, expected an integer ≥ 1',
    );
  });
});

describe("agent attention", () => {
  const [S, F, N, H, E, B] = [3, 2, 4, 2, 5, 3];
  const options = { stateSize: S, featureSize: F, heads: H, embedSize: E, hiddenSize: 6 };

  function run(weightedHeads: boolean, mask?: number[]) {
    const net = nn.agentAttention("a", { ...options, weightedHeads });
    const layout = nn.layoutOf(net);
    const flat = draw([layout.size]);
    const [state, features] = [draw([B, S]), draw([B, N, F])];
    const out = trace(() => {
      const params = layout.unpack(constant(flat));
      const inputs: { state: Tensor; features: Tensor; mask?: Tensor } = {
        state: constant(state),
        features: constant(features),
      };
      if (mask !== undefined) inputs.mask = constant(arrayFrom([B, N], "bool", mask));
      return interpret({ ...net.forward(params, inputs) });
    });
    const matrix = (name: string) => {
      const { offset, shape, size } = layout.entries.find((e) => e.name === `a/${name}`)!;
      const values = data(flat).slice(offset, offset + size);
      return { values, columns: shape[shape.length - 1]! };
    };
    const dense = (x: number[], weight: string, bias?: string) => {
      const { values, columns } = matrix(weight);
      return Array.from({ length: columns }, (_, c) =>
        x.reduce(
          (s, v, i) => s + v * values[i * columns + c]!,
          bias === undefined ? 0 : matrix(bias).values[c]!,
        ),
      );
    };
    const relu = (x: number[]) => x.map((v) => Math.max(0, v));
    return { out, state, features, dense, relu };
  }

  it.each([false, true])(
    "is a softmax of selectors and keys in each head, weighted heads %s",
    (weightedHeads) => {
      const mask = [1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0];
      const { out, state, features, dense, relu } = run(weightedHeads, mask);
      for (let b = 0; b < B; b++) {
        const s = Array.from(data(state).slice(b * S, (b + 1) * S));
        const counts = mask.slice(b * N, (b + 1) * N);
        const nobody = counts.every((m) => m === 0);
        const strength = weightedHeads
          ? dense(
              relu(dense(s, "heads/hidden/weight", "heads/hidden/bias")),
              "heads/output/weight",
              "heads/output/bias",
            )
          : new Array<number>(H).fill(1);
        const totals = new Array<number>(N).fill(0);
        for (let h = 0; h < H; h++) {
          const selector = dense(
            relu(dense(s, `selector${h}/hidden/weight`, `selector${h}/hidden/bias`)),
            `selector${h}/output/weight`,
          );
          const logits = Array.from({ length: N }, (_, i) => {
            const f = Array.from(data(features).slice((b * N + i) * F, (b * N + i + 1) * F));
            const key = dense(f, "keys/weight").slice(h * E, (h + 1) * E);
            return selector.reduce((t, v, k) => t + v * key[k]!, 0);
          });
          const powers = logits.map((l, i) =>
            nobody ? 1 : counts[i] === 1 ? Math.exp(l / Math.sqrt(E)) : 0,
          );
          const total = powers.reduce((x, y) => x + y);
          for (let i = 0; i < N; i++) {
            const at = (b * H + h) * N + i;
            expect(data(out.logits)[at]).toBeCloseTo(logits[i]!, 12);
            expect(data(out.heads)[at]).toBeCloseTo(powers[i]! / total, 12);
            totals[i]! += (Math.abs(strength[h]!) * powers[i]!) / total;
          }
        }
        for (let i = 0; i < N; i++) expect(data(out.weights)[b * N + i]).toBeCloseTo(totals[i]!, 11);
      }
    },
  );

  it("without weighted heads, the weights of a row sum to the number of heads", () => {
    const { out } = run(false);
    for (let b = 0; b < B; b++) {
      const row = data(out.weights).slice(b * N, (b + 1) * N);
      expect(row.reduce((x, y) => x + y)).toBeCloseTo(H, 12);
    }
  });
});
