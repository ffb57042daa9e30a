import { type DType, type NdArray, ndarray } from "../core/array.js";
import { formatShape } from "../core/errors.js";
import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import { arrayFrom, isOp, type Tensor } from "./graph.js";
import { type Dim, FREE, type Operator } from "./operators.js";
import { type ReferenceRule, reference, type Value } from "./reference.js";
import { formatDims, isFloat, TensorError } from "./shape.js";

/** A tree of tensors with every tensor replaced by its value. */
export type Interpreted<O> = O extends Tensor ? NdArray : { readonly [K in keyof O]: Interpreted<O[K]> };

/**
 * Evaluate tensors in float64, whatever their float dtype is: the reference that compiled programs are
 * compared with.
 *
 * @param outputs tensor or tree of tensors
 * @param feeds   value of each input by name; float arrays of either precision
 * @returns the same structure; float64 arrays for float tensors, the tensor's own dtype otherwise
 * @throws TensorError if a needed input is missing or has another shape or dtype
 */
export function interpret<O extends Tree<Tensor>>(
  outputs: O,
  feeds: Readonly<Record<string, NdArray>> = {},
): Interpreted<O> {
  const roots = flattenTree<Tensor>(outputs).map(([, x]) => x);
  const values = new Map<Tensor, Value>();
  const rows = { count: undefined as number | undefined };
  for (const node of reachable(roots)) {
    if (isOp(node, "input")) values.set(node as unknown as Tensor, feed(node, feeds, rows));
  }
  const resolve = (shape: readonly Dim[]) => shape.map((d) => (d === FREE ? (rows.count ?? 0) : d));
  for (const node of reachable(roots)) {
    if (values.has(node)) continue;
    const rule = reference[node.op] as ReferenceRule<Operator>;
    const shape = resolve(node.shape);
    const data = rule(
      node.inputs.map((x) => values.get(x)!),
      node.attrs,
      shape,
      node,
    );
    values.set(node, { shape, data });
  }
  const result = mapTree<Tensor, NdArray>(outputs, (x) => {
    const { shape, data } = values.get(x)!;
    return isFloat(x.dtype) ? ndarray("float64", shape, data.slice()) : arrayFrom(shape, x.dtype, data);
  });
  return result as Interpreted<O>;
}

/** Everything the roots depend on, in topological order. */
export function reachable(roots: Iterable<Tensor>): Tensor[] {
  const found = new Set<Tensor>(roots);
  for (const node of found) for (const x of node.inputs) found.add(x);
  return [...found].sort((a, b) => a.id - b.id);
}

function compatible(given: DType, expected: DType): boolean {
  return given === expected || (isFloat(given) && isFloat(expected));
}

function feed(
  node: Tensor<"input">,
  feeds: Readonly<Record<string, NdArray>>,
  rows: { count: number | undefined },
): Value {
  const { name } = node.attrs;
  const value = feeds[name];
  if (value === undefined) throw new TensorError(`interpret: input "${name}" is missing`);
  const fits =
    value.shape.length === node.shape.length &&
    node.shape.every((d, i) => {
      if (d === FREE) rows.count ??= value.shape[i]!;
      return value.shape[i] === (d === FREE ? rows.count : d);
    });
  if (!fits || !compatible(value.dtype, node.dtype)) {
    throw new TensorError(
      `interpret: input "${name}": got ${value.dtype}${formatShape(value.shape)}, expected ${node.dtype}${formatDims(node.shape)}`,
    );
  }
  return { shape: value.shape, data: Float64Array.from(value.data as ArrayLike<number | bigint>, Number) };
}
