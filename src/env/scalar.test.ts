import { describe, expect, it } from "vitest";
import { z } from "zod";
import { checkEnvironment } from "./conformance.js";
import { completeParameters } from "./definition.js";
import { batchScalar, type ScalarView } from "./scalar.js";

/** The example of the module's documentation, with a counter of what was closed. */
let closed = 0;
const guess = batchScalar({
  id: "mine/guess_v0",
  summary: "Guess a number.",
  source: "own",
  parameters: { n: z.int().min(2).default(4).describe("numbers to choose from") },
  describe: ({ n }) => ({
    groups: [
      {
        name: "players",
        agents: ["player_0"],
        features: [{ name: "hint", size: 1, low: 0, high: 1 }],
        action: { kind: "discrete", n },
      },
    ],
    maxSteps: 10,
  }),
  create: ({ n }) => {
    let secret = 0;
    const view = (hint: number) => ({ obs: { player_0: [hint] } });
    return {
      reset: ({ reset }) => {
        secret = reset.int(n);
        return view(0);
      },
      step: ({ player_0 }) => {
        const hit = player_0 === secret;
        return { ...view(hit ? 1 : 0), reward: { player_0: hit ? 1 : 0 }, terminated: hit };
      },
      close: () => {
        closed++;
      },
    };
  },
});

describe("the scalar form", () => {
  it("becomes an environment that keeps the contract, without saving if it cannot", async () => {
    expect(await checkEnvironment(guess)).toEqual([]);
    const environment = await guess.create({ n: 3 }, { copies: 2 });
    expect(environment.saveState).toBeUndefined();
    expect(environment.spec.capabilities).toEqual({ saveState: false, frames: false });
  });

  it("terminates on the hit, truncates at the limit and shows the last observation", async () => {
    const environment = await guess.create({ n: 3 }, { copies: 30 });
    environment.reset(0);
    const hits = new Set<number>();
    for (let t = 1; t <= 10; t++) {
      environment.step();
      for (let r = 0; r < environment.ended.count; r++) {
        const e = environment.ended.copies[r];
        const hit = environment.terminated[e] === 1;
        if (t === 1 && hit) hits.add(e);
        expect(environment.ended.obs[0][r]).toBe(hit ? 1 : 0);
        expect(environment.groups[0].obs[e]).toBe(0);
        expect(environment.groups[0].reward[e]).toBe(hit ? 1 : 0);
      }
    }
    expect(hits.size).toBeGreaterThan(2);
    expect([...environment.truncated].filter((x) => x === 1).length).toBeGreaterThan(2);
  });

  it("closes every copy once", async () => {
    const environment = await guess.create({ n: 3 }, { copies: 4 });
    closed = 0;
    environment.close();
    environment.close();
    expect(closed).toBe(4);
    expect(() => environment.reset(0)).toThrow(
      "mine/guess_v0: reset() after close(). Create a new environment.",
    );
  });

  it("says which agent's observation has the wrong length", async () => {
    const views: ScalarView[] = [{ obs: { a: [1, 2, 3] } }, { obs: {} }];
    for (const [k, view] of views.entries()) {
      const broken = batchScalar({
        id: "mine/broken_v0",
        summary: "Broken.",
        source: "own",
        parameters: {},
        describe: () => ({
          groups: [
            {
              name: "g",
              agents: ["a"],
              features: [{ name: "x", size: 2 }],
              action: { kind: "discrete", n: 2 },
            },
          ],
        }),
        create: () => ({ reset: () => view, step: () => ({ ...view, reward: {} }) }),
      });
      const environment = await broken.create({}, { copies: 1 });
      expect(() => environment.reset(0)).toThrow(
        `mine/broken_v0, observation of "a": got ${k === 0 ? "3 numbers" : "nothing"}, expected 2 numbers.`,
      );
    }
  });

  it("refuses impossible numbers of copies, seeds and parameters in one sentence", async () => {
    await expect(guess.create({ n: 3 }, { copies: 0 })).rejects.toThrow(
      "mine/guess_v0, copies: got 0, expected an integer ≥ 1.",
    );
    const environment = await guess.create({ n: 3 }, { copies: 1 });
    expect(() => environment.reset(-1)).toThrow(
      "mine/guess_v0, reset, seed: got -1, expected an integer ≥ 0.",
    );
    expect(() => environment.step()).toThrow("mine/guess_v0: step() before reset(). Call reset(seed) first.");
    expect(() => completeParameters(guess, { m: 3 })).toThrow(
      'mine/guess_v0, parameter "m": unknown key. Did you mean "n"?',
    );
    expect(completeParameters(guess, {})).toEqual({ n: 4 });
  });
});
