/**
 * A threat is data: what an adversary may do, to whom, when, and how much. It is validated here, hashed into every
 * result, printed beside every number, and enforced by the rollout alone.
 */
import { z } from "zod";
import { UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";

const agents = z.union([z.literal("all"), z.array(z.string()).min(1)]).describe('agent names, or "all"');

const common = {
  victimMode: z
    .enum(["sample", "greedy"])
    .default("sample")
    .describe("how the team's policies choose actions under this threat"),
  knowledge: z
    .enum(["black-box", "white-box"])
    .default("white-box")
    .describe("black-box: sees observations and rewards; white-box: may differentiate the team's policies"),
  objective: z
    .union([z.literal("team"), z.array(z.string()).min(1)])
    .default("team")
    .describe('whose return the adversary minimises: "team" (mean over all agents) or agent names'),
};

/**
 * Control (Liu 2024, eq. 3.1): one coin per hijacked set, copy and step. With probability ε the set follows the
 * adversary, else each agent follows the team's own policy.
 */
const control = z.strictObject({
  channel: z.literal("control"),
  agents: agents.describe("the hijacked set"),
  epsilon: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("probability per step that the adversary's actions are executed"),
  benign: z
    .literal("own")
    .default("own")
    .describe("what a hijacked agent does otherwise: the team's own policy"),
  ...common,
});

/** Observation: what the policy sees differs from the truth by δ within a ball; the environment is untouched. */
const observation = z.strictObject({
  channel: z.literal("observation"),
  agents: agents.default("all").describe("whose observations are perturbed"),
  norm: z.enum(["linf", "l2", "gaussian"]).default("linf").describe("ball, or independent Gaussian noise"),
  epsilon: z.number().min(0).describe("radius in observation units; standard deviation for gaussian"),
  features: z
    .union([z.literal("perturbable"), z.array(z.string()).min(1)])
    .default("perturbable")
    .describe(
      'features that may change: names, or "perturbable" (all that the environment does not exclude)',
    ),
  scale: z
    .record(z.string(), z.number().min(0))
    .default({})
    .describe("factor on epsilon per feature; 1 where not named"),
  keepRange: z.boolean().default(false).describe("keep perturbed values within the feature's declared range"),
  probability: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("probability per copy and step that the observations are perturbed"),
  ...common,
});

/** Action: each named agent's action is replaced with probability p, one coin per agent, copy and step. */
const action = z.strictObject({
  channel: z.literal("action"),
  agents: agents.default("all").describe("whose actions are replaced"),
  probability: z.number().min(0).max(1).describe("probability per agent and step"),
  ...common,
});

/** Dynamics: the environment's parameters differ from those of training. Nobody acts; the world does. */
const dynamics = z.strictObject({
  channel: z.literal("dynamics"),
  parameters: z
    .record(z.string(), z.unknown())
    .refine((p) => Object.keys(p).length > 0, "at least one parameter")
    .describe("environment parameters at evaluation, as in `environment`"),
  victimMode: common.victimMode,
});

export const threatSchema = z.discriminatedUnion("channel", [control, observation, action, dynamics]);
export type Threat = z.output<typeof threatSchema>;
export type ThreatInput = z.input<typeof threatSchema>;
export type Channel = Threat["channel"];
export type ControlThreat = z.output<typeof control>;
export type ObservationThreat = z.output<typeof observation>;
export type ActionThreat = z.output<typeof action>;
export type DynamicsThreat = z.output<typeof dynamics>;

/** The part of an environment that threats refer to; `env/` specs have it. */
export interface ThreatTarget {
  readonly id: string;
  readonly groups: readonly {
    readonly name: string;
    readonly agents: readonly string[];
    readonly features: readonly { readonly name: string; readonly perturbable: boolean }[];
  }[];
}

/**
 * Checks every name in a threat against an environment.
 * @param place where the threat stands, for messages ("threats.liar")
 * @throws UserError that names the place, the unknown name and the nearest known one
 */
export function checkThreat(threat: Threat, target: ThreatTarget, place: string): void {
  if (threat.channel === "dynamics") return;
  const agentNames = target.groups.flatMap((g) => [...g.agents]);
  const check = (names: "all" | "team" | readonly string[], field: string) => {
    if (typeof names === "string") return;
    const seen = new Set<string>();
    for (const name of names) {
      if (!agentNames.includes(name)) {
        throw new UserError(
          `${place}.${field}: got "${name}", expected an agent of ${target.id}. ${suggestion(name, agentNames)}`,
        );
      }
      if (seen.has(name)) throw new UserError(`${place}.${field}: "${name}" is named twice.`);
      seen.add(name);
    }
  };
  check(threat.agents, "agents");
  check(threat.objective, "objective");
  if (threat.channel !== "observation") return;
  const hit = target.groups.filter(
    (g) => threat.agents === "all" || g.agents.some((a) => threat.agents.includes(a)),
  );
  const known = [...new Set(hit.flatMap((g) => g.features.map((f) => f.name)))];
  const named = [...(threat.features === "perturbable" ? [] : threat.features), ...Object.keys(threat.scale)];
  for (const name of named) {
    if (!known.includes(name)) {
      throw new UserError(
        `${place}: got feature "${name}", expected an observation feature of the agents it names. ${suggestion(name, known)}`,
      );
    }
  }
}

/** Whether the adversary under this threat acts through seats (rather than through observations or the world). */
export function actsThroughSeats(threat: Threat): threat is ControlThreat | ActionThreat {
  return threat.channel === "control" || threat.channel === "action";
}

function who(names: "all" | readonly string[]): string {
  return names === "all" ? "every agent" : names.join(", ");
}

/** One line in words, printed beside every number: "control of speaker_0, ε = 1". Defaults are not mentioned. */
export function describeThreat(threat: Threat): string {
  const whose =
    threat.channel === "dynamics" || threat.objective === "team"
      ? ""
      : `, against the return of ${who(threat.objective)}`;
  const blind = threat.channel !== "dynamics" && threat.knowledge === "black-box" ? ", black box" : "";
  const mode = `${whose}${blind}${threat.victimMode === "greedy" ? ", greedy team" : ""}`;
  switch (threat.channel) {
    case "control":
      return `control of ${who(threat.agents)}, ε = ${threat.epsilon}${mode}`;
    case "action":
      return `actions of ${who(threat.agents)} replaced with p = ${threat.probability}${mode}`;
    case "observation": {
      const norm = { linf: "ℓ∞ ≤", l2: "ℓ₂ ≤", gaussian: "Gaussian σ =" }[threat.norm];
      const features = threat.features === "perturbable" ? "" : ` (${threat.features.join(", ")})`;
      const scaled = Object.entries(threat.scale).map(([name, factor]) => `, ×${factor} for ${name}`);
      const range = threat.keepRange ? ", within range" : "";
      const often = threat.probability === 1 ? "" : `, p = ${threat.probability} a step`;
      return `observations of ${who(threat.agents)}${features}, ${norm} ${threat.epsilon}${scaled.join("")}${range}${often}${mode}`;
    }
    case "dynamics":
      return `dynamics: ${Object.entries(threat.parameters)
        .map(([k, v]) => `${k} = ${JSON.stringify(v)}`)
        .join(", ")}${mode}`;
  }
}
