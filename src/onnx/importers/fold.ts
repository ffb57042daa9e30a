import { sizeOf } from "../../core/array.js";
import * as t from "../../tensor/index.js";
import { arrayFrom, type Tensor } from "../../tensor/index.js";
import { type Importer, NodeContext } from "./context.js";
import {
  countOf,
  type Item,
  isRows,
  itemsOf,
  itemsValue,
  type LiteralValue,
  literalValue,
  Rows,
  type SizesValue,
  type Value,
} from "./values.js";

/**
 * Nodes whose inputs are all known are computed while importing: the shape arithmetic of exporters (Shape, Gather,
 * Concat, products of sizes, …) ends as plain integers. The float64 interpreter does the computing, so no operator
 * needs a second definition.
 */

/** Larger arrays are weights, not shapes; they are left to the engine. */
const MAX_ELEMENTS = 4096;

/** Numbers read and computed for one model. A node of thirty bytes could make 4096 of them, and a file has many nodes. */
const MAX_COMPUTED = 1_000_000;

type Known = LiteralValue | SizesValue;

/** Operands whose elements these operators move without looking at them; the others say where to. */
const MOVED: Readonly<Record<string, readonly number[] | "all">> = {
  Cast: [0],
  Concat: "all",
  Expand: [0],
  Flatten: [0],
  Gather: [0],
  Reshape: [0],
  Slice: [0],
  Split: [0],
  Squeeze: [0],
  Tile: [0],
  Transpose: [0],
  Unsqueeze: [0],
  Where: [1, 2],
};

/**
 * The outputs of a node whose inputs are all known and small; undefined if they are not, or if the operator itself
 * takes the sizes that depend on the rows (Reshape to them, Expand, ConstantOfShape).
 *
 * @throws UserError as the importer does, and for arithmetic with the number of rows
 */
export function fold(c: NodeContext, importer: Importer): readonly Value[] | undefined {
  const inputs = new Map<number, Known>();
  for (const i of c.node.inputs.keys()) {
    if (!c.has(i)) continue;
    const value = c.value(i);
    if (value.kind === "tensor" || countOf(value) > MAX_ELEMENTS) return undefined;
    inputs.set(i, value);
  }
  if (inputs.size === 0) return undefined;
  const results = foldKnown(c, importer, inputs);
  const count = [...inputs.values(), ...(results ?? [])].reduce(
    (n, value) => n + (value.kind === "tensor" ? 0 : countOf(value)),
    1,
  );
  if (c.scope.countComputed(count) > MAX_COMPUTED) {
    const limit = MAX_COMPUTED.toLocaleString("en");
    throw c.fail(`the model's shape arithmetic takes more than ${limit} numbers, expected at most ${limit}`);
  }
  return results;
}

function foldKnown(
  c: NodeContext,
  importer: Importer,
  inputs: ReadonlyMap<number, Known>,
): readonly Value[] | undefined {
  const free = [...inputs].filter(([, value]) => value.kind === "sizes").map(([i]) => i);
  if (free.length === 0) return evaluate(c, importer, new Map());
  const moved = Object.hasOwn(MOVED, c.node.opType) ? MOVED[c.node.opType]! : [];
  if (free.every((i) => moved === "all" || moved.includes(i))) {
    return move(
      c,
      importer,
      moved === "all" ? inputs : new Map([...inputs].filter(([i]) => moved.includes(i))),
    );
  }
  return arithmetic(c, inputs);
}

/** Run the importer in a trace of its own, and the interpreter on what comes out. */
function evaluate(
  c: NodeContext,
  importer: Importer,
  replaced: ReadonlyMap<string, Value>,
): readonly Value[] | undefined {
  return t.trace(() => {
    const inner = new NodeContext(c.node, c.scope.replacing(replaced, false), c.where, c.runGraph);
    const results = importer(inner);
    inner.checkAllRead();
    const tensors = results.flatMap((v) => (v.kind === "tensor" ? [v.tensor] : []));
    const large = (x: Tensor) => t.hasFree(x.shape) || sizeOf(x.shape) > MAX_ELEMENTS;
    if (t.reachable(tensors).some(large)) return undefined;
    return results.map((v) => (v.kind === "tensor" ? literalOf(c, v.tensor) : v));
  });
}

function literalOf(c: NodeContext, x: Tensor): Value {
  const isInteger = x.dtype.startsWith("int");
  const { data } = t.interpret({ x: isInteger ? t.cast(x, "float64") : x }).x;
  const values = Array.from(data as ArrayLike<number>, (v) => {
    if (!isInteger) return v;
    if (Number.isNaN(v) || (!Number.isFinite(v) && x.op === "div")) throw c.fail("it divides by zero");
    // The largest int64 stands for "to the end", and need not be exact.
    return Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, v));
  });
  return literalValue(arrayFrom(x.shape, x.dtype, values));
}

/** Elements that are only moved are replaced by their numbers in a list meanwhile. */
function move(
  c: NodeContext,
  importer: Importer,
  operands: ReadonlyMap<number, Known>,
): readonly Value[] | undefined {
  const list: Item[] = [];
  const replaced = new Map<string, Value>();
  for (const [i, value] of operands) {
    const items = itemsOf(value);
    if (items === undefined) return undefined;
    const shape = value.kind === "sizes" ? value.shape : value.array.shape;
    const numbers = items.map((item) => list.push(item) - 1);
    replaced.set(c.node.inputs[i]!, literalValue(arrayFrom(shape, "int64", numbers)));
  }
  return evaluate(c, importer, replaced)?.map((value) => {
    const numbers = itemsOf(value);
    if (value.kind !== "literal" || numbers === undefined) {
      throw c.fail(
        "it computes with the number of rows, which is free here; give the model a fixed number of rows",
      );
    }
    return itemsValue(
      value.array.shape,
      numbers.map((k) => list[k as number]!),
    );
  });
}

/** k·N, or 0; undefined if k is no whole number ≥ 0. */
function multiple(k: number): Item | undefined {
  if (!Number.isSafeInteger(k) || k < 0) return undefined;
  return k === 0 ? 0 : new Rows(k);
}

/** Arithmetic with multiples of the number of rows N whose result is one, or the same whatever N is. */
const rules: Readonly<Record<string, (a: Item, b: Item) => Item | boolean | undefined>> = {
  Add: (a, b) => {
    if (isRows(a) && isRows(b)) return multiple(a.times + b.times);
    return b === 0 ? a : a === 0 ? b : undefined;
  },
  Sub: (a, b) => (isRows(a) && isRows(b) ? multiple(a.times - b.times) : b === 0 ? a : undefined),
  Mul: (a, b) => {
    if (isRows(a)) return isRows(b) ? undefined : multiple(a.times * b);
    return isRows(b) ? multiple(a * b.times) : undefined;
  },
  // N / N is 1: without rows there is nothing to compute.
  Div: (a, b) => {
    if (!isRows(a)) return undefined;
    if (!isRows(b)) return b > 0 ? multiple(a.times / b) : undefined;
    return a.times % b.times === 0 ? a.times / b.times : undefined;
  },
  // A number of rows is not negative.
  Equal: (a, b) => {
    if (isRows(a) && isRows(b)) return a.times === b.times ? true : undefined;
    return Number(isRows(a) ? b : a) < 0 ? false : undefined;
  },
};

const exact: Readonly<Record<string, (a: number, b: number) => number | boolean>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => Math.trunc(a / b),
  Equal: (a, b) => a === b,
};

/** Element by element, for lists of sizes; undefined for operators that are no arithmetic. */
function arithmetic(c: NodeContext, inputs: ReadonlyMap<number, Known>): readonly Value[] | undefined {
  const { opType } = c.node;
  const [a, b] = [inputs.get(0), inputs.get(1)];
  if (!Object.hasOwn(rules, opType) || a === undefined || b === undefined) return undefined;
  const [left, right] = [itemsOf(a), itemsOf(b)];
  const [p, q] = [a, b].map((v) => (v.kind === "sizes" ? v.shape : v.array.shape)) as [number[], number[]];
  if (left === undefined || right === undefined || p.length > 1 || q.length > 1) return undefined;
  const shape = t.broadcastShapes(opType, p, q);
  const results = Array.from({ length: sizeOf(shape) }, (_, i) => {
    const x = left[left.length === 1 ? 0 : i]!;
    const y = right[right.length === 1 ? 0 : i]!;
    const result = isRows(x) || isRows(y) ? rules[opType]!(x, y) : exact[opType]!(x, y);
    if (result === undefined) {
      throw c.fail(
        "it computes with the number of rows, which is free here; give the model a fixed number of rows",
      );
    }
    return result;
  });
  if (opType === "Equal") return [literalValue(arrayFrom(shape, "bool", results.map(Number)))];
  return [itemsValue(shape, results as Item[])];
}
