/** What every attack must do. Runs over the registry; its own tests break sound attacks in one rule each. */
import type {
  AdversaryTraining,
  AttackContext,
  AttackDefinition,
  Evaluation,
} from "../../src/attacks/index.js";
import { evaluate } from "../../src/attacks/index.js";
import { UserError } from "../../src/core/errors.js";
import { decodeSafetensors, encodeSafetensors } from "../../src/core/safetensors.js";
import type { SavedState } from "../../src/core/saved-state.js";
import type { EnvironmentDefinition } from "../../src/env/contract.js";
import {
  actsThroughSeats,
  type Channel,
  type Threat,
  type ThreatInput,
  threatSchema,
} from "../../src/threats/index.js";
import { chorus, couriers, foragers, nim } from "../games/index.js";
import { bytesOf, createEnvironment, runtime } from "../support/rollouts.js";
import { type NetworkChoice, randomTeam } from "../support/teams.js";
import { type Finding, Findings } from "./finding.js";

export type AttackRule =
  | "options"
  | "refuses"
  | "kind"
  | "learns"
  | "deterministic"
  | "resume"
  | "effort"
  | "team"
  | "budget"
  | "effective";

export interface AttackSubject {
  readonly definition: AttackDefinition;
  /** Small options. */
  readonly small: Readonly<Record<string, unknown>>;
  /** What the team's networks are like. */
  readonly team?: NetworkChoice;
}

const KINDS = { control: "seats", action: "seats", observation: "perturber", dynamics: "world" } as const;

/** Games by channel: discrete, box, masks, turns. */
const scenes: Readonly<Record<Channel, readonly (readonly [EnvironmentDefinition, ThreatInput])[]>> = {
  control: [
    [chorus, { channel: "control", agents: ["singer_1", "singer_2"], epsilon: 0.5 }],
    [couriers, { channel: "control", agents: ["dispatcher", "courier_1"] }],
    [nim, { channel: "control", agents: ["player_1"], objective: ["player_0"] }],
  ],
  action: [
    [chorus, { channel: "action", agents: "all", probability: 0.5 }],
    [foragers, { channel: "action", agents: ["forager_0"], probability: 0.3 }],
  ],
  observation: [
    [couriers, { channel: "observation", epsilon: 0.5, agents: ["courier_0"] }],
    [foragers, { channel: "observation", epsilon: 0.3, norm: "l2", keepRange: true, probability: 0.5 }],
    [nim, { channel: "observation", epsilon: 1, features: ["stones"], victimMode: "greedy" }],
  ],
  dynamics: [[foragers, { channel: "dynamics", parameters: { stopProbability: 0.5 } }]],
};

const STEPS = 100;
const SEED = 9;

interface Compared {
  readonly attacked: Evaluation;
  readonly clean: Evaluation;
}

class Suite {
  readonly findings = new Findings<AttackRule>();

  constructor(readonly subject: AttackSubject) {}

  async start(
    game: EnvironmentDefinition,
    threat: Threat,
    seed = SEED,
  ): Promise<[AdversaryTraining, AttackContext]> {
    const { definition, small } = this.subject;
    const changed = threat.channel === "dynamics" ? threat.parameters : {};
    const create = (copies: number) => createEnvironment(game, copies, changed);
    const team = randomTeam((await create(1)).spec, 1, this.subject.team);
    const context = { runtime, createEnvironment: create, seed, steps: STEPS, team, threat };
    return [await definition.start(context, definition.options.parse(small)), context];
  }

  async #evaluate(
    game: EnvironmentDefinition,
    attack: AdversaryTraining,
    { createEnvironment: create, team, threat }: AttackContext,
  ): Promise<Compared> {
    const labels = { team: "team", adversary: "adversary" };
    const common = { runtime, team, episodes: 16, seed: 77, labels };
    return {
      attacked: await evaluate({
        ...common,
        createEnvironment: create,
        adversary: attack.adversary(),
        threat,
      }),
      clean: await evaluate({
        ...common,
        createEnvironment: (copies) => createEnvironment(game, copies),
        adversary: null,
        threat: null,
      }),
    };
  }

  async run(): Promise<void> {
    const { findings } = this;
    const { definition } = this.subject;
    await findings.guard("options", () => {
      if (!definition.options.safeParse({}).success) findings.add("options", "no complete defaults");
      if (definition.options.safeParse({ "no such option": 1 }).success)
        findings.add("options", "an unknown option is accepted");
    });
    await findings.guard("refuses", () => this.#checkRefusals());
    for (const channel of definition.channels) {
      for (const [game, input] of scenes[channel]) {
        await findings.guard("kind", () => this.#checkScene(game, threatSchema.parse(input)));
      }
    }
  }

  async #checkRefusals(): Promise<void> {
    const { channels, whiteBox, name } = this.subject.definition;
    const wrong = (Object.keys(scenes) as Channel[])
      .filter((c) => !channels.includes(c))
      .map((c) => scenes[c][0]!);
    const blind = channels
      .filter((c) => whiteBox && c !== "dynamics")
      .map(
        (c) => [scenes[c][0]![0], { ...scenes[c][0]![1], knowledge: "black-box" } as ThreatInput] as const,
      );
    for (const [game, input] of [...wrong, ...blind]) {
      try {
        (await this.start(game, threatSchema.parse(input)))[0].close();
        this.findings.add("refuses", `accepts ${JSON.stringify(input)}`);
      } catch (error) {
        if (!(error instanceof UserError) || !error.message.includes(`"${name}"`))
          this.findings.add("refuses", "refuses without a UserError that names the attack");
      }
    }
    if (whiteBox) return;
    // Who needs no gradient works in the dark.
    for (const c of channels.filter((channel) => channel !== "dynamics")) {
      const [game, input] = scenes[c][0]!;
      (await this.start(game, threatSchema.parse({ ...input, knowledge: "black-box" })))[0].close();
    }
  }

  async #checkScene(game: EnvironmentDefinition, threat: Threat): Promise<void> {
    const { findings } = this;
    const { learns, whiteBox } = this.subject.definition;
    const where = `${game.id}, ${threat.channel}`;
    const [one, context] = await this.start(game, threat);
    const before = context.team.members.map((m) => [...m.parameters]);
    if (one.iterations > 0 !== learns) findings.add("learns", `${where}: ${one.iterations} iterations`);
    const metrics: unknown[] = [];
    let half: { bytes: Uint8Array; at: number } | null = null;
    let stepSize = 0;
    while (one.iteration < one.iterations) {
      if (half === null && one.iteration === Math.floor(one.iterations / 2))
        half = { bytes: encode(one.saveState()), at: one.iteration };
      metrics.push(one.step());
      stepSize ||= one.envSteps;
      if (one.envSteps !== one.iteration * stepSize)
        findings.add("effort", `${where}: environment steps do not add up`);
    }
    const { envSteps, gradientsPerDecision } = one.effort();
    if (envSteps !== one.envSteps || envSteps < (learns ? STEPS : 0) || (!learns && envSteps !== 0))
      findings.add("effort", `${where}: ${envSteps} environment steps`);
    if (gradientsPerDecision > 0 !== whiteBox)
      findings.add("effort", `${where}: ${gradientsPerDecision} gradients`);
    const adversary = one.adversary();
    if (adversary.kind !== KINDS[threat.channel]) {
      findings.add("kind", `${where}: ${adversary.kind}`);
      return;
    }
    const result = await this.#evaluate(game, one, context);
    this.#checkEffect(where, threat, result);
    findings.same(
      "deterministic",
      `${where}: the same evaluation twice`,
      result,
      await this.#evaluate(game, one, context),
    );
    findings.same(
      "team",
      `${where}: the team's parameters`,
      before,
      context.team.members.map((m) => [...m.parameters]),
    );
    const final = one.saveState();

    const [two] = await this.start(game, threat);
    const again: unknown[] = [];
    while (two.iteration < two.iterations) again.push(two.step());
    findings.same(
      "deterministic",
      `${where}: training twice`,
      [metrics, bytesOf(final.arrays)],
      [again, bytesOf(two.saveState().arrays)],
    );
    findings.same(
      "deterministic",
      `${where}: the adversaries of two trainings`,
      result,
      await this.#evaluate(game, two, context),
    );

    if (half !== null) {
      const [three] = await this.start(game, threat);
      // Whatever it did before must be forgotten.
      three.step();
      three.loadState(decodeSafetensors(half.bytes, "memory") as SavedState);
      if (three.iteration !== half.at) findings.add("resume", `${where}: at iteration ${three.iteration}`);
      const rest: unknown[] = [];
      while (three.iteration < three.iterations) rest.push(three.step());
      findings.same("resume", `${where}: metrics after loading`, metrics.slice(half.at), rest);
      findings.same(
        "resume",
        `${where}: the state after loading`,
        [bytesOf(final.arrays), final.meta],
        [bytesOf(three.saveState().arrays), three.saveState().meta],
      );
      // A finished training loaded elsewhere, with another budget of steps: how cells use it.
      const [four] = await this.start(game, threat);
      four.loadState(decodeSafetensors(encode(final), "memory") as SavedState);
      findings.same(
        "resume",
        `${where}: the loaded adversary`,
        result,
        await this.#evaluate(game, four, context),
      );
      try {
        four.loadState({ arrays: {}, meta: {} });
        findings.add("resume", `${where}: an empty state is accepted`);
      } catch (error) {
        if (!(error instanceof UserError)) findings.add("resume", `${where}: an empty state is no UserError`);
      }
      three.close();
      four.close();
    }
    one.close();
    two.close();
  }

  #checkEffect(where: string, threat: Threat, { attacked, clean }: Compared): void {
    const { findings } = this;
    if (threat.channel === "observation") {
      if (attacked.largestPerturbation > threat.epsilon) findings.add("budget", `${where}: spends too much`);
      if (!(attacked.largestPerturbation > 0.1 * threat.epsilon))
        findings.add("effective", `${where}: spends nothing`);
    }
    if (actsThroughSeats(threat)) {
      const most = threat.channel === "control" ? threat.epsilon : threat.probability;
      // A handful of episodes: coins scatter.
      if (Math.abs(attacked.controlledShare - most) > 0.25)
        findings.add("budget", `${where}: controls ${attacked.controlledShare}`);
    }
    const what = ({ lengths, agentReturns }: Evaluation) => [lengths, agentReturns];
    findings.differ("effective", `${where}: attacked episodes and clean ones`, what(attacked), what(clean));
  }
}

const encode = (state: SavedState) => encodeSafetensors(state as Parameters<typeof encodeSafetensors>[0]);

/** @returns what is wrong, one finding a rule; empty if nothing is */
export async function checkAttack(subject: AttackSubject): Promise<Finding<AttackRule>[]> {
  const suite = new Suite(subject);
  await suite.run();
  return suite.findings.list;
}
