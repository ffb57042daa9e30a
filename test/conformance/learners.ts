/**
 * What every learner must do, whoever wrote it. Runs over the registry; its own tests break a sound learner in one
 * rule each.
 */
import { z } from "zod";
import { NonFiniteError, UserError } from "../../src/core/errors.js";
import { RandomStream } from "../../src/core/random.js";
import { decodeSafetensors, encodeSafetensors } from "../../src/core/safetensors.js";
import { flattenTree } from "../../src/core/tree.js";
import type { Environment, EnvironmentDefinition } from "../../src/env/contract.js";
import { batchScalar } from "../../src/env/scalar.js";
import type {
  Learner,
  LearnerContext,
  LearnerDefinition,
  Metrics,
  SavedState,
} from "../../src/learners/index.js";
import { UniformActor } from "../../src/policy/index.js";
import { hijackCasting, OnPolicyBuffer, Rollout, seatsOf } from "../../src/rollout/index.js";
import { couriers, fixtureGames, remote } from "../games/index.js";
import { bytesOf, createEnvironment, runtime } from "../support/rollouts.js";
import { type Finding, Findings } from "./finding.js";

export type LearnerRule =
  | "options"
  | "actors"
  | "games"
  | "deterministic"
  | "metrics"
  | "resume"
  | "saved-state"
  | "other-network"
  | "clears"
  | "weights"
  | "idle"
  | "failed-update"
  | "termination"
  | "truncation";

export interface LearnerSubject {
  readonly definition: LearnerDefinition;
  /** Small options, minibatches in random order among them, for rollouts of `COPIES` copies. */
  readonly small: Readonly<Record<string, unknown>>;
  /** The same with rollouts of one step. */
  readonly oneStep: Readonly<Record<string, unknown>>;
  /** The same with another network. */
  readonly otherNetwork: Readonly<Record<string, unknown>>;
}

export const COPIES = 4;

/**
 * One agent, one-step episodes. What is shown before the first step, as an episode's last observation, and at the
 * start of all later ones are parameters: who bootstraps from where can be told.
 */
const doors = batchScalar({
  id: "fixture/doors_v0",
  summary: "One step, and what lies behind it.",
  source: "own",
  parameters: {
    terminates: z.boolean().default(true).describe("whether the task ends, or a limit does"),
    last: z.number().default(0).describe("the last observation of an episode"),
    next: z.number().default(0).describe("the first observation of all but the first episode"),
  },
  describe: () => ({
    groups: [
      {
        name: "walkers",
        agents: ["walker"],
        features: [{ name: "door", size: 1 }],
        action: { kind: "discrete", n: 2 },
      },
    ],
  }),
  create: ({ terminates, last, next }) => {
    let episodes = 0;
    return {
      reset: ({ reset }) => ({ obs: { walker: [episodes++ === 0 ? reset.uniform() : next] } }),
      step: ({ walker }) => ({
        obs: { walker: [last] },
        reward: { walker: 1 + walker },
        terminated: terminates,
        truncated: !terminates,
      }),
    };
  },
});

interface Scene {
  readonly environment: Environment;
  readonly learner: Learner;
  readonly rollout: Rollout;
  readonly steps: number;
}

class Suite {
  readonly findings = new Findings<LearnerRule>();

  constructor(readonly subject: LearnerSubject) {}

  /** A learner in a game: in its own seats, or hijacking them from random agents in a share of the episodes. */
  async scene(
    game: EnvironmentDefinition,
    given: {
      readonly options?: Readonly<Record<string, unknown>>;
      readonly seed?: number;
      readonly parameters?: Readonly<Record<string, unknown>>;
      readonly hijackShare?: number;
    } = {},
  ): Promise<Scene> {
    const { definition, small } = this.subject;
    const options = definition.options.parse(given.options ?? small);
    const { copies, steps } = definition.rollout(options);
    const environment = await createEnvironment(game, copies, given.parameters);
    const { groups } = environment.spec;
    const hijacks = given.hijackShare !== undefined;
    const others = hijacks ? groups.map((g) => new UniformActor(`team/${g.name}`, g.action)) : [];
    const seed = given.seed ?? 5;
    const context: LearnerContext = {
      runtime,
      environment,
      seed,
      name: "tested",
      agents: groups.flatMap((g) => g.agents),
      role: hijacks ? "hijack" : "own",
      firstActor: others.length,
      rewardWeights: null,
      ignore: {},
    };
    const learner = definition.create(context, options);
    const seats = seatsOf(environment.spec);
    const nobody = new Int32Array(seats.count).fill(-1);
    const rollout = new Rollout({
      environment,
      actors: [...others, ...learner.actors],
      cast: hijackCasting(
        hijacks ? seats.group : learner.actorOfSeat,
        hijacks ? learner.actorOfSeat : nobody,
        () => given.hijackShare ?? 0,
      ),
      seed,
      stream: "conformance",
      hijack: { epsilon: 0.5, coin: "set" },
      recorders: learner.recorders,
    });
    return { environment, learner, rollout, steps };
  }

  iterate(
    { learner, rollout, steps }: Scene,
    count: number,
    change: (learner: Learner, k: number) => void = () => {},
  ) {
    const metrics: Metrics[] = [];
    for (let k = 0; k < count; k++) {
      rollout.run(steps);
      change(learner, k);
      metrics.push(learner.update(k / (count + 1)));
    }
    return metrics;
  }

  async run(): Promise<void> {
    const { findings } = this;
    await findings.guard("options", () => this.#checkOptions());
    await findings.guard("actors", () => this.#checkActors());
    await findings.guard("games", () => this.#checkGames());
    await findings.guard("deterministic", () => this.#checkDeterminism());
    await findings.guard("resume", () => this.#checkResume());
    await findings.guard("other-network", () => this.#checkOtherNetwork());
    await findings.guard("clears", () => this.#checkClears());
    await findings.guard("weights", () => this.#checkWeights());
    await findings.guard("idle", () => this.#checkIdle());
    await findings.guard("failed-update", () => this.#checkFailure());
    await findings.guard("termination", () => this.#checkEnds());
  }

  #checkOptions(): void {
    const { definition } = this.subject;
    if (!definition.options.safeParse({}).success) this.findings.add("options", "no complete defaults");
    if (definition.options.safeParse({ "no such option": 1 }).success)
      this.findings.add("options", "an unknown option is accepted");
  }

  async #checkActors(): Promise<void> {
    const { learner, environment } = await this.scene(couriers, { hijackShare: 1 });
    const { names } = seatsOf(environment.spec);
    const first = environment.spec.groups.length;
    const members = learner.members();
    names.forEach((name, seat) => {
      const member = members.findIndex((m) => m.agents.includes(name));
      if (learner.actorOfSeat[seat] !== first + member)
        this.findings.add(
          "actors",
          `seat ${name}: actor ${learner.actorOfSeat[seat]}, expected ${first + member}`,
        );
    });
    if (members.length !== learner.actors.length) this.findings.add("actors", "not one member per actor");
  }

  /** Every fixture game that its capabilities allow. */
  async #checkGames(): Promise<void> {
    const can = this.subject.definition.capabilities;
    const kinds = { discrete: can.discrete, "multi-discrete": can.multiDiscrete, box: can.box };
    for (const { definition, parameters } of fixtureGames) {
      const { spec } = await createEnvironment(definition, 1, parameters);
      const fits =
        spec.groups.every((g) => kinds[g.action.kind] && (can.actionMasks || !g.hasActionMask)) &&
        (can.turnBased || !spec.turnBased) &&
        (!can.needsGlobalState || spec.stateSize > 0);
      if (!fits) continue;
      const scene = await this.scene(definition, { parameters });
      const before = bytesOf(scene.learner.saveState().arrays);
      const metrics = this.iterate(scene, 3);
      this.findings.differ(
        "games",
        `${definition.id}: the state after learning`,
        before,
        bytesOf(scene.learner.saveState().arrays),
      );
      this.#checkMetrics(definition.id, metrics);
    }
  }

  #checkMetrics(where: string, metrics: readonly Metrics[]): void {
    const names = Object.keys(metrics[0]!).join();
    for (const m of metrics) {
      if (Object.keys(m).join() !== names) this.findings.add("metrics", `${where}: other names than before`);
      const bad = Object.entries(m).find(([, value]) => !Number.isFinite(value));
      if (bad !== undefined) this.findings.add("metrics", `${where}: ${bad[0]} is ${bad[1]}`);
    }
  }

  async #checkDeterminism(): Promise<void> {
    const play = async (seed: number) => {
      const scene = await this.scene(remote, { seed });
      const start = bytesOf(scene.learner.saveState().arrays);
      const metrics = this.iterate(scene, 3);
      const { arrays, meta } = scene.learner.saveState();
      return { start, metrics, arrays: bytesOf(arrays), meta };
    };
    const one = await play(5);
    this.findings.same("deterministic", "the same seed twice", one, await play(5));
    this.findings.differ("deterministic", "the start of another seed", one.start, (await play(6)).start);
  }

  async #checkResume(): Promise<void> {
    const one = await this.scene(remote);
    this.iterate(one, 2);
    const saved = one.learner.saveState();
    const bytes = encodeSafetensors(saved as Parameters<typeof encodeSafetensors>[0]);
    const before = bytesOf(saved.arrays);
    const world = one.rollout.saveState();
    const metrics = this.iterate(one, 3);
    this.findings.same("saved-state", "a saved state while training goes on", before, bytesOf(saved.arrays));
    const two = await this.scene(remote, { seed: 5 });
    this.iterate(two, 1);
    const loaded = decodeSafetensors(bytes, "memory") as SavedState;
    two.learner.loadState(loaded, "memory");
    two.rollout.loadState(world);
    this.findings.same("resume", "metrics after loading", metrics, this.iterate(two, 3));
    const [a, b] = [one, two].map(({ learner }) => learner.saveState());
    this.findings.same(
      "resume",
      "the state after loading",
      [bytesOf(a!.arrays), a!.meta],
      [bytesOf(b!.arrays), b!.meta],
    );
    this.findings.same(
      "saved-state",
      "a loaded state while training goes on",
      before,
      bytesOf(loaded.arrays),
    );
  }

  async #checkOtherNetwork(): Promise<void> {
    const { otherNetwork } = this.subject;
    const other = (await this.scene(remote, { options: otherNetwork })).learner.saveState();
    const { learner } = await this.scene(remote);
    const before = bytesOf(learner.saveState().arrays);
    for (const wrong of [other, { arrays: {}, meta: {} }]) {
      try {
        learner.loadState(wrong, "elsewhere");
        this.findings.add("other-network", "the state of another network is accepted");
      } catch (error) {
        if (!(error instanceof UserError) || !error.message.startsWith("elsewhere"))
          this.findings.add("other-network", "refused without a UserError that names the place");
      }
    }
    this.findings.same(
      "other-network",
      "the state after a refusal",
      before,
      bytesOf(learner.saveState().arrays),
    );
  }

  /** After an update the recorders are as new: what they held before must not matter. */
  async #checkClears(): Promise<void> {
    const one = await this.scene(remote);
    this.iterate(one, 2);
    const saved = one.learner.saveState();
    const world = one.rollout.saveState();
    this.iterate(one, 1);
    const two = await this.scene(remote);
    two.learner.loadState(saved, "memory");
    two.rollout.loadState(world);
    this.iterate(two, 1);
    this.findings.same(
      "clears",
      "an update with used recorders and one with new ones",
      bytesOf(one.learner.saveState().arrays),
      bytesOf(two.learner.saveState().arrays),
    );
  }

  /** Rows without weight, and rows of other episodes, cannot be heard. */
  async #checkWeights(): Promise<void> {
    const play = async (noisy: boolean) => {
      const scene = await this.scene(remote, { hijackShare: 0.5 });
      this.iterate(scene, 3, (learner, k) => {
        const stream = RandomStream.from(k, "noise");
        for (const buffer of learner.recorders) {
          if (!(buffer instanceof OnPolicyBuffer)) continue;
          const { obs, actorWeight, criticWeight, logProb, reward } = buffer;
          const O = obs.length / actorWeight.length;
          for (let row = 0; row < actorWeight.length; row++) {
            if (!noisy || actorWeight[row] === 1) continue;
            // Whoever remembers hears all of an episode of its own.
            const remembered = criticWeight[row] === 1 && flattenTree(buffer.state).length > 0;
            if (!remembered) for (let i = 0; i < O; i++) obs[row * O + i] = 100 * stream.normal();
            logProb[row] = stream.normal();
            if (criticWeight[row] === 0) reward[row] = 100 * stream.normal();
          }
        }
      });
      return bytesOf(scene.learner.saveState().arrays);
    };
    this.findings.same(
      "weights",
      "learning with other numbers in rows of no weight",
      await play(false),
      await play(true),
    );
  }

  /** Nothing of its own happened: nothing is learned. */
  async #checkIdle(): Promise<void> {
    const scene = await this.scene(remote, { hijackShare: 0 });
    const before = scene.learner.saveState();
    const idle = this.iterate(scene, 2);
    const after = scene.learner.saveState();
    this.findings.same(
      "idle",
      "the state without a step of its own",
      [bytesOf(before.arrays), before.meta],
      [bytesOf(after.arrays), after.meta],
    );
    this.#checkMetrics("without a step of its own", [
      ...idle,
      ...this.iterate(await this.scene(remote, { hijackShare: 1 }), 1),
    ]);
  }

  /** NaN stops an update as if it had never begun. */
  async #checkFailure(): Promise<void> {
    const play = async (fails: boolean) => {
      const scene = await this.scene(couriers);
      const { learner, rollout, steps } = scene;
      this.iterate(scene, 1);
      const world = rollout.saveState();
      if (fails) {
        rollout.run(steps);
        const last = learner.recorders.at(-1);
        if (last instanceof OnPolicyBuffer) last.reward[last.reward.length - 1] = Number.NaN;
        const before = learner.saveState();
        const parameters = learner.actors.map((actor) => actor.policy!.parameters.slice());
        try {
          learner.update(0.5);
          this.findings.add("failed-update", "NaN goes unnoticed");
        } catch (error) {
          if (!(error instanceof NonFiniteError) || !/program ".+".*tensor/.test(error.message))
            this.findings.add("failed-update", "no NonFiniteError that names the program and the tensor");
        }
        const after = learner.saveState();
        this.findings.same(
          "failed-update",
          "the saved state",
          [bytesOf(before.arrays), before.meta],
          [bytesOf(after.arrays), after.meta],
        );
        const now = learner.actors.map((actor) => actor.policy!.parameters);
        this.findings.same("failed-update", "the actors' parameters", parameters, now);
      }
      rollout.loadState(world);
      this.iterate(scene, 2);
      return bytesOf(learner.saveState().arrays);
    };
    this.findings.same("failed-update", "learning after a failure", await play(false), await play(true));
  }

  async #checkEnds(): Promise<void> {
    const learned = async (parameters: Readonly<Record<string, unknown>>) => {
      const scene = await this.scene(doors, { options: this.subject.oneStep, parameters });
      this.iterate(scene, 1);
      return bytesOf(scene.learner.saveState().arrays);
    };
    const ended = await learned({ terminates: true });
    this.findings.same(
      "termination",
      "what comes after termination",
      ended,
      await learned({ terminates: true, next: 3 }),
    );
    this.findings.same(
      "termination",
      "a terminal state's own value",
      ended,
      await learned({ terminates: true, last: 3 }),
    );
    const cut = await learned({ terminates: false, last: 3 });
    this.findings.same(
      "truncation",
      "the next episode after truncation",
      cut,
      await learned({ terminates: false, last: 3, next: 3 }),
    );
    this.findings.differ(
      "truncation",
      "another last state of a truncated episode",
      cut,
      await learned({ terminates: false }),
    );
    this.findings.differ("truncation", "truncation instead of termination", cut, ended);
  }
}

/** @returns what is wrong, one finding a rule; empty if nothing is */
export async function checkLearner(subject: LearnerSubject): Promise<Finding<LearnerRule>[]> {
  const suite = new Suite(subject);
  await suite.run();
  return suite.findings.list;
}
