/** Models of few nodes, written by hand: what importers are tested with. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { NdArray } from "../../src/core/array.js";
import { encodeArray, onnxTypes } from "../../src/onnx/arrays.js";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type NodeProtoSchema,
  type ValueInfoProtoSchema,
} from "../../src/onnx/gen/onnx_pb.js";

/** An integer, text, a list of either, a tensor; floats are marked, or 1 would be an integer. */
export type Attribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | NdArray
  | { readonly float: number }
  | { readonly floats: readonly number[] };

export interface NodeSpec {
  readonly op: string;
  /** "" leaves an optional input out */
  readonly in: readonly string[];
  /** default: ["y"] */
  readonly out?: readonly string[];
  readonly attrs?: Readonly<Record<string, Attribute>>;
  readonly domain?: string;
}

export interface ValueSpec {
  readonly dtype: NdArray["dtype"];
  readonly shape: readonly (number | string)[];
}

export interface NodeModelSpec {
  readonly opset: number;
  readonly inputs: Readonly<Record<string, ValueSpec>>;
  readonly constants?: Readonly<Record<string, NdArray>>;
  readonly nodes: readonly NodeSpec[];
  readonly outputs: Readonly<Record<string, ValueSpec>>;
}

export function nodeModel({
  opset,
  inputs,
  constants = {},
  nodes,
  outputs,
}: NodeModelSpec): Uint8Array<ArrayBuffer> {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      // The oldest format that knows the operator set.
      irVersion: BigInt(opset > 20 ? 10 : opset > 18 ? 9 : 8),
      opsetImport: [{ domain: "", version: BigInt(opset) }],
      graph: {
        name: "test",
        node: nodes.map(nodeOf),
        initializer: Object.entries(constants).map(([name, array]) => encodeArray(name, array)),
        input: Object.entries(inputs).map(infoOf),
        output: Object.entries(outputs).map(infoOf),
      },
    }),
  );
}

function nodeOf(spec: NodeSpec, index: number): MessageInitShape<typeof NodeProtoSchema> {
  return {
    opType: spec.op,
    name: `${spec.op}_${index}`,
    domain: spec.domain ?? "",
    input: [...spec.in],
    output: [...(spec.out ?? ["y"])],
    attribute: Object.entries(spec.attrs ?? {}).map(([name, value]) => attributeOf(name, value)),
  };
}

function attributeOf(name: string, value: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === "number") return { name, type: AttributeType.INT, i: BigInt(value) };
  if (typeof value === "string")
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if ("floats" in value) return { name, type: AttributeType.FLOATS, floats: [...value.floats] };
  if ("dtype" in value) return { name, type: AttributeType.TENSOR, t: encodeArray("", value) };
  const list = value as readonly (number | string)[];
  if (typeof list[0] === "string") {
    const strings = list.map((s) => new TextEncoder().encode(String(s)));
    return { name, type: AttributeType.STRINGS, strings };
  }
  return { name, type: AttributeType.INTS, ints: list.map((v) => BigInt(v)) };
}

function infoOf([name, { dtype, shape }]: readonly [string, ValueSpec]): MessageInitShape<
  typeof ValueInfoProtoSchema
> {
  const dim = shape.map((d) =>
    typeof d === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(d) } }
      : { value: { case: "dimParam" as const, value: d } },
  );
  return {
    name,
    type: { value: { case: "tensorType", value: { elemType: onnxTypes[dtype], shape: { dim } } } },
  };
}
