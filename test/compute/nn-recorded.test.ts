import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import "../support/allclose.js";
import { type NdArray, ndarray } from "../../src/core/array.js";
import {
  embedding,
  layoutOf,
  multiHeadAttention,
  type RmspropOptions,
  rmsprop,
  sampleSquashedGaussian,
  squashedGaussian,
} from "../../src/nn/index.js";
import {
  add,
  arrayFrom,
  constant,
  grad,
  input,
  interpret,
  mul,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";

/** Against numbers that PyTorch computed in float64: record/nn.py. */

interface Recorded {
  readonly shape: number[];
  readonly data: number[];
}

const recorded = JSON.parse(readFileSync(new URL("fixtures/nn.json", import.meta.url), "utf8"));
const EXACT = { rtol: 1e-11, atol: 1e-13 };

const array = ({ shape, data }: Recorded) => ndarray("float64", shape, Float64Array.from(data));
/** The tensors of a record of arrays, as inputs with these names, and what to feed them. */
const inputsOf = (arrays: Record<string, Recorded>) => ({
  tensors: Object.fromEntries(
    Object.entries(arrays).map(([name, a]) => [name, input(name, a.shape, "float64")]),
  ),
  feeds: Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, array(a)])),
});

describe(`PyTorch ${recorded.torch}`, () => {
  const { rate, start, gradients, cases } = recorded.rmsprop;
  const P = start.shape[0];
  for (const { options, steps } of cases) {
    it(`RMSprop takes the steps of torch.optim.RMSprop with ${JSON.stringify(options)}`, () => {
      const { alpha, eps, momentum, centered, weight_decay } = options;
      const given = { alpha, epsilon: eps, momentum, centered, weightDecay: weight_decay };
      const optimizer = rmsprop(
        Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)) as RmspropOptions,
      );
      let params: NdArray = array(start);
      let state: Record<string, NdArray> = optimizer.initial(P);
      for (let t = 0; t < gradients.shape[0]; t++) {
        const g = arrayFrom([P], "float64", gradients.data.slice(t * P, (t + 1) * P));
        const next = trace(() => {
          const symbols = Object.fromEntries(
            Object.entries(state).map(([name, a]) => [name, input(name, a.shape, "float64")]),
          );
          const step = optimizer.step(input("params", [P], "float64"), constant(g), symbols, rate);
          return interpret(step, { params, ...state });
        });
        params = next.params;
        state = next.state as Record<string, NdArray>;
        expect(params).toBeAllclose(arrayFrom([P], "float64", steps.data.slice(t * P, (t + 1) * P)), EXACT);
      }
    });
  }

  for (const c of recorded.attention) {
    const what = `E ${c.size}, ${c.heads} heads, keys of ${c.keySize}, values of ${c.valueSize}, ${c.mask ? "causal" : "no mask"}`;
    it(`multi-head attention is that of nn.MultiheadAttention, with its gradients: ${what}`, () => {
      const { size, heads, keySize, valueSize } = c;
      const layer = multiHeadAttention("a", { size, heads, keySize, valueSize });
      const layout = layoutOf(layer);
      expect(layout.entries.map((e) => e.name).sort()).toEqual(
        Object.keys(c.parameters)
          .map((name) => `a/${name}`)
          .sort(),
      );
      const out = trace(() => {
        const { tensors, feeds } = inputsOf({ ...c.inputs, ...c.parameters });
        const params = Object.fromEntries(Object.entries(tensors).map(([name, x]) => [`a/${name}`, x]));
        const { query, key, value } = tensors as Record<string, Tensor>;
        const mask = c.mask === null ? {} : { mask: constant(arrayFrom(c.mask.shape, "bool", c.mask.data)) };
        const { output, weights } = layer.forward(params, {
          query: query!,
          key: key!,
          value: value!,
          ...mask,
        });
        const loss = sum(mul(output, constant(array(c.cotangent))));
        return interpret({ output, weights, gradients: grad(loss, tensors) }, feeds);
      });
      expect(out.output).toBeAllclose(array(c.output), EXACT);
      expect(out.weights).toBeAllclose(array(c.weights), EXACT);
      for (const [name, g] of Object.entries(c.gradients as Record<string, Recorded>)) {
        expect((out.gradients as Record<string, NdArray>)[name]!).toBeAllclose(array(g), EXACT);
      }
    });
  }

  it("a squashed Gaussian is Normal through TanhTransform and AffineTransform, and so are its gradients", () => {
    const { mean, std, low, high, noise, action, logProb, weights, gradients, klToStandard } =
      recorded.squashedGaussian;
    const out = trace(() => {
      const { tensors, feeds } = inputsOf({ mean, std, noise });
      const pi = squashedGaussian(tensors.mean!, { std: tensors.std! }, { low, high });
      const sample = pi.sample(tensors.noise!);
      const loss = add(sum(mul(sample.action, constant(array(weights)))), sum(sample.logProb));
      const standard = squashedGaussian(
        mul(tensors.mean!, 0),
        { std: constant(arrayFrom([3], "float64", [1, 1, 1])) },
        { low, high },
      );
      return interpret(
        { ...sample, kl: pi.kl(standard), gradients: grad(loss, { mean: tensors.mean!, std: tensors.std! }) },
        feeds,
      );
    });
    expect(out.action).toBeAllclose(array(action), EXACT);
    expect(out.logProb).toBeAllclose(array(logProb), EXACT);
    expect(out.kl).toBeAllclose(array(klToStandard), EXACT);
    expect(out.gradients.mean).toBeAllclose(array(gradients.mean), { rtol: 1e-10, atol: 1e-12 });
    expect(out.gradients.std).toBeAllclose(array(gradients.std), { rtol: 1e-10, atol: 1e-12 });
  });

  it("so is a sample outside the graph, in float32", () => {
    const { mean, std, low, high, noise, action, logProb } = recorded.squashedGaussian;
    const out = {
      action: new Float32Array(6),
      unsquashed: new Float32Array(6),
      logProb: new Float32Array(2),
    };
    const narrow = (a: Recorded) => Float32Array.from(a.data);
    sampleSquashedGaussian(narrow(mean), narrow(std), narrow(noise), { low, high }, out);
    expect(out.action).toBeAllclose(action.data, { rtol: 1e-5, atol: 1e-6 });
    expect(out.logProb).toBeAllclose(logProb.data, { rtol: 1e-4, atol: 1e-4 });
  });

  it("an embedding is F.embedding, with its gradient", () => {
    const { table, ids, rows, cotangent, gradient } = recorded.embedding;
    const out = trace(() => {
      const weight = input("table", table.shape, "float64");
      const index = constant(arrayFrom(ids.shape, "int32", ids.data));
      const y = embedding("e", table.shape[0], table.shape[1]).forward({ "e/weight": weight }, index);
      const loss = sum(mul(y, constant(array(cotangent))));
      return interpret({ y, g: grad(loss, weight) }, { table: array(table) });
    });
    expect(out.y).toBeAllclose(array(rows), EXACT);
    expect(out.g).toBeAllclose(array(gradient), EXACT);
  });
});
