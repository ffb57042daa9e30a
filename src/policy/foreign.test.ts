import { describe, expect, it } from "vitest";
import { fixtureGames } from "../../test/games/index.js";
import { type NodeModelSpec, nodeModel, type ValueSpec } from "../../test/onnx/node-model.js";
import { farthest } from "../../test/support/allclose.js";
import {
  ask,
  F,
  LINEAR,
  linear,
  logSoftmax,
  optionsOf,
  parametersOf,
  play,
  playedBy,
  W,
} from "../../test/support/policy-models.js";
import { createEnvironment, runtime } from "../../test/support/rollouts.js";
import { randomTeam } from "../../test/support/teams.js";
import { f32, type NdArray, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import type { Space } from "../env/contract.js";
import {
  type ActionMode,
  type BindingOptions,
  exportPolicies,
  importTeam,
  type OnnxPolicy,
  PolicyActor,
} from "./index.js";

describe("a policy file of ours", () => {
  it.each(fixtureGames.flatMap((game) => [0, 5].map((recurrent) => ({ ...game, recurrent }))))(
    "plays $definition.id as the policy that it came from, without any option ($recurrent units of memory)",
    async (game) => {
      const { spec } = await createEnvironment(game.definition, 1, game.parameters);
      const team = randomTeam(spec, 1, game.recurrent > 0 ? { recurrent: game.recurrent } : {});
      const files = exportPolicies(runtime, team, {}).map(({ fileName, bytes }) => ({
        bytes,
        place: fileName,
        plays: null,
        options: optionsOf(),
      }));
      const imported = importTeam(spec, files);
      expect(imported.members.map((m) => [m.name, m.group, m.agents])).toEqual(
        team.members.map((m) => [m.name, m.group, m.agents]),
      );
      for (const mode of ["sample", "greedy"] as const) {
        const expected = await playedBy(team, game, mode);
        expect(farthest(await playedBy(imported, game, mode), expected)).toBeUndefined();
      }
    },
  );
});

describe("parameters", () => {
  it("are the file's weights, and the graph around them is the policy", () => {
    const policy = play(linear());
    expect(policy.layout.entries.map(({ name, shape }) => [name, shape])).toEqual([["W", [2, 3]]]);
    expect(parametersOf(policy)).toEqual(W.data);
    const { rows } = ask(policy, [[1, 1]]);
    expect(farthest(rows("logProbs"), logSoftmax([1, 2, -1]))).toBeUndefined();
    const changed = ask(policy, [[1, 1]], { parameters: Float32Array.of(0, 0, 5, 0, 0, 0) });
    expect(farthest(changed.rows("logProbs"), logSoftmax([0, 0, 5]))).toBeUndefined();
  });

  it("may be none", () => {
    const bytes = nodeModel({
      opset: 18,
      inputs: { obs: F("rows", 3) },
      nodes: [{ op: "Tanh", in: ["obs"], out: ["logits"] }],
      outputs: { logits: F("rows", 3) },
    });
    const policy = play(bytes, { obsSize: 3 });
    expect(parametersOf(policy)).toHaveLength(1);
    expect(farthest(ask(policy, [[1, 2, 3]]).rows("logProbs"), logSoftmax([1, 2, 3].map(Math.tanh)))).toBe(
      undefined,
    );
  });

  it("of float64 files are float32 like all others", () => {
    const D = (...shape: (number | string)[]): ValueSpec => ({ dtype: "float64", shape });
    const policy = play(
      linear({
        inputs: { obs: D("rows", 2) },
        constants: { W: ndarray("float64", [2, 3], Float64Array.from(W.data)) },
        outputs: { logits: D("rows", 3) },
      }),
    );
    expect(farthest(ask(policy, [[1, 1]]).rows("logProbs"), logSoftmax([1, 2, -1]))).toBeUndefined();
  });
});

describe("what actions are chosen from", () => {
  const through = (op: string, name: string) => ({
    nodes: [
      { op: "MatMul", in: ["obs", "W"], out: ["x"] },
      { op, in: ["x"], out: [name] },
    ],
    outputs: { [name]: F("rows", 3) },
  });

  it("probabilities are the distribution; through a softmax at rest the gradient still flows", () => {
    const policy = play(linear(through("Softmax", "probs")));
    expect(policy.config.binding).toMatchObject({
      head: { kind: "probabilities", name: "probs" },
      mode: "sample",
    });
    expect(farthest(ask(policy, [[1, 1]]).rows("logProbs"), logSoftmax([1, 2, -1]))).toBeUndefined();
    // Logits 0, 80, 0: the softmax is 0, 1, 0 to the last bit of float32.
    const { rows } = ask(policy, [[0.5, 40]]);
    expect(rows("slope").some((x) => x !== 0)).toBe(true);
    // Probabilities that are made otherwise: 0 and 1 give finite numbers.
    const clipped = nodeModel({
      ...LINEAR,
      constants: { W, low: f32([], [0]), high: f32([], [1]) },
      nodes: [
        { op: "MatMul", in: ["obs", "W"], out: ["x"] },
        { op: "Clip", in: ["x", "low", "high"], out: ["probs"] },
      ],
      outputs: { probs: F("rows", 3) },
    });
    const certain = ask(play(clipped), [[0, 1]]);
    expect(farthest(certain.rows("logProbs").map(Math.exp), [0, 1, 0])).toBeUndefined();
    expect(certain.rows("slope").every(Number.isFinite)).toBe(true);
  });

  it("log-probabilities, logits inside the file and names by option", () => {
    const bytes = linear({
      nodes: [
        { op: "MatMul", in: ["obs", "W"], out: ["x"] },
        { op: "ArgMax", in: ["x"], out: ["choice"], attrs: { axis: 1, keepdims: 0 } },
      ],
      outputs: { choice: { dtype: "int64", shape: ["rows"] } },
    });
    const policy = play(bytes, { options: { outputs: { logits: "x" } } });
    expect(farthest(ask(policy, [[1, 1]]).rows("logProbs"), logSoftmax([1, 2, -1]))).toBeUndefined();
    const logs = play(linear(through("LogSoftmax", "log_probs")));
    expect(farthest(ask(logs, [[1, 1]]).rows("logProbs"), logSoftmax([1, 2, -1]))).toBeUndefined();
  });

  it("Q values are played greedily, attacked through their softmax, and shown", () => {
    const policy = play(linear(through("Identity", "q_values")), { options: { temperature: 2 } });
    expect(policy.deterministic).toBe(true);
    const { rows } = ask(policy, [[1, 1]]);
    expect(farthest(rows("q"), [1, 2, -1])).toBeUndefined();
    expect(farthest(rows("logProbs"), logSoftmax([0.5, 1, -0.5]))).toBeUndefined();
    expect(rows("mode")).toEqual([1]);
    const actions = (p: OnnxPolicy, mode: ActionMode) => {
      const actor = new PolicyActor("p", runtime, p, parametersOf(p), mode);
      const action = new Int32Array(64);
      const streams = Array.from(action, (_, i) => RandomStream.from(0, "act", i));
      actor.act({
        rows: 64,
        obs: new Float32Array(128).fill(0.1),
        actionMask: null,
        agent: new Int32Array(64),
        streams,
        action,
        logProb: new Float32Array(64),
        state: {},
      });
      return new Set(action);
    };
    expect(actions(policy, "sample")).toEqual(new Set([1]));
    // Asked for a softmax, it is one.
    const soft = play(linear(through("Identity", "q_values")), { options: { mode: "sample" } });
    expect(actions(soft, "sample").size).toBe(3);
    expect(actions(soft, "greedy")).toEqual(new Set([1]));
  });

  const box: Space = { kind: "box", low: [-1, -3, -Infinity], high: [1, 3, Infinity] };

  it("Gaussians have a standard deviation or its logarithm, per row or for all", () => {
    const spread = f32([3], [0.1, 0.2, 0.3]);
    for (const [name, values] of [
      ["std", [0.1, 0.2, 0.3]],
      ["log_std", [0.1, 0.2, 0.3].map(Math.exp)],
    ] as const) {
      const shared = play(
        linear({
          constants: { W, spread },
          nodes: [
            { op: "MatMul", in: ["obs", "W"], out: ["mu"] },
            { op: "Identity", in: ["spread"], out: [name] },
          ],
          outputs: { mu: F("rows", 3), [name]: F(3) },
        }),
        { action: box },
      );
      const a = ask(shared, [[1, 1]]);
      expect(farthest(a.rows("mean"), [1, 2, -1])).toBeUndefined();
      expect(farthest(a.outputs.std!.data as Float32Array, values)).toBeUndefined();
      const own = play(
        linear({
          constants: { W, spread, zero: f32([1], [0]) },
          nodes: [
            { op: "MatMul", in: ["obs", "W"], out: ["mu"] },
            { op: "Mul", in: ["mu", "zero"], out: ["none"] },
            { op: "Add", in: ["none", "spread"], out: [name] },
          ],
          outputs: { mu: F("rows", 3), [name]: F("rows", 3) },
        }),
        { action: box },
      );
      const b = ask(own, [
        [1, 1],
        [2, 2],
      ]);
      expect(farthest(b.rows("std"), [...values, ...values])).toBeUndefined();
    }
  });

  it("an action is played as it is, with a σ of a tenth of half its range", () => {
    const policy = play(linear(through("Tanh", "action")), { action: box });
    expect(policy.config.binding).toMatchObject({ head: { kind: "action" }, mode: "greedy" });
    const { outputs, rows } = ask(policy, [[1, 1]]);
    expect(farthest(rows("mode"), [1, 2, -1].map(Math.tanh))).toBeUndefined();
    expect(farthest(outputs.std!, [0.1, 0.3, 0.1])).toBeUndefined();
  });

  it("several choices at once are parts side by side", () => {
    const policy = play(linear(), { action: { kind: "multi-discrete", sizes: [2, 1] } });
    const { rows } = ask(policy, [[1, 1]]);
    expect(farthest(rows("logProbs"), [...logSoftmax([1, 2]), 0])).toBeUndefined();
  });

  it("more than one: logits before probabilities before Q values; the caller's word before any name", () => {
    const bytes = linear({
      nodes: [
        { op: "MatMul", in: ["obs", "W"], out: ["q"] },
        { op: "Neg", in: ["q"], out: ["logits"] },
        { op: "Softmax", in: ["logits"], out: ["probs"] },
        { op: "MatMul", in: ["q", "W2"], out: ["value"] },
      ],
      constants: { W, W2: f32([3, 1], [1, 1, 1]) },
      outputs: { value: F("rows", 1), q: F("rows", 3), probs: F("rows", 3), logits: F("rows", 3) },
    });
    const kind = (options: Partial<BindingOptions>) => play(bytes, { options }).config.binding.head.kind;
    expect(kind({})).toBe("logits");
    expect(kind({ head: "q-values" })).toBe("q-values");
    expect(kind({ outputs: { probabilities: "probs" } })).toBe("probabilities");
  });
});

describe("carried state", () => {
  /** h' = h + obs, logits = h' · W; the state has its rows in the middle, as PyTorch's. */
  const counter = (names: { in: string; out: string }, rows: string | 1 = "rows"): NodeModelSpec => ({
    opset: 18,
    inputs: { obs: F(rows, 2), [names.in]: F(1, rows, 2) },
    constants: { W, axis: ndarray("int64", [1], BigInt64Array.of(0n)) },
    nodes: [
      { op: "Unsqueeze", in: ["obs", "axis"], out: ["step"] },
      { op: "Add", in: [names.in, "step"], out: [names.out] },
      { op: "Squeeze", in: [names.out, "axis"], out: ["flat"] },
      { op: "MatMul", in: ["flat", "W"], out: ["logits"] },
    ],
    outputs: { logits: F(rows, 3), [names.out]: F(1, rows, 2) },
  });

  it("is found by what its next value is called, or by option, and starts at zero", () => {
    for (const [input, output] of [
      ["state", "next/state"],
      ["h", "next_h"],
      ["h", "h_next"],
      ["h_in", "h_out"],
      ["h0", "hn"],
      ["hidden", "new_hidden"],
      ["hx", "hx_out"],
    ] as const) {
      expect(play(nodeModel(counter({ in: input, out: output }))).config.binding.state).toEqual([
        [input, output],
      ]);
    }
    const policy = play(nodeModel(counter({ in: "c", out: "d" })), { options: { state: { c: "d" } } });
    expect(policy.initialState(3)).toEqual({ state0: f32([3, 1, 2], new Float32Array(6)) });
  });

  it.each(["rows", 1] as const)("goes in and comes out row by row, in a file for %s", (exported) => {
    const policy = play(nodeModel(counter({ in: "h", out: "next_h" }, exported)));
    const state = { state0: f32([2, 1, 2], [10, 20, 0, 0]) };
    const { outputs, rows } = ask(
      policy,
      [
        [1, 1],
        [0, 1],
      ],
      { state },
    );
    const next = (outputs as unknown as { next: { state0: NdArray<"float32"> } }).next.state0;
    expect(Array.from(next.data.subarray(0, 4))).toEqual([11, 21, 0, 1]);
    expect(next.shape.slice(1)).toEqual([1, 2]);
    expect(
      farthest(rows("logProbs"), [...logSoftmax([11, 42, -11]), ...logSoftmax([0, 2, 0])]),
    ).toBeUndefined();
  });

  it("cannot be unrolled over episodes by a graph of one step; without state that is no question", () => {
    expect(play(nodeModel(counter({ in: "h", out: "next_h" }))).unroll).toBeUndefined();
    expect(play(linear()).unroll).toBeDefined();
  });
});
