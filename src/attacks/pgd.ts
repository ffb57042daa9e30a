/** Projected gradient descent on observations (Madry 2018). */
import { z } from "zod";
import type { AttackDefinition } from "./attack.js";
import { GradientPerturber, requireBall } from "./gradient.js";
import { readyAttack } from "./ready.js";

const options = z.strictObject({
  iterations: z.int().min(1).max(1000).default(10).describe("gradient steps"),
  stepSize: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe("length of a step as a share of ε; null: 2.5 / iterations"),
  randomStart: z.boolean().default(false).describe("start from a random point of the ball"),
});

export const pgd: AttackDefinition<z.output<typeof options>> = {
  name: "pgd",
  summary: "Several projected gradient steps on what the policy sees.",
  options,
  channels: ["observation"],
  whiteBox: true,
  learns: false,
  async start({ runtime, threat }, { iterations, stepSize, randomStart }) {
    if (threat.channel === "observation") requireBall("pgd", threat.norm);
    const perturber = new GradientPerturber("pgd", runtime, {
      steps: iterations,
      stepSize: stepSize ?? 2.5 / iterations,
      randomStart,
    });
    return readyAttack({ kind: "perturber", perturber }, iterations);
  },
};
