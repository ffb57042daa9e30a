/** A team made of policy files: who is played by which file. */
import { UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { suggestion } from "../core/suggest.js";
import type { EnvironmentSpec, GroupSpec } from "../env/contract.js";
import { importModel } from "../onnx/index.js";
import { importPolicy, OnnxPolicy } from "./foreign.js";
import type { BindingOptions } from "./foreign-options.js";
import type { Team, TeamMember } from "./team.js";

export interface PolicyFileInput {
  readonly bytes: Uint8Array;
  /** the file, for messages */
  readonly place: string;
  /** "all", groups or agents; null: the agents that the file's own metadata names, else all */
  readonly plays: string | readonly string[] | null;
  readonly options: BindingOptions;
}

/**
 * Policies from files, one for each set of agents of a group. A file that plays several groups is a policy of each.
 *
 * @throws UserError in one sentence for a file that cannot be read or does not fit whom it plays, for unknown agents,
 *   and for agents that are played by no file or by two
 */
export function importTeam(spec: EnvironmentSpec, files: readonly PolicyFileInput[]): Team {
  const members = files.flatMap((file) =>
    partsOf(spec, agentsOf(spec, file)).map(([group, agents]) => importMember(spec, group, agents, file)),
  );
  const agents = spec.groups.flatMap((g) => g.agents);
  for (const agent of agents) {
    const playing = members.filter((m) => m.agents.includes(agent)).map((m) => m.policy.config.file);
    if (playing.length > 1)
      throw new UserError(
        `agent "${agent}" of ${spec.id} is played by ${playing.join(" and ")}, expected one file.`,
      );
    if (playing.length === 0) {
      throw new UserError(
        `agent "${agent}" of ${spec.id} is played by no file; give one that plays it, as ${agent}=FILE.`,
      );
    }
  }
  return { environment: spec.id, members };
}

/**
 * @throws UserError naming file and operator, where a policy of the team has no gradient with respect to what it sees
 */
export function requireGradients(team: Team): void {
  for (const { policy } of team.members) if (policy instanceof OnnxPolicy) policy.requireGradient();
}

/** Names of the agents that a file plays. */
function agentsOf(spec: EnvironmentSpec, { plays, bytes, place }: PolicyFileInput): string[] {
  const all = spec.groups.flatMap((g) => g.agents);
  if (plays === null) {
    const own = importModel(bytes, place).metadata.agents?.split(",") ?? [];
    return own.length > 0 && own.every((agent) => all.includes(agent)) ? own : all;
  }
  return (typeof plays === "string" ? [plays] : plays).flatMap((who) => {
    if (who === "all") return all;
    const group = spec.groups.find((g) => g.name === who);
    if (group !== undefined) return [...group.agents];
    if (all.includes(who)) return [who];
    const known = [...new Set([...spec.groups.map((g) => g.name), ...all])];
    throw new UserError(
      `${place}: got "${who}", expected an agent or a group of ${spec.id}. ${suggestion(who, known)}`,
    );
  });
}

/** The agents by group, in the environment's order. */
function partsOf(spec: EnvironmentSpec, wanted: readonly string[]): [GroupSpec, string[]][] {
  return spec.groups.flatMap((group): [GroupSpec, string[]][] => {
    const agents = group.agents.filter((agent) => wanted.includes(agent));
    return agents.length === 0 ? [] : [[group, agents]];
  });
}

function importMember(
  spec: EnvironmentSpec,
  group: GroupSpec,
  agents: readonly string[],
  { bytes, place, options }: PolicyFileInput,
): TeamMember & { readonly policy: OnnxPolicy } {
  const isWhole = agents.length === group.agents.length;
  const target = {
    name: `${isWhole ? `group "${group.name}"` : agents.join(", ")} of ${spec.id}`,
    group,
  };
  const policy = importPolicy(bytes, place, target, options);
  // A file's weights are its own: no number is drawn.
  const parameters = policy.initialParameters(RandomStream.from(0, "import"));
  return { name: isWhole ? group.name : agents.join("+"), group: group.name, agents, policy, parameters };
}
