import { sizeOf } from "../core/array.js";
import { internalError } from "../core/errors.js";
import type { Tensor } from "./graph.js";
import type { Operator, OperatorAttributes, ReductionAttributes } from "./operators.js";
import { TensorError } from "./shape.js";

/**
 * What every operator means, in plain float64 loops: the reference for the ONNX forms and for the gradient
 * rules. Written for being obviously right, not for speed. Integers and booleans are held as float64 too.
 */

/** A concrete value: no free dimension left. */
export interface Value {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * @param inputs values of the operator's inputs
 * @param attrs  its attributes
 * @param shape  the result's shape, free dimension resolved
 * @param node   the tensor computed, for rules that look further than the attributes
 */
export type ReferenceRule<O extends Operator> = (
  inputs: readonly Value[],
  attrs: OperatorAttributes[O],
  shape: readonly number[],
  node: Tensor,
) => Float64Array;

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = new Array(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= shape[i]!;
  }
  return strides;
}

/** Call `visit(position, index)` for every element in row-major order; the index array is reused. */
function forEach(
  shape: readonly number[],
  visit: (position: number, index: readonly number[]) => void,
): void {
  const index: number[] = new Array(shape.length).fill(0);
  const size = sizeOf(shape);
  for (let position = 0; position < size; position++) {
    visit(position, index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** Position in x of the element that broadcasting puts at `index`. */
function broadcastPosition(x: Value, strides: readonly number[], index: readonly number[]): number {
  const lead = index.length - x.shape.length;
  let position = 0;
  for (let i = 0; i < x.shape.length; i++) if (x.shape[i] !== 1) position += index[lead + i]! * strides[i]!;
  return position;
}

/** Broadcasting map of any number of inputs. */
function map(
  inputs: readonly Value[],
  shape: readonly number[],
  fn: (...x: number[]) => number,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const strides = inputs.map((x) => stridesOf(x.shape));
  const args: number[] = new Array(inputs.length);
  forEach(shape, (position, index) => {
    for (let k = 0; k < inputs.length; k++) {
      args[k] = inputs[k]!.data[broadcastPosition(inputs[k]!, strides[k]!, index)]!;
    }
    out[position] = fn(...args);
  });
  return out;
}

type Elementwise = (
  inputs: readonly Value[],
  attrs: unknown,
  shape: readonly number[],
  node: Tensor,
) => Float64Array;

const elementwise =
  (fn: (...x: number[]) => number): Elementwise =>
  (inputs, _, shape) =>
    map(inputs, shape, fn);

const truth =
  (fn: (a: number, b: number) => boolean): Elementwise =>
  (inputs, _, shape) =>
    map(inputs, shape, (a, b) => Number(fn(a!, b!)));

/** Copy elements: `from(index)` names the position in x of the element at `index` of the result. */
function rearrange(
  x: Value,
  shape: readonly number[],
  from: (index: readonly number[]) => number,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  forEach(shape, (position, index) => {
    out[position] = x.data[from(index)]!;
  });
  return out;
}

/** Fold the groups of elements that a reduction joins. */
function reduce(
  fn: (group: number[]) => number,
): (inputs: readonly Value[], attrs: ReductionAttributes, shape: readonly number[]) => Float64Array {
  return ([x], { axes }, shape) => {
    const kept = x!.shape.map((d, i) => (axes.includes(i) ? 1 : d));
    const strides = stridesOf(kept);
    const groups: number[][] = Array.from({ length: sizeOf(shape) }, () => []);
    forEach(x!.shape, (position, index) => {
      let group = 0;
      for (let i = 0; i < kept.length; i++) if (kept[i] !== 1) group += index[i]! * strides[i]!;
      groups[group]!.push(x!.data[position]!);
    });
    return Float64Array.from(groups, fn);
  };
}

const total = (group: number[]) => group.reduce((a, b) => a + b, 0);
/** NaN passes through, as in every maximum of the engine. */
const largest = (group: number[]) => group.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
const logTotal = (group: number[]) => {
  const top = largest(group);
  if (!Number.isFinite(top)) return top;
  return top + Math.log(total(group.map((v) => Math.exp(v - top))));
};

/** Replace every line along an axis by a function of it. */
function alongAxis(x: Value, axis: number, fn: (line: Float64Array) => Float64Array): Float64Array {
  const out = new Float64Array(x.data.length);
  const stride = stridesOf(x.shape)[axis]!;
  const size = x.shape[axis]!;
  forEach(x.shape, (position, index) => {
    if (index[axis] !== 0) return;
    const line = Float64Array.from({ length: size }, (_, i) => x.data[position + i * stride]!);
    for (const [i, v] of fn(line).entries()) out[position + i * stride] = v;
  });
  return out;
}

function product(
  inputs: readonly Value[],
  shape: readonly number[],
  transA: boolean,
  transB: boolean,
): Float64Array {
  const [a, b] = inputs as [Value, Value];
  const [sa, sb] = [stridesOf(a.shape), stridesOf(b.shape)];
  const [ra, rb] = [a.shape.length, b.shape.length];
  const inner = transA ? a.shape[ra - 2]! : a.shape[ra - 1]!;
  const [rowA, colA] = transA ? [sa[ra - 1]!, sa[ra - 2]!] : [sa[ra - 2]!, sa[ra - 1]!];
  const [rowB, colB] = transB ? [sb[rb - 1]!, sb[rb - 2]!] : [sb[rb - 2]!, sb[rb - 1]!];
  const out = new Float64Array(sizeOf(shape));
  const rank = shape.length;
  const batch = (x: Value, strides: readonly number[], index: readonly number[]) =>
    broadcastPosition({ shape: x.shape.slice(0, -2), data: x.data }, strides, index.slice(0, rank - 2));
  forEach(shape, (position, index) => {
    let p = batch(a, sa, index) + index[rank - 2]! * rowA;
    let q = batch(b, sb, index) + index[rank - 1]! * colB;
    let s = 0;
    for (let k = 0; k < inner; k++, p += colA, q += rowB) s += a.data[p]! * b.data[q]!;
    out[position] = s;
  });
  return out;
}

/** An index in [0, size). */
function checkIndex(op: string, i: number, size: number): number {
  if (!(i >= 0 && i < size)) throw new TensorError(`${op}: got index ${i}, expected one in [0, ${size})`);
  return i;
}

/** Abramowitz–Stegun series and continued fraction, to about 1e-15. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let s = a;
    for (let n = 1; n < 100 && Math.abs(term) > 1e-18 * s; n++) {
      term *= (-a * a) / n;
      s += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * s) / Math.sqrt(Math.PI);
  }
  let f = 0;
  for (let n = 60; n > 0; n--) f = n / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}

const unavailable = (op: string) => (): never => {
  throw internalError(`interpreter: "${op}" has no value of its own`);
};

export const reference: { readonly [O in Operator]: ReferenceRule<O> } = {
  input: unavailable("input"),
  constant: (_, { value }) => Float64Array.from(value.data as ArrayLike<number | bigint>, Number),
  stopGradient: ([x]) => x!.data,
  withDerivative: ([value]) => value!.data,
  refuseGradient: ([x]) => x!.data,

  neg: elementwise((x) => -x!),
  exp: elementwise((x) => Math.exp(x!)),
  log: elementwise((x) => Math.log(x!)),
  tanh: elementwise((x) => Math.tanh(x!)),
  sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x!))),
  sqrt: elementwise((x) => Math.sqrt(x!)),
  softplus: elementwise((x) => Math.max(x!, 0) + Math.log1p(Math.exp(-Math.abs(x!)))),
  relu: elementwise((x) => Math.max(x!, 0)),
  abs: elementwise((x) => Math.abs(x!)),
  sign: elementwise((x) => Math.sign(x!)),
  erf: elementwise((x) => erf(x!)),
  not: elementwise((x) => Number(x === 0)),
  clip: (inputs, { low, high }, shape) => map(inputs, shape, (x) => Math.min(high, Math.max(low, x!))),
  cast: (inputs, { to }, shape) =>
    map(inputs, shape, (x) => (to === "bool" ? Number(x !== 0) : to.startsWith("int") ? Math.trunc(x!) : x!)),

  add: elementwise((a, b) => a! + b!),
  sub: elementwise((a, b) => a! - b!),
  mul: elementwise((a, b) => a! * b!),
  div: (inputs, _, shape, node) =>
    map(inputs, shape, (a, b) => (node.dtype.startsWith("int") ? Math.trunc(a! / b!) : a! / b!)),
  pow: elementwise((a, b) => a! ** b!),
  minimum: elementwise((a, b) => Math.min(a!, b!)),
  maximum: elementwise((a, b) => Math.max(a!, b!)),
  greater: truth((a, b) => a > b),
  greaterEqual: truth((a, b) => a >= b),
  less: truth((a, b) => a < b),
  lessEqual: truth((a, b) => a <= b),
  equal: truth((a, b) => a === b),
  and: truth((a, b) => a !== 0 && b !== 0),
  or: truth((a, b) => a !== 0 || b !== 0),
  where: elementwise((condition, a, b) => (condition !== 0 ? a! : b!)),

  matmul: (inputs, _, shape) => product(inputs, shape, false, false),
  gemm: (inputs, { transA, transB }, shape) => {
    const out = { shape, data: product(inputs, shape, transA, transB) };
    return inputs.length < 3 ? out.data : map([out, inputs[2]!], shape, (a, b) => a! + b!);
  },

  softmax: ([x], { axis }) =>
    alongAxis(x!, axis, (line) => {
      // Shifted first: a shift of 1e9 (unavailable actions) together with the logarithm would cost nine digits.
      const top = largest([...line]);
      const powers = line.map((v) => Math.exp(v - top));
      const sum = total([...powers]);
      return powers.map((v) => v / sum);
    }),
  logSoftmax: ([x], { axis }) =>
    alongAxis(x!, axis, (line) => {
      const top = largest([...line]);
      const logSum = Math.log(total(Array.from(line, (v) => Math.exp(v - top))));
      return line.map((v) => v - top - logSum);
    }),
  sum: reduce(total),
  sumSquare: reduce((group) => total(group.map((v) => v * v))),
  mean: reduce((group) => total(group) / group.length),
  max: reduce(largest),
  min: reduce((group) => -largest(group.map((v) => -v))),
  logSumExp: reduce(logTotal),
  argMax: ([x], { axis }, shape) =>
    reduce((group) => group.indexOf(largest(group)))([x!], { axes: [axis], keepDims: true }, shape),
  cumsum: ([x], { axis, exclusive, reverse }) =>
    alongAxis(x!, axis, (line) => {
      const out = new Float64Array(line.length);
      let s = 0;
      for (let k = 0; k < line.length; k++) {
        const i = reverse ? line.length - 1 - k : k;
        out[i] = exclusive ? s : s + line[i]!;
        s += line[i]!;
      }
      return out;
    }),

  reshape: ([x]) => x!.data,
  transpose: ([x], { permutation }, shape) => {
    const strides = stridesOf(x!.shape);
    return rearrange(x!, shape, (index) =>
      permutation.reduce((position, axis, i) => position + index[i]! * strides[axis]!, 0),
    );
  },
  expand: (inputs, _, shape) => map(inputs, shape, (x) => x!),
  concat: (parts, { axis }, shape) => {
    const out = new Float64Array(sizeOf(shape));
    const strides = stridesOf(shape);
    let offset = 0;
    for (const part of parts) {
      forEach(part.shape, (position, index) => {
        const target = index.reduce((p, i, a) => p + (a === axis ? i + offset : i) * strides[a]!, 0);
        out[target] = part.data[position]!;
      });
      offset += part.shape[axis]!;
    }
    return out;
  },
  split: ([x]) => x!.data,
  part: ([x], { index }, shape, node) => {
    const { axis, sizes } = node.inputs[0]!.attrs as OperatorAttributes["split"];
    const offset = sizes.slice(0, index).reduce((a, b) => a + b, 0);
    const strides = stridesOf(x!.shape);
    return rearrange(x!, shape, (at) =>
      at.reduce((p, i, a) => p + (a === axis ? i + offset : i) * strides[a]!, 0),
    );
  },
  slice: ([x], { starts, steps }, shape) => {
    const strides = stridesOf(x!.shape);
    return rearrange(x!, shape, (index) =>
      index.reduce((p, i, a) => p + (starts[a]! + i * steps[a]!) * strides[a]!, 0),
    );
  },
  pad: ([x], { before, value }, shape) => {
    const out = new Float64Array(sizeOf(shape)).fill(value);
    const strides = stridesOf(shape);
    forEach(x!.shape, (position, index) => {
      out[index.reduce((p, i, a) => p + (i + before[a]!) * strides[a]!, 0)] = x!.data[position]!;
    });
    return out;
  },
  gather: ([x, indices], { axis }, shape) => {
    const strides = stridesOf(x!.shape);
    const inner = stridesOf(indices!.shape);
    const rank = indices!.shape.length;
    return rearrange(x!, shape, (index) => {
      const at = inner.reduce((p, stride, i) => p + index[axis + i]! * stride, 0);
      const chosen = checkIndex("gather", indices!.data[at]!, x!.shape[axis]!);
      let p = chosen * strides[axis]!;
      for (let a = 0; a < axis; a++) p += index[a]! * strides[a]!;
      for (let a = axis + 1; a < strides.length; a++) p += index[a - 1 + rank]! * strides[a]!;
      return p;
    });
  },
  gatherElements: ([x, indices], { axis }, shape) => {
    const strides = stridesOf(x!.shape);
    const out = new Float64Array(sizeOf(shape));
    forEach(shape, (position, index) => {
      const chosen = checkIndex("gatherElements", indices!.data[position]!, x!.shape[axis]!);
      out[position] = x!.data[index.reduce((p, i, a) => p + (a === axis ? chosen : i) * strides[a]!, 0)]!;
    });
    return out;
  },
  scatterElements: ([updates, indices], { axis, size }, shape) => {
    const strides = stridesOf(shape);
    const out = new Float64Array(sizeOf(shape));
    forEach(updates!.shape, (position, index) => {
      const chosen = checkIndex("scatterElements", indices!.data[position]!, size);
      out[index.reduce((p, i, a) => p + (a === axis ? chosen : i) * strides[a]!, 0)]! +=
        updates!.data[position]!;
    });
    return out;
  },
  // The interpreter runs loops itself.
  scan: unavailable("scan"),
  scanCarry: unavailable("scanCarry"),
  scanStack: unavailable("scanStack"),
};
