/** Teams without training, for tests of attacks and evaluation. */
import { RandomStream } from "../../src/core/random.js";
import type { EnvironmentSpec } from "../../src/env/contract.js";
import { createPolicy, type PolicyConfig, type Team, type TeamMember } from "../../src/policy/index.js";

/** One policy with random parameters per group, everybody sharing. */
export function randomTeam(spec: EnvironmentSpec, seed: number, config: Partial<PolicyConfig> = {}): Team {
  const members = spec.groups.map((group, g): TeamMember => {
    const policy = createPolicy({
      kind: "mlp",
      obsSize: group.obsSize,
      space: group.action,
      hidden: [8],
      activation: "tanh",
      layerNorm: false,
      agentIds: group.agents.length > 1 ? group.agents.length : 0,
      actionMask: group.hasActionMask,
      ignored: [],
      outputGain: 1,
      ...config,
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
