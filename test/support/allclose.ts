import { expect } from "vitest";
import type { NdArray } from "../../src/core/array.js";

export interface Tolerance {
  /** absolute; default 1e-6 */
  readonly atol?: number;
  /** relative to the expected value; default 1e-5 */
  readonly rtol?: number;
}

type Numbers = NdArray | ArrayLike<number> | number;

function numbersOf(x: Numbers): number[] {
  if (typeof x === "number") return [x];
  const data = "data" in x ? (x.data as ArrayLike<number | bigint>) : x;
  return Array.from(data, Number);
}

/**
 * The first element of `actual` that is farther than atol + rtol · |expected| from its counterpart, as a sentence;
 * undefined if there is none. NaN is close to NaN only, an infinity to itself only.
 */
export function farthest(actual: Numbers, expected: Numbers, tolerance: Tolerance = {}): string | undefined {
  const { atol = 1e-6, rtol = 1e-5 } = tolerance;
  const [a, b] = [numbersOf(actual), numbersOf(expected)];
  if (a.length !== b.length) return `got ${a.length} elements, expected ${b.length}`;
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i]) || a[i] === b[i]) continue;
    if (Math.abs(a[i]! - b[i]!) <= atol + rtol * Math.abs(b[i]!)) continue;
    return `element ${i}: got ${a[i]}, expected ${b[i]} (atol ${atol}, rtol ${rtol})`;
  }
  return undefined;
}

expect.extend({
  /** Elementwise closeness of arrays, typed arrays or numbers; shapes must agree where both have one. */
  toBeAllclose(actual: Numbers, expected: Numbers, tolerance?: Tolerance) {
    const shapes = [actual, expected].map((x) =>
      typeof x === "object" && "shape" in x ? `[${x.shape}]` : undefined,
    );
    const sameShape = shapes[0] === undefined || shapes[1] === undefined || shapes[0] === shapes[1];
    const wrong = sameShape
      ? farthest(actual, expected, tolerance)
      : `got shape ${shapes[0]}, expected ${shapes[1]}`;
    return { pass: wrong === undefined, message: () => wrong ?? "expected arrays that differ" };
  },
});

declare module "vitest" {
  interface Matchers<T> {
    toBeAllclose(expected: Numbers, tolerance?: Tolerance): T;
  }
}
