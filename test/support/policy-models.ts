/** Policy files written by hand, and what they say of rows of observations. */
import { f32, type NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import type { Tree } from "../../src/core/tree.js";
import type { Space } from "../../src/env/contract.js";
import {
  type ActionMode,
  type BindingOptions,
  importPolicy,
  type OnnxPolicy,
  policyFeed,
  policyFileSchema,
  policyInputs,
  policyState,
  type Team,
} from "../../src/policy/index.js";
import { fixedCasting, Rollout, seatTeam } from "../../src/rollout/index.js";
import { grad, sum, type Tensor } from "../../src/tensor/index.js";
import type { fixtureGames } from "../games/index.js";
import { type NodeModelSpec, nodeModel, type ValueSpec } from "../onnx/node-model.js";
import { createEnvironment, runtime, Trace } from "./rollouts.js";

export const F = (...shape: (number | string)[]): ValueSpec => ({ dtype: "float32", shape });

/** Logits of three actions from two numbers: obs · W. */
export const W = f32([2, 3], [1, 0, -1, 0, 2, 0]);
export const LINEAR: NodeModelSpec = {
  opset: 18,
  inputs: { obs: F("rows", 2) },
  constants: { W },
  nodes: [{ op: "MatMul", in: ["obs", "W"], out: ["logits"] }],
  outputs: { logits: F("rows", 3) },
};
export const linear = (change: Partial<NodeModelSpec> = {}) => nodeModel({ ...LINEAR, ...change });

export interface Given {
  readonly options?: Partial<BindingOptions>;
  readonly action?: Space;
  readonly obsSize?: number;
  readonly agents?: readonly string[];
  readonly hasActionMask?: boolean;
}

export function optionsOf(given: Partial<BindingOptions> = {}): BindingOptions {
  const { file: _, plays: __, ...options } = policyFileSchema.parse({ file: "p.onnx", ...given });
  return options;
}

export function play(bytes: Uint8Array, given: Given = {}): OnnxPolicy {
  const {
    action = { kind: "discrete", n: 3 },
    obsSize = 2,
    agents = ["a", "b"],
    hasActionMask = false,
  } = given;
  const group = { obsSize, action, agents, hasActionMask };
  return importPolicy(bytes, "p.onnx", { name: "the group", group }, optionsOf(given.options));
}

export const parametersOf = (policy: OnnxPolicy) => policy.initialParameters(RandomStream.from(0, "x"));

/** What a policy says of rows: its distribution's numbers, its next state, and the gradient of what it likes best. */
export function ask(
  policy: OnnxPolicy,
  obs: readonly (readonly number[])[],
  more: {
    mask?: readonly number[];
    agent?: readonly number[];
    state?: Tree<NdArray>;
    parameters?: Float32Array;
  } = {},
) {
  const count = obs.length;
  const feed = policyFeed(policy, more.parameters ?? parametersOf(policy), {
    count,
    obs: Float32Array.from(obs.flat()),
    actionMask: more.mask === undefined ? null : Uint8Array.from(more.mask),
    agent: Int32Array.from(more.agent ?? obs.map(() => 0)),
    state: more.state ?? policy.initialState(count),
  });
  const program = runtime.program<typeof feed, Record<string, Tree<Tensor>>>("ask", (inputs) => {
    const { distribution, state, aux } = policy.forward(
      inputs.parameters as Tensor,
      policyInputs(inputs),
      policyState(inputs),
    );
    const liked = sum(distribution.logProb(distribution.mode()));
    const slope = grad(liked, inputs.obs as Tensor);
    return { ...distribution.parameters, ...aux, mode: distribution.mode(), slope, next: state };
  });
  const outputs = program.run(feed) as Record<string, NdArray>;
  const rows = (name: string) => {
    const { data, shape } = outputs[name]!;
    return Array.from(data.subarray(0, (data.length / shape[0]!) * count), Number);
  };
  return { outputs, rows };
}

export const logSoftmax = (x: readonly number[]) => {
  const total = Math.log(x.reduce((s, v) => s + Math.exp(v), 0));
  return x.map((v) => v - total);
};

/** All that the loop shows in forty steps of eight copies: observations, actions, log-probabilities. */
export async function playedBy(team: Team, game: (typeof fixtureGames)[number], mode: ActionMode) {
  const environment = await createEnvironment(game.definition, 8, game.parameters);
  const { actors, actorOfSeat } = seatTeam(runtime, team, environment.spec, mode);
  const trace = new Trace();
  const rollout = new Rollout({
    environment,
    actors,
    cast: fixedCasting(actorOfSeat),
    seed: 3,
    stream: "test",
    recorders: [trace],
  });
  rollout.reset(0);
  for (let t = 0; t < 40; t++) rollout.step();
  return trace.copies.flat(2);
}
