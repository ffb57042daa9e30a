import { describe, expect, it } from "vitest";
import type { NdArray } from "../../core/array.js";
import { RandomStream } from "../../core/random.js";
import type { Environment } from "../../env/contract.js";
import { sampleActions } from "../../env/spaces.js";
import { createEnvironment, environments } from "../registry.js";

type State = Record<string, NdArray<"int32">>;

async function create(parameters: Record<string, unknown>, copies = 1): Promise<Environment> {
  const environment = await createEnvironment("lbf/foraging", parameters, { copies });
  environment.reset(0);
  return environment;
}

/** Put players and foods (row, column, level each) into a one-copy environment. */
function inject(environment: Environment, players: readonly number[][], food: readonly number[][]): void {
  const state = environment.saveState!() as State;
  state.players.data.set(players.flat());
  state.food.data.fill(0);
  state.food.data.set(food.flat());
  state.spawned.data[0] = food.reduce((sum, [, , level]) => sum + level, 0);
  environment.loadState!(state);
}

function cells(environment: Environment): number[][] {
  const { players } = environment.saveState!() as State;
  return Array.from({ length: players.shape[1] }, (_, i) => [...players.data.subarray(3 * i, 3 * i + 2)]);
}

function act(environment: Environment, actions: readonly number[]): number[] {
  environment.groups[0].action.set(actions);
  environment.step();
  return [...environment.groups[0].reward];
}

function seen(environment: Environment, player: number): number[] {
  const size = environment.spec.groups[0].obsSize;
  return [...environment.groups[0].obs.subarray(player * size, (player + 1) * size)];
}

function mask(environment: Environment, player: number): string {
  return environment.groups[0].actionMask!.subarray(6 * player, 6 * player + 6).join("");
}

// Golden values: lbforaging 2.0.0.
const size6 = { rows: 6, cols: 6, players: 3, food: 2 };
const tablePlayers = [
  [2, 1, 1],
  [1, 2, 2],
  [5, 0, 1],
];
const tableFood = [
  [2, 2, 3],
  [4, 4, 2],
];

describe("Level-Based Foraging", () => {
  it("follows the golden table", async () => {
    const environment = await create(size6);
    inject(environment, tablePlayers, tableFood);
    const table: readonly (readonly [number[], number[], string])[] = [
      [[5, 0, 4], [0, 0, 0], "21 12 51"],
      [[5, 5, 4], [0.2, 0.4, 0], "21 12 52"],
      [[4, 2, 4], [0, 0, 0], "21 12 53"],
      [[2, 3, 4], [0, 0, 0], "31 11 54"],
      [[2, 4, 4], [0, 0, 0], "41 12 55"],
      [[4, 2, 5], [0, 0, 0], "42 22 55"],
      [[4, 5, 1], [0, 0, 0], "43 22 45"],
      [[0, 5, 5], [0, 0, 0], "43 22 45"],
    ];
    for (const [actions, rewards, places] of table) {
      expect(act(environment, actions)).toEqual(rewards);
      const got = cells(environment).map((cell) => cell.join(""));
      expect(got.join(" ")).toBe(places);
    }
  });

  it("shows foods, self, others, and which actions count", async () => {
    const environment = await create({ ...size6, sight: 6 });
    inject(environment, tablePlayers, tableFood);
    expect(seen(environment, 0)).toEqual([2, 2, 3, 4, 4, 2, 2, 1, 1, 1, 2, 2, 5, 0, 1]);
    expect(seen(environment, 2)).toEqual([2, 2, 3, 4, 4, 2, 5, 0, 1, 2, 1, 1, 1, 2, 2]);
    expect([0, 1, 2].map((i) => mask(environment, i))).toEqual(["111101", "110111", "110010"]);
  });

  it("shows with a short sight what is near, and other players from too far at the upper left edge", async () => {
    const environment = await create({ ...size6, sight: 2 });
    inject(environment, tablePlayers, tableFood);
    expect(seen(environment, 2)).toEqual([-1, -1, 0, -1, -1, 0, 2, 0, 1, -1, -1, 0, -1, -1, 0]);
    act(environment, [5, 0, 4]);
    act(environment, [5, 5, 4]);
    expect(seen(environment, 2)).toEqual([1, 4, 2, -1, -1, 0, 2, 2, 1, -1, -1, 0, -1, -1, 0]);
    act(environment, [4, 2, 4]);
    act(environment, [2, 3, 4]);
    expect(seen(environment, 0)).toEqual([-1, -1, 0, -1, -1, 0, 2, 1, 1, 0, 1, 2, 4, 4, 1]);
  });

  it("lets players share a cell, leave it, and swap", async () => {
    const environment = await create(size6);
    const level1 = (...places: number[][]) => places.map((place) => [...place, 1]);
    inject(environment, level1([3, 3], [3, 4], [3, 5]), [[1, 1, 3]]);
    act(environment, [4, 4, 0]);
    expect(cells(environment)).toEqual([
      [3, 4],
      [3, 4],
      [3, 5],
    ]);
    act(environment, [3, 1, 3]);
    expect(cells(environment)).toEqual([
      [3, 3],
      [2, 4],
      [3, 4],
    ]);
    inject(environment, level1([3, 3], [3, 4], [5, 5]), [[1, 1, 3]]);
    act(environment, [4, 3, 0]);
    expect(cells(environment).slice(0, 2)).toEqual([
      [3, 4],
      [3, 3],
    ]);
  });

  it("lets the first who claims a cell enter it under BATPAL's rules", async () => {
    const environment = await create({ ...size6, rules: "batpal" });
    const players = [
      [3, 2, 1],
      [3, 4, 1],
      [5, 5, 1],
    ];
    inject(environment, players, [[1, 1, 3]]);
    act(environment, [4, 3, 0]);
    expect(cells(environment).slice(0, 2)).toEqual([
      [3, 3],
      [3, 4],
    ]);
  });

  it("charges who loads in vain", async () => {
    const environment = await create({ ...size6, penalty: 0.1 });
    inject(environment, [[2, 1, 1], [1, 2, 1], tablePlayers[2]], tableFood);
    expect(act(environment, [5, 5, 0])).toEqual([-0.1, -0.1, 0]);
  });

  it("pays levels as they are without normalisation, and the sum to everybody where it is shared", async () => {
    const raw = await create({ ...size6, normalizeReward: false });
    inject(raw, tablePlayers, tableFood);
    expect(act(raw, [5, 5, 0])).toEqual([3, 6, 0]);
    const shared = await create({ ...size6, sharedReward: true });
    inject(shared, tablePlayers, tableFood);
    for (const reward of act(shared, [5, 5, 0])) expect(reward).toBeCloseTo(0.6, 15);
  });

  it("does nothing where an action has no effect", async () => {
    const environment = await create(size6);
    inject(environment, tablePlayers, tableFood);
    // Into a food, into a food, out of the field.
    act(environment, [4, 2, 3]);
    expect(cells(environment)).toEqual(tablePlayers.map(([row, col]) => [row, col]));
  });

  it("terminates when all food is gone, and reports what was collected", async () => {
    const environment = await create({ ...size6, maxEpisodeSteps: 9 });
    const players = [
      [2, 1, 1],
      [1, 2, 2],
      [4, 3, 2],
    ];
    inject(environment, players, tableFood);
    act(environment, [5, 0, 0]);
    act(environment, [5, 5, 0]);
    expect(environment.terminated[0]).toBe(0);
    act(environment, [0, 0, 5]);
    expect([environment.terminated[0], environment.truncated[0]]).toEqual([1, 0]);
    expect([...environment.ended.metrics]).toEqual([1, 2, 1]);
  });

  it.each([
    ["truncated", 0, 1],
    ["terminated", 1, 0],
  ] as const)("calls the time limit %s if told so", async (timeLimitAs, terminated, truncated) => {
    const environment = await create({ ...size6, maxEpisodeSteps: 2, timeLimitAs });
    inject(environment, tablePlayers, tableFood);
    act(environment, [0, 0, 0]);
    act(environment, [0, 0, 0]);
    expect([environment.terminated[0], environment.truncated[0]]).toEqual([terminated, truncated]);
    expect([...environment.ended.metrics]).toEqual([0, 0, 0]);
  });

  it("shows the whole field as global state where asked to", async () => {
    const environment = await create({ ...size6, globalState: "field", sight: 1 });
    inject(environment, tablePlayers, tableFood);
    expect([...environment.state]).toEqual([2, 2, 3, 4, 4, 2, 2, 1, 1, 1, 2, 2, 5, 0, 1]);
    act(environment, [5, 5, 0]);
    expect([...environment.state].slice(0, 6)).toEqual([-1, -1, 0, 4, 4, 2]);
  });

  it("draws foods and players with their levels, row 0 on top", async () => {
    const environment = await create(size6);
    inject(environment, tablePlayers, tableFood);
    const { shapes, bounds } = environment.frame!(0);
    expect(bounds).toEqual({ left: 0, right: 6, bottom: 0, top: 6 });
    const circles = shapes.filter((shape) => shape.kind === "circle");
    expect(circles.map((c) => [c.role, c.agent, c.label, c.x, c.y])).toEqual([
      ["goal", undefined, "3", 2.5, 3.5],
      ["goal", undefined, "2", 4.5, 1.5],
      ["agent", "player_0", "1", 1.5, 3.5],
      ["agent", "player_1", "2", 2.5, 4.5],
      ["agent", "player_2", "1", 0.5, 0.5],
    ]);
  });
});

describe("a reset", () => {
  it("keeps foods off the edge and two steps from each other, and gives every range of levels once", async () => {
    const levels = {
      minPlayerLevel: [1, 4, 6],
      maxPlayerLevel: [2, 5, 9],
      minFoodLevel: [1, 5],
      maxFoodLevel: [3, 7],
    };
    const environment = await create({ ...size6, ...levels }, 300);
    const { players, food, spawned } = environment.saveState!() as State;
    for (let e = 0; e < 300; e++) {
      const who = [0, 1, 2].map((i) => players.data[(3 * e + i) * 3 + 2]).sort((a, b) => a - b);
      expect(who[0] <= 2 && who[1] >= 4 && who[1] <= 5 && who[2] >= 6).toBe(true);
      const [a, b] = [0, 1].map((k) => [...food.data.subarray((2 * e + k) * 3, (2 * e + k) * 3 + 3)]);
      const [low, high] = [a[2], b[2]].sort((x, y) => x - y);
      expect(low >= 1 && low <= 3 && high >= 5 && high <= 7).toBe(true);
      expect(spawned.data[e]).toBe(low + high);
      for (const [row, col] of [a, b]) expect(Math.min(row, col, 5 - row, 5 - col)).toBeGreaterThan(0);
      expect(Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1])).toBeGreaterThan(2);
    }
  });

  it("leaves no player where it, or one after it, stood at the end of the last episode", async () => {
    const environment = await create({ rows: 3, cols: 3, players: 4, food: 1, maxEpisodeSteps: 1 }, 200);
    for (let t = 0; t < 20; t++) {
      environment.groups[0].action.fill(0);
      const before = (environment.saveState!() as State).players.data;
      environment.step();
      const after = (environment.saveState!() as State).players.data;
      for (let e = 0; e < 200; e++) {
        const at = (data: Int32Array, i: number) =>
          data.subarray((4 * e + i) * 3, (4 * e + i) * 3 + 2).join();
        for (let i = 0; i < 4; i++) {
          for (let j = i; j < 4; j++) expect(at(after, i)).not.toBe(at(before, j));
        }
      }
    }
  });

  it("gives every food its greatest level where cooperation is forced", async () => {
    const environment = await create({ ...size6, forceCoop: true }, 100);
    const { players, food } = environment.saveState!() as State;
    for (let e = 0; e < 100; e++) {
      const sum = [0, 1, 2].reduce((total, i) => total + players.data[(3 * e + i) * 3 + 2], 0);
      for (const k of [0, 1]) expect(food.data[(2 * e + k) * 3 + 2]).toBe(sum);
    }
  });

  it("leaves out what finds no room", async () => {
    // Nine foods would have to stand so that their crosses cover all cells but the corners; at random they never do.
    const environment = await create({ rows: 7, cols: 7, players: 2, food: 9 }, 100);
    const { food } = environment.saveState!() as State;
    for (let e = 0; e < 100; e++) {
      const levels = Array.from({ length: 9 }, (_, k) => food.data[(9 * e + k) * 3 + 2]);
      expect(levels.filter((level) => level > 0).length).toBeGreaterThan(2);
      expect(levels.at(-1)).toBe(0);
    }
  });
});

describe("names of tasks", () => {
  const defaults = (name: string) => environments.get(name).parameters.parse({});

  it("carry parameters, in any order, with or without the word Foraging and the version", () => {
    expect(defaults("lbf/Foraging-8x8-2p-3f-v3")).toMatchObject({
      rows: 8,
      cols: 8,
      players: 2,
      food: 3,
      sight: null,
    });
    const full = environments.get("lbf/Foraging-2s-10x10-5p-10f-coop-pen-v3");
    expect(full.id).toBe("lbf/Foraging-2s-10x10-5p-10f-coop-pen-v3");
    expect(full.presetOf).toBe("lbf/foraging_v3");
    expect(full.parameters.parse({})).toMatchObject({ sight: 2, food: 10, forceCoop: true, penalty: 0.1 });
    expect(environments.get("lbf/10x10-5p-10f-pen-coop-2s").id).toBe(full.id);
    expect(defaults("lbf/Foraging-grid-3s-6x9-4p-2f-ind-v3")).toMatchObject({
      rows: 6,
      cols: 9,
      gridObservation: true,
      sight: 3,
      maxFoodLevel: 1,
    });
  });

  it("make environments that say their full name and take parameters", async () => {
    const environment = await createEnvironment("lbf/8x8-2p-3f", { penalty: 0.5 }, { copies: 2 });
    expect(environment.spec.id).toBe("lbf/Foraging-8x8-2p-3f-v3");
    expect(environment.spec.groups[0].obsSize).toBe(15);
  });

  it("know BATPAL's setting", async () => {
    const { spec } = await createEnvironment("lbf/batpal-10x10-5p-10f-c", {}, { copies: 1 });
    expect([spec.groups[0].obsSize, spec.stateSize, spec.maxSteps]).toEqual([45, 225, 50]);
  });

  it.each([
    ["lbf/Foraging-8x8-2p-v3", "the number of foods is missing"],
    ["lbf/Foraging-2p-3f-v3", "the field's size is missing"],
    ["lbf/Foraging-8x8-2p-3f-v2", "got version 2, expected -v3"],
    ["lbf/Foraging-8x8-2p-3f-cop-v3", 'unknown part "cop", expected lbf/Foraging['],
    ["lbf/Forraging-8x8-2p-3f-v3", 'unknown part "Forraging"'],
    ["lbf/Foraging-8x8-2p-3p-3f-v3", '"3p" says again'],
    ["lbf/Foraging-8x8-0p-3f-v3", 'parameter "players": got 0, expected a number ≥ 1.'],
    ["lbf/Foraging-5x5-2p-9f-v3", 'parameter "food": got 9, expected at most 4 on a field of 5 × 5 cells.'],
    ["lbf/Foraging-4x4-9p-1f-v3", 'parameter "players": got 9, expected at most 8'],
    ["lbf/Foraging-9s-8x8-2p-3f-v3", "got a sight of 9, expected at most the field's size"],
    ["lbf/Foraging-2x2-1p-1f-v3", 'parameter "rows": got 2, expected a number ≥ 3.'],
    ["lbf/Fouraging_v3", 'unknown environment "lbf/Fouraging_v3". Did you mean "lbf/foraging_v3"?'],
  ])("are refused in one sentence where they make no sense: %s", (name, message) => {
    expect(() => environments.get(name)).toThrow(message);
  });

  it("are known by the registry, malformed or not, while other names are not", () => {
    const names = ["lbf/8x8-2p-3f", "lbf/Foraging-8x8-2p-v3", "lbf/frogs-v3", "mpe/8x8-2p-3f-v3"];
    expect(names.map((name) => environments.has(name))).toEqual([true, true, false, false]);
  });
});

describe("parameters", () => {
  it.each([
    [
      { minPlayerLevel: [1, 2, 3] },
      'parameter "minPlayerLevel": got [1,2,3], expected one level, or a list of 2.',
    ],
    [{ minPlayerLevel: 3 }, 'parameter "minPlayerLevel": got 3, expected at most maxPlayerLevel.'],
    [{ minFoodLevel: 4, maxFoodLevel: 3 }, 'parameter "minFoodLevel": got 4, expected at most maxFoodLevel.'],
    [
      { minFoodLevel: 3 },
      'parameter "minFoodLevel": got 3, expected at most 2, what the three lowest players',
    ],
    [{ penalty: -1 }, "got -1, expected a number ≥ 0"],
    [{ rules: "v2" }, 'got "v2", expected one of "v3", "batpal"'],
    [{ sight: 0 }, "got 0, expected a number ≥ 1"],
  ])("that cannot be are refused: %o", async (parameters, message) => {
    await expect(create(parameters)).rejects.toThrow(message);
  });

  it("name agent, copy and value of an action that does not exist", async () => {
    const environment = await create({}, 2);
    environment.groups[0].action[3] = 6;
    expect(() => environment.step()).toThrow(
      'lbf/foraging_v3, copy 1, agent "player_1": got action 6, expected an integer in [0, 6).',
    );
  });
});

describe("random play", () => {
  it("never pays more than 1 in an episode, and exactly 1 where everything was collected", async () => {
    const environment = await create({ rows: 5, cols: 5, players: 3, food: 2, maxEpisodeSteps: 100 }, 40);
    const stream = RandomStream.from(1, "actions");
    const returns = new Float64Array(40);
    let cleared = 0;
    for (let t = 0; t < 400; t++) {
      sampleActions(environment, stream);
      environment.step();
      for (const [row, reward] of environment.groups[0].reward.entries())
        returns[Math.floor(row / 3)] += reward;
      for (let r = 0; r < environment.ended.count; r++) {
        const e = environment.ended.copies[r];
        expect(returns[e]).toBeCloseTo(environment.ended.metrics[3 * r], 12);
        if (environment.terminated[e] === 1) cleared++;
        returns[e] = 0;
      }
    }
    expect(cleared).toBeGreaterThan(20);
  });
});
