import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { sampleActions } from "../../src/env/spaces.js";
import { createEnvironment } from "../../src/envs/registry.js";
import { load, parametersOf, replay } from "./lbf-replay.js";
import { deviation, meanDifference } from "./statistics.js";

const folder = new URL("fixtures/lbf/", import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".json") && file !== "reset-stats.json")
  .map((file) => file.slice(0, -".json".length));

async function differences(name: string, changes: Record<string, unknown> = {}): Promise<string[]> {
  const recording = load(name);
  const lists = [];
  for (const episode of recording.episodes) lists.push(await replay(recording, episode, changes));
  return lists.flat();
}

describe("recordings of Level-Based Foraging", () => {
  it("exist for every option, and hold loads, vain loads and both endings", () => {
    expect(names.length).toBeGreaterThanOrEqual(15);
    const episodes = names.flatMap((name) => [...load(name).episodes]);
    const rewards = episodes.flatMap((e) => e.rewards.flat());
    expect(rewards.filter((r) => r > 0).length).toBeGreaterThan(200);
    expect(rewards.filter((r) => r < 0).length).toBeGreaterThan(30);
    const cleared = episodes.filter((e) => e.done.at(-1) === 1 && e.food.at(-1)?.length === 0);
    const late = episodes.filter((e) => e.done.at(-1) === 1 && e.food.at(-1)?.length !== 0);
    expect(cleared.length).toBeGreaterThan(20);
    expect(late.length).toBeGreaterThan(40);
  });

  for (const name of names) {
    it(`${name} is followed exactly`, async () => {
      expect(await differences(name)).toEqual([]);
    });
  }
});

describe("the replay rejects", () => {
  it.each([
    ["8x8-2p-3f", { normalizeReward: false }],
    ["8x8-2p-3f", { sharedReward: true }],
    ["8x8-2p-3f", { maxEpisodeSteps: 49 }],
    ["8x8-2p-3f", { timeLimitAs: "truncated" }],
    ["2s-8x8-3p-3f-coop", { sight: 3 }],
    ["6x6-3p-2f-pen-raw", { penalty: 0 }],
    ["6x6-3p-2f-corners", { rules: "batpal" }],
    ["crowd-5x5-9p-2f", { rules: "batpal" }],
    ["batpal-10x10-5p-10f-c", { rules: "v3" }],
    ["batpal-6x6-3p-2f", { sharedReward: false }],
    ["grid-2s-6x6-3p-2f", { sight: 1 }],
    ["grid-5x5-2p-1f-no-levels", { observeAgentLevels: true }],
    ["levels-7x7-3p-2f", { observeAgentLevels: true }],
  ])("%s with %o", async (name, changes) => {
    expect(await differences(name, changes)).not.toEqual([]);
  });
});

interface ResetStatistics {
  readonly results: readonly {
    readonly name: string;
    readonly episodes: number;
    /** value → how often it was seen in all resets */
    readonly counts: Readonly<Record<keyof typeof measures, Readonly<Record<string, number>>>>;
    readonly mean: number;
    readonly standardError: number;
  }[];
}

/** What the recorder counts after each reset, from the foods and players (row, column, level) of one copy. */
const measures = {
  foods: (food: number[][], _players: number[][], _cols: number) => [food.length],
  firstFoodLevel: ([[, , level]]: number[][]) => [level],
  playerLevels: (_food: number[][], players: number[][]) => players.map(([, , level]) => level),
  foodCells: (food: number[][], _players: number[][], cols: number) =>
    food.map(([row, col]) => row * cols + col),
  playerCells: (_food: number[][], players: number[][], cols: number) =>
    players.map(([row, col]) => row * cols + col),
};

function rowsOf(array: NdArray<"int32">, e: number): number[][] {
  const [, n] = array.shape;
  return Array.from({ length: n }, (_, k) => [...array.data.subarray((e * n + k) * 3, (e * n + k) * 3 + 3)]);
}

describe("resets and uniform random play", () => {
  const { results } = JSON.parse(
    readFileSync(new URL("reset-stats.json", folder), "utf8"),
  ) as ResetStatistics;
  const copies = 4000;

  it.each(results)("are those of $name in distribution", async (recorded) => {
    // The original knows no mask: actions are uniform over all six.
    const parameters: Record<string, unknown> = { ...parametersOf(load(recorded.name)), actionMask: false };
    const environment = await createEnvironment("lbf/foraging", parameters, { copies });
    const n = environment.spec.groups[0].agents.length;
    environment.reset(5);
    const stream = RandomStream.from(5, "actions");
    const returns = new Float64Array(copies);
    const counts = Object.fromEntries(
      Object.keys(measures).map((name) => [name, {} as Record<string, number>]),
    );
    const open = new Uint8Array(copies).fill(1);
    for (let t = 0; t < environment.spec.maxSteps!; t++) {
      sampleActions(environment, stream);
      environment.step();
      const { reward } = environment.groups[0];
      for (let e = 0; e < copies; e++) {
        if (open[e] === 0) continue;
        for (let i = 0; i < (parameters.sharedReward ? 1 : n); i++) returns[e] += reward[e * n + i];
      }
      if (environment.ended.count === 0) continue;
      const state = environment.saveState!() as Record<string, NdArray<"int32">>;
      for (const e of environment.ended.copies.subarray(0, environment.ended.count)) {
        if (open[e] === 0) continue;
        open[e] = 0;
        const food = rowsOf(state.food, e).filter(([, , level]) => level > 0);
        const who = rowsOf(state.players, e);
        for (const [name, measure] of Object.entries(measures)) {
          for (const value of measure(food, who, parameters.cols as number))
            counts[name][value] = (counts[name][value] ?? 0) + 1;
        }
      }
    }
    for (const [name, theirs] of Object.entries(recorded.counts)) {
      // P(N(0, 1) > 4) = 3e-5 for each of at most 25 comparisons. Cells of one episode exclude each other, which makes
      // their χ² smaller, not larger.
      expect(deviation(counts[name], theirs), name).toBeLessThan(4);
    }
    expect(Math.abs(meanDifference(returns, recorded.mean, recorded.standardError))).toBeLessThan(4);
  });
});
