import * as t from "../../tensor/index.js";
import { type Dim, FREE, type Tensor } from "../../tensor/index.js";
import type { ModelAttribute } from "../read.js";
import { type Importer, JOINED, NodeContext, one } from "./context.js";
import { elementwise } from "./elementwise.js";
import { itemsOf, itemsValue, type Joined, type TensorValue, type Value } from "./values.js";

/**
 * Rows in one dimension with others. Files join dimensions for a product and separate them again: attention the rows with
 * the heads, a network for each entity the rows with the entities. Where the number N of rows is free, a dimension of
 * before · N · after elements has no size of its own here; such a value is kept as [before · after, …, N, …], with what
 * was joined in front, and operators that treat the dimension element by element run on that, their axes moved by one.
 */

/**
 * x in dimensions of which one is joined.
 * @param x    the rows in a dimension of their own
 * @param dims sizes, FREE for the joined one
 */
export function join(x: Tensor, joined: Joined, dims: readonly Dim[]): Value {
  const { axis, before, after } = joined;
  const parted = t.reshape(x, dims.toSpliced(axis, 1, before, FREE, after));
  const order = parted.shape.map((_, i) => i).filter((i) => i !== axis && i !== axis + 2);
  const tensor = t.reshape(t.transpose(parted, [axis, axis + 2, ...order]), [before * after, ...dims]);
  return { kind: "tensor", tensor, joined };
}

/** The tensor with the rows in a dimension of their own, the elements in the file's order. */
export function separate({ tensor, joined }: TensorValue): Tensor {
  if (joined === undefined) return tensor;
  const { axis, before, after } = joined;
  const parted = t.reshape(tensor, [before, after, ...tensor.shape.slice(1)]);
  const others = tensor.shape.slice(1).map((_, i) => i + 2);
  return t.transpose(parted, others.toSpliced(axis, 1, 0, axis + 2, 1));
}

/** What changes in a node: attributes, and inputs by position. */
interface Changes {
  readonly attributes?: Readonly<Record<string, ModelAttribute>>;
  readonly inputs?: ReadonlyMap<number, Value>;
  readonly importer?: Importer;
}

/** @param joined of the operands that have it @param rank of these in the file */
type Lift = (c: NodeContext, joined: Joined, rank: number) => Changes;

const asItIs: Lift = () => ({});

/** An axis of the file, counted with what stands in front. */
function moved(c: NodeContext, axis: number, rank: number): number {
  const own = axis < 0 ? axis + rank : axis;
  if (!(own >= 0 && own < rank))
    throw c.fail(`got axis ${axis}, expected an axis of a tensor of rank ${rank}`);
  return own + 1;
}

/** One axis, which is not the joined one. */
const along =
  (absent: number, before13 = absent): Lift =>
  (c, joined, rank) => {
    const axis = moved(c, c.int("axis", c.opset < 13 ? before13 : absent), rank);
    if (axis - 1 === joined.axis) throw c.fail(JOINED);
    return { attributes: { axis } };
  };

/** Axes that are an attribute before operator set `since`, and an input from then on. */
const over =
  (since: number, i = 1, ranks: (axes: readonly number[]) => number = () => 0): Lift =>
  (c, _, rank) => {
    const axes = c.intsSince(since, "axes", i);
    if (axes === undefined || axes.length === 0) return {};
    const all = axes.map((axis) => moved(c, axis, rank + ranks(axes)));
    return c.opset < since
      ? { attributes: { axes: all } }
      : { inputs: new Map([[i, itemsValue([all.length], all)]]) };
  };

/** With the joined dimension in front of the rows of A, a product of more than matrices. */
const gemm: Lift = (c) => ({
  importer: (lifted) => {
    const [a, b] = [lifted.tensor(0), lifted.tensor(1)];
    if (lifted.flag("transA", false) || a.shape.at(-2) !== FREE || t.hasFree(b.shape)) throw c.fail(JOINED);
    const y = t.matmul(a, lifted.flag("transB", false) ? t.transpose(b) : b);
    const scaled = t.mul(y, lifted.float("alpha", 1));
    const beta = lifted.float("beta", 1);
    return one(lifted.has(2) ? t.add(scaled, t.mul(lifted.tensor(2), beta)) : scaled);
  },
});

const transpose: Lift = (c, _, rank) => {
  const perm = c.intList("perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return { attributes: { perm: [0, ...perm.map((axis) => moved(c, axis, rank))] } };
};

/** The joined operand is the data, or the indices into the first axis of a table. */
const gather: Lift = (c, joined, rank) => {
  const data = c.value(0);
  if (data.kind === "tensor" && data.joined !== undefined) return along(0)(c, joined, rank);
  if (c.int("axis", 0) !== 0) throw c.fail(JOINED);
  return {};
};

const slice: Lift = (c, joined, rank) => {
  if (c.opset >= 10 ? c.has(3) : c.intList("axes") !== undefined) return over(10, 3)(c, joined, rank);
  const count = (c.opset >= 10 ? itemsOf(c.value(1)) : c.intList("starts"))?.length ?? 0;
  const axes = Array.from({ length: count }, (_, i) => i + 1);
  return c.opset >= 10 ? { inputs: new Map([[3, itemsValue([count], axes)]]) } : { attributes: { axes } };
};

const lifts: Readonly<Record<string, Lift>> = {
  ...Object.fromEntries(Object.keys(elementwise).map((opType) => [opType, asItIs])),
  Dropout: asItIs,
  MatMul: asItIs,
  Gemm: gemm,
  Softmax: along(-1, 1),
  LogSoftmax: along(-1, 1),
  LayerNormalization: along(-1),
  ReduceSum: over(13),
  ReduceSumSquare: over(18),
  ReduceMean: over(18),
  ReduceMax: over(18),
  ReduceMin: over(18),
  ReduceLogSumExp: over(18),
  ReduceL1: over(18),
  ReduceL2: over(18),
  ArgMax: along(0),
  ArgMin: along(0),
  Transpose: transpose,
  Squeeze: over(13),
  Unsqueeze: over(13, 1, (axes) => axes.length),
  Concat: along(0),
  Split: along(0),
  Slice: slice,
  Gather: gather,
};

/**
 * The outputs of a node of which an input is joined; undefined if none is, or if the operator takes such values itself.
 * @throws UserError if the operator, or what it does, cannot be done element by element
 */
export function lift(c: NodeContext, importer: Importer): readonly Value[] | undefined {
  const inputs = c.node.inputs.flatMap((_, i) => (c.has(i) ? [c.scope.get(c.node.inputs[i]!)!] : []));
  const first = inputs.find((v): v is TensorValue => v.kind === "tensor" && v.joined !== undefined);
  if (first === undefined || SELF.has(c.node.opType)) return undefined;
  const joined = first.joined!;
  const { before, after } = joined;
  const rank = first.tensor.shape.length - 1;
  const isAlike = (v: Value) => {
    if (v.kind !== "tensor") return v.kind === "literal" && v.array.shape.length <= rank;
    if (v.joined === undefined) return !t.hasFree(v.tensor.shape) && v.tensor.shape.length <= rank;
    const same = v.joined.axis === joined.axis && v.joined.before === before && v.joined.after === after;
    return same && v.tensor.shape.length === rank + 1;
  };
  const change = Object.hasOwn(lifts, c.node.opType) ? lifts[c.node.opType]! : undefined;
  if (change === undefined || !inputs.every(isAlike)) throw c.fail(JOINED);
  const times = before * after;
  // Looking at the tensors is allowed here: they have what was joined in front.
  const looking = new NodeContext(c.node, c.scope, c.where, c.runGraph, times);
  const changes = change(looking, joined, rank);
  const names = [...c.node.inputs];
  const replaced = new Map<string, Value>();
  for (const [i, value] of changes.inputs ?? []) {
    while (names.length <= i) names.push("");
    // No name in a file has such a character.
    names[i] = `\u0000${i}`;
    replaced.set(names[i]!, value);
  }
  const node = { ...c.node, inputs: names, attributes: { ...c.node.attributes, ...changes.attributes } };
  const lifted = new NodeContext(node, c.scope.replacing(replaced, true), c.where, c.runGraph, times);
  const results = (changes.importer ?? importer)(lifted);
  lifted.checkAllRead();
  return results.map((v) => {
    // Where a sum or a largest element went over the rows, they are gone, but what was joined with them is not.
    const axis = v.kind === "tensor" ? v.tensor.shape.indexOf(FREE) : -1;
    if (v.kind !== "tensor" || axis < 1) throw c.fail(JOINED);
    return { ...v, joined: { axis: axis - 1, before, after } };
  });
}

/** Operators that look at the file's dimensions themselves. */
const SELF: ReadonlySet<string> = new Set(["Reshape", "Flatten", "Shape", "Size", "Identity"]);
