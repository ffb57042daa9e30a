import { fromBinary } from "@bufbuild/protobuf";
import type { DType, NdArray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { decodeArray, dtypeOf, typeName } from "./arrays.js";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from "./gen/onnx_pb.js";
import { OPSET } from "./write.js";

/**
 * Reading ONNX files, which come from strangers: whatever the bytes are, the result is a checked structure or one
 * UserError that says what is wrong and where.
 */

/** An input or output of a model; named dimensions are unknown sizes. */
export interface ModelValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

export type ModelAttribute = number | string | NdArray | readonly number[] | readonly string[];

export interface ModelNode {
  /** its own name, or a substitute that says where it stands */
  readonly name: string;
  readonly opType: string;
  /** "" where an optional input is left out */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, ModelAttribute>>;
}

/** An ONNX model, checked: names are unique, and every node uses only what comes before it. */
export interface Model {
  readonly opset: number;
  readonly irVersion: number;
  readonly producer: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** without those that only give a default by being an initializer too */
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  readonly initializers: ReadonlyMap<string, NdArray>;
  readonly nodes: readonly ModelNode[];
}

/** Names that ONNX's own operators go by. */
const STANDARD_DOMAINS = new Set(["", "ai.onnx"]);

/**
 * Decode and check an ONNX file.
 *
 * @param place the file's name, for messages
 * @throws UserError if the bytes are no ONNX model, or a model with external data, operators outside the standard
 *   domain, another opset, subgraphs, unknown element types, or nodes that are not in order
 */
export function readModel(bytes: Uint8Array, place = "model"): Model {
  const proto = decode(bytes, place);
  const opset = checkOpset(proto, place);
  const { graph } = proto;
  if (graph === undefined) throw new UserError(`${place}: not an ONNX model: it has no graph`);
  if (proto.functions.length > 0)
    throw new UserError(`${place}: got a model with local functions, expected plain operators`);
  if (graph.sparseInitializer.length > 0) {
    throw new UserError(`${place}: got sparse initializers, expected dense ones`);
  }
  const initializers = readInitializers(graph, bytes.length, place);
  const model: Model = {
    opset,
    irVersion: Number(proto.irVersion),
    producer: proto.producerName,
    name: graph.name,
    metadata: Object.fromEntries(proto.metadataProps.map(({ key, value }) => [key, value])),
    inputs: graph.input.filter((v) => !initializers.has(v.name)).map((v) => readValue(v, "input", place)),
    outputs: graph.output.map((v) => readValue(v, "output", place)),
    initializers,
    nodes: graph.node.map((node, i) => readNode(node, i, bytes.length, place)),
  };
  checkOrder(model, place);
  return model;
}

function decode(bytes: Uint8Array, place: string): ModelProto {
  try {
    const proto = fromBinary(ModelProtoSchema, bytes);
    if (bytes.length > 0) return proto;
  } catch {
    // Said below: what exactly is wrong with the encoding helps nobody.
  }
  throw new UserError(
    `${place}: not an ONNX file, or a damaged one: its ${bytes.length} bytes cannot be decoded`,
  );
}

function checkOpset(proto: ModelProto, place: string): number {
  const standard = proto.opsetImport.find(({ domain }) => STANDARD_DOMAINS.has(domain));
  if (standard === undefined) {
    throw new UserError(`${place}: not an ONNX model: it does not say which operator set it uses`);
  }
  if (standard.version !== BigInt(OPSET)) {
    throw new UserError(
      `${place}: got operator set ${standard.version}, expected ${OPSET}; export it with opset ${OPSET}`,
    );
  }
  return OPSET;
}

function readInitializers(graph: GraphProto, byteLimit: number, place: string): Map<string, NdArray> {
  const out = new Map<string, NdArray>();
  for (const tensor of graph.initializer) {
    const value = decodeArray(tensor, byteLimit);
    if (typeof value === "string") throw new UserError(`${place}, initializer "${tensor.name}": ${value}`);
    if (tensor.name === "" || out.has(tensor.name)) {
      throw new UserError(`${place}, initializer "${tensor.name}": expected a unique name`);
    }
    out.set(tensor.name, value);
  }
  return out;
}

function readValue({ name, type }: ValueInfoProto, role: string, place: string): ModelValue {
  const where = `${place}, ${role} "${name}"`;
  if (type?.value.case !== "tensorType") throw new UserError(`${where}: expected a tensor`);
  const { elemType, shape } = type.value.value;
  const dtype = dtypeOf(elemType);
  if (dtype === undefined) {
    throw new UserError(
      `${where}: got element type ${typeName(elemType)}, expected float32, float64, int32, int64 or bool`,
    );
  }
  if (shape === undefined)
    throw new UserError(`${where}: expected a shape; export the model with static or named sizes`);
  return {
    name,
    dtype,
    shape: shape.dim.map(({ value }, i) => {
      if (value.case === "dimValue") {
        const size = Number(value.value);
        if (size < 0 || size > 2 ** 31) throw new UserError(`${where}: got size ${size} of dimension ${i}`);
        return size;
      }
      return value.case === "dimParam" && value.value !== "" ? value.value : `${name}.${i}`;
    }),
  };
}

function readNode(node: NodeProto, index: number, byteLimit: number, place: string): ModelNode {
  const name = node.name === "" ? `#${index}` : node.name;
  const where = `${place}, node "${name}"`;
  if (!STANDARD_DOMAINS.has(node.domain)) {
    throw new UserError(
      `${where}: got operator "${node.opType}" of domain "${node.domain}", expected standard ONNX operators`,
    );
  }
  if (node.opType === "") throw new UserError(`${where}: it names no operator`);
  const attributes: Record<string, ModelAttribute> = {};
  for (const attribute of node.attribute) {
    const value = readAttribute(attribute, byteLimit);
    if (typeof value === "object" && "problem" in value) {
      throw new UserError(`${where} (${node.opType}), attribute "${attribute.name}": ${value.problem}`);
    }
    attributes[attribute.name] = value;
  }
  return { name, opType: node.opType, inputs: node.input, outputs: node.output, attributes };
}

function readAttribute(a: AttributeProto, byteLimit: number): ModelAttribute | { readonly problem: string } {
  switch (a.type) {
    case AttributeType.INT:
      return Number(a.i);
    case AttributeType.FLOAT:
      return a.f;
    case AttributeType.STRING:
      return new TextDecoder().decode(a.s);
    case AttributeType.INTS:
      return a.ints.map(Number);
    case AttributeType.FLOATS:
      return [...a.floats];
    case AttributeType.STRINGS:
      return a.strings.map((s) => new TextDecoder().decode(s));
    case AttributeType.TENSOR: {
      if (a.t === undefined) return { problem: "it has no value" };
      const value = decodeArray(a.t, byteLimit);
      return typeof value === "string" ? { problem: value } : value;
    }
    default:
      return {
        problem: `got ${AttributeType[a.type] ?? `type ${a.type}`}, expected numbers, text or a tensor`,
      };
  }
}

/** Every name is defined once and before it is used; outputs exist. */
function checkOrder(model: Model, place: string): void {
  const defined = new Set<string>(model.initializers.keys());
  const later = new Set(model.nodes.flatMap((node) => node.outputs));
  const define = (name: string, where: string) => {
    if (defined.has(name)) throw new UserError(`${where}: the name "${name}" is defined twice`);
    defined.add(name);
  };
  for (const { name } of model.inputs) define(name, `${place}, input "${name}"`);
  for (const { name, opType, inputs, outputs } of model.nodes) {
    const where = `${place}, node "${name}" (${opType})`;
    for (const input of inputs) {
      if (input === "" || defined.has(input)) continue;
      const why = later.has(input)
        ? "is computed later: the graph has a cycle, or its nodes are not in order"
        : "is not defined anywhere";
      throw new UserError(`${where}: its input "${input}" ${why}`);
    }
    for (const output of outputs) if (output !== "") define(output, where);
  }
  if (model.outputs.length === 0) throw new UserError(`${place}: not an ONNX model: it has no outputs`);
  for (const { name } of model.outputs) {
    if (!defined.has(name)) throw new UserError(`${place}, output "${name}": no node computes it`);
  }
}
