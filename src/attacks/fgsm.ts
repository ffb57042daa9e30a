/** The fast gradient sign method (Goodfellow 2015): one step of full length along the gradient. */
import { z } from "zod";
import type { AttackDefinition } from "./attack.js";
import { GradientPerturber, PLAIN_ASCENT, requireBall } from "./gradient.js";
import { readyAttack } from "./ready.js";

const options = z.strictObject({});

export const fgsm: AttackDefinition<z.output<typeof options>> = {
  name: "fgsm",
  summary: "One gradient step of full length on what the policy sees.",
  options,
  channels: ["observation"],
  whiteBox: true,
  learns: false,
  async start({ runtime, threat }) {
    if (threat.channel === "observation") requireBall("fgsm", threat.norm);
    const perturber = new GradientPerturber("fgsm", runtime, { ...PLAIN_ASCENT, steps: 1, stepSize: 1 });
    return readyAttack({ kind: "perturber", perturber }, perturber.gradientsPerDecision);
  },
};
