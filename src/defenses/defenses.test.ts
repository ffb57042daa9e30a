import { describe, expect, it } from "vitest";
import { chorus, couriers } from "../../test/games/index.js";
import { createEnvironment, runtime } from "../../test/support/rollouts.js";
import type { EnvironmentDefinition } from "../env/contract.js";
import { ppoOptions } from "../learners/index.js";
import type { OnPolicyBuffer } from "../rollout/index.js";
import { type ThreatInput, threatSchema } from "../threats/index.js";
import { defenses, type TeamLoop } from "./index.js";

const [COPIES, STEPS] = [32, 10];

async function start(
  name: string,
  game: EnvironmentDefinition,
  threat: ThreatInput | null,
  options: object,
  { iterations = 20, ...learner }: { iterations?: number } & Record<string, unknown> = {},
): Promise<TeamLoop> {
  const defense = defenses.get(name);
  const training = await defense.start(
    {
      runtime,
      createEnvironment: (copies) => createEnvironment(game, copies),
      seed: 3,
      steps: iterations * COPIES * STEPS,
      learner: {
        name: "ppo",
        options: ppoOptions.parse({
          copies: COPIES,
          rolloutSteps: STEPS,
          hidden: [4],
          epochs: 1,
          critic: "independent",
          ...learner,
        }),
      },
      threat: threat === null ? null : threatSchema.parse(threat),
      ignore: {},
    },
    defense.options.parse(options),
  );
  return training as TeamLoop;
}

/** What the recorders of learner k still hold after an update: the iteration just over. */
const buffer = (loop: TeamLoop, k: number, unit = 0) => loop.learners[k]!.recorders[unit] as OnPolicyBuffer;
const share = (x: ArrayLike<number>, test: (value: number, k: number) => boolean) =>
  Array.from(x).filter(test).length / x.length;

describe("two timescales", () => {
  const control: ThreatInput = { channel: "control", agents: ["singer_1", "singer_3"], epsilon: 0.6 };

  it("hijacks nobody in the warm-up, the given share of episodes after it, and masks their rows for the team", async () => {
    const loop = await start("two-timescale", chorus, control, { warmup: 0.25, share: 0.4 });
    const frozen = loop.learners[1]!.members()[0]!.parameters;
    const after: number[] = [];
    const controlled: number[] = [];
    while (loop.iteration < loop.iterations) {
      const iteration = loop.iteration;
      loop.step();
      const [team, adversary] = [buffer(loop, 0), buffer(loop, 1)];
      // Seats 1 and 3 of the team are seats 0 and 1 of the adversary.
      for (let cell = 0; cell < COPIES * STEPS; cell++) {
        const hijacked = adversary.criticWeight[2 * cell]!;
        expect(adversary.criticWeight[2 * cell + 1]).toBe(hijacked);
        expect([...team.actorWeight.subarray(4 * cell, 4 * cell + 4)]).toEqual([
          1,
          1 - hijacked,
          1,
          1 - hijacked,
        ]);
        expect(team.criticWeight[4 * cell + 1]).toBe(1 - hijacked);
        expect(adversary.actorWeight[2 * cell]).toBe(adversary.actorWeight[2 * cell + 1]);
        expect(adversary.actorWeight[2 * cell]! <= hijacked).toBe(true);
      }
      const now = share(adversary.criticWeight, (w) => w === 1);
      if (iteration < 5) {
        expect(now).toBe(0);
        expect(loop.learners[1]!.members()[0]!.parameters).toEqual(frozen);
      }
      // The first iteration after the warm-up still ends episodes that began in it.
      if (iteration <= 5) continue;
      after.push(now);
      controlled.push(share(adversary.actorWeight, (w) => w === 1) / now);
    }
    const mean = (x: number[]) => x.reduce((a, b) => a + b) / x.length;
    // About 1,200 episodes and 1,700 coins.
    expect(Math.abs(mean(after) - 0.4)).toBeLessThan(0.05);
    expect(Math.abs(mean(controlled) - 0.6)).toBeLessThan(0.05);
    expect(loop.learners[1]!.members()[0]!.parameters).not.toEqual(frozen);
    loop.close();
  });

  it("pays the adversary for what the team loses, and lets it learn faster by the given ratio", async () => {
    const loop = await start(
      "two-timescale",
      chorus,
      { ...control, epsilon: 1 },
      { warmup: 0, share: 1, rateRatio: 8 },
      { learningRate: 1e-3 },
    );
    const moved = loop.learners.map((learner) => learner.members()[0]!.parameters.slice());
    loop.step();
    const [team, adversary] = [buffer(loop, 0), buffer(loop, 1)];
    for (let cell = 0; cell < COPIES * STEPS; cell++) {
      expect(adversary.reward[2 * cell]).toBeCloseTo(-team.reward[4 * cell]!, 9);
    }
    const distance = loop.learners.map((learner, k) =>
      Math.max(...learner.members()[0]!.parameters.map((x, i) => Math.abs(x - moved[k]![i]!))),
    );
    // Adam's first step is as long as the learning rate, whatever the gradient.
    expect(distance[0]).toBeCloseTo(1e-3, 4);
    expect(distance[1]).toBeCloseTo(8e-3, 4);
    loop.close();
  });

  it("deploys the team's learner, not the adversary's", async () => {
    const loop = await start("two-timescale", chorus, control, { warmup: 0 });
    loop.step();
    const { members } = loop.team();
    expect(members.map((m) => m.agents)).toEqual([["singer_0", "singer_1", "singer_2", "singer_3"]]);
    expect(members[0]!.parameters).toEqual(loop.learners[0]!.members()[0]!.parameters);
    loop.close();
  });
});

describe("adversarial training", () => {
  const epsilon = 0.25;

  it("ramps ε up, perturbs the given share of episodes, and learns from what was seen", async () => {
    const threat: ThreatInput = {
      channel: "observation",
      epsilon,
      features: ["position"],
      agents: ["courier_1"],
    };
    const loop = await start("adversarial-training", couriers, threat, { share: 0.3, ramp: 0.5 });
    const shares: number[] = [];
    let before = 0;
    while (loop.iteration < loop.iterations) {
      const limit = epsilon * Math.min(1, loop.iteration / loop.iterations / 0.5);
      loop.step();
      // The couriers are the second unit; their critic sees the truth.
      const { obs, critic } = buffer(loop, 0, 1);
      let largest = 0;
      let hit = 0;
      for (let row = 0; row < 2 * COPIES * STEPS; row++) {
        let most = 0;
        for (let i = 0; i < 7; i++) {
          const change = Math.abs(obs[7 * row + i]! - critic[7 * row + i]!);
          // Nobody else, and nothing else.
          if (row % 2 === 0 || i > 1) expect(change).toBe(0);
          most = Math.max(most, change);
        }
        largest = Math.max(largest, most);
        if (most > 0) hit++;
      }
      expect(largest).toBeLessThanOrEqual(Math.max(limit, before));
      // Most of the radius is used: FGSM on box actions falls short by a hundredth at most.
      if (limit > 0) expect(largest).toBeGreaterThan(0.9 * before);
      before = limit;
      shares.push(hit / (COPIES * STEPS));
    }
    expect(shares[0]).toBe(0);
    const rest = shares.slice(2);
    // About 720 episodes.
    expect(Math.abs(rest.reduce((a, b) => a + b) / rest.length - 0.3)).toBeLessThan(0.06);
    loop.close();
  });

  it("attacks the team as it is now", async () => {
    const threat: ThreatInput = { channel: "observation", epsilon: 0.5, features: ["progress"] };
    /** Into which directions each singer was pushed at the start of episodes, where all observations are alike. */
    const directions = async (learningRate: number) => {
      const given = { learningRate, iterations: 12, outputGain: 1 };
      const loop = await start("adversarial-training", chorus, threat, { share: 1, ramp: 0 }, given);
      const out = [0, 1, 2, 3].map(() => new Set<number>());
      while (loop.iteration < loop.iterations) {
        loop.step();
        const { obs, critic } = buffer(loop, 0);
        for (let row = 0; row < 4 * COPIES * STEPS; row++) {
          if (critic[5 * row + 4] === 0) out[row % 4]!.add(Math.sign(obs[5 * row + 4]!));
        }
      }
      loop.close();
      return out.map((signs) => signs.size);
    };
    expect(await directions(1e-12)).toEqual([1, 1, 1, 1]);
    expect(await directions(0.1)).toContain(2);
  });

  it("refuses Gaussian noise, which has no ball to search in", async () => {
    const threat: ThreatInput = { channel: "observation", epsilon, norm: "gaussian" };
    await expect(start("adversarial-training", couriers, threat, {})).rejects.toThrow(
      /got norm gaussian, expected linf or l2/,
    );
  });
});

describe("plain training", () => {
  it("disturbs nobody", async () => {
    const loop = await start("plain", couriers, null, {});
    loop.step();
    const { obs, critic, actorWeight } = buffer(loop, 0, 1);
    expect(obs).toEqual(critic.subarray(0, obs.length));
    expect(actorWeight.every((w) => w === 1)).toBe(true);
    loop.close();
  });
});
