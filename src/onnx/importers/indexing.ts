import { sizeOf } from "../../core/array.js";
import * as t from "../../tensor/index.js";
import { arrayFrom, FREE, type Tensor } from "../../tensor/index.js";
import { type Importer, type NodeContext, one } from "./context.js";
import { isRows, itemsOf } from "./values.js";

/** Operators that pick elements by integers. */

/** More classes than this are no agents, actions or words. */
const MAX_DEPTH = 65_536;

function axisOf(c: NodeContext, x: Tensor, absent: number): number {
  const given = c.int("axis", absent);
  const axis = given < 0 ? given + x.shape.length : given;
  if (x.shape[axis] === undefined)
    throw c.wrong("axis", given, `an axis of a tensor of rank ${x.shape.length}`);
  return axis;
}

/** Known indices count from the end where they are negative; computed ones must be in [0, size). */
function indices(c: NodeContext, i: number, size: number): Tensor {
  const value = c.value(i);
  if (value.kind !== "literal" || !value.array.dtype.startsWith("int")) return c.tensor(i);
  const items = itemsOf(value) as readonly number[];
  if (!items.some((k) => k < 0)) return c.tensor(i);
  return t.constant(
    arrayFrom(
      value.array.shape,
      value.array.dtype,
      items.map((k) => (k < 0 ? k + size : k)),
    ),
  );
}

/** Slices along an axis. A single known one is cut out, whose derivative is cheaper. */
function gather(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const axis = axisOf(c, x, 0);
  const size = x.shape[axis]!;
  if (size === FREE) throw c.fail("it picks from the rows, which are free here");
  const value = c.value(1);
  const index = value.kind === "literal" && sizeOf(value.array.shape) === 1 ? itemsOf(value)?.[0] : undefined;
  if (value.kind !== "literal" || index === undefined || isRows(index))
    return t.gather(x, indices(c, 1, size), axis);
  if (!(index >= -size && index < size))
    throw c.fail(`got index ${index}, expected one of an axis of ${size} elements`);
  const start = index < 0 ? index + size : index;
  const cut = t.slice(x, { [axis]: { start, end: start + 1 } });
  return t.reshape(cut, [...x.shape.slice(0, axis), ...value.array.shape, ...x.shape.slice(axis + 1)]);
}

function gatherElements(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const axis = axisOf(c, x, 0);
  return t.gatherElements(x, indices(c, 1, x.shape[axis]!), axis);
}

/** Adds; without `reduction: "add"` elements would be overwritten, which is not supported. */
function scatterElements(c: NodeContext): Tensor {
  const data = c.tensor(0);
  c.require("reduction", "add", "none");
  const axis = axisOf(c, data, 0);
  const size = data.shape[axis]!;
  return t.add(data, t.scatterElements(c.tensor(2), indices(c, 1, size), axis, size));
}

/** A new axis that is `on` at the index and `off` elsewhere. */
function oneHot(c: NodeContext): Tensor {
  const given = c.tensor(0);
  const depth = c.number(1, Number.NaN);
  if (!Number.isInteger(depth) || depth < 1 || depth > MAX_DEPTH)
    throw c.fail(`got depth ${depth}, expected an integer from 1 to ${MAX_DEPTH}`);
  const index = given.dtype === "int32" ? given : t.cast(given, "int64");
  const values = c.value(2);
  if (values.kind !== "literal" || values.array.data.length !== 2)
    throw c.fail("its values are computed or not two, expected the constants for off and on");
  const [off, on] = [Number(values.array.data[0]), Number(values.array.data[1])];
  const { dtype } = values.array;
  const hot = t.oneHot(t.where(t.less(index, 0), t.add(index, depth), index), depth, "bool");
  const y =
    off === 0 && on === 1 ? t.cast(hot, dtype) : t.where(hot, t.scalar(on, dtype), t.scalar(off, dtype));
  const rank = y.shape.length;
  const axis = c.int("axis", -1);
  const at = axis < 0 ? axis + rank : axis;
  if (!(at >= 0 && at < rank)) throw c.wrong("axis", axis, `an axis of a tensor of rank ${rank}`);
  const order = Array.from({ length: rank - 1 }, (_, i) => i);
  return t.transpose(y, order.toSpliced(at, 0, rank - 1));
}

export const indexing: Readonly<Record<string, Importer>> = {
  Gather: (c) => one(gather(c)),
  GatherElements: (c) => one(gatherElements(c)),
  ScatterElements: (c) => one(scatterElements(c)),
  OneHot: (c) => one(oneHot(c)),
};
