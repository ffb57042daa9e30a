import { afterEach, describe, expect, it, vi } from "vitest";
import { create, expectClose, inject, numbers, step } from "../../../test/support/particles.js";
import type { NdArray } from "../../core/array.js";
import { RandomStream } from "../../core/random.js";
import { sampleActions } from "../../env/spaces.js";
import { createEnvironment } from "../registry.js";

const ID = "mpe/mean_field_spread";

type Point = readonly [number, number];
const distance = ([x, y]: Point, [a, b]: Point) => Math.sqrt((x - a) * (x - a) + (y - b) * (y - b));

function pairsOf(flat: ArrayLike<number>, from: number, count: number): Point[] {
  return Array.from({ length: count }, (_, i): Point => [flat[from + 2 * i], flat[from + 2 * i + 1]]);
}

/** Coverage and unordered collisions, from all pairs. */
function plainly(position: readonly number[], n: number): { coverage: number; pairs: number } {
  const agents = pairsOf(position, 0, n);
  const landmarks = pairsOf(position, 2 * n, n);
  let coverage = 0;
  for (const l of landmarks) coverage += Math.min(...agents.map((a) => distance(a, l)));
  let pairs = 0;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) if (distance(agents[i], agents[j]) < 0.3) pairs++;
  return { coverage, pairs };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("mean_field_spread", () => {
  it("rewards the golden state", async () => {
    const environment = await create(ID, { agents: 3 });
    inject(environment, { position: [0, 0, 0.2, 0.1, -0.5, 0.5, 0.1, 0.1, -0.6, 0.4, 0.7, -0.7] });
    step(environment, 0, 0, 0);
    expectClose(environment.groups[0].reward, [-3.184819469, -3.184819469, -3.184819469]);
  });

  it.each([1, 2, 6, 15, 60, 200])("rewards and shows %d agents as all pairs say", async (n) => {
    const environment = await createEnvironment(ID, { agents: n, halfWidth: 7 }, { copies: 2 });
    environment.reset(n);
    const stream = RandomStream.from(n, "actions");
    const state = environment.saveState!() as Record<string, NdArray<"float64">>;
    // The second copy is a crowd.
    for (let k = 4 * n; k < 8 * n; k++) state.position.data[k] = stream.uniformIn(-1, 1);
    environment.loadState!(state);
    for (let t = 0; t < 3; t++) {
      sampleActions(environment, stream);
      environment.step();
      const all = numbers(environment, "position");
      const velocity = numbers(environment, "velocity");
      for (let e = 0; e < 2; e++) {
        const position = all.slice(4 * n * e, 4 * n * (e + 1));
        const { coverage, pairs } = plainly(position, n);
        expectClose(environment.groups[0].reward.slice(n * e, n * e + 1), [-coverage - 2 * pairs], 1e-9);
        const { obsSize } = environment.spec.groups[0];
        const agents = pairsOf(position, 0, n);
        const landmarks = pairsOf(position, 2 * n, n);
        for (let i = 0; i < n; i++) {
          const near = (points: readonly Point[], k: number) =>
            points
              .toSorted((a, b) => distance(a, agents[i]) - distance(b, agents[i]))
              .slice(0, k)
              .flatMap(([x, y]) => [x - agents[i][0], y - agents[i][1]]);
          const row = e * n + i;
          const expected = [
            ...velocity.slice(2 * row, 2 * row + 2),
            ...agents[i],
            ...near(landmarks, Math.min(n, Math.min(5, n - 1) + 1)),
            ...near(
              agents.filter((_, j) => j !== i),
              5,
            ),
          ];
          expectClose(environment.groups[0].obs.slice(row * obsSize, (row + 1) * obsSize), expected, 1e-6);
        }
      }
    }
  });

  it("does not care who is who", async () => {
    const n = 20;
    const parameters = { agents: n, meanField: "moments" };
    const [one, other] = [await create(ID, parameters), await create(ID, parameters)];
    const position = numbers(one, "position");
    const stream = RandomStream.from(3, "velocity");
    const velocity = Array.from({ length: 2 * n }, () => stream.uniformIn(-1, 1));
    const order = [...stream.permutation(new Int32Array(n))];
    const places = [...stream.permutation(new Int32Array(n))];
    const rearranged = (from: readonly number[], first: number, who: readonly number[]) =>
      who.flatMap((i) => [from[first + 2 * i], from[first + 2 * i + 1]]);
    inject(one, { position, velocity });
    inject(other, {
      position: [...rearranged(position, 0, order), ...rearranged(position, 2 * n, places)],
      velocity: rearranged(velocity, 0, order),
    });
    const actions = Array.from({ length: n }, () => stream.int(5));
    step(one, ...actions);
    step(other, ...order.map((i) => actions[i]));
    expectClose(other.groups[0].reward, [...one.groups[0].reward], 1e-12);
    const { obsSize } = one.spec.groups[0];
    const rows = order.flatMap((i) => [...one.groups[0].obs.slice(i * obsSize, (i + 1) * obsSize)]);
    expectClose(other.groups[0].obs, rows, 1e-6);
  });

  it("computes no exponential for pairs that are far apart", async () => {
    const environment = await create(ID, { agents: 200 });
    const grid = Array.from({ length: 200 }, (_, i) => [0.4 * (i % 20), 0.4 * Math.floor(i / 20)]).flat();
    inject(environment, { position: [...grid, ...grid.map((x) => x + 0.1)] });
    const exp = vi.spyOn(Math, "exp");
    const log1p = vi.spyOn(Math, "log1p");
    step(environment, ...Array(200).fill(0));
    expect(exp).not.toHaveBeenCalled();
    expect(log1p).not.toHaveBeenCalled();
    // 0.301 apart: one pair comes into contact's reach.
    grid[2] = 0.301;
    inject(environment, { position: [...grid, ...grid.map((x) => x + 0.1)] });
    step(environment, ...Array(200).fill(0));
    expect(exp).toHaveBeenCalled();
  });

  it("scales the reward, and counts as PIC's six agents do", async () => {
    const position = [0, 0, 0.2, 0.1, -0.5, 0.5, 0.1, 0.1, -0.6, 0.4, 0.7, -0.7];
    const earned = async (parameters: Record<string, unknown>) => {
      const environment = await create(ID, { agents: 3, ...parameters });
      inject(environment, { position });
      step(environment, 0, 0, 0);
      return environment.groups[0].reward[0];
    };
    const { coverage } = plainly(position, 3);
    expectClose([await earned({ rewardScale: "perAgent" })], [(-coverage - 2) / 3], 1e-12);
    expectClose([await earned({ rewardProfile: "picN6" })], [-3 * coverage - 3 - 2], 1e-12);
  });

  it("shows the moments of the others, their last actions included", async () => {
    const environment = await create(ID, { agents: 3, meanField: "moments" });
    const zero = environment.groups[0].obs.slice(-9);
    expectClose(zero.slice(4), [0, 0, 0, 0, 0], 0);
    inject(environment, {
      position: [0, 0, 1, 0, 0, 2, 0, 0, 1, 1, -1, -1],
      velocity: [0, 0, 1, -1, 0.5, 0],
      lastAction: Array(15).fill(0),
    });
    const seen = (i: number) => environment.groups[0].obs.slice((i + 1) * 23 - 9, (i + 1) * 23);
    expect(environment.spec.groups[0].obsSize).toBe(23);
    expectClose(seen(0).slice(0, 4), [0.5, 1, 0.75, -0.5], 1e-7);
    expectClose(seen(2).slice(0, 4), [0.5, -2, 0.5, -0.5], 1e-7);
    step(environment, 1, 1, 4);
    expectClose(seen(0).slice(4), [0, 0.5, 0, 0, 0.5], 1e-7);
    expectClose(seen(2).slice(4), [0, 1, 0, 0, 0], 1e-7);
  });

  it("shows the density of the population, those outside at the border", async () => {
    const environment = await create(ID, {
      agents: 4,
      meanField: "histogram",
      histogramBins: 2,
      halfWidth: 2,
    });
    inject(environment, { position: [-1, -1, -9, -0.1, 1, 1, 1, -5, 0, 0, 1, 1, -1, -1, 1, -1] });
    const density = environment.groups[0].obs.slice(-4);
    expectClose(density, [0.5, 0.25, 0, 0.25], 1e-7);
  });

  it("has the population as its global state", async () => {
    const environment = await create(ID, { agents: 2, halfWidth: 2 });
    inject(environment, { position: [0, 1, 2, 3, 4, 5, 6, 7], velocity: [0.5, -0.5, 1, -1] });
    expect([...environment.state]).toEqual([0, 1, 0.5, -0.5, 2, 3, 1, -1, 4, 5, 6, 7]);
  });

  it("reports distance, covered landmarks and collisions of an ended episode", async () => {
    const environment = await create(ID, { agents: 2, halfWidth: 2, maxCycles: 2, contactForce: 0 });
    inject(environment, { position: [0, 0, 0.1, 0, 0, 0.05, 0.1, 0.5] });
    step(environment, 0, 0);
    step(environment, 0, 0);
    expectClose(environment.ended.metrics, [0.55, 1, 2], 1e-12);
  });

  it.each([
    [3, "poisson", 3],
    [6, "uniform", 1.5],
    [15, "poisson", 2.2],
    [100, "poisson", 5],
  ] as const)("places %d landmarks as PIC does: %s, within %d", async (n, placement, halfWidth) => {
    const copies = 20;
    const environment = await createEnvironment(ID, { agents: n }, { copies });
    environment.reset(1);
    const { position } = environment.saveState!() as Record<string, NdArray<"float64">>;
    let nearest = Number.POSITIVE_INFINITY;
    for (let e = 0; e < copies; e++) {
      const landmarks = pairsOf(position.data, (2 * e + 1) * 2 * n, n);
      for (const [i, a] of landmarks.entries())
        for (const b of landmarks.slice(i + 1)) nearest = Math.min(nearest, distance(a, b));
    }
    expect(nearest > 0.675).toBe(placement === "poisson");
    const extent = Math.max(...position.data.map(Math.abs));
    expect(extent).toBeLessThanOrEqual(halfWidth);
    expect(extent).toBeGreaterThan(0.9 * halfWidth);
  });

  it("refuses a field that has no room for its landmarks", async () => {
    await expect(create(ID, { agents: 30, halfWidth: 1 })).rejects.toThrow(
      'mpe/mean_field_spread_v0, parameter "halfWidth": got 1, expected a field in which 30 landmarks 0.675 apart find room; it has room for 4.',
    );
    expect((await create(ID, { agents: 30, halfWidth: 1, placement: "uniform" })).spec.stateSize).toBe(180);
  });
});
