import { describe, expect, it } from "vitest";
import { chorus, couriers, fixtureGames, nim, remote, twoStep } from "../../test/games/index.js";
import { ConstantActor, createEnvironment, observationThreat, runtime } from "../../test/support/rollouts.js";
import { randomTeam, stubbornTeam } from "../../test/support/teams.js";
import { UserError } from "../core/errors.js";
import { decodeSafetensors, encodeSafetensors } from "../core/safetensors.js";
import type { SavedState } from "../core/saved-state.js";
import { mapTree } from "../core/tree.js";
import type { EnvironmentDefinition } from "../env/contract.js";
import {
  createPolicy,
  loadTeam,
  type Policy,
  saveTeam,
  type Team,
  type TeamMember,
} from "../policy/index.js";
import type { Perturber } from "../rollout/index.js";
import { mul, type Tensor } from "../tensor/index.js";
import { type Threat, type ThreatInput, threatSchema } from "../threats/index.js";
import { type Adversary, attacks, type Evaluation, type EvaluationOptions, evaluate } from "./index.js";

const threatOf = (input: ThreatInput): Threat => threatSchema.parse(input);

async function play(
  game: EnvironmentDefinition,
  given: Partial<EvaluationOptions>,
  parameters: Record<string, unknown> = {},
): Promise<Evaluation> {
  const { spec } = await createEnvironment(game, 1, parameters);
  return evaluate({
    runtime,
    createEnvironment: (copies, options) => createEnvironment(game, copies, parameters, options),
    team: randomTeam(spec, 1),
    adversary: null,
    threat: null,
    episodes: 20,
    seed: 7,
    labels: { team: "t", adversary: "a" },
    ...given,
  });
}

const adversaryOf = async (name: string, team: Team, threat: Threat): Promise<Adversary> => {
  const attack = attacks.get(name);
  const context = {
    runtime,
    team,
    threat,
    seed: 3,
    steps: 1,
    createEnvironment: () => Promise.reject(new Error()),
  };
  return (await attack.start(context, attack.options.parse({}))).adversary();
};

/** Everything but what batching costs. */
const essence = ({ envSteps: _, ...rest }: Evaluation) => rest;

describe("an evaluation", () => {
  for (const [{ definition, parameters }, choice] of fixtureGames.flatMap((game) => [
    [game, {}] as const,
    [game, { recurrent: 8 }] as const,
  ])) {
    const which = [definition.id, JSON.stringify(parameters), ...Object.keys(choice)].join(" ");
    it(`does not depend on the width of its batches: ${which}`, async () => {
      const { spec } = await createEnvironment(definition, 1, parameters);
      const team = randomTeam(spec, 1, choice);
      const hijack = threatOf({ channel: "control", agents: [spec.groups[0]!.agents[0]!], epsilon: 0.5 });
      const blur = observationThreat({ epsilon: 0.3, probability: 0.6 });
      const cases: [Threat | null, Adversary | null][] = [
        [null, null],
        [hijack, await adversaryOf("random", team, hijack)],
        [blur, await adversaryOf("random", team, blur)],
        [blur, await adversaryOf("fgsm", team, blur)],
      ];
      for (const [threat, adversary] of cases) {
        const run = (copies: number) =>
          play(definition, { team, threat, adversary, copies, films: 2 }, parameters);
        const wide = await run(64);
        expect(essence(await run(1))).toEqual(essence(wide));
        expect(essence(await run(7))).toEqual(essence(wide));
        expect(wide.returns).toHaveLength(20);
        expect(wide.films).toHaveLength(2);
      }
    });
  }

  it("of a recurrent team from its file is that of the team that was saved", async () => {
    const { spec } = await createEnvironment(couriers, 1);
    const team = randomTeam(spec, 4, { recurrent: 8, outputGain: 2 });
    const bytes = encodeSafetensors(saveTeam(team) as Parameters<typeof encodeSafetensors>[0]);
    const loaded = loadTeam(decodeSafetensors(bytes, "memory") as SavedState, spec, "team.safetensors");
    expect(await play(couriers, { team: loaded })).toEqual(await play(couriers, { team }));
    // Memory matters: the same weights without it play otherwise.
    const forgetful = team.members.map((member): TeamMember => {
      const { policy } = member;
      const forward: Policy["forward"] = (p, inputs, state) =>
        policy.forward(
          p,
          inputs,
          mapTree<Tensor, Tensor>(state, (x) => mul(x, 0)),
        );
      return { ...member, policy: Object.assign(createPolicy(policy.config), { forward }) };
    });
    const without = await play(couriers, { team: { ...team, members: forgetful } });
    expect(without.returns).not.toEqual((await play(couriers, { team })).returns);
  });

  it("counts whole first episodes only, and says what they were", async () => {
    const { spec } = await createEnvironment(chorus, 1);
    const team = stubbornTeam(spec, 2);
    const { returns, agentReturns, lengths, metrics, films, controlledShare, perturbedShare } = await play(
      chorus,
      { team },
    );
    // Everybody sings 2: the code is 2 + 6 + 18 + 54.
    lengths.forEach((length, k) => {
      expect(returns[k]).toBe(80 * length);
      expect(agentReturns.singer_3![k]).toBe(80 * length);
      expect(metrics.highest![k]).toBe(80);
    });
    expect(new Set(lengths).size).toBeGreaterThan(2);
    expect([films.length, controlledShare, perturbedShare]).toEqual([0, 0, 0]);
  });

  it("plays uniform teams, greedy teams and sampling ones", async () => {
    const { spec } = await createEnvironment(nim, 1);
    const uniform = await play(nim, { team: "uniform", episodes: 300 });
    // Who moves first is a little ahead; the game is zero-sum.
    expect(Math.abs(uniform.returns.reduce((a, b) => a + b))).toBe(0);
    expect(uniform.agentReturns.player_0!.reduce((a, b) => a + b)).not.toBe(0);
    const greedy = threatOf({ channel: "dynamics", parameters: { most: 10 }, victimMode: "greedy" });
    const run = (seed: number, threat: Threat | null) =>
      play(nim, { team: randomTeam(spec, 2), seed, threat, episodes: 60 });
    expect((await run(1, null)).lengths).not.toEqual((await run(1, greedy)).lengths);
  });

  it("hijacks exactly the agents of the threat, with its coin", async () => {
    const { spec } = await createEnvironment(chorus, 1);
    const team = stubbornTeam(spec, 0);
    const thief = new ConstantActor("thief", 1);
    const run = (input: ThreatInput, actors: ReadonlyMap<string, ConstantActor>) =>
      play(chorus, { team, threat: threatOf(input), adversary: { kind: "seats", actors }, episodes: 400 });
    const two = new Map([
      ["singer_1", thief],
      ["singer_3", thief],
    ]);
    const always = await run({ channel: "control", agents: ["singer_1", "singer_3"] }, two);
    always.lengths.forEach((length, k) => {
      expect(always.returns[k]).toBe(30 * length);
    });
    expect(always.controlledShare).toBe(1);
    const half = await run({ channel: "control", agents: ["singer_3", "singer_1"], epsilon: 0.5 }, two);
    const steps = half.lengths.reduce((a, b) => a + b);
    // About 1,400 coins.
    expect(Math.abs(half.controlledShare - 0.5)).toBeLessThan(0.05);
    expect(half.returns.reduce((a, b) => a + b)).toBeCloseTo(30 * half.controlledShare * steps, 6);
    const single = await run(
      { channel: "action", agents: ["singer_2"], probability: 0.25 },
      new Map([["singer_2", thief]]),
    );
    expect(Math.abs(single.controlledShare - 0.25)).toBeLessThan(0.05);
  });

  it("reports what the perturber did within its budget", async () => {
    const { spec } = await createEnvironment(remote, 1);
    const up: Perturber = { name: "up", perturb: (_, delta) => void delta.fill(9) };
    const threat = observationThreat({ epsilon: 0.5, agents: ["walker_1"], probability: 0.5 });
    const adversary: Adversary = { kind: "perturber", perturber: up };
    const result = await play(remote, { team: randomTeam(spec, 1), threat, adversary, episodes: 200 });
    expect(result.largestPerturbation).toBe(0.5);
    expect(Math.abs(result.perturbedShare - 0.25)).toBeLessThan(0.03);
  });

  it("refuses adversaries that do not fit the threat", async () => {
    const { spec } = await createEnvironment(chorus, 1);
    const thief = new ConstantActor("thief", 1);
    const seats = (...names: string[]): Adversary => ({
      kind: "seats",
      actors: new Map(names.map((n) => [n, thief])),
    });
    const perturber: Adversary = { kind: "perturber", perturber: { name: "x", perturb: () => {} } };
    const control = threatOf({ channel: "control", agents: ["singer_0"] });
    const observation = threatOf({ channel: "observation", epsilon: 1 });
    const dynamics = threatOf({ channel: "dynamics", parameters: { longest: 3 } });
    const wrong: [Threat | null, Adversary | null, RegExp][] = [
      [null, seats("singer_0"), /kind "seats" does not fit a missing threat/],
      [null, perturber, /kind "perturber" does not fit a missing threat/],
      [control, null, /kind "none" does not fit a control threat/],
      [control, perturber, /kind "perturber" does not fit a control threat/],
      [observation, null, /kind "none" does not fit a observation threat/],
      [observation, { kind: "world" }, /kind "world" does not fit a observation threat/],
      [dynamics, perturber, /kind "perturber" does not fit a dynamics threat/],
      [control, seats("singer_0", "singer_1"), /plays singer_0, singer_1, expected singer_0/],
      [control, seats("singer_1"), /plays singer_1, expected singer_0/],
      [control, seats("singer_0", "nobody"), /plays singer_0, nobody, expected singer_0/],
      [
        threatOf({ channel: "control", agents: "all" }),
        seats("singer_0"),
        /expected singer_0, singer_1, singer_2, singer_3/,
      ],
      [
        threatOf({ channel: "control", agents: ["singer_9"] }),
        seats("singer_9"),
        /got "singer_9", expected an agent/,
      ],
    ];
    for (const [threat, adversary, message] of wrong) {
      const attempt = play(chorus, { team: randomTeam(spec, 1), threat, adversary });
      await expect(attempt).rejects.toThrow(message);
      await expect(attempt).rejects.toBeInstanceOf(UserError);
    }
    await expect(play(chorus, { threat: dynamics, adversary: { kind: "world" } })).resolves.toBeDefined();
  });
});

describe("best response", () => {
  /** Returns of a team under random behaviour and under a trained adversary in the same threat. */
  async function compare(threat: Threat, seed: number) {
    const { spec } = await createEnvironment(twoStep, 1);
    // Enter room 1, both choose 1: the optimum, 4.
    const team = stubbornTeam(spec, 1);
    const attack = attacks.get("best-response");
    const training = await attack.start(
      {
        runtime,
        createEnvironment: (copies) => createEnvironment(twoStep, copies),
        seed,
        steps: 16 * 8 * 25,
        team,
        threat,
      },
      attack.options.parse({
        copies: 16,
        rolloutSteps: 8,
        hidden: [16],
        learningRate: 0.02,
        outputGain: 0.1,
        entropyCoef: 0,
      }),
    );
    while (training.iteration < training.iterations) training.step();
    const value = async (adversary: Adversary | null, under: Threat | null) => {
      const { returns } = await play(twoStep, { team, adversary, threat: under, episodes: 400 });
      return returns.reduce((a, b) => a + b) / 400;
    };
    const found = await value(training.adversary(), threat);
    training.close();
    return {
      clean: await value(null, null),
      random: await value(await adversaryOf("random", team, threat), threat),
      found,
    };
  }

  it.each([0, 1, 2])("finds the worst that can be done to a known team, seed %i", async (seed) => {
    const full = await compare(threatOf({ channel: "control", agents: ["agent_1"] }), seed);
    expect(full.clean).toBe(4);
    // Alone in room 1 with a partner that always chooses 1: random play leaves 2, choosing 0 leaves nothing.
    expect(Math.abs(full.random - 2)).toBeLessThan(0.4);
    expect(full.found).toBeLessThan(0.1);
  });

  it("is bounded by its budget: with half of the steps, half of the return is left", async () => {
    const half = await compare(threatOf({ channel: "control", agents: ["agent_1"], epsilon: 0.5 }), 0);
    // 400 episodes of 4 · coin: standard error 0.1.
    expect(Math.abs(half.found - 2)).toBeLessThan(0.4);
    expect(Math.abs(half.random - 3)).toBeLessThan(0.4);
  });

  it("works for whose return it is told to", async () => {
    const { spec } = await createEnvironment(couriers, 1);
    const team = randomTeam(spec, 1);
    const attack = attacks.get("best-response");
    const threat = threatOf({
      channel: "action",
      agents: ["courier_0"],
      probability: 1,
      objective: ["courier_0"],
    });
    const training = await attack.start(
      {
        runtime,
        createEnvironment: (copies) => createEnvironment(couriers, copies),
        seed: 1,
        steps: 16 * 8 * 40,
        team,
        threat,
      },
      attack.options.parse({ copies: 16, rolloutSteps: 8, hidden: [16], learningRate: 0.02, entropyCoef: 0 }),
    );
    while (training.iteration < training.iterations) training.step();
    const { agentReturns } = await play(couriers, {
      team,
      threat,
      adversary: training.adversary(),
      episodes: 100,
    });
    const random = await play(couriers, {
      team,
      threat,
      adversary: await adversaryOf("random", team, threat),
      episodes: 100,
    });
    const mean = (x: Float64Array) => x.reduce((a, b) => a + b) / x.length;
    // Away from the parcel as fast as it can; the other courier is left alone.
    expect(mean(agentReturns.courier_0!)).toBeLessThan(mean(random.agentReturns.courier_0!) - 2);
    expect(mean(agentReturns.courier_1!)).toBeCloseTo(mean(random.agentReturns.courier_1!), 6);
    training.close();
  });
});
