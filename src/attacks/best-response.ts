/**
 * Best response (the adversarial policy of Gleave 2020 within Liu 2024's budget): a fresh PPO learner plays the
 * hijacked agents against the frozen team, and is paid for the target's losses. Its policy learns from controlled
 * steps only, its critic from all.
 */
import { internalError } from "../core/errors.js";
import type { Environment } from "../env/contract.js";
import { LearningLoop } from "../learners/learning-loop.js";
import { ppo } from "../learners/ppo.js";
import { type PpoOptions, ppoOptions } from "../learners/ppo-options.js";
import { PolicyActor } from "../policy/index.js";
import { hijackCasting, seatsOf, seatsOfAgents, seatTeam } from "../rollout/index.js";
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

class BestResponse extends LearningLoop implements AdversaryTraining {
  constructor(
    readonly context: AttackContext,
    environment: Environment,
    options: PpoOptions,
  ) {
    const { runtime, team, threat, seed, steps } = context;
    const { spec } = environment;
    const frozen = seatTeam(runtime, team, spec, threat.victimMode);
    const agents = actsThroughSeats(threat) ? threat.agents : [];
    const seats = seatsOf(spec);
    const learner = ppo.create(
      {
        runtime,
        environment,
        seed,
        name: "adversary",
        agents: seatsOfAgents(seats, agents).map((seat) => seats.names[seat]!),
        role: "hijack",
        firstActor: frozen.actors.length,
        rewardWeights: adversaryReward(threat, spec),
        ignore: {},
      },
      options,
    );
    super({
      environment,
      steps: options.rolloutSteps,
      envSteps: steps,
      frozen: frozen.actors,
      learners: [learner],
      cast: hijackCasting(frozen.actorOfSeat, learner.actorOfSeat),
      hijack: hijackOptions(threat),
      seed,
      stream: "best-response",
      place: "best response",
    });
  }

  adversary(): Adversary {
    const { runtime } = this.context;
    const actors = this.learners
      .flatMap((learner) => learner.members())
      .flatMap((member) => {
        const { name, policy, parameters } = member;
        const actor = new PolicyActor(`adversary/${name}`, runtime, policy, parameters, "sample");
        return member.agents.map((agent) => [agent, actor] as const);
      });
    return { kind: "seats", actors: new Map(actors) };
  }

  effort(): Effort {
    return { envSteps: this.envSteps, gradientsPerDecision: 0 };
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
