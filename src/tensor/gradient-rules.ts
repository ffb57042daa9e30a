import {
  cast,
  div,
  equal,
  exp,
  greater,
  greaterEqual,
  lessEqual,
  log,
  mul,
  neg,
  pow,
  sigmoid,
  sign,
  sub,
  where,
} from "./elementwise.js";
import { arrayFrom, constant, type Tensor } from "./graph.js";
import { gatherElements, scatterElements } from "./indexing.js";
import { gemm, matmul } from "./linalg.js";
import { expand, pad, reshape, slice, split, swapLastAxes, transpose } from "./movement.js";
import { type Dim, FREE, type Operator, type ReductionAttributes } from "./operators.js";
import { cumsum, sum } from "./reduce.js";
import { hasFree, isFloat, reducedShape, sameShape, TensorError } from "./shape.js";

/** Builds one input's cotangent; called only for inputs that the derivative reaches. */
export type Cotangent = () => Tensor;

/**
 * Reverse-mode rule: from y = op(inputs) and its cotangent d, the cotangent of each input. `null` in the list:
 * no derivative with respect to that input. `null` instead of a rule: the operator stops every derivative.
 * Rules are built from ordinary operators, so derivatives can be differentiated again.
 */
export type GradientRule<O extends Operator> =
  | ((y: Tensor<O>, d: Tensor) => readonly (Cotangent | null)[])
  | null;

/** Sum over the axes that broadcasting added, back to `shape`. */
function unbroadcast(d: Tensor, shape: readonly Dim[]): Tensor {
  if (sameShape(d.shape, shape)) return d;
  const lead = d.shape.length - shape.length;
  const axes = d.shape.flatMap((n, i) => (i < lead || (shape[i - lead] === 1 && n !== 1) ? [i] : []));
  return lead === 0 ? sum(d, axes, true) : reshape(sum(d, axes), shape);
}

/** A reduction's result or cotangent with the reduced axes back as 1, ready to broadcast against x. */
function restored(d: Tensor, x: Tensor, { axes }: ReductionAttributes): Tensor {
  return reshape(d, reducedShape(x.shape, axes, true));
}

/** max and min: the elements equal to the result share its cotangent. */
function extremum(y: Tensor<"max"> | Tensor<"min">, d: Tensor): Cotangent[] {
  const x = y.inputs[0]!;
  return [
    () => {
      const ties = cast(equal(x, restored(y as Tensor, x, y.attrs)), d.dtype);
      return mul(ties, div(restored(d, x, y.attrs), sum(ties, y.attrs.axes, true)));
    },
  ];
}

/** The first operand where the condition holds, the second elsewhere. */
function choice(y: Tensor, d: Tensor, first: () => Tensor): Cotangent[] {
  const [a, b] = y.inputs as [Tensor, Tensor];
  return [() => unbroadcast(where(first(), d, 0), a.shape), () => unbroadcast(where(first(), 0, d), b.shape)];
}

/** Integers start + i·step along one axis of a shape, as indices of that shape. */
function positions(shape: readonly Dim[], axis: number, start: number, step: number): Tensor {
  const line = shape.map((n, i) => (i === axis ? n : 1));
  const values = Array.from({ length: shape[axis]! }, (_, i) => start + i * step);
  return expand(constant(arrayFrom(line, "int32", values)), shape);
}

const inputOf = (y: { readonly inputs: readonly Tensor[] }): Tensor => y.inputs[0]!;
const pair = (y: { readonly inputs: readonly Tensor[] }) => y.inputs as readonly [Tensor, Tensor];
const value = (y: Tensor<never> | Tensor): Tensor => y as Tensor;

export const gradientRules: { readonly [O in Operator]: GradientRule<O> } = {
  input: null,
  constant: null,
  stopGradient: null,
  withDerivative: (y, d) => [null, () => mul(d, y.inputs[2]!), null],
  refuseGradient: (y) => [
    () => {
      throw new TensorError(
        `grad: ${y.attrs.name} has no further derivative: this one is written down, and is not differentiable`,
      );
    },
  ],

  neg: (_, d) => [() => neg(d)],
  // (e^x)' = e^x
  exp: (y, d) => [() => mul(d, value(y))],
  log: (y, d) => [() => div(d, inputOf(y))],
  // tanh' = 1 − tanh²
  tanh: (y, d) => [() => mul(d, sub(1, mul(value(y), value(y))))],
  // σ' = σ (1 − σ)
  sigmoid: (y, d) => [() => mul(d, mul(value(y), sub(1, value(y))))],
  // (√x)' = 1 / (2 √x)
  sqrt: (y, d) => [() => div(mul(d, 0.5), value(y))],
  softplus: (y, d) => [() => mul(d, sigmoid(inputOf(y)))],
  // 0 at 0
  relu: (y, d) => [() => where(greater(inputOf(y), 0), d, 0)],
  // 0 at 0
  abs: (y, d) => [() => mul(d, sign(inputOf(y)))],
  sign: null,
  // erf' = 2/√π e^(−x²)
  erf: (y, d) => [() => mul(d, mul(exp(neg(mul(inputOf(y), inputOf(y)))), 2 / Math.sqrt(Math.PI)))],
  not: null,
  // 1 where nothing was cut off, the bounds included: a value projected onto its bound can still move back
  clip: (y, d) => [() => where(equal(value(y), inputOf(y)), d, 0)],
  cast: (y, d) => {
    const { dtype } = inputOf(y);
    return [isFloat(dtype) && isFloat(y.attrs.to) ? () => cast(d, dtype) : null];
  },

  add: (y, d) => pair(y).map((x) => () => unbroadcast(d, x.shape)),
  sub: (y, d) => {
    const [a, b] = pair(y);
    return [() => unbroadcast(d, a.shape), () => neg(unbroadcast(d, b.shape))];
  },
  mul: (y, d) => {
    const [a, b] = pair(y);
    return [() => unbroadcast(mul(d, b), a.shape), () => unbroadcast(mul(d, a), b.shape)];
  },
  // (a/b)' = 1/b da − (a/b)/b db
  div: (y, d) => {
    const [a, b] = pair(y);
    return [() => unbroadcast(div(d, b), a.shape), () => neg(unbroadcast(div(mul(d, value(y)), b), b.shape))];
  },
  // (a^b)' = b a^(b−1) da + a^b log(a) db
  pow: (y, d) => {
    const [a, b] = pair(y);
    return [
      () => unbroadcast(mul(d, mul(b, pow(a, sub(b, 1)))), a.shape),
      () => unbroadcast(mul(d, mul(value(y), log(a))), b.shape),
    ];
  },
  // a tie goes to the first operand
  minimum: (y, d) => choice(value(y), d, () => lessEqual(...pair(y))),
  maximum: (y, d) => choice(value(y), d, () => greaterEqual(...pair(y))),
  greater: null,
  greaterEqual: null,
  less: null,
  lessEqual: null,
  equal: null,
  and: null,
  or: null,
  where: (y, d) => {
    const [condition, a, b] = y.inputs as [Tensor, Tensor, Tensor];
    return [
      null,
      () => unbroadcast(where(condition, d, 0), a.shape),
      () => unbroadcast(where(condition, 0, d), b.shape),
    ];
  },

  // Y = A B: dA = dY Bᵀ, dB = Aᵀ dY
  matmul: (y, d) => {
    const [a, b] = pair(y);
    const matrix = (x: Tensor) => reshape(x, [-1, x.shape[x.shape.length - 1]!]);
    return [
      () => unbroadcast(matmul(d, swapLastAxes(b)), a.shape),
      () =>
        b.shape.length === 2 && !hasFree(a.shape)
          ? gemm(matrix(a), matrix(d), true, false)
          : unbroadcast(matmul(swapLastAxes(a), d), b.shape),
    ];
  },
  gemm: (y, d) => {
    const [a, b, c] = y.inputs as [Tensor, Tensor, Tensor | undefined];
    const { transA, transB } = y.attrs;
    return [
      () => (transA ? gemm(b, d, transB, true) : gemm(d, b, false, !transB)),
      () => (transB ? gemm(d, a, true, transA) : gemm(a, d, !transA, false)),
      c === undefined ? null : () => unbroadcast(d, c.shape),
    ];
  },

  // y ⊙ (d − Σ d ⊙ y)
  softmax: (y, d) => [
    () => {
      const t = mul(d, value(y));
      return sub(t, mul(value(y), sum(t, y.attrs.axis, true)));
    },
  ],
  // d − e^y Σ d
  logSoftmax: (y, d) => [() => sub(d, mul(exp(value(y)), sum(d, y.attrs.axis, true)))],
  sum: (y, d) => [() => expand(restored(d, inputOf(y), y.attrs), inputOf(y).shape)],
  // (Σ x²)' = 2 x
  sumSquare: (y, d) => [() => mul(mul(inputOf(y), 2), restored(d, inputOf(y), y.attrs))],
  mean: (y, d) => [
    () => {
      const x = inputOf(y);
      const count = y.attrs.axes.reduce((n, axis) => n * x.shape[axis]!, 1);
      return expand(restored(mul(d, 1 / count), x, y.attrs), x.shape);
    },
  ],
  max: extremum,
  min: extremum,
  // e^(x − y)
  logSumExp: (y, d) => [
    () => {
      const x = inputOf(y);
      return mul(restored(d, x, y.attrs), exp(sub(x, restored(value(y), x, y.attrs))));
    },
  ],
  argMax: null,
  cumsum: (y, d) => [() => cumsum(d, y.attrs.axis, { ...y.attrs, reverse: !y.attrs.reverse })],

  reshape: (y, d) => [() => reshape(d, inputOf(y).shape)],
  transpose: (y, d) => [
    () => {
      const inverse: number[] = [];
      for (const [i, axis] of y.attrs.permutation.entries()) inverse[axis] = i;
      return transpose(d, inverse);
    },
  ],
  expand: (y, d) => [() => unbroadcast(d, inputOf(y).shape)],
  concat: (y, d) => {
    const { axis } = y.attrs;
    const sizes = y.inputs.map((x) => x.shape[axis]!);
    return y.inputs.map((_, i) => () => split(d, sizes, axis)[i]!);
  },
  // The walk joins the cotangents of the parts; here they arrive as one tensor.
  split: (_, d) => [() => d],
  part: (_, d) => [() => d],
  slice: (y, d) => [
    () => {
      const { starts, ends, steps } = y.attrs;
      const { shape } = inputOf(y);
      let out = d;
      for (const [axis, step] of steps.entries()) {
        if (step === 1) continue;
        out = scatterElements(out, positions(out.shape, axis, starts[axis]!, step), axis, shape[axis]!);
      }
      const contiguous = steps.map((step, axis) => step === 1 && shape[axis] !== FREE);
      return pad(
        out,
        starts.map((start, axis) => (contiguous[axis] ? start : 0)),
        // An empty range may end before it starts: what is missing then lies behind it.
        ends.map((_, axis) => (contiguous[axis] ? shape[axis]! - starts[axis]! - out.shape[axis]! : 0)),
      );
    },
  ],
  pad: (y, d) => [
    () => {
      const { before, after } = y.attrs;
      const touched = before.flatMap((n, axis) => (n === 0 && after[axis] === 0 ? [] : [axis]));
      return slice(
        d,
        Object.fromEntries(
          touched.map((axis) => [
            axis,
            { start: before[axis]!, end: before[axis]! + inputOf(y).shape[axis]! },
          ]),
        ),
      );
    },
  ],
  gather: (y, d) => {
    const [x, indices] = pair(y);
    const { axis } = y.attrs;
    return [
      () => {
        const line = indices.shape.length === 1 ? indices : reshape(indices, [-1]);
        const count = line.shape[0]!;
        const updates = reshape(d, [...x.shape.slice(0, axis), count, ...x.shape.slice(axis + 1)]);
        const column = reshape(line, [count, ...x.shape.slice(axis + 1).map(() => 1)]);
        return scatterElements(updates, expand(column, updates.shape), axis, x.shape[axis]!);
      },
      null,
    ];
  },
  gatherElements: (y, d) => {
    const [x, indices] = pair(y);
    return [() => scatterElements(d, indices, y.attrs.axis, x.shape[y.attrs.axis]!), null];
  },
  scatterElements: (y, d) => [() => gatherElements(d, y.inputs[1]!, y.attrs.axis), null],
  // The walk joins the cotangents of all results of a loop: see scan-gradient.ts.
  scan: () => [],
  scanCarry: () => [],
  scanStack: () => [],
};
