import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { f32 } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { constant, FREE, greater, linear, named, scan, sum, tanh, trace, where } from "../tensor/index.js";
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  ValueInfoProtoSchema,
} from "./gen/onnx_pb.js";
import { inspectModel, writeModel } from "./index.js";

/** obs [N, 3] → hidden [N, 2] → y [N, 2] with its negative values cut off. */
function policy(weights: readonly number[] = [1, 2, 3, 4, 5, 6]): Uint8Array {
  return trace((graph) => {
    const obs = graph.input("obs", [FREE, 3], "float32");
    const w = named(constant(f32([3, 2], weights)), "w");
    const hidden = named(tanh(linear(obs, w)), "hidden");
    const y = where(named(greater(hidden, 0), "positive"), hidden, 0);
    return writeModel({ outputs: { y }, name: "policy", metadata: { seed: "7" } });
  });
}

function changed(bytes: Uint8Array, change: (graph: GraphProto, model: ModelProto) => void): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes);
  change(model.graph!, model);
  return toBinary(ModelProtoSchema, model);
}

describe("an inspected policy", () => {
  it("has its signature, metadata and counts", () => {
    const bytes = policy();
    expect(inspectModel(bytes, "p.onnx")).toMatchObject({
      bytes: bytes.length,
      name: "policy",
      producer: "phalanx",
      opset: 18,
      irVersion: 9,
      otherOpsets: {},
      metadata: { seed: "7" },
      inputs: [{ name: "obs", dtype: "float32", shape: ["N", 3] }],
      outputs: [{ name: "y", dtype: "float32", shape: ["N", 2] }],
      nodeCount: { total: 4, nested: 0, nestedGraphs: 0 },
      supported: true,
      sizes: {},
      warnings: [],
    });
  });

  it("lists operators, most frequent first, with what importing makes of them and their float64 kernels", () => {
    const columns = inspectModel(policy()).operators.map((o) => [o.operator, o.count, o.support, o.float64]);
    expect(columns).toEqual([
      ["Gemm", 1, "differentiable", "yes"],
      ["Greater", 1, "no gradient", "yes"],
      ["Tanh", 1, "differentiable", "yes"],
      ["Where", 1, "differentiable", "yes"],
    ]);
    const elu = (opset: bigint) =>
      inspectModel(
        changed(policy(), (graph, model) => {
          model.opsetImport[0]!.version = opset;
          graph.node[1]!.opType = "Elu";
        }),
      ).operators.find((o) => o.operator === "Elu");
    expect(elu(18n)).toMatchObject({ support: "differentiable", float64: "yes" });
    expect(elu(21n)).toMatchObject({ support: "differentiable", float64: "no" });
  });

  it("summarises parameters, and says which values are not finite", () => {
    const { parameters, warnings } = inspectModel(
      policy([1, Number.NaN, -3, Number.POSITIVE_INFINITY, 4, 0]),
      "p.onnx",
    );
    const tensors = parameters.tensors.filter((p) => p.shape.length > 0);
    expect(tensors).toEqual([
      {
        name: expect.stringMatching(/w$/),
        inside: [],
        dtype: "float32",
        shape: [3, 2],
        size: 6,
        min: -3,
        max: 4,
        mean: 0.5,
        nonFinite: 2,
      },
    ]);
    expect(parameters.nonFinite).toBe(2);
    expect(parameters.count).toBe(parameters.tensors.reduce((n, p) => n + p.size, 0));
    expect(warnings).toEqual([
      expect.stringMatching(/^p\.onnx, parameter "_?w": 2 of 6 values are not finite\.$/),
    ]);
    const empty = inspectModel(policy(new Array<number>(6).fill(Number.NaN))).parameters.tensors[0];
    expect(empty).toMatchObject({ min: null, max: null, mean: null, nonFinite: 6 });
  });

  it("has shapes of every node, with open rows, or with a number for them", () => {
    const shapes = (sizes: Record<string, number>) =>
      inspectModel(policy(), "p.onnx", sizes).nodes.map((n) => [n.operator, n.outputs[0]]);
    expect(shapes({})).toEqual([
      ["Gemm", { name: expect.any(String), dtype: "float32", shape: ["N", 2] }],
      ["Tanh", { name: "hidden", dtype: "float32", shape: ["N", 2] }],
      ["Greater", { name: "positive", dtype: "bool", shape: ["N", 2] }],
      ["Where", { name: "y", dtype: "float32", shape: ["N", 2] }],
    ]);
    expect(shapes({ N: 5 }).map(([, value]) => (value as { shape: unknown }).shape)).toEqual(
      new Array(4).fill([5, 2]),
    );
    expect(inspectModel(policy(), "p.onnx", { N: 5 }).sizes).toEqual({ N: 5 });
    expect(inspectModel(policy()).nodes[0]!.inputs.map((v) => v.shape)).toEqual([
      ["N", 3],
      [3, 2],
    ]);
  });

  it("refuses a size that the inputs do not have, and one that is no number", () => {
    expect(() => inspectModel(policy(), "p.onnx", { M: 5 })).toThrow(
      'p.onnx, size "M": the inputs have no size of this name. Did you mean "N"?',
    );
    expect(() => inspectModel(policy(), "p.onnx", { N: -1 })).toThrow(UserError);
    expect(() => inspectModel(policy(), "p.onnx", { N: "five" as never })).toThrow(
      'p.onnx, size "N": got five, expected an integer ≥ 0',
    );
  });
});

describe("an inspected model that is not supported", () => {
  /** Another operator in the middle, with a shape that the exporter left. */
  const foreign = changed(policy(), (graph, model) => {
    model.producerName = "pytorch";
    model.producerVersion = "2.15.0";
    graph.node[1]!.opType = "Unique";
    const declared = create(ValueInfoProtoSchema, { ...graph.output[0]!, name: "hidden" });
    graph.valueInfo.push(declared);
  });

  it("is shown with the shapes that the file declares, and the operator is named with its node", () => {
    const found = inspectModel(foreign, "p.onnx");
    expect(found.producer).toBe("pytorch 2.15.0");
    expect(found.supported).toBe(false);
    expect(found.warnings).toEqual(['p.onnx, node "hidden": operator Unique is not supported.']);
    expect(found.operators.find((o) => o.operator === "Unique")).toEqual({
      operator: "Unique",
      count: 1,
      nested: 0,
      support: "not supported",
      float64: "unknown",
    });
    expect(found.nodes.map((n) => n.outputs[0]!.shape)).toEqual([null, ["N", 2], null, ["N", 2]]);
  });

  it("keeps what importing found out before a node that is refused for what it does", () => {
    const bytes = changed(policy(), (graph) => graph.node[2]!.input.pop());
    const found = inspectModel(bytes, "p.onnx");
    expect(found.supported).toBe(true);
    expect(found.warnings).toEqual(['p.onnx, node "positive" (Greater): input 1 is missing.']);
    expect(found.nodes[1]!.outputs[0]!.shape).not.toBeNull();
    expect(found.nodes[2]!.outputs[0]!.shape).toBeNull();
  });
});

describe("an inspected model with loops", () => {
  const loop = trace((graph) => {
    const xs = graph.input("xs", [4, 2, 3], "float32");
    const w = named(constant(f32([3, 3], new Array<number>(9).fill(0.5))), "w");
    const { carry } = scan({ init: graph.input("state", [2, 3], "float32"), xs }, (state, x) => ({
      carry: tanh(linear(x, w)),
      out: sum(state),
    }));
    return writeModel({ outputs: { last: carry }, name: "loop" });
  });

  it("counts nodes of bodies, and shows where they are", () => {
    const found = inspectModel(loop);
    const { total, nested, nestedGraphs } = found.nodeCount;
    expect(nestedGraphs).toBe(1);
    expect(nested).toBeGreaterThanOrEqual(2);
    expect(total).toBeGreaterThan(nested);
    expect(found.operators.reduce((n, o) => n + o.nested, 0)).toBe(nested);
    const outside = found.nodes.find((n) => n.operator === "Scan" || n.operator === "Loop")!;
    const inside = found.nodes.find((n) => n.operator === "Gemm")!;
    expect(inside.inside).toEqual([outside.name]);
    // What the body takes from around it is known there.
    expect(inside.inputs.map((v) => v.shape)).toContainEqual([3, 3]);
    expect(found.warnings).toEqual([]);
  });

  it("counts the parameters of bodies", () => {
    const bytes = changed(loop, (graph) => {
      const body = graph.node.flatMap((n) => n.attribute).find((a) => a.g !== undefined)!.g!;
      const [w] = graph.initializer.splice(0, 1);
      body.initializer.push(w!);
    });
    const [own] = inspectModel(bytes).parameters.tensors.filter((p) => p.size === 9);
    expect(own!.inside.length).toBe(1);
  });
});

it("names a size that must have a number, and uses 1 for it", () => {
  // Two named sizes: rows can stay open, time cannot.
  const bytes = changed(policy(), (graph) => {
    const { value } = graph.input[0]!.type!;
    if (value.case !== "tensorType") throw new Error("expected a tensor");
    const [rows] = value.value.shape!.dim;
    value.value.shape!.dim = [
      { ...rows!, value: { case: "dimParam", value: "batch" } },
      { ...rows!, value: { case: "dimParam", value: "features" } },
    ];
    graph.node.splice(
      0,
      graph.node.length,
      ...create(GraphProtoSchema, { node: [{ opType: "Exp", name: "exp", input: ["obs"], output: ["y"] }] })
        .node,
    );
  });
  const found = inspectModel(bytes);
  expect(found.sizes).toEqual({ features: 1 });
  expect(found.nodes[0]!.outputs[0]!.shape).toEqual(["batch", 1]);
  expect(inspectModel(bytes, "m", { features: 6 }).nodes[0]!.outputs[0]!.shape).toEqual(["batch", 6]);
});
