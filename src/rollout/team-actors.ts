import type { EnvironmentSpec } from "../env/contract.js";
import { type ActionMode, type Actor, PolicyActor, type Team, UniformActor } from "../policy/index.js";
import type { Runtime } from "../runtime/index.js";
import { seatsOf } from "./seats.js";

/** Actors that play a frozen team, and who holds which seat. */
export interface SeatedActors {
  readonly actors: readonly Actor[];
  /** [N] index into `actors` */
  readonly actorOfSeat: Int32Array;
}

/** One actor per member of the team; "uniform": random legal actions everywhere. */
export function seatTeam(
  runtime: Runtime,
  team: Team | "uniform",
  spec: EnvironmentSpec,
  mode: ActionMode,
): SeatedActors {
  const seats = seatsOf(spec);
  const actorOfSeat = new Int32Array(seats.count).fill(-1);
  if (team === "uniform") {
    seats.group.forEach((g, seat) => {
      actorOfSeat[seat] = g;
    });
    return { actors: spec.groups.map((g) => new UniformActor(`uniform/${g.name}`, g.action)), actorOfSeat };
  }
  const actors = team.members.map((member, index) => {
    for (const agent of member.agents) actorOfSeat[seats.names.indexOf(agent)] = index;
    return new PolicyActor(`team/${member.name}`, runtime, member.policy, member.parameters, mode);
  });
  return { actors, actorOfSeat };
}
