import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream } from "../../core/random.js";
import { PointGrid } from "./point-grid.js";
import { PoissonDisc } from "./poisson-disc.js";

/** Few different coordinates, so that points coincide and distances tie; or far apart, or on a line. */
const coordinate = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.double({ min: -1, max: 1, noNaN: true }),
  fc.constantFrom(0, 1000, -1e-9),
);
const points = fc.array(fc.tuple(coordinate, coordinate), { minLength: 1, maxLength: 80 });

function build(all: readonly (readonly [number, number])[]): PointGrid {
  const grid = new PointGrid(all.length);
  // The first entries belong to something else.
  grid.build(Float64Array.from([9, 9, ...all.flat()]), 2, all.length);
  return grid;
}

const squared = ([x, y]: readonly [number, number], [a, b]: readonly [number, number]) =>
  (x - a) * (x - a) + (y - b) * (y - b);

describe("a grid of points", () => {
  it("finds the nearest that looking at all of them finds", () => {
    fc.assert(
      fc.property(
        points,
        fc.tuple(coordinate, coordinate),
        fc.nat(12),
        fc.integer({ min: -1, max: 5 }),
        (all, from, k, skip) => {
          const grid = build(all);
          const expected = all
            .map((point, m) => ({ m, key: squared(point, from) }))
            .filter(({ m }) => m !== skip)
            .sort((a, b) => a.key - b.key || a.m - b.m)
            .slice(0, k)
            .map(({ m }) => m);
          const found = grid.nearest(Float64Array.from([7, ...from]), 1, k, skip);
          expect([...grid.order.subarray(0, found)]).toEqual(expected);
        },
      ),
      { seed: 1, numRuns: 2000 },
    );
  });

  it("finds those within a radius that looking at all of them finds, by index", () => {
    fc.assert(
      fc.property(
        points,
        fc.tuple(coordinate, coordinate),
        fc.constantFrom(0.1, 0.5, 1, 3, 2000),
        fc.integer({ min: -1, max: 9 }),
        (all, from, radius, after) => {
          const grid = build(all);
          const expected = all.flatMap((point, m) =>
            m > after && squared(point, from) < radius * radius ? [m] : [],
          );
          const found = grid.within(Float64Array.from([7, ...from]), 1, radius, after);
          expect([...grid.order.subarray(0, found)]).toEqual(expected);
        },
      ),
      { seed: 2, numRuns: 2000 },
    );
  });

  it("can be built again", () => {
    const grid = new PointGrid(5);
    grid.build(Float64Array.of(0, 0, 1, 0, 2, 0, 3, 0, 4, 0), 0, 5);
    grid.build(Float64Array.of(0, 5, 1, 5), 0, 2);
    expect(grid.nearest(Float64Array.of(0.9, 5), 0, 5, -1)).toBe(2);
    expect([...grid.order.subarray(0, 2)]).toEqual([1, 0]);
  });

  it("says when a query would look at everything anyway", () => {
    const grid = build(Array.from({ length: 64 }, (_, m): [number, number] => [m % 8, Math.floor(m / 8)]));
    expect(grid.share(0.1)).toBeLessThan(0.25);
    expect(grid.share(5)).toBe(1);
  });
});

describe("Poisson disc sampling", () => {
  it("keeps the spacing, stays in the square and mostly fills half of it", () => {
    const disc = new PoissonDisc(6, 0.675);
    const counts: number[] = [];
    for (let seed = 0; seed < 21; seed++) {
      const count = disc.sample(RandomStream.from(seed));
      counts.push(count);
      const all = Array.from({ length: count }, (_, m): [number, number] => [
        disc.points[2 * m],
        disc.points[2 * m + 1],
      ]);
      expect(all.flat().every((x) => x >= 0 && x < 6)).toBe(true);
      for (const [i, a] of all.entries())
        for (const b of all.slice(i + 1)) expect(squared(a, b)).toBeGreaterThan(0.675 ** 2);
    }
    // A sample ends early where the first points find no place for others; the middle one does not.
    counts.sort((a, b) => a - b);
    expect((counts[10] * 0.675 ** 2) / 36).toBeGreaterThan(0.45);
  });

  it("covers the square evenly", () => {
    const disc = new PoissonDisc(4, 0.675);
    const counts = new Float64Array(4);
    for (let seed = 0; seed < 400; seed++) {
      const count = disc.sample(RandomStream.from(seed, "even"));
      for (let m = 0; m < count; m++)
        counts[(disc.points[2 * m] < 2 ? 0 : 1) + (disc.points[2 * m + 1] < 2 ? 0 : 2)]++;
    }
    const mean = counts.reduce((a, b) => a + b) / 4;
    for (const n of counts) expect(Math.abs(n / mean - 1)).toBeLessThan(0.03);
  });
});
