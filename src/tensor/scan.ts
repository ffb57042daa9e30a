import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import { apply, currentGraph, Graph, type Tensor, trace } from "./graph.js";
import { reachable } from "./interpret.js";
import { FREE } from "./operators.js";
import { ScanBody } from "./scan-body.js";
import { formatDims, sameShape, TensorError } from "./shape.js";

/**
 * Loops inside a graph: the step is traced once, and the graph has the same size whatever the number of steps.
 * Written as ONNX `Scan`, or `Loop` where the loop can stop early.
 */

export interface ScanSpec<C extends Tree<Tensor>, X extends Tree<Tensor>> {
  /** carried values before the first step */
  readonly init: C;
  /** sequences [T, …], all of the same T, read one slice at a time */
  readonly xs?: X;
  /** T, where there are no sequences */
  readonly length?: number;
  /** from the last slice to the first; results stay in the order of the sequences. Default false. */
  readonly reverse?: boolean;
}

export interface ScanStep<C extends Tree<Tensor>, Y extends Tree<Tensor>> {
  /** carried values after the step, with the shapes and dtypes of those before it */
  readonly carry: C;
  /** values to be stacked over time */
  readonly out?: Y;
  /** bool scalar: whether this is the last step. Such a loop has no `out` and no gradient. */
  readonly stop?: Tensor;
}

/**
 * Repeat a step: `carry` goes from one step to the next, `out` of all steps is stacked to [T, …].
 *
 * The step may use any tensor from outside; what depends on those alone is computed once, before the loop. Gradients
 * reach `init`, `xs` and everything from outside, and can be differentiated again.
 *
 * @param step from carried values and this step's slices [...] to the next carried values
 * @throws TensorError naming the carried value whose shape or dtype changes, or the sequence of another length
 */
export function scan<C extends Tree<Tensor>, X extends Tree<Tensor>, Y extends Tree<Tensor>>(
  spec: ScanSpec<C, X>,
  step: (carry: C, x: X) => ScanStep<C, Y>,
): { carry: C; out: Y } {
  const outer = currentGraph("scan");
  const init = flattenTree<Tensor>(spec.init);
  const xs = flattenTree<Tensor>(spec.xs ?? {});
  const length = lengthOf(spec.length, xs);
  const graph = new Graph(outer);
  const declare = (kind: string, leaves: [string, Tensor][], shapeOf: (x: Tensor) => readonly number[]) =>
    leaves.map(([path, x]) => graph.input(`${kind}/${path}`, shapeOf(x), x.dtype));
  const carry = declare("carry", init, (x) => x.shape);
  const slices = declare("x", xs, (x) => x.shape.slice(1));
  const result = trace(
    () => step(rebuild(spec.init, carry) as C, rebuild(spec.xs ?? {}, slices) as X),
    graph,
  );
  const own = (x: Tensor) => graph.resolve("scan", x);
  const next = flattenTree<Tensor>(result.carry);
  checkCarry(init, next);
  const stop = result.stop === undefined ? undefined : own(result.stop);
  if (stop !== undefined && (stop.dtype !== "bool" || stop.shape.length > 0)) {
    throw new TensorError(`scan: got ${stop} as "stop", expected a bool scalar`);
  }
  const out = result.out ?? ({} as Y);
  const results = flattenTree<Tensor>(out).map(([, x]) => own(x));
  const after = next.map(([, x]) => own(x));
  const roots = [...after, ...results, ...(stop === undefined ? [] : [stop])];
  const node = loop(
    graph,
    { carry, slices, next: after, length, reverse: spec.reverse ?? false, stop },
    roots,
    [...init.map(([, x]) => x), ...xs.map(([, x]) => x)],
  );
  return {
    carry: rebuild(
      spec.init,
      init.map((_, index) => apply("scanCarry", [node], { index })),
    ) as C,
    out: rebuild(
      out,
      results.map((value) => stackOf(node, value)),
    ) as Y,
  };
}

/**
 * The loop node of a traced body, in the current graph.
 * @param roots  values of the body that the loop must be able to compute
 * @param inputs initial carried values and sequences
 */
function loop(
  graph: Graph,
  parts: Pick<ScanBody, "carry" | "slices" | "next" | "length" | "reverse" | "stop">,
  roots: readonly Tensor[],
  inputs: readonly Tensor[],
): Tensor {
  const captures = reachable(roots).filter((x) => x.op === "input" && graph.originOf(x) !== undefined);
  const { carry, slices, next, length, reverse, stop } = parts;
  const body = new ScanBody(graph, carry, slices, captures, next, length, reverse, stop);
  return apply("scan", [...inputs, ...captures.map((x) => graph.originOf(x)!)], { body });
}

/** A value of a loop's body at every step, [T, …]. */
export function stackOf(node: Tensor, value: Tensor): Tensor {
  return apply("scanStack", [node], { value });
}

/** The tree with its leaves, in order, replaced. */
function rebuild(tree: Tree<Tensor>, leaves: readonly Tensor[]): Tree<Tensor> {
  let i = 0;
  return mapTree<Tensor, Tensor>(tree, () => leaves[i++]!);
}

function lengthOf(given: number | undefined, xs: readonly [string, Tensor][]): number {
  let length = given;
  for (const [path, x] of xs) {
    const size = x.shape[0];
    if (size === undefined || size === FREE) {
      throw new TensorError(
        `scan: sequence "${path}" has shape ${formatDims(x.shape)}, expected [T, …] of known size`,
      );
    }
    if (length !== undefined && size !== length) {
      throw new TensorError(`scan: sequence "${path}" has ${size} steps, expected ${length}, as before it`);
    }
    length = size;
  }
  if (length === undefined || !Number.isInteger(length) || length < 1) {
    throw new TensorError(`scan: got ${length} steps, expected at least one (sequences, or "length")`);
  }
  return length;
}

function checkCarry(before: readonly [string, Tensor][], after: readonly [string, Tensor][]): void {
  for (const [i, [path, x]] of before.entries()) {
    const [name, y] = after[i] ?? ["", undefined];
    if (y === undefined || name !== path) {
      throw new TensorError(`scan: the step returns no carried value "${path}", expected ${x}`);
    }
    if (x.dtype !== y.dtype || !sameShape(x.shape, y.shape)) {
      throw new TensorError(
        `scan: carried value "${path}" changes from ${x.dtype}${formatDims(x.shape)} to ${y.dtype}${formatDims(y.shape)}, expected the same`,
      );
    }
  }
  if (after.length > before.length) {
    const extra = after.find(([path]) => !before.some(([name]) => name === path))!;
    throw new TensorError(`scan: the step returns "${extra[0]}", which has no value before the first step`);
  }
}
