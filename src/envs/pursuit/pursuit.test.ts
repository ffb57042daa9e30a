import { afterEach, describe, expect, it, vi } from "vitest";
import type { NdArray } from "../../core/array.js";
import { RandomStream } from "../../core/random.js";
import type { Environment } from "../../env/contract.js";
import { sampleActions } from "../../env/spaces.js";
import { createEnvironment, environments } from "../registry.js";

type State = Record<string, NdArray<"int32">>;

async function create(parameters: Record<string, unknown> = {}, copies = 1): Promise<Environment> {
  const environment = await createEnvironment("pursuit", parameters, { copies });
  environment.reset(0);
  return environment;
}

/** Put pursuers and evaders (column, row) into a one-copy environment; evaders that are not given are caught. */
function inject(environment: Environment, pursuers: readonly number[][], evaders: readonly number[][]): void {
  const state = environment.saveState!() as State;
  state.pursuers.data.set(pursuers.flat());
  state.evaders.data.fill(-1);
  state.evaders.data.set(evaders.flat());
  environment.loadState!(state);
}

function evadersOf(environment: Environment): number[][] {
  const { data, shape } = (environment.saveState!() as State).evaders;
  return Array.from({ length: shape[1] }, (_, i) => [...data.subarray(2 * i, 2 * i + 2)]).filter(
    ([x]) => x >= 0,
  );
}

/** Step with the given actions; the evaders that are left move as given. */
function act(environment: Environment, actions: readonly number[], draws: readonly number[]): number[] {
  environment.groups[0].action.set(actions);
  vi.spyOn(RandomStream.prototype, "fillInts").mockImplementation((out, from, to) => {
    expect(to - from).toBe(draws.length);
    out.set(draws, from);
  });
  environment.step();
  vi.restoreAllMocks();
  return [...environment.groups[0].reward];
}

// Golden values: PettingZoo 1.27, pursuit_v5.
const tablePursuers = [
  [2, 2],
  [4, 2],
  [3, 1],
  [3, 4],
  [0, 1],
  [10, 14],
  [3, 4],
  [15, 15],
];
const tableEvaders = [
  [3, 2],
  [0, 0],
  [8, 3],
  [14, 15],
  [3, 3],
];

afterEach(() => {
  vi.restoreAllMocks();
});

describe("Pursuit", () => {
  it.each([
    [{}, Array(8).fill(2.40875), Array(8).fill(-0.09609375)],
    [
      { sharedReward: false },
      [4.91, 4.91, 4.91, 4.91, -0.09, -0.1, -0.09, -0.09],
      [-0.1, -0.09875, -0.1, -0.09, -0.09, -0.1, -0.1, -0.09],
    ],
    [{ tagReward: 0 }, Array(8).fill(2.4), Array(8).fill(-0.1)],
  ])("pays as the golden table says with %o", async (parameters, first, second) => {
    const environment = await create(parameters);
    inject(environment, tablePursuers, tableEvaders);
    const rewards = act(environment, [4, 4, 4, 3, 4, 4, 4, 0], [4, 4, 2, 1]);
    for (const [i, reward] of first.entries()) expect(rewards[i]).toBeCloseTo(reward, 12);
    expect(evadersOf(environment)).toEqual([
      [0, 0],
      [8, 3],
      [14, 15],
      [4, 3],
    ]);
    const next = act(environment, [3, 0, 0, 4, 4, 4, 4, 4], [4, 4, 4, 4]);
    for (const [i, reward] of second.entries()) expect(next[i]).toBeCloseTo(reward, 12);
  });

  it("shows walls, pursuers and evaders around each pursuer", async () => {
    const environment = await create();
    inject(environment, tablePursuers, tableEvaders);
    act(environment, [4, 4, 4, 3, 4, 4, 4, 0], [4, 4, 2, 1]);
    const window = environment.groups[0].obs.subarray(4 * 147, 5 * 147);
    const channel = (c: number) =>
      Array.from({ length: 7 }, (_, dy) =>
        Array.from({ length: 7 }, (_, dx) => window[(dy * 7 + dx) * 3 + c]),
      );
    const walls = Array(7).fill(1);
    const inside = [1, 1, 1, 0, 0, 0, 0];
    expect(channel(0)).toEqual([walls, walls, inside, inside, inside, inside, inside]);
    const ones = (c: number) =>
      channel(c).flatMap((row, dy) => row.flatMap((x, dx) => (x === 1 ? [[dy, dx]] : [])));
    expect(ones(1)).toEqual([
      [3, 3],
      [3, 6],
      [4, 5],
      [5, 6],
      [6, 6],
    ]);
    expect(ones(2)).toEqual([[2, 3]]);
    const at = (x: number, y: number) => [
      ...environment.state.subarray((y * 16 + x) * 3, (y * 16 + x) * 3 + 3),
    ];
    expect([at(2, 2), at(14, 15), at(5, 4), at(4, 4), at(11, 12)]).toEqual([
      [0, 1, 0],
      [0, 1, 1],
      [1, 0, 0],
      [0, 0, 0],
      [1, 0, 0],
    ]);
  });

  it("catches in its cell where nobody has to surround", async () => {
    const environment = await create({
      surround: false,
      catchers: 2,
      pursuers: 3,
      evaders: 2,
      sharedReward: false,
    });
    const pursuers = [
      [1, 1],
      [2, 1],
      [9, 1],
    ];
    const evaders = [
      [1, 1],
      [9, 1],
    ];
    inject(environment, pursuers, evaders);
    const rewards = act(environment, [4, 0, 4], [4]);
    expect(rewards.map((r) => r > 1)).toEqual([true, true, false]);
    expect(evadersOf(environment)).toEqual([[9, 1]]);
  });

  it("terminates when everybody is caught, but for the last step, which truncates", async () => {
    const corner = { pursuers: 2, evaders: 1, width: 6, height: 6 };
    const pursuers = [
      [0, 1],
      [1, 0],
    ];
    for (const [maxCycles, flags] of [
      [2, [1, 0]],
      [1, [0, 1]],
    ] as const) {
      const environment = await create({ ...corner, maxCycles });
      inject(environment, pursuers, [[0, 0]]);
      act(environment, [4, 4], []);
      expect([environment.terminated[0], environment.truncated[0]]).toEqual(flags);
      expect([...environment.ended.metrics]).toEqual([1, 1]);
    }
  });

  it("draws the map with row 0 on top, and says where several stand in one cell", async () => {
    const environment = await create({ pursuers: 2, evaders: 2 });
    const pursuers = [
      [0, 0],
      [3, 15],
    ];
    const evaders = [
      [1, 1],
      [1, 1],
    ];
    inject(environment, pursuers, evaders);
    const { shapes, bounds } = environment.frame!(0);
    expect(bounds).toEqual({ left: 0, right: 16, bottom: 0, top: 16 });
    const circles = shapes.filter((shape) => shape.kind === "circle");
    expect(circles.map((c) => [c.role, c.agent, c.label, c.x, c.y])).toEqual([
      ["goal", undefined, "2", 1.5, 14.5],
      ["goal", undefined, "2", 1.5, 14.5],
      ["agent", "pursuer_0", undefined, 0.5, 15.5],
      ["agent", "pursuer_1", undefined, 3.5, 0.5],
    ]);
    // Four edges, and two diagonals for each of the 63 cells of the building.
    expect(shapes.length - circles.length).toBe(4 + 2 * 63);
  });
});

describe("a reset", () => {
  it("puts nobody into the building, nor beside somebody of the same team", async () => {
    const environment = await create({}, 100);
    const state = environment.saveState!() as State;
    for (let e = 0; e < 100; e++) {
      for (const team of [state.pursuers, state.evaders]) {
        const n = team.shape[1];
        const cells = Array.from({ length: n }, (_, i) => [
          ...team.data.subarray((e * n + i) * 2, (e * n + i) * 2 + 2),
        ]);
        for (const [i, [x, y]] of cells.entries()) {
          expect(x >= 5 && x <= 11 && y >= 4 && y <= 12).toBe(false);
          for (const [u, v] of cells.slice(0, i))
            expect(Math.abs(x - u) + Math.abs(y - v)).toBeGreaterThan(1);
        }
      }
    }
  });

  it("puts everybody into a window of the given share", async () => {
    const environment = await create({ constraintWindow: 0.5, pursuers: 3, evaders: 4 }, 200);
    const state = environment.saveState!() as State;
    for (let e = 0; e < 200; e++) {
      for (const side of [0, 1]) {
        const places = [state.pursuers, state.evaders].flatMap(({ data, shape: [, n] }) =>
          Array.from({ length: n }, (_, i) => data[(e * n + i) * 2 + side]),
        );
        expect(Math.max(...places) - Math.min(...places)).toBeLessThan(8);
      }
    }
  });
});

describe("the registry", () => {
  it("knows the game by its family's name, and ART's setting", () => {
    expect(environments.get("pursuit").id).toBe("pursuit/pursuit_v5");
    expect(environments.get("pursuit/pursuit").id).toBe("pursuit/pursuit_v5");
    const art = environments.get("pursuit/art");
    expect(art.parameters.parse({})).toEqual({
      ...environments.get("pursuit").parameters.parse({}),
      tagReward: 0,
    });
  });

  it.each([
    [{ pursuers: 0 }, 'pursuit/pursuit_v5, parameter "pursuers": got 0, expected a number ≥ 1.'],
    [
      { evaders: 200 },
      "8 pursuers or 200 evaders, which never start side by side, find no room on 16 × 16 cells",
    ],
    [{ constraintWindow: 0.05 }, "find no room on 16 × 16 cells (constraintWindow 0.05); expected fewer"],
    [{ constraintWindow: 1.5 }, "got 1.5, expected a number ≤ 1"],
    [{ obsRange: 0 }, "got 0, expected a number ≥ 1"],
    [{ width: 1 }, "got 1, expected a number ≥ 2"],
  ])("refuses in one sentence what cannot be: %o", async (parameters, message) => {
    await expect(create(parameters)).rejects.toThrow(message);
  });

  it("names agent, copy and value of an action that does not exist", async () => {
    const environment = await create({}, 2);
    environment.groups[0].action[9] = 5;
    expect(() => environment.step()).toThrow(
      'pursuit/pursuit_v5, copy 1, agent "pursuer_1": got action 5, expected an integer in [0, 5).',
    );
  });
});

describe("random play", () => {
  it("moves evaders uniformly, each on its own", async () => {
    const environment = await create({ width: 400, height: 40, pursuers: 1, evaders: 40 }, 20);
    const stream = RandomStream.from(3, "actions");
    const counts = new Map<string, number>();
    for (let t = 0; t < 10; t++) {
      const before = (environment.saveState!() as State).evaders.data;
      sampleActions(environment, stream);
      environment.step();
      const after = (environment.saveState!() as State).evaders.data;
      for (let k = 0; k < before.length; k += 2) {
        const [x, y] = [before[k], before[k + 1]];
        // Clear of the edges and of the building (columns 120 to 280, rows 8 to 32).
        if (x < 1 || x > 398 || y < 1 || y > 38 || (x > 118 && x < 282 && y > 6 && y < 34)) continue;
        const move = `${after[k] - x},${after[k + 1] - y}`;
        counts.set(move, (counts.get(move) ?? 0) + 1);
      }
    }
    expect([...counts.keys()].sort()).toEqual(["-1,0", "0,-1", "0,0", "0,1", "1,0"]);
    const total = [...counts.values()].reduce((a, b) => a + b, 0);
    expect(total).toBeGreaterThan(4000);
    const chi2 = [...counts.values()].reduce((sum, n) => sum + (n - total / 5) ** 2 / (total / 5), 0);
    // Four degrees of freedom: P(χ² > 23.5) = 1e-4.
    expect(chi2).toBeLessThan(23.5);
  });
});
