/** Scripts that environments offer: they play what they say, by the rules, better than chance. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../src/attacks/index.js";
import type { Script } from "../../src/env/contract.js";
import { box } from "../../src/env/spaces.js";
import { createEnvironment, environments } from "../../src/envs/index.js";
import { ScriptedActor } from "../../src/policy/index.js";
import type { Players } from "../../src/rollout/index.js";
import { runtime } from "../support/rollouts.js";

/** Every script, with the parameters beside the defaults under which it must do well, too. */
const variants: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  "mpe/simple_spread_v3": [{ continuousActions: true }, { agents: 4, landmarkNeighbors: 2 }],
  "mpe/simple_speaker_listener_v4": [{ continuousActions: true }],
  "lbf/foraging_v3": [
    { gridObservation: true, sight: 3 },
    { forceCoop: true, actionMask: false },
  ],
  "pursuit/pursuit_v5": [{ maxCycles: 100, obsRange: 9, freezeEvaders: true }],
};

const scripted = [...environments.entries()].flatMap(([id, { scripts = {} }]) =>
  Object.entries(scripts).flatMap(([name, script]) =>
    [{}, ...(variants[id] ?? [])].map((parameters) => ({ id, name, script, parameters })),
  ),
);

/** Over some 10,000 steps: 200 episodes where they are short. */
async function meanReturn(id: string, parameters: Record<string, unknown>, team: Players): Promise<number> {
  const { spec } = await createEnvironment(id, parameters, { copies: 1 });
  const episodes = Math.min(200, Math.ceil(10_000 / (spec.maxSteps ?? 50)));
  return evaluate({
    runtime,
    createEnvironment: (copies, more = {}) => createEnvironment(id, parameters, { copies, ...more }),
    team,
    adversary: null,
    threat: null,
    episodes,
    seed: 0,
    labels: { team: "", adversary: "" },
  }).then(({ returns }) => returns.reduce((a, b) => a + b, 0) / returns.length);
}

describe("every script", () => {
  it.each(scripted)(
    "$name of $id plays better than chance: $parameters",
    async ({ id, script, parameters }) => {
      const [own, chance] = [
        await meanReturn(id, parameters, script),
        await meanReturn(id, parameters, "uniform"),
      ];
      expect(own).toBeGreaterThan(chance + 0.25 * Math.abs(chance));
    },
  );

  it.each(scripted)("$name of $id is on a page", ({ name }) => {
    const pages = readdirSync("docs/environments").map((file) =>
      readFileSync(`docs/environments/${file}`, "utf8"),
    );
    expect(pages.some((page) => page.includes(`\`${name}\``))).toBe(true);
  });

  it("plays a world without landmarks in sight by standing still", async () => {
    const parameters = { landmarkNeighbors: 0, agents: 2 };
    const script = environments.get("mpe/simple_spread").scripts!["share-out"]!;
    expect(Number.isFinite(await meanReturn("mpe/simple_spread", parameters, script))).toBe(true);
  });
});

describe("a script as an actor", () => {
  const group = {
    name: "g",
    agents: ["a", "b"],
    obsSize: 2,
    features: [],
    action: box(3, -1, 1),
    hasActionMask: false,
  };

  it("gets its own agent's row, and zeros to write into", () => {
    const seen: unknown[] = [];
    const script: Script = {
      summary: "",
      act({ agent, obs }, action) {
        seen.push([agent, [...obs], [...action]]);
        action[1] = obs[1]!;
      },
    };
    const batch = {
      rows: 2,
      obs: Float32Array.of(1, 2, 3, 4),
      actionMask: null,
      agent: Int32Array.of(1, 0),
      streams: [],
      action: new Float32Array(6).fill(9),
      logProb: new Float32Array(2).fill(9),
      state: {},
    };
    new ScriptedActor("s", group, script).act(batch);
    expect(seen).toEqual([
      [1, [1, 2], [0, 0, 0]],
      [0, [3, 4], [0, 0, 0]],
    ]);
    expect([...batch.action]).toEqual([0, 2, 0, 0, 4, 0]);
    expect([...batch.logProb]).toEqual([0, 0]);
  });
});
