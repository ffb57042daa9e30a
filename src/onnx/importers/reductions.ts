import type { Tensor } from "../../tensor/index.js";
import * as t from "../../tensor/index.js";
import { type Importer, type NodeContext, one } from "./context.js";

/** Operators that join the elements along axes. */

type Reduction = (x: Tensor, axes?: t.Axes, keepDims?: boolean) => Tensor;

/**
 * The axes are an attribute before operator set `since` and an input from then on. No axes: all of them, or none with
 * `noop_with_empty_axes`.
 */
const reduction =
  (fn: Reduction, since = 18): Importer =>
  (c) => {
    const x = c.tensor(0);
    const axes = c.intsSince(since, "axes") ?? [];
    const keepDims = c.flag("keepdims", true);
    const noop = c.flag("noop_with_empty_axes", false);
    if (axes.length > 0) return one(fn(x, axes, keepDims));
    if (!noop) return one(fn(x, undefined, keepDims));
    if (!PLAIN.has(fn)) throw c.fail('attribute "noop_with_empty_axes" is 1 and there are no axes');
    return one(x);
  };

/** Reductions that leave a single element as it is. Of the others, runtimes differ in what is left without axes. */
const PLAIN = new Set<Reduction>([t.sum, t.mean, t.max, t.min]);

/** √Σ x²; its derivative is infinite at 0. */
const norm: Reduction = (x, axes, keepDims) => t.sqrt(t.sum(t.square(x), axes, keepDims));

const extremum =
  (sign: 1 | -1): Importer =>
  (c) => {
    c.require("select_last_index", 0);
    const x = sign === 1 ? c.tensor(0) : t.neg(c.tensor(0));
    return one(t.cast(t.argMax(x, c.int("axis", 0), c.flag("keepdims", true)), "int64"));
  };

function cumSum(c: NodeContext): Tensor {
  const axis = c.number(1, 0);
  return t.cumsum(c.tensor(0), axis, {
    exclusive: c.flag("exclusive", false),
    reverse: c.flag("reverse", false),
  });
}

export const reductions: Readonly<Record<string, Importer>> = {
  ReduceSum: reduction(t.sum, 13),
  ReduceSumSquare: reduction((x, axes, keepDims) => t.sum(t.square(x), axes, keepDims)),
  ReduceMean: reduction(t.mean),
  ReduceMax: reduction(t.max),
  ReduceMin: reduction(t.min),
  ReduceLogSumExp: reduction(t.logSumExp),
  ReduceL1: reduction((x, axes, keepDims) => t.sum(t.abs(x), axes, keepDims)),
  ReduceL2: reduction(norm),
  ArgMax: extremum(1),
  ArgMin: extremum(-1),
  CumSum: (c) => one(cumSum(c)),
};
