import { describe, expect, it } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { writeModel } from "../../src/onnx/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  add,
  arrayFrom,
  constant,
  FREE,
  grad,
  greater,
  input,
  interpret,
  linear,
  mul,
  reshape,
  scan,
  slice,
  square,
  sum,
  type Tensor,
  tanh,
  trace,
  where,
} from "../../src/tensor/index.js";
import { farthest } from "../support/allclose.js";
import { finiteDifferences } from "./finite-differences.js";

/** Loops: what they mean, their derivatives where they are nested or stop early, and what they refuse. */

const runtime = new Runtime(nodeBackend());
const stream = RandomStream.from(5);
const normal = (...shape: number[]): NdArray =>
  arrayFrom(
    shape,
    "float64",
    Array.from({ length: sizeOf(shape) }, () => stream.normal()),
  );

function close(actual: NdArray, expected: NdArray, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  expect(farthest(actual, expected, { rtol: tolerance, atol: tolerance })).toBeUndefined();
}

/** A tanh network over time: h ← tanh(x W + h U). */
const cell = (w: Tensor, u: Tensor, h: Tensor, x: Tensor) => tanh(add(linear(x, w), linear(h, u)));

function looped(w: Tensor, u: Tensor, h0: Tensor, xs: Tensor): Tensor {
  const { out } = scan({ init: h0, xs }, (h, x) => {
    const next = cell(w, u, h, x);
    return { carry: next, out: next };
  });
  return sum(square(out));
}

function unrolled(w: Tensor, u: Tensor, h0: Tensor, xs: Tensor): Tensor {
  const [T, ...rest] = xs.shape as [number, ...number[]];
  let h = h0;
  let total: Tensor | undefined;
  for (let t = 0; t < T; t++) {
    h = cell(w, u, h, reshape(slice(xs, { 0: { start: t, end: t + 1 } }), rest));
    total = total === undefined ? sum(square(h)) : add(total, sum(square(h)));
  }
  return total!;
}

const shapes = (T: number) => ({ w: normal(2, 4), u: normal(4, 4), h0: normal(3, 4), xs: normal(T, 3, 2) });
type Feeds = ReturnType<typeof shapes>;

const declare = (feeds: Record<string, NdArray>) =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]),
  );

describe("a loop", () => {
  it("is the unrolled computation, derivative by derivative", () => {
    const feeds = shapes(5);
    trace(() => {
      const { w, u, h0, xs } = declare(feeds) as Record<keyof Feeds, Tensor>;
      const results = [looped, unrolled].map((network) => {
        const y = network(w, u, h0, xs);
        const gradients = grad(y, { w, u, h0, xs });
        const penalty = Object.values(gradients as Record<string, Tensor>)
          .map((g) => sum(square(g)))
          .reduce((a, b) => add(a, b));
        return interpret({ y, gradients, second: grad(penalty, { w, u, h0, xs }) }, feeds) as unknown as {
          y: NdArray;
          gradients: Record<string, NdArray>;
          second: Record<string, NdArray>;
        };
      });
      const [a, b] = results as [(typeof results)[0], (typeof results)[0]];
      close(a.y, b.y, 1e-12);
      for (const name of Object.keys(feeds)) {
        close(a.gradients[name]!, b.gradients[name]!, 1e-11);
        close(a.second[name]!, b.second[name]!, 1e-10);
      }
    });
  });

  it("has a graph whose size does not depend on the number of steps", () => {
    const bytes = [3, 340].map((T) =>
      trace(() => {
        const { w, u, h0, xs } = declare(shapes(T)) as Record<keyof Feeds, Tensor>;
        return writeModel({ outputs: { g: grad(looped(w, u, h0, xs), u) } }).length;
      }),
    );
    expect(Math.abs(bytes[1]! - bytes[0]!)).toBeLessThan(100);
  });

  it("computes what depends on outer values alone before it starts, once", () => {
    trace((graph) => {
      const w = input("w", [2, 2], "float64");
      const before = graph.size;
      scan({ init: input("h", [2, 2], "float64"), length: 4 }, (h) => ({ carry: add(h, tanh(mul(w, 3))) }));
      // tanh(3 w): constant, mul, tanh; then the input h, the loop and its result.
      expect(graph.size - before).toBe(6);
    });
  });

  it("passes derivatives on to constants from outside", () => {
    trace(() => {
      const values = { w: normal(2, 2), x: normal(3, 1, 2) };
      const [w, x] = [constant(values.w), constant(values.x)];
      const network = (a: Tensor, xs: Tensor) =>
        sum(
          scan({ init: slice(xs, { 0: { end: 1 } }), xs }, (h, z) => ({ carry: tanh(add(linear(h, a), z)) }))
            .carry,
        );
      const inputs = declare(values) as Record<"w" | "x", Tensor>;
      const constants = grad(network(w, x), [w, x]);
      const expected = grad(network(inputs.w, inputs.x), [inputs.w, inputs.x]);
      for (const [i, g] of constants.entries()) close(interpret(g), interpret(expected[i]!, values), 1e-14);
    });
  });

  it("may stand inside another one, with first and second derivatives in the engine and the interpreter", () => {
    const feeds = { w: normal(2, 2), u: normal(2, 2), h0: normal(2, 2), xs: normal(3, 2, 2, 2) };
    const network = (s: Record<string, Tensor>) => {
      const { carry, out } = scan({ init: s.h0!, xs: s.xs! }, (h, x) => {
        // x [2, 2, 2]: an inner sequence, whose result feeds the outer step.
        const inner = scan({ init: h, xs: x, reverse: true }, (g, z) => {
          const next = cell(s.w!, s.u!, g, z);
          return { carry: next, out: mul(next, g) };
        });
        return { carry: inner.carry, out: sum(inner.out, [0]) };
      });
      return add(sum(square(carry)), sum(tanh(out)));
    };
    trace(() => {
      const s = declare(feeds);
      const y = network(s);
      const first = grad(y, s) as Record<string, Tensor>;
      const penalty = Object.values(first)
        .map((g) => sum(square(g)))
        .reduce((a, b) => add(a, b));
      const second = grad(penalty, s) as Record<string, Tensor>;
      const values = interpret({ first, second }, feeds) as unknown as Record<
        string,
        Record<string, NdArray>
      >;
      for (const name of Object.keys(feeds)) {
        close(values.first![name]!, finiteDifferences(y, feeds, name), 1e-7);
        close(values.second![name]!, finiteDifferences(penalty, feeds, name), 1e-6);
      }
    });
    const program = runtime.program("nested", (s: Record<string, Tensor>) => {
      const y = network(s);
      return { y, g: grad(y, s) };
    });
    const actual = program.run(feeds as never) as unknown as { y: NdArray; g: Record<string, NdArray> };
    trace(() => {
      const s = declare(feeds);
      const y = network(s);
      const expected = interpret({ y, g: grad(y, s) }, feeds) as unknown as typeof actual;
      close(actual.y, expected.y, 1e-12);
      for (const name of Object.keys(feeds)) close(actual.g[name]!, expected.g[name]!, 1e-12);
    });
  });

  it("runs without sequences, in either engine, with its gradient", () => {
    const feeds = { a: normal(2, 3), h: normal(2, 3) };
    const build = (s: Record<string, Tensor>) => {
      const { carry, out } = scan({ init: s.h!, length: 4 }, (h) => ({
        carry: tanh(mul(h, s.a!)),
        out: sum(h),
      }));
      const y = add(sum(carry), sum(square(out)));
      return { y, out, g: grad(y, s) };
    };
    const program = runtime.program("repeat", (s: Record<string, Tensor>) => build(s));
    const actual = program.run(feeds as never) as unknown as Record<string, NdArray> & {
      g: Record<string, NdArray>;
    };
    trace(() => {
      const built = build(declare(feeds));
      const expected = interpret(built, feeds) as unknown as typeof actual;
      close(actual.y!, expected.y!, 1e-12);
      close(actual.out!, expected.out!, 1e-12);
      for (const name of ["a", "h"]) {
        close(actual.g[name]!, expected.g[name]!, 1e-12);
        close(expected.g[name]!, finiteDifferences(built.y, feeds, name), 1e-8);
      }
    });
  });

  it("stops when it is told to, after the step that said so", () => {
    const values = arrayFrom([5], "float64", [1, 2, 3, 4, 5]);
    const build = (xs: Tensor, limit: Tensor) =>
      scan({ init: { total: mul(limit, 0), steps: mul(limit, 0) }, xs }, ({ total, steps }, x) => {
        const next = add(total, x);
        return { carry: { total: next, steps: add(steps, 1) }, stop: greater(next, limit) };
      }).carry;
    const program = runtime.program("until", ({ xs, limit }: Record<string, Tensor>) => build(xs!, limit!));
    for (const [limit, total, steps] of [
      [3, 6, 3],
      [0.5, 1, 1],
      [100, 15, 5],
    ]) {
      const feeds = { xs: values, limit: arrayFrom([], "float64", [limit!]) };
      const engine = program.run(feeds as never) as unknown as Record<string, NdArray>;
      const exact = trace(() =>
        interpret(build(input("xs", [5], "float64"), input("limit", [], "float64")), feeds),
      );
      for (const result of [engine, exact as Record<string, NdArray>]) {
        expect([result.total!.data[0], result.steps!.data[0]]).toEqual([total, steps]);
      }
    }
  });

  it("carries integers and masks beside what is differentiated", () => {
    const feeds = {
      x: normal(4, 2),
      keep: ndarray("bool", [4], Uint8Array.from([1, 0, 1, 1])),
      zero: arrayFrom([], "int32", [0]),
    };
    trace(() => {
      const x = input("x", [4, 2], "float64");
      const keep = input("keep", [4], "bool");
      const { carry, out } = scan(
        { init: { sum: mul(sum(x, [0]), 0), count: input("zero", [], "int32") }, xs: { x, keep } },
        (c, s) => ({
          carry: { sum: add(c.sum, where(s.keep, square(s.x), 0)), count: add(c.count, 1) },
          out: mul(c.sum, s.x),
        }),
      );
      const y = add(sum(out), sum(square(carry.sum)));
      const values = interpret({ g: grad(y, x), count: carry.count }, feeds);
      expect(Number((values.count as NdArray).data[0])).toBe(4);
      close(values.g as NdArray, finiteDifferences(y, feeds, "x"), 1e-8);
    });
  });
});

describe("a loop refuses", () => {
  const refused = (build: () => unknown) => {
    try {
      trace(build);
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing";
  };
  const h = () => input("h", [2]);

  it.each<[string, () => unknown, string]>([
    [
      "a carried value that changes its shape",
      () => scan({ init: { h: h() }, length: 2 }, (c) => ({ carry: { h: sum(c.h) } })),
      'scan: carried value "h" changes from float32[2] to float32[], expected the same',
    ],
    [
      "a carried value that gets lost",
      () => scan({ init: { h: h() }, length: 2 }, () => ({ carry: {} as { h: Tensor } })),
      'scan: the step returns no carried value "h", expected input#0 float32[2]',
    ],
    [
      "a carried value that comes from nowhere",
      () => scan({ init: {}, length: 2 }, () => ({ carry: { g: h() } as never })),
      'scan: the step returns "g", which has no value before the first step',
    ],
    [
      "sequences of unequal length",
      () => scan({ init: h(), xs: { a: input("a", [3]), b: input("b", [4]) } }, (c) => ({ carry: c })),
      'scan: sequence "b" has 4 steps, expected 3, as before it',
    ],
    [
      "a sequence of unknown length",
      () => scan({ init: h(), xs: input("a", [FREE, 2]) }, (c) => ({ carry: c })),
      'scan: sequence "" has shape [N, 2], expected [T, …] of known size',
    ],
    [
      "no number of steps",
      () => scan({ init: h() }, (c) => ({ carry: c })),
      'scan: got undefined steps, expected at least one (sequences, or "length")',
    ],
    [
      "a derivative where it stops early",
      () => {
        const x = h();
        const { carry } = scan({ init: x, length: 3 }, (c) => ({
          carry: mul(c, 2),
          stop: greater(sum(c), 1),
        }));
        return grad(sum(carry), x);
      },
      "grad: a loop that may stop early has no derivative; run all steps, or stop outside",
    ],
    [
      "values of every step where it stops early",
      () => scan({ init: h(), length: 3 }, (c) => ({ carry: c, out: c, stop: greater(sum(c), 1) })),
      "scan: a loop that may stop early has no values of every step",
    ],
  ])("%s", (_, build, expected) => {
    expect(refused(build)).toBe(expected);
  });

  it("values that leave the step other than as results", () => {
    const message = refused(() => {
      let leaked: Tensor | undefined;
      scan({ init: h(), length: 2 }, (c) => {
        leaked = mul(c, 3);
        return { carry: leaked };
      });
      return add(leaked!, 1);
    });
    expect(message).toContain("belongs to another trace");
  });
});
