/** The experiment file: its keys, and the checks of one section at a time. `load.ts` puts the sections together. */
import { z } from "zod";

/** A registry name alone, or with options: `random`, `{ name: pgd, iterations: 10 }`. */
const chosen = z.union([z.string(), z.record(z.string(), z.unknown())]);
const name = z.string().min(1);

export const trainingSchema = z.strictObject({
  steps: z.int().min(1).optional().describe("environment steps, copies counted"),
  learner: chosen.optional().describe("how teams learn: a name, or { name, …options }"),
});

export const teamSchema = z.strictObject({
  description: z.string().optional().describe("one line for the report"),
  steps: z.int().min(1).optional().describe("environment steps; training.steps where not given"),
  learner: chosen.optional().describe("options that differ from training.learner, or another learner"),
  defense: chosen
    .optional()
    .describe("a name, or { name, threat, …options }; plain training where not given"),
  ignore: z
    .record(z.string(), z.array(z.string()).min(1))
    .optional()
    .describe("observation features that the named agent never sees"),
  policies: z
    .array(chosen)
    .min(1)
    .optional()
    .describe("policy files of a team that was made elsewhere; nothing is trained"),
});

export const adversarySchema = z.strictObject({
  attack: chosen.describe("a name, or { name, …options }"),
  threat: z.string().describe("a name in threats"),
  steps: z.int().min(1).optional().describe("environment steps that the attack may spend"),
});

export const evaluationSchema = z.strictObject({
  episodes: z.int().min(1).max(1_000_000).default(200).describe("episodes per team, adversary and seed"),
  seed: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .describe("evaluation episodes never share a stream with training"),
  films: z
    .int()
    .min(0)
    .max(1000)
    .default(2)
    .describe("episodes kept as films per team and adversary, of the first seed"),
});

export const comparisonSchema = z.strictObject({
  team: z.string(),
  against: z.string(),
  adversaries: z.array(z.string()).min(1).optional().describe("columns; all where not given"),
});

export const reportSchema = z.strictObject({
  comparisons: z.array(comparisonSchema).optional(),
  replay: z.string().optional().describe("what to look for in the replay"),
});

/** The top level; sections are validated on their own, so that one mistake does not hide another. */
export const experimentSchema = z.strictObject({
  name: name
    .regex(/^[A-Za-z0-9][\w .-]*$/, "expected letters, digits, spaces, dots, dashes and underscores")
    .describe("also the folder of the results"),
  question: z.string().default("").describe("what the experiment answers, for the report"),
  environment: chosen.describe("an id, or { id, …parameters }"),
  seeds: z.array(z.int().min(0).max(0xffffffff)).min(1).describe("one run of everything per seed"),
  threats: z.record(z.string(), z.unknown()).default({}),
  training: z.unknown().optional(),
  teams: z.record(z.string(), z.unknown()),
  adversaries: z.record(z.string(), z.unknown()).default({}),
  evaluation: z.unknown().optional(),
  report: z.unknown().optional(),
});
