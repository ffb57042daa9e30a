/** Parameters of Pursuit, and the spaces that follow from them. */
import { z } from "zod";
import type { EnvironmentSpec, GroupSpec } from "../../env/contract.js";
import { layout } from "../../env/features.js";

/** The five actions, in order; y grows downwards. */
export const ACTIONS = ["left", "right", "down", "up", "stay"] as const;
/** walls, pursuers, evaders */
export const CHANNELS = 3;

const size = z.int().min(2).max(500);

export const shape = {
  width: size.default(16).describe("columns of the map"),
  height: size.default(16).describe("rows of the map"),
  pursuers: z.int().min(1).default(8).describe("number of pursuers, the agents"),
  evaders: z.int().min(1).default(30).describe("number of evaders, which move at random"),
  obsRange: z.int().min(1).max(99).default(7).describe("side of the square that a pursuer sees"),
  surround: z
    .boolean()
    .default(true)
    .describe("catch by standing on all free sides of an evader; otherwise by standing in its cell"),
  catchers: z
    .int()
    .min(1)
    .default(2)
    .describe("pursuers in an evader's cell that catch it; without effect where they have to surround it"),
  tagReward: z.number().default(0.01).describe("for every evader beside a pursuer, at every substep"),
  catchReward: z.number().default(5).describe("for every pursuer that takes part in a catch"),
  urgencyReward: z.number().default(-0.1).describe("for every pursuer at every step"),
  sharedReward: z.boolean().default(true).describe("everybody gets the mean of all rewards"),
  freezeEvaders: z.boolean().default(false).describe("evaders stay where they are"),
  constraintWindow: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe("share of the map, in each direction, in which everybody starts"),
  maxCycles: z.int().min(1).default(500).describe("steps until an episode is truncated"),
};

export type Parameters = z.output<z.ZodObject<typeof shape>>;

/** Agents, spaces, features, metrics. */
export function describePursuit(id: string, p: Parameters): EnvironmentSpec {
  const high = Math.max(p.pursuers, p.evaders);
  const obsSize = p.obsRange * p.obsRange * CHANNELS;
  const stateSize = p.width * p.height * CHANNELS;
  const group: GroupSpec = {
    name: "pursuers",
    agents: Array.from({ length: p.pursuers }, (_, i) => `pursuer_${i}`),
    obsSize,
    features: layout([{ name: "window", size: obsSize, low: 0, high }]),
    action: { kind: "discrete", n: ACTIONS.length },
    hasActionMask: false,
    actionNames: ACTIONS,
  };
  return {
    id,
    groups: [group],
    stateSize,
    stateFeatures: layout([{ name: "map", size: stateSize, low: 0, high }]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["captures", "cleared"],
    capabilities: { saveState: true, frames: true },
  };
}
