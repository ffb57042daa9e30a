/**
 * Benchmark (a): one training step as one program, and inference. The cases are those of `bench/peers/README.md`;
 * a run of a case is one call as defined there: new parameters exist and the loss has been read.
 */
import { f32, type NdArray, ndarray } from "../src/core/array.js";
import { RandomStream } from "../src/core/random.js";
import {
  adam,
  categorical,
  clipGlobalNorm,
  huber,
  type Initializer,
  layoutOf,
  type Module,
  meanSquaredError,
  mlp,
} from "../src/nn/index.js";
import type { Runtime } from "../src/runtime/index.js";
import {
  add,
  clip,
  exp,
  grad,
  mean,
  minimum,
  mul,
  neg,
  reshape,
  stopGradient,
  sub,
  type Tensor,
} from "../src/tensor/index.js";

/** A case of the benchmark: `setup` compiles and warms up, the function it returns does the work once. */
export interface UpdateCase {
  readonly name: string;
  setup(runtime: Runtime): () => void;
}

type State = Record<string, NdArray>;

/** ±1/√(fan-in), as PyTorch's Linear. */
const fanIn: Initializer = (shape, stream, out) => {
  const bound = 1 / Math.sqrt(shape[0]!);
  for (let i = 0; i < out.length; i++) out[i] = stream.uniformIn(-bound, bound);
};

function network(name: string, sizes: readonly number[]): Module {
  return mlp(name, { sizes, activation: "tanh", init: fanIn });
}

function normals(stream: RandomStream, ...shape: number[]): NdArray<"float32"> {
  const size = shape.reduce((a, b) => a * b, 1);
  return f32(
    shape,
    Float32Array.from({ length: size }, () => stream.normal()),
  );
}

let sink = 0;

/** Mean squared error, gradient, Adam: all in one program. */
function regression(sizes: readonly number[], batch: number): UpdateCase["setup"] {
  return (runtime) => {
    const net = network("net", sizes);
    const layout = layoutOf(net);
    const optimizer = adam();
    const step = runtime.program(
      "bench/regression",
      (inputs: { params: Tensor; state: Record<string, Tensor>; x: Tensor; y: Tensor }) => {
        const prediction = net.forward(layout.unpack(inputs.params), inputs.x);
        const loss = meanSquaredError(prediction, inputs.y);
        const next = optimizer.step(inputs.params, grad(loss, inputs.params), inputs.state, 1e-3);
        return { params: next.params, state: next.state, loss };
      },
    );
    const stream = RandomStream.from(0);
    let params: NdArray = f32([layout.size], layout.initial(stream));
    let state: State = optimizer.initial(layout.size);
    const x = normals(stream, batch, sizes[0]!);
    const y = normals(stream, batch, sizes[sizes.length - 1]!);
    return () => {
      const out = step.run({ params, state, x, y });
      params = out.params;
      state = out.state;
      sink = out.loss.data[0] as number;
    };
  };
}

/** Ten epochs over 750 samples: an actor and a critic step each, clipped to global norm 10. */
function ppoUpdate(rows = 750, epochs = 10): UpdateCase["setup"] {
  return (runtime) => {
    const [actorNet, criticNet] = [network("actor", [18, 64, 64, 5]), network("critic", [54, 64, 64, 1])];
    const [actorLayout, criticLayout] = [layoutOf(actorNet), layoutOf(criticNet)];
    const optimizer = adam({ epsilon: 1e-5 });
    const learn = (params: Tensor, state: Readonly<Record<string, Tensor>>, loss: Tensor) =>
      optimizer.step(params, clipGlobalNorm(grad(loss, params), 10).gradient, state, 7e-4);
    const epoch = runtime.program(
      "bench/ppo",
      (inputs: {
        actor: { params: Tensor; state: Record<string, Tensor> };
        critic: { params: Tensor; state: Record<string, Tensor> };
        batch: Record<"obs" | "globalState" | "action" | "oldLogProb" | "advantage" | "returns", Tensor>;
      }) => {
        const { actor, critic, batch } = inputs;
        const pi = categorical(actorNet.forward(actorLayout.unpack(actor.params), batch.obs));
        const ratio = exp(sub(pi.logProb(batch.action), batch.oldLogProb));
        // Where the clipped term is the smaller one, it has no gradient (as in src/learners/ppo-graph.ts).
        const clipped = stopGradient(clip(ratio, 0.8, 1.2));
        const surrogate = minimum(mul(ratio, batch.advantage), mul(clipped, batch.advantage));
        const actorLoss = neg(add(mean(surrogate), mul(mean(pi.entropy()), 0.01)));
        const value = criticNet.forward(criticLayout.unpack(critic.params), batch.globalState);
        const criticLoss = mean(huber(sub(reshape(value, [rows]), batch.returns), 10));
        return {
          actor: learn(actor.params, actor.state, actorLoss),
          critic: learn(critic.params, critic.state, criticLoss),
          loss: add(actorLoss, criticLoss),
        };
      },
    );
    const stream = RandomStream.from(0);
    let actor = {
      params: f32([actorLayout.size], actorLayout.initial(stream)) as NdArray,
      state: optimizer.initial(actorLayout.size),
    };
    let critic = {
      params: f32([criticLayout.size], criticLayout.initial(stream)) as NdArray,
      state: optimizer.initial(criticLayout.size),
    };
    const obs = normals(stream, rows, 18);
    const action = ndarray(
      "int32",
      [rows],
      Int32Array.from({ length: rows }, () => stream.int(5)),
    );
    const oldLogProb = runtime
      .program("bench/old", (inputs: { params: Tensor; obs: Tensor; action: Tensor }) =>
        categorical(actorNet.forward(actorLayout.unpack(inputs.params), inputs.obs)).logProb(inputs.action),
      )
      .run({ params: actor.params, obs, action });
    const batch = {
      obs,
      action,
      oldLogProb,
      globalState: normals(stream, rows, 54),
      advantage: normals(stream, rows),
      returns: normals(stream, rows),
    };
    return () => {
      for (let i = 0; i < epochs; i++) {
        const out = epoch.run({ actor, critic, batch });
        actor = out.actor as typeof actor;
        critic = out.critic as typeof critic;
        sink = out.loss.data[0] as number;
      }
    };
  };
}

/** Forward pass of 30-64-64-5 through one program that takes any number of rows. */
function inference(rows: number): UpdateCase["setup"] {
  return (runtime) => {
    const net = network("net", [30, 64, 64, 5]);
    const layout = layoutOf(net);
    const forward = runtime.program(
      "bench/inference",
      (inputs: { params: Tensor; x: Tensor }) => ({ y: net.forward(layout.unpack(inputs.params), inputs.x) }),
      { freeRows: ["x"] },
    );
    const stream = RandomStream.from(0);
    const inputs = { params: f32([layout.size], layout.initial(stream)), x: normals(stream, rows, 30) };
    return () => {
      sink = forward.run(inputs).y.data[0] as number;
    };
  };
}

export const updateCases: readonly UpdateCase[] = [
  ...[16, 128, 1024, 4096].map((batch) => ({
    name: `mlp64-b${batch}`,
    setup: regression([30, 64, 64, 5], batch),
  })),
  { name: "mlp256-b512", setup: regression([150, 256, 256, 5], 512) },
  { name: "ppo-750x10", setup: ppoUpdate() },
  ...[1, 30, 768].map((rows) => ({ name: `infer-${rows}`, setup: inference(rows) })),
];

/** The last loss read; keeps the work observable. */
export const lastResult = (): number => sink;
