import { describe, expect, it } from "vitest";
import { couriers, foragers, nim, remote, twoStep } from "../../test/games/index.js";
import { farthest } from "../../test/support/allclose.js";
import { createPpo, type Given, rolloutOf } from "../../test/support/ppo-learners.js";
import { referenceUpdate } from "../../test/support/ppo-reference.js";
import { bytesOf } from "../../test/support/rollouts.js";
import type { NdArray } from "../core/array.js";
import { NonFiniteError, UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import type { EnvironmentDefinition } from "../env/contract.js";
import { type NetworkConfig, UniformActor } from "../policy/index.js";
import { hijackCasting, type OnPolicyBuffer, Rollout, seatsOf } from "../rollout/index.js";
import { type Executor, Runtime } from "../runtime/index.js";
import { nodeBackend } from "../runtime/node.js";
import { type Learner, type LearnerContext, ppo, ppoOptions } from "./index.js";

const STEPS = 6;
const COPIES = 4;

const create = (
  game: EnvironmentDefinition,
  given: Given,
  context: Partial<LearnerContext> = {},
  parameters: Record<string, unknown> = {},
) => createPpo(game, { rolloutSteps: STEPS, hidden: [3], ...given, copies: COPIES }, context, parameters);

type UnitArrays = { actor: NdArray; critic: NdArray; normalizer: { statistics?: NdArray } };
const unitOf = (learner: Learner, name: string) =>
  (learner.saveState().arrays as unknown as Record<string, UnitArrays>)[name]!;

/** Steps large enough that ratios leave the clip, errors the Huber range and values theirs. */
const wild = {
  learningRate: 0.05,
  criticLearningRate: 0.08,
  epochs: 4,
  huberDelta: 0.6,
  maxGradNorm: 0.5,
  entropyCoef: 0.03,
  outputGain: 1,
};

describe("an update equals an independent computation in float64", () => {
  const cases: readonly [string, EnvironmentDefinition, Given, Record<string, unknown>?][] = [
    ["turns and masks, own critic", nim, { critic: "independent" }],
    ["turns and masks, common critic, minibatches", nim, { critic: "centralised", minibatches: 3 }],
    [
      "multi-discrete with deaths, advantages per minibatch",
      foragers,
      { critic: "independent", minibatches: 2, normalizeAdvantages: "minibatch" },
    ],
    ["box, global state", twoStep, { critic: "centralised" }, { continuousActions: true }],
    [
      "box, values not normalised",
      twoStep,
      { critic: "independent", valueNormBeta: null },
      { continuousActions: true },
    ],
    ["truncation, no ids", remote, { critic: "independent", agentIds: false, rolloutSteps: 9 }],
    ["truncation, common critic", remote, { critic: "centralised", rolloutSteps: 9 }],
  ];
  for (const [what, game, given, parameters] of cases) {
    it(what, async () => {
      const { environment, learner, options } = await create(game, { ...wild, ...given }, {}, parameters);
      const rollout = rolloutOf(environment, learner);
      rollout.run(options.rolloutSteps);
      const [buffer] = learner.recorders as OnPolicyBuffer[];
      const spec = environment.spec.groups[0]!;
      const n = spec.agents.length;
      const before = unitOf(learner, spec.name);
      const shuffle = RandomStream.from(3, "team", spec.name, "minibatches");
      const cells = options.rolloutSteps * COPIES;
      const size = cells / options.minibatches;
      const batches = Array.from({ length: options.epochs }, () => {
        const order = Int32Array.from({ length: cells }, (_, i) => i);
        if (options.minibatches > 1) shuffle.permutation(order);
        return Array.from({ length: options.minibatches }, (_, m) => order.slice(m * size, (m + 1) * size));
      });
      const expected = referenceUpdate({
        buffer: buffer!,
        space: spec.action,
        obsSize: spec.obsSize,
        hidden: options.hidden,
        ids: options.agentIds ? n : 0,
        agents: Array.from({ length: n }, (_, i) => i),
        actor: before.actor.data as Float32Array,
        critic: before.critic.data as Float32Array,
        options: {
          ...options,
          criticLearningRate: options.criticLearningRate!,
          maxGradNorm: 0.5,
          huberDelta: 0.6,
          valueClip: 0.2,
          normalizeAdvantages: options.normalizeAdvantages as "iteration",
        },
        batches,
      });
      expect(expected.clipped).toBeGreaterThan(3);
      learner.update(0);
      const after = unitOf(learner, spec.name);
      // Float32 against float64 over a dozen Adam steps of up to 0.05 each, which magnify small gradients.
      const tolerance = { atol: 3e-4, rtol: 1e-3 };
      expect(farthest(after.actor, expected.actor, tolerance)).toBeUndefined();
      expect(farthest(after.critic, expected.critic, tolerance)).toBeUndefined();
      if (options.valueNormBeta !== null) {
        expect(
          farthest(after.normalizer.statistics!, expected.statistics, { atol: 1e-9, rtol: 1e-5 }),
        ).toBeUndefined();
      }
      // And it went somewhere.
      expect(farthest(after.actor, before.actor, { atol: 0.05 })).toBeDefined();
    });
  }
});

describe("a whole update in one run equals one run for each minibatch, bit by bit", () => {
  const cases: readonly [string, EnvironmentDefinition, Given][] = [
    ["one minibatch", nim, { critic: "independent" }],
    [
      "minibatches, advantages standardised in each",
      foragers,
      { minibatches: 3, normalizeAdvantages: "minibatch" },
    ],
    [
      "common critic, values not normalised",
      couriers,
      { critic: "centralised", valueNormBeta: null, minibatches: 2 },
    ],
    ["a limit on the divergence", remote, { targetKl: 0.02, minibatches: 2, epochs: 6 }],
  ];
  it.each(cases)("%s", async (_, game, given) => {
    const run = async (executor: Executor) => {
      const { environment, learner } = await create(
        game,
        { ...wild, ...given },
        { runtime: new Runtime(nodeBackend(), { executor }) },
      );
      const rollout = rolloutOf(environment, learner);
      const metrics = [];
      for (let k = 0; k < 3; k++) {
        rollout.run(STEPS);
        metrics.push(learner.update(k / 3));
      }
      return [bytesOf(learner.saveState().arrays), learner.saveState().meta, metrics];
    };
    expect(await run("whole")).toEqual(await run("stepwise"));
  });
});

/** A hijacking learner over part of a group: three kinds of weights at once. */
async function hijacking(agents: readonly string[], share: () => number, given: Given = {}) {
  const made = await create(
    remote,
    { critic: "independent", minibatches: 2, epochs: 2, ...given },
    { role: "hijack", agents, firstActor: 1, name: "adversary" },
  );
  const { environment, learner } = made;
  const rollout = new Rollout({
    environment,
    actors: [new UniformActor("team", environment.spec.groups[0]!.action), ...learner.actors],
    cast: hijackCasting([0, 0], learner.actorOfSeat, share),
    seed: 3,
    stream: "x",
    hijack: { epsilon: 0.5, coin: "set" },
    recorders: learner.recorders,
  });
  return { ...made, rollout };
}

describe("weights", () => {
  it("of zero mean that nothing in the row can matter", async () => {
    const run = async (scribble: boolean) => {
      const { learner, rollout } = await hijacking(["walker_0", "walker_1"], () => 0.5);
      for (let k = 0; k < 4; k++) {
        rollout.run(STEPS);
        const [buffer] = learner.recorders as OnPolicyBuffer[];
        const { actorWeight, criticWeight, obs, action, logProb, reward, critic } = buffer!;
        const noise = RandomStream.from(k, "noise");
        const kinds = new Set<string>();
        for (let row = 0; row < actorWeight.length; row++) {
          kinds.add(`${actorWeight[row]}${criticWeight[row]}`);
          if (!scribble || actorWeight[row] === 1) continue;
          for (let i = 0; i < 10; i++) obs[row * 10 + i] = 1e3 * noise.normal();
          action[row] = noise.int(3);
          logProb[row] = 10 * noise.normal();
          if (criticWeight[row] === 1) continue;
          // Whole episodes are not the learner's: rewards and states in them lead nowhere else.
          reward[row] = 1e3 * noise.normal();
          for (let i = 0; i < 10; i++) critic[row * 10 + i] = 1e3 * noise.normal();
        }
        if (k === 0) expect(kinds).toEqual(new Set(["00", "01", "11"]));
        learner.update(k / 4);
      }
      return bytesOf(learner.saveState().arrays);
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("of one everywhere may be left out: the same to the last bit", async () => {
    const run = async (given: Given, leaveOut: boolean) => {
      const { environment, learner } = await create(remote, { ...wild, hidden: [4], ...given });
      const [buffer] = learner.recorders as OnPolicyBuffer[];
      if (!leaveOut) buffer!.actorWeight.every = () => false;
      const rollout = rolloutOf(environment, learner);
      const metrics = [];
      for (let k = 0; k < 3; k++) {
        rollout.run(STEPS);
        expect(new Set([...buffer!.actorWeight, ...buffer!.criticWeight])).toEqual(new Set([1]));
        metrics.push(learner.update(k / 3));
      }
      return [bytesOf(learner.saveState().arrays), metrics];
    };
    const forms: Given[] = [
      { critic: "centralised" },
      { critic: "independent", agentIds: false, minibatches: 3, normalizeAdvantages: "minibatch" },
      { critic: "independent", huberDelta: null, valueClip: null, valueNormBeta: null, maxGradNorm: null },
    ];
    for (const given of forms) expect(await run(given, true)).toEqual(await run(given, false));
  });

  it("of zero everywhere leave everything as it is, and the metrics have their usual names", async () => {
    let share = 0;
    const { learner, rollout } = await hijacking(["walker_1"], () => share);
    const before = learner.saveState();
    rollout.run(STEPS);
    const idle = learner.update(0);
    expect(bytesOf(learner.saveState().arrays)).toEqual(bytesOf(before.arrays));
    expect(learner.saveState().meta).toEqual(before.meta);
    share = 1;
    for (let k = 0; k < 2; k++) {
      rollout.run(STEPS);
      expect(Object.keys(learner.update(0))).toEqual(Object.keys(idle));
    }
    expect(bytesOf(learner.saveState().arrays)).not.toEqual(bytesOf(before.arrays));
  });

  it("of zero for the actor alone leave the actor and its moments, while the critic learns", async () => {
    const { learner, rollout } = await hijacking(["walker_0", "walker_1"], () => 1);
    // With momentum, which alone would move the parameters on.
    rollout.run(STEPS);
    learner.update(0);
    rollout.run(STEPS);
    (learner.recorders[0] as OnPolicyBuffer).actorWeight.fill(0);
    const before = bytesOf(learner.saveState().arrays);
    learner.update(0);
    const after = bytesOf(learner.saveState().arrays);
    const changed = Object.keys(before).filter((path) => before[path] !== after[path]);
    expect(changed.filter((path) => path.includes("/actor"))).toEqual([]);
    expect(changed).toContain("walkers/critic");
  });

  it("of zero in one minibatch skip that step and take the others", async () => {
    const run = async (minibatches: number) => {
      const { learner, rollout } = await hijacking(["walker_0"], () => 1, {
        minibatches,
        epochs: 1,
        normalizeAdvantages: "none",
      });
      rollout.run(STEPS);
      const { actorWeight, criticWeight } = learner.recorders[0] as OnPolicyBuffer;
      actorWeight.fill(0);
      criticWeight.fill(0);
      actorWeight[0] = 1;
      criticWeight[0] = 1;
      learner.update(0);
      const { actorAdam } = unitOf(learner, "walkers") as unknown as { actorAdam: Record<string, NdArray> };
      return [...Object.values(actorAdam), unitOf(learner, "walkers").actor].map((x) => [
        ...(x.data as Float32Array),
      ]);
    };
    // One row among 24: with 24 minibatches 23 are empty, and one step remains.
    const [one, many] = [await run(1), await run(24)];
    one.forEach((x, i) => {
      expect(farthest(many[i]!, x, { atol: 1e-6, rtol: 1e-4 })).toBeUndefined();
    });
  });
});

describe("an agent's id", () => {
  it("is the same when it acts and when it learns, also where the learner plays part of a group", async () => {
    const { environment, learner } = await create(
      foragers,
      { critic: "independent", epochs: 1, learningRate: 1e-9 },
      { agents: ["forager_1", "forager_2"], role: "hijack", firstActor: 1 },
    );
    const rollout = new Rollout({
      environment,
      actors: [new UniformActor("team", environment.spec.groups[0]!.action), ...learner.actors],
      cast: hijackCasting([0, 0, 0], learner.actorOfSeat),
      seed: 3,
      stream: "x",
      hijack: { epsilon: 1, coin: "set" },
      recorders: learner.recorders,
    });
    expect([...learner.actorOfSeat]).toEqual([-1, 1, 1]);
    // Ids that matter: without them both agents would be one.
    const { policy } = learner.actors[0]!;
    const weights = policy!.policy.layout.view(policy!.parameters, policy!.policy.layout.entries[0]!.name);
    weights.forEach((w, i) => {
      weights[i] = 3 * w;
    });
    rollout.run(STEPS);
    const metrics = learner.update(0);
    // Before any step of size the new policy is the old one: KL 0 up to float32, nothing clipped.
    expect(Math.abs(metrics["team/foragers/kl"]!)).toBeLessThan(1e-9);
    expect(metrics["team/foragers/clipFraction"]).toBe(0);
  });

  it("is not there where agents do not share or do not want it", async () => {
    for (const given of [{ sharing: "separate" as const }, { agentIds: false }]) {
      const { learner } = await create(remote, given);
      expect(learner.actors.every((actor) => !actor.policy!.policy.usesAgentId)).toBe(true);
    }
  });
});

describe("numbers that are not finite", () => {
  it("stop the update naming learner, program and first bad tensor; nothing has changed, in any unit", async () => {
    const { environment, learner } = await create(couriers, { minibatches: 2, sharing: "separate" });
    const rollout = rolloutOf(environment, learner);
    rollout.run(STEPS);
    learner.update(0);
    const before = learner.saveState();
    const parameters = learner.actors.map((actor) => actor.policy!.parameters);
    const copies = parameters.map((x) => x.slice());
    const saved = rollout.saveState();
    rollout.run(STEPS);
    // In the last of three units, when the other two have learned already.
    (learner.recorders[2] as OnPolicyBuffer).reward[5] = NaN;
    const attempt = () => learner.update(0);
    expect(attempt).toThrow(NonFiniteError);
    rollout.run(STEPS);
    (learner.recorders[2] as OnPolicyBuffer).reward[5] = NaN;
    expect(attempt).toThrow(
      /^team\/courier_1, program "ppo\/minibatch", step 0 of the update: \w+ is NaN; the first tensor that is not finite is .*data\/samples/,
    );
    expect(bytesOf(learner.saveState().arrays)).toEqual(bytesOf(before.arrays));
    expect(learner.saveState().meta).toEqual(before.meta);
    learner.actors.forEach((actor, i) => {
      expect(actor.policy!.parameters).toBe(parameters[i]);
      expect(parameters[i]).toEqual(copies[i]);
    });
    // The same iteration again, now without the mistake, is what it would have been.
    const goOn = (l: Learner, r: Rollout) => {
      r.loadState(saved);
      r.run(STEPS);
      l.update(0);
      return bytesOf(l.saveState().arrays);
    };
    const other = await create(couriers, { minibatches: 2, sharing: "separate" });
    other.learner.loadState(before, "test");
    const expected = goOn(other.learner, rolloutOf(other.environment, other.learner));
    expect(goOn(learner, rollout)).toEqual(expected);
  });

  it("in parameters stop the actor, naming program and tensor", async () => {
    for (const game of [remote, couriers]) {
      const { environment, learner } = await create(game, {});
      learner.actors.at(-1)!.policy!.parameters[0] = NaN;
      const name = environment.spec.groups.at(-1)!.name;
      expect(() => rolloutOf(environment, learner).run(1)).toThrow(NonFiniteError);
      expect(() => rolloutOf(environment, learner).run(1)).toThrow(
        new RegExp(
          `^team/${name}, program "policy/act": the log-probability of row \\d+ is NaN; .*parameters`,
        ),
      );
    }
  });
});

describe("loadState", () => {
  it.each<[string, Given]>([
    ["other widths", { hidden: [4] }],
    ["other widths with as many parameters", { hidden: [2, 3] }],
    ["other units", { sharing: "separate" }],
    ["no value normaliser", { valueNormBeta: null }],
    ["another critic", { critic: "independent" }],
  ])("refuses the state of another network, and keeps its own: %s", async (_, given) => {
    const base = { hidden: [3, 2] };
    const { learner } = await create(remote, base);
    const before = learner.saveState();
    const other = (await create(remote, { ...base, ...given })).learner.saveState();
    expect(() => learner.loadState(other, "run 7")).toThrow(UserError);
    expect(() => learner.loadState(other, "run 7")).toThrow(/^run 7, team\/walkers/);
    for (const broken of [
      { arrays: {}, meta: {} },
      { arrays: before.arrays, meta: {} },
    ]) {
      expect(() => learner.loadState(broken, "run 7")).toThrow("run 7, team/walkers: holds no PPO state.");
    }
    expect(learner.saveState()).toEqual(before);
  });

  it("forgets what the recorders held", async () => {
    const { environment, learner } = await create(remote, {});
    const saved = learner.saveState();
    rolloutOf(environment, learner).run(STEPS);
    learner.loadState(saved, "test");
    rolloutOf(environment, learner).run(STEPS);
    expect((learner.recorders[0] as OnPolicyBuffer).t).toBe(STEPS);
  });
});

describe("ignored features", () => {
  it("cannot reach the policy's output, not even as NaN", async () => {
    const { environment, learner } = await create(
      remote,
      { outputGain: 1 },
      { ignore: { walker_0: ["other"], walker_1: ["other"] } },
    );
    const outputs = (other: number) => {
      const obs = new Float32Array(40);
      obs.forEach((_, k) => {
        obs[k] = k % 10 < 5 ? k / 20 : other * (k + 1);
      });
      const batch = {
        rows: 4,
        obs,
        actionMask: null,
        agent: Int32Array.of(0, 1, 0, 1),
        streams: [0, 1, 2, 3].map((k) => RandomStream.from(k, "a")),
        action: new Int32Array(4),
        logProb: new Float32Array(4),
        state: {},
      };
      learner.actors[0]!.act(batch);
      return [...batch.action, ...batch.logProb];
    };
    const expected = outputs(0);
    for (const other of [1, -1e30, NaN, Infinity]) expect(outputs(other)).toEqual(expected);
    expect(new Set(expected).size).toBeGreaterThan(4);
    // And training with it keeps it so.
    const rollout = rolloutOf(environment, learner);
    rollout.run(STEPS);
    learner.update(0);
    const trained = outputs(0);
    expect(trained).not.toEqual(expected);
    expect(outputs(1e30)).toEqual(trained);
  });

  it("must exist, and be the same for agents that share parameters", async () => {
    await expect(create(remote, {}, { ignore: { walker_0: ["othr"], walker_1: ["othr"] } })).rejects.toThrow(
      'ignore, walker_0: got "othr", expected an observation feature. Did you mean "other"?',
    );
    await expect(create(remote, {}, { ignore: { walker_0: ["other"] } })).rejects.toThrow(
      'ignore: agents of group "walkers" share parameters but ignore different features ("other" and "")',
    );
    const { learner } = await create(remote, { sharing: "separate" }, { ignore: { walker_0: ["other"] } });
    expect(learner.actors.map((a) => (a.policy!.policy.config as NetworkConfig).ignored)).toEqual([
      [[5, 5]],
      [],
    ]);
  });
});

describe("units", () => {
  it("are groups that share, or agents; members say who plays whom", async () => {
    const shared = await create(couriers, {});
    expect(shared.learner.members().map((m) => [m.name, m.group, m.agents])).toEqual([
      ["dispatch", "dispatch", ["dispatcher"]],
      ["couriers", "couriers", ["courier_0", "courier_1"]],
    ]);
    expect([...shared.learner.actorOfSeat]).toEqual([0, 1, 1]);
    const separate = await create(
      couriers,
      { sharing: "separate" },
      { firstActor: 5, agents: ["courier_1", "dispatcher"] },
    );
    expect(separate.learner.members().map((m) => [m.name, m.group, m.agents])).toEqual([
      ["dispatcher", "dispatch", ["dispatcher"]],
      ["courier_1", "couriers", ["courier_1"]],
    ]);
    expect([...separate.learner.actorOfSeat]).toEqual([5, -1, 6]);
    expect(seatsOf(separate.environment.spec).names[2]).toBe("courier_1");
  });

  it("give copies of their parameters away", async () => {
    const { learner } = await create(remote, {});
    learner.members()[0]!.parameters.fill(7);
    expect(learner.members()[0]!.parameters).not.toContain(7);
  });

  it("learn from the team's mean reward where asked to", async () => {
    const { environment, learner } = await create(couriers, { reward: "team" });
    rolloutOf(environment, learner).run(STEPS);
    const [dispatch, both] = learner.recorders as OnPolicyBuffer[];
    for (let k = 0; k < dispatch!.reward.length; k++) {
      expect(both!.reward[2 * k]).toBe(dispatch!.reward[k]);
      expect(both!.reward[2 * k + 1]).toBe(dispatch!.reward[k]);
    }
  });
});

describe("options", () => {
  it("must divide into minibatches", () => {
    expect(
      ppoOptions.safeParse({ copies: 4, rolloutSteps: 6, minibatches: 5 }).error?.issues[0]?.message,
    ).toBe("minibatches (5) must divide copies × rolloutSteps (4 × 6 = 24)");
    expect(ppoOptions.safeParse({ epoch: 3 }).success).toBe(false);
  });

  it("scale both learning rates", () => {
    const o = ppoOptions.parse({ learningRate: 0.25 });
    expect(ppo.scaleLearningRate(o, 4)).toMatchObject({ learningRate: 1, criticLearningRate: null });
    const both = ppoOptions.parse({ learningRate: 0.25, criticLearningRate: 0.5 });
    expect(ppo.scaleLearningRate(both, 4)).toMatchObject({ learningRate: 1, criticLearningRate: 2 });
  });

  it("let the learning rate fall to nothing, and stop passes where the policy has moved enough", async () => {
    const run = async (given: Given, progress: number) => {
      const { environment, learner } = await create(remote, { learningRate: 0.05, epochs: 6, ...given });
      rolloutOf(environment, learner).run(STEPS);
      const before = learner.members()[0]!.parameters;
      const metrics = learner.update(progress);
      const after = learner.members()[0]!.parameters;
      return { moved: Math.max(...after.map((x, i) => Math.abs(x - before[i]!))), metrics };
    };
    const full = await run({ schedule: "linear" }, 0);
    const late = await run({ schedule: "linear" }, 0.9);
    expect(full.moved).toBeGreaterThan(5 * late.moved);
    expect((await run({ schedule: "linear" }, 1)).moved).toBe(0);
    expect((await run({}, 0.9)).moved).toBe(full.moved);
    // One pass alone: the KL of the second exceeds any tiny target.
    const stopped = await run({ targetKl: 1e-9 }, 0);
    expect(stopped.moved).toBeLessThan(full.moved / 2);
    expect(stopped.moved).toBeGreaterThan(0);
  });
});
