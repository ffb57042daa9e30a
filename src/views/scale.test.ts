import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { extent, formatCount, linearScale, niceDomain, niceTicks, tickDecimals } from "./scale.js";
import { formatNumber } from "./stage.js";

describe("niceTicks", () => {
  it("steps by 1, 2 or 5 times a power of ten", () => {
    expect(niceTicks(-40, -9)).toEqual([-40, -35, -30, -25, -20, -15, -10]);
    expect(niceTicks(0, 300000)).toEqual([0, 50000, 100000, 150000, 200000, 250000, 300000]);
    expect(niceTicks(0, 0.3, 3)).toEqual([0, 0.1, 0.2, 0.3]);
  });

  it("stays inside, ascends, and keeps a sensible number for any range", () => {
    const number = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(number, number, (a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        fc.pre(high - low > 1e-6 * Math.max(1, Math.abs(low), Math.abs(high)));
        const ticks = niceTicks(low, high, 5);
        const slack = 1e-6 * (high - low);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(11);
        for (const [at, tick] of ticks.entries()) {
          expect(tick).toBeGreaterThanOrEqual(low - slack);
          expect(tick).toBeLessThanOrEqual(high + slack);
          if (at > 0) expect(tick).toBeGreaterThan(ticks[at - 1]!);
        }
      }),
    );
  });

  it("has one tick for one value and none for nothing", () => {
    expect(niceTicks(3, 3)).toEqual([3]);
    expect(niceTicks(Number.NaN, 1)).toEqual([]);
  });
});

it("widens a domain to whole ticks, and a single value to a range", () => {
  expect(niceDomain(-38.2, -8.4)).toEqual([-40, -5]);
  expect(niceDomain(-3, -3)).toEqual([-3.3, -2.7]);
  expect(niceDomain(Number.NaN, Number.NaN)).toEqual([0, 1]);
});

it("ignores missing values in an extent", () => {
  expect(extent([null, 3, Number.NaN, -1, Number.POSITIVE_INFINITY])).toEqual([-1, 3]);
  expect(extent([null])).toEqual([Number.NaN, Number.NaN]);
});

it("maps a domain without width to the middle", () => {
  expect(linearScale([2, 2], [0, 10])(2)).toBe(5);
  expect(linearScale([0, 2], [0, 10])(0.5)).toBe(2.5);
});

it("writes numbers with a true minus and counts with k and M", () => {
  expect(formatNumber(-12.34)).toBe("−12.3");
  expect(formatNumber(-0.04)).toBe("0.0");
  expect(formatNumber(null)).toBe("–");
  expect(formatNumber(Number.NaN)).toBe("–");
  expect(formatNumber(-1.5e9)).toBe("−1.50e9");
  expect([0, 950, 50000, 1250000, -2e9].map(formatCount)).toEqual(["0", "950", "50 k", "1.25 M", "−2 G"]);
  expect(tickDecimals([0, 0.25])).toBe(1);
  expect(tickDecimals([0, 5, 10])).toBe(0);
});
