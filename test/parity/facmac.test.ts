import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { RandomStream } from "../../src/core/random.js";
import type { Environment } from "../../src/env/contract.js";
import { createEnvironment } from "../../src/envs/registry.js";
import { create, expectClose, inject, numbers, step } from "../support/particles.js";

const ID = "mpe/continuous_pred_prey";
const DRAWS = 200;

interface Episode {
  readonly kind: string;
  readonly drawSeed: number;
  readonly init: { readonly p_pos: number[][]; readonly p_vel: number[][]; readonly obs: number[][] };
  readonly actions: readonly number[][][];
  readonly p_pos: readonly number[][][];
  readonly p_vel: readonly number[][][];
  readonly reward: readonly number[];
  readonly obs: readonly (number[][] | null)[];
}

interface Recording {
  readonly kwargs: { readonly score_function: "min" | "sum"; readonly agent_view_radius: number };
  readonly episodes: readonly Episode[];
}

const folder = new URL("fixtures/facmac/", import.meta.url);
const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));
const load = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as Recording;

/** What the prey draws, from a list instead of its stream. */
function drawFrom(next: () => number): void {
  vi.spyOn(RandomStream.prototype, "fillUniform").mockImplementation((out, from, to) => {
    for (let k = from; k < to; k++) out[k] = next();
  });
}

/** The recorder's generator, `skipped` draws after its seed. */
function recordedDraws(seed: number, skipped: number): () => number {
  let state = seed;
  const next = () => {
    // 32-bit: the product of two such numbers does not fit a double.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
  for (let k = 0; k < skipped; k++) next();
  return next;
}

/** @returns a line for each difference; one-step: every step starts from the recorded state, tolerance 1e-12, not 1e-9 */
async function replay(
  { kwargs }: Recording,
  episode: Episode,
  mode: "roll-out" | "one-step",
  changes: Record<string, unknown> = {},
): Promise<string[]> {
  const predators = episode.actions[0].length;
  const prey = predators / 3;
  const environment = await createEnvironment(
    ID,
    {
      predators,
      prey,
      obstacles: 2 * prey,
      preyScore: kwargs.score_function,
      viewRadius: kwargs.agent_view_radius,
      ...changes,
    },
    { copies: 1 },
  );
  environment.reset(0);
  const { init } = episode;
  const obstacles = init.p_pos.slice(predators + prey);
  inject(environment, { position: init.p_pos.flat(), velocity: init.p_vel.flat() });
  const found: string[] = [];
  const tolerance = mode === "roll-out" ? 1e-9 : 1e-12;
  const near = (
    what: string,
    got: ArrayLike<number>,
    expected: readonly number[],
    slack: (x: number) => number,
  ) => {
    for (const [k, x] of expected.entries()) {
      if (!(Math.abs(got[k] - x) <= slack(x)))
        found.push(`${episode.kind}, ${what}[${k}]: ${got[k]}, recorded ${x}`);
    }
  };
  const exact = (x: number) => tolerance * (1 + Math.abs(x));
  // Recorded as float32, too: one unit in the last place.
  const rounded = (x: number) => exact(x) + Math.abs(x) * 2 ** -23;
  near("t=0 obs", environment.groups[0].obs, init.obs.flat(), rounded);
  for (const [t, actions] of episode.actions.entries()) {
    if (mode === "one-step" && t > 0) {
      inject(environment, {
        position: [...episode.p_pos[t - 1], ...obstacles].flat(),
        velocity: episode.p_vel[t - 1].flat(),
      });
    }
    drawFrom(recordedDraws(episode.drawSeed, t * DRAWS * prey));
    step(environment, ...actions.flat());
    vi.restoreAllMocks();
    const ended = environment.ended.count > 0;
    expect(ended).toBe(t + 1 === 25);
    near(`t=${t + 1} reward`, environment.groups[0].reward, Array(predators).fill(episode.reward[t]), exact);
    const obs = ended ? environment.ended.obs[0] : environment.groups[0].obs;
    if (episode.obs[t] !== null) near(`t=${t + 1} obs`, obs, episode.obs[t].flat(), rounded);
    if (ended) break;
    near(`t=${t + 1} position`, numbers(environment, "position"), episode.p_pos[t].flat(), exact);
    near(`t=${t + 1} velocity`, numbers(environment, "velocity"), episode.p_vel[t].flat(), exact);
  }
  return found;
}

async function differences(
  name: string,
  mode: "roll-out" | "one-step",
  changes: Record<string, unknown> = {},
): Promise<string[]> {
  const recording = load(name);
  const lists = [];
  for (const episode of recording.episodes) lists.push(await replay(recording, episode, mode, changes));
  return lists.flat();
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("recordings of FACMAC", () => {
  it.each(names)("%s is followed over whole episodes to 1e-9", async (name) => {
    expect(await differences(name, "roll-out")).toEqual([]);
  });

  it.each(names)("%s is followed step by step to 1e-12", async (name) => {
    expect(await differences(name, "one-step")).toEqual([]);
  });

  it.each([
    ["3a-min", { preyScore: "sum" }],
    ["3a-sum", { preyScore: "min" }],
    ["3a-min", { integration: "positionFirst" }],
    ["3a-min", { viewRadius: null }],
    ["3a-min", { viewRadius: 1.45 }],
    ["3a-min", { predatorGain: 3.0001 }],
    ["3a-min", { preyGain: 1.0001 }],
    ["3a-min", { predatorMaxSpeed: 1.0001 }],
    ["3a-min", { predatorSize: 0.0751 }],
    ["3a-min", { preySize: 0.0501 }],
    ["3a-min", { preyCandidates: 99 }],
  ])("%s is not followed with %o", async (name, changes) => {
    expect(await differences(name, "one-step", changes)).not.toEqual([]);
  });
});

/** The draws of the golden values: squared lengths (k + ½)/100, then angles by the golden ratio, k = 0 … 99. */
function goldenDraws(): () => number {
  let k = -1;
  return () => {
    k = (k + 1) % DRAWS;
    if (k < 100) return (k + 0.5) / 100;
    return ((k - 99) * 0.618033988749895) % 1;
  };
}

describe("the prey", () => {
  const start = [-0.5, 0, 0.1, 0.05, 0.95, -0.95, 0.2, 0.1, -0.6, 0.2, 0.4, -0.5];

  it("follows the golden trajectory", async () => {
    const environment = await create(ID);
    inject(environment, { position: start });
    drawFrom(goldenDraws());
    step(environment, 1, 0, 1, 0.5, -0.3, 0.2);
    expectClose(numbers(environment, "position").slice(6, 8), [0.215724088, 0.1150191677]);
    expect([...environment.groups[0].reward]).toEqual([10, 10, 10]);
    step(environment, 1, -1, 0, 0, -1, 1);
    const positions = [-0.3772784569, -0.110443086, 0.1209326817, 0.05966560243, 0.90425, -0.9095];
    // The actions −0.3 and 0.2 are float32: 1.2e-8 off, times the gain and dt².
    expectClose(
      numbers(environment, "position").slice(0, 8),
      [...positions, 0.2423492088, 0.1416574329],
      1e-9,
    );
    expectClose(numbers(environment, "velocity").slice(6), [0.2662512079, 0.2663826525]);
    expect([...environment.groups[0].reward]).toEqual([0, 0, 0]);
    expectClose(
      environment.groups[0].obs.slice(32),
      [
        ...[-0.3675, 0.345, 0.90425, -0.9095, 0, 0, -0.50425, 0.4095, 0, 0],
        ...[-0.7833173183, 0.9691656024, -0.6619007912, 1.051157433, 0.2662512079, 0.2663826525],
      ],
      2e-7,
    );
  });

  it("goes 0.4 at most, where predators go 1", async () => {
    const environment = await createEnvironment(ID, { maxCycles: 500 }, { copies: 20 });
    environment.reset(1);
    environment.groups[0].action.fill(1);
    let fastest = 0;
    for (let t = 0; t < 100; t++) {
      environment.step();
      const velocity = (environment.saveState!() as Record<string, { data: Float64Array }>).velocity.data;
      for (let e = 0; e < 20; e++)
        fastest = Math.max(fastest, Math.hypot(velocity[8 * e + 6], velocity[8 * e + 7]));
    }
    // Those that a predator hits are faster; drive alone ends at dt / damping.
    expect(fastest).toBeGreaterThan(0.3);
    const alone = await createEnvironment(ID, { maxCycles: 500, contactForce: 0 }, { copies: 20 });
    alone.reset(1);
    for (let t = 0; t < 100; t++) alone.step();
    const velocity = (alone.saveState!() as Record<string, { data: Float64Array }>).velocity.data;
    for (let e = 0; e < 20; e++)
      expect(Math.hypot(velocity[8 * e + 6], velocity[8 * e + 7])).toBeLessThan(0.4);
  });

  it("does not depend on who else is in the batch", async () => {
    const alone = await createEnvironment(ID, {}, { copies: 1 });
    const among = await createEnvironment(ID, {}, { copies: 5 });
    alone.reset(3, 2);
    among.reset(3);
    for (let t = 0; t < 10; t++) {
      for (const environment of [alone, among] as Environment[]) environment.step();
    }
    expect([...among.groups[0].obs.subarray(2 * 48, 3 * 48)]).toEqual([...alone.groups[0].obs]);
  });
});

describe("uniform random play", () => {
  it("earns what it earns in the original", async () => {
    const copies = 4000;
    const environment = await createEnvironment(ID, {}, { copies });
    environment.reset(2);
    const stream = RandomStream.from(2, "actions");
    const returns = new Float64Array(copies);
    for (let t = 0; t < 25; t++) {
      const { action, reward } = environment.groups[0];
      for (let k = 0; k < action.length; k++) action[k] = stream.uniformIn(-1, 1);
      environment.step();
      for (let e = 0; e < copies; e++) returns[e] += reward[3 * e];
    }
    const mean = returns.reduce((a, b) => a + b, 0) / copies;
    const variance = returns.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (copies - 1);
    // The original over 4000 episodes: 0.275, standard error 0.036.
    expect(Math.abs(mean - 0.275) / Math.sqrt(variance / copies + 0.036 ** 2)).toBeLessThan(4);
  }, 60_000);
});
