import type { EnvironmentSpec, GroupSpec, Script } from "../env/contract.js";
import {
  type ActionMode,
  type Actor,
  PolicyActor,
  ScriptedActor,
  type Team,
  UniformActor,
} from "../policy/index.js";
import type { Runtime } from "../runtime/index.js";
import { seatsOf } from "./seats.js";

/** Actors that play a frozen team, and who holds which seat. */
export interface SeatedActors {
  readonly actors: readonly Actor[];
  /** [N] index into `actors` */
  readonly actorOfSeat: Int32Array;
}

/** Who can hold all seats: a team, a script of the environment, or random legal actions everywhere. */
export type Players = Team | Script | "uniform";

/** One actor per member of the team; scripts and random actions have one per group. */
export function seatTeam(
  runtime: Runtime,
  team: Players,
  spec: EnvironmentSpec,
  mode: ActionMode,
): SeatedActors {
  const seats = seatsOf(spec);
  const actorOfSeat = new Int32Array(seats.count).fill(-1);
  if (team === "uniform" || "act" in team) {
    seats.group.forEach((g, seat) => {
      actorOfSeat[seat] = g;
    });
    const actorOf = (group: GroupSpec): Actor =>
      team === "uniform"
        ? new UniformActor(`uniform/${group.name}`, group.action)
        : new ScriptedActor(`script/${group.name}`, group, team);
    return { actors: spec.groups.map(actorOf), actorOfSeat };
  }
  const actors = team.members.map((member, index) => {
    for (const agent of member.agents) actorOfSeat[seats.names.indexOf(agent)] = index;
    return new PolicyActor(`team/${member.name}`, runtime, member.policy, member.parameters, mode);
  });
  return { actors, actorOfSeat };
}
