/** Options of PPO, with the values of HARL's MAPPO preset as defaults where it has one. */
import { z } from "zod";

export const ppoOptions = z
  .strictObject({
    critic: z
      .enum(["centralised", "independent"])
      .default("centralised")
      .describe(
        "centralised: the critic sees the global state (MAPPO); independent: the agent's own observation (IPPO)",
      ),
    sharing: z
      .enum(["group", "separate"])
      .default("group")
      .describe("one set of parameters per group, or one per agent"),
    agentIds: z
      .boolean()
      .default(true)
      .describe(
        "append a one-hot agent id where agents share parameters (an independent critic gets it too)",
      ),
    hidden: z.array(z.int().min(1)).default([64, 64]).describe("hidden layer widths of actor and critic"),
    activation: z.enum(["tanh", "relu"]).default("tanh").describe("hidden activation"),
    recurrent: z
      .int()
      .min(1)
      .nullable()
      .default(null)
      .describe("units of a GRU after the hidden layers of actor and critic; null: no memory"),
    chunk: z
      .int()
      .min(1)
      .default(10)
      .describe("steps that a gradient goes back through a memory; divides rolloutSteps"),
    layerNorm: z.boolean().default(false).describe("layer normalisation after hidden layers"),
    outputGain: z.number().positive().default(0.01).describe("orthogonal gain of the actor's output layer"),
    copies: z.int().min(1).default(16).describe("environment copies stepped together"),
    rolloutSteps: z.int().min(1).default(128).describe("steps per copy and iteration"),
    epochs: z.int().min(1).default(5).describe("passes over the collected steps"),
    minibatches: z.int().min(1).default(1).describe("minibatches per pass; divides copies × rolloutSteps"),
    learningRate: z.number().positive().default(5e-4).describe("Adam's step size of the actor"),
    criticLearningRate: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe("of the critic; null: the actor's"),
    schedule: z.enum(["constant", "linear"]).default("constant").describe("learning rates over the training"),
    clipRatio: z.number().positive().default(0.2).describe("clip of the probability ratio"),
    entropyCoef: z.number().min(0).default(0.01).describe("weight of the entropy bonus"),
    gamma: z.number().min(0).max(1).default(0.99).describe("discount"),
    gaeLambda: z.number().min(0).max(1).default(0.95).describe("trace decay of the advantage estimate"),
    timeLimit: z
      .enum(["bootstrap", "drop", "terminal"])
      .default("bootstrap")
      .describe("what a time limit means to the advantage estimate"),
    adamEpsilon: z.number().positive().default(1e-5).describe("Adam's epsilon"),
    maxGradNorm: z
      .number()
      .positive()
      .nullable()
      .default(10)
      .describe("global gradient norm per network; null: not clipped"),
    huberDelta: z
      .number()
      .positive()
      .nullable()
      .default(10)
      .describe("Huber threshold of the value loss; null: squared error"),
    valueClip: z
      .number()
      .positive()
      .nullable()
      .default(0.2)
      .describe("clip of the value change, in normalised units; null: none"),
    valueNormBeta: z
      .number()
      .min(0)
      .lt(1)
      .nullable()
      .default(0.99999)
      .describe("decay of the value normaliser's statistics; null: values not normalised"),
    normalizeAdvantages: z
      .enum(["iteration", "minibatch", "none"])
      .default("iteration")
      .describe("standardise advantages over the iteration (MAPPO), each minibatch (cleanrl), or not"),
    reward: z
      .enum(["own", "team"])
      .default("own")
      .describe("each agent its own reward, or the mean over all agents"),
    targetKl: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe("stop an iteration's passes once the mean KL exceeds this; null: never"),
  })
  .superRefine((o, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    if (o.recurrent !== null && o.rolloutSteps % o.chunk !== 0) {
      refuse("chunk", `chunk (${o.chunk}) must divide rolloutSteps (${o.rolloutSteps})`);
      return;
    }
    const samples = o.copies * o.rolloutSteps;
    if (o.recurrent === null && samples % o.minibatches !== 0) {
      refuse(
        "minibatches",
        `minibatches (${o.minibatches}) must divide copies × rolloutSteps (${o.copies} × ${o.rolloutSteps} = ${samples})`,
      );
    }
    const chunks = samples / o.chunk;
    if (o.recurrent !== null && chunks % o.minibatches !== 0) {
      refuse(
        "minibatches",
        `minibatches (${o.minibatches}) must divide the chunks, copies × rolloutSteps / chunk (${o.copies} × ${o.rolloutSteps} / ${o.chunk} = ${chunks})`,
      );
    }
  });

export type PpoOptions = z.output<typeof ppoOptions>;
