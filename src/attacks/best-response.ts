/**
 * Best response (the adversarial policy of Gleave 2020 within Liu 2024's budget): a fresh PPO learner plays the
 * hijacked agents against the frozen team, and is paid for the target's losses. Its policy learns from controlled
 * steps only, its critic from all.
 */
import { internalError, UserError } from "../core/errors.js";
import { isLeaf } from "../core/tree.js";
import type { Environment } from "../env/contract.js";
import type { Learner } from "../learners/learner.js";
import { ppo } from "../learners/ppo.js";
import { type PpoOptions, ppoOptions } from "../learners/ppo-options.js";
import type { Metrics, SavedState } from "../learners/training.js";
import { PolicyActor } from "../policy/index.js";
import { hijackCasting, Rollout, seatsOf, seatsOfAgents, seatTeam, Tally } from "../rollout/index.js";
import { actsThroughSeats, type Threat } from "../threats/index.js";
import type { Adversary, AdversaryTraining, AttackContext, AttackDefinition, Effort } from "./attack.js";

/** How hijackers take over under a threat that acts through seats. */
export function hijackOptions(threat: Threat): { epsilon: number; coin: "set" | "agent" } {
  if (threat.channel === "control") return { epsilon: threat.epsilon, coin: "set" };
  if (threat.channel === "action") return { epsilon: threat.probability, coin: "agent" };
  throw internalError(`a ${threat.channel} threat does not act through seats`);
}

/** [N] the adversary's reward: minus the mean reward of the seats whose return it minimises. */
export function adversaryReward(threat: Threat, spec: Environment["spec"]): Float64Array {
  const seats = seatsOf(spec);
  const objective = threat.channel === "dynamics" || threat.objective === "team" ? "all" : threat.objective;
  const targets = seatsOfAgents(seats, objective);
  const weights = new Float64Array(seats.count);
  for (const seat of targets) weights[seat] = -1 / targets.length;
  return weights;
}

class BestResponse implements AdversaryTraining {
  readonly iterations: number;
  iteration = 0;
  readonly #learner: Learner;
  readonly #rollout: Rollout;
  readonly #tally = new Tally();
  readonly #steps: number;

  constructor(
    readonly context: AttackContext,
    readonly environment: Environment,
    options: PpoOptions,
  ) {
    const { runtime, team, threat, seed } = context;
    if (!actsThroughSeats(threat))
      throw new UserError(
        `attack "best-response": got a ${threat.channel} threat, expected control or action.`,
      );
    const { spec } = environment;
    const seats = seatsOf(spec);
    const frozen = seatTeam(runtime, team, spec, threat.victimMode);
    const agents = seatsOfAgents(seats, threat.agents).map((seat) => seats.names[seat]!);
    this.#learner = ppo.create(
      {
        runtime,
        environment,
        seed,
        name: "adversary",
        agents,
        role: "hijack",
        firstActor: frozen.actors.length,
        rewardWeights: adversaryReward(threat, spec),
        ignore: {},
      },
      options,
    );
    this.#rollout = new Rollout({
      environment,
      actors: [...frozen.actors, ...this.#learner.actors],
      cast: hijackCasting(frozen.actorOfSeat, this.#learner.actorOfSeat),
      seed,
      stream: "best-response",
      hijack: hijackOptions(threat),
      recorders: [...this.#learner.recorders, this.#tally],
    });
    this.#steps = options.rolloutSteps;
    this.iterations = Math.ceil(context.steps / (options.rolloutSteps * options.copies));
  }

  get envSteps(): number {
    return this.iteration * this.#steps * this.environment.copies;
  }

  step(): Metrics {
    const before = this.saveState();
    try {
      this.#rollout.run(this.#steps);
      const metrics = this.#learner.update(this.iteration / this.iterations);
      this.iteration++;
      return { return: this.#tally.takeMeanReturn(), ...metrics };
    } catch (error) {
      this.loadState(before);
      throw error;
    }
  }

  adversary(): Adversary {
    return {
      kind: "seats",
      actors: new Map(
        this.#learner.members().flatMap((member) => {
          const actor = new PolicyActor(
            `adversary/${member.name}`,
            this.context.runtime,
            member.policy,
            member.parameters,
            "sample",
          );
          return member.agents.map((agent) => [agent, actor] as const);
        }),
      ),
    };
  }

  effort(): Effort {
    return { envSteps: this.envSteps, gradientsPerDecision: 0 };
  }

  saveState(): SavedState {
    const learner = this.#learner.saveState();
    return {
      arrays: { learner: learner.arrays, rollout: this.#rollout.saveState(), tally: this.#tally.saveState() },
      meta: { learner: learner.meta, iteration: this.iteration },
    };
  }

  loadState(state: SavedState): void {
    const { arrays, meta } = state;
    const learner = isLeaf(arrays) ? undefined : arrays.learner;
    if (isLeaf(arrays) || learner === undefined || typeof meta.iteration !== "number")
      throw new UserError("best response: holds no saved attack.");
    const learnerMeta = (meta.learner ?? {}) as SavedState["meta"];
    this.#learner.loadState({ arrays: learner, meta: learnerMeta }, "best response");
    this.#rollout.loadState(arrays.rollout ?? {});
    // Episodes that ended since are not to be counted twice, and those that could not be saved not by halves.
    this.#tally.episodes = [];
    const { tally } = arrays;
    if (this.#rollout.isResumable)
      this.#tally.loadState(tally !== undefined && isLeaf(tally) ? tally : undefined, this.#rollout.view);
    this.iteration = meta.iteration;
  }

  close(): void {
    this.environment.close();
  }
}

export const bestResponse: AttackDefinition<PpoOptions> = {
  name: "best-response",
  summary: "PPO against the frozen team, through the hijacked agents.",
  options: ppoOptions,
  channels: ["control", "action"],
  whiteBox: false,
  learns: true,
  async start(context, options) {
    return new BestResponse(context, await context.createEnvironment(options.copies), options);
  },
};
