import * as t from "../../tensor/index.js";
import { FREE, type Tensor } from "../../tensor/index.js";
import { type Importer, type NodeContext, one } from "./context.js";
import { type Item, isRows, tensorValue } from "./values.js";

/** Operators that only move elements. */

function squeeze(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const rank = x.shape.length;
  const list = c.intsSince(13, "axes");
  // As in ONNX Runtime, an empty list means the same as none.
  const given = list?.length === 0 ? undefined : list;
  if (given === undefined && c.scope.rows !== undefined && t.hasFree(x.shape)) {
    throw c.fail("it removes every dimension of size 1, the row as well");
  }
  const axes = (given ?? x.shape.flatMap((d, i) => (d === 1 ? [i] : []))).map((a) => (a < 0 ? a + rank : a));
  for (const a of axes) {
    if (x.shape[a] !== 1)
      throw c.fail(`got axis ${a} of shape ${t.formatDims(x.shape)}, expected a dimension of size 1`);
  }
  return t.reshape(
    x,
    x.shape.filter((_, i) => !axes.includes(i)),
  );
}

function unsqueeze(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const given = c.intsSince(13, "axes");
  if (given === undefined) throw c.fail("it has no axes, expected at least one");
  const rank = x.shape.length + given.length;
  const axes = given.map((a) => (a < 0 ? a + rank : a));
  if (new Set(axes).size < axes.length || axes.some((a) => !(a >= 0 && a < rank)))
    throw c.fail(`got axes [${given.join(", ")}], expected each once, below ${rank}`);
  const rest = x.shape.values();
  return t.reshape(
    x,
    Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : rest.next().value!)),
  );
}

/** Broadcast in both directions: a size of 1 in the target keeps that of the data. */
function expand(c: NodeContext): Tensor {
  const x = c.tensor(0);
  return t.expand(x, t.broadcastShapes("Expand", x.shape, c.dims(1)));
}

/**
 * Parts in a row. In a model exported for one row, a part that is the same for all rows is repeated for each.
 */
function concat(c: NodeContext): Tensor {
  const axis = c.int("axis");
  let parts: readonly Tensor[] = c.tensors;
  const { rows } = c.scope;
  const free = parts.find((x) => t.hasFree(x.shape))?.shape.indexOf(FREE);
  const at = free ?? rows?.axisOf?.(c.node.outputs[0]!)?.axis;
  if (rows !== undefined && at !== undefined && at !== axis) {
    parts = parts.map((x) => (x.shape[at] === 1 ? t.expand(x, x.shape.with(at, rows.count)) : x));
  }
  return t.concat(parts, axis);
}

/** In parts of given sizes, or as many equal ones as there are outputs (the last one smaller, if need be). */
function split(c: NodeContext): readonly Tensor[] {
  const x = c.tensor(0);
  const given = c.int("axis", 0);
  const axis = given < 0 ? given + x.shape.length : given;
  const size = x.shape[axis];
  if (size === undefined) throw c.wrong("axis", given, `an axis of a tensor of rank ${x.shape.length}`);
  const sizes = c.intsSince(13, "split");
  const count = c.node.outputs.length;
  if (c.opset >= 18 && c.int("num_outputs", count) !== count)
    throw c.fail(`attribute "num_outputs" is ${c.int("num_outputs")}, but it has ${count} outputs`);
  if (sizes !== undefined && sizes.length !== count)
    throw c.fail(`it splits into ${sizes.length} parts, but has ${count} outputs`);
  if (sizes !== undefined) return t.split(x, sizes, axis);
  if (size === FREE) throw c.fail("it splits the rows, which are free here");
  const part = Math.ceil(size / count);
  return t.split(
    x,
    Array.from({ length: count }, (_, i) => Math.min(part, size - i * part)),
    axis,
  );
}

/** From here on an end means "to the end", whatever the size is. */
const TO_THE_END = 2 ** 31 - 1;

function slice(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const rank = x.shape.length;
  const attributes = c.opset < 10;
  const list = (name: string, i: number): readonly Item[] | undefined =>
    attributes ? c.intList(name) : c.has(i) ? c.items(i) : undefined;
  const [starts, ends] = [list("starts", 1), list("ends", 2)];
  if (starts === undefined || ends === undefined) throw c.fail("it has no starts or no ends");
  const axes = list("axes", 3) ?? starts.map((_, i) => i);
  const steps = (attributes ? undefined : list("steps", 4)) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    throw c.fail(
      `got ${starts.length} starts, ${ends.length} ends, ${axes.length} axes and ${steps.length} steps, expected as many of each`,
    );
  }
  const ranges: Record<number, t.Range> = {};
  const seen = new Set<Item>();
  for (const [i, given] of axes.entries()) {
    const axis = !isRows(given) && given < 0 ? given + rank : given;
    if (isRows(axis) || x.shape[axis] === undefined || seen.has(axis))
      throw c.fail(
        `got axes [${axes.map(String).join(", ")}] for shape ${t.formatDims(x.shape)}, expected each axis once`,
      );
    seen.add(axis);
    const start = starts[i]!;
    const end = ends[i]!;
    const step = steps[i]!;
    // All rows, whatever their number is.
    const toTheEnd = isRows(end) ? end.times >= c.times : end >= TO_THE_END;
    if (x.shape[axis] === FREE && start === 0 && toTheEnd && step === 1) continue;
    if (isRows(start) || isRows(end) || isRows(step))
      throw c.fail("its positions depend on the number of rows, which is free here");
    ranges[axis] = { start, end, step };
  }
  return t.slice(x, ranges);
}

/** Repeated along each axis. */
function tile(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const repeats = c.ints(1);
  if (repeats.length !== x.shape.length || repeats.some((n) => n < 0))
    throw c.fail(
      `got repeats [${repeats.join(", ")}] for shape ${t.formatDims(x.shape)}, expected one ≥ 0 per axis`,
    );
  const touched = x.shape.some((d, i) => d === FREE && repeats[i] !== 1);
  if (touched) throw c.fail("it repeats the rows, which are free here");
  // Each axis of n elements becomes [repeats, n], and these become one again.
  const columns = t.reshape(
    x,
    x.shape.flatMap((d) => [1, d]),
  );
  const wide = t.expand(
    columns,
    x.shape.flatMap((d, i) => [repeats[i]!, d]),
  );
  return t.reshape(
    wide,
    x.shape.map((d, i) => (d === FREE ? FREE : d * repeats[i]!)),
  );
}

/** Surrounded by a constant. */
function pad(c: NodeContext): Tensor {
  const x = c.tensor(0);
  c.require("mode", "constant");
  const given = c.intsSince(11, "pads");
  if (given === undefined) throw c.fail("it has no pads");
  const value = c.opset < 11 ? c.float("value", 0) : c.number(2, 0);
  const axes = c.opset >= 18 && c.has(3) ? c.ints(3) : x.shape.map((_, i) => i);
  if (given.length !== 2 * axes.length)
    throw c.fail(`got ${given.length} pads, expected two for each of ${axes.length} axes`);
  const [before, after] = [x.shape.map(() => 0), x.shape.map(() => 0)];
  for (const [i, given_] of axes.entries()) {
    const axis = given_ < 0 ? given_ + x.shape.length : given_;
    before[axis] = given[i]!;
    after[axis] = given[axes.length + i]!;
  }
  return t.pad(x, before, after, value);
}

export const movement: Readonly<Record<string, Importer>> = {
  Squeeze: (c) => one(squeeze(c)),
  Unsqueeze: (c) => one(unsqueeze(c)),
  Transpose: (c) => one(t.transpose(c.tensor(0), c.intList("perm"))),
  Expand: (c) => one(expand(c)),
  Concat: (c) => one(concat(c)),
  Split: (c) => split(c).map(tensorValue),
  Slice: (c) => one(slice(c)),
  Tile: (c) => one(tile(c)),
  Pad: (c) => one(pad(c)),
};
