import { type DType, type NdArray, ndarray, sizeOf } from "../core/array.js";
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
  evaluate(roots, values, (shape) => shape.map((d) => (d === FREE ? (rows.count ?? 0) : d)));
  const result = mapTree<Tensor, NdArray>(outputs, (x) => {
    const { shape, data } = values.get(x)!;
    return isFloat(x.dtype) ? ndarray("float64", shape, data.slice()) : arrayFrom(shape, x.dtype, data);
  });
  return result as Interpreted<O>;
}

/** Fill in the values of the roots and of all they depend on; those of inputs are there. */
function evaluate(
  roots: readonly Tensor[],
  values: Map<Tensor, Value>,
  resolve: (shape: readonly Dim[]) => number[],
): void {
  const nodes = reachable(roots);
  for (const node of nodes) {
    if (values.has(node)) continue;
    if (isOp(node, "scan")) {
      evaluateLoop(
        node,
        nodes.filter((x) => x.inputs[0] === (node as Tensor)),
        values,
        resolve,
      );
      continue;
    }
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
}

/** Step by step, with a value for each of the loop's results. */
function evaluateLoop(
  node: Tensor<"scan">,
  results: readonly Tensor[],
  values: Map<Tensor, Value>,
  resolve: (shape: readonly Dim[]) => number[],
): void {
  const { body } = node.attrs;
  const outer = node.inputs.map((x) => values.get(x)!);
  const sequences = body.carry.length + body.slices.length;
  let carry = outer.slice(0, body.carry.length);
  const stacks = results.flatMap((x) => (isOp(x, "scanStack") ? [x] : []));
  for (const x of stacks) {
    const shape = resolve(x.shape);
    values.set(x as unknown as Tensor, { shape, data: new Float64Array(sizeOf(shape)) });
  }
  const roots = [...body.next, ...stacks.map((x) => x.attrs.value)];
  if (body.stop !== undefined) roots.push(body.stop);
  for (let k = 0; k < body.length; k++) {
    const t = body.reverse ? body.length - 1 - k : k;
    const step = new Map<Tensor, Value>();
    for (const [i, x] of body.carry.entries()) step.set(x, carry[i]!);
    for (const [i, x] of body.slices.entries()) {
      const { shape, data } = outer[body.carry.length + i]!;
      const size = data.length / body.length;
      step.set(x, { shape: shape.slice(1), data: data.subarray(t * size, (t + 1) * size) });
    }
    for (const [i, x] of body.captures.entries()) step.set(x, outer[sequences + i]!);
    evaluate(roots, step, resolve);
    carry = body.next.map((x) => step.get(x)!);
    for (const x of stacks) {
      const { data } = step.get(x.attrs.value)!;
      values.get(x as unknown as Tensor)!.data.set(data, t * data.length);
    }
    if (body.stop !== undefined && step.get(body.stop)!.data[0] !== 0) break;
  }
  for (const x of results)
    if (isOp(x, "scanCarry")) values.set(x as unknown as Tensor, carry[x.attrs.index]!);
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
