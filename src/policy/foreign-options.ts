/** How a policy file that was made elsewhere is to be read, where its own names do not say it. */
import { z } from "zod";

const name = z.string().min(1);

/** What an output can be. */
export const HEADS = ["logits", "probabilities", "q-values", "gaussian", "action"] as const;
export type HeadKind = (typeof HEADS)[number];

/** One policy file: what it is, whom it plays, and what its inputs and outputs mean. */
export const policyFileSchema = z.strictObject({
  file: name.describe("ONNX file"),
  plays: z
    .union([name, z.array(name).min(1)])
    .nullable()
    .default(null)
    .describe('"all", a group, an agent, or a list of these; null: what the file says, else all'),
  inputs: z
    .strictObject({ obs: name.optional(), actionMask: name.optional(), agent: name.optional() })
    .default({})
    .describe("what the file calls the observation, the action mask, the agent's index"),
  outputs: z
    .strictObject({
      logits: name.optional(),
      probabilities: name.optional(),
      q: name.optional(),
      mean: name.optional(),
      std: name.optional(),
      logStd: name.optional(),
      action: name.optional(),
    })
    .default({})
    .describe("what the file calls the outputs that actions are chosen from"),
  head: z
    .enum(HEADS)
    .nullable()
    .default(null)
    .describe("what the only output is, where its name does not say it"),
  state: z.record(name, name).default({}).describe("input of a carried state → output with its next value"),
  mode: z
    .enum(["sample", "greedy"])
    .nullable()
    .default(null)
    .describe("greedy: always the likeliest action, whatever a threat says; null: greedy for q and action"),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe("values of q are divided by it for the softmax that is sampled from and attacked"),
});

/** A validated description of a policy file. */
export type PolicyFileOptions = z.output<typeof policyFileSchema>;
/** What of it concerns inputs and outputs. */
export type BindingOptions = Omit<PolicyFileOptions, "file" | "plays">;
