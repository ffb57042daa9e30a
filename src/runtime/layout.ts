import type { NdArray } from "../core/array.js";
import { formatShape } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import { flattenTree, isLeaf, type Tree } from "../core/tree.js";
import { FREE, formatDims, TensorError } from "../tensor/index.js";
import type { ArraySpec, SpecTree } from "./types.js";

/** One level of an input tree, prepared so that a call can walk it without allocating. */
type Plan =
  | { readonly leaf: number }
  | { readonly keys: readonly string[]; readonly children: readonly Plan[] };

/** The leaves of an input tree that a compiled program accepts, in a fixed order. */
export class InputLayout {
  readonly paths: readonly string[];
  readonly specs: readonly ArraySpec[];
  readonly #plan: Plan;

  constructor(spec: SpecTree) {
    const leaves = flattenTree<ArraySpec>(spec);
    this.paths = leaves.map(([path]) => path);
    this.specs = leaves.map(([, leaf]) => ({ dtype: leaf.dtype, shape: [...leaf.shape] }));
    const index = { next: 0 };
    this.#plan = planOf(spec, index);
  }

  /**
   * Put the arrays of a tree into `out` in order, if all of them fit.
   *
   * @returns false if the tree has other leaves, shapes or dtypes
   */
  collect(inputs: Tree<NdArray>, out: NdArray[]): boolean {
    return walk(this.#plan, inputs, out) && this.#fits(out);
  }

  #fits(out: readonly NdArray[]): boolean {
    const { specs } = this;
    let rows = FREE;
    for (let i = 0; i < specs.length; i++) {
      const { dtype, shape: expected } = specs[i]!;
      const { shape } = out[i]!;
      if (out[i]!.dtype !== dtype || shape.length !== expected.length) return false;
      let axis = 0;
      if (expected[0] === FREE) {
        if (rows === FREE) rows = shape[0]!;
        if (shape[0] !== rows) return false;
        axis = 1;
      }
      for (; axis < expected.length; axis++) if (shape[axis] !== expected[axis]) return false;
    }
    return true;
  }

  /** Whether the leaves are the same, only with other sizes. */
  sameKind(other: SpecTree): boolean {
    const leaves = flattenTree<ArraySpec>(other);
    return (
      leaves.length === this.paths.length &&
      leaves.every(
        ([path, { dtype, shape }], i) =>
          path === this.paths[i] &&
          dtype === this.specs[i]!.dtype &&
          shape.length === this.specs[i]!.shape.length,
      )
    );
  }

  /** The sentence that says how a tree differs from what is expected. */
  mismatch(program: string, inputs: Tree<NdArray>): TensorError {
    const given = new Map(flattenTree<NdArray>(inputs));
    let rows: [path: string, count: number] | undefined;
    for (const [i, path] of this.paths.entries()) {
      const expected = this.specs[i]!;
      const value = given.get(path);
      const place = `${program}, input "${path}"`;
      const want = `expected ${expected.dtype} ${formatDims(expected.shape)}`;
      if (value === undefined) return new TensorError(`${place}: missing, ${want}`);
      given.delete(path);
      const got = `got ${value.dtype} ${formatShape(value.shape)}`;
      const fits =
        value.dtype === expected.dtype &&
        value.shape.length === expected.shape.length &&
        expected.shape.every((d, axis) => d === FREE || d === value.shape[axis]);
      if (!fits) return new TensorError(`${place}: ${got}, ${want}`);
      if (expected.shape[0] !== FREE) continue;
      rows ??= [path, value.shape[0]!];
      if (value.shape[0] !== rows[1]) {
        return new TensorError(`${place}: ${got}, ${want} with N = ${rows[1]}, as in "${rows[0]}"`);
      }
    }
    const extra = [...given.keys()][0];
    const place = `${program}, input "${extra}"`;
    return new TensorError(`${place}: not an input of this program. ${suggestion(extra ?? "", this.paths)}`);
  }
}

function planOf(spec: SpecTree, index: { next: number }): Plan {
  if (isLeaf<ArraySpec>(spec)) return { leaf: index.next++ };
  const keys = Object.keys(spec).sort();
  return { keys, children: keys.map((key) => planOf(spec[key]!, index)) };
}

function walk(plan: Plan, value: Tree<NdArray> | undefined, out: NdArray[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  if ("leaf" in plan) {
    if ((value as NdArray).data === undefined) return false;
    out[plan.leaf] = value as NdArray;
    return true;
  }
  const { keys, children } = plan;
  for (let i = 0; i < keys.length; i++) {
    if (!walk(children[i]!, (value as Record<string, Tree<NdArray>>)[keys[i]!], out)) return false;
  }
  let count = 0;
  for (const _ in value) count++;
  return count === keys.length;
}

/** Rebuilds the tree of results; prepared once. */
export class OutputLayout {
  readonly #plan: Plan;

  /** @param tree a tree with one leaf for each result, in the order of `flattenTree` */
  constructor(tree: SpecTree) {
    this.#plan = planOf(tree, { next: 0 });
  }

  build(results: readonly NdArray[]): Tree<NdArray> {
    return assemble(this.#plan, results);
  }
}

function assemble(plan: Plan, results: readonly NdArray[]): Tree<NdArray> {
  if ("leaf" in plan) return results[plan.leaf]!;
  const out: Record<string, Tree<NdArray>> = {};
  for (let i = 0; i < plan.keys.length; i++) out[plan.keys[i]!] = assemble(plan.children[i]!, results);
  return out;
}
