/**
 * The physics of a sumo match between two discs: driven, dragged, shaken, and pushed off each other by elastic,
 * frictionless contact. Own design.
 *
 *   v_i ← v_i + dt (F u_i + σ ξ_i − c v_i),   p_i ← p_i + dt v_i
 *   in contact (d < 2r, n from disc 0 to disc 1): the normal velocities of approaching discs are exchanged, and both are
 *   moved apart along n until they touch
 */

export interface MatchConstants {
  /** seconds per step */
  readonly dt: number;
  /** F: force of full drive */
  readonly force: number;
  /** σ: standard deviation of the random force, per disc and component */
  readonly noise: number;
  /** c: drag per unit of velocity */
  readonly drag: number;
  /** r */
  readonly discRadius: number;
}

/** Centres nearer than this have no direction between them; the x axis stands in. */
const COINCIDENT = 1e-12;

/**
 * One step of one match. Disc 0 has the entries at, at + 1 (x, y), disc 1 the next two.
 *
 * @param position moved in place: position[at … at + 4)
 * @param velocity changed in place: velocity[at … at + 4)
 * @param drive [4] u of both discs, each of length ≤ 1
 * @param shake [4] ξ of both discs, standard normal
 */
export function stepMatch(
  position: Float64Array,
  velocity: Float64Array,
  at: number,
  drive: Float64Array,
  shake: Float64Array,
  { dt, force, noise, drag, discRadius }: MatchConstants,
): void {
  for (let k = 0; k < 4; k++) {
    velocity[at + k] += dt * (force * drive[k] + noise * shake[k] - drag * velocity[at + k]);
    position[at + k] += dt * velocity[at + k];
  }
  const dx = position[at + 2] - position[at];
  const dy = position[at + 3] - position[at + 1];
  const d = Math.sqrt(dx * dx + dy * dy);
  if (d >= 2 * discRadius) return;
  const nx = d < COINCIDENT ? 1 : dx / d;
  const ny = d < COINCIDENT ? 0 : dy / d;
  const w = (velocity[at + 2] - velocity[at]) * nx + (velocity[at + 3] - velocity[at + 1]) * ny;
  if (w < 0) {
    velocity[at] += w * nx;
    velocity[at + 1] += w * ny;
    velocity[at + 2] -= w * nx;
    velocity[at + 3] -= w * ny;
  }
  const apart = discRadius - d / 2;
  position[at] -= apart * nx;
  position[at + 1] -= apart * ny;
  position[at + 2] += apart * nx;
  position[at + 3] += apart * ny;
}
