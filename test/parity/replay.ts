/** Replays recordings of MPE2 (format: record/README.md) and lists every difference. */
import { readFileSync } from "node:fs";
import type { NdArray } from "../../src/core/array.js";
import type { Environment } from "../../src/env/contract.js";
import { createEnvironment } from "../../src/envs/registry.js";

export interface Episode {
  readonly kind: string;
  readonly curriculumStage?: number;
  readonly init: {
    readonly p_pos: readonly number[][];
    readonly p_vel: readonly number[][];
    readonly c: readonly number[][];
    /** index of a landmark, or of one per agent */
    readonly goal?: number | readonly number[];
    readonly key?: number;
    readonly obs: readonly number[][];
  };
  readonly actions: readonly (number | number[])[][];
  readonly p_pos: readonly number[][][];
  readonly p_vel: readonly number[][][];
  readonly c?: readonly number[][][];
  readonly rewards: readonly number[][];
  readonly terminated: readonly number[];
  readonly truncated: readonly number[];
  readonly obs: readonly (number[][] | null)[];
  /** [T][n] (reward, collisions, sum of least distances, covered landmarks) of spread */
  readonly info?: readonly number[][][];
}

export interface Recording {
  readonly env: string;
  readonly kwargs: Readonly<Record<string, number | boolean>>;
  readonly agents: readonly string[];
  readonly episodes: readonly Episode[];
}

export type Mode = "roll-out" | "one-step";

export function load(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`fixtures/mpe/${name}.json`, import.meta.url), "utf8")) as Recording;
}

const PARAMETER_NAMES: Readonly<Record<string, string>> = {
  N: "agents",
  local_ratio: "localRatio",
  max_cycles: "maxCycles",
  continuous_actions: "continuousActions",
  num_good: "good",
  num_adversaries: "adversaries",
  num_obstacles: "obstacles",
  num_food: "food",
  num_forests: "forests",
  terminate_on_success: "terminateOnSuccess",
  num_agent_neighbors: "agentNeighbors",
  num_landmark_neighbors: "landmarkNeighbors",
};

/** Our names for the original's arguments; `curriculum` and `benchmark_data` have no counterpart. */
export function parametersOf(recording: Recording, episode: Episode): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(recording.kwargs)) {
    if (name in PARAMETER_NAMES) out[PARAMETER_NAMES[name]] = value;
  }
  if (episode.curriculumStage !== undefined) out.curriculumStage = episode.curriculumStage;
  return out;
}

/**
 * Tolerances. Roll-out: 1e-9 + 1e-9·|x|; contacts are stiff, so that the rounding of exp and log1p, which differs
 * between C libraries, grows from step to step. One step from the recorded state: 1e-12. Observations are float32:
 * one unit in the last place of the rounded recording, plus the state's own tolerance.
 */
const TOLERANCE: Readonly<Record<Mode, number>> = { "roll-out": 1e-9, "one-step": 1e-12 };

/** @returns a line for each difference; empty if the environment follows the recording */
export async function replay(
  recording: Recording,
  episode: Episode,
  mode: Mode,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const parameters = { ...parametersOf(recording, episode), ...changes };
  const environment = await createEnvironment(`mpe/${recording.env}`, parameters, { copies: 1 });
  environment.reset(0);
  const found: string[] = [];
  const expectNear = (what: string, got: number, expected: number, tolerance: number) => {
    if (!(Math.abs(got - expected) <= tolerance))
      found.push(`${episode.kind}, ${what}: got ${got}, recorded ${expected}`);
  };
  const near = (what: string, got: ArrayLike<number>, expected: readonly number[]) => {
    if (got.length < expected.length)
      found.push(`${what}: ${got.length} values, recorded ${expected.length}`);
    for (const [k, x] of expected.entries())
      expectNear(`${what}[${k}]`, got[k], x, TOLERANCE[mode] * (1 + Math.abs(x)));
  };
  const sees = (what: string, got: readonly number[][], expected: readonly number[][]) => {
    for (const [i, row] of expected.entries()) {
      if (got[i].length !== row.length)
        found.push(`${what}: agent ${i} has ${got[i].length} values, recorded ${row.length}`);
      for (const [k, x] of row.entries()) {
        expectNear(
          `${what}, agent ${i}[${k}]`,
          got[i][k],
          Math.fround(x),
          ulp(x) + TOLERANCE[mode] * (1 + Math.abs(x)),
        );
      }
    }
  };

  const { init } = episode;
  inject(environment, 0, init, init.p_pos.flat(), init.p_vel.flat(), init.c.flat());
  sees("t=0 obs", observations(environment, false), init.obs);
  for (const [t, actions] of episode.actions.entries()) {
    if (mode === "one-step" && t > 0) {
      const position = [...episode.p_pos[t - 1].flat(), ...init.p_pos.slice(recording.agents.length).flat()];
      const said = episode.c?.[t - 1].flat() ?? [];
      inject(environment, t, init, position, episode.p_vel[t - 1].flat(), said);
    }
    act(environment, actions);
    environment.step();
    const place = `t=${t + 1}`;
    const ended = episode.terminated[t] + episode.truncated[t] > 0;
    const flags = `${environment.terminated[0]}, ${environment.truncated[0]}`;
    const recorded = `${episode.terminated[t]}, ${episode.truncated[t]}`;
    if (flags !== recorded) found.push(`${episode.kind}, ${place} flags: got ${flags}, recorded ${recorded}`);
    near(
      `${place} reward`,
      environment.groups.flatMap((g) => [...g.reward]),
      episode.rewards[t],
    );
    const obs = episode.obs[t];
    if (obs !== null && environment.ended.count === (ended ? 1 : 0))
      sees(`${place} obs`, observations(environment, ended), obs);
    // The copy that ended already shows its next episode.
    if (ended) break;
    const state = environment.saveState!() as Record<string, NdArray<"float64">>;
    near(`${place} position`, state.position.data, episode.p_pos[t].flat());
    // Where nobody moves there are no velocities.
    if (state.velocity !== undefined) near(`${place} velocity`, state.velocity.data, episode.p_vel[t].flat());
    if (episode.c !== undefined) {
      const { message } = state;
      near(`${place} message`, message.data, episode.c[t].flat().slice(0, message.data.length));
    }
  }
  return found;
}

/** Overwrite the hidden state of a one-copy environment. */
function inject(
  environment: Environment,
  elapsed: number,
  { goal, key }: Episode["init"],
  position: readonly number[],
  velocity: readonly number[],
  said: readonly number[],
): void {
  const state = environment.saveState!() as Record<string, NdArray<"float64">>;
  state["environment.elapsed"].data[0] = elapsed;
  state.position.data.set(position);
  state.velocity?.data.set(velocity);
  if (goal !== undefined) state.goal.data.set([goal].flat());
  if (key !== undefined) state.key.data[0] = key;
  // Those who speak come first in every scenario; the others' zeros are cut off.
  if (state.message !== undefined) state.message.data.set(said.slice(0, state.message.data.length));
  environment.loadState!(state);
}

/** Recorded actions; the original clips continuous ones to [0, 1], here the caller does. */
function act(environment: Environment, actions: Episode["actions"][number]): void {
  let agent = 0;
  for (const [g, group] of environment.spec.groups.entries()) {
    const flat = actions.slice(agent, agent + group.agents.length).flat();
    environment.groups[g].action.set(
      group.action.kind === "box" ? flat.map((x) => Math.min(Math.max(x, 0), 1)) : flat,
    );
    agent += group.agents.length;
  }
}

/** What every agent sees now, or saw last. */
function observations(environment: Environment, last: boolean): number[][] {
  return environment.spec.groups.flatMap((group, g) => {
    const obs = last ? environment.ended.obs[g] : environment.groups[g].obs;
    return group.agents.map((_, i) => [...obs.subarray(i * group.obsSize, (i + 1) * group.obsSize)]);
  });
}

/** Distance between float32 neighbours at x. */
function ulp(x: number): number {
  return 2 ** (Math.floor(Math.log2(Math.max(Math.abs(x), 1.2e-38))) - 23);
}
