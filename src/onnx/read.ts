import type { DType, NdArray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { decodeArray, dtypeOf, MAX_RANK, typeName } from "./arrays.js";
import { decodeModel } from "./decode.js";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorShapeProto,
  type ValueInfoProto,
} from "./gen/onnx_pb.js";

/**
 * Reading ONNX files, which come from strangers: whatever the bytes are, the result is a checked structure or one
 * UserError that says what is wrong and where. What is read need not be supported (`support.ts`).
 */

/** An input or output of a model; named dimensions are unknown sizes. */
export interface ModelValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

export type ModelAttribute = number | string | NdArray | ModelGraph | readonly number[] | readonly string[];

export interface ModelNode {
  /** its own name, or a substitute that says where it stands */
  readonly name: string;
  /** "" for ONNX's own operators */
  readonly domain: string;
  readonly opType: string;
  /** "" where an optional input is left out */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, ModelAttribute>>;
}

interface GraphParts {
  readonly name: string;
  readonly initializers: ReadonlyMap<string, NdArray>;
  readonly nodes: readonly ModelNode[];
  /** what the file says about its values, by name; an exporter's hints, not checked */
  readonly declared: ReadonlyMap<string, ModelValue>;
}

/** A graph inside a node (the body of a Scan, a Loop, a branch): it also sees the values around it. */
export interface ModelGraph extends GraphParts {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** An ONNX model, checked: names are unique, and every node uses only what comes before it. */
export interface Model extends GraphParts {
  readonly opset: number;
  /** operator sets other than ONNX's own, with their versions */
  readonly otherOpsets: Readonly<Record<string, number>>;
  readonly irVersion: number;
  readonly producer: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** without those that only give a default by being an initializer too */
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
}

/** Where in which file: for messages, and as a bound on sizes. */
interface Place {
  readonly place: string;
  readonly byteLimit: number;
}

/** Names that ONNX's own operators go by. */
const STANDARD_DOMAINS = new Set(["", "ai.onnx"]);

/** Longer names are no names; messages stay short. */
const MAX_NAME = 1024;

/**
 * Decode and check an ONNX file. Takes at most a gigabyte and 25 bytes for each byte of the file, whatever the bytes
 * are (measured with the worst of each kind; ordinary files take 2 to 3); no array is made that the file does not hold.
 *
 * @param place the file's name, for messages
 * @throws UserError if the bytes are no ONNX model, or a model with external data, local functions, unknown element
 *   types, data that does not fit its shape, or nodes that are not in order
 */
export function readModel(bytes: Uint8Array, place = "model"): Model {
  const proto = decodeModel(bytes, place);
  const { opset, otherOpsets } = readOpsets(proto, place);
  const { graph } = proto;
  if (graph === undefined) throw new UserError(`${place}: not an ONNX model: it has no graph`);
  if (proto.functions.length > 0)
    throw new UserError(`${place}: got a model with local functions, expected plain operators`);
  const at = { place, byteLimit: bytes.length };
  const parts = readParts(graph, at);
  const model: Model = {
    ...parts,
    opset,
    otherOpsets,
    irVersion: Number(proto.irVersion),
    producer: [proto.producerName, proto.producerVersion]
      .filter((text) => text !== "")
      .map((text) => readName(text, `${place}, producer`))
      .join(" "),
    metadata: readMetadata(proto, place),
    inputs: graph.input
      .filter((v) => !parts.initializers.has(v.name))
      .map((v) => requireValue(v, `${place}, input "${shorten(v.name)}"`)),
    outputs: graph.output.map((v) => requireValue(v, `${place}, output "${shorten(v.name)}"`)),
  };
  const names = { inputs: model.inputs.map((v) => v.name), outputs: model.outputs.map((v) => v.name) };
  if (names.outputs.length === 0) throw new UserError(`${place}: not an ONNX model: it has no outputs`);
  if (new Set(names.outputs).size < names.outputs.length)
    throw new UserError(`${place}: got two outputs of one name, expected unique names`);
  checkOrder({ ...parts, ...names }, [], place);
  return model;
}

function readOpsets(
  proto: ModelProto,
  place: string,
): { readonly opset: number; readonly otherOpsets: Record<string, number> } {
  const versions = new Map<string, number>();
  for (const { domain, version } of proto.opsetImport) {
    const key = STANDARD_DOMAINS.has(domain) ? "" : readName(domain, `${place}, operator set`);
    if (versions.has(key)) {
      throw new UserError(`${place}: got two versions of the operator set "${key}", expected one`);
    }
    if (version < 1n || version > 2n ** 31n) {
      throw new UserError(
        `${place}: got version ${version} of the operator set "${key}", expected 1 or more`,
      );
    }
    versions.set(key, Number(version));
  }
  const opset = versions.get("");
  if (opset === undefined) {
    throw new UserError(`${place}: not an ONNX model: it does not say which operator set it uses`);
  }
  versions.delete("");
  return { opset, otherOpsets: Object.fromEntries(versions) };
}

function readMetadata(proto: ModelProto, place: string): Record<string, string> {
  const entries = new Map<string, string>();
  for (const { key, value } of proto.metadataProps) {
    readName(key, `${place}, metadata`);
    if (entries.has(key)) throw new UserError(`${place}, metadata "${shorten(key)}": is given twice`);
    entries.set(key, value);
  }
  return Object.fromEntries(entries);
}

function readParts(graph: GraphProto, at: Place): GraphParts {
  const { place } = at;
  if (graph.sparseInitializer.length > 0)
    throw new UserError(`${place}: got sparse initializers, expected dense ones`);
  const initializers = new Map<string, NdArray>();
  for (const tensor of graph.initializer) {
    const where = `${place}, initializer "${shorten(tensor.name)}"`;
    const value = decodeArray(tensor, at.byteLimit);
    if (typeof value === "string") throw new UserError(`${where}: ${value}`);
    readName(tensor.name, where);
    if (tensor.name === "" || initializers.has(tensor.name))
      throw new UserError(`${where}: expected a unique name`);
    initializers.set(tensor.name, value);
  }
  const nodes = graph.node.map((node, i) => readNode(node, i, at));
  const declared = new Map<string, ModelValue>();
  for (const info of [...graph.valueInfo, ...graph.input, ...graph.output]) {
    const value = readValue(info);
    if (typeof value === "object") declared.set(value.name, value);
  }
  return { name: readName(graph.name, `${place}, graph`), initializers, nodes, declared };
}

/** An input or output of the model must be known in full. */
function requireValue(info: ValueInfoProto, where: string): ModelValue {
  const value = readValue(info);
  if (typeof value === "string") throw new UserError(`${where}: ${value}`);
  readName(info.name, where);
  for (const d of value.shape) if (typeof d === "string") readName(d, where);
  return value;
}

/** @returns the value, or a phrase that says what is wrong with it */
function readValue({ name, type }: ValueInfoProto): ModelValue | string {
  if (type?.value.case !== "tensorType") return "expected a tensor";
  const { elemType, shape } = type.value.value;
  const dtype = dtypeOf(elemType);
  if (dtype === undefined)
    return `got element type ${typeName(elemType)}, expected float32, float64, int32, int64 or bool`;
  if (shape === undefined) return "expected a shape; export the model with static or named sizes";
  const sizes = readShape(shape, name);
  return typeof sizes === "string" ? sizes : { name, dtype, shape: sizes };
}

function readShape({ dim }: TensorShapeProto, name: string): (number | string)[] | string {
  if (dim.length > MAX_RANK) return `got ${dim.length} dimensions, expected at most ${MAX_RANK}`;
  const sizes: (number | string)[] = [];
  for (const [i, { value }] of dim.entries()) {
    if (value.case !== "dimValue") {
      sizes.push(value.case === "dimParam" && value.value !== "" ? value.value : `${name}.${i}`);
      continue;
    }
    if (value.value < 0n || value.value > 2n ** 31n)
      return `got size ${value.value} of dimension ${i}, expected 0 to 2³¹, or a name`;
    sizes.push(Number(value.value));
  }
  return sizes;
}

function readNode(node: NodeProto, index: number, at: Place): ModelNode {
  const name = node.name === "" ? `#${index}` : node.name;
  const where = `${at.place}, node "${shorten(name)}"`;
  for (const text of [name, node.domain, node.opType, ...node.input, ...node.output]) readName(text, where);
  if (node.opType === "") throw new UserError(`${where}: it names no operator`);
  const attributes = new Map<string, ModelAttribute>();
  for (const attribute of node.attribute) {
    readName(attribute.name, where);
    const attributeAt = `${where} (${shorten(node.opType)}), attribute "${shorten(attribute.name)}"`;
    if (attributes.has(attribute.name)) throw new UserError(`${attributeAt}: is given twice`);
    attributes.set(attribute.name, readAttribute(attribute, { ...at, place: attributeAt }));
  }
  return {
    name,
    domain: STANDARD_DOMAINS.has(node.domain) ? "" : node.domain,
    opType: node.opType,
    inputs: node.input,
    outputs: node.output,
    attributes: Object.fromEntries(attributes),
  };
}

function readAttribute(a: AttributeProto, at: Place): ModelAttribute {
  const { place } = at;
  const other = valuesOf(a).find((type) => type !== a.type);
  if (other !== undefined && a.type !== AttributeType.UNDEFINED) {
    throw new UserError(
      `${place}: says it is ${AttributeType[a.type]}, but holds ${AttributeType[other]}, expected one of the two`,
    );
  }
  switch (a.type) {
    case AttributeType.INT:
      return Number(a.i);
    case AttributeType.FLOAT:
      return a.f;
    case AttributeType.STRING:
      return readText(a.s, place);
    case AttributeType.INTS:
      return a.ints.map(Number);
    case AttributeType.FLOATS:
      return a.floats;
    case AttributeType.STRINGS:
      return a.strings.map((s) => readText(s, place));
    case AttributeType.TENSOR: {
      const value = a.t === undefined ? "it has no value" : decodeArray(a.t, at.byteLimit);
      if (typeof value === "string") throw new UserError(`${place}: ${value}`);
      return value;
    }
    case AttributeType.GRAPH: {
      if (a.g === undefined) throw new UserError(`${place}: it has no value`);
      return {
        ...readParts(a.g, at),
        inputs: a.g.input.map((v) => readName(v.name, place)),
        outputs: a.g.output.map((v) => readName(v.name, place)),
      };
    }
    default:
      throw new UserError(
        `${place}: got ${AttributeType[a.type] ?? `type ${a.type}`}, expected numbers, text, a tensor or a graph`,
      );
  }
}

/** The kinds of value that an attribute holds, whatever it says; numbers only where they are not 0. */
function valuesOf(a: AttributeProto): AttributeType[] {
  const held: [AttributeType, boolean][] = [
    [AttributeType.INT, a.i !== 0n],
    [AttributeType.FLOAT, a.f !== 0],
    [AttributeType.STRING, a.s.length > 0],
    [AttributeType.TENSOR, a.t !== undefined],
    [AttributeType.GRAPH, a.g !== undefined],
    [AttributeType.INTS, a.ints.length > 0],
    [AttributeType.FLOATS, a.floats.length > 0],
    [AttributeType.STRINGS, a.strings.length > 0],
  ];
  return held.filter(([, holds]) => holds).map(([type]) => type);
}

function readText(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${place}: its text is not valid UTF-8`);
  }
}

/** Control characters and surrogates; U+FFFD stands for bytes that are not UTF-8. */
const NOT_IN_NAMES = /[\p{Cc}\p{Cs}\u2028\u2029\uFFFD]/u;

function readName(name: string, where: string): string {
  if (name.length > MAX_NAME || NOT_IN_NAMES.test(name)) {
    throw new UserError(
      `${where}: got the name "${shorten(name)}", expected at most ${MAX_NAME} characters of valid UTF-8 without control characters`,
    );
  }
  return name;
}

/** A name as it stands in a message: on one line, at most 60 characters. */
export function shorten(name: string): string {
  const start = name.length > 60 ? `${name.slice(0, 57)}…` : name;
  return start.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, "\uFFFD");
}

/**
 * Every name is defined once and before it is used; outputs exist.
 *
 * @param outer names around a graph inside a node, which it sees: one set for each graph
 */
function checkOrder(graph: ModelGraph, outer: readonly ReadonlySet<string>[], place: string): void {
  const defined = new Set<string>(graph.initializers.keys());
  const define = (name: string, where: string) => {
    if (defined.has(name)) throw new UserError(`${where}: the name "${shorten(name)}" is defined twice`);
    defined.add(name);
  };
  const isKnown = (name: string) => defined.has(name) || outer.some((names) => names.has(name));
  for (const name of graph.inputs) {
    const where = `${place}, input "${shorten(name)}"`;
    if (name === "") throw new UserError(`${where}: expected a name`);
    define(name, where);
  }
  for (const { name, opType, inputs, outputs, attributes } of graph.nodes) {
    const where = `${place}, node "${shorten(name)}" (${shorten(opType)})`;
    for (const input of inputs) {
      if (input === "" || isKnown(input)) continue;
      const why = graph.nodes.some((node) => node.outputs.includes(input))
        ? "is computed later: the graph has a cycle, or its nodes are not in order"
        : "is not defined anywhere";
      throw new UserError(`${where}: its input "${shorten(input)}" ${why}`);
    }
    for (const [key, value] of Object.entries(attributes)) {
      // The set is passed as it is now: the graph sees what comes before its node.
      if (isGraph(value)) checkOrder(value, [...outer, defined], `${where}, attribute "${shorten(key)}"`);
    }
    for (const output of outputs) if (output !== "") define(output, where);
  }
  for (const name of graph.outputs) {
    if (!isKnown(name)) throw new UserError(`${place}, output "${shorten(name)}": no node computes it`);
  }
}

/** True for the attribute that is a graph. */
export function isGraph(value: ModelAttribute): value is ModelGraph {
  return typeof value === "object" && "nodes" in value;
}
