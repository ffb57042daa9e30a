/**
 * Suite `updates`: one training step as one program, a whole PPO update, and inference. A call is what
 * `bench/peers/README.md` says: new parameters exist and the loss has been read.
 */
import { type NdArray, ndarray } from "../src/core/array.js";
import { adam, categorical, clipGlobalNorm, huber, layoutOf, meanSquaredError } from "../src/nn/index.js";
import { type Executor, Runtime } from "../src/runtime/index.js";
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
import { type Case, network, scalarOf, totalOf } from "./cases.js";
import { SharedNumbers, UNIT } from "./numbers.js";

type State = Record<string, NdArray>;

/** Mean squared error, gradient, Adam: all in one program. */
function regression(sizes: readonly number[], batch: number): Case["setup"] {
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
    const numbers = new SharedNumbers();
    let params: NdArray = numbers.parameters(layout);
    let state: State = optimizer.initial(layout.size);
    const x = numbers.draw([batch, sizes[0]!], UNIT);
    const y = numbers.draw([batch, sizes[sizes.length - 1]!], UNIT);
    return () => {
      const out = step.run({ params, state, x, y });
      params = out.params;
      state = out.state;
      return scalarOf(out.loss);
    };
  };
}

interface Learner<T> {
  readonly params: T;
  readonly state: Readonly<Record<string, T>>;
}

/**
 * Ten epochs over 750 samples: an actor and a critic step each, clipped to global norm 10.
 * @param executor all epochs in one run, as learners update, or one run for each
 */
function ppoUpdate(executor: Executor, rows = 750, epochs = 10): Case["setup"] {
  return ({ backend }) => {
    const runtime = new Runtime(backend, { executor });
    const [actorNet, criticNet] = [network("actor", [18, 64, 64, 5]), network("critic", [54, 64, 64, 1])];
    const [actorLayout, criticLayout] = [layoutOf(actorNet), layoutOf(criticNet)];
    const optimizer = adam({ epsilon: 1e-5 });
    const learn = ({ params, state }: Learner<Tensor>, loss: Tensor) =>
      optimizer.step(params, clipGlobalNorm(grad(loss, params), 10).gradient, state, 7e-4);
    const update = runtime.epochs(
      "bench/ppo",
      (step) => {
        const { actor, critic } = step.state as unknown as Record<"actor" | "critic", Learner<Tensor>>;
        const batch = step.data as Record<string, Tensor>;
        const pi = categorical(actorNet.forward(actorLayout.unpack(actor.params), batch.obs!));
        const ratio = exp(sub(pi.logProb(batch.action!), batch.oldLogProb!));
        // Where the clipped term is the smaller one, it has no gradient (as in src/learners/ppo-graph.ts).
        const clipped = stopGradient(clip(ratio, 0.8, 1.2));
        const surrogate = minimum(mul(ratio, batch.advantage!), mul(clipped, batch.advantage!));
        const actorLoss = neg(add(mean(surrogate), mul(mean(pi.entropy()), 0.01)));
        const value = criticNet.forward(criticLayout.unpack(critic.params), batch.globalState!);
        const criticLoss = mean(huber(sub(reshape(value, [rows]), batch.returns!), 10));
        return {
          state: { actor: learn(actor, actorLoss), critic: learn(critic, criticLoss) },
          reports: reshape(add(actorLoss, criticLoss), [1]),
        };
      },
      { epochs, minibatches: 1, reports: ["loss"] },
    );
    const numbers = new SharedNumbers();
    const actorParameters = numbers.parameters(actorLayout);
    const criticParameters = numbers.parameters(criticLayout);
    let state = {
      actor: { params: actorParameters as NdArray, state: optimizer.initial(actorLayout.size) },
      critic: { params: criticParameters as NdArray, state: optimizer.initial(criticLayout.size) },
    };
    const obs = numbers.draw([rows, 18], UNIT);
    const globalState = numbers.draw([rows, 54], UNIT);
    const action = ndarray("int32", [rows], numbers.integers(rows, 5));
    const oldLogProb = runtime
      .program("bench/old", (inputs: { params: Tensor; obs: Tensor; action: Tensor }) =>
        categorical(actorNet.forward(actorLayout.unpack(inputs.params), inputs.obs)).logProb(inputs.action),
      )
      .run({ params: actorParameters, obs, action });
    const data = {
      ...{ obs, globalState, action, oldLogProb },
      advantage: numbers.draw([rows], UNIT),
      returns: numbers.draw([rows], UNIT),
    };
    return () => {
      const result = update.run(state, data, null);
      state = result.state as typeof state;
      return result.totals[0]!;
    };
  };
}

/** Forward pass of 30-64-64-5 through one program that takes any number of rows. */
function inference(rows: number): Case["setup"] {
  return (runtime) => {
    const net = network("net", [30, 64, 64, 5]);
    const layout = layoutOf(net);
    const forward = runtime.program(
      "bench/inference",
      (inputs: { params: Tensor; x: Tensor }) => ({ y: net.forward(layout.unpack(inputs.params), inputs.x) }),
      { freeRows: ["x"] },
    );
    const numbers = new SharedNumbers();
    const inputs = { params: numbers.parameters(layout), x: numbers.draw([rows, 30], UNIT) };
    return Object.assign(() => scalarOf(forward.run(inputs).y), {
      check: () => [totalOf(forward.run(inputs).y)],
    });
  };
}

export const updateCases: readonly Case[] = [
  ...[16, 128, 1024, 4096].map((batch) => ({
    name: `mlp64-b${batch}`,
    setup: regression([30, 64, 64, 5], batch),
  })),
  { name: "mlp256-b512", setup: regression([150, 256, 256, 5], 512) },
  { name: "ppo-750x10", setup: ppoUpdate("whole") },
  { name: "ppo-750x10:ten-runs", setup: ppoUpdate("stepwise") },
  ...[1, 30, 768].map((rows) => ({ name: `infer-${rows}`, setup: inference(rows) })),
];
