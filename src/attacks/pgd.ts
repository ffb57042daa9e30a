/** Projected gradient ascent on observations (Madry 2018), with the extensions of Auto-PGD (Croce & Hein 2020). */
import { z } from "zod";
import type { AttackDefinition } from "./attack.js";
import { GradientPerturber, requireBall } from "./gradient.js";
import { requireActions } from "./objectives.js";
import { readyAttack } from "./ready.js";

const options = z.strictObject({
  iterations: z.int().min(1).max(1000).default(10).describe("gradient steps of each start"),
  stepSize: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe("length of the first step as a share of ε; null: 2.5 / iterations, adaptive 2"),
  stepRule: z
    .enum(["constant", "decay", "adaptive"])
    .default("constant")
    .describe("steps of one length, linearly shorter ones, or halved for each row when it stops to improve"),
  momentum: z
    .number()
    .min(0)
    .lt(1)
    .nullable()
    .default(null)
    .describe("share of the last movement in the next one; null: 0, adaptive 0.25"),
  randomStart: z.boolean().default(false).describe("start from a random point of the ball"),
  restarts: z
    .int()
    .min(1)
    .max(100)
    .default(1)
    .describe("number of starts, all but the first at random; each row keeps the best result"),
  keep: z
    .enum(["last", "best"])
    .nullable()
    .default(null)
    .describe("what a start results in: the last or the best point; null: last, adaptive best"),
  objective: z
    .enum(["cross-entropy", "margin"])
    .default("cross-entropy")
    .describe("what is raised: −log π of the favourite action, or a ratio of logits that no scale changes"),
});

export const pgd: AttackDefinition<z.output<typeof options>> = {
  name: "pgd",
  summary: "Several projected gradient steps on what the policy sees.",
  options,
  channels: ["observation"],
  whiteBox: true,
  learns: false,
  async start({ runtime, threat, team }, { iterations, stepSize, momentum, keep, ...rest }) {
    if (threat.channel === "observation") {
      requireBall("pgd", threat.norm);
      requireActions("pgd", rest.objective, team, threat);
    }
    const isAdaptive = rest.stepRule === "adaptive";
    const perturber = new GradientPerturber("pgd", runtime, {
      ...rest,
      steps: iterations,
      stepSize: stepSize ?? (isAdaptive ? 2 : 2.5 / iterations),
      momentum: momentum ?? (isAdaptive ? 0.25 : 0),
      keep: keep ?? (isAdaptive ? "best" : "last"),
    });
    return readyAttack({ kind: "perturber", perturber }, perturber.gradientsPerDecision);
  },
};
