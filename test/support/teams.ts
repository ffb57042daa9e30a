/** Teams without training, for tests of attacks and evaluation. */
import { RandomStream } from "../../src/core/random.js";
import type { EnvironmentSpec } from "../../src/env/contract.js";
import {
  createPolicy,
  type MlpPolicyConfig,
  type Policy,
  type Team,
  type TeamMember,
} from "../../src/policy/index.js";

/** What a test wants of a network; a size for the GRU makes it recurrent. */
export type NetworkChoice = Partial<Omit<MlpPolicyConfig, "kind">> & { readonly recurrent?: number };

/** A small policy, all else by default. */
export function smallPolicy({
  recurrent,
  ...choice
}: NetworkChoice & Pick<MlpPolicyConfig, "obsSize" | "space">): Policy {
  const network = {
    hidden: [8],
    activation: "tanh" as const,
    layerNorm: false,
    agentIds: 0,
    actionMask: false,
    ignored: [],
    outputGain: 1,
    ...choice,
  };
  return createPolicy(
    recurrent === undefined ? { kind: "mlp", ...network } : { kind: "gru", ...network, recurrent },
  );
}

/** One policy with random parameters per group, everybody sharing. */
export function randomTeam(spec: EnvironmentSpec, seed: number, choice: NetworkChoice = {}): Team {
  const members = spec.groups.map((group, g): TeamMember => {
    const policy = smallPolicy({
      obsSize: group.obsSize,
      space: group.action,
      agentIds: group.agents.length > 1 ? group.agents.length : 0,
      actionMask: group.hasActionMask,
      ...choice,
    });
    const parameters = policy.initialParameters(RandomStream.from(seed, "team", g));
    return { name: group.name, group: group.name, agents: group.agents, policy, parameters };
  });
  return { environment: spec.id, members };
}

/** A team of one discrete group whose agents always choose `action`, whatever they see. */
export function stubbornTeam(spec: EnvironmentSpec, action: number): Team {
  const team = randomTeam(spec, 0, { hidden: [], outputGain: 1e-6 });
  for (const { policy, parameters } of team.members) {
    const bias = policy.layout.entries.find((entry) => entry.shape.length === 1)!;
    policy.layout.view(parameters, bias.name)[action] = 50;
  }
  return team;
}
