/** A trained team, frozen: who is played by which parameters; its form on disk. */
import { ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { Json, SavedState } from "../core/saved-state.js";
import { isLeaf } from "../core/tree.js";
import type { EnvironmentSpec, Space } from "../env/contract.js";
import { nonFinitePosition } from "../runtime/index.js";
import { savedMembers } from "./config-schema.js";
import { createPolicy } from "./create.js";
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
  const { environment } = saved.meta;
  const parsed = savedMembers.safeParse(saved.meta.members);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new UserError(`${place}: holds no team (${["members", ...path].join(".")}: ${message}).`);
  }
  const loaded = parsed.data.map((member): TeamMember => {
    const { name, agents, policy: config } = member;
    const where = `${place}, member "${name}"`;
    const group = spec.groups.find((g) => g.name === member.group);
    if (group === undefined || !agents.every((a) => group.agents.includes(a))) {
      throw new UserError(
        `${place}: the team plays ${agents.join(", ")} of group "${member.group}" (trained on ${String(environment)}), which ${spec.id} does not have.`,
      );
    }
    if (config.obsSize !== group.obsSize) {
      throw new UserError(
        `${where}: got observations of ${config.obsSize} numbers, expected ${group.obsSize} for ${spec.id}.`,
      );
    }
    const sameActions =
      JSON.stringify(encodeSpace(config.space)) === JSON.stringify(encodeSpace(group.action));
    if (!sameActions || config.actionMask !== group.hasActionMask) {
      throw new UserError(`${where}: its actions are not those of ${spec.id}.`);
    }
    if (config.agentIds > 0 && config.agentIds !== group.agents.length) {
      throw new UserError(
        `${where}: got ids for ${config.agentIds} agents, expected ${group.agents.length} for ${spec.id}.`,
      );
    }
    const policy = createPolicy(config);
    return { ...member, policy, parameters: parametersOf(saved, name, policy.layout.size, where) };
  });
  const played = loaded.flatMap((m) => [...m.agents]);
  for (const agent of spec.groups.flatMap((g) => g.agents)) {
    const times = played.filter((a) => a === agent).length;
    if (times !== 1)
      throw new UserError(`${place}: agent "${agent}" is played ${times} times, expected once.`);
  }
  return { environment: String(environment), members: loaded };
}

function parametersOf(saved: SavedState, name: string, size: number, where: string): Float32Array {
  const leaf = isLeaf(saved.arrays) ? undefined : saved.arrays[name];
  const array = leaf !== undefined && isLeaf(leaf) ? leaf : undefined;
  if (array?.data.length !== size || array.dtype !== "float32") {
    const got = array === undefined ? "no" : `${array.data.length} ${array.dtype}`;
    throw new UserError(`${where}: got ${got} parameters, expected ${size} float32.`);
  }
  const bad = nonFinitePosition(array);
  if (bad >= 0)
    throw new UserError(`${where}: parameter ${bad} is ${array.data[bad]}, expected a finite number.`);
  return array.data as Float32Array;
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
