/** Seats: all agents of an environment in group order. */
import type { EnvironmentSpec } from "../env/contract.js";

export interface Seats {
  /** N */
  readonly count: number;
  /** agent name per seat */
  readonly names: readonly string[];
  /** group index per seat */
  readonly group: Int32Array;
  /** index of the agent within its group, per seat */
  readonly indexInGroup: Int32Array;
  /** first seat of each group */
  readonly offset: Int32Array;
}

export function seatsOf(spec: EnvironmentSpec): Seats {
  const names = spec.groups.flatMap((g) => [...g.agents]);
  const group = new Int32Array(names.length);
  const indexInGroup = new Int32Array(names.length);
  const offset = new Int32Array(spec.groups.length);
  let seat = 0;
  spec.groups.forEach((g, index) => {
    offset[index] = seat;
    g.agents.forEach((_, i) => {
      group[seat] = index;
      indexInGroup[seat] = i;
      seat++;
    });
  });
  return { count: names.length, names, group, indexInGroup, offset };
}

/** Seat numbers of agent names ("all": every seat), in seat order. Names must exist (`checkThreat`). */
export function seatsOfAgents(seats: Seats, agents: "all" | readonly string[]): number[] {
  if (agents === "all") return seats.names.map((_, seat) => seat);
  return seats.names.flatMap((name, seat) => (agents.includes(name) ? [seat] : []));
}
