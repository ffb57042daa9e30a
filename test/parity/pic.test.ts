import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createEnvironment } from "../../src/envs/registry.js";
import { inject, numbers, step } from "../support/particles.js";

interface Episode {
  readonly kind: string;
  readonly init: { readonly p_pos: number[][]; readonly p_vel: number[][]; readonly obs: number[][] | null };
  readonly actions: readonly number[][];
  readonly p_pos: readonly number[][][];
  readonly p_vel: readonly number[][][];
  readonly reward: readonly number[];
  readonly obs: readonly (number[][] | null)[];
}

interface Recording {
  readonly agents: number;
  readonly episodes: readonly Episode[];
}

const folder = new URL("fixtures/pic/", import.meta.url);
const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));
const load = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as Recording;

/** @returns a line for each difference; one-step: every step starts from the recorded state, tolerance 1e-12, not 1e-9 */
async function differences(
  name: string,
  mode: "roll-out" | "one-step",
  changes: Record<string, unknown> = {},
): Promise<string[]> {
  const { agents, episodes } = load(name);
  const found: string[] = [];
  const tolerance = mode === "roll-out" ? 1e-9 : 1e-12;
  const exact = (x: number) => tolerance * (1 + Math.abs(x));
  // Recorded as float32, too: one unit in the last place.
  const rounded = (x: number) => exact(x) + Math.abs(x) * 2 ** -23;
  for (const { kind, init, actions, p_pos, p_vel, reward, obs } of episodes) {
    const near = (what: string, got: ArrayLike<number>, expected: readonly number[], slack = exact) => {
      for (const [k, x] of expected.entries()) {
        if (!(Math.abs(got[k] - x) <= slack(x)))
          found.push(`${kind}, ${what}[${k}]: ${got[k]}, recorded ${x}`);
      }
    };
    const environment = await createEnvironment(
      "mpe/mean_field_spread",
      {
        agents,
        maxCycles: 1000,
        integration: "velocityFirst",
        ...(agents === 6 ? { rewardProfile: "picN6" } : {}),
        ...changes,
      },
      { copies: 1 },
    );
    environment.reset(0);
    const sees = (what: string, recorded: number[][] | null) => {
      if (recorded !== null) near(what, environment.groups[0].obs, recorded.flat(), rounded);
    };
    const landmarks = init.p_pos.slice(agents);
    inject(environment, { position: init.p_pos.flat(), velocity: init.p_vel.flat() });
    sees("t=0 obs", init.obs);
    for (const [t, row] of actions.entries()) {
      if (mode === "one-step" && t > 0) {
        inject(environment, {
          position: [...p_pos[t - 1], ...landmarks].flat(),
          velocity: p_vel[t - 1].flat(),
        });
      }
      step(environment, ...row);
      near(`t=${t + 1} reward`, environment.groups[0].reward, Array(agents).fill(reward[t]));
      sees(`t=${t + 1} obs`, obs[t]);
      near(`t=${t + 1} position`, numbers(environment, "position"), p_pos[t].flat());
      near(`t=${t + 1} velocity`, numbers(environment, "velocity"), p_vel[t].flat());
    }
  }
  return found;
}

describe("recordings of PIC", () => {
  it.each(names)("%s is followed over whole episodes to 1e-9", async (name) => {
    expect(await differences(name, "roll-out")).toEqual([]);
  });

  it.each(names)("%s is followed step by step to 1e-12", async (name) => {
    expect(await differences(name, "one-step")).toEqual([]);
  });

  it.each([
    ["n3", { integration: "positionFirst" }],
    ["n3", { neighbors: 1 }],
    ["n6", { rewardProfile: "standard" }],
    ["n15", { agentSize: 0.1501 }],
    ["n15", { rewardScale: "perAgent" }],
    ["n100", { gain: 5.0001 }],
  ])("%s is not followed with %o", async (name, changes) => {
    expect(await differences(name, "one-step", changes)).not.toEqual([]);
  });
});
