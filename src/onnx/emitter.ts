import { create } from "@bufbuild/protobuf";
import type { DType, NdArray } from "../core/array.js";
import { arrayFrom, type Dim, FREE, type Tensor } from "../tensor/index.js";
import { encodeArray } from "./arrays.js";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
} from "./gen/onnx_pb.js";

/** Attribute values as ONNX types them: integer, list of integers, text, tensor, the body of a loop. */
export type AttributeValue = number | readonly number[] | string | NdArray | GraphProto;

/** Collects the nodes and literals of one ONNX graph and gives every tensor its name. */
export class Emitter {
  readonly nodes: NodeProto[] = [];
  readonly literals: TensorProto[] = [];
  #taken: Set<string>;
  readonly #names = new Map<Tensor, string>();
  readonly #partNames = new Map<string, string>();
  readonly #literalNames = new Map<string, string>();
  readonly #rowSource: Tensor | undefined;
  #rows: string | undefined;

  /**
   * @param reserved  names of inputs and outputs, which no other value may get
   * @param rowSource an input whose first dimension is free, if there is one
   */
  constructor(reserved: Iterable<string>, rowSource: Tensor | undefined) {
    this.#taken = new Set(reserved);
    this.#rowSource = rowSource;
  }

  /** An emitter for the body of a loop, which sees the names given so far and gives none of them again. */
  nested(): Emitter {
    const inner = new Emitter([], this.#rowSource);
    inner.#taken = this.#taken;
    inner.#rows = this.#rows;
    if (this.#rowSource !== undefined) inner.alias(this.#rowSource, this.name(this.#rowSource));
    return inner;
  }

  /** The ONNX name of a value emitted before. */
  name(x: Tensor): string {
    return this.#names.get(x)!;
  }

  /** Let a value go by an existing name. */
  alias(x: Tensor, name: string): void {
    this.#names.set(x, name);
  }

  /** Ask for a name for one part of a split, before the split is emitted. */
  wishForPart(split: Tensor, index: number, name: string): void {
    this.#partNames.set(`${split.id}:${index}`, name);
  }

  /** The name of one part of a split. */
  partName(split: Tensor, index: number): string {
    const key = `${split.id}:${index}`;
    const known = this.#partNames.get(key) ?? this.fresh(`_${split.id}_split:${index}`);
    this.#partNames.set(key, known);
    return known;
  }

  has(x: Tensor): boolean {
    return this.#names.has(x);
  }

  /** A name like `wish` that nothing else has. */
  fresh(wish: string): string {
    let name = wish;
    for (let i = 1; this.#taken.has(name); i++) name = `${wish}_${i}`;
    this.#taken.add(name);
    return name;
  }

  /** Emit a node; its name is that of its first output. */
  node(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): void {
    this.nodes.push(
      create(NodeProtoSchema, {
        opType,
        name: outputs[0]!,
        input: [...inputs],
        output: [...outputs],
        attribute: Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value)),
      }),
    );
  }

  /** The name of a literal array; equal small ones are stored once. */
  literal(value: NdArray, wish = "const"): string {
    const key =
      value.data.length <= 16 ? `${value.dtype}[${value.shape}]${Array.from(value.data, literalKey)}` : "";
    const known = this.#literalNames.get(key);
    if (known !== undefined) return known;
    const name = this.fresh(`_${wish}`);
    this.literals.push(encodeArray(name, value));
    if (key !== "") this.#literalNames.set(key, name);
    return name;
  }

  /** A row [1, n] of ones, stored once. */
  ones(n: number, dtype: DType): string {
    const key = `ones ${dtype} ${n}`;
    const known = this.#literalNames.get(key);
    if (known !== undefined) return known;
    const name = this.literal(arrayFrom([1, n], dtype, new Float64Array(n).fill(1)), "ones");
    this.#literalNames.set(key, name);
    return name;
  }

  /** An int64 vector, the form in which ONNX wants shapes, axes and positions. */
  integers(values: readonly number[]): string {
    return this.literal(arrayFrom([values.length], "int64", values), "ints");
  }

  /** An int64 vector with a shape; the free dimension is taken from the data at run time. */
  shape(shape: readonly Dim[]): string {
    if (!shape.includes(FREE)) return this.integers(shape);
    if (this.#rows === undefined) {
      this.#rows = this.fresh("_rows");
      this.node("Shape", [this.name(this.#rowSource!)], [this.#rows], { start: 0, end: 1 });
    }
    if (shape.length === 1) return this.#rows;
    const pieces: string[] = [];
    let known: number[] = [];
    for (const d of [...shape, undefined]) {
      if (d !== FREE && d !== undefined) {
        known.push(d);
        continue;
      }
      if (known.length > 0) pieces.push(this.integers(known));
      known = [];
      if (d === FREE) pieces.push(this.#rows);
    }
    const key = `shape ${shape}`;
    const done = this.#literalNames.get(key);
    if (done !== undefined) return done;
    const name = this.fresh("_shape");
    this.node("Concat", pieces, [name], { axis: 0 });
    this.#literalNames.set(key, name);
    return name;
  }
}

function literalKey(value: number | bigint): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function encodeAttribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  }
  if (Array.isArray(value)) {
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
  }
  if ("dtype" in value) {
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: encodeArray("", value) });
  }
  return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value as GraphProto });
}
