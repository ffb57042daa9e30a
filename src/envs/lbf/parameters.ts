/** Parameters of Level-Based Foraging, what they make impossible, and the spaces that follow from them. */
import { z } from "zod";
import { UserError } from "../../core/errors.js";
import type { EnvironmentSpec, GroupSpec } from "../../env/contract.js";
import { concatenatedObsFeatures, type FeatureInput, layout, sizeOfFeatures } from "../../env/features.js";

/** The six actions, in order. */
export const ACTIONS = ["none", "north", "south", "west", "east", "load"] as const;

const level = z.int().min(1).max(10_000);
const levels = z.union([level, z.array(level)]);
const size = z.int().min(3).max(1000);

export const shape = {
  rows: size.default(8).describe("rows of the field"),
  cols: size.default(8).describe("columns of the field"),
  players: z.int().min(1).default(2).describe("number of players"),
  food: z.int().min(1).default(3).describe("foods that are laid out at the start, if they find room"),
  minPlayerLevel: levels.default(1).describe("least level of a player; a list has one for each"),
  maxPlayerLevel: levels.default(2).describe("greatest level of a player; a list has one for each"),
  minFoodLevel: levels.default(1).describe("least level of a food; a list has one for each"),
  maxFoodLevel: levels
    .nullable()
    .default(null)
    .describe("greatest level of a food; a list has one for each; null: the three lowest players together"),
  forceCoop: z.boolean().default(false).describe("every food has the greatest level that it can have"),
  sight: z
    .int()
    .min(1)
    .max(1000)
    .nullable()
    .default(null)
    .describe("cells that a player sees in every direction; null: the whole field"),
  maxEpisodeSteps: z.int().min(1).default(50).describe("steps until an episode ends"),
  normalizeReward: z.boolean().default(true).describe("rewards of an episode add up to at most 1"),
  penalty: z.number().min(0).default(0).describe("cost of loading in vain, for each who did"),
  gridObservation: z.boolean().default(false).describe("observe maps around the player instead of lists"),
  observeAgentLevels: z.boolean().default(true).describe("observe the levels of players"),
  rules: z
    .enum(["v3", "batpal"])
    .default("v3")
    .describe(
      "v3: nobody enters a cell that several claim; batpal: the first of them does, and foods stay below the greatest level",
    ),
  sharedReward: z.boolean().default(false).describe("everybody gets the sum of all rewards"),
  timeLimitAs: z
    .enum(["truncated", "terminated"])
    .default("truncated")
    .describe("what reaching maxEpisodeSteps is; the original calls it terminated"),
  actionMask: z.boolean().default(true).describe("show which actions have an effect"),
  globalState: z
    .enum(["observations", "field"])
    .default("observations")
    .describe("all observations, or all foods and players in absolute cells"),
};

export type Parameters = z.output<z.ZodObject<typeof shape>>;

/** Range of levels of one player or food. */
export interface LevelRange {
  readonly min: number;
  readonly max: number;
}

/** What follows from the parameters, worked out once. */
export interface Layout {
  /** sight, the whole field being max(rows, cols) */
  readonly sight: number;
  readonly playerLevels: readonly LevelRange[];
  /** null: the maximum is the sum of the three lowest player levels of the episode */
  readonly foodLevels: readonly LevelRange[] | null;
  /** minimum level per food where `foodLevels` is null */
  readonly minFoodLevels: readonly number[];
  /** no food and no player can exceed these */
  readonly maxFoodLevel: number;
  readonly maxPlayerLevel: number;
}

/**
 * Work out ranges and refuse what cannot be.
 *
 * @param id for messages
 * @throws UserError in one sentence: more food or players than find room, lists of the wrong length, empty ranges
 */
export function layOut(id: string, p: Parameters): Layout {
  const refuse = (name: keyof Parameters, expected: string): never => {
    throw new UserError(`${id}, parameter "${name}": got ${JSON.stringify(p[name])}, expected ${expected}.`);
  };
  const cells = p.rows * p.cols;
  // A food keeps all others out of reach of two steps, so each has a cross of five cells to itself (spawn rule).
  const room = Math.floor((cells - 4) / 5);
  if (p.food > room) refuse("food", `at most ${room} on a field of ${p.rows} × ${p.cols} cells`);
  if (p.players > cells / 2) {
    refuse(
      "players",
      `at most ${Math.floor(cells / 2)} on a field of ${p.rows} × ${p.cols} cells (half of them)`,
    );
  }
  const list = (name: keyof Parameters, value: number | readonly number[], n: number): readonly number[] => {
    if (typeof value === "number") return Array<number>(n).fill(value);
    if (value.length !== n) refuse(name, `one level, or a list of ${n}`);
    return value;
  };
  const minPlayer = list("minPlayerLevel", p.minPlayerLevel, p.players);
  const maxPlayer = list("maxPlayerLevel", p.maxPlayerLevel, p.players);
  const minFood = list("minFoodLevel", p.minFoodLevel, p.food);
  const maxFood = p.maxFoodLevel === null ? null : list("maxFoodLevel", p.maxFoodLevel, p.food);
  if (minPlayer.some((min, i) => min > maxPlayer[i])) refuse("minPlayerLevel", "at most maxPlayerLevel");
  if (maxFood !== null && minFood.some((min, k) => min > maxFood[k]))
    refuse("minFoodLevel", "at most maxFoodLevel");
  // With forceCoop the least level has no effect.
  const reachable = lowestThree(minPlayer);
  if (maxFood === null && !p.forceCoop && minFood.some((min) => min > reachable)) {
    refuse(
      "minFoodLevel",
      `at most ${reachable}, what the three lowest players can be sure to lift together`,
    );
  }
  return {
    sight: p.sight ?? Math.max(p.rows, p.cols),
    playerLevels: minPlayer.map((min, i) => ({ min, max: maxPlayer[i] })),
    foodLevels: maxFood?.map((max, k) => ({ min: p.forceCoop ? max : minFood[k], max })) ?? null,
    minFoodLevels: minFood,
    maxFoodLevel: maxFood === null ? lowestThree(maxPlayer) : Math.max(...maxFood),
    maxPlayerLevel: Math.max(...maxPlayer),
  };
}

/** Sum of the three smallest (all, if fewer). */
function lowestThree(values: readonly number[]): number {
  return [...values]
    .sort((a, b) => a - b)
    .slice(0, 3)
    .reduce((a, b) => a + b, 0);
}

/** Agents, spaces, features, metrics. */
export function describeForaging(id: string, p: Parameters, { sight, ...max }: Layout): EnvironmentSpec {
  const features = layout(p.gridObservation ? gridFeatures(p, sight, max) : listFeatures(p, max));
  const group: GroupSpec = {
    name: "players",
    agents: Array.from({ length: p.players }, (_, i) => `player_${i}`),
    obsSize: sizeOfFeatures(features),
    features,
    action: { kind: "discrete", n: ACTIONS.length },
    hasActionMask: p.actionMask,
    ...(p.actionMask ? { maskedAction: 0 } : {}),
    actionNames: ACTIONS,
  };
  const stateFeatures =
    p.globalState === "field" ? layout(fieldFeatures(p, max)) : concatenatedObsFeatures([group]);
  return {
    id,
    groups: [group],
    stateSize: sizeOfFeatures(stateFeatures),
    stateFeatures,
    maxSteps: p.maxEpisodeSteps,
    turnBased: false,
    episodeMetrics: ["collected", "foods", "failedLoads"],
    capabilities: { saveState: true, frames: true },
  };
}

type Greatest = Pick<Layout, "maxFoodLevel" | "maxPlayerLevel">;

function cell(name: string, { rows, cols }: Parameters): FeatureInput {
  return { name: `${name}/cell`, size: 2, low: -1, high: Math.max(rows, cols) - 1 };
}

function fieldFeatures(p: Parameters, { maxFoodLevel, maxPlayerLevel }: Greatest): FeatureInput[] {
  const one = (name: string, high: number) => [
    cell(name, p),
    { name: `${name}/level`, size: 1, low: 0, high },
  ];
  return [
    ...Array.from({ length: p.food }, (_, k) => one(`food_${k}`, maxFoodLevel)).flat(),
    ...Array.from({ length: p.players }, (_, i) => one(`player_${i}`, maxPlayerLevel)).flat(),
  ];
}

/** Lists: foods, self, others. */
function listFeatures(p: Parameters, { maxFoodLevel, maxPlayerLevel }: Greatest): FeatureInput[] {
  const foods = Array.from({ length: p.food }, (_, k) => [
    cell(`food_${k}`, p),
    { name: `food_${k}/level`, size: 1, low: 0, high: maxFoodLevel },
  ]);
  const names = ["self", ...Array.from({ length: p.players - 1 }, (_, j) => `other_${j}`)];
  const players = names.map((name) => [
    cell(name, p),
    { name: `${name}/level`, size: p.observeAgentLevels ? 1 : 0, low: 0, high: maxPlayerLevel },
  ]);
  return [...foods, ...players].flat();
}

/** Maps around the player: (2·sight + 1)² cells each, row by row. */
function gridFeatures(
  p: Parameters,
  sight: number,
  { maxFoodLevel, maxPlayerLevel }: Greatest,
): FeatureInput[] {
  const size = (2 * sight + 1) ** 2;
  return [
    { name: "playerMap", size, low: 0, high: p.observeAgentLevels ? maxPlayerLevel : 1 },
    { name: "foodMap", size, low: 0, high: maxFoodLevel },
    { name: "freeMap", size, low: 0, high: 1 },
  ];
}
