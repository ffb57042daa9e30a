import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import type { Environment } from "../../src/env/contract.js";
import { sampleActions } from "../../src/env/spaces.js";
import { ParticleWorld } from "../../src/envs/mpe/world.js";
import { createEnvironment } from "../../src/envs/registry.js";
import { load, type Mode, replay } from "./replay.js";

const folder = new URL("fixtures/mpe/", import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".json") && file !== "reset-stats.json")
  .map((file) => file.slice(0, -".json".length));

async function differences(
  name: string,
  mode: Mode,
  changes: Record<string, unknown> = {},
): Promise<string[]> {
  const recording = load(name);
  const lists = [];
  for (const episode of recording.episodes) lists.push(await replay(recording, episode, mode, changes));
  return lists.flat();
}

describe("recordings of MPE2", () => {
  it("exist for both environments and every option", () => {
    expect(names.length).toBeGreaterThanOrEqual(12);
  });

  for (const name of names) {
    it(`${name} is followed over whole episodes to 1e-9`, async () => {
      expect(await differences(name, "roll-out")).toEqual([]);
    });
    it(`${name} is followed step by step to 1e-12`, async () => {
      expect(await differences(name, "one-step")).toEqual([]);
    });
  }

  it("agree with the episode metrics", async () => {
    const recording = load("spread-n3-cycles10-benchmark");
    let episodes = 0;
    for (const episode of recording.episodes) {
      if (episode.truncated.at(-1) !== 1) continue;
      const environment = await createEnvironment("mpe/simple_spread", { maxCycles: 10 }, { copies: 1 });
      environment.reset(0);
      const state = environment.saveState!() as Record<string, NdArray<"float64">>;
      state.position.data.set(episode.init.p_pos.flat());
      state.velocity.data.set(episode.init.p_vel.flat());
      environment.loadState!(state);
      for (const actions of episode.actions) {
        environment.groups[0].action.set(actions.flat());
        environment.step();
      }
      const [collisions, covered, distance] = environment.ended.metrics;
      const last = episode.info!.at(-1)![0];
      // The original counts every contact at both agents.
      const contacts = episode.info!.flat().reduce((sum, row) => sum + row[1], 0) / 2;
      expect([collisions, covered]).toEqual([contacts, last[3]]);
      expect(distance).toBeCloseTo(last[2], 9);
      episodes++;
    }
    expect(episodes).toBeGreaterThan(3);
  });
});

describe("the replay rejects", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it.each([
    ["spread-n3", { damping: 0.2501 }],
    ["spread-n3", { dt: 0.1001 }],
    ["spread-n3", { gain: 5.0001 }],
    ["spread-n3", { mass: 1.0001 }],
    ["spread-n3", { agentSize: 0.1501 }],
    ["spread-n3", { contactForce: 100.001 }],
    ["spread-n3", { contactMargin: 0.00101 }],
    ["spread-n3", { localRatio: 0.5001 }],
    ["spread-n3", { maxSpeed: 1.9 }],
    ["spread-n3", { maxCycles: 24 }],
    ["spread-n3-success", { terminateOnSuccess: false }],
    ["spread-n3-curriculum", { curriculumStage: 1 }],
    ["spread-n4-neighbors", { agentNeighbors: null }],
    ["spread-n4-neighbors", { landmarkNeighbors: 3 }],
    ["speaker-listener", { gain: 5.0001 }],
  ])("%s with %o", async (name, changes) => {
    expect(await differences(name, "one-step", changes)).not.toEqual([]);
  });

  it("an integration that moves with the new velocity", async () => {
    const step = ParticleWorld.prototype.step;
    vi.spyOn(ParticleWorld.prototype, "step").mockImplementation(function (this: ParticleWorld) {
      const before = this.velocity.data.slice();
      step.call(this);
      for (let k = 0; k < before.length; k++)
        this.position.data[k] += (this.velocity.data[k] - before[k]) * 0.1;
    });
    expect(await differences("spread-n3", "one-step")).not.toEqual([]);
  });

  it("contacts cut off a little too early", async () => {
    // The whole force at 10 margins is 0.1·e^(−10) = 4.5e-6; without it one step is wrong by 4.5e-7.
    const recording = load("spread-n3");
    const episode = recording.episodes.find(({ kind }) => kind === "soft-margin")!;
    const log1p = Math.log1p;
    vi.spyOn(Math, "log1p").mockImplementation((x) => (x < 5e-5 ? 0 : log1p(x)));
    expect(await replay(recording, episode, "one-step")).not.toEqual([]);
  });
});

/** Largest distance between the empirical distribution of `samples` and the uniform one on [low, high]. */
function uniformDistance(samples: readonly number[], low: number, high: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  let worst = 0;
  for (const [k, x] of sorted.entries()) {
    const expected = (x - low) / (high - low);
    worst = Math.max(
      worst,
      Math.abs((k + 1) / sorted.length - expected),
      Math.abs(k / sorted.length - expected),
    );
  }
  return worst;
}

async function freshStates(id: string, copies: number): Promise<Record<string, NdArray<"float64">>> {
  const environment = await createEnvironment(id, {}, { copies });
  environment.reset(11);
  return environment.saveState!() as Record<string, NdArray<"float64">>;
}

describe("resets", () => {
  const copies = 4000;
  it.each(["mpe/simple_spread", "mpe/simple_speaker_listener"])(
    "of %s draw uniform positions",
    async (id) => {
      const { position } = await freshStates(id, copies);
      const width = position.shape[1] * 2;
      for (let k = 0; k < width; k++) {
        const column = Array.from({ length: copies }, (_, e) => position.data[e * width + k]);
        // Kolmogorov–Smirnov: P(√n·D > 2.3) = 2·e^(−2·2.3²) = 5e-5 for each of at most 12 coordinates.
        expect(Math.sqrt(copies) * uniformDistance(column, -1, 1), `coordinate ${k}`).toBeLessThan(2.3);
      }
    },
  );

  it("draw uniform goals", async () => {
    const { goal } = await freshStates("mpe/simple_speaker_listener", copies);
    const counts = [0, 1, 2].map((g) => [...goal.data].filter((x) => x === g).length);
    const chi2 = counts.reduce((sum, n) => sum + (n - copies / 3) ** 2 / (copies / 3), 0);
    // Two degrees of freedom: P(χ² > 18.4) = e^(−9.2) = 1e-4.
    expect(chi2).toBeLessThan(18.4);
  });
});

/** Mean over agents of the undiscounted return of uniform random play, one episode a copy. */
function randomReturns(environment: Environment): number[] {
  const returns = new Float64Array(environment.copies);
  const agents = environment.spec.groups.reduce((sum, g) => sum + g.agents.length, 0);
  const stream = RandomStream.from(5, "actions");
  environment.reset(5);
  for (let t = 0; t < environment.spec.maxSteps!; t++) {
    sampleActions(environment, stream);
    environment.step();
    for (const { reward } of environment.groups) {
      const n = reward.length / environment.copies;
      for (let row = 0; row < reward.length; row++) returns[Math.floor(row / n)] += reward[row] / agents;
    }
  }
  return [...returns];
}

interface ResetStatistics {
  readonly results: readonly {
    readonly env: string;
    readonly meanOverAgents: number;
    readonly standardErrorOverAgents: number;
  }[];
}

describe("uniform random play", () => {
  const { results } = JSON.parse(
    readFileSync(new URL("reset-stats.json", folder), "utf8"),
  ) as ResetStatistics;
  it.each(results)("earns in $env what it earns in the original", async (recorded) => {
    const copies = 8000;
    const returns = randomReturns(await createEnvironment(`mpe/${recorded.env}`, {}, { copies }));
    const mean = returns.reduce((a, b) => a + b, 0) / copies;
    const variance = returns.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (copies - 1);
    const z =
      (mean - recorded.meanOverAgents) / Math.sqrt(variance / copies + recorded.standardErrorOverAgents ** 2);
    expect(Math.abs(z)).toBeLessThan(4);
  });
});
