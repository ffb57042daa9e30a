/** How to play Pursuit by hand. */
import type { Script } from "../../env/contract.js";
import { CHANNELS } from "./parameters.js";

const STAY = 4;
/** left, right, down, up: columns and rows */
const SIDE_X = [-1, 1, 0, 0];
const SIDE_Y = [0, 0, 1, -1];
/** Pursuers that one sees, itself included, to make a pack. */
const PACK = 4;
/** How often a pursuer does something at random. */
const STRAY = 0.1;
/** Steps that a side fewer is worth. */
const SIDE = 3;

/** Alone towards the upper left corner, where all meet; in a pack to a free side of the evader that has fewest left. */
export const hunt: Script = {
  summary:
    "meets the others in the upper left corner; a pack surrounds the evader with the fewest free sides",
  act({ group, obs, stream }, action) {
    if (stream.uniform() < STRAY) {
      action[0] = stream.int(SIDE_X.length);
      return;
    }
    const range = Math.sqrt(group.obsSize / CHANNELS);
    const middle = Math.floor((range - 1) / 2);
    let pack = 0;
    for (let k = 1; k < obs.length; k += CHANNELS) pack += obs[k];
    const alone = pack < PACK;
    let best = Number.POSITIVE_INFINITY;
    let [right, down] = alone ? [-range, -range] : [0, 0];
    for (let y = 0; y < range; y++) {
      for (let x = 0; x < range; x++) {
        if (obs[(y * range + x) * CHANNELS + 2] === 0) continue;
        let free = 0;
        let nearest = Number.POSITIVE_INFINITY;
        let side = 0;
        for (let a = 0; a < SIDE_X.length; a++) {
          const [u, v] = [x + SIDE_X[a], y + SIDE_Y[a]];
          if (!isFree(obs, range, u, v, middle)) continue;
          const distance = Math.abs(u - middle) + Math.abs(v - middle);
          if (distance < nearest) side = a;
          nearest = Math.min(nearest, distance);
          free++;
        }
        if (free === 0 || (alone && free > 2) || SIDE * free + nearest >= best) continue;
        best = SIDE * free + nearest;
        [right, down] = [x + SIDE_X[side] - middle, y + SIDE_Y[side] - middle];
      }
    }
    const horizontal = right < 0 ? 0 : 1;
    const vertical = down < 0 ? 3 : 2;
    const first = Math.abs(right) > Math.abs(down) ? horizontal : vertical;
    const second = first === vertical ? horizontal : vertical;
    const opens = (a: number) => {
      const wanted = a === horizontal ? right !== 0 : down !== 0;
      return wanted && !isWall(obs, range, middle + SIDE_X[a], middle + SIDE_Y[a]);
    };
    action[0] = opens(first) ? first : opens(second) ? second : STAY;
  },
};

/** What is not seen counts as wall. */
function isWall(obs: Float32Array, range: number, x: number, y: number): boolean {
  return x < 0 || y < 0 || x >= range || y >= range || obs[(y * range + x) * CHANNELS] === 1;
}

/** Whether nobody stands in a cell but, in the middle, the pursuer itself, which is not in its own way. */
function isFree(obs: Float32Array, range: number, x: number, y: number, middle: number): boolean {
  if (isWall(obs, range, x, y)) return false;
  return obs[(y * range + x) * CHANNELS + 1] === (x === middle && y === middle ? 1 : 0);
}
