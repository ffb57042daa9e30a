import { expect } from "vitest";
import { farthest } from "./allclose.js";
import type { SmallRun } from "./small-run.js";

/**
 * What two engines may differ in after the same training: a few roundings of float32 (2⁻²⁴ of values up to about 10),
 * which 40 steps of Adam hardly enlarge. That all actions were the same shows in the returns, which no engine computes.
 */
const TOLERANCE = { atol: 2e-6, rtol: 1e-5 };

export function expectSameRun(actual: SmallRun, expected: SmallRun): void {
  expect(actual.returns).toEqual(expected.returns);
  expect(Object.keys(actual.state)).toEqual(Object.keys(expected.state));
  for (const [path, values] of Object.entries(expected.state)) {
    expect(farthest(actual.state[path]!, values, TOLERANCE), path).toBeUndefined();
  }
  expect(actual.metrics.length).toBe(expected.metrics.length);
  for (const [i, metrics] of expected.metrics.entries()) {
    expect(Object.keys(actual.metrics[i]!)).toEqual(Object.keys(metrics));
    for (const [name, value] of Object.entries(metrics)) {
      expect(farthest(actual.metrics[i]![name]!, value, TOLERANCE), `${name} of ${i}`).toBeUndefined();
    }
  }
}
