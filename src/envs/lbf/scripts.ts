/** How to play Level-Based Foraging by hand. */
import type { Script, ScriptMoment } from "../../env/contract.js";

const [NORTH, SOUTH, WEST, EAST, LOAD] = [1, 2, 3, 4, 5];
/** How often a player does something at random, so that two who block each other part. */
const STRAY = 0.1;

/** Everybody to the first food that it sees: where all see the whole field, to the same one. */
export const gather: Script = {
  summary: "everybody walks to the food that comes first from the top and loads it",
  act(moment, action) {
    const { actionMask, stream } = moment;
    const food = firstFood(moment);
    const allowed = (a: number) => actionMask === null || actionMask[a] === 1;
    if (food === null || stream.uniform() < STRAY) {
      const options = [NORTH, SOUTH, WEST, EAST].filter(allowed);
      if (options.length > 0) action[0] = options[stream.int(options.length)];
      return;
    }
    const [down, right] = food;
    if (Math.abs(down) + Math.abs(right) === 1) {
      action[0] = LOAD;
      return;
    }
    const vertical = down > 0 ? SOUTH : NORTH;
    const horizontal = right > 0 ? EAST : WEST;
    const wishes = Math.abs(down) > Math.abs(right) ? [vertical, horizontal] : [horizontal, vertical];
    action[0] = wishes.find(allowed) ?? 0;
  },
};

/** Rows and columns from the player to the first food that it sees; null if it sees none. */
function firstFood({ group, obs }: ScriptMoment): readonly [down: number, right: number] | null {
  const offset = (name: string) => group.features.find((feature) => feature.name === name)?.offset;
  const map = group.features.find(({ name }) => name === "foodMap");
  if (map !== undefined) {
    const side = Math.sqrt(map.size);
    const at = obs.subarray(map.offset, map.offset + map.size).findIndex((level) => level > 0);
    const middle = (side - 1) / 2;
    return at < 0 ? null : [Math.floor(at / side) - middle, (at % side) - middle];
  }
  const food = offset("food_0/cell")!;
  const self = offset("self/cell")!;
  return obs[food] < 0 ? null : [obs[food] - obs[self], obs[food + 1] - obs[self + 1]];
}
