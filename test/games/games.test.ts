import { describe, expect, it } from "vitest";
import { RandomStream } from "../../src/core/random.js";
import type { Environment, EnvironmentDefinition } from "../../src/env/contract.js";
import { completeParameters } from "../../src/env/definition.js";
import { sampleActions } from "../../src/env/spaces.js";
import { chorus, decodeChorus, foragers, nim, twoStep, twoStepReturns } from "./index.js";

async function create(
  definition: EnvironmentDefinition,
  copies: number,
  parameters: Record<string, unknown> = {},
): Promise<Environment> {
  const environment = await definition.create(completeParameters(definition, parameters), { copies });
  environment.reset(0);
  return environment;
}

describe("nim", () => {
  it("is won by the first player's perfect play unless the pile starts with 8 stones", async () => {
    const game = await create(nim, 40);
    const stream = RandomStream.from(1, "actions");
    const start = Array.from({ length: 40 }, (_, e) => game.groups[0].obs[e * 4]);
    const open = new Set(start.keys());
    for (let t = 0; open.size > 0; t++) {
      sampleActions(game, stream);
      const { obs, acting, action } = game.groups[0];
      for (let e = 0; e < 40; e++) {
        // Column 0 is the pile; player_0 takes the remainder, or 1 where there is none.
        if (acting[2 * e] === 1) action[2 * e] = Math.max(1, obs[4 * e] % 4);
        expect(acting[2 * e] + acting[2 * e + 1]).toBe(1);
      }
      game.step();
      for (let r = 0; r < game.ended.count; r++) {
        const e = game.ended.copies[r];
        if (!open.delete(e) || start[e] === 8) continue;
        expect(
          [game.groups[0].reward[2 * e], game.groups[0].reward[2 * e + 1]],
          `copy ${e}, step ${t}`,
        ).toEqual([1, -1]);
        expect(game.ended.metrics[r]).toBe(1);
      }
    }
  });
});

describe("two_step", () => {
  it.each([false, true])("pays what is written beside it (box: %s)", async (continuousActions) => {
    const copies = 4000;
    const game = await create(twoStep, copies, { continuousActions });
    const expected = twoStepReturns[continuousActions ? "box" : "discrete"];
    const play = (act: (e: number) => void) => {
      const returns = new Float64Array(copies);
      for (let t = 0; t < 2; t++) {
        for (let e = 0; e < copies; e++) act(e);
        game.step();
        for (let e = 0; e < copies; e++) returns[e] += game.groups[0].reward[2 * e];
      }
      expect(game.ended.count).toBe(copies);
      return returns.reduce((a, b) => a + b, 0) / copies;
    };
    const { action, obs } = game.groups[0];
    const optimal = play((e) => {
      for (let i = 0; i < 2; i++) action[2 * e + i] = continuousActions ? obs[6 * e] * (i === 0 ? 1 : -1) : 1;
    });
    expect(optimal).toBe(expected.optimal);
    const stream = RandomStream.from(0, "actions");
    const random = play((e) => {
      if (e === 0) sampleActions(game, stream);
    });
    // The standard error is below 0.02 at 4000 episodes.
    expect(Math.abs(random - expected.random)).toBeLessThan(0.08);
  });
});

describe("foragers", () => {
  it("last 1/p steps on average when everybody rests", async () => {
    const game = await create(foragers, 200, { stopProbability: 0.2 });
    let episodes = 0;
    for (let t = 0; t < 500; t++) {
      game.step();
      episodes += game.ended.count;
    }
    // 100,000 steps, each the last with probability 0.2: standard deviation 126.
    expect(Math.abs(episodes - 20_000)).toBeLessThan(600);
  });

  it("die one by one while the episode goes on", async () => {
    const game = await create(foragers, 50);
    const stream = RandomStream.from(0, "actions");
    const living = new Set<number>();
    for (let t = 0; t < 100; t++) {
      sampleActions(game, stream);
      game.step();
      for (let e = 0; e < 50; e++)
        living.add(game.groups[0].alive.subarray(3 * e, 3 * e + 3).reduce((a, b) => a + b));
    }
    expect([...living].sort()).toEqual([1, 2, 3]);
  });
});

describe("chorus", () => {
  it("spells the joint action in every reward, and its copies drift apart", async () => {
    const game = await create(chorus, 30);
    const stream = RandomStream.from(0, "actions");
    const counts = new Set<number>();
    for (let t = 0; t < 40; t++) {
      sampleActions(game, stream);
      game.step();
      counts.add(game.ended.count);
      for (let e = 0; e < 30; e++) {
        const played = [...game.groups[0].action.subarray(4 * e, 4 * e + 4)];
        expect(decodeChorus(game.groups[0].reward[4 * e], 4)).toEqual(played);
      }
    }
    expect(counts.size).toBeGreaterThan(5);
  });
});
