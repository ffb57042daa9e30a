/** What hand-written particle agents have in common: drive towards a point, and say a word. */

/** Seconds of the present velocity that are left out of the way still to go, so that agents arrive without swinging. */
const LEAD = 0.4;
/** Nearer than this agents stand still, in world units. */
const ARRIVED = 0.05;

/**
 * Writes the movement towards a point: the stronger of the two axes as a discrete action, both as a box.
 *
 * @param action [1] discrete (stay, left, right, down, up), or [5 …] how strongly each, in [0, 1]
 * @param dx where to, relative to the agent, in world units
 * @param vx velocity, in world units per second
 */
export function steer(
  action: Int32Array | Float32Array,
  dx: number,
  dy: number,
  vx: number,
  vy: number,
): void {
  const x = dx - LEAD * vx;
  const y = dy - LEAD * vy;
  if (action instanceof Float32Array) {
    const pull = (wish: number) => Math.min(1, Math.max(0, 2 * wish));
    action[1] = pull(-x);
    action[2] = pull(x);
    action[3] = pull(-y);
    action[4] = pull(y);
    return;
  }
  if (Math.hypot(x, y) < ARRIVED) action[0] = 0;
  else if (Math.abs(x) > Math.abs(y)) action[0] = x < 0 ? 1 : 2;
  else action[0] = y < 0 ? 3 : 4;
}

/**
 * Writes a word.
 * @param action [1] discrete, or [words] how strongly each, in [0, 1]
 */
export function say(action: Int32Array | Float32Array, word: number): void {
  if (action instanceof Float32Array) action[word] = 1;
  else action[0] = word;
}

/** Index of the largest of `size` numbers from `offset`, the lowest if tied; −1 if none is above 0. */
export function strongest(obs: Float32Array, offset: number, size: number): number {
  let best = -1;
  for (let k = 0; k < size; k++) if (obs[offset + k] > (best < 0 ? 0 : obs[offset + best])) best = k;
  return best;
}
