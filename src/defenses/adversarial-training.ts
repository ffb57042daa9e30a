/**
 * Adversarial training for the observation channel: in a share of the episodes the team acts on observations perturbed
 * against its own current policy, and PPO learns from what was seen; critics see the truth. The radius ramps up.
 */
import { z } from "zod";
import { GradientPerturber, PLAIN_ASCENT, requireBall } from "../attacks/gradient.js";
import { internalError } from "../core/errors.js";
import { perturbCasting } from "../rollout/index.js";
import type { DefenseDefinition } from "./defense.js";
import { TeamLoop, teamLearner } from "./team-loop.js";

const options = z.strictObject({
  attack: z.enum(["fgsm", "pgd"]).default("fgsm").describe("how the perturbations are found"),
  iterations: z.int().min(1).max(100).default(3).describe("gradient steps of pgd"),
  stepSize: z.number().positive().default(0.5).describe("length of a pgd step as a share of ε"),
  share: z.number().min(0).max(1).default(0.5).describe("share of the episodes that are perturbed"),
  ramp: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("share of the training over which ε grows linearly from 0"),
});

export const adversarialTraining: DefenseDefinition<z.output<typeof options>> = {
  name: "adversarial-training",
  summary: "The team acts and learns on observations perturbed by FGSM or PGD against itself.",
  options,
  channels: ["observation"],
  async start(context, o) {
    const { threat, runtime } = context;
    if (threat === null || threat.channel !== "observation")
      throw internalError("adversarial training without an observation threat");
    requireBall(`${o.attack} (adversarial training)`, threat.norm);
    const { learner, environment, steps } = await teamLearner(context);
    const perturber = new GradientPerturber(o.attack, runtime, {
      ...PLAIN_ASCENT,
      ...(o.attack === "fgsm" ? { steps: 1, stepSize: 1 } : { steps: o.iterations, stepSize: o.stepSize }),
    });
    const loop: TeamLoop = new TeamLoop(context, environment, steps, [learner], {
      cast: perturbCasting(
        learner.actorOfSeat,
        () => o.share,
        () => (o.ramp === 0 ? 1 : Math.min(1, loop.progress / o.ramp)),
      ),
      perturb: { threat, perturber },
    });
    return loop;
  },
};
