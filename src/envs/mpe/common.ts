/** What the particle scenarios share: physical parameters, movement actions, colours. */
import { z } from "zod";
import type { Space } from "../../env/contract.js";
import { box } from "../../env/spaces.js";

/** Steps a second of physical time has, force per unit of action, and so on: what a dynamics threat may change. */
export const physicsParameters = {
  damping: z.number().min(0).max(1).default(0.25).describe("share of the velocity lost per step"),
  dt: z.number().positive().max(1).default(0.1).describe("length of a step in seconds"),
  gain: z.number().min(0).default(5).describe("force per unit of a movement action"),
  maxSpeed: z.number().positive().nullable().default(null).describe("speed limit of agents; null: none"),
  mass: z.number().positive().default(1).describe("mass of an agent"),
};

export const episodeParameters = {
  maxCycles: z.int().min(1).default(25).describe("steps until an episode is truncated"),
  continuousActions: z.boolean().default(false).describe("box [0, 1] actions instead of discrete ones"),
};

/** The five movement actions, in order. */
export const MOVES = ["stay", "left", "right", "down", "up"] as const;

/** Direction of each movement action, looked up: no processor predicts random actions. */
const MOVE_X = Float64Array.of(0, -1, 1, 0, 0);
const MOVE_Y = Float64Array.of(0, 0, 0, -1, 1);

/** Movement: stay, left, right, down, up; as a box, how strongly each (the first has no effect). */
export function movementSpace(continuous: boolean): Space {
  return continuous ? box(5, 0, 1) : { kind: "discrete", n: 5 };
}

/**
 * Turn movement actions of one group into controls.
 *
 * @param action discrete [E, n], box [E, n, 5]
 * @param control [E, agents, 2]; entries of agents firstAgent … firstAgent + n − 1 are written
 * @param gain force per unit of action
 */
export function decodeMovement(
  action: Int32Array | Float32Array,
  control: Float64Array,
  copies: number,
  n: number,
  agents: number,
  firstAgent: number,
  gain: number,
): void {
  // Two loops, so that each stays specialised for one kind of array.
  if (action instanceof Int32Array) decodeMoves(action, control, copies, n, agents, firstAgent, gain);
  else decodeForces(action, control, copies, n, agents, firstAgent, gain);
}

function decodeMoves(
  action: Int32Array,
  control: Float64Array,
  copies: number,
  n: number,
  agents: number,
  firstAgent: number,
  gain: number,
): void {
  for (let e = 0, row = 0; e < copies; e++) {
    let k = (e * agents + firstAgent) * 2;
    for (let i = 0; i < n; i++, row++, k += 2) {
      const a = action[row];
      control[k] = MOVE_X[a] * gain;
      control[k + 1] = MOVE_Y[a] * gain;
    }
  }
}

function decodeForces(
  action: Float32Array,
  control: Float64Array,
  copies: number,
  n: number,
  agents: number,
  firstAgent: number,
  gain: number,
): void {
  for (let e = 0, a = 0; e < copies; e++) {
    let k = (e * agents + firstAgent) * 2;
    for (let i = 0; i < n; i++, a += 5, k += 2) {
      // MPE2 subtracts float32 action entries in float32.
      control[k] = Math.fround(action[a + 2] - action[a + 1]) * gain;
      control[k + 1] = Math.fround(action[a + 4] - action[a + 3]) * gain;
    }
  }
}

/** CSS colour of an MPE colour triple: the originals draw 200 times each channel. */
export function cssColor(red: number, green: number, blue: number): string {
  const channel = (x: number) => Math.min(255, Math.floor(200 * x));
  return `rgb(${channel(red)}, ${channel(green)}, ${channel(blue)})`;
}
