import fc from "fast-check";
import {
  adam,
  agentAttention,
  clipGlobalNorm,
  embedding,
  importanceWeights,
  layerNorm,
  layoutOf,
  type Module,
  mlp,
  multiHeadAttention,
  type Optimizer,
  polyak,
  popArt,
  rmsprop,
  squashedGaussian,
  valueNormalizer,
} from "../../src/nn/index.js";
import {
  add,
  arrayFrom,
  concat,
  constant,
  linear,
  mul,
  reshape,
  square,
  sum,
  type Tensor,
  tanh,
} from "../../src/tensor/index.js";
import type { Case, Input } from "./cases.js";

/** One random application of every function of `nn` that operators.test.ts does not already cover. */

const float = (...shape: number[]): Input => ({ shape, kind: "float" });
const positive = (...shape: number[]): Input => ({ shape, kind: "positive" });
const dim = fc.integer({ min: 1, max: 3 });
const dims = (count: number) => fc.array(dim, { minLength: count, maxLength: count });
/** Rows, or rows with one axis more. */
const rows = fc.array(dim, { minLength: 1, maxLength: 2 });
/** Axes before the agents'. */
const axes = fc.array(dim, { maxLength: 2 });

/** Networks small in value as after initialisation, so that nothing saturates. */
const half = (x: Tensor) => mul(x, 0.5);

/** Two tensors [..., a] and [..., b] as one output. */
const beside = (a: Tensor, b: Tensor) => concat([a, reshape(b, [...b.shape, 1])], -1);

function stepCase(
  optimizer: Optimizer,
  moments: readonly Input["kind"][],
  names: readonly string[],
  small = 1,
) {
  return fc.tuple(dim, dim).map(([n, P]): Case => {
    const shape = [n, P];
    return {
      inputs: [float(n, P), float(n, P), ...moments.map((kind) => ({ shape, kind }))],
      build: ([params, gradient, ...state]) => {
        const before = Object.fromEntries(
          names.map((name, i) => [name, mul(state[i]!, name === "mean" ? small : 1)]),
        );
        const { correction } = optimizer.initial(shape);
        if (correction !== undefined) {
          const weights = Array.from({ length: 2 * n }, (_, i) => 1 + i / 4);
          before.correction = constant(arrayFrom(correction.shape, params!.dtype, weights));
        }
        const after = optimizer.step(params!, gradient!, before, 0.1);
        return concat([after.params, ...names.map((name) => after.state[name]!)], -1);
      },
    };
  });
}

const boxes = (size: number) => ({
  low: Array.from({ length: size }, (_, d) => -1 - d),
  high: Array.from({ length: size }, (_, d) => 1 + 2 * d),
});

/** mean, standard deviation (of the row, or shared), and one more input of the same shape */
const gaussian = (build: (pi: ReturnType<typeof squashedGaussian>, x: Tensor) => Tensor) =>
  fc.tuple(rows, dim, fc.boolean(), fc.boolean()).map(
    ([lead, D, shared, logStd]): Case => ({
      inputs: [float(...lead, D), positive(...(shared ? [D] : [...lead, D])), float(...lead, D)],
      build: ([mean, std, x]) => {
        const scale = logStd ? { logStd: mul(std!, -0.5) } : { std: half(std!) };
        return build(squashedGaussian(mean!, scale, boxes(D)), x!);
      },
    }),
  );

/** A module on stacked parameters [n, P] and rows [..., n, B, in]. */
const stackedCase = (module: Module, inputSize: number, offset: readonly number[] = []) =>
  fc.tuple(dims(2), axes).map(([[n, B], lead]): Case => {
    const layout = layoutOf(module);
    return {
      inputs: [float(n!, layout.size), float(...lead, n!, B!, inputSize)],
      build: ([params, x]) => {
        const rows = offset.length === 0 ? x! : add(x!, constant(arrayFrom([inputSize], x!.dtype, offset)));
        return module.forward(layout.unpack(half(params!)), rows);
      },
    };
  });

export const nnCases: Readonly<Record<string, fc.Arbitrary<Case>>> = {
  "linear layers of stacked agents": fc.tuple(dims(4), axes).map(([[n, B, I, O], lead]) => ({
    inputs: [float(...lead, n!, B!, I!), float(n!, I!, O!), float(n!, 1, O!)],
    build: ([x, w, b]) => linear(x!, w!, b!),
  })),
  // The entries of a row are kept apart: where they are almost equal, differences cannot follow the curvature.
  "layer normalisation of stacked agents": stackedCase(layerNorm("n", 3), 3, [0, 6, -5]),
  "MLP of stacked agents": stackedCase(
    mlp("pi", { sizes: [2, 3, 2], activation: "tanh", layerNorm: true }),
    2,
  ),
  "layout.replace": fc.tuple(dim, fc.boolean()).map(([n, stacked]): Case => {
    const layout = layoutOf(mlp("v", { sizes: [2, 3, 1], activation: "tanh" }));
    const lead = stacked ? [n] : [];
    return {
      inputs: [float(...lead, layout.size), float(...lead, 3, 1)],
      build: ([params, w]) => square(layout.replace(params!, { "v/output/weight": w! })),
    };
  }),
  embedding: fc.tuple(fc.array(dim, { maxLength: 2 }), dim, dim).map(([shape, count, size]) => ({
    inputs: [float(count, size), { shape, kind: { below: count } }],
    build: ([table, ids]) => embedding("e", count, size).forward({ "e/weight": table! }, ids!),
  })),
  "embedding of stacked agents": fc.tuple(dims(4), axes).map(([[n, B, count, size], lead]) => ({
    inputs: [float(n!, count!, size!), { shape: [...lead, n!, B!], kind: { below: count! } }],
    build: ([table, ids]) => embedding("e", count!, size!).forward({ "e/weight": table! }, ids!),
  })),

  "squashed Gaussian, sample": gaussian((pi, noise) => {
    const { action, logProb } = pi.sample(noise);
    return beside(action, logProb);
  }),
  "squashed Gaussian, log-probability of an action": gaussian((pi, x) =>
    pi.logProb(pi.squash(half(tanh(x)))),
  ),
  "squashed Gaussian, log-probability of x": gaussian((pi, x) => pi.logProbUnsquashed(x)),
  "squashed Gaussian, entropy": gaussian((pi) => pi.entropy()),
  "squashed Gaussian, KL and mode": gaussian((pi, x) =>
    beside(pi.mode(), pi.kl(squashedGaussian(x, { std: add(square(x), 1) }, pi.bounds))),
  ),

  "multi-head attention": fc
    .tuple(rows, dims(4), fc.constantFrom(1, 2), fc.boolean(), fc.boolean())
    .map(([lead, [L, S, keySize, valueSize], heads, masked, perRow]): Case => {
      const layer = multiHeadAttention("a", { size: 2 * heads, heads, keySize, valueSize });
      const layout = layoutOf(layer);
      return {
        inputs: [
          float(layout.size),
          float(...lead, L!, 2 * heads),
          float(...lead, S!, keySize!),
          float(...lead, S!, valueSize!),
          { shape: [...(perRow ? lead : []), L!, S!], kind: "bool" },
        ],
        build: ([params, query, key, value, mask]) => {
          const inputs = { query: query!, key: key!, value: value!, ...(masked ? { mask: mask! } : {}) };
          const { output, weights } = layer.forward(layout.unpack(half(params!)), inputs);
          return add(output, sum(square(weights)));
        },
      };
    }),
  "multi-head attention of stacked agents": dims(4).map(([n, B, L, S]): Case => {
    const layer = multiHeadAttention("a", { size: 2, heads: 2 });
    const layout = layoutOf(layer);
    return {
      inputs: [float(n!, layout.size), float(B!, n!, L!, 2), float(B!, n!, S!, 2)],
      build: ([params, query, key]) =>
        layer.forward(layout.unpack(half(params!)), { query: query!, key: key!, value: key! }).output,
    };
  }),
  "importance weights": fc.tuple(rows, dims(3), dim).map(([lead, [stateSize, actionSize, agents], heads]) => {
    const net = importanceWeights("w", {
      stateSize: stateSize!,
      actionSize: actionSize!,
      agents: agents!,
      heads,
    });
    const layout = layoutOf(net);
    return {
      inputs: [float(layout.size), float(...lead, stateSize!), float(...lead, actionSize!)],
      build: ([params, state, action]) => net.forward(layout.unpack(half(params!)), state!, action!),
    };
  }),
  "agent attention": fc
    .tuple(rows, dims(3), fc.boolean(), fc.boolean())
    .map(([lead, [stateSize, featureSize, agents], weightedHeads, masked]): Case => {
      const net = agentAttention("w", {
        stateSize: stateSize!,
        featureSize: featureSize!,
        heads: 2,
        embedSize: 3,
        hiddenSize: 3,
        weightedHeads,
      });
      const layout = layoutOf(net);
      return {
        inputs: [
          float(layout.size),
          float(...lead, stateSize!),
          float(...lead, agents!, featureSize!),
          { shape: [...lead, agents!], kind: "bool" },
        ],
        build: ([params, state, features, mask]) => {
          const inputs = { state: state!, features: features!, ...(masked ? { mask: mask! } : {}) };
          const { weights, logits } = net.forward(layout.unpack(half(params!)), inputs);
          return add(weights, sum(square(logits), -2));
        },
      };
    }),

  polyak: fc.tuple(dims(2), fc.constantFrom(0.005, 0.5)).map(([[n, P], tau]) => ({
    inputs: [float(n!, P!), float(P!), float(n!, P!), float(P!)],
    build: ([a, b, c, d]) => {
      const { x, y } = polyak({ x: a!, y: b! }, { x: c!, y: d! }, tau);
      return square(add(x, y));
    },
  })),
  "RMSprop of stacked agents": stepCase(rmsprop({ weightDecay: 0.1 }), ["positive"], ["v"]),
  "RMSprop, centred, momentum": stepCase(
    rmsprop({ centered: true, momentum: 0.9, alpha: 0.9, epsilon: 0.01 }),
    ["positive", "float", "float"],
    ["v", "mean", "velocity"],
    // kept small, so that the variance v − mean² is positive
    0.02,
  ),
  "Adam of stacked agents": stepCase(adam({ epsilon: 0.01 }), ["float", "positive"], ["m", "v"]),
  "clipping by each agent's norm": dims(2).map(([n, P]) => ({
    inputs: [float(n!, P!)],
    build: ([x]) => {
      const { gradient, norm } = clipGlobalNorm(x!, 0.7, { axes: -1 });
      return beside(gradient, norm);
    },
  })),
  "value normaliser of stacked agents": dims(2).map(([n, B]) => ({
    inputs: [float(n!, B!), positive(n!, B!)],
    build: ([x, weights]) => {
      const normalizer = valueNormalizer({ beta: 0.9 });
      const start = Array.from({ length: n! }, (_, i) => [0.1 * i, 0.5 + i, 0.6]).flat();
      const before = { statistics: constant(arrayFrom([n!, 3], "float64", start)) };
      return normalizer.normalize(normalizer.update(before, x!, weights!), x!);
    },
  })),
  PopArt: fc.tuple(dims(3), fc.boolean()).map(([[n, B, I], stacked]) => {
    const lead = stacked ? [n!] : [];
    return {
      inputs: [float(...lead, I!, 1), float(...lead, ...(stacked ? [1] : []), 1), float(...lead, B!)],
      build: ([weight, bias, targets]) => {
        const statistics = arrayFrom(
          [...lead, 3],
          "float64",
          lead.length === 0
            ? [0.2, 0.9, 0.5]
            : Array.from({ length: n! }, (_, i) => [0.1 * i, 0.5 + i, 0.6]).flat(),
        );
        const before = { statistics: constant(statistics) };
        const { head, state } = popArt({ beta: 0.8 }).update(
          before,
          { weight: weight!, bias: bias! },
          targets!,
        );
        const x = popArt().normalize(state, targets!);
        return concat([reshape(head.weight, [-1]), reshape(head.bias, [-1]), reshape(x, [-1])]);
      },
    };
  }),
};
