import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import { add } from "./elementwise.js";
import { type GradientRule, gradientRules } from "./gradient-rules.js";
import { currentGraph, filled, isOp, scalar, Tensor, zerosLike } from "./graph.js";
import { concat } from "./movement.js";
import type { Operator } from "./operators.js";
import { scanCotangents } from "./scan-gradient.js";
import { formatDims, isFloat, sameShape, TensorError } from "./shape.js";

/**
 * The gradient of y with respect to xs, as tensors of the same trace: it can be part of further
 * computations and be differentiated again.
 *
 * @param y    a float scalar, or any float tensor if a seed is given
 * @param xs   a tensor, an array, or a tree of float tensors, inputs or intermediate values
 * @param seed cotangent of y (its shape); default 1
 * @returns d(Σ seed·y)/dx in the structure of xs; zeros where y does not depend on x
 * @throws TensorError if y is not scalar and no seed is given, or a dtype is not float
 */
export function grad(y: Tensor, xs: Tensor, seed?: Tensor): Tensor;
export function grad(y: Tensor, xs: readonly Tensor[], seed?: Tensor): Tensor[];
export function grad<T extends Tree<Tensor>>(y: Tensor, xs: T, seed?: Tensor): T;
export function grad(
  y: Tensor,
  xs: Tensor | readonly Tensor[] | Tree<Tensor>,
  seed?: Tensor,
): Tensor | Tensor[] | Tree<Tensor> {
  if (xs instanceof Tensor) return gradients(y, [xs], seed)[0]!;
  if (Array.isArray(xs)) return gradients(y, xs, seed);
  const leaves = flattenTree(xs as Tree<Tensor>);
  const byPath = new Map<string, Tensor>();
  const found = gradients(
    y,
    leaves.map(([, x]) => x),
    seed,
  );
  for (const [i, [path]] of leaves.entries()) byPath.set(path, found[i]!);
  return mapTree<Tensor, Tensor>(xs as Tree<Tensor>, (_, path) => byPath.get(path)!);
}

function gradients(given: Tensor, targets: readonly Tensor[], seed: Tensor | undefined): Tensor[] {
  const graph = currentGraph("grad");
  const y = graph.resolve("grad", given);
  const xs = targets.map((x) => graph.resolve("grad", x));
  checkArguments(y, xs, seed);
  const found = cotangents([[y, seed ?? scalar(1, y.dtype)]], xs);
  return xs.map((x, i) => found[i] ?? zerosLike(x));
}

/** The walk from ys down to xs: the cotangent of each x, undefined where none arrives. */
function cotangents(
  ys: readonly (readonly [y: Tensor, seed: Tensor])[],
  xs: readonly Tensor[],
): (Tensor | undefined)[] {
  const reached = dependents(
    ys.map(([y]) => y),
    new Set(xs),
  );
  const found = new Map<Tensor, Tensor>();
  const receive = (x: Tensor, d: Tensor) => {
    const sofar = found.get(x);
    found.set(x, sofar === undefined ? d : add(sofar, d));
  };
  for (const [y, seed] of ys) receive(y, seed);
  const parts = new Map<Tensor, Map<number, Tensor>>();
  const results = new Map<Tensor, Map<Tensor, Tensor>>();
  // Descending ids visit every consumer before what it consumes. A loop, not a recursion: unrolled graphs are
  // deeper than the stack.
  for (const node of [...reached].sort((a, b) => b.id - a.id)) {
    if (isOp(node, "split")) {
      const joined = joinParts(node, parts.get(node));
      if (joined !== undefined) found.set(node, joined);
    }
    if (isOp(node, "scan")) {
      const wanted = node.inputs.map((x) => reached.has(x));
      const arrived = results.get(node);
      if (arrived === undefined) continue;
      for (const [i, d] of scanCotangents(node, arrived, wanted, cotangents).entries()) {
        if (d !== undefined && wanted[i]) receive(node.inputs[i]!, d);
      }
      continue;
    }
    const d = found.get(node);
    if (d === undefined) continue;
    if (isOp(node, "part")) {
      const source = node.inputs[0]!;
      parts.set(source, (parts.get(source) ?? new Map<number, Tensor>()).set(node.attrs.index, d));
      continue;
    }
    if (node.op === "scanCarry" || node.op === "scanStack") {
      const source = node.inputs[0]!;
      results.set(source, (results.get(source) ?? new Map<Tensor, Tensor>()).set(node, d));
      continue;
    }
    const rule = gradientRules[node.op] as GradientRule<Operator>;
    if (rule === null) continue;
    for (const [i, cotangent] of rule(node, d).entries()) {
      const x = node.inputs[i]!;
      if (cotangent === null || !reached.has(x)) continue;
      receive(x, cotangent());
    }
  }
  return xs.map((x) => found.get(x));
}

function checkArguments(y: Tensor, xs: readonly Tensor[], seed: Tensor | undefined): void {
  if (!isFloat(y.dtype)) throw new TensorError(`grad: got y = ${y}, expected a float dtype`);
  if (seed === undefined && y.shape.length > 0) {
    throw new TensorError(
      `grad: got y of shape ${formatDims(y.shape)}, expected a scalar; reduce it, or give a seed cotangent`,
    );
  }
  if (seed !== undefined && (!sameShape(seed.shape, y.shape) || seed.dtype !== y.dtype)) {
    throw new TensorError(`grad: got the seed ${seed} for y = ${y}, expected the same shape and dtype`);
  }
  for (const x of xs) {
    if (!isFloat(x.dtype)) throw new TensorError(`grad: got x = ${x}, expected a float dtype`);
  }
}

/** The values between xs and ys: they depend on an x, and a y depends on them, through differentiable operators. */
function dependents(ys: readonly Tensor[], xs: ReadonlySet<Tensor>): Set<Tensor> {
  let first = Number.POSITIVE_INFINITY;
  for (const x of xs) first = Math.min(first, x.id);
  const above = new Set<Tensor>(ys);
  // A set iterates over what is added to it meanwhile.
  for (const node of above) {
    if (gradientRules[node.op] === null) continue;
    for (const x of node.inputs) if (x.id >= first) above.add(x);
  }
  const reached = new Set<Tensor>();
  for (const node of [...above].sort((a, b) => a.id - b.id)) {
    const differentiable = gradientRules[node.op] !== null;
    if (xs.has(node) || (differentiable && node.inputs.some((x) => reached.has(x)))) reached.add(node);
  }
  return reached;
}

/** The cotangent of a split tensor from those of its parts; parts that are not used contribute zeros. */
function joinParts(node: Tensor<"split">, parts: Map<number, Tensor> | undefined): Tensor | undefined {
  if (parts === undefined) return undefined;
  const { axis, sizes } = node.attrs;
  return concat(
    sizes.map(
      (size, i) =>
        parts.get(i) ??
        filled(
          0,
          node.shape.map((d, a) => (a === axis ? size : d)),
          node.dtype,
        ),
    ),
    axis,
  );
}
