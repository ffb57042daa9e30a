/** Replays recordings of Pursuit (format: record/grid.md) and lists every difference. */
import { readFileSync } from "node:fs";
import { vi } from "vitest";
import type { NdArray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import type { Environment } from "../../src/env/contract.js";
import { createEnvironment } from "../../src/envs/registry.js";

export interface Episode {
  readonly kind: string;
  readonly init: {
    /** [P][2], [V][2] column, row */
    readonly pursuers: readonly number[][];
    readonly evaders: readonly number[][];
    /** [P] one character per number, 0-9 and a-z */
    readonly obs: readonly string[];
    readonly state: string;
  };
  readonly actions: readonly number[][];
  /** [T] what the evaders that were left drew, in order */
  readonly draws: readonly number[][];
  readonly pursuers: readonly number[][][];
  /** [T] those that are left */
  readonly evaders: readonly number[][][];
  readonly rewards: readonly number[][];
  readonly terminated: readonly number[];
  readonly truncated: readonly number[];
  readonly obs: readonly (readonly string[] | null)[];
  readonly state: readonly (string | null)[];
}

export interface Recording {
  readonly kwargs: Readonly<Record<string, number | boolean>>;
  readonly episodes: readonly Episode[];
}

export function load(name: string): Recording {
  return JSON.parse(
    readFileSync(new URL(`fixtures/pursuit/${name}.json`, import.meta.url), "utf8"),
  ) as Recording;
}

const NAMES: Readonly<Record<string, string>> = {
  x_size: "width",
  y_size: "height",
  n_pursuers: "pursuers",
  n_evaders: "evaders",
  obs_range: "obsRange",
  surround: "surround",
  n_catch: "catchers",
  tag_reward: "tagReward",
  catch_reward: "catchReward",
  urgency_reward: "urgencyReward",
  shared_reward: "sharedReward",
  freeze_evaders: "freezeEvaders",
  constraint_window: "constraintWindow",
  max_cycles: "maxCycles",
};

/** Our parameters for the original's arguments. */
export function parametersOf(kwargs: Recording["kwargs"]): Record<string, unknown> {
  const entries = Object.entries(kwargs).map(([name, value]) => {
    if (!(name in NAMES)) throw new Error(`no counterpart of "${name}"`);
    return [NAMES[name], value];
  });
  return Object.fromEntries(entries);
}

/** Overwrite the hidden state of a one-copy environment; evaders that are not given are caught. */
export function inject(
  environment: Environment,
  { pursuers, evaders }: Pick<Episode["init"], "pursuers" | "evaders">,
) {
  const state = environment.saveState!() as Record<string, NdArray<"int32">>;
  state.pursuers.data.set(pursuers.flat());
  state.evaders.data.fill(-1);
  state.evaders.data.set(evaders.flat());
  environment.loadState!(state);
}

/** Columns and rows of the first copy's pursuers, or evaders that are left. */
export function cellsOf(environment: Environment, team: "pursuers" | "evaders"): number[][] {
  const { data, shape } = (environment.saveState!() as Record<string, NdArray<"int32">>)[team];
  const cells = Array.from({ length: shape[1] }, (_, i) => [...data.subarray(2 * i, 2 * i + 2)]);
  return cells.filter(([x]) => x >= 0);
}

/** Evaders move as given in the next step, and nothing else is drawn in bulk. Undo with `vi.restoreAllMocks()`. */
export function nextDraws(draws: readonly number[]): void {
  vi.spyOn(RandomStream.prototype, "fillInts").mockImplementation((out, from, to) => {
    if (to - from !== draws.length) throw new Error(`${to - from} evaders move, recorded ${draws.length}`);
    out.set(draws, from);
  });
}

/** @returns a line for each difference; empty if the environment follows the recording. Rewards to 1e-12, all else exactly */
export async function replay(
  { kwargs }: Recording,
  episode: Episode,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const parameters = { ...parametersOf(kwargs), ...changes };
  const environment = await createEnvironment("pursuit", parameters, { copies: 1 });
  environment.reset(0);
  inject(environment, episode.init);
  const found: string[] = [];
  const same = (what: string, got: unknown, expected: unknown) => {
    const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
    if (a !== b) found.push(`${episode.kind}, ${what}: got ${a}, recorded ${b}`);
  };
  const digits = (numbers: Float32Array) => [...numbers].map((x) => x.toString(36)).join("");
  const { agents, obsSize: size } = environment.spec.groups[0];
  const seen = (obs: Float32Array) => agents.map((_, i) => digits(obs.subarray(i * size, (i + 1) * size)));

  same("t=0 obs", seen(environment.groups[0].obs), episode.init.obs);
  same("t=0 state", digits(environment.state), episode.init.state);
  for (const [t, actions] of episode.actions.entries()) {
    environment.groups[0].action.set(actions);
    nextDraws(episode.draws[t]);
    try {
      environment.step();
    } catch (error) {
      return [...found, `${episode.kind}, t=${t + 1}: ${(error as Error).message}`];
    } finally {
      vi.restoreAllMocks();
    }
    const place = `t=${t + 1}`;
    const ended = environment.ended.count === 1;
    same(
      `${place} flags`,
      [environment.terminated[0], environment.truncated[0]],
      [episode.terminated[t], episode.truncated[t]],
    );
    for (const [i, reward] of episode.rewards[t].entries()) {
      const got = environment.groups[0].reward[i];
      if (!(Math.abs(got - reward) <= 1e-12))
        found.push(`${episode.kind}, ${place} reward of ${i}: got ${got}, recorded ${reward}`);
    }
    const obs = episode.obs[t];
    if (obs !== null) {
      same(`${place} obs`, seen(ended ? environment.ended.obs[0] : environment.groups[0].obs), obs);
      same(`${place} state`, digits(ended ? environment.ended.state : environment.state), episode.state[t]);
    }
    // The copy that ended already shows its next episode.
    if (ended) break;
    same(`${place} pursuers`, cellsOf(environment, "pursuers"), episode.pursuers[t]);
    same(`${place} evaders`, cellsOf(environment, "evaders"), episode.evaders[t]);
  }
  return found;
}
