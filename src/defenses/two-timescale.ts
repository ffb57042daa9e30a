/**
 * Adversarial training with two timescales (Liu 2024, Algorithm 2, PPO form): an adversary hijacks its agents in a
 * share of the episodes and learns at a larger rate than the team; both learn at once, from one rollout. The team
 * does not learn from hijacked seats. The last iterate is deployed.
 */
import { z } from "zod";
import { adversaryReward, hijackOptions } from "../attacks/best-response.js";
import { internalError } from "../core/errors.js";
import { learners } from "../learners/registry.js";
import { hijackCasting, seatsOf, seatsOfAgents } from "../rollout/index.js";
import { actsThroughSeats } from "../threats/index.js";
import type { DefenseDefinition } from "./defense.js";
import { TeamLoop, teamLearner } from "./team-loop.js";

const options = z.strictObject({
  share: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("share of the episodes in which the adversary holds its agents"),
  warmup: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("share of the training before the adversary appears"),
  rateRatio: z.number().positive().default(4).describe("adversary's learning rate over the team's"),
});

export const twoTimescale: DefenseDefinition<z.output<typeof options>> = {
  name: "two-timescale",
  summary: "An adversary with a larger learning rate hijacks agents while the team trains (Liu 2024).",
  options,
  channels: ["control", "action"],
  async start(context, { share, warmup, rateRatio }) {
    const { threat } = context;
    if (threat === null || !actsThroughSeats(threat))
      throw internalError("two-timescale without a control or action threat");
    const { learner: team, environment, steps } = await teamLearner(context);
    const { spec } = environment;
    const seats = seatsOf(spec);
    const definition = learners.get(context.learner.name);
    const adversary = definition.create(
      {
        runtime: context.runtime,
        environment,
        seed: context.seed,
        name: "adversary",
        agents: seatsOfAgents(seats, threat.agents).map((seat) => seats.names[seat]!),
        role: "hijack",
        firstActor: team.actors.length,
        rewardWeights: adversaryReward(threat, spec),
        ignore: {},
      },
      definition.scaleLearningRate(context.learner.options, rateRatio),
    );
    const loop: TeamLoop = new TeamLoop(context, environment, steps, [team, adversary], {
      cast: hijackCasting(team.actorOfSeat, adversary.actorOfSeat, () =>
        loop.progress < warmup ? 0 : share,
      ),
      hijack: hijackOptions(threat),
    });
    return loop;
  },
};
