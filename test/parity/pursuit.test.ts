import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { sampleActions } from "../../src/env/spaces.js";
import { createEnvironment } from "../../src/envs/registry.js";
import { load, parametersOf, type Recording, replay } from "./pursuit-replay.js";
import { deviation, meanDifference } from "./statistics.js";

const folder = new URL("fixtures/pursuit/", import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".json") && file !== "reset-stats.json")
  .map((file) => file.slice(0, -".json".length));

async function differences(name: string, changes: Record<string, unknown> = {}): Promise<string[]> {
  const recording = load(name);
  const lists = [];
  for (const episode of recording.episodes) lists.push(await replay(recording, episode, changes));
  return lists.flat();
}

describe("recordings of Pursuit", () => {
  it("exist for every option, and hold catches and both endings", () => {
    expect(names.length).toBeGreaterThanOrEqual(15);
    const episodes = names.flatMap((name) => [...load(name).episodes]);
    const caught = episodes.map((e) => e.init.evaders.length - e.evaders.at(-1)!.length);
    expect(caught.reduce((a, b) => a + b, 0)).toBeGreaterThan(120);
    expect(episodes.filter((e) => e.terminated.at(-1) === 1).length).toBeGreaterThan(8);
    expect(episodes.filter((e) => e.truncated.at(-1) === 1).length).toBeGreaterThan(8);
    const both = episodes.filter((e) => e.truncated.at(-1) === 1 && e.evaders.at(-1)!.length === 0);
    expect(both.length).toBeGreaterThan(0);
  });

  for (const name of names) {
    it(`${name} is followed exactly`, async () => {
      expect(await differences(name)).toEqual([]);
    });
  }
});

describe("the replay rejects", () => {
  it.each([
    ["local", { tagReward: 0.011 }],
    ["local", { catchReward: 4 }],
    ["local", { urgencyReward: -0.11 }],
    ["local", { sharedReward: true }],
    ["defaults", { sharedReward: false }],
    ["hand-made", { surround: false }],
    ["in-the-cell", { catchers: 3 }],
    ["small", { maxCycles: 59 }],
    ["frozen", { freezeEvaders: false }],
    ["range4", { obsRange: 5 }],
    ["range11-8x8", { height: 9 }],
  ])("%s with %o", async (name, changes) => {
    expect(await differences(name, changes)).not.toEqual([]);
  });
});

interface ResetStatistics {
  readonly results: readonly {
    readonly name: string;
    readonly kwargs: Recording["kwargs"];
    /** value → how often it was seen */
    readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
    readonly mean: number;
    readonly standardError: number;
    readonly meanLength: number;
    readonly standardErrorOfLength: number;
  }[];
}

describe("resets and uniform random play", () => {
  const { results } = JSON.parse(
    readFileSync(new URL("reset-stats.json", folder), "utf8"),
  ) as ResetStatistics;

  it.each(results)("are those of $name in distribution", async (recorded) => {
    const copies = 1000;
    const environment = await createEnvironment("pursuit", parametersOf(recorded.kwargs), { copies });
    const n = environment.spec.groups[0].agents.length;
    const counts: Record<string, Record<string, number>> = {};
    const count = (name: string, value: number) => {
      counts[name] ??= {};
      counts[name][value] = (counts[name][value] ?? 0) + 1;
    };
    environment.reset(5);
    const start = environment.saveState!() as Record<string, NdArray<"int32">>;
    for (const [name, { data }] of [
      ["pursuer", start.pursuers],
      ["evader", start.evaders],
    ] as const) {
      for (let k = 0; k < data.length; k += 2) {
        count(`${name}Columns`, data[k]);
        count(`${name}Rows`, data[k + 1]);
      }
    }
    const stream = RandomStream.from(5, "actions");
    const returns = new Float64Array(copies);
    const lengths = new Float64Array(copies);
    for (let t = 1; t <= environment.spec.maxSteps!; t++) {
      sampleActions(environment, stream);
      environment.step();
      const { ended, state } = environment;
      for (let e = 0; e < copies; e++) {
        if (lengths[e] > 0) continue;
        for (let i = e * n; i < (e + 1) * n; i++) returns[e] += environment.groups[0].reward[i] / n;
      }
      for (let r = 0; r < ended.count; r++) {
        const e = ended.copies[r];
        if (lengths[e] > 0) continue;
        lengths[e] = t;
        count("captures", ended.metrics[2 * r]);
        // Where some evader is: the last column that holds one, of the last state.
        const columns = recordedColumns(
          ended.state.subarray((r * state.length) / copies, ((r + 1) * state.length) / copies),
          recorded.kwargs,
        );
        if (columns.length > 0) count("lastEvaderColumns", Math.max(...columns));
      }
    }
    expect(Object.keys(counts).sort()).toEqual(Object.keys(recorded.counts).sort());
    for (const [name, theirs] of Object.entries(recorded.counts)) {
      // P(N(0, 1) > 4) = 3e-5 for each of 18 comparisons. Those who start together exclude each other, which makes
      // their χ² smaller, not larger.
      expect(deviation(counts[name], theirs), name).toBeLessThan(4);
    }
    expect(Math.abs(meanDifference(returns, recorded.mean, recorded.standardError))).toBeLessThan(4);
    const { meanLength, standardErrorOfLength } = recorded;
    const sameLength = lengths.every((length) => length === meanLength);
    expect(sameLength || Math.abs(meanDifference(lengths, meanLength, standardErrorOfLength)) < 4).toBe(true);
  });
});

/** Columns in which a global state shows an evader. */
function recordedColumns(state: Float32Array, { x_size: width = 16 }: Recording["kwargs"]): number[] {
  return [...state.keys()]
    .filter((k) => k % 3 === 2 && state[k] > 0)
    .map((k) => Math.floor(k / 3) % Number(width));
}
