/** Replays recordings of Level-Based Foraging (format: record/grid.md) and lists every difference. */
import { readFileSync } from "node:fs";
import type { NdArray } from "../../src/core/array.js";
import type { Environment } from "../../src/env/contract.js";
import { createEnvironment } from "../../src/envs/registry.js";

export interface Episode {
  readonly kind: string;
  readonly init: {
    /** [P][3], [F][3] row, column, level */
    readonly players: readonly number[][];
    readonly food: readonly number[][];
    readonly spawned: number;
    /** [P] bit a is set where action a has an effect */
    readonly masks: readonly number[];
    readonly obs: readonly Nested[];
  };
  readonly actions: readonly number[][];
  readonly positions: readonly number[][][];
  /** null: as after the step before */
  readonly food: readonly (number[][] | null)[];
  readonly masks: readonly number[][];
  readonly rewards: readonly number[][];
  readonly done: readonly number[];
  readonly obs: readonly (readonly Nested[] | null)[];
}

/** Lists, or maps [3][side][side]. */
type Nested = readonly (number | Nested)[];

export interface Recording {
  readonly package: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly episodes: readonly Episode[];
}

export function load(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`fixtures/lbf/${name}.json`, import.meta.url), "utf8")) as Recording;
}

const NAMES: Readonly<Record<string, string>> = {
  players: "players",
  max_num_food: "food",
  max_food: "food",
  min_player_level: "minPlayerLevel",
  max_player_level: "maxPlayerLevel",
  min_food_level: "minFoodLevel",
  max_food_level: "maxFoodLevel",
  sight: "sight",
  force_coop: "forceCoop",
  max_episode_steps: "maxEpisodeSteps",
  normalize_reward: "normalizeReward",
  penalty: "penalty",
  grid_observation: "gridObservation",
  observe_agent_levels: "observeAgentLevels",
};

/** Our parameters for the original's arguments. */
export function parametersOf({ package: source, kwargs }: Recording): Record<string, unknown> {
  const out: Record<string, unknown> = { timeLimitAs: "terminated" };
  if (source.endsWith("BATPAL"))
    Object.assign(out, { rules: "batpal", sharedReward: true, maxPlayerLevel: 3 });
  for (const [name, value] of Object.entries(kwargs)) {
    if (name === "field_size")
      [out.rows, out.cols] = typeof value === "number" ? [value, value] : (value as number[]);
    else if (name in NAMES) out[NAMES[name]] = value;
    else throw new Error(`no counterpart of "${name}"`);
  }
  return out;
}

/** Overwrite the hidden state of a one-copy environment. */
export function inject(
  environment: Environment,
  { players, food, spawned }: Pick<Episode["init"], "players" | "food"> & { readonly spawned?: number },
): void {
  const state = environment.saveState!() as Record<string, NdArray<"int32">>;
  state.players.data.set(players.flat());
  state.food.data.fill(0);
  state.food.data.set(food.flat());
  state.spawned.data[0] = spawned ?? food.reduce((sum, [, , level]) => sum + level, 0);
  environment.loadState!(state);
}

/** Foods of the first copy that are there, as row, column, level. */
export function foodOf(environment: Environment): number[][] {
  const { food } = environment.saveState!() as Record<string, NdArray<"int32">>;
  const rows = Array.from({ length: food.shape[1] }, (_, k) => [...food.data.subarray(3 * k, 3 * k + 3)]);
  return rows.filter(([, , level]) => level > 0);
}

/** Rows and columns of the first copy's players. */
export function positionsOf(environment: Environment): number[][] {
  const { players } = environment.saveState!() as Record<string, NdArray<"int32">>;
  return Array.from({ length: players.shape[1] }, (_, i) => [...players.data.subarray(3 * i, 3 * i + 2)]);
}

export function masksOf(environment: Environment): number[] {
  const mask = environment.groups[0].actionMask!;
  return environment.spec.groups[0].agents.map((_, i) =>
    [0, 1, 2, 3, 4, 5].reduce((bits, a) => bits | (mask[6 * i + a] << a), 0),
  );
}

/** @returns a line for each difference; empty if the environment follows the recording. Rewards to 1e-15, all else exactly */
export async function replay(
  recording: Recording,
  episode: Episode,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const parameters = { ...parametersOf(recording), ...changes };
  const environment = await createEnvironment("lbf/foraging", parameters, { copies: 1 });
  environment.reset(0);
  inject(environment, episode.init);
  const found: string[] = [];
  const same = (what: string, got: unknown, expected: unknown) => {
    const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
    if (a !== b) found.push(`${episode.kind}, ${what}: got ${a}, recorded ${b}`);
  };
  const size = environment.spec.groups[0].obsSize;
  const seen = (obs: Float32Array) =>
    environment.spec.groups[0].agents.map((_, i) => [...obs.subarray(i * size, (i + 1) * size)]);
  const flat = (obs: readonly Nested[]) => obs.map((one) => one.flat(3));

  same("t=0 masks", masksOf(environment), episode.init.masks);
  same("t=0 obs", seen(environment.groups[0].obs), flat(episode.init.obs));
  let food = episode.init.food;
  for (const [t, actions] of episode.actions.entries()) {
    environment.groups[0].action.set(actions);
    environment.step();
    const place = `t=${t + 1}`;
    const ended = environment.ended.count === 1;
    same(`${place} done`, environment.terminated[0], episode.done[t]);
    for (const [i, reward] of episode.rewards[t].entries()) {
      const got = environment.groups[0].reward[i];
      if (!(Math.abs(got - reward) <= 1e-15))
        found.push(`${place} reward of ${i}: got ${got}, recorded ${reward}`);
    }
    const obs = episode.obs[t];
    if (obs !== null)
      same(`${place} obs`, seen(ended ? environment.ended.obs[0] : environment.groups[0].obs), flat(obs));
    // The copy that ended already shows its next episode.
    if (ended) break;
    food = episode.food[t] ?? food;
    same(`${place} positions`, positionsOf(environment), episode.positions[t]);
    same(`${place} food`, foodOf(environment), food);
    same(`${place} masks`, masksOf(environment), episode.masks[t]);
  }
  return found;
}
