import { apply, constantNumber, filled, isOp, type Tensor } from "./graph.js";
import type { Dim } from "./operators.js";
import {
  formatDims,
  hasFree,
  normalizeAxis,
  requireStatic,
  sameShape,
  staticSize,
  TensorError,
} from "./shape.js";

/**
 * Same elements in row-major order. One entry may be −1: the free dimension if x has one, else the size
 * that makes the element counts agree.
 */
export function reshape(x: Tensor, shape: readonly Dim[]): Tensor {
  let target = shape;
  if (shape.includes(-1) && !hasFree(x.shape)) {
    const rest = staticSize(shape);
    const inferred = rest === 0 ? 0 : staticSize(x.shape) / rest;
    if (!Number.isInteger(inferred) || shape.filter((d) => d === -1).length > 1) {
      throw new TensorError(
        `reshape: ${formatDims(x.shape)} cannot become [${shape.join(", ")}], expected equal element counts`,
      );
    }
    target = shape.map((d) => (d === -1 ? inferred : d));
  }
  if (sameShape(target, x.shape)) return x;
  const value = constantNumber(x);
  if (value !== undefined && !hasFree(target) && staticSize(target) === staticSize(x.shape)) {
    return filled(value, target, x.dtype);
  }
  if (x.op === "reshape") return reshape(x.inputs[0]!, target);
  return apply("reshape", [x], { shape: target });
}

/** Axes reordered; reversed unless a permutation is given. */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const p = permutation ?? x.shape.map((_, i) => rank - 1 - i);
  if (p.length === rank && p.every((axis, i) => axis === i)) return x;
  if (isOp(x, "transpose") && p.length === rank) {
    const inner = x.attrs.permutation;
    if (p.every((axis) => inner[axis] !== undefined)) {
      return transpose(
        x.inputs[0]!,
        p.map((axis) => inner[axis]!),
      );
    }
  }
  return apply("transpose", [x], { permutation: p });
}

/** The last two axes swapped. */
export function swapLastAxes(x: Tensor): Tensor {
  const p = x.shape.map((_, i) => i);
  const last = p.length - 1;
  [p[last], p[last - 1]] = [last - 1, last];
  return transpose(x, p);
}

/** Repeated along new or size-1 axes to the given shape. */
export function expand(x: Tensor, shape: readonly Dim[]): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (x.op === "expand" && x.inputs[0]!.shape.length === 0) return expand(x.inputs[0]!, shape);
  return apply("expand", [x], { shape });
}

/** Joined along an axis of static sizes. */
export function concat(parts: readonly Tensor[], axis = 0): Tensor {
  const first = parts[0];
  if (first === undefined) throw new TensorError("concat: got no tensors, expected at least one");
  const a = normalizeAxis("concat", axis, first.shape.length);
  if (parts.length === 1) return first;
  // All parts of one split, in order, are the split tensor again.
  const source = first.op === "part" ? first.inputs[0]! : undefined;
  if (source !== undefined && isOp(source, "split") && source.attrs.axis === a) {
    const { sizes } = source.attrs;
    const whole =
      sizes.length === parts.length &&
      parts.every((p, i) => isOp(p, "part") && p.inputs[0] === source && p.attrs.index === i);
    if (whole) return source.inputs[0]!;
  }
  return apply("concat", parts, { axis: a });
}

/** Cut along an axis into parts of the given sizes. One ONNX node, and one concat as gradient. */
export function split(x: Tensor, sizes: readonly number[], axis = 0): Tensor[] {
  const a = normalizeAxis("split", axis, x.shape.length);
  if (sizes.length === 1 && sizes[0] === x.shape[a]) return [x];
  const whole = apply("split", [x], { axis: a, sizes });
  return sizes.map((_, index) => apply("part", [whole], { index }));
}

/** `start`, `end` (exclusive) and `step` of one axis; negative positions count from the end. */
export interface Range {
  readonly start?: number;
  readonly end?: number;
  readonly step?: number;
}

/**
 * Part of a tensor: one range for each axis named, everything on the others. Positions beyond the ends are
 * limited to them, as in numpy.
 *
 * @param ranges axis → range, for example `slice(x, { 1: { start: 2, end: 5 } })`
 */
export function slice(x: Tensor, ranges: Readonly<Record<number, Range>>): Tensor {
  const starts = x.shape.map(() => 0);
  const ends = [...x.shape];
  const steps = x.shape.map(() => 1);
  for (const [key, range] of Object.entries(ranges)) {
    const axis = normalizeAxis("slice", Number(key), x.shape.length);
    const size = requireStatic("slice", x.shape, axis);
    const step = range.step ?? 1;
    if (!Number.isInteger(step) || step === 0) {
      throw new TensorError(`slice: got step ${step} on axis ${axis}, expected an integer other than 0`);
    }
    // Limits of python's slice.indices: [0, size] forward, [−1, size − 1] backward.
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const limit = (p: number) => Math.min(high, Math.max(low, p < 0 ? p + size : p));
    const start = range.start === undefined ? (step > 0 ? low : high) : limit(range.start);
    const end = range.end === undefined ? (step > 0 ? high : low) : limit(range.end);
    // An empty range gets one form: ONNX would read a start of −1 as the last element.
    const empty = (end - start) / step <= 0;
    starts[axis] = empty ? 0 : start;
    ends[axis] = empty ? 0 : end;
    steps[axis] = empty ? 1 : step;
  }
  const whole = x.shape.every((d, i) => starts[i] === 0 && ends[i] === d && steps[i] === 1);
  return whole ? x : apply("slice", [x], { starts, ends, steps });
}

/** Surrounded by a value: `before` and `after` give one count ≥ 0 for each axis. */
export function pad(x: Tensor, before: readonly number[], after: readonly number[], value = 0): Tensor {
  const rank = x.shape.length;
  const bad = (list: readonly number[]) =>
    list.length !== rank || list.some((n) => !Number.isInteger(n) || n < 0);
  if (bad(before) || bad(after)) {
    throw new TensorError(
      `pad: got [${before}] and [${after}] for shape ${formatDims(x.shape)}, expected one count ≥ 0 per axis`,
    );
  }
  if ([...before, ...after].every((n) => n === 0)) return x;
  return apply("pad", [x], { before, after, value });
}
