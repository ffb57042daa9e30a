/** What every defense must do. Runs over the registry; its own tests break sound defenses in one rule each. */
import { NonFiniteError, UserError } from "../../src/core/errors.js";
import { RandomStream } from "../../src/core/random.js";
import { decodeSafetensors, encodeSafetensors } from "../../src/core/safetensors.js";
import type { SavedState } from "../../src/core/saved-state.js";
import type { DefenseContext, DefenseDefinition, TeamTraining } from "../../src/defenses/index.js";
import type { Environment, EnvironmentDefinition } from "../../src/env/contract.js";
import { learners, type Metrics } from "../../src/learners/index.js";
import { loadTeam, saveTeam, type Team } from "../../src/policy/index.js";
import { type Channel, type ThreatInput, threatSchema } from "../../src/threats/index.js";
import { chorus, couriers, foragers } from "../games/index.js";
import { bytesOf, createEnvironment, runtime, unsaveable } from "../support/rollouts.js";
import { type Finding, Findings } from "./finding.js";

export type DefenseRule =
  | "options"
  | "refuses"
  | "steps"
  | "team"
  | "metrics"
  | "deterministic"
  | "resume"
  | "saved-state"
  | "failure"
  | "close";

export interface DefenseSubject {
  readonly definition: DefenseDefinition;
  /** Small options. */
  readonly small: Readonly<Record<string, unknown>>;
}

/** A game with a threat of each channel. */
const scenes: Readonly<Record<Channel | "none", readonly [EnvironmentDefinition, ThreatInput | null]>> = {
  none: [foragers, null],
  control: [chorus, { channel: "control", agents: ["singer_1", "singer_3"], epsilon: 0.7 }],
  action: [couriers, { channel: "action", agents: ["courier_0"], probability: 0.5 }],
  observation: [couriers, { channel: "observation", epsilon: 0.3, norm: "l2" }],
  dynamics: [chorus, { channel: "dynamics", parameters: { longest: 3 } }],
};

const [COPIES, STEPS] = [4, 6];
/** Not a multiple of an iteration: the last one is whole all the same. */
const BUDGET = COPIES * STEPS * 5 + 1;
const learnerOptions = {
  ppo: { copies: COPIES, rolloutSteps: STEPS, hidden: [4], minibatches: 2, epochs: 2, learningRate: 0.01 },
} as Readonly<Record<string, Readonly<Record<string, unknown>>>>;

class Suite {
  readonly findings = new Findings<DefenseRule>();
  /** Environments made and not closed. */
  readonly open = new Set<Environment>();

  constructor(readonly subject: DefenseSubject) {}

  async start(
    game: EnvironmentDefinition,
    input: ThreatInput | null,
    { seed = 3, learner = "ppo" }: { readonly seed?: number; readonly learner?: string } = {},
  ): Promise<TeamTraining> {
    const { definition, small } = this.subject;
    const context: DefenseContext = {
      runtime,
      createEnvironment: async (copies) => {
        const environment = await createEnvironment(game, copies);
        const close = environment.close.bind(environment);
        this.open.add(environment);
        environment.close = () => {
          this.open.delete(environment);
          close();
        };
        return environment;
      },
      seed,
      steps: BUDGET,
      learner: { name: learner, options: learners.get(learner).options.parse(learnerOptions[learner] ?? {}) },
      threat: input === null ? null : threatSchema.parse(input),
      ignore: {},
    };
    return definition.start(context, definition.options.parse(small));
  }

  async run(): Promise<void> {
    const { findings } = this;
    const { definition } = this.subject;
    await findings.guard("options", () => {
      if (!definition.options.safeParse({}).success) findings.add("options", "no complete defaults");
      if (definition.options.safeParse({ "no such option": 1 }).success)
        findings.add("options", "an unknown option is accepted");
    });
    const channels = definition.channels.length === 0 ? (["none"] as const) : definition.channels;
    await findings.guard("refuses", () => this.#checkRefusals(channels));
    for (const channel of channels) {
      for (const learner of learners.names()) {
        const [game, threat] = scenes[channel];
        await findings.guard("steps", () => this.#checkTraining(game, threat, learner));
        await findings.guard("failure", () => this.#checkFailure(game, threat, learner));
      }
    }
    if (this.open.size > 0) findings.add("close", `${this.open.size} environments are left open`);
  }

  async #checkRefusals(channels: readonly string[]): Promise<void> {
    for (const [channel, [game, threat]] of Object.entries(scenes)) {
      if (channels.includes(channel)) continue;
      try {
        (await this.start(game, threat)).close();
        this.findings.add("refuses", `a threat of channel ${channel} is accepted`);
      } catch (error) {
        if (!(error instanceof UserError) || !error.message.includes(`"${this.subject.definition.name}"`))
          this.findings.add("refuses", "refuses without a UserError that names the defense");
      }
    }
  }

  /** Steps to the end, keeping what each gave. */
  #finish(training: TeamTraining): Metrics[] {
    const metrics: Metrics[] = [];
    while (training.iteration < training.iterations) {
      const before = training.iteration;
      metrics.push(training.step());
      if (training.iteration !== before + 1) {
        this.findings.add("steps", "a step is not one iteration");
        break;
      }
      if (training.envSteps !== training.iteration * COPIES * STEPS)
        this.findings.add(
          "steps",
          `${training.envSteps} environment steps after ${training.iteration} iterations`,
        );
    }
    return metrics;
  }

  async #checkTraining(
    game: EnvironmentDefinition,
    threat: ThreatInput | null,
    learner: string,
  ): Promise<void> {
    const { findings } = this;
    const { spec } = await createEnvironment(game, 1);
    const state = (training: TeamTraining) => {
      const { arrays, meta } = training.saveState();
      return { arrays: bytesOf(arrays), meta };
    };
    const one = await this.start(game, threat, { learner });
    if (one.iterations !== 6)
      findings.add("steps", `${one.iterations} iterations for ${BUDGET} steps, expected 6`);
    const untrained = one.team();
    const metrics = this.#finish(one);
    this.#checkMetrics(metrics);
    const final = state(one);
    const team = one.team();
    await findings.guard("team", () => {
      loadTeam(saveTeam(team), spec, "team");
    });
    if (team.environment !== spec.id) findings.add("team", `trained on ${team.environment}`);
    findings.differ("team", "the team after training", parametersOf(untrained), parametersOf(team));

    const two = await this.start(game, threat, { learner });
    findings.same("deterministic", "the same seed twice", [metrics, final], [this.#finish(two), state(two)]);
    const other = await this.start(game, threat, { learner, seed: 4 });
    this.#finish(other);
    findings.differ("deterministic", "another seed", final.arrays, state(other).arrays);
    other.close();
    two.close();

    // Interrupted at a random moment, and late.
    for (const at of [1 + RandomStream.from(1, "interrupt", game.id, learner).int(3), one.iterations - 2]) {
      const three = await this.start(game, threat, { learner });
      while (three.iteration < at) three.step();
      const saved = three.saveState();
      const before = bytesOf(saved.arrays);
      three.step();
      findings.same("saved-state", "a saved state while training goes on", before, bytesOf(saved.arrays));
      three.close();
      const four = await this.start(game, threat, { learner });
      four.step();
      const bytes = encodeSafetensors(saved as Parameters<typeof encodeSafetensors>[0]);
      four.loadState(decodeSafetensors(bytes, "memory") as SavedState);
      if (four.iteration !== at)
        findings.add("resume", `at iteration ${four.iteration} after loading, expected ${at}`);
      findings.same("resume", "metrics after loading", metrics.slice(at), this.#finish(four));
      findings.same("resume", "the state after loading", final, state(four));
      findings.same("resume", "the team after loading", parametersOf(team), parametersOf(four.team()));
      try {
        four.loadState({ arrays: {}, meta: {} });
        findings.add("resume", "an empty state is accepted");
      } catch (error) {
        if (!(error instanceof UserError)) findings.add("resume", "an empty state is no UserError");
      }
      four.close();
    }

    // Where the world cannot be saved, training goes on in new episodes, the same ones every time.
    const rest = async () => {
      const five = await this.start(unsaveable(game), threat, { learner });
      if (five.iteration === 0) five.step();
      const half = five.saveState();
      const six = await this.start(unsaveable(game), threat, { learner });
      six.loadState(half);
      const out = [this.#finish(six), state(six)];
      five.close();
      six.close();
      return out;
    };
    findings.same("resume", "going on in a world that cannot be saved", await rest(), await rest());
    one.close();
  }

  #checkMetrics(metrics: readonly Metrics[]): void {
    const names = Object.keys(metrics[0] ?? {}).join();
    for (const m of metrics) {
      if (Object.keys(m).join() !== names) this.findings.add("metrics", "other names than before");
      if (!("return" in m)) this.findings.add("metrics", "no return");
      // No episode need have ended: then there is no return.
      const bad = Object.entries(m).find(([name, value]) => name !== "return" && !Number.isFinite(value));
      if (bad !== undefined) this.findings.add("metrics", `${bad[0]} is ${bad[1]}`);
    }
  }

  /** NaN in the middle: what is saved then is the state before, and going on from it is as if nothing had been. */
  async #checkFailure(
    game: EnvironmentDefinition,
    threat: ThreatInput | null,
    learner: string,
  ): Promise<void> {
    const { findings } = this;
    const poison = { on: false };
    const poisoned: EnvironmentDefinition = {
      ...game,
      create: async (parameters, options) => {
        const environment = await game.create(parameters, options);
        const step = environment.step.bind(environment);
        environment.step = () => {
          step();
          if (poison.on) environment.groups[0]!.reward[1] = Number.NaN;
        };
        return environment;
      },
    };
    const play = async (fails: boolean) => {
      const training = await this.start(poisoned, threat, { learner });
      training.step();
      training.step();
      const before = training.saveState();
      if (fails) {
        poison.on = true;
        try {
          training.step();
          findings.add("failure", "NaN goes unnoticed");
        } catch (error) {
          if (!(error instanceof NonFiniteError)) findings.add("failure", `NaN ends in ${String(error)}`);
        }
        poison.on = false;
        const after = training.saveState();
        findings.same(
          "failure",
          "the state after a failed step",
          [bytesOf(before.arrays), before.meta],
          [bytesOf(after.arrays), after.meta],
        );
      }
      const rest = this.#finish(training);
      const out = [rest, bytesOf(training.saveState().arrays)];
      training.close();
      return out;
    };
    findings.same("failure", "training after a failed step", await play(false), await play(true));
  }
}

const parametersOf = (team: Team) => team.members.map((m) => [m.name, [...m.parameters]]);

/** @returns what is wrong, one finding a rule; empty if nothing is */
export async function checkDefense(subject: DefenseSubject): Promise<Finding<DefenseRule>[]> {
  const suite = new Suite(subject);
  await suite.run();
  return suite.findings.list;
}
