import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type NodeModelSpec, nodeModel } from "../../test/onnx/node-model.js";
import { f32 } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { readBytes, readJson } from "../core/files.js";
import { toolbox } from "./builtin.js";
import { executePlan, inProcess } from "./execute.js";
import { type GivenTeam, isGiven } from "./experiment.js";
import { loadExperiment } from "./load.js";
import { planExperiment } from "./plan.js";
import { reportData } from "./report-data.js";

/** Logits of five actions from the first five of eighteen numbers. */
const SPEC: NodeModelSpec = {
  opset: 18,
  inputs: { x: { dtype: "float32", shape: ["rows", 18] } },
  constants: {
    W: f32(
      [18, 5],
      Array.from({ length: 90 }, (_, i) => (i % 6 === 0 ? 1 : 0)),
    ),
  },
  nodes: [{ op: "MatMul", in: ["x", "W"], out: ["y"] }],
  outputs: { y: { dtype: "float32", shape: ["rows", 5] } },
};

const TEXT = `name: compare
environment: mpe/simple_spread
seeds: [3, 4]
threats: { sensors: { channel: observation, epsilon: 0.2 } }
training: { steps: 100, learner: { name: ppo, copies: 4, rolloutSteps: 25, epochs: 1, minibatches: 1, hidden: [4] } }
teams:
  ours: {}
  mine: { policies: [{ file: policies/mine.onnx, head: logits }] }
adversaries:
  fgsm: { attack: fgsm, threat: sensors }
evaluation: { episodes: 3, films: 1 }
`;

let dir: string;
let file: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-given-"));
  file = path.join(dir, "compare.yaml");
  fs.mkdirSync(path.join(dir, "policies"));
  fs.writeFileSync(path.join(dir, "policies", "mine.onnx"), nodeModel(SPEC));
  fs.writeFileSync(file, TEXT);
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const { registries } = toolbox;
const load = (...overrides: string[]) => loadExperiment(file, overrides, registries);

describe("a team of policy files in an experiment", () => {
  it("is found beside the experiment, described, and the same node for every seed", async () => {
    const experiment = await load();
    const mine = experiment.teams[1] as GivenTeam;
    expect(mine).toMatchObject({
      name: "mine",
      description: "mine.onnx: 90 weights, logits, sampled",
      threat: null,
      policies: [{ file: path.join(dir, "policies", "mine.onnx"), plays: null }],
    });
    expect(mine.policies[0]!.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(experiment.comparisons).toEqual([
      { team: "mine", against: "ours", adversaries: ["clean", "fgsm"] },
    ]);
    const { nodes } = planExperiment(experiment, registries);
    const given = nodes.filter((n) => n.kind === "given");
    expect(given).toHaveLength(1);
    expect(given[0]!.folder).toBe(`teams/mine-${given[0]!.key.slice(0, 8)}`);
    const cells = nodes.filter((n) => n.kind === "cell" && n.team === "mine");
    expect(cells.map((n) => n.needs)).toEqual(Array(6).fill([given[0]!.key]));
    expect(new Set(cells.map((n) => n.seed))).toEqual(new Set([3, 4]));
  });

  it("has a key made of what is in the file and how it is read, not of its name", async () => {
    const keyOf = async (...overrides: string[]) =>
      planExperiment(await load(...overrides), registries).nodes.find((n) => n.kind === "given")!.key;
    const key = await keyOf();
    fs.copyFileSync(path.join(dir, "policies", "mine.onnx"), path.join(dir, "other.onnx"));
    expect(await keyOf("teams.mine.policies=[{file: other.onnx, head: logits}]")).toBe(key);
    expect(await keyOf("teams.mine.policies=[{file: other.onnx, head: logits, mode: greedy}]")).not.toBe(key);
    fs.writeFileSync(
      path.join(dir, "other.onnx"),
      nodeModel({ ...SPEC, constants: { W: f32([18, 5], new Float32Array(90)) } }),
    );
    expect(await keyOf("teams.mine.policies=[{file: other.onnx, head: logits}]")).not.toBe(key);
  });

  it("stands in the matrix beside trained ones, and is trained for nothing", async () => {
    const root = path.join(dir, "out");
    const plan = planExperiment(await load(), registries);
    const result = await executePlan(plan, root, inProcess(toolbox, root));
    expect(result.failed).toEqual([]);
    const node = plan.nodes.find((n) => n.kind === "given")!;
    expect(fs.readdirSync(path.join(root, node.folder)).sort()).toEqual([
      "policy.onnx",
      "run.json",
      "state.safetensors",
      "timing.json",
    ]);
    expect(readBytes(path.join(root, node.folder, "policy.onnx"))).toEqual(
      readBytes(path.join(dir, "policies", "mine.onnx")),
    );
    const data = reportData(root, registries);
    expect(data.matrix.cells).toHaveLength(4);
    expect(data.matrix.cells.every((c) => c.values.every((v) => v !== null))).toBe(true);
    expect(data.methods[0]).toMatch(
      /^Every team is trained once per seed \(2 seeds\).* The policies of mine were made/,
    );
    expect(data.versions).toContainEqual({
      name: "mine.onnx",
      value: expect.stringMatching(/^SHA-256 [0-9a-f]{16}…$/),
    });
    expect(data.curves.flatMap((c) => c.series.map((s) => s.name))).toEqual(["ours"]);
    // What is there can be reported without the file.
    fs.rmSync(path.join(dir, "policies"), { recursive: true });
    expect(reportData(root, registries).matrix).toEqual(data.matrix);
    expect((readJson(path.join(root, "experiment.json")) as { teams: [] }).teams.map(isGiven)).toEqual([
      false,
      true,
    ]);
  });

  it("that has changed since is refused", async () => {
    const root = path.join(dir, "out");
    const plan = planExperiment(await load(), registries);
    fs.writeFileSync(path.join(dir, "policies", "mine.onnx"), nodeModel({ ...SPEC, opset: 17 }));
    const { failed } = await executePlan(plan, root, inProcess(toolbox, root));
    expect(failed.map((f) => f.error.message)).toEqual([
      `${path.join(dir, "policies", "mine.onnx")}: the file has changed since the experiment began; run the command again.`,
    ]);
  });

  it.each([
    ["teams.mine.policies=[]", "expected a list"],
    ["teams.mine.policies=[none.onnx]", "none.onnx: no such file or directory."],
    ["teams.mine.policies=[{fil: a}]", 'unknown key. Did you mean "file"?'],
    ["teams.mine.policies=[{file: policies/mine.onnx, head: logit}]", 'Did you mean "logits"?'],
    [
      "teams.mine.policies=[policies/mine.onnx]",
      'mine.onnx: got output "y", but group "agents" of mpe/simple_spread_v3 choose one of 5 actions',
    ],
    ["teams.mine.steps=5", "got 5, but a team of policy files is not trained."],
    ["teams.mine.defense=plain", 'got "plain", but a team of policy files is not trained.'],
  ])("%s is one sentence", async (override, message) => {
    const error = await load(override).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(error).toBeInstanceOf(UserError);
    expect(error!.message.split("\n")[0]).toMatch(/^command line, /);
    expect(error!.message).toContain(message);
  });
});
