/** A trained team, frozen: who is played by which parameters; its form on disk. */
import { type NdArray, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { Json, SavedState } from "../core/saved-state.js";
import { isLeaf } from "../core/tree.js";
import type { EnvironmentSpec, Space } from "../env/contract.js";
import { createPolicy } from "./mlp.js";
import type { Policy, PolicyConfig } from "./policy.js";

/** One set of parameters and the agents that it plays. */
export interface TeamMember {
  /** Name of its files: the group where all its agents share, else the agent. */
  readonly name: string;
  readonly group: string;
  /** Agents of the group that it plays. */
  readonly agents: readonly string[];
  readonly policy: Policy;
  readonly parameters: Float32Array;
}

/** Members cover every agent of the environment exactly once. */
export interface Team {
  /** Environment id it was trained on. */
  readonly environment: string;
  readonly members: readonly TeamMember[];
}

/** The team as arrays and plain data. */
export function saveTeam(team: Team): SavedState {
  return {
    arrays: Object.fromEntries(
      team.members.map((m) => [m.name, ndarray("float32", [m.parameters.length], m.parameters.slice())]),
    ),
    meta: {
      environment: team.environment,
      members: team.members.map((m) => ({
        name: m.name,
        group: m.group,
        agents: [...m.agents],
        policy: encodeConfig(m.policy.config),
      })),
    },
  };
}

/**
 * @param place file name, for messages
 * @throws UserError if the saved team is of another environment or network, or is not a team at all
 */
export function loadTeam(saved: SavedState, spec: EnvironmentSpec, place: string): Team {
  const { members, environment } = saved.meta;
  if (!Array.isArray(members)) throw new UserError(`${place}: holds no team (no list of members).`);
  const loaded = (members as readonly Json[]).map((entry): TeamMember => {
    const member = entry as { name: string; group: string; agents: readonly string[]; policy: Json };
    const group = spec.groups.find((g) => g.name === member.group);
    if (group === undefined || !member.agents.every((a) => group.agents.includes(a))) {
      throw new UserError(
        `${place}: the team plays ${member.agents.join(", ")} of group "${member.group}" (trained on ${String(environment)}), which ${spec.id} does not have.`,
      );
    }
    const config = decodeConfig(member.policy);
    if (config.obsSize !== group.obsSize) {
      throw new UserError(
        `${place}, member "${member.name}": got observations of ${config.obsSize} numbers, expected ${group.obsSize} for ${spec.id}.`,
      );
    }
    if (JSON.stringify(encodeSpace(config.space)) !== JSON.stringify(encodeSpace(group.action))) {
      throw new UserError(`${place}, member "${member.name}": its actions are not those of ${spec.id}.`);
    }
    const policy = createPolicy(config);
    const leaf = isLeaf(saved.arrays) ? undefined : saved.arrays[member.name];
    const got = leaf === undefined || !isLeaf(leaf) ? 0 : leaf.data.length;
    if (got !== policy.layout.size) {
      throw new UserError(
        `${place}, member "${member.name}": got ${got} parameters, expected ${policy.layout.size}.`,
      );
    }
    return { ...member, policy, parameters: (leaf as NdArray<"float32">).data };
  });
  const played = loaded.flatMap((m) => [...m.agents]);
  for (const agent of spec.groups.flatMap((g) => g.agents)) {
    const times = played.filter((a) => a === agent).length;
    if (times !== 1)
      throw new UserError(`${place}: agent "${agent}" is played ${times} times, expected once.`);
  }
  return { environment: String(environment), members: loaded };
}

// JSON has no infinities, and unbounded boxes need them.
const encodeNumber = (x: number): Json => (Number.isFinite(x) ? x : x > 0 ? "Infinity" : "-Infinity");

function encodeSpace(space: Space): Json {
  return space.kind === "box"
    ? { kind: "box", low: space.low.map(encodeNumber), high: space.high.map(encodeNumber) }
    : (space as unknown as Json);
}

function encodeConfig(config: PolicyConfig): Json {
  return { ...config, space: encodeSpace(config.space) } as unknown as Json;
}

function decodeConfig(json: Json): PolicyConfig {
  const config = json as unknown as PolicyConfig;
  if (config.space.kind !== "box") return config;
  const { low, high } = config.space;
  return { ...config, space: { kind: "box", low: low.map(Number), high: high.map(Number) } };
}
