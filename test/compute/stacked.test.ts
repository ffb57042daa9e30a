import { describe, expect, it } from "vitest";
import "../support/allclose.js";
import { type DType, type NdArray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { mapTree, type Tree } from "../../src/core/tree.js";
import {
  adam,
  clipGlobalNorm,
  embedding,
  gruCell,
  layoutOf,
  linear,
  mlp,
  type Optimizer,
  type ParamLayout,
  rmsprop,
  sgd,
  stackedLayout,
  unrollCell,
} from "../../src/nn/index.js";
import { createPolicy } from "../../src/policy/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  arrayFrom,
  clip,
  concat,
  exp,
  grad,
  interpret,
  mean,
  minimum,
  mul,
  reshape,
  square,
  sub,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";

/** n stacked agents in one program take the steps that n separate programs take. */

const N = 3;
const B = 4;
const T = 5;
const stream = RandomStream.from(21);
const normal = (...shape: number[]) =>
  arrayFrom(
    shape,
    "float64",
    Array.from({ length: sizeOf(shape) }, () => stream.normal()),
  );
const indices = (below: number, ...shape: number[]) =>
  arrayFrom(
    shape,
    "int32",
    Array.from({ length: sizeOf(shape) }, () => stream.int(below)),
  );

/** A network, its data, and a loss of one agent or, on [n, P] and stacked data, of each of n: shape [] or [n]. */
interface Learning {
  readonly layout: ParamLayout;
  readonly data: Readonly<Record<string, NdArray>>;
  /** axis of the agents in the data; default 0 */
  readonly axis?: number;
  loss(params: Tensor, data: Readonly<Record<string, Tensor>>): Tensor;
}

const clipped = (logProb: Tensor, data: Readonly<Record<string, Tensor>>) => {
  const ratio = exp(sub(logProb, data.oldLogProb!));
  return mul(minimum(mul(ratio, data.advantage!), mul(clip(ratio, 0.8, 1.2), data.advantage!)), -1);
};

function regression(): Learning {
  const ids = embedding("ids", 4, 3);
  const net = mlp("net", { sizes: [5, 6, 2], activation: "tanh", layerNorm: true, inputNorm: true });
  return {
    layout: layoutOf(ids, net),
    data: { x: normal(N, B, 2), id: indices(4, N, B), y: normal(N, B, 2) },
    loss: (params, { x, id, y }) => {
      const named = layoutOf(ids, net).unpack(params);
      const output = net.forward(named, concat([x!, ids.forward(named, id!)], -1));
      return mean(sum(square(sub(output, y!)), -1), -1);
    },
  };
}

function policyGradient(space: "box" | "discrete"): Learning {
  const policy = createPolicy({
    kind: "mlp",
    obsSize: 4,
    space: space === "box" ? { kind: "box", low: [-1, -1], high: [1, 1] } : { kind: "discrete", n: 3 },
    hidden: [6],
    activation: "relu",
    layerNorm: true,
    agentIds: 0,
    actionMask: space === "discrete",
    ignored: [[1, 1]],
    outputGain: 1,
  });
  const masks = Array.from({ length: N * B }, (_, i) => [1, i % 2, 1]).flat();
  return {
    layout: policy.layout,
    data: {
      obs: normal(N, B, 4),
      action: space === "box" ? normal(N, B, 2) : arrayFrom([N, B], "int32", new Array(N * B).fill(2)),
      advantage: normal(N, B),
      oldLogProb: arrayFrom([N, B], "float64", new Array(N * B).fill(space === "box" ? -2.5 : -1)),
      ...(space === "discrete" ? { actionMask: arrayFrom([N, B, 3], "bool", masks) } : {}),
    },
    loss: (params, data) => {
      const inputs = {
        obs: data.obs!,
        ...(data.actionMask === undefined ? {} : { actionMask: data.actionMask }),
      };
      const { distribution } = policy.forward(params, inputs, {});
      return mean(
        sub(clipped(distribution.logProb(data.action!), data), mul(distribution.entropy(), 0.01)),
        -1,
      );
    },
  };
}

function recurrent(): Learning {
  const cell = gruCell("gru", 3, 4);
  const head = linear("head", 4, 1);
  const layout = layoutOf(cell, head);
  return {
    layout,
    axis: 1,
    data: {
      x: normal(T, N, B, 3),
      h: normal(1, N, B, 4),
      starts: arrayFrom(
        [T, N, B],
        "float64",
        Array.from({ length: T * N * B }, (_, i) => (i % 7 === 3 ? 1 : 0)),
      ),
      y: normal(T, N, B, 1),
    },
    loss: (params, { x, h, starts, y }) => {
      const named = layout.unpack(params);
      const { all } = unrollCell(
        cell,
        named,
        cell.project(named, x!),
        reshape(h!, h!.shape.slice(1)),
        starts!,
      );
      const error = square(sub(head.forward(named, all), y!));
      return mean(error, params.shape.length === 2 ? [0, 2, 3] : undefined);
    },
  };
}

type Step = { params: NdArray; state: Record<string, NdArray>; data: Record<string, NdArray> };
type Symbols = { params: Tensor; state: Record<string, Tensor>; data: Record<string, Tensor> };

/** One step down the gradient, each agent's clipped by its own norm. */
const stepOf = (learning: Learning, optimizer: Optimizer, maxNorm: number) => (inputs: Symbols) => {
  const loss = learning.loss(inputs.params, inputs.data);
  const raw = grad(sum(loss), inputs.params);
  const { gradient, norm } = clipGlobalNorm(raw, maxNorm, { axes: -1 });
  return { ...optimizer.step(inputs.params, gradient, inputs.state, 0.05), loss, raw, norm };
};

/** `agent`'s part of an array along an axis, which goes. */
function part(a: NdArray, agent: number, axis: number): NdArray {
  const inner = sizeOf(a.shape.slice(axis + 1));
  const outer = sizeOf(a.shape.slice(0, axis));
  const data = Array.from({ length: outer }, (_, o) => {
    const start = (o * N + agent) * inner;
    return Array.from(a.data.slice(start, start + inner) as ArrayLike<number>);
  }).flat();
  return arrayFrom(
    a.shape.filter((_, i) => i !== axis),
    a.dtype,
    data,
  );
}

const convert = <A extends Tree<NdArray>>(tree: A, to: DType): A =>
  mapTree(tree, (a) =>
    a.dtype === "float32" || a.dtype === "float64" ? arrayFrom(a.shape, to, a.data as Float64Array) : a,
  ) as A;

/** What the last of `count` steps gives, in the float64 interpreter. */
function interpretSteps(step: ReturnType<typeof stepOf>, start: Step, count: number) {
  const once = (inputs: Step) =>
    trace((graph) => {
      const feeds: Record<string, NdArray> = {};
      const symbols = mapTree(inputs as Tree<NdArray>, (a, path) => {
        feeds[path] = a;
        return graph.input(path, a.shape, a.dtype);
      });
      return interpret(step(symbols as unknown as Symbols), feeds);
    });
  let out = once(start);
  for (let k = 1; k < count; k++) {
    out = once({ ...start, params: out.params, state: out.state as Step["state"] });
  }
  return out;
}

const learnings = {
  "MLP with layer normalisation and an embedding": regression,
  "box policy": () => policyGradient("box"),
  "masked discrete policy": () => policyGradient("discrete"),
  "GRU over time": recurrent,
};
const optimizers = {
  "Adam with weight decay": adam({ weightDecay: 0.01 }),
  "RMSprop with momentum, centred": rmsprop({ momentum: 0.9, centered: true, epsilon: 1e-5 }),
  momentum: sgd({ momentum: 0.9 }),
};
const runtime = new Runtime(nodeBackend());

describe.each(Object.entries(learnings))("stacked agents, %s", (_, make) => {
  const learning = make();
  const { layout, data, axis = 0 } = learning;
  const stacked = stackedLayout(layout, N);
  const params = arrayFrom(
    stacked.shape,
    "float64",
    stacked.initial([5, 6, 7].map((seed) => RandomStream.from(seed))),
  );
  const start = (optimizer: Optimizer): Step =>
    convert({ params, state: optimizer.initial(stacked.shape), data }, "float64");
  const alone = (optimizer: Optimizer, agent: number): Step => ({
    params: part(params, agent, 0),
    state: convert(optimizer.initial(layout.size), "float64"),
    data: Object.fromEntries(Object.entries(data).map(([name, a]) => [name, part(a, agent, axis)])),
  });
  // A limit that binds for some agents only.
  const unlimited = interpretSteps(stepOf(learning, sgd(), Infinity), start(sgd()), 1);
  const norms = unlimited.norm.data as Float64Array;
  const maxNorm = (Math.min(...norms) + Math.max(...norms)) / 2;

  it.each(Object.entries(optimizers))("take the steps of separate runs, %s", (_, optimizer) => {
    const step = stepOf(learning, optimizer, maxNorm);
    const together = interpretSteps(step, start(optimizer), 3);
    expect(together.norm.shape).toEqual([N]);
    for (let agent = 0; agent < N; agent++) {
      const separate = interpretSteps(step, alone(optimizer, agent), 3);
      const close = { rtol: 1e-12, atol: 1e-13 };
      for (const name of ["loss", "raw", "norm", "params"] as const) {
        expect(part(together[name], agent, 0), name).toBeAllclose(separate[name], close);
      }
      for (const [name, a] of Object.entries(together.state as Step["state"])) {
        expect(part(a, agent, 0), name).toBeAllclose((separate.state as Step["state"])[name]!, close);
      }
    }
  });

  it("do so in the engine, in float32", () => {
    const step = stepOf(learning, adam(), maxNorm);
    const program = runtime.program("test/stacked", step as never);
    let inputs = convert(start(adam()), "float32");
    const run = () => program.run(inputs as never) as unknown as ReturnType<typeof interpretSteps>;
    let together = run();
    for (let k = 1; k < 3; k++) {
      inputs = { ...inputs, params: together.params, state: together.state as Step["state"] };
      together = run();
    }
    for (let agent = 0; agent < N; agent++) {
      const separate = interpretSteps(step, alone(adam(), agent), 3);
      // Adam divides small gradients by their own size: what rounding does to them it does to the parameters.
      expect(part(together.raw, agent, 0)).toBeAllclose(separate.raw, { rtol: 1e-3, atol: 1e-4 });
      expect(part(together.params, agent, 0)).toBeAllclose(separate.params, { rtol: 1e-3, atol: 1e-3 });
    }
  });
});

describe("stacked layouts", () => {
  const layout = layoutOf(mlp("net", { sizes: [2, 3, 1], activation: "tanh" }));

  it("give each agent what its own stream gives, and views of it", () => {
    const stacked = stackedLayout(layout, 2);
    const params = stacked.initial([RandomStream.from(1), RandomStream.from(2)]);
    expect(stacked.shape).toEqual([2, layout.size]);
    expect(stacked.agent(params, 1)).toEqual(layout.initial(RandomStream.from(2)));
    stacked.agent(params, 1).fill(9);
    expect(params[layout.size - 1]).not.toBe(9);
    expect(params[layout.size]).toBe(9);
  });

  it("name what does not fit", () => {
    expect(() => stackedLayout(layout, 0)).toThrow("got 0 agents, expected an integer ≥ 1");
    const stacked = stackedLayout(layout, 2);
    expect(() => stacked.agent(new Float32Array(2 * layout.size), 2)).toThrow(
      "got agent 2, expected one of 0 … 1",
    );
    expect(() => stacked.initial([RandomStream.from(1)])).toThrow(
      "got 1 streams, expected one for each of 2 agents",
    );
    trace((graph) => {
      const params = layout.unpack(graph.input("params", [2, layout.size], "float32"));
      expect(params["net/hidden0/weight"]!.shape).toEqual([2, 2, 3]);
      expect(params["net/output/bias"]!.shape).toEqual([2, 1, 1]);
      const net = mlp("net", { sizes: [2, 3, 1], activation: "tanh" });
      expect(() => net.forward(params, graph.input("rows", [5, 2], "float32"))).toThrow(
        "linear: input [5, 2] and stacked weight [2, 2, 3] do not fit, expected […, n, B, in] of static sizes and [n, in, out]",
      );
      expect(() => net.forward(params, graph.input("three", [3, 5, 2], "float32"))).toThrow("do not fit");
      expect(() => layout.unpack(graph.input("bad", [2, 3, 4], "float32"))).toThrow(
        "or one for each stacked agent",
      );
      expect(() =>
        layout.replace(graph.input("flat", [layout.size], "float32"), {
          "net/output/bia": params["net/output/bias"]!,
        }),
      ).toThrow('Did you mean "net/output/bias"?');
      expect(() =>
        layout.replace(graph.input("flat2", [layout.size], "float32"), {
          "net/output/bias": params["net/output/bias"]!,
        }),
      ).toThrow('parameter "net/output/bias": got');
    });
  });
});
