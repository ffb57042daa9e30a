import { describe, expect, it } from "vitest";
import type { NodeModelSpec, ValueSpec } from "../../test/onnx/node-model.js";
import { farthest } from "../../test/support/allclose.js";
import { ask, F, type Given, LINEAR, linear, logSoftmax, play, W } from "../../test/support/policy-models.js";
import { f32, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { BindingOptions } from "./index.js";

describe("inputs", () => {
  it("are known by their names, whatever the spelling, or by being the only one", () => {
    const binding = (inputs: Record<string, ValueSpec>, options: Partial<BindingOptions> = {}) => {
      const [first] = Object.keys(inputs).filter((n) => inputs[n]!.shape.includes(2));
      const node = { op: "MatMul", in: [first!, "W"], out: ["logits"] };
      const { obs, actionMask, agent } = play(linear({ inputs, nodes: [node] }), { options }).config.binding;
      return [obs, actionMask, agent];
    };
    const index: ValueSpec = { dtype: "int64", shape: ["rows"] };
    expect(binding({ x: F("rows", 2) })).toEqual(["x", null, null]);
    expect(binding({ Observation: F("rows", 2) })).toEqual(["Observation", null, null]);
    expect(binding({ agent_id: index, avail_actions: F("rows", 3), obs: F("rows", 2) })).toEqual([
      "obs",
      "avail_actions",
      "agent_id",
    ]);
    // What is left over when all others are known.
    expect(binding({ x: F("rows", 2), mask: { dtype: "bool", shape: ["rows", 3] } })).toEqual([
      "x",
      "mask",
      null,
    ]);
    expect(binding({ x: F("n", 2), y: index }, { inputs: { obs: "x", agent: "y" } })).toEqual([
      "x",
      null,
      "y",
    ]);
  });

  it("of masks are what the environment allows; without masks everything is", () => {
    // logits = obs · W + 10 · mask
    const bytes = (dtype: "float32" | "bool") =>
      linear({
        inputs: { obs: F("rows", 2), mask: { dtype, shape: ["rows", 3] } },
        constants: { W, ten: f32([1], [10]) },
        nodes: [
          { op: "MatMul", in: ["obs", "W"], out: ["x"] },
          { op: "Cast", in: ["mask"], out: ["m"], attrs: { to: 1 } },
          { op: "Mul", in: ["m", "ten"], out: ["extra"] },
          { op: "Add", in: ["x", "extra"], out: ["logits"] },
        ],
      });
    for (const dtype of ["float32", "bool"] as const) {
      const masked = play(bytes(dtype), { hasActionMask: true });
      const p = ask(masked, [[1, 1]], { mask: [1, 0, 1] })
        .rows("logProbs")
        .map(Math.exp);
      expect(
        farthest(
          p,
          [Math.exp(1), 0, Math.exp(-1)].map((x) => x / (Math.E + 1 / Math.E)),
        ),
      ).toBeUndefined();
      const free = play(bytes(dtype));
      expect(farthest(ask(free, [[1, 1]]).rows("logProbs"), logSoftmax([1, 2, -1]))).toBeUndefined();
    }
    // A file that knows no masks obeys them all the same.
    const p = ask(play(linear(), { hasActionMask: true }), [[1, 1]], { mask: [1, 0, 1] });
    expect(p.rows("mode")).toEqual([0]);
  });

  it("of agents are indices, columns of indices, or one-hot", () => {
    const table = f32([2, 3], [1, 0, 0, 0, 0, 4]);
    const cases: [ValueSpec, NodeModelSpec["nodes"]][] = [
      [{ dtype: "int64", shape: ["rows"] }, [{ op: "Gather", in: ["table", "agent"], out: ["own"] }]],
      [
        { dtype: "int32", shape: ["rows", 1] },
        [
          { op: "Squeeze", in: ["agent", "axis"], out: ["flat"] },
          { op: "Gather", in: ["table", "flat"], out: ["own"] },
        ],
      ],
      [F("rows", 2), [{ op: "MatMul", in: ["agent", "table"], out: ["own"] }]],
    ];
    for (const [agent, nodes] of cases) {
      const policy = play(
        linear({
          inputs: { obs: F("rows", 2), agent },
          constants: { W, table, axis: ndarray("int64", [1], BigInt64Array.of(1n)) },
          nodes: [
            { op: "MatMul", in: ["obs", "W"], out: ["x"] },
            ...nodes,
            { op: "Add", in: ["x", "own"], out: ["logits"] },
          ],
        }),
      );
      const two = ask(
        policy,
        [
          [1, 1],
          [1, 1],
        ],
        { agent: [1, 0] },
      );
      expect(
        farthest(two.rows("logProbs"), [...logSoftmax([1, 2, 3]), ...logSoftmax([2, 2, -1])]),
      ).toBeUndefined();
    }
  });

  it("with a dimension of steps get one step at a time, in either order", () => {
    for (const shape of [
      ["rows", 1, 2],
      [1, "rows", 2],
      ["batch", "time", 2],
      ["seq_len", "n", 2],
    ] as const) {
      const policy = play(
        linear({ inputs: { obs: F(...shape) }, outputs: { logits: F(shape[0], shape[1], 3) } }),
      );
      const { rows } = ask(policy, [
        [1, 1],
        [0, 3],
      ]);
      expect(
        farthest(rows("logProbs"), [...logSoftmax([1, 2, -1]), ...logSoftmax([0, 6, 0])]),
      ).toBeUndefined();
    }
  });
});

describe("what does not fit is one sentence", () => {
  const index: ValueSpec = { dtype: "int64", shape: ["rows"] };
  const cases: [string, Partial<NodeModelSpec>, Given, string][] = [
    [
      "another size",
      { inputs: { obs: F("rows", 7) } },
      {},
      'p.onnx, input "obs": got float32 [rows, 7], expected [rows, 2] for the observation of the group; dimension 1 is 7.',
    ],
    [
      "another rank",
      { inputs: { obs: F(2) } },
      {},
      'p.onnx, input "obs": got float32 [2], expected [rows, 2] for the observation of the group.',
    ],
    [
      "fixed rows",
      { inputs: { obs: F(4, 2) } },
      {},
      'p.onnx, input "obs": got float32 [4, 2], expected a free number of rows; dimension 0 is fixed to 4. Export it with that dimension dynamic.',
    ],
    [
      "several steps at once",
      { inputs: { obs: F("rows", 8, 2) } },
      {},
      'p.onnx, input "obs": got float32 [rows, 8, 2], expected one step at a time; dimension 1 is 8.',
    ],
    [
      "two dimensions that could be the rows",
      { inputs: { obs: F("a", "b", 2) } },
      {},
      'p.onnx, input "obs": got float32 [a, b, 2], where dimensions 0 and 1 could both be the rows. Export them under the names "rows" and "time".',
    ],
    [
      "whole numbers as observations",
      { inputs: { obs: { dtype: "int64", shape: ["rows", 2] } } },
      {},
      'p.onnx, input "obs": got int64, expected float32.',
    ],
    [
      "no observation among several inputs",
      {
        inputs: { x: F("rows", 2), y: F("rows", 2) },
        nodes: [{ op: "MatMul", in: ["x", "W"], out: ["logits"] }],
      },
      {},
      'p.onnx: got inputs "x", "y", expected one called obs; say which it is with input obs=NAME.',
    ],
    [
      "an input that nothing is known of",
      { inputs: { obs: F("rows", 2), extra: F("rows", 4) } },
      {},
      'p.onnx: its input "extra" is no observation, action mask, agent or carried state by its name; say what it is with input actionMask=extra, input agent=extra or state extra=OUTPUT.',
    ],
    [
      "a name that is not there",
      {},
      { options: { inputs: { obs: "obz" } } },
      'p.onnx: got input obs=obz, expected one of its inputs. Did you mean "obs"?',
    ],
    [
      "an output that is not there",
      {},
      { options: { outputs: { logits: "logit" } } },
      'p.onnx: got output logits=logit, expected one of its outputs. Did you mean "logits"?',
    ],
    [
      "a state that is not there",
      {},
      { options: { state: { h: "logits" } } },
      "p.onnx: got state h=logits, expected one of its inputs. Known: obs.",
    ],
    [
      "a mask of another size",
      { inputs: { obs: F("rows", 2), mask: F("rows", 4) } },
      {},
      'p.onnx, input "mask": got float32 [rows, 4], expected [rows, 3] for the action mask of the group; dimension 1 is 4.',
    ],
    [
      "agents of another number",
      { inputs: { obs: F("rows", 2), agent: F("rows", 5) } },
      {},
      'p.onnx, input "agent": got float32 [rows, 5], expected an index, int64 [rows], or one-hot [rows, 2] for the group.',
    ],
    [
      "a state without fixed size",
      {
        inputs: { obs: F("rows", 2), h: F("rows", "units") },
        nodes: [...LINEAR.nodes, { op: "Identity", in: ["h"], out: ["next_h"] }],
        outputs: { ...LINEAR.outputs, next_h: F("rows", "units") },
      },
      {},
      'p.onnx, input "h": got float32 [rows, units], expected a fixed size but for the rows; dimension 1 is "units".',
    ],
    [
      "a next state of another shape",
      {
        inputs: { obs: F("rows", 2), h: F("rows", 4) },
        nodes: [...LINEAR.nodes, { op: "Identity", in: ["obs"], out: ["next_h"] }],
        outputs: { ...LINEAR.outputs, next_h: F("rows", 2) },
      },
      {},
      'p.onnx, output "next_h": got [N, 2], expected the shape of its carried state, [N, 4].',
    ],
    [
      "another number of actions",
      {},
      { action: { kind: "discrete", n: 5 } },
      'p.onnx, output "logits": got float32 [N, 3], expected float32 [N, 5] (one per action): the group choose one of 5 actions.',
    ],
    [
      "an output without a telling name",
      { nodes: [{ op: "MatMul", in: ["obs", "W"], out: ["y"] }], outputs: { y: F("rows", 3) } },
      {},
      'p.onnx: got output "y", but the group choose one of 3 actions: expected logits or probabilities or q-values; say what it is with head logits, probabilities, q-values.',
    ],
    [
      "several such outputs, with and without a head",
      {
        nodes: [
          { op: "MatMul", in: ["obs", "W"], out: ["y"] },
          { op: "Neg", in: ["y"], out: ["z"] },
        ],
        outputs: { y: F("rows", 3), z: F("rows", 3) },
      },
      { options: { head: "logits" } },
      'p.onnx: got outputs "y", "z" for head logits; say which it is with output logits=NAME.',
    ],
    [
      "the chosen action of a discrete policy",
      {
        nodes: [
          { op: "MatMul", in: ["obs", "W"], out: ["x"] },
          { op: "ArgMax", in: ["x"], out: ["action"], attrs: { axis: 1, keepdims: 0 } },
        ],
        outputs: { action: index },
      },
      {},
      'p.onnx: its output "action" is the chosen action, which says nothing of the others; the group choose one of 3 actions: expected logits or probabilities or q-values.',
    ],
    [
      "real actions for a discrete group",
      {},
      { options: { head: "gaussian" } },
      "p.onnx: got head gaussian, but the group choose one of 3 actions: expected logits or probabilities or q-values.",
    ],
    [
      "logits for real actions",
      {},
      { action: { kind: "box", low: [0], high: [1] } },
      'p.onnx: got output "logits", but the group choose 1 real number: expected gaussian or action; say what it is with head gaussian, action.',
    ],
    [
      "a mean without a standard deviation",
      { nodes: [{ op: "MatMul", in: ["obs", "W"], out: ["mean"] }], outputs: { mean: F("rows", 3) } },
      { action: { kind: "box", low: [0, 0, 0], high: [1, 1, 1] } },
      'p.onnx: got output "mean" without a standard deviation, expected one called std or log_std; say head action if the policy always plays "mean".',
    ],
    [
      "an output that is the same whatever comes in",
      { nodes: [{ op: "Identity", in: ["W"], out: ["logits"] }], outputs: { logits: F(2, 3) } },
      {},
      "p.onnx: its output has 2 rows whatever the number of observations; export it with a dynamic first dimension.",
    ],
  ];
  it.each(cases)("%s", (_, change, given, message) => {
    let error: unknown;
    try {
      play(linear(change), given);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toBe(message);
  });
});
