import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { f32 } from "../../src/core/array.js";
import { ModelProtoSchema } from "../../src/onnx/gen/onnx_pb.js";
import { writeModel } from "../../src/onnx/index.js";
import { constant, FREE, linear, logSoftmax, named, tanh, trace } from "../../src/tensor/index.js";
import { dist, ensureBuilt } from "./built.js";

const main = path.join(dist, "cli", "main.js");

let dir: string;
beforeAll(() => {
  ensureBuilt();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-inspect-"));
  const bytes = policy();
  fs.writeFileSync(path.join(dir, "policy.onnx"), bytes);
  const foreign = fromBinary(ModelProtoSchema, bytes);
  foreign.graph!.node[1]!.opType = "Unique";
  foreign.metadataProps[0]!.value = "two\nlines \u001b[31m";
  fs.writeFileSync(path.join(dir, "foreign.onnx"), toBinary(ModelProtoSchema, foreign));
  const external = fromBinary(ModelProtoSchema, bytes);
  external.graph!.initializer[0]!.dataLocation = 1;
  fs.writeFileSync(path.join(dir, "external.onnx"), toBinary(ModelProtoSchema, external));
});
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

/** Two layers; the second weight holds a value that is not finite. */
function policy(): Uint8Array {
  const bytes = trace((graph) => {
    const obs = graph.input("obs", [FREE, 3], "float32");
    const first = named(constant(f32([3, 2], [0.5, -1, 0, 0.25, 2, -0.125])), "w0");
    const second = named(constant(f32([2, 2], [1, 2, 3, Number.NaN])), "w1");
    const hidden = named(tanh(linear(obs, first)), "hidden");
    return writeModel({
      outputs: { logProbs: logSoftmax(linear(hidden, second)) },
      name: "policy/agents",
      metadata: { environment: "mpe/simple_spread_v3" },
    });
  });
  // The names that the test expects, whatever the writer calls its literals.
  const model = fromBinary(ModelProtoSchema, bytes);
  for (const [i, tensor] of model.graph!.initializer.entries()) {
    for (const node of model.graph!.node)
      node.input = node.input.map((name) => (name === tensor.name ? `w${i}` : name));
    tensor.name = `w${i}`;
  }
  return toBinary(ModelProtoSchema, model);
}

function inspect(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "inspect", ...args], {
    cwd: dir,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

describe("phalanx inspect", () => {
  it("shows signature, metadata, parameters, operators and warnings", () => {
    const size = fs.statSync(path.join(dir, "policy.onnx")).size;
    const { status, stdout, stderr } = inspect("policy.onnx");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toBe(`policy.onnx: graph "policy/agents", 10 parameters, 4 nodes
producer phalanx; opset 18; IR version 9; ${size} bytes

inputs:
  obs  float32 [N, 3]

outputs:
  logProbs  float32 [N, 2]

metadata:
  environment  mpe/simple_spread_v3

parameters: 10 in 2 tensors
  name  shape           size  min  max  mean
  w0    float32 [3, 2]  6     −1   2    0.2708
  w1    float32 [2, 2]  4     1    3    2       1 not finite

operators:
  operator    nodes  import          float64 kernel
  Gemm        2      differentiable  yes
  LogSoftmax  1      differentiable  yes
  Tanh        1      differentiable  yes

warning: policy.onnx, parameter "w1": 1 of 4 values are not finite.
`);
  });

  it("shows the nodes with their shapes, open or with a number", () => {
    const open = inspect("policy.onnx", "--nodes").stdout;
    expect(open).toContain("\n\nnodes:\n");
    expect(open).toMatch(/^ {2}hidden +Tanh +float32 \[N, 2\] → float32 \[N, 2\]$/m);
    const fixed = inspect("policy.onnx", "--nodes", "--size", "N=7").stdout;
    expect(fixed).toContain("\nnodes (N = 7):\n");
    expect(fixed).toMatch(/^ {2}hidden +Tanh +float32 \[7, 2\] → float32 \[7, 2\]$/m);
  });

  it("shows a file that cannot be imported, names the operator, and prints no control characters", () => {
    const { status, stdout } = inspect("foreign.onnx");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}Unique +1 +not supported +unknown$/m);
    expect(stdout).toContain('warning: foreign.onnx, node "hidden": operator Unique is not supported.\n');
    expect(stdout).toMatch(/^ {2}environment {2}two lines {2}\[31m$/m);
  });

  it("gives everything as JSON", () => {
    const { status, stdout } = inspect("policy.onnx", "--json");
    expect(status).toBe(0);
    const data = JSON.parse(stdout);
    expect(data).toMatchObject({
      name: "policy/agents",
      opset: 18,
      supported: true,
      nodeCount: { total: 4 },
    });
    expect(data.parameters.tensors[1]).toMatchObject({ shape: [2, 2], nonFinite: 1 });
    expect(data.nodes).toHaveLength(4);
  });

  it("answers mistakes with one sentence and exit code 2", () => {
    const refusal = (...args: string[]) => {
      const { status, stdout, stderr } = inspect(...args);
      expect(status).toBe(2);
      expect(stdout).toBe("");
      return stderr;
    };
    fs.writeFileSync(path.join(dir, "notes.txt"), "hello");
    expect(refusal("none.onnx")).toBe("none.onnx: no such file or directory.\n");
    expect(refusal(".")).toBe(".: is a directory, expected a file.\n");
    expect(refusal("notes.txt")).toBe(
      "notes.txt: not an ONNX file, or a damaged one: its 5 bytes cannot be decoded\n",
    );
    expect(refusal("external.onnx")).toBe(
      'external.onnx, initializer "w0": its data lies in another file (external data), which is not read; save the model as one file\n',
    );
    expect(refusal("policy.onnx", "--size", "M=3")).toBe(
      'policy.onnx, size "M": the inputs have no size of this name. Did you mean "N"?\n',
    );
    expect(refusal("policy.onnx", "--size", "7")).toBe(
      'command line: got "7", expected name=value (for example agents=3).\n',
    );
  });
});
