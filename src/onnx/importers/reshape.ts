import * as t from "../../tensor/index.js";
import { type Dim, FREE, type Tensor } from "../../tensor/index.js";
import { type Importer, JOINED, type NodeContext } from "./context.js";
import { join, separate } from "./joined.js";
import { dimsOf, type Item, isRows, Rows, showItems, tensorValue, type Value } from "./values.js";

/** The same elements in other dimensions, rows possibly together with some of them. */

/** Product of sizes; the free one counts as 1, a multiple of it as that. */
const product = (items: readonly Item[]): number =>
  items.reduce<number>((n, d) => n * (isRows(d) ? d.times : d === FREE ? 1 : d), 1);

const reshape: Importer = (c) => {
  const value = c.value(0);
  const x = value.kind === "tensor" ? separate(value) : c.tensor(0);
  return [regroup(c, x, targetOf(c, x, dimsOf(value)))];
};

/** [product of the sizes before the axis, product of the others] */
const flatten: Importer = (c) => {
  const value = c.value(0);
  const dims = dimsOf(value);
  const given = c.int("axis", 1);
  const axis = given < 0 ? given + dims.length : given;
  if (axis < 0 || axis > dims.length)
    throw c.wrong("axis", given, `an axis of a tensor of rank ${dims.length}`);
  const joined = (part: readonly Item[]) => (part.some(isRows) ? new Rows(product(part)) : product(part));
  const x = value.kind === "tensor" ? separate(value) : c.tensor(0);
  return [regroup(c, x, [joined(dims.slice(0, axis)), joined(dims.slice(axis))])];
};

/**
 * The sizes of a Reshape: 0 copies the size at its place (unless `allowzero`), −1 is inferred. In a model exported for
 * one row, the dimension that had this row gets all of them.
 *
 * @param x    with the rows in a dimension of their own
 * @param dims the sizes that the file sees
 */
function targetOf(c: NodeContext, x: Tensor, dims: readonly Item[]): readonly Item[] {
  const copyZeros = !c.flag("allowzero", false);
  const target = c.items(1).map((item, i) => {
    if (item === 0 && copyZeros) {
      const size = dims[i];
      if (size === undefined)
        throw c.fail(`copies dimension ${i} of ${showItems(dims)}, which has no such dimension`);
      return size;
    }
    if (!isRows(item) && item < -1) throw c.fail(`got size ${item}, expected sizes ≥ 0, or −1 once`);
    return item;
  });
  if (target.filter((d) => d === -1).length > 1)
    throw c.fail("got −1 twice, expected at most one size to infer");
  return withRows(c, x, target);
}

/** In a model exported for one row, the target with the rows in their dimension. */
function withRows(c: NodeContext, x: Tensor, target: readonly Item[]): readonly Item[] {
  const { rows } = c.scope;
  if (rows?.axisOf !== undefined) {
    const found = rows.axisOf(c.node.outputs[0]!);
    if (found === undefined) return target;
    return target.with(found.axis, rows.count === FREE ? new Rows(found.times) : rows.count * found.times);
  }
  if (rows === undefined || !t.hasFree(x.shape) || target.some(isRows)) return target;
  return placeRows(c, x, target as readonly number[]);
}

/**
 * A target written for one row, with the free rows in the dimension that the row was in: it has as many elements before
 * and after it, or some of them itself. Every such dimension is right, for the rows lie along it one after another.
 */
function placeRows(c: NodeContext, x: Tensor, target: readonly number[]): readonly Item[] {
  const at = x.shape.indexOf(FREE);
  const known = product(target.filter((d) => d !== -1));
  const single = target.map((d) => (d === -1 ? product(x.shape) / known : d));
  const possible = single.flatMap((_, i) => (factorsOf(x, single, i) === undefined ? [] : [i]));
  const alone = possible.filter((i) => single[i] === 1);
  const candidates = alone.length > 0 ? alone : possible;
  const axis = [target.indexOf(-1), at].find((i) => candidates.includes(i)) ?? candidates[0];
  if (axis === undefined) throw c.fail(`its sizes [${target.join(", ")}] leave no place for more rows`);
  return (single as readonly Item[]).with(axis, new Rows(single[axis]!));
}

/** Elements that dimension `axis` of the target has before and after each row; undefined if it cannot have the rows. */
function factorsOf(
  x: Tensor,
  target: readonly Item[],
  axis: number,
): { before: number; after: number } | undefined {
  const at = x.shape.indexOf(FREE);
  const before = product(x.shape.slice(0, at)) / product(target.slice(0, axis));
  const after = product(x.shape.slice(at + 1)) / product(target.slice(axis + 1));
  const fits = Number.isInteger(before) && Number.isInteger(after) && before > 0 && after > 0;
  return fits && before * after === product([target[axis]!]) ? { before, after } : undefined;
}

/** x in the target's dimensions, −1 inferred. */
function regroup(c: NodeContext, x: Tensor, given: readonly Item[]): Value {
  if (!t.hasFree(x.shape)) {
    if (given.some(isRows)) throw c.fail(`its sizes ${showItems(given)} do not fit ${t.formatDims(x.shape)}`);
    return tensorValue(t.reshape(x, given as readonly Dim[]));
  }
  const target = inferred(c, x, given);
  const axis = target.findIndex(isRows);
  if (axis < 0)
    throw c.fail(
      `its sizes ${showItems(target)} fix the number of rows, which is free here; export the model with a dynamic batch dimension`,
    );
  if (product(target) !== product(x.shape))
    throw c.fail(`its sizes ${showItems(target)} do not fit ${t.formatDims(x.shape)}`);
  if (product([target[axis]!]) === 1)
    return tensorValue(
      t.reshape(
        x,
        target.map((d) => (isRows(d) ? FREE : d)),
      ),
    );
  const factors = factorsOf(x, target, axis);
  if (factors === undefined) throw c.fail(JOINED);
  const rest = target.map((d) => (isRows(d) ? FREE : d));
  return join(x, { axis, ...factors }, rest);
}

function inferred(c: NodeContext, x: Tensor, target: readonly Item[]): readonly Item[] {
  const at = target.indexOf(-1);
  if (at < 0) return target;
  const rest = product(target.toSpliced(at, 1));
  const size = rest === 0 ? 0 : product(x.shape) / rest;
  if (!Number.isInteger(size))
    throw c.fail(`its sizes ${showItems(target)} do not fit ${t.formatDims(x.shape)}`);
  return target.with(at, target.some(isRows) ? size : new Rows(size));
}

export const reshapes: Readonly<Record<string, Importer>> = { Reshape: reshape, Flatten: flatten };
