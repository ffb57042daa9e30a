/** What the particle scenarios share: parameters, and the price of leaving the field. */
import { z } from "zod";

/** What is the same for all bodies of a world. */
export const worldParameters = {
  damping: z.number().min(0).max(1).default(0.25).describe("share of the velocity lost per step"),
  dt: z.number().positive().max(1).default(0.1).describe("length of a step in seconds"),
  integration: z
    .literal(["positionFirst", "velocityFirst"])
    .default("positionFirst")
    .describe("whether an agent moves with its velocity before the step, as in MPE2, or after it"),
  mass: z.number().positive().default(1).describe("mass of an agent"),
};

/** Worlds in which all agents are alike. These, sizes and contacts are what a dynamics threat may change. */
export const physicsParameters = {
  ...worldParameters,
  gain: z.number().min(0).default(5).describe("force per unit of a movement action"),
  maxSpeed: z.number().positive().nullable().default(null).describe("speed limit of agents; null: none"),
};

/** Worlds of predator and prey: adversaries and good agents are driven apart. */
export const chaseParameters = {
  adversaryGain: z.number().min(0).default(3).describe("force per unit of a movement action of adversaries"),
  goodGain: z.number().min(0).default(4).describe("force per unit of a movement action of good agents"),
  adversaryMaxSpeed: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe("speed limit of adversaries; null: none"),
  goodMaxSpeed: z
    .number()
    .positive()
    .nullable()
    .default(1.3)
    .describe("speed limit of good agents; null: none"),
};

/** Worlds in which bodies push each other. */
export const contactParameters = {
  contactForce: z.number().min(0).default(100).describe("stiffness of contacts"),
  contactMargin: z.number().positive().default(0.001).describe("distance over which contact sets in"),
};

/** Constants of a world without contacts. */
export const NO_CONTACTS = { contactForce: 0, contactMargin: 1 };

export const episodeParameters = {
  maxCycles: z.int().min(1).default(25).describe("steps until an episode is truncated"),
  continuousActions: z.boolean().default(false).describe("box [0, 1] actions instead of discrete ones"),
};

export const pictureParameters = {
  dynamicRescaling: z
    .boolean()
    .default(true)
    .describe(
      "draw bodies at the scale of their positions; false: as large in wide pictures as in narrow ones",
    ),
};

/** Observation of the nearest only. */
export const neighborParameters = {
  landmarkNeighbors: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe("observe only this many nearest landmarks; null: all, in index order"),
  agentNeighbors: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe("observe only this many nearest agents; null: all, in index order"),
};

/** What leaving the field costs per coordinate: nothing below 0.9, then rising linearly, then exponentially, at most 10. */
export function bound(coordinate: number): number {
  const x = Math.abs(coordinate);
  if (x < 0.9) return 0;
  return x < 1 ? (x - 0.9) * 10 : Math.min(Math.exp(2 * x - 2), 10);
}
