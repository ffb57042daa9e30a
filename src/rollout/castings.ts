/** The castings that most trainings and evaluations need. */
import type { CastFunction } from "./types.js";

/**
 * Every seat held by its actor in every episode, nobody hijacked.
 * @param actorOfSeat [N] actor index per seat
 */
export function fixedCasting(actorOfSeat: ArrayLike<number>): CastFunction {
  return (copy, _episode, _stream, casting) => {
    const N = actorOfSeat.length;
    for (let seat = 0; seat < N; seat++) {
      casting.controller[copy * N + seat] = actorOfSeat[seat]!;
      casting.hijacker[copy * N + seat] = -1;
    }
  };
}

/**
 * The seats of the set are hijacked together, in a share of the episodes.
 * @param actorOfSeat [N] who holds each seat
 * @param hijackerOfSeat [N] who may take it over, −1 for none
 * @param share probability per episode, asked at every episode start (it may change during training)
 */
export function hijackCasting(
  actorOfSeat: ArrayLike<number>,
  hijackerOfSeat: ArrayLike<number>,
  share: () => number = () => 1,
): CastFunction {
  return (copy, _episode, stream, casting) => {
    const N = actorOfSeat.length;
    const hijacked = stream.uniform() < share();
    for (let seat = 0; seat < N; seat++) {
      casting.controller[copy * N + seat] = actorOfSeat[seat]!;
      casting.hijacker[copy * N + seat] = hijacked ? hijackerOfSeat[seat]! : -1;
    }
  };
}

/**
 * Every seat held by its actor; a share of the episodes is attacked through observations, with a scaled radius.
 * @param share probability per episode that the observation threat acts
 * @param scale factor in [0, 1] on its radius, asked at every episode start
 */
export function perturbCasting(
  actorOfSeat: ArrayLike<number>,
  share: () => number,
  scale: () => number,
): CastFunction {
  const seats = fixedCasting(actorOfSeat);
  return (copy, episode, stream, casting) => {
    seats(copy, episode, stream, casting);
    casting.attackScale[copy] = stream.uniform() < share() ? scale() : 0;
  };
}
