import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { f32 } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { constant, FREE, linear, named, tanh, trace } from "../tensor/index.js";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  FunctionProtoSchema,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProtoSchema,
  SparseTensorProtoSchema,
  type TensorProto,
  type TensorShapeProto_Dimension,
} from "./gen/onnx_pb.js";
import { importModel, inspectModel, readModel, writeModel } from "./index.js";

/** hidden0 (Gemm), tanh (Tanh), y (Gemm); weights w0 [3, 4], w1 [4, 2]; axis attributes on none. */
function policy(): Uint8Array {
  return trace((graph) => {
    const obs = graph.input("obs", [FREE, 3], "float32");
    const weight = (name: string, rows: number, columns: number) => {
      const values = Array.from({ length: rows * columns }, (_, i) => Math.sin(i + rows));
      return named(constant(f32([rows, columns], values)), name);
    };
    const hidden = named(linear(obs, weight("w0", 3, 4)), "hidden0");
    const y = linear(named(tanh(hidden), "tanh"), weight("w1", 4, 2));
    return writeModel({ outputs: { y }, name: "policy", metadata: { seed: "1" } });
  });
}

function changed(change: (model: ModelProto, graph: NonNullable<ModelProto["graph"]>) => void): Uint8Array {
  const model = fromBinary(ModelProtoSchema, policy());
  change(model, model.graph!);
  return toBinary(ModelProtoSchema, model);
}

/** The first initializer damaged. */
const weight = (change: (tensor: TensorProto) => void) =>
  changed((_, graph) => change(graph.initializer[0]!));

/** The first size of the input. */
const size = (value: DimensionValue) =>
  changed((_, graph) => {
    const { value: type } = graph.input[0]!.type!;
    if (type.case === "tensorType") type.value.shape!.dim[0]!.value = value;
  });

type DimensionValue = TensorShapeProto_Dimension["value"];

/** An attribute more on the first node. */
const attribute = (init: MessageInitShape<typeof AttributeProtoSchema>) =>
  changed((_, graph) => graph.node[0]!.attribute.push(create(AttributeProtoSchema, init) as AttributeProto));

const node = (init: MessageInitShape<typeof NodeProtoSchema>, at = 0) =>
  changed((_, graph) => graph.node.splice(at, 0, fromInit(init)));

function fromInit(init: MessageInitShape<typeof NodeProtoSchema>) {
  return create(GraphProtoSchema, { node: [init] }).node[0]!;
}

/** What reading and importing say. */
function refusal(bytes: Uint8Array): string {
  try {
    trace((graph) => {
      const model = importModel(bytes, "p.onnx");
      model.apply({ obs: graph.input("obs", [FREE, 3], "float32") });
    });
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as UserError).message;
  }
  throw new Error("expected a refusal");
}

const NAME_RULE = "expected at most 1024 characters of valid UTF-8 without control characters";
const DAMAGED = (bytes: Uint8Array) =>
  `p.onnx: not an ONNX file, or a damaged one: its ${bytes.length} bytes cannot be decoded`;

const W0 = 'p.onnx, initializer "_w0"';

describe("a file that is refused when read", () => {
  it.each([
    ["empty", new Uint8Array(0)],
    ["text", new TextEncoder().encode("hello, this is not a model")],
    ["cut off", policy().slice(0, -1)],
    ["an image", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
  ])("%s", (_, bytes) => {
    expect(refusal(bytes)).toBe(DAMAGED(bytes));
    expect(() => inspectModel(bytes, "p.onnx")).toThrow(DAMAGED(bytes));
  });

  it.each([
    ["without a graph", changed((m) => (m.graph = undefined)), "p.onnx: not an ONNX model: it has no graph"],
    [
      "without an operator set",
      changed((m) => (m.opsetImport = [])),
      "p.onnx: not an ONNX model: it does not say which operator set it uses",
    ],
    [
      "with an operator set of negative version",
      changed((m) => (m.opsetImport[0]!.version = -3n)),
      'p.onnx: got version -3 of the operator set "", expected 1 or more',
    ],
    [
      "with two operator sets of one name",
      changed((m) => m.opsetImport.push(m.opsetImport[0]!)),
      'p.onnx: got two versions of the operator set "", expected one',
    ],
    [
      "with local functions",
      changed((m) => m.functions.push(create(FunctionProtoSchema, { name: "f" }))),
      "p.onnx: got a model with local functions, expected plain operators",
    ],
    [
      "with sparse initializers",
      changed((_, g) => g.sparseInitializer.push(create(SparseTensorProtoSchema))),
      "p.onnx: got sparse initializers, expected dense ones",
    ],
    ["without outputs", changed((_, g) => (g.output = [])), "p.onnx: not an ONNX model: it has no outputs"],
    [
      "with one output twice",
      changed((_, g) => g.output.push(g.output[0]!)),
      "p.onnx: got two outputs of one name, expected unique names",
    ],
    [
      "with metadata given twice",
      changed((m) => m.metadataProps.push(m.metadataProps[0]!)),
      'p.onnx, metadata "seed": is given twice',
    ],
    [
      "with external data",
      weight((t) => (t.dataLocation = 1)),
      `${W0}: its data lies in another file (external data), which is not read; save the model as one file`,
    ],
    [
      "with half precision",
      weight((t) => (t.dataType = 10)),
      `${W0}: its element type is FLOAT16, expected one of float32, float64, int32, int64, bool`,
    ],
    [
      "with an element type that does not exist",
      weight((t) => (t.dataType = 99)),
      `${W0}: its element type is type 99, expected one of float32, float64, int32, int64, bool`,
    ],
    [
      "with too little data for a shape",
      weight((t) => (t.rawData = new Uint8Array(4))),
      `${W0}: it has 4 bytes of data, expected 48 for shape [3, 4]`,
    ],
    [
      "with typed data of another length",
      weight((t) => {
        t.rawData = new Uint8Array(0);
        t.floatData = [1, 2];
      }),
      `${W0}: it has 2 elements, expected 12 for shape [3, 4]`,
    ],
    [
      "with a weight of absurd size",
      weight((t) => (t.dims = [1n << 40n, 1n << 40n])),
      `${W0}: its shape [1099511627776, 1099511627776] cannot be that of its data`,
    ],
    [
      "with a weight of negative size",
      weight((t) => (t.dims = [-3n, -4n])),
      `${W0}: its shape [-3, -4] cannot be that of its data`,
    ],
    [
      "with a weight of a hundred dimensions",
      weight((t) => (t.dims = new Array<bigint>(100).fill(1n))),
      `${W0}: it has 100 dimensions, expected at most 64`,
    ],
    [
      "with two initializers of one name",
      changed((_, g) => (g.initializer[1]!.name = "_w0")),
      `${W0}: expected a unique name`,
    ],
    [
      "with an initializer that has no name",
      weight((t) => (t.name = "")),
      'p.onnx, initializer "": expected a unique name',
    ],
    [
      "with an input of absurd size",
      size({ case: "dimValue", value: 1n << 40n }),
      'p.onnx, input "obs": got size 1099511627776 of dimension 0, expected 0 to 2³¹, or a name',
    ],
    [
      "with an input of negative size",
      size({ case: "dimValue", value: -1n }),
      'p.onnx, input "obs": got size -1 of dimension 0, expected 0 to 2³¹, or a name',
    ],
    [
      "with an input without a shape",
      changed((_, g) => {
        const { value } = g.input[0]!.type!;
        if (value.case === "tensorType") value.value.shape = undefined;
      }),
      'p.onnx, input "obs": expected a shape; export the model with static or named sizes',
    ],
    [
      "with an input that is a sequence",
      changed((_, g) => (g.input[0]!.type!.value = { case: undefined })),
      'p.onnx, input "obs": expected a tensor',
    ],
    [
      "with an input of bytes",
      changed((_, g) => {
        const { value } = g.input[0]!.type!;
        if (value.case === "tensorType") value.value.elemType = 2;
      }),
      'p.onnx, input "obs": got element type UINT8, expected float32, float64, int32, int64 or bool',
    ],
    [
      "with one input twice",
      changed((_, g) => g.input.push(g.input[0]!)),
      'p.onnx, input "obs": the name "obs" is defined twice',
    ],
    [
      "with a cycle",
      changed((_, g) => (g.node[0]!.input[0] = "tanh")),
      'p.onnx, node "hidden0" (Gemm): its input "tanh" is computed later: the graph has a cycle, or its nodes are not in order',
    ],
    [
      "with a node that takes its own output",
      changed((_, g) => (g.node[1]!.input[0] = "tanh")),
      'p.onnx, node "tanh" (Tanh): its input "tanh" is computed later: the graph has a cycle, or its nodes are not in order',
    ],
    [
      "with an undefined name",
      changed((_, g) => (g.node[1]!.input[0] = "nowhere")),
      'p.onnx, node "tanh" (Tanh): its input "nowhere" is not defined anywhere',
    ],
    [
      "with a name defined twice",
      changed((_, g) => (g.node[1]!.output[0] = "hidden0")),
      'p.onnx, node "tanh" (Tanh): the name "hidden0" is defined twice',
    ],
    [
      "with a node that redefines an initializer",
      changed((_, g) => (g.node[1]!.output[0] = "_w1")),
      'p.onnx, node "tanh" (Tanh): the name "_w1" is defined twice',
    ],
    [
      "with an output that nothing computes",
      changed((_, g) => (g.output[0]!.name = "elsewhere")),
      'p.onnx, output "elsewhere": no node computes it',
    ],
    [
      "with a node without operator",
      changed((_, g) => (g.node[1]!.opType = "")),
      'p.onnx, node "tanh": it names no operator',
    ],
    [
      "with an attribute given twice",
      changed((_, g) => {
        const a = create(AttributeProtoSchema, { name: "axis", type: AttributeType.INT, i: 1n });
        g.node[1]!.attribute.push(a, a);
      }),
      'p.onnx, node "tanh" (Tanh), attribute "axis": is given twice',
    ],
    [
      "with an attribute that holds another type than it says",
      attribute({ name: "transB", type: AttributeType.INT, s: new Uint8Array([49]) }),
      'p.onnx, node "hidden0" (Gemm), attribute "transB": says it is INT, but holds STRING, expected one of the two',
    ],
    [
      "with an attribute without a type",
      attribute({ name: "transB", i: 1n }),
      'p.onnx, node "hidden0" (Gemm), attribute "transB": got UNDEFINED, expected numbers, text, a tensor or a graph',
    ],
    [
      "with an attribute of a type that means nothing here",
      attribute({ name: "transB", type: AttributeType.TENSORS }),
      'p.onnx, node "hidden0" (Gemm), attribute "transB": got TENSORS, expected numbers, text, a tensor or a graph',
    ],
    [
      "with a tensor attribute that is missing",
      attribute({ name: "value", type: AttributeType.TENSOR }),
      'p.onnx, node "hidden0" (Gemm), attribute "value": it has no value',
    ],
    [
      "with a text attribute that is not UTF-8",
      attribute({ name: "mode", type: AttributeType.STRING, s: Uint8Array.of(0xff, 0xfe) }),
      'p.onnx, node "hidden0" (Gemm), attribute "mode": its text is not valid UTF-8',
    ],
    [
      "with a name of control characters",
      changed((_, g) => (g.node[1]!.name = "two\nlines")),
      `p.onnx, node "two�lines": got the name "two�lines", ${NAME_RULE}`,
    ],
    [
      "with an endless name",
      changed((_, g) => (g.node[1]!.name = "x".repeat(5000))),
      `p.onnx, node "${"x".repeat(57)}…": got the name "${"x".repeat(57)}…", ${NAME_RULE}`,
    ],
  ] as [string, Uint8Array, string][])("%s", (_, bytes, expected) => {
    expect(refusal(bytes)).toBe(expected);
    expect(() => inspectModel(bytes, "p.onnx")).toThrow(expected);
  });

  it("with names that are not UTF-8", () => {
    // The name of the hidden layer, in place, in the node and wherever it is used.
    const bytes = policy();
    const name = new TextEncoder().encode("hidden0");
    for (let i = 0; i + name.length <= bytes.length; i++)
      if (name.every((b, k) => bytes[i + k] === b)) bytes[i] = 0xff;
    expect(refusal(bytes)).toBe(`p.onnx, node "�idden0": got the name "�idden0", ${NAME_RULE}`);
  });

  it("with a field in the form of another one", () => {
    // ir_version is a number; here it is text.
    const bytes = Uint8Array.of((1 << 3) | 2, 1, 65, ...policy());
    expect(refusal(bytes)).toBe(DAMAGED(bytes));
  });
});

describe("a model that can be read but not imported", () => {
  const opset = (version: number) => changed((m) => (m.opsetImport[0]!.version = BigInt(version)));

  it.each([
    [
      "of an operator set that is too old",
      opset(6),
      "p.onnx: got operator set 6, expected 7 to 22; export it with opset 7",
    ],
    [
      "of an operator set that is too new",
      opset(99),
      "p.onnx: got operator set 99, expected 7 to 22; export it with opset 22",
    ],
    [
      "with an operator of another domain",
      changed((m, g) => {
        m.opsetImport.push({ ...m.opsetImport[0]!, domain: "com.example" });
        g.node[1]!.domain = "com.example";
      }),
      'p.onnx, node "tanh": operator Tanh of domain "com.example" is not supported',
    ],
    [
      "with an unknown operator",
      changed((_, g) => (g.node[1]!.opType = "NonMaxSuppression")),
      'p.onnx, node "tanh": operator NonMaxSuppression is not supported',
    ],
    [
      "with an operator that JavaScript's objects have",
      changed((_, g) => (g.node[1]!.opType = "constructor")),
      'p.onnx, node "tanh": operator constructor is not supported',
    ],
    [
      "with an unknown operator inside a loop",
      node(
        {
          opType: "Scan",
          name: "loop",
          input: ["obs"],
          output: ["scanned"],
          attribute: [
            {
              name: "body",
              type: AttributeType.GRAPH,
              g: {
                input: [{ name: "row" }],
                node: [{ opType: "Unique", name: "inner", input: ["row"], output: ["out"] }],
                output: [{ name: "out" }],
              },
            },
          ],
        },
        0,
      ),
      'p.onnx, node "loop", node "inner": operator Unique is not supported',
    ],
  ] as [string, Uint8Array, string][])(
    "%s: inspect shows it, with the sentence as a warning",
    (_, bytes, expected) => {
      expect(refusal(bytes)).toBe(expected);
      const { warnings, supported } = inspectModel(bytes, "p.onnx");
      expect(warnings).toEqual([`${expected}.`]);
      expect(supported).toBe(false);
    },
  );

  it.each([
    [
      "with an attribute it does not know",
      attribute({ name: "gamma", type: AttributeType.INT, i: 1n }),
      'p.onnx, node "hidden0" (Gemm): attribute "gamma" is not supported',
    ],
    [
      "with an attribute of a wrong type",
      attribute({ name: "transB", type: AttributeType.STRING, s: new TextEncoder().encode("yes") }),
      'p.onnx, node "hidden0" (Gemm): attribute "transB" is "yes", expected an integer',
    ],
    [
      "with a flag that is neither 0 nor 1",
      attribute({ name: "transB", type: AttributeType.INT, i: 2n }),
      'p.onnx, node "hidden0" (Gemm): attribute "transB" is 2, expected 0 or 1',
    ],
    [
      "with a node that lacks an input",
      changed((_, g) => g.node[0]!.input.pop()),
      'p.onnx, node "hidden0" (Gemm): input 1 is missing',
    ],
    [
      "with a node that has an input too many",
      changed((_, g) => g.node[1]!.input.push("obs")),
      'p.onnx, node "tanh" (Tanh): input 1 ("obs") is not supported',
    ],
    [
      "with a node that has an output too many",
      changed((_, g) => g.node[1]!.output.push("more")),
      'p.onnx, node "tanh" (Tanh): got 2 outputs, expected 1',
    ],
  ] as [string, Uint8Array, string][])("%s: also inspect says so", (_, bytes, expected) => {
    expect(refusal(bytes)).toBe(expected);
    expect(inspectModel(bytes, "p.onnx").warnings).toEqual([`${expected}.`]);
  });
});

it("a model whose weights do not fit is refused with both shapes", () => {
  expect(refusal(weight((t) => t.dims.reverse()))).toBe(
    'p.onnx, node "hidden0" (Gemm): linear: shapes [N, 3] and [4, 3] do not fit, expected [n, k] and [k, m]',
  );
});

describe("what is read", () => {
  it("has graphs inside nodes, which see the names around them, and those before them only", () => {
    const withBranch = (inner: string) =>
      changed((_, g) => {
        g.node.splice(
          1,
          0,
          fromInit({
            opType: "If",
            name: "choice",
            input: ["obs"],
            output: ["chosen"],
            attribute: [
              {
                name: "then_branch",
                type: AttributeType.GRAPH,
                g: {
                  name: "then",
                  node: [{ opType: "Identity", input: [inner], output: ["out"] }],
                  output: [{ name: "out" }],
                },
              },
            ],
          }),
        );
      });
    const choice = readModel(withBranch("hidden0")).nodes[1]!;
    expect(choice.attributes.then_branch).toMatchObject({
      name: "then",
      inputs: [],
      outputs: ["out"],
      nodes: [{ name: "#0", opType: "Identity", inputs: ["hidden0"] }],
    });
    expect(() => readModel(withBranch("tanh"), "p.onnx")).toThrow(
      'p.onnx, node "choice" (If), attribute "then_branch", node "#0" (Identity): its input "tanh" is not defined anywhere',
    );
  });

  it("keeps attributes and inputs with names that JavaScript's objects have", () => {
    const bytes = changed((_, g) => {
      g.node[1]!.attribute.push(
        create(AttributeProtoSchema, { name: "__proto__", type: AttributeType.INT, i: 1n }),
      );
    });
    expect(Object.keys(readModel(bytes).nodes[1]!.attributes)).toEqual(["__proto__"]);
    const renamed = changed((_, g) => {
      g.input[0]!.name = "constructor";
      g.node[0]!.input[0] = "constructor";
    });
    expect(() => trace(() => importModel(renamed, "p.onnx").apply({}))).toThrow(
      'p.onnx, input "constructor": missing, expected float32 [N, 3]',
    );
  });

  it("has truth values of 0 and 1, whatever bytes stand for them", () => {
    const bytes = weight((t) => {
      t.dataType = 9;
      t.rawData = Uint8Array.from({ length: 12 }, (_, i) => i);
    });
    const { data } = readModel(bytes).initializers.get("_w0")!;
    expect(Array.from(data as Uint8Array)).toEqual([0, ...new Array<number>(11).fill(1)]);
  });

  it("leaves out what the file says wrongly about values inside", () => {
    const bytes = changed((_, g) => {
      g.valueInfo.push(...create(GraphProtoSchema, { valueInfo: [{ name: "tanh" }] }).valueInfo);
    });
    expect([...readModel(bytes).declared.keys()]).toEqual(["obs", "y"]);
  });
});
