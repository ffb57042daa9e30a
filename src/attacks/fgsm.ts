/** The fast gradient sign method (Goodfellow 2015): one step of full length along the gradient. */
import { z } from "zod";
import type { AttackDefinition } from "./attack.js";
import { GradientPerturber, requireBall } from "./gradient.js";
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
    const perturber = new GradientPerturber("fgsm", runtime, { steps: 1, stepSize: 1, randomStart: false });
    return readyAttack({ kind: "perturber", perturber }, 1);
  },
};
