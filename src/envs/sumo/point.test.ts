import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { NdArray } from "../../core/array.js";
import { RandomStream } from "../../core/random.js";
import type { Environment } from "../../env/contract.js";
import { sampleActions } from "../../env/spaces.js";
import { createEnvironment } from "../registry.js";
import { type MatchConstants, stepMatch } from "./match.js";

const CONSTANTS: MatchConstants = { dt: 0.05, force: 3, noise: 4, drag: 0.5, discRadius: 0.4 };

async function create(parameters: Record<string, unknown> = {}, copies = 1): Promise<Environment> {
  const environment = await createEnvironment("sumo/point", parameters, { copies });
  environment.reset(0);
  return environment;
}

/** Put the discs of copy 0 somewhere. */
function place(match: Environment, position: readonly number[], velocity = [0, 0, 0, 0], elapsed = 0): void {
  const state = match.saveState!() as Record<string, NdArray<"float64">>;
  state.position.data.set(position);
  state.velocity.data.set(velocity);
  (state["environment.elapsed"] as unknown as NdArray<"int32">).data[0] = elapsed;
  match.loadState!(state);
}

function numbers(match: Environment, name: "position" | "velocity"): number[] {
  return [...(match.saveState!() as Record<string, NdArray<"float64">>)[name].data];
}

function expectClose(got: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  expect(got.length).toBe(expected.length);
  for (let k = 0; k < expected.length; k++) {
    expect(Math.abs(got[k] - expected[k]), `entry ${k}: ${got[k]}`).toBeLessThanOrEqual(tolerance);
  }
}

describe("a match", () => {
  // Golden values of the design, computed in float64 and printed to nine digits.
  it("follows the golden trajectory: two discs run into each other", async () => {
    const match = await create({ noise: 0 });
    place(match, [1.15, 0, -1.15, 0.2]);
    const golden = new Map([
      [
        1,
        [
          [1.1425, 0, -1.1425, 0.2],
          [-0.15, 0, 0.15, 0],
        ],
      ],
      [
        10,
        [
          [0.766943436, 0, -0.766943436, 0.2],
          [-1.342022275, 0, 1.342022275, 0],
        ],
      ],
      [
        15,
        [
          [0.384354217, -0.010778319, -0.384354217, 0.210778319],
          [1.605052413, -1.009035247, -1.605052413, 1.009035247],
        ],
      ],
      [
        30,
        [
          [0.57028075, -0.632505137, -0.57028075, 0.832505137],
          [-0.797986835, -0.690200981, 0.797986835, 0.690200981],
        ],
      ],
    ]);
    for (let n = 1; n <= 30; n++) {
      match.groups[0].action.set([1, 2]);
      match.step();
      const expected = golden.get(n);
      if (expected === undefined) continue;
      expectClose(numbers(match, "position"), expected[0], 6e-10);
      expectClose(numbers(match, "velocity"), expected[1], 6e-10);
    }
  });

  it("follows the golden trajectory with noise injected in the first of two steps", () => {
    const position = Float64Array.of(1.15, 0, -1.15, 0.2);
    const velocity = new Float64Array(4);
    const drive = Float64Array.of(-1, 0, 1, 0);
    stepMatch(position, velocity, 0, drive, Float64Array.of(0.5, -1, 1.5, 0.25), CONSTANTS);
    stepMatch(position, velocity, 0, drive, new Float64Array(4), CONSTANTS);
    expectClose(position, [1.1375625, -0.01975, -1.0980625, 0.2049375], 1e-12);
    expectClose(velocity, [-0.19875, -0.195, 0.58875, 0.04875], 1e-12);
  });

  const real = (size: number) => fc.double({ min: -size, max: size, noNaN: true });
  const four = (size: number) => fc.tuple(real(size), real(size), real(size), real(size));
  const scene = fc.record({ position: four(1), velocity: four(3), drive: four(1), shake: four(2) });
  type Scene = { [K in "position" | "velocity" | "drive" | "shake"]: readonly number[] };

  const moved = ({ position, velocity, drive, shake }: Scene, constants = CONSTANTS) => {
    const [p, v] = [Float64Array.from(position), Float64Array.from(velocity)];
    stepMatch(p, v, 0, Float64Array.from(drive), Float64Array.from(shake), constants);
    return [...p, ...v];
  };
  const changed = (s: Scene, change: (four: readonly number[]) => number[]): Scene => ({
    ...{ position: change(s.position), velocity: change(s.velocity) },
    ...{ drive: change(s.drive), shake: change(s.shake) },
  });
  /** With hardly any distance between the centres the direction of contact is rounding. */
  const apart = ({ position: [a, b, c, d] }: Scene) => Math.hypot(a - c, b - d) > 0.3;

  it.each([
    ["seats exchanged", ([a, b, c, d]: readonly number[]) => [c, d, a, b]],
    ["turned by 90°", ([a, b, c, d]: readonly number[]) => [-b, a, -d, c]],
    ["seen in a mirror", ([a, b, c, d]: readonly number[]) => [-a, b, -c, d]],
    [
      "turned by 37°",
      ([a, b, c, d]: readonly number[]) => {
        const [cos, sin] = [Math.cos(0.6457718232), Math.sin(0.6457718232)];
        return [cos * a - sin * b, sin * a + cos * b, cos * c - sin * d, sin * c + cos * d];
      },
    ],
  ])("goes the same way with %s, to 1e-12", (_, change) => {
    fc.assert(
      fc.property(scene, (s) => {
        fc.pre(apart(s));
        const straight = moved(s);
        const expected = [...change(straight.slice(0, 4)), ...change(straight.slice(4))];
        expectClose(moved(changed(s, change)), expected, 1e-12);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it("keeps energy and momentum in a collision, and lets no two discs overlap", () => {
    const free = { ...CONSTANTS, force: 0, noise: 0, drag: 0 };
    let collisions = 0;
    fc.assert(
      fc.property(scene, (s) => {
        const [ax, ay, bx, by, ...v] = moved(s, free);
        const energy = (u: readonly number[]) => u.reduce((sum, x) => sum + x * x, 0);
        expect(Math.abs(energy(v) - energy(s.velocity))).toBeLessThan(1e-12 * (1 + energy(v)));
        expect(v[0] + v[2]).toBeCloseTo(s.velocity[0] + s.velocity[2], 12);
        expect(v[1] + v[3]).toBeCloseTo(s.velocity[1] + s.velocity[3], 12);
        expect(Math.hypot(ax - bx, ay - by)).toBeGreaterThan(0.8 - 1e-12);
        if (v.some((x, k) => x !== s.velocity[k])) collisions++;
      }),
      { seed: 1, numRuns: 500 },
    );
    expect(collisions).toBeGreaterThan(50);
  });

  it("moves discs in one place apart along the x axis", () => {
    const [ax, ay, bx, by] = moved({
      position: [0, 0, 0, 0],
      velocity: [0, 0, 0, 0],
      drive: [0, 0, 0, 0],
      shake: [0, 0, 0, 0],
    });
    expect([ax, ay, bx, by]).toEqual([-0.4, 0, 0.4, 0]);
  });
});

describe("sumo/point", () => {
  it.each([
    ["disc_1 is pushed out", [0, 0, 2.001, 0], [1, -1], [1, 0, 0, 1, 1]],
    ["disc_0 is pushed out", [0, -2.001, 0.5, 1], [-1, 1], [0, 0, 1, 0, 0]],
    ["both are out in one step", [-2.001, 0, 2.001, 0], [0, 0], [0, 1, 0, 0.5, 1]],
  ])("ends when %s", async (_, position, reward, metrics) => {
    const match = await create({ noise: 0 });
    place(match, position);
    match.step();
    expect([match.terminated[0], match.truncated[0]]).toEqual([1, 0]);
    expect([...match.groups[0].reward]).toEqual(reward);
    expect([...match.ended.metrics]).toEqual([...metrics, 1]);
  });

  it("goes on at the very edge, and ends in a tie when the time is up", async () => {
    const match = await create({ noise: 0, steps: 20 });
    place(match, [2, 0, 0, 0], [0, 0, 0, 0], 18);
    match.groups[0].action.fill(0);
    match.step();
    expect([match.terminated[0], ...match.groups[0].reward]).toEqual([0, 0, 0]);
    match.step();
    expect([match.terminated[0], match.truncated[0], ...match.groups[0].reward]).toEqual([1, 0, 0, 0]);
    expect([...match.ended.metrics]).toEqual([0, 1, 0, 0.5, 1, 20]);
    expect(match.ended.obs[0][10]).toBe(1);
  });

  it("shows each disc itself first, in units of ring and speed", async () => {
    const match = await create({ noise: 0, force: 0, drag: 0, dt: 1e-9 });
    place(match, [0.6, 0.8, -1, 0.5], [0.3, -0.6, 1.5, 0], 99);
    match.step();
    const root = Math.sqrt(1.25);
    const common = [0.5, 1 - root / 2];
    expectClose(
      match.groups[0].obs,
      [
        ...[0.3, 0.4, 0.1, -0.2, -0.8, -0.15, 0.5, 0, ...common, 0.5],
        ...[-0.5, 0.25, 0.5, 0, 0.8, 0.15, 0.1, -0.2, common[1], common[0], 0.5],
      ],
      1e-6,
    );
    expectClose(match.state, [0.6, 0.8, 0.3, -0.6, -1, 0.5, 1.5, 0, 0.5], 1e-6);
  });

  it("scales box actions down to length one, and takes shorter ones as they are", async () => {
    const match = await create({ noise: 0, continuousActions: true });
    place(match, [1, 0, -1, 0]);
    match.groups[0].action.set([1, -1, 0.5, 0]);
    match.step();
    expectClose(numbers(match, "velocity"), [0.15 / Math.SQRT2, -0.15 / Math.SQRT2, 0.075, 0], 1e-12);
  });

  it("shapes with a potential that telescopes to nothing", async () => {
    const gamma = 0.9;
    const copies = 40;
    const shaped = await create({ shaping: 0.5, gamma }, copies);
    const plain = await create({}, copies);
    const stream = RandomStream.from(0, "actions");
    const start = Array.from({ length: copies }, (_, e) => {
      const [ax, ay, , , bx, by] = shaped.state.subarray(9 * e, 9 * e + 6);
      return (Math.hypot(bx, by) - Math.hypot(ax, ay)) / 2;
    });
    const returns = new Float64Array(copies);
    const open = new Set(start.keys());
    for (let weight = 1; open.size > 0; weight *= gamma) {
      sampleActions(shaped, stream);
      plain.groups[0].action.set(shaped.groups[0].action);
      shaped.step();
      plain.step();
      for (const e of open) {
        const [mine, yours] = shaped.groups[0].reward.subarray(2 * e, 2 * e + 2);
        expect(mine + yours).toBe(0);
        returns[e] += weight * (mine - plain.groups[0].reward[2 * e]);
      }
      for (let r = 0; r < shaped.ended.count; r++) open.delete(shaped.ended.copies[r]);
    }
    // Σ γ^t k (γ Φ_t+1 − Φ_t) = −k Φ_0.
    start.forEach((phi, e) => {
      expect(returns[e]).toBeCloseTo(-0.5 * phi, 6);
    });
  });

  it("starts opposite discs at random angles, nearly at rest", async () => {
    const copies = 3000;
    const match = await create({}, copies);
    const p = numbers(match, "position");
    const v = numbers(match, "velocity");
    const angles = new Array<number>(8).fill(0);
    for (let e = 0; e < copies; e++) {
      const [ax, ay, bx, by] = p.slice(4 * e, 4 * e + 4);
      expect(Math.abs(ax + bx)).toBeLessThan(0.2);
      expect(Math.abs(ay + by)).toBeLessThan(0.2);
      expect(Math.abs(Math.hypot(ax, ay) - 1.15)).toBeLessThan(0.1 * Math.SQRT2 + 1e-9);
      angles[Math.floor(((Math.atan2(ay, ax) + 2 * Math.PI) % (2 * Math.PI)) / (Math.PI / 4))]++;
    }
    // Standard deviation of a count: 18.
    for (const count of angles) expect(Math.abs(count - copies / 8)).toBeLessThan(90);
    const deviation = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0) / v.length);
    expect(deviation).toBeGreaterThan(0.097);
    expect(deviation).toBeLessThan(0.103);
  });
});

type Brain = (obs: Float32Array, action: Int32Array | Float32Array, at: number) => void;

/** Drive along the larger component of a vector, or in its direction. */
function driveTo(x: number, y: number, box: boolean, action: Int32Array | Float32Array, at: number): void {
  if (box) {
    const length = Math.max(Math.hypot(x, y), 1e-9);
    action[2 * at] = x / length;
    action[2 * at + 1] = y / length;
  } else if (Math.abs(x) > Math.abs(y)) action[at] = x < 0 ? 1 : 2;
  else action[at] = y < 0 ? 3 : 4;
}
const chaser =
  (box: boolean): Brain =>
  (obs, action, at) =>
    driveTo(obs[4], obs[5], box, action, at);
/** Towards the centre, braking: −(p + 0.5 v), of observations in ring radii (2) and thirds of the velocity. */
const centre =
  (box: boolean): Brain =>
  (obs, action, at) =>
    driveTo(-(2 * obs[0] + 1.5 * obs[2]), -(2 * obs[1] + 1.5 * obs[3]), box, action, at);
const random = (): Brain => () => {};
const BRAINS = { random, chaser, centre };

/** Wins, losses, ties of disc_0 and mean length over the first match of every copy. */
async function tournament(box: boolean, brains: readonly Brain[]) {
  const copies = 2000;
  const match = await create({ continuousActions: box }, copies);
  const stream = RandomStream.from(3, "actions");
  const { obs, action } = match.groups[0];
  const open = new Set(Array.from({ length: copies }, (_, e) => e));
  const sums = [0, 0, 0, 0];
  while (open.size > 0) {
    sampleActions(match, stream);
    for (let row = 0; row < 2 * copies; row++)
      brains[row % 2](obs.subarray(11 * row, 11 * row + 11), action, row);
    match.step();
    for (let r = 0; r < match.ended.count; r++) {
      if (!open.delete(match.ended.copies[r])) continue;
      const [win, tie, loss, , , length] = match.ended.metrics.subarray(6 * r, 6 * r + 6);
      [win, loss, tie, length].forEach((x, k) => {
        sums[k] += x / copies;
      });
    }
  }
  return sums;
}

describe("scripted discs", () => {
  // Measured by an independent program over 4000 matches; 2000 here: five standard errors of the difference, < 0.07.
  it.each([
    ["random", "random", [0.499, 0.491, 0.01, 38], [0.48, 0.51, 0.01, 38]],
    ["chaser", "random", [0.811, 0.175, 0.014, 34], [0.843, 0.144, 0.013, 32]],
    ["centre", "random", [0.994, 0.001, 0.005, 54], [0.993, 0, 0.006, 56]],
    ["chaser", "chaser", [0.48, 0.489, 0.032, 73], [0.473, 0.494, 0.033, 75]],
    ["chaser", "centre", [0.276, 0.33, 0.394, 137], [0.206, 0.322, 0.472, 144]],
  ] as const)("fare as measured: %s against %s", async (first, second, discrete, box) => {
    for (const [kind, expected] of [
      [false, discrete],
      [true, box],
    ] as const) {
      const [win, loss, tie, length] = await tournament(kind, [BRAINS[first](kind), BRAINS[second](kind)]);
      const close = (got: number, p: number) => {
        const error = Math.sqrt((p * (1 - p) + 2.5e-4) * (1 / 2000 + 1 / 4000));
        expect(Math.abs(got - p), `${got}, measured ${p}`).toBeLessThan(5 * error);
      };
      close(win, expected[0]);
      close(loss, expected[1]);
      close(tie, expected[2]);
      expect(Math.abs(length - expected[3])).toBeLessThan(0.1 * expected[3]);
    }
  });
});

describe("bad parameters", () => {
  it.each([
    [{ ringRadius: 1 }, 'parameter "ringRadius": got 1, expected a number ≥ 1.5.'],
    [{ discRadius: 0 }, 'parameter "discRadius": got 0, expected a number > 0.'],
    [{ noise: -1 }, 'parameter "noise": got -1, expected a number ≥ 0.'],
    [{ steps: 0 }, 'parameter "steps": got 0, expected a number ≥ 1.'],
    [{ force: Number.NaN }, 'parameter "force"'],
  ])("%j are refused in one sentence", async (parameters, message) => {
    await expect(create(parameters)).rejects.toThrow(message);
  });
});
