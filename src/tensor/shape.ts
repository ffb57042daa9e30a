import type { DType } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { type Dim, FREE } from "./operators.js";

/** A tensor operation that cannot be: the message names the operation and the shapes. */
export class TensorError extends UserError {
  override readonly name: string = "TensorError";
}

/** `[N, 18]`: the free dimension prints as N. */
export function formatDims(shape: readonly Dim[]): string {
  return `[${shape.map((d) => (d === FREE ? "N" : d)).join(", ")}]`;
}

export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function hasFree(shape: readonly Dim[]): boolean {
  return shape.includes(FREE);
}

export function isFloat(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64";
}

/** Product of the known dimensions (the free one counts as 1). */
export function staticSize(shape: readonly Dim[]): number {
  let n = 1;
  for (const d of shape) if (d !== FREE) n *= d;
  return n;
}

/** Numpy's broadcasting of two shapes. @throws TensorError naming the operation and both shapes */
export function broadcastShapes(op: string, a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = new Array(rank);
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      const why = x === FREE || y === FREE ? "; a free dimension N meets only N or 1" : "";
      throw new TensorError(`${op}: shapes ${formatDims(a)} and ${formatDims(b)} do not broadcast${why}`);
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** Axis −1 is the last one. @throws TensorError naming the operation and the shape */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(a) || a < 0 || a >= rank) {
    throw new TensorError(`${op}: got axis ${axis}, expected an axis of a tensor of rank ${rank}`);
  }
  return a;
}

/** All axes when none are given; sorted, each once. */
export function normalizeAxes(
  op: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === "number" ? [axes] : axes).map((a) => normalizeAxis(op, a, rank));
  list.sort((a, b) => a - b);
  for (let i = 1; i < list.length; i++) {
    if (list[i] === list[i - 1]) throw new TensorError(`${op}: axis ${list[i]} is given twice`);
  }
  return list;
}

/** @throws TensorError if the dimension is free: the operation needs its size while tracing */
export function requireStatic(op: string, shape: readonly Dim[], axis: number): number {
  const d = shape[axis]!;
  if (d === FREE) {
    throw new TensorError(
      `${op}: axis ${axis} of shape ${formatDims(shape)} is free (N), but this operation needs its size; give the program static rows`,
    );
  }
  return d;
}

/** The shape with the given axes reduced. */
export function reducedShape(shape: readonly Dim[], axes: readonly number[], keepDims: boolean): Dim[] {
  const out: Dim[] = [];
  for (let i = 0; i < shape.length; i++) {
    if (!axes.includes(i)) out.push(shape[i]!);
    else if (keepDims) out.push(1);
  }
  return out;
}
