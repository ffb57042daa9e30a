import type { DType, NdArray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import * as t from "../tensor/index.js";
import { constant, type Dim, type Tensor } from "../tensor/index.js";
import { dtypeOf, typeName } from "./arrays.js";
import type { ModelNode } from "./read.js";

/**
 * What a name in the file stands for: a tensor, a literal, or integers known while importing (shapes, axes,
 * positions; FREE stands for the free dimension).
 */
export interface Value {
  readonly tensor?: Tensor;
  readonly array?: NdArray;
  readonly ints?: readonly number[] | undefined;
}

/** One node's inputs and attributes, with errors that name it. */
export class NodeContext {
  readonly #read = new Set<string>();

  constructor(
    readonly node: ModelNode,
    readonly values: Map<string, Value>,
    readonly where: string,
  ) {}

  has(i: number): boolean {
    return (this.node.inputs[i] ?? "") !== "";
  }

  /** Input i as it is. */
  value(i: number): Value {
    const value = this.has(i) ? this.values.get(this.node.inputs[i]!) : undefined;
    if (value === undefined) throw new UserError(`${this.where}: input ${i} is missing`);
    return value;
  }

  /** Input i as a tensor. */
  tensor(i: number): Tensor {
    const value = this.value(i);
    if (value.tensor !== undefined) return value.tensor;
    if (value.array !== undefined) {
      // One tensor for all that use the literal: constants are copies.
      const tensor = constant(value.array);
      this.values.set(this.node.inputs[i]!, { ...value, tensor });
      return tensor;
    }
    throw new UserError(`${this.where}: input ${i} is a shape, expected a tensor`);
  }

  get tensors(): Tensor[] {
    return this.node.inputs.map((_, i) => this.tensor(i));
  }

  /** Input i as integers known while importing. */
  ints(i: number): readonly number[] {
    const { ints } = this.value(i);
    if (ints === undefined) {
      throw new UserError(
        `${this.where}: input ${i} ("${this.node.inputs[i]}") is computed, expected constant integers`,
      );
    }
    return ints;
  }

  intsOrUndefined(i: number): readonly number[] | undefined {
    return this.value(i).ints;
  }

  /** Input i as a number known while importing; `absent` if it is left out. */
  number(i: number, absent: number): number {
    if (!this.has(i)) return absent;
    const { array } = this.value(i);
    if (array?.data.length !== 1) throw new UserError(`${this.where}: input ${i} is not a constant number`);
    return Number(array.data[0]);
  }

  #attribute(name: string): ModelNode["attributes"][string] | undefined {
    this.#read.add(name);
    return Object.hasOwn(this.node.attributes, name) ? this.node.attributes[name] : undefined;
  }

  int(name: string, absent?: number): number {
    const value = this.#attribute(name) ?? absent;
    if (!Number.isSafeInteger(value))
      throw new UserError(`${this.where}: attribute "${name}" is ${value}, expected an integer`);
    return value as number;
  }

  intList(name: string): readonly number[] {
    const value = this.#attribute(name);
    if (!Array.isArray(value) || !value.every(Number.isSafeInteger)) {
      throw new UserError(`${this.where}: attribute "${name}" is missing, expected integers`);
    }
    return value;
  }

  array(name: string, absent: NdArray): NdArray {
    const value = this.#attribute(name) ?? absent;
    if (typeof value !== "object" || !("data" in value))
      throw new UserError(`${this.where}: attribute "${name}" is no tensor`);
    return value;
  }

  /** An attribute that must have one value, because nothing else is supported. */
  require(name: string, expected: number | string, absent: number | string = expected): void {
    const value = this.#attribute(name) ?? absent;
    if (value !== expected) {
      throw new UserError(`${this.where}: attribute "${name}" is ${value}, supported is ${expected}`);
    }
  }

  /** An attribute nobody looked at could change the meaning: refuse it. */
  checkAttributes(): void {
    const unknown = Object.keys(this.node.attributes).find((name) => !this.#read.has(name));
    if (unknown !== undefined) throw new UserError(`${this.where}: attribute "${unknown}" is not supported`);
  }
}

/** The outputs of a node from its inputs. */
export type Importer = (context: NodeContext) => readonly Value[];

const one = (tensor: Tensor): readonly Value[] => [{ tensor }];
const unary =
  (fn: (x: Tensor) => Tensor): Importer =>
  (c) =>
    one(fn(c.tensor(0)));
const binary =
  (fn: (a: Tensor, b: Tensor) => Tensor): Importer =>
  (c) =>
    one(fn(c.tensor(0), c.tensor(1)));
const along =
  (fn: (x: Tensor, axis: number) => Tensor): Importer =>
  (c) =>
    one(fn(c.tensor(0), c.int("axis", -1)));
const reduction =
  (fn: (x: Tensor, axes?: t.Axes, keepDims?: boolean) => Tensor): Importer =>
  (c) => {
    c.require("noop_with_empty_axes", 0);
    return one(fn(c.tensor(0), c.has(1) ? c.ints(1) : undefined, c.int("keepdims", 1) !== 0));
  };

function targetDtype(c: NodeContext): DType {
  const to = c.int("to");
  const dtype = dtypeOf(to);
  if (dtype === undefined)
    throw new UserError(`${c.where}: casts to ${typeName(to)}, which is not supported`);
  return dtype;
}

function reshapeTarget(c: NodeContext, x: Tensor): readonly Dim[] {
  const copyZeros = c.int("allowzero", 0) === 0;
  return c.ints(1).map((d, i) => (d === 0 && copyZeros ? (x.shape[i] ?? 0) : d));
}

/**
 * ONNX operator → tensors, one function each, under the operator's own name. Whatever a function does not
 * understand it refuses; the operators of foreign files are added here.
 */
export const importers: Readonly<Record<string, Importer>> = {
  Identity: (c) => [c.value(0)],
  Constant: (c) => {
    const array = c.array("value", t.arrayFrom([0], "float32", []));
    return [
      {
        array,
        ints: array.dtype === "int64" && array.shape.length <= 1 ? Array.from(array.data, Number) : undefined,
      },
    ];
  },

  Neg: unary(t.neg),
  Exp: unary(t.exp),
  Log: unary(t.log),
  Tanh: unary(t.tanh),
  Sigmoid: unary(t.sigmoid),
  Sqrt: unary(t.sqrt),
  Softplus: unary(t.softplus),
  Relu: unary(t.relu),
  Abs: unary(t.abs),
  Sign: unary(t.sign),
  Erf: unary(t.erf),
  Not: unary(t.not),
  Clip: (c) =>
    one(t.clip(c.tensor(0), c.number(1, Number.NEGATIVE_INFINITY), c.number(2, Number.POSITIVE_INFINITY))),
  Cast: (c) => one(t.cast(c.tensor(0), targetDtype(c))),

  Add: binary(t.add),
  Sub: binary(t.sub),
  Mul: binary(t.mul),
  Div: binary(t.div),
  Pow: binary(t.pow),
  Min: binary(t.minimum),
  Max: binary(t.maximum),
  Greater: binary(t.greater),
  GreaterOrEqual: binary(t.greaterEqual),
  Less: binary(t.less),
  LessOrEqual: binary(t.lessEqual),
  Equal: binary(t.equal),
  And: binary(t.and),
  Or: binary(t.or),
  Where: (c) => one(t.where(c.tensor(0), c.tensor(1), c.tensor(2))),

  MatMul: binary(t.matmul),
  Gemm: (c) => {
    c.require("alpha", 1);
    c.require("beta", 1);
    const bias = c.has(2) ? c.tensor(2) : undefined;
    return one(t.gemm(c.tensor(0), c.tensor(1), c.int("transA", 0) !== 0, c.int("transB", 0) !== 0, bias));
  },

  Softmax: along(t.softmax),
  LogSoftmax: along(t.logSoftmax),
  ReduceSum: reduction(t.sum),
  ReduceSumSquare: reduction((x, axes, keepDims) => t.sum(t.square(x), axes, keepDims)),
  ReduceMean: reduction(t.mean),
  ReduceMax: reduction(t.max),
  ReduceMin: reduction(t.min),
  ReduceLogSumExp: reduction(t.logSumExp),
  ArgMax: (c) => {
    c.require("select_last_index", 0);
    return one(t.cast(t.argMax(c.tensor(0), c.int("axis", 0), c.int("keepdims", 1) !== 0), "int64"));
  },
  CumSum: (c) =>
    one(
      t.cumsum(c.tensor(0), c.number(1, 0), {
        exclusive: c.int("exclusive", 0) !== 0,
        reverse: c.int("reverse", 0) !== 0,
      }),
    ),

  Shape: (c) => {
    const { shape } = c.tensor(0);
    return [{ ints: shape.slice(c.int("start", 0), c.int("end", shape.length)) }];
  },
  Reshape: (c) => {
    const x = c.tensor(0);
    return one(t.reshape(x, reshapeTarget(c, x)));
  },
  Transpose: (c) => one(t.transpose(c.tensor(0), c.intList("perm"))),
  Expand: (c) => one(t.expand(c.tensor(0), c.ints(1))),
  Concat: (c) => {
    const axis = c.int("axis");
    const lists = c.node.inputs.map((_, i) => c.intsOrUndefined(i));
    // Pieces of a shape are put together while importing.
    if (axis === 0 && lists.every((list) => list !== undefined)) return [{ ints: lists.flat() }];
    return one(t.concat(c.tensors, axis));
  },
  Split: (c) => t.split(c.tensor(0), c.ints(1), c.int("axis", 0)).map((tensor) => ({ tensor })),
  Slice: (c) => {
    const x = c.tensor(0);
    const [starts, ends] = [c.ints(1), c.ints(2)];
    const axes = c.has(3) ? c.ints(3) : starts.map((_, i) => i);
    const steps = c.has(4) ? c.ints(4) : starts.map(() => 1);
    return one(
      t.slice(
        x,
        Object.fromEntries(
          axes.map((axis, i) => [axis, { start: starts[i]!, end: endOf(ends[i]!), step: steps[i]! }]),
        ),
      ),
    );
  },
  Pad: (c) => {
    c.require("mode", "constant");
    const pads = c.ints(1);
    const half = pads.length / 2;
    return one(t.pad(c.tensor(0), pads.slice(0, half), pads.slice(half), c.number(2, 0)));
  },
  Gather: (c) => one(t.gather(c.tensor(0), c.tensor(1), c.int("axis", 0))),
  GatherElements: (c) => one(t.gatherElements(c.tensor(0), c.tensor(1), c.int("axis", 0))),
  ConstantOfShape: (c) => {
    const value = c.array("value", t.arrayFrom([1], "float32", [0]));
    return one(t.filled(Number(value.data[0]), c.ints(0), value.dtype));
  },
  ScatterElements: (c) => {
    c.require("reduction", "add", "none");
    const data = c.tensor(0);
    const axis = c.int("axis", 0);
    const size = data.shape[axis < 0 ? axis + data.shape.length : axis] ?? 0;
    return one(t.add(data, t.scatterElements(c.tensor(2), c.tensor(1), axis, size)));
  },
};

/** Ends before the first element are written as a very negative number. */
function endOf(end: number): number {
  return Math.max(end, -(2 ** 31));
}
