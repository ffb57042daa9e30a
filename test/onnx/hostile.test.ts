/**
 * Small files that ask for much: sizes, counts and depths that would take all memory or all time if they were believed.
 * Each ends with a sentence, or is a model that costs in proportion to its bytes.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/core/errors.js";
import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
} from "../../src/onnx/gen/onnx_pb.js";
import { importModel, inspectModel, readModel } from "../../src/onnx/index.js";
import { Graph, grad, sum, trace } from "../../src/tensor/index.js";
import { attribute, int64, value } from "./operator-models.js";

type Node = MessageInitShape<typeof NodeProtoSchema>;
type Literal = MessageInitShape<typeof TensorProtoSchema>;

const { int } = attribute;

/** A model from x, float32 [2, 3], to y. */
function model(node: readonly Node[], initializer: readonly Literal[] = [], opset = 18): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 9n,
      opsetImport: [{ domain: "", version: BigInt(opset) }],
      graph: {
        name: "hostile",
        node: [...node],
        initializer: [...initializer],
        input: [value("x", DataType.FLOAT, [2, 3])],
        output: [value("y", DataType.FLOAT, ["a", "b"])],
      },
    }),
  );
}

/** Apply in a trace. @returns how many tensors that took */
function apply(bytes: Uint8Array): number {
  const graph = new Graph();
  trace(() => {
    const x = graph.input("x", [2, 3], "float32");
    const { y } = importModel(bytes, "hostile.onnx").apply({ x });
    if (y!.dtype === "float32") grad(sum(y!), x);
  }, graph);
  return graph.size;
}

/** The sentence that refuses the model, from applying and from inspecting. */
function refusal(bytes: Uint8Array): string {
  try {
    apply(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    const { message } = error as UserError;
    const { warnings } = inspectModel(bytes, "hostile.onnx");
    expect(warnings).toContain(`${message}.`);
    expect(message).not.toContain("\n");
    expect(message.length).toBeLessThan(1000);
    return message;
  }
  throw new Error("expected a refusal");
}

/** n nodes in a chain, each from what the one before made: x, v1, v2, …, y. */
const chain = (n: number, node: (input: string, output: string) => Node): Node[] =>
  Array.from({ length: n }, (_, i) => node(i === 0 ? "x" : `v${i}`, i === n - 1 ? "y" : `v${i + 1}`));

describe("numbers in a file are not believed", () => {
  it.each([
    ["ConstantOfShape", ["huge"], []],
    ["Expand", ["x", "huge"], []],
    ["Tile", ["x", "huge"], []],
    ["Pad", ["x", "wide"], []],
    ["Reshape", ["x", "huge"], []],
    ["OneHot", ["indices", "depth", "values"], []],
    ["Range", ["zero", "depth", "one"], []],
    ["Range", ["zero", "one", "zero"], []],
    ["Resize", ["x", "", "", "huge"], []],
    ["EyeLike", ["x"], [int("k", 2 ** 40)]],
  ] as [string, string[], Node["attribute"]][])("%s of %j", (opType, input, attributes) => {
    const bytes = model(
      [{ opType, name: "node", input, output: ["y"], attribute: attributes! }],
      [
        int64("huge", [2 ** 40, 2 ** 40]),
        int64("wide", [0, 0, 2 ** 50, 2 ** 52]),
        int64("indices", [0, 1]),
        int64("depth", [2 ** 40], []),
        { name: "values", dataType: DataType.FLOAT, dims: [2n], floatData: [0, 1] },
        int64("zero", [0], []),
        int64("one", [1], []),
      ],
    );
    expect(refusal(bytes)).toMatch(/^hostile\.onnx, node "node"/);
  });

  it("a sum of shapes that doubles forty times", () => {
    const bytes = model([
      { opType: "Shape", name: "shape", input: ["x"], output: ["s0"] },
      ...Array.from({ length: 40 }, (_, i) => ({
        opType: "Concat",
        name: `double${i}`,
        input: [`s${i}`, `s${i}`],
        output: [`s${i + 1}`],
        attribute: [int("axis", 0)],
      })),
      { opType: "ConstantOfShape", name: "node", input: ["s40"], output: ["y"] },
    ]);
    expect(refusal(bytes)).toMatch(/^hostile\.onnx, node/);
  });

  it("a rank that doubles forty times", () => {
    const bytes = model([
      {
        opType: "Cast",
        name: "cast",
        input: ["x"],
        output: ["i"],
        attribute: [int("to", DataType.INT64)],
      },
      ...Array.from({ length: 40 }, (_, i) => ({
        opType: "Gather",
        name: `gather${i}`,
        input: i === 0 ? ["i", "i"] : [`g${i}`, `g${i}`],
        output: [i === 39 ? "y" : `g${i + 1}`],
      })),
    ]);
    expect(refusal(bytes)).toMatch(
      /^hostile\.onnx, node "gather5" \(Gather\): its result has 65 dimensions, expected at most 64$/,
    );
  });

  it("a size that doubles a hundred times", () => {
    const bytes = model(
      chain(100, (input, output) => ({
        opType: "Concat",
        name: output,
        input: [input, input],
        output: [output],
        attribute: [int("axis", 0)],
      })),
    );
    expect(refusal(bytes)).toMatch(/its result has the size \[\d+, 3\], expected at most 2⁵³ elements$/);
  });

  it("a size beside which another one is 0", () => {
    const bytes = model(
      [{ opType: "ConstantOfShape", name: "node", input: ["shape"], output: ["y"] }],
      [int64("shape", [0, 2 ** 62])],
    );
    expect(refusal(bytes)).toBe(
      'hostile.onnx, node "node" (ConstantOfShape): its result has the size [0, 4611686018427388000], expected at most 2⁵³ elements',
    );
  });

  it("a loop of 2⁴⁰ steps is a loop", () => {
    const body = create(GraphProtoSchema, {
      name: "body",
      node: [{ opType: "Tanh", name: "tanh", input: ["state"], output: ["next"] }],
      input: [{ name: "step" }, { name: "go" }, { name: "state" }],
      output: [{ name: "go" }, { name: "next" }],
    });
    const bytes = model(
      [
        {
          opType: "Loop",
          name: "loop",
          input: ["steps", "", "x"],
          output: ["y"],
          attribute: [{ name: "body", type: AttributeType.GRAPH, g: body }],
        },
      ],
      [int64("steps", [2 ** 40], [])],
    );
    expect(apply(bytes)).toBeLessThan(200);
  });
});

describe("work and memory are in proportion to the file", () => {
  it("a chain of 12,000 nodes overflows no stack", () => {
    const bytes = model(
      chain(12_000, (input, output) => ({ opType: "Tanh", name: output, input: [input], output: [output] })),
    );
    expect(apply(bytes)).toBeLessThan(20 * 12_000);
    expect(inspectModel(bytes).nodeCount.total).toBe(12_000);
  });

  it("a literal of a megabyte that 1,000 nodes use is kept once", () => {
    const bytes = model(
      chain(1000, (input, output) => ({
        opType: "Add",
        name: output,
        input: [input, "w"],
        output: [output],
      })),
      [{ name: "w", dataType: DataType.FLOAT, dims: [87_381n, 1n, 3n], rawData: new Uint8Array(1_048_572) }],
    );
    const before = process.memoryUsage().arrayBuffers;
    expect(apply(bytes)).toBeLessThan(20 * 1000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 2 ** 20);
  });

  it("shape arithmetic that makes 4096 numbers in each of 500 nodes", () => {
    const bytes = model(
      [
        ...chain(500, (_, output) => ({
          opType: "ConstantOfShape",
          name: output,
          input: ["shape"],
          output: [`${output}/whole`],
        })),
        { opType: "Tanh", name: "tanh", input: ["x"], output: ["y"] },
      ],
      [int64("shape", [4096])],
    );
    expect(refusal(bytes)).toMatch(
      /^hostile\.onnx, node "v24\d" \(ConstantOfShape\): the model's shape arithmetic takes more than 1,000,000 numbers, expected at most 1,000,000$/,
    );
  });

  it("a split into more parts than outputs", () => {
    const bytes = model(
      [{ opType: "Split", name: "split", input: ["x", "sizes"], output: ["y"], attribute: [int("axis", 0)] }],
      [int64("sizes", [3, ...new Array<number>(3000).fill(0)])],
    );
    expect(refusal(bytes)).toBe(
      'hostile.onnx, node "split" (Split): it splits into 3001 parts, but has 1 outputs',
    );
  });

  it("loops inside loops are traced once each", () => {
    const scan = (body: GraphProto): Node => ({
      opType: "Scan",
      name: "scan",
      input: ["x"],
      output: ["y"],
      attribute: [
        { name: "body", type: AttributeType.GRAPH, g: body },
        { name: "num_scan_inputs", type: AttributeType.INT, i: 1n },
      ],
    });
    const nested = (depth: number): GraphProto =>
      create(GraphProtoSchema, {
        name: "body",
        node: [
          depth === 0
            ? { opType: "Tanh", name: "tanh", input: ["x"], output: ["y"] }
            : scan(nested(depth - 1)),
        ],
        input: [{ name: "x" }],
        output: [{ name: "y" }],
      });
    // As deep as the file's format allows; there are only two dimensions to scan over.
    expect(refusal(model([scan(nested(30))]))).toMatch(/^hostile\.onnx, node "scan" \(Scan\), node "scan"/);
    expect(
      refusal(model([{ opType: "Tanh", name: "t", input: ["x"], output: ["t"] }, scan(nested(3))])),
    ).toContain("node");
  });

  it("messages nested too deeply are refused by that name", () => {
    // A type inside a type inside a type: three bytes for each level.
    let type: Uint8Array = new Uint8Array(0);
    const tagged = (tag: number, bytes: Uint8Array) => {
      const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
      return Uint8Array.from([tag, ...length, ...bytes]);
    };
    for (let i = 0; i < 200; i++) type = tagged((4 << 3) | 2, tagged((1 << 3) | 2, type));
    const bytes = tagged((7 << 3) | 2, tagged((11 << 3) | 2, tagged((2 << 3) | 2, type)));
    expect(() => readModel(bytes, "deep.onnx")).toThrow(
      "deep.onnx: got messages nested more than 100 deep, expected graphs inside graphs at most 33 deep",
    );
  });

  it("a million empty nodes are counted before they are made", () => {
    const empty = new Uint8Array(2_200_000);
    for (let i = 0; i < empty.length; i += 2) empty[i] = (1 << 3) | 2;
    const head = [(7 << 3) | 2, ...varint(empty.length)];
    const bytes = new Uint8Array(head.length + empty.length);
    bytes.set(head);
    bytes.set(empty, head.length);
    expect(() => readModel(bytes, "many.onnx")).toThrow(
      "many.onnx: got more than 1,000,000 nodes, attributes, names and integers, expected at most 1,000,000",
    );
  });

  it("three thousand graphs that each see three thousand names", () => {
    const body = create(GraphProtoSchema, { name: "body", output: [{ name: "x" }] });
    const bytes = model([
      ...Array.from({ length: 3000 }, (_, i) => ({
        opType: "If",
        name: `if${i}`,
        input: ["x"],
        output: [`out${i}`],
        attribute: [{ name: "then_branch", type: AttributeType.GRAPH, g: body }],
      })),
      { opType: "Tanh", name: "tanh", input: ["x"], output: ["y"] },
    ]);
    expect(readModel(bytes).nodes.length).toBe(3001);
    expect(inspectModel(bytes).nodeCount.nestedGraphs).toBe(3000);
  });
});

function varint(n: number): number[] {
  const out: number[] = [];
  for (let rest = n; ; rest >>>= 7) {
    if (rest < 128) return [...out, rest];
    out.push((rest & 127) | 128);
  }
}
