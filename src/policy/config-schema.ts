/** What a saved team must look like: files come from anywhere. */
import { z } from "zod";

const size = z.int().min(1);
const bound = z.union([z.number(), z.literal("Infinity"), z.literal("-Infinity")]).transform(Number);

const space = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("discrete"), n: size }),
  z.strictObject({ kind: z.literal("multi-discrete"), sizes: z.array(size).min(1) }),
  z
    .strictObject({ kind: z.literal("box"), low: z.array(bound).min(1), high: z.array(bound).min(1) })
    .refine((s) => s.low.length === s.high.length, "as many lower bounds as upper ones"),
]);

/** What every kind has; `agentIds` is 0 where the policy takes no ids. */
const common = { obsSize: size, space, agentIds: z.int().min(0), actionMask: z.boolean() };

const network = {
  ...common,
  hidden: z.array(size),
  activation: z.enum(["tanh", "relu"]),
  layerNorm: z.boolean(),
  ignored: z.array(z.tuple([z.int(), z.int()])),
  outputGain: z.number(),
};

const name = z.string();
const nullableName = name.nullable();
const simpleHead = z.strictObject({
  kind: z.enum(["logits", "probabilities", "q-values", "action"]),
  name,
});
const binding = z.strictObject({
  obs: name,
  actionMask: nullableName,
  agent: nullableName,
  state: z.array(z.tuple([name, name])),
  head: z.union([
    simpleHead,
    z.strictObject({ kind: z.literal("gaussian"), mean: name, std: name, isLog: z.boolean() }),
  ]),
  mode: z.enum(["sample", "greedy"]),
  temperature: z.number().positive(),
});

const policy = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("mlp"), ...network }),
  z.strictObject({ kind: z.literal("gru"), ...network, recurrent: size }),
  z.strictObject({ kind: z.literal("onnx"), ...common, file: name, plays: name, model: name, binding }),
]);

export const savedMembers = z.array(
  z.strictObject({
    name: z.string().min(1),
    group: z.string(),
    agents: z.array(z.string()).min(1),
    policy,
  }),
);
