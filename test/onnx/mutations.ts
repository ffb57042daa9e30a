/**
 * Damage to ONNX files, for fuzzing the reader: to the bytes, to the numbers and lengths in the wire format, and to the
 * decoded objects, which stay files that can be decoded.
 */
import { clone, create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { RandomStream } from "../../src/core/random.js";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "../../src/onnx/gen/onnx_pb.js";

export interface Seed {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** One kind of damage: new bytes from a file and, for splices, another one. */
type Damage = (bytes: Uint8Array, stream: RandomStream, other: Uint8Array) => Uint8Array;

const pick = <T>(list: readonly T[], stream: RandomStream): T | undefined =>
  list.length === 0 ? undefined : list[stream.int(list.length)];

const joined = (...parts: Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

function varint(value: bigint): Uint8Array {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    out.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(out);
}

/** Sizes, axes, counts that nobody expects. */
const ODD = [
  0n,
  1n,
  -1n,
  2n,
  7n,
  127n,
  128n,
  1n << 20n,
  1n << 31n,
  (1n << 31n) - 1n,
  1n << 32n,
  1n << 40n,
  1n << 53n,
  1n << 62n,
  (1n << 63n) - 1n,
  -(1n << 63n),
];
const odd = (stream: RandomStream): bigint =>
  stream.int(3) === 0 ? BigInt(stream.int(12)) - 4n : ODD[stream.int(ODD.length)]!;

const bytewise: Readonly<Record<string, Damage>> = {
  flip: (bytes, stream) => {
    const out = bytes.slice();
    for (let k = 1 + stream.int(4); k > 0; k--) out[stream.int(out.length)]! ^= 1 << stream.int(8);
    return out;
  },
  overwrite: (bytes, stream) => {
    const out = bytes.slice();
    for (let k = 1 + stream.int(3); k > 0; k--) out[stream.int(out.length)] = stream.int(256);
    return out;
  },
  truncate: (bytes, stream) => bytes.slice(0, stream.int(bytes.length)),
  cut: (bytes, stream) => {
    const at = stream.int(bytes.length);
    return joined(bytes.slice(0, at), bytes.slice(at + 1 + stream.int(24)));
  },
  repeat: (bytes, stream) => {
    const at = stream.int(bytes.length);
    return joined(bytes.slice(0, at + 1 + stream.int(24)), bytes.slice(at));
  },
  insert: (bytes, stream) => {
    const at = stream.int(bytes.length);
    const noise = Uint8Array.from({ length: 1 + stream.int(8) }, () => stream.int(256));
    return joined(bytes.slice(0, at), noise, bytes.slice(at));
  },
  splice: (bytes, stream, other) =>
    joined(bytes.slice(0, stream.int(bytes.length)), other.slice(stream.int(other.length))),
  /** Two whole files after each other: protobuf merges them. */
  merge: (bytes, _, other) => joined(bytes, other),
};

/** A byte that may be a number or a length becomes another number. */
const varints: Damage = (bytes, stream) => {
  const small: number[] = [];
  // Raw data hides the interesting bytes; the file's ends have most of them.
  for (let k = 0; k < 64; k++) {
    const at = stream.int(2) === 0 ? stream.int(bytes.length) : stream.int(Math.min(400, bytes.length));
    if (bytes[at]! < 64) small.push(at);
  }
  const at = pick(small, stream) ?? 0;
  return joined(bytes.slice(0, at), varint(odd(stream)), bytes.slice(at + 1));
};

/** Changes a decoded model in place; some take parts of another one. */
type Change = (graph: GraphProto, stream: RandomStream, model: ModelProto, other: ModelProto) => void;

const OPERATORS =
  "Add Cast Clip Concat ConstantOfShape CumSum Dropout Einsum Equal Expand Flatten GRU Gather GatherElements GatherND Gemm Identity If LSTM LayerNormalization Loop MatMul Max NonZero OneHot Pad Pow Range ReduceMean ReduceSum Relu Reshape Scan ScatterElements Shape Size Slice Softmax Split Squeeze Sub Tanh Tile TopK Transpose Trilu Unsqueeze Where Xor".split(
    " ",
  );

const NAMES = [
  "",
  "x",
  "__proto__",
  "constructor",
  "toString",
  "a\nb",
  "\uFFFD",
  "é".repeat(600),
  "x".repeat(2000),
];

const nodeOf = (graph: GraphProto, stream: RandomStream) => pick(graph.node, stream);

/** Every value name of the graph. */
const namesOf = (graph: GraphProto): string[] => [
  ...graph.input.map((v) => v.name),
  ...graph.initializer.map((t) => t.name),
  ...graph.node.flatMap((n) => n.output),
];

function changeAttribute(node: NodeProto, stream: RandomStream): void {
  const a = pick(node.attribute, stream);
  if (a === undefined) return;
  switch (stream.int(7)) {
    case 0:
      a.i = odd(stream);
      break;
    case 1:
      a.ints = Array.from({ length: stream.int(5) }, () => odd(stream));
      break;
    case 2:
      a.type = stream.int(15) as AttributeType;
      break;
    case 3:
      a.name = pick([...NAMES, "axis", "perm", "keepdims", "to", "value"], stream)!;
      break;
    case 4:
      a.s = Uint8Array.from({ length: stream.int(6) }, () => stream.int(256));
      break;
    case 5:
      a.f = pick([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e30], stream)!;
      break;
    default:
      node.attribute.push(clone(AttributeProtoSchema, a));
  }
}

function changeTensor(tensor: TensorProto | undefined, stream: RandomStream): void {
  if (tensor === undefined) return;
  switch (stream.int(7)) {
    case 0:
      if (tensor.dims.length > 0) tensor.dims[stream.int(tensor.dims.length)] = odd(stream);
      else tensor.dims.push(odd(stream));
      break;
    case 1:
      tensor.dims = Array.from({ length: stream.int(80) }, () => 1n);
      break;
    case 2:
      tensor.dataType = stream.int(24);
      break;
    case 3:
      tensor.rawData = tensor.rawData.slice(0, stream.int(tensor.rawData.length + 1));
      break;
    case 4:
      tensor.dims.reverse();
      break;
    case 5:
      // Other numbers of the right size: axes, shapes, positions beyond what there is.
      for (let k = 0; k + 8 <= Math.min(64, tensor.rawData.length); k += 8) {
        const data = tensor.rawData.slice();
        new DataView(data.buffer).setBigInt64(k, odd(stream), true);
        tensor.rawData = data;
      }
      tensor.int64Data = tensor.int64Data.map(() => odd(stream));
      break;
    default:
      tensor.dataLocation = 1;
  }
}

function changeValue(graph: GraphProto, stream: RandomStream): void {
  const info = pick([...graph.input, ...graph.output, ...graph.valueInfo], stream);
  if (info?.type?.value.case !== "tensorType") return;
  const { value } = info.type;
  switch (stream.int(5)) {
    case 0:
      value.value.elemType = stream.int(24);
      break;
    case 1:
      value.value.shape = undefined;
      break;
    case 2:
      info.name = pick([...NAMES, ...namesOf(graph)], stream)!;
      break;
    case 3:
      info.type = undefined;
      break;
    default: {
      const dim = pick(value.value.shape?.dim ?? [], stream);
      if (dim === undefined) value.value.shape?.dim.push(...value.value.shape.dim);
      else if (stream.int(2) === 0) dim.value = { case: "dimValue", value: odd(stream) };
      else dim.value = { case: "dimParam", value: pick([...NAMES, "N", "T"], stream)! };
    }
  }
}

/** Some nodes become the body of a node. */
function nest(graph: GraphProto, stream: RandomStream): void {
  const body = create(GraphProtoSchema, {
    name: "body",
    node: graph.node.splice(stream.int(graph.node.length + 1), 1 + stream.int(3)),
    input: [create(ValueInfoProtoSchema, { name: pick(namesOf(graph), stream) ?? "" })],
    output: [create(ValueInfoProtoSchema, { name: pick(namesOf(graph), stream) ?? "" })],
  });
  const outputs = body.node.flatMap((n) => n.output);
  graph.node.push(
    create(NodeProtoSchema, {
      opType: pick(["Scan", "Loop", "If"], stream)!,
      name: "nested",
      input: [pick(namesOf(graph), stream) ?? "", pick(namesOf(graph), stream) ?? ""],
      output: outputs.length === 0 ? ["nested"] : outputs,
      attribute: [
        { name: "body", type: AttributeType.GRAPH, g: body },
        { name: "num_scan_inputs", type: AttributeType.INT, i: BigInt(stream.int(3)) },
      ],
    }),
  );
}

/** What a node in this position may take: inputs, initializers, and what the nodes before it compute. */
const namesBefore = (graph: GraphProto, index: number): string[] => [
  ...graph.input.map((v) => v.name),
  ...graph.initializer.map((t) => t.name),
  ...graph.node.slice(0, index).flatMap((n) => n.output),
];

/** Small numbers as sizes, axes, positions and counts, which operators take seriously. */
const small = (stream: RandomStream): bigint => BigInt(stream.int(9) - 3);

/** Changes after which a file is still in order, so that it gets to the importers. */
const orderly: Readonly<Record<string, Change>> = {
  /** A node takes something else. */
  rewire: (graph, stream) => {
    const index = stream.int(Math.max(1, graph.node.length));
    const { input } = graph.node[index] ?? { input: [] };
    if (input.length > 0) input[stream.int(input.length)] = pick(namesBefore(graph, index), stream) ?? "";
  },
  /** A node does something else. */
  operator: (graph, stream) => {
    const node = nodeOf(graph, stream);
    if (node !== undefined) node.opType = pick(OPERATORS, stream)!;
  },
  /** Other shapes, axes and positions. */
  integers: (graph, stream) => {
    const literals = graph.initializer.filter((t) => t.dataType === DataType.INT64);
    const literal = pick(literals, stream);
    if (literal === undefined) return;
    const count = stream.int(5);
    const values = Array.from({ length: count }, () => (stream.int(8) === 0 ? odd(stream) : small(stream)));
    literal.dims = stream.int(6) === 0 ? [1n, BigInt(count)] : [BigInt(count)];
    literal.rawData = new Uint8Array(0);
    literal.int64Data = values;
  },
  /** Other values of attributes, of the same type. */
  setting: (graph, stream) => {
    const a = pick(
      graph.node.flatMap((n) => n.attribute),
      stream,
    );
    if (a?.type === AttributeType.INT) a.i = stream.int(6) === 0 ? odd(stream) : small(stream);
    else if (a?.type === AttributeType.INTS)
      a.ints = Array.from({ length: stream.int(5) }, () => small(stream));
    else if (a?.type === AttributeType.FLOAT) a.f = pick([0, -1, 0.5, Number.NaN, 1e30], stream)!;
  },
  /** Inputs of other sizes. */
  resize: (graph, stream) => {
    const info = pick(graph.input, stream);
    if (info?.type?.value.case !== "tensorType") return;
    const dim = pick(info.type.value.value.shape?.dim ?? [], stream);
    if (dim !== undefined)
      dim.value =
        stream.int(4) === 0
          ? { case: "dimParam", value: pick(["N", "T"], stream)! }
          : { case: "dimValue", value: BigInt(stream.int(7)) };
  },
  /** A node of another file, with its literals, takes what there is, and its result is an output. */
  graft: (graph, stream, _, other) => {
    const node = clone(NodeProtoSchema, pick(other.graph!.node, stream) ?? create(NodeProtoSchema));
    const label = `graft${graph.node.length}`;
    const literals = other.graph!.initializer.filter((t) => node.input.includes(t.name));
    for (const literal of literals) {
      const copy = clone(TensorProtoSchema, literal);
      copy.name = `${label}/${literal.name}`;
      graph.initializer.push(copy);
    }
    node.input = node.input.map((name) =>
      literals.some((t) => t.name === name) && stream.int(4) > 0
        ? `${label}/${name}`
        : (pick(namesBefore(graph, graph.node.length), stream) ?? ""),
    );
    node.name = label;
    node.output = node.output.map((_name, i) => `${label}:${i}`);
    graph.node.push(node);
    const output = graph.output[0];
    if (output !== undefined && node.output[0] !== undefined) {
      const info = clone(ValueInfoProtoSchema, output);
      info.name = node.output[0];
      graph.output.push(info);
    }
  },
};

const structural: Readonly<Record<string, Change>> = {
  ...orderly,
  rename: (graph, stream) => {
    const node = nodeOf(graph, stream);
    if (node === undefined) return;
    const list = stream.int(3) === 0 ? node.output : node.input;
    if (list.length > 0) list[stream.int(list.length)] = pick([...namesOf(graph), ...NAMES], stream)!;
  },
  swap: (graph, stream) => {
    if (graph.node.length < 2) return;
    const [i, j] = [stream.int(graph.node.length), stream.int(graph.node.length)];
    [graph.node[i], graph.node[j]] = [graph.node[j]!, graph.node[i]!];
  },
  remove: (graph, stream) => {
    const lists = [graph.node, graph.input, graph.output, graph.initializer] as unknown[][];
    const list = pick(lists, stream)!;
    list.splice(stream.int(list.length + 1), 1);
  },
  duplicate: (graph, stream) => {
    const node = nodeOf(graph, stream);
    if (node === undefined) return;
    const copy = clone(NodeProtoSchema, node);
    if (stream.int(2) === 0) copy.output = copy.output.map((name) => `${name}_again`);
    graph.node.push(copy);
  },
  inputs: (graph, stream) => {
    const node = nodeOf(graph, stream);
    if (node === undefined) return;
    if (stream.int(2) === 0) node.input.pop();
    else node.input.splice(stream.int(node.input.length + 1), 0, pick(namesOf(graph), stream) ?? "");
  },
  outputs: (graph, stream) => {
    const node = nodeOf(graph, stream);
    if (node === undefined) return;
    if (stream.int(2) === 0) node.output.pop();
    else node.output.push(`more${stream.int(3)}`);
  },
  attribute: (graph, stream) => {
    const withAttributes = graph.node.filter((n) => n.attribute.length > 0);
    const node = pick(withAttributes, stream);
    if (node !== undefined) changeAttribute(node, stream);
  },
  attributes: (graph, stream) => {
    const [from, to] = [nodeOf(graph, stream), nodeOf(graph, stream)];
    if (from !== undefined && to !== undefined)
      to.attribute = from.attribute.map((a) => clone(AttributeProtoSchema, a));
  },
  weights: (graph, stream) => {
    const constants = graph.node.flatMap((n) => n.attribute.flatMap((a) => (a.t === undefined ? [] : [a.t])));
    // Small ones are shapes, axes and positions, which decide more.
    const small = [...graph.initializer, ...constants].filter((t) => t.rawData.length <= 64);
    changeTensor(pick(stream.int(4) === 0 ? graph.initializer : small, stream), stream);
  },
  values: changeValue,
  nest,
  body: (graph, stream, model, other) => {
    const bodies = graph.node.flatMap((n) => n.attribute.flatMap((a) => (a.g === undefined ? [] : [a.g])));
    const body = pick(bodies, stream);
    if (body === undefined) return;
    const change = pick(Object.entries(structural), stream)!;
    if (change[0] !== "file") change[1](body, stream, model, other);
  },
  file: (_, stream, model) => {
    switch (stream.int(5)) {
      case 0:
        for (const set of model.opsetImport) set.version = BigInt(stream.int(30));
        break;
      case 1:
        model.opsetImport.push(
          create(OperatorSetIdProtoSchema, { domain: pick(["com.example", ""], stream)!, version: 1n }),
        );
        break;
      case 2:
        model.metadataProps.push(
          create(StringStringEntryProtoSchema, { key: pick([...NAMES, "seed"], stream)!, value: "x" }),
        );
        break;
      case 3:
        model.opsetImport = [];
        break;
      default: {
        const node = nodeOf(model.graph!, stream);
        if (node !== undefined) node.domain = pick(["ai.onnx", "ai.onnx.ml", "com.microsoft"], stream)!;
      }
    }
  },
};

/** Kinds of damage, the same number of files for each. "mixed": several structural ones; "orderly" likewise. */
export const KINDS: readonly string[] = [
  ...Object.keys(bytewise),
  "varint",
  ...Object.keys(structural),
  "mixed",
  "orderly",
];

/**
 * A damaged copy of a seed.
 *
 * @param kind one of `KINDS`; structural kinds are applied one to three times
 */
export function mutate(seed: Seed, kind: string, stream: RandomStream, seeds: readonly Seed[]): Uint8Array {
  const { bytes } = seed;
  if (kind === "varint") return varints(bytes, stream, bytes);
  const other = pick(seeds, stream)!.bytes;
  const damage = bytewise[kind];
  if (damage !== undefined) return damage(bytes, stream, other);
  const model = fromBinary(ModelProtoSchema, bytes);
  const donor = fromBinary(ModelProtoSchema, other);
  const mixture = Object.values(kind === "orderly" ? orderly : structural);
  const isMixture = kind === "mixed" || kind === "orderly";
  for (let k = 1 + stream.int(isMixture ? 8 : 3); k > 0; k--) {
    const change = isMixture ? pick(mixture, stream)! : structural[kind]!;
    change(model.graph!, stream, model, donor);
  }
  return toBinary(ModelProtoSchema, model);
}
