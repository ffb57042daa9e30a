import { cloneArray, type DType, type NdArray, ndarray, sizeOf } from "../core/array.js";
import type { Dim, Operator, OperatorAttributes } from "./operators.js";
import { formatDims, isFloat, TensorError } from "./shape.js";
import { shapeRules } from "./shape-rules.js";

/**
 * A value of a traced computation: an operator applied to other values. Immutable, created by the functions
 * of this folder only, and unique: the same operator on the same inputs is the same object (hash-consing),
 * which removes duplicated forward work from higher derivatives for free.
 */
export class Tensor<O extends Operator = Operator> {
  constructor(
    readonly graph: Graph,
    /** position in the graph; inputs always have smaller ids, so ids are a topological order */
    readonly id: number,
    readonly op: O,
    readonly inputs: readonly Tensor[],
    readonly attrs: OperatorAttributes[O],
    readonly shape: readonly Dim[],
    readonly dtype: DType,
  ) {}

  toString(): string {
    return `${this.op}#${this.id} ${this.dtype}${formatDims(this.shape)}`;
  }
}

/** A tensor, or a number that takes the other operand's dtype. */
export type Operand = Tensor | number;

/** True if the tensor is an application of the given operator; narrows its attributes. */
export function isOp<O extends Operator>(x: Tensor, op: O): x is Tensor<O> {
  return x.op === op;
}

/** The values of one trace, in topological order. */
export class Graph {
  readonly #unique = new Map<string, Tensor>();
  readonly #inputs = new Map<string, Tensor<"input">>();
  readonly #names = new Map<number, string>();
  /** values of the parent as they are known here, and the way back */
  readonly #captures = new Map<Tensor, Tensor>();
  readonly #origins = new Map<Tensor, Tensor>();
  #size = 0;

  /** @param parent the graph around the body of a loop, whose values the body may use */
  constructor(readonly parent?: Graph) {}

  /** number of values created so far */
  get size(): number {
    return this.#size;
  }

  /** the inputs in order of declaration */
  get inputs(): Tensor<"input">[] {
    return [...this.#inputs.values()];
  }

  /** the readable name given to a value by `named` */
  nameOf(x: Tensor): string | undefined {
    return this.#names.get(x.id);
  }

  /** Remember a readable name; the first one given to a value stays. */
  setName(x: Tensor, name: string): void {
    if (!this.#names.has(x.id)) this.#names.set(x.id, name);
  }

  /**
   * The value `op(inputs)`, created unless it exists. In the body of a loop, what depends on nothing but values from
   * outside is computed there, once: the result is then a value of the graph outside.
   *
   * @throws TensorError if shapes or dtypes do not fit
   */
  apply<O extends Operator>(op: O, given: readonly Tensor[], attrs: OperatorAttributes[O]): Tensor<O> {
    const inputs = given.map((x) => this.resolve(op, x));
    const outside = this.#outside(inputs);
    if (outside !== undefined) return this.parent!.apply(op, outside, attrs);
    const key = keyOf(op, inputs, attrs);
    const known = this.#unique.get(key);
    if (known !== undefined) return known as Tensor<O>;
    const { shape, dtype } = shapeRules[op](inputs, attrs);
    const tensor = new Tensor<O>(this, this.#size++, op, inputs, attrs, shape, dtype);
    this.#unique.set(key, tensor as unknown as Tensor);
    return tensor;
  }

  /**
   * A value of this graph or of one around it, as a value of this one.
   *
   * @param op for the message
   * @throws TensorError if the value is of an unrelated graph
   */
  resolve(op: string, x: Tensor): Tensor {
    if (x.graph === this) return x;
    if (this.parent === undefined) {
      throw new TensorError(`${op}: ${x} belongs to another trace; tensors of two traces cannot meet`);
    }
    const outer = this.parent.resolve(op, x);
    const known = this.#captures.get(outer);
    if (known !== undefined) return known;
    const inner = this.#capture(outer);
    this.#captures.set(outer, inner);
    this.#origins.set(inner, outer);
    return inner;
  }

  /** The parent's value behind an input made by `resolve`. */
  originOf(x: Tensor): Tensor | undefined {
    return this.#origins.get(x);
  }

  #capture(outer: Tensor): Tensor {
    // Numbers stay numbers, for the simplifications that look at them.
    const { shape, dtype } = outer;
    const number = constantNumber(outer);
    if (number !== undefined && (outer.op === "constant" || outer.op === "expand")) {
      const value = arrayFrom(outer.op === "constant" ? shape : [], dtype, [number]);
      const one = this.apply("constant", [], { value }) as unknown as Tensor;
      return outer.op === "constant" ? one : (this.apply("expand", [one], { shape }) as unknown as Tensor);
    }
    return this.input(`outside/${outer.id}`, shape, dtype);
  }

  /** The inputs as values of the parent, if all of them come from there and not all are constants. */
  #outside(inputs: readonly Tensor[]): Tensor[] | undefined {
    if (this.parent === undefined || !inputs.some((x) => x.op === "input" && this.#origins.has(x))) return;
    const outside: Tensor[] = [];
    for (const x of inputs) {
      let origin = this.#origins.get(x);
      if (origin === undefined && x.op === "constant") {
        origin = this.parent.apply("constant", [], x.attrs as never) as unknown as Tensor;
        this.#captures.set(origin, x);
        this.#origins.set(x, origin);
      }
      if (origin === undefined) return undefined;
      outside.push(origin);
    }
    return outside;
  }

  /** Declare an input. @throws TensorError if the name is taken */
  input(name: string, shape: readonly Dim[], dtype: DType): Tensor {
    if (this.#inputs.has(name)) throw new TensorError(`input "${name}": declared twice`);
    const tensor = this.apply("input", [], { name, shape, dtype });
    this.#inputs.set(name, tensor);
    return tensor as unknown as Tensor;
  }
}

function keyOf(op: Operator, inputs: readonly Tensor[], attrs: object): string {
  let key = `${op}`;
  for (const x of inputs) key += ` ${x.id}`;
  for (const value of Object.values(attrs)) key += `|${attributeKey(value)}`;
  return key;
}

let arrays = 0;

function attributeKey(value: unknown): string {
  if (typeof value === "object" && value !== null && "data" in value) {
    const { dtype, shape, data } = value as NdArray;
    // Large arrays are not worth comparing: each is a value of its own.
    if (data.byteLength > 1024) return `array ${arrays++}`;
    // Bytes, not numbers: −0 and 0 differ, NaN equals itself.
    return `${dtype}[${shape}]${bytesKey(data)}`;
  }
  return Object.is(value, -0) ? "-0" : String(value);
}

function bytesKey(data: NdArray["data"]): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let key = "";
  for (let i = 0; i < bytes.length; i += 4096) key += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return key;
}

const active: Graph[] = [];

/**
 * Run `fn` with `graph` (a new one unless given) as the current graph: `constant`, `scalar` and `input` inside
 * belong to it. Traces nest.
 */
export function trace<T>(fn: (graph: Graph) => T, graph: Graph = new Graph()): T {
  active.push(graph);
  try {
    return fn(graph);
  } finally {
    active.pop();
  }
}

/** The graph being traced. @throws TensorError outside a trace */
export function currentGraph(op: string): Graph {
  const graph = active[active.length - 1];
  if (graph === undefined) {
    throw new TensorError(
      `${op}: no trace is active; tensors exist only inside trace(…) or the function of a program`,
    );
  }
  return graph;
}

/** Apply an operator in the current graph, which the inputs must belong to. */
export function apply<O extends Operator>(
  op: O,
  inputs: readonly Tensor[],
  attrs: OperatorAttributes[O],
): Tensor {
  const graph = currentGraph(op);
  return graph.apply(op, inputs, attrs) as unknown as Tensor;
}

/** Declare an input of the current trace; a leading dimension may be FREE. */
export function input(name: string, shape: readonly Dim[], dtype: DType = "float32"): Tensor {
  return currentGraph("input").input(name, shape, dtype);
}

/** Give a value a readable name (`actor/hidden0`) for viewers and error messages; returns the value. */
export function named(x: Tensor, name: string): Tensor {
  x.graph.setName(x, name);
  return x;
}

/** The array as a value of the current trace (copied). */
export function constant(value: NdArray): Tensor {
  return apply("constant", [], { value: cloneArray(value) });
}

/** A constant of shape []. @throws TensorError if an integer dtype gets a fraction */
export function scalar(value: number, dtype: DType = "float32"): Tensor {
  if (!isFloat(dtype) && !Number.isInteger(value)) {
    throw new TensorError(`scalar: got ${value}, expected an integer for dtype ${dtype}`);
  }
  return apply("constant", [], { value: arrayFrom([], dtype, [value]) });
}

/** An array of any dtype from numbers (bool: 0 or 1). */
export function arrayFrom(shape: readonly number[], dtype: DType, values: ArrayLike<number>): NdArray {
  switch (dtype) {
    case "float32":
      return ndarray(dtype, shape, Float32Array.from(values));
    case "float64":
      return ndarray(dtype, shape, Float64Array.from(values));
    case "int32":
      return ndarray(dtype, shape, Int32Array.from(values));
    case "int64":
      return ndarray(dtype, shape, BigInt64Array.from(Array.from(values, (v) => BigInt(Math.trunc(v)))));
    case "bool":
      return ndarray(dtype, shape, Uint8Array.from(Array.from(values, (v) => (v ? 1 : 0))));
  }
}

/** The operand as a tensor of the other operand's dtype. */
export function toTensor(x: Operand, like: Tensor): Tensor {
  return typeof x === "number" ? scalar(x, like.dtype) : x;
}

/** The number a scalar constant holds, looking through expansion; undefined for anything else. */
export function constantNumber(x: Tensor): number | undefined {
  let node = x;
  while (node.op === "expand" || node.op === "reshape") node = node.inputs[0]!;
  if (!isOp(node, "constant")) return undefined;
  const { value } = node.attrs;
  if (sizeOf(value.shape) !== 1) return undefined;
  return Number(value.data[0]);
}

/** A number broadcast to a shape. */
export function filled(value: number, shape: readonly Dim[], dtype: DType): Tensor {
  const x = scalar(value, dtype);
  return shape.length === 0 ? x : apply("expand", [x], { shape });
}

/** Zeros of the tensor's shape and dtype. */
export function zerosLike(x: Tensor): Tensor {
  return filled(0, x.shape, x.dtype);
}

/** Ones of the tensor's shape and dtype. */
export function onesLike(x: Tensor): Tensor {
  return filled(1, x.shape, x.dtype);
}

/** The value with a gradient of zero. */
export function stopGradient(x: Tensor): Tensor {
  return apply("stopGradient", [x], {});
}
