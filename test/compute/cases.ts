import fc from "fast-check";
import { type DType, type NdArray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import * as t from "../../src/tensor/index.js";
import { arrayFrom, type Operator, type Tensor } from "../../src/tensor/index.js";

/**
 * One random application of every operator: shapes, what the inputs may hold, and the call. The record is total, so
 * an operator without a case does not compile.
 */
export interface Case {
  readonly inputs: readonly Input[];
  build(xs: readonly Tensor[]): Tensor;
}

export interface Input {
  readonly shape: readonly number[];
  /** float inputs take the precision under test and are differentiated; the others are as they are */
  readonly kind: "float" | "positive" | "int32" | "bool" | { readonly below: number };
}

const float = (shape: readonly number[]): Input => ({ shape, kind: "float" });

/** Values of the inputs. Floats keep a distance from each other and from all kinks (multiples of 1/8). */
export function valuesOf(inputs: readonly Input[], dtype: DType, seed: number): NdArray[] {
  const stream = RandomStream.from(seed);
  return inputs.map(({ shape, kind }, k) => {
    const fill = (fn: (i: number) => number) => Array.from({ length: sizeOf(shape) }, (_, i) => fn(i));
    if (typeof kind === "object")
      return arrayFrom(
        shape,
        "int32",
        fill(() => stream.int(kind.below)),
      );
    if (kind === "int32")
      return arrayFrom(
        shape,
        "int32",
        fill(() => stream.int(9) - 4),
      );
    if (kind === "bool")
      return arrayFrom(
        shape,
        "bool",
        fill(() => stream.int(2)),
      );
    const jitter = (i: number) => 0.03 + 0.0004 * k + 0.001 * (i % 60);
    if (kind === "positive")
      return arrayFrom(
        shape,
        dtype,
        fill((i) => stream.int(16) / 8 + 0.375 + jitter(i)),
      );
    return arrayFrom(
      shape,
      dtype,
      fill((i) => Math.round(stream.normal() * 8) / 8 + jitter(i)),
    );
  });
}

const dim = fc.integer({ min: 1, max: 4 });
const shape = (minRank = 0, maxRank = 4) => fc.array(dim, { minLength: minRank, maxLength: maxRank });
const withAxis = (minRank = 1) =>
  shape(minRank).chain((s) => fc.tuple(fc.constant(s), fc.integer({ min: 0, max: s.length - 1 })));

/** Shapes that broadcast together. */
const broadcasting = (count: number) =>
  shape(0, 3).chain((whole) =>
    fc.tuple(
      ...Array.from({ length: count }, () =>
        fc
          .tuple(
            fc.integer({ min: 0, max: whole.length }),
            fc.array(fc.boolean(), { minLength: whole.length, maxLength: whole.length }),
          )
          .map(([drop, ones]) => whole.map((d, i) => (ones[i] ? 1 : d)).slice(drop)),
      ),
    ),
  );

const unary = (fn: (x: Tensor) => Tensor, kind: Input["kind"] = "float"): fc.Arbitrary<Case> =>
  shape().map((s) => ({ inputs: [{ shape: s, kind }], build: ([x]) => fn(x!) }));

const binary = (
  fn: (a: Tensor, b: Tensor) => Tensor,
  kinds: readonly [Input["kind"], Input["kind"]] = ["float", "float"],
): fc.Arbitrary<Case> =>
  broadcasting(2).map((shapes) => ({
    inputs: shapes.map((s, i) => ({ shape: s, kind: kinds[i]! })),
    build: ([a, b]) => fn(a!, b!),
  }));

const along = (fn: (x: Tensor, axis: number) => Tensor): fc.Arbitrary<Case> =>
  withAxis().map(([s, axis]) => ({ inputs: [float(s)], build: ([x]) => fn(x!, axis) }));

const reduction = (fn: (x: Tensor, axes?: t.Axes, keepDims?: boolean) => Tensor): fc.Arbitrary<Case> =>
  shape(1).chain((s) =>
    fc
      .tuple(fc.option(fc.subarray(s.map((_, i) => i)), { nil: undefined }), fc.boolean())
      .map(([axes, keep]) => ({ inputs: [float(s)], build: ([x]) => fn(x!, axes, keep) })),
  );

const int = (min: number, max: number) => fc.integer({ min, max });

/** A small recurrent network over time: every way in which a loop uses values, in either direction. */
const recurrent = (result: (r: { carry: Tensor; out: Tensor }) => Tensor): fc.Arbitrary<Case> =>
  fc
    .record({ T: int(1, 4), R: int(1, 3), H: int(1, 3), I: int(1, 2), reverse: fc.boolean() })
    .map(({ T, R, H, I, reverse }) => ({
      inputs: [float([R, H]), float([T, R, I]), float([I, H]), float([H, H]), float([H])],
      build: ([init, xs, wx, wh, b]) =>
        result(
          t.scan({ init: init!, xs: xs!, reverse }, (h, x) => {
            const gate = t.sigmoid(t.linear(h, wh!, b));
            const next = t.tanh(t.add(t.linear(x, wx!), t.mul(gate, h)));
            return { carry: next, out: t.mul(next, t.tanh(t.add(h, b!))) };
          }),
        ),
    }));

export const cases: { readonly [O in Operator]: fc.Arbitrary<Case> | null } = {
  input: null,
  constant: null,
  stopGradient: unary((x) => t.mul(x, t.stopGradient(x))),
  withDerivative: unary((x) => t.withDerivative(t.exp(x), x, t.exp(x))),
  refuseGradient: null,

  neg: unary(t.neg),
  exp: unary(t.exp),
  log: unary(t.log, "positive"),
  tanh: unary(t.tanh),
  sigmoid: unary(t.sigmoid),
  sqrt: unary(t.sqrt, "positive"),
  softplus: unary(t.softplus),
  relu: unary(t.relu),
  abs: unary(t.abs),
  sign: unary(t.sign),
  erf: unary(t.erf),
  not: unary(t.not, "bool"),
  clip: shape().chain((s) =>
    fc
      .tuple(
        fc.constantFrom(-1, -0.5, Number.NEGATIVE_INFINITY),
        fc.constantFrom(0.5, 1, Number.POSITIVE_INFINITY),
      )
      .map(([low, high]) => ({ inputs: [float(s)], build: ([x]) => t.clip(x!, low, high) })),
  ),
  cast: fc
    .tuple(shape(), fc.constantFrom<DType>("float32", "float64", "int32", "int64", "bool"))
    .map(([s, to]) => ({
      inputs: [float(s)],
      build: ([x]) => t.cast(x!, to),
    })),

  add: binary(t.add),
  sub: binary(t.sub),
  mul: fc.oneof(
    { weight: 4, arbitrary: binary(t.mul) },
    // many short rows: the column is spread by a product with ones
    {
      weight: 1,
      arbitrary: fc.tuple(dim, fc.boolean()).map(
        ([columns, swap]): Case => ({
          inputs: [float([70, 1]), float([70, columns])],
          build: ([a, b]) => (swap ? t.mul(b!, a!) : t.mul(a!, b!)),
        }),
      ),
    },
  ),
  div: binary(t.div, ["float", "positive"]),
  pow: fc.oneof(
    binary(t.pow, ["positive", "float"]),
    fc.tuple(shape(), fc.constantFrom(-2, -1, 0.5, 2, 3)).map(
      ([s, p]): Case => ({
        inputs: [{ shape: s, kind: "positive" }],
        build: ([x]) => t.pow(x!, p),
      }),
    ),
  ),
  minimum: binary(t.minimum),
  maximum: binary(t.maximum),
  greater: binary(t.greater),
  greaterEqual: binary(t.greaterEqual, ["int32", "int32"]),
  less: binary(t.less),
  lessEqual: binary(t.lessEqual, ["int32", "int32"]),
  equal: fc.oneof(binary(t.equal, ["int32", "int32"]), binary(t.equal, ["bool", "bool"])),
  and: binary(t.and, ["bool", "bool"]),
  or: binary(t.or, ["bool", "bool"]),
  where: broadcasting(3).map(([c, a, b]) => ({
    inputs: [{ shape: c!, kind: "bool" }, float(a!), float(b!)],
    build: (xs) => t.where(xs[0]!, xs[1]!, xs[2]!),
  })),

  matmul: fc.tuple(broadcasting(2), dim, dim, dim).map(([[a, b], n, k, m]) => ({
    inputs: [float([...a!, n, k]), float([...b!, k, m])],
    build: (xs) => t.matmul(xs[0]!, xs[1]!),
  })),
  gemm: fc
    .tuple(dim, dim, dim, fc.boolean(), fc.boolean(), fc.boolean(), shape(0, 2))
    .map(([n, k, m, ta, tb, bias, lead]) =>
      bias
        ? {
            inputs: [float([...lead, k]), float([k, m]), float([m])],
            build: (xs) => t.linear(xs[0]!, xs[1]!, xs[2]!),
          }
        : {
            inputs: [float(ta ? [k, n] : [n, k]), float(tb ? [m, k] : [k, m])],
            build: ([a, b]) => t.matmul(ta ? t.transpose(a!) : a!, tb ? t.transpose(b!) : b!),
          },
    ),

  softmax: along(t.softmax),
  logSoftmax: along(t.logSoftmax),
  sum: fc.oneof(
    { weight: 4, arbitrary: reduction(t.sum) },
    // many rows: written as a product with ones
    {
      weight: 1,
      arbitrary: fc.tuple(dim, fc.boolean()).map(
        ([columns, keep]): Case => ({
          inputs: [float([70, columns])],
          build: ([x]) => t.sum(t.exp(t.mul(x!, 0.1)), 0, keep),
        }),
      ),
    },
  ),
  sumSquare: reduction((x, axes, keepDims) => t.sum(t.square(x), axes, keepDims)),
  mean: reduction(t.mean),
  max: reduction(t.max),
  min: reduction(t.min),
  logSumExp: reduction(t.logSumExp),
  argMax: along(t.argMax),
  cumsum: fc.tuple(withAxis(), fc.boolean(), fc.boolean()).map(([[s, axis], exclusive, reverse]) => ({
    inputs: [float(s)],
    build: ([x]) => t.cumsum(x!, axis, { exclusive, reverse }),
  })),

  reshape: shape().chain((s) =>
    fc.shuffledSubarray(s, { minLength: s.length }).map((target) => ({
      inputs: [float(s)],
      build: ([x]) => t.reshape(x!, [1, ...target]),
    })),
  ),
  transpose: shape().chain((s) =>
    fc
      .shuffledSubarray(
        s.map((_, i) => i),
        { minLength: s.length },
      )
      .map((permutation) => ({ inputs: [float(s)], build: ([x]) => t.transpose(x!, permutation) })),
  ),
  expand: broadcasting(1).chain(([s]) =>
    fc.tuple(shape(0, 2), dim).map(([lead, repeat]) => ({
      inputs: [float(s!)],
      build: ([x]) => t.expand(x!, [...lead, ...s!.map((d) => (d === 1 ? repeat : d))]),
    })),
  ),
  concat: fc.tuple(withAxis(), fc.array(dim, { minLength: 1, maxLength: 3 })).map(([[s, axis], sizes]) => ({
    inputs: sizes.map((size) => float(s.map((d, i) => (i === axis ? size : d)))),
    build: (xs) => t.concat(xs, axis),
  })),
  split: fc
    .tuple(withAxis(), fc.array(dim, { minLength: 1, maxLength: 3 }), int(0, 2))
    .map(([[s, axis], sizes, chosen]) => ({
      inputs: [float(s.map((d, i) => (i === axis ? sizes.reduce((a, b) => a + b) : d)))],
      // One part squared, the others dropped or used once: their cotangents must join up.
      build: ([x]) => {
        const parts = t.split(x!, sizes, axis);
        return t.square(parts[chosen % parts.length]!);
      },
    })),
  part: fc.tuple(dim, dim, dim).map(([n, a, b]) => ({
    inputs: [float([n, a + b])],
    build: ([x]) => {
      const [p, q] = t.split(x!, [a, b], 1);
      return t.add(t.sum(t.square(p!), 1), t.sum(t.exp(q!), 1));
    },
  })),
  slice: withAxis().chain(([s, axis]) =>
    fc.tuple(int(-5, 5), int(-5, 5), fc.constantFrom(-2, -1, 1, 2, 3)).map(([start, end, step]) => ({
      inputs: [float(s)],
      build: ([x]) => t.slice(x!, { [axis]: { start, end, step } }),
    })),
  ),
  pad: shape(1, 3).chain((s) =>
    fc
      .tuple(
        fc.array(int(0, 2), { minLength: s.length, maxLength: s.length }),
        fc.array(int(0, 2), { minLength: s.length, maxLength: s.length }),
        fc.constantFrom(0, 1.5),
      )
      .map(([before, after, value]) => ({
        inputs: [float(s)],
        build: ([x]) => t.pad(x!, before, after, value),
      })),
  ),
  gather: fc.tuple(withAxis(), shape(0, 2)).map(([[s, axis], indices]) => ({
    inputs: [float(s), { shape: indices, kind: { below: s[axis]! } }],
    build: (xs) => t.gather(xs[0]!, xs[1]!, axis),
  })),
  gatherElements: fc.tuple(withAxis(), dim).map(([[s, axis], count]) => ({
    inputs: [float(s), { shape: s.map((d, i) => (i === axis ? count : d)), kind: { below: s[axis]! } }],
    build: (xs) => t.gatherElements(xs[0]!, xs[1]!, axis),
  })),
  scatterElements: fc.tuple(withAxis(), dim).map(([[s, axis], size]) => ({
    inputs: [float(s), { shape: s, kind: { below: size } }],
    build: (xs) => t.scatterElements(xs[0]!, xs[1]!, axis, size),
  })),
  scan: null,
  scanCarry: recurrent(({ carry }) => carry),
  scanStack: recurrent(({ out }) => out),
};
