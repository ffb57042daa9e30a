import type { NdArray } from "../../core/array.js";
import * as t from "../../tensor/index.js";
import { arrayFrom } from "../../tensor/index.js";
import { type Importer, type NodeContext, one } from "./context.js";
import { dimsOf, isRows, itemsValue, literalValue, type Value } from "./values.js";

/** Literals, shapes and what is made from them. */

/** Longer ranges are no positions of anything. */
const MAX_RANGE = 65_536;

function constant(c: NodeContext): NdArray {
  for (const name of ["value", "value_float", "value_floats", "value_int", "value_ints"]) {
    const value = c.attribute(name);
    if (value === undefined) continue;
    const dtype = name.startsWith("value_float") ? "float32" : "int64";
    if (name === "value") return c.array(name)!;
    if (typeof value === "number") return arrayFrom([], dtype, [value]);
    if (Array.isArray(value) && value.every((x) => typeof x === "number"))
      return arrayFrom([value.length], dtype, value);
    throw c.wrong(name, value, "numbers");
  }
  throw c.fail("it has no value, expected a tensor or numbers");
}

function shape(c: NodeContext): Value {
  const dims = dimsOf(c.value(0));
  const items = dims.slice(c.int("start", 0), c.int("end", dims.length));
  return itemsValue([items.length], items);
}

function size(c: NodeContext): Value {
  let size = 1;
  for (const d of dimsOf(c.value(0))) {
    if (isRows(d)) throw c.fail("it counts elements, whose number depends on the rows, which are free here");
    size *= d;
  }
  return itemsValue([], [size]);
}

/** start, start + delta, … before limit */
function range(c: NodeContext): NdArray {
  const [start, limit, delta] = [c.number(0, 0), c.number(1, 0), c.number(2, 1)];
  const first = c.value(0);
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  if (!(count <= MAX_RANGE)) throw c.fail(`it has ${count} elements, expected at most ${MAX_RANGE}`);
  const values = Array.from({ length: count }, (_, i) => start + i * delta);
  return arrayFrom([count], first.kind === "literal" ? first.array.dtype : "int64", values);
}

function constantOfShape(c: NodeContext): t.Tensor {
  const value = c.array("value") ?? arrayFrom([1], "float32", [0]);
  if (value.data.length !== 1)
    throw c.fail(`attribute "value" has ${value.data.length} elements, expected one`);
  return t.filled(Number(value.data[0]), c.dims(0), value.dtype);
}

export const shapes: Readonly<Record<string, Importer>> = {
  Identity: (c) => [c.value(0)],
  Constant: (c) => [literalValue(constant(c))],
  ConstantOfShape: (c) => one(constantOfShape(c)),
  Range: (c) => [literalValue(range(c))],
  Shape: (c) => [shape(c)],
  Size: (c) => [size(c)],
};
