import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import type { Environment } from "../../src/env/contract.js";
import { sampleActions } from "../../src/env/spaces.js";
import { ParticleWorld } from "../../src/envs/mpe/world.js";
import { createEnvironment, environments } from "../../src/envs/registry.js";
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
  it("exist for every scenario of MPE2 that is registered", () => {
    const recorded = new Set(names.map((name) => `mpe/${load(name).env}`));
    const originals = [...environments.entries()].filter(
      ([id, { source }]) => id.startsWith("mpe/") && source.startsWith("MPE2"),
    );
    expect(originals.map(([id]) => id).filter((id) => !recorded.has(id))).toEqual([]);
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
    ["simple", { gain: 5.0001 }],
    ["tag", { adversaryGain: 3.0001 }],
    ["tag", { goodGain: 4.0001 }],
    ["tag", { adversaryMaxSpeed: 1.0001 }],
    ["tag", { goodMaxSpeed: 1.3001 }],
    ["tag", { adversarySize: 0.0751 }],
    ["tag", { goodSize: 0.0501 }],
    ["tag", { obstacleSize: 0.2001 }],
    ["tag", { integration: "velocityFirst" }],
    ["tag-success", { terminateOnSuccess: false }],
    ["tag-curriculum", { curriculumStage: 2 }],
    ["tag-neighbors", { agentNeighbors: 1 }],
    ["tag-neighbors", { landmarkNeighbors: null }],
    ["adversary", { gain: 5.0001 }],
    ["adversary-neighbors", { agentNeighbors: null }],
    ["push", { gain: 5.0001 }],
    ["push", { agentSize: 0.0501 }],
    ["reference", { localRatio: 0.5001 }],
    ["reference", { gain: 5.0001 }],
    ["world-comm", { adversaryGain: 3.0001 }],
    ["world-comm", { goodGain: 4.0001 }],
    ["world-comm", { goodSize: 0.0451 }],
    ["world-comm", { foodSize: 0.04 }],
    ["world-comm", { forestSize: 0.3002 }],
    ["world-comm", { forestSize: 0.2998 }],
  ])("%s with %o", async (name, changes) => {
    expect(await differences(name, "one-step", changes)).not.toEqual([]);
  });

  it.each(["adversary", "push", "reference", "crypto", "speaker-listener"])(
    "%s with another goal",
    async (name) => {
      const recording = load(name);
      const landmarks = { adversary: 2, push: 2, crypto: 2 }[name] ?? 3;
      for (const episode of recording.episodes) {
        const goal = [episode.init.goal!].flat().map((g) => (g + 1) % landmarks);
        const changed = { ...episode, init: { ...episode.init, goal } };
        expect(await replay(recording, changed, "one-step"), episode.kind).not.toEqual([]);
      }
    },
  );

  it("crypto with another key", async () => {
    const recording = load("crypto");
    for (const episode of recording.episodes) {
      const changed = { ...episode, init: { ...episode.init, key: 1 - episode.init.key! } };
      expect(await replay(recording, changed, "one-step"), episode.kind).not.toEqual([]);
    }
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
  const plain = ["spread", "speaker_listener", "push", "adversary", "reference", "crypto"];
  it.each<[string, number, number]>([
    ["mpe/simple", 1, 1],
    ...plain.map((name): [string, number, number] => [`mpe/simple_${name}`, 1, 1]),
    // Landmarks of worlds with predators start within 0.9.
    ["mpe/simple_tag", 4, 0.9],
    ["mpe/simple_world_comm", 6, 0.9],
  ])("of %s draw uniform positions", async (id, agents, landmarkRange) => {
    const { position } = await freshStates(id, copies);
    const width = position.shape[1] * 2;
    for (let k = 0; k < width; k++) {
      const column = Array.from({ length: copies }, (_, e) => position.data[e * width + k]);
      const range = k < 2 * agents ? 1 : landmarkRange;
      // Kolmogorov–Smirnov: P(√n·D > 2.3) = 2·e^(−2·2.3²) = 5e-5 for each of at most 22 coordinates.
      expect(Math.sqrt(copies) * uniformDistance(column, -range, range), `coordinate ${k}`).toBeLessThan(2.3);
    }
  });

  it.each<[string, readonly string[], number, number]>([
    ["mpe/simple_speaker_listener", ["goal"], 3, 18.4],
    ["mpe/simple_adversary", ["goal"], 2, 15.1],
    ["mpe/simple_push", ["goal"], 2, 15.1],
    ["mpe/simple_reference", ["goal"], 9, 31.8],
    ["mpe/simple_crypto", ["goal", "key"], 4, 21.1],
  ])("of %s draw uniform goals, independently", async (id, draws, outcomes, limit) => {
    const state = await freshStates(id, copies);
    const seen = new Map<string, number>();
    for (let e = 0; e < copies; e++) {
      const outcome = draws.map((name) => {
        const each = state[name].data.length / copies;
        return [...state[name].data.slice(e * each, (e + 1) * each)];
      });
      seen.set(`${outcome}`, (seen.get(`${outcome}`) ?? 0) + 1);
    }
    expect(seen.size).toBe(outcomes);
    const expected = copies / outcomes;
    const chi2 = [...seen.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // P(χ² > limit) = 1e-4 with outcomes − 1 degrees of freedom.
    expect(chi2).toBeLessThan(limit);
  });
});

/** Undiscounted returns of uniform random play, [agent][copy], one episode a copy. */
function randomReturns(environment: Environment): Float64Array[] {
  const { copies, spec } = environment;
  const returns = spec.groups.flatMap((g) => g.agents.map(() => new Float64Array(copies)));
  const stream = RandomStream.from(5, "actions");
  environment.reset(5);
  for (let t = 0; t < spec.maxSteps!; t++) {
    sampleActions(environment, stream);
    environment.step();
    let first = 0;
    for (const { reward } of environment.groups) {
      const n = reward.length / copies;
      for (let row = 0; row < reward.length; row++)
        returns[first + (row % n)][Math.floor(row / n)] += reward[row];
      first += n;
    }
  }
  return returns;
}

interface ResetStatistics {
  readonly results: readonly {
    readonly env: string;
    readonly agents: readonly string[];
    readonly mean: readonly number[];
    readonly standardError: readonly number[];
  }[];
}

describe("uniform random play", () => {
  const { results } = JSON.parse(
    readFileSync(new URL("reset-stats.json", folder), "utf8"),
  ) as ResetStatistics;
  it.each(results)("earns in $env what it earns in the original, every agent", async (recorded) => {
    const copies = 8000;
    const environment = await createEnvironment(`mpe/${recorded.env}`, {}, { copies });
    expect(environment.spec.groups.flatMap((g) => g.agents)).toEqual(recorded.agents);
    for (const [i, returns] of randomReturns(environment).entries()) {
      const mean = returns.reduce((a, b) => a + b, 0) / copies;
      const variance = returns.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (copies - 1);
      const z = (mean - recorded.mean[i]) / Math.sqrt(variance / copies + recorded.standardError[i] ** 2);
      expect(Math.abs(z), recorded.agents[i]).toBeLessThan(4);
    }
  });
});
