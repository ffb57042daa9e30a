/** Particle worlds with a hidden state of one's own. */
import { expect } from "vitest";
import type { NdArray } from "../../src/core/array.js";
import type { Environment } from "../../src/env/contract.js";
import { createEnvironment } from "../../src/envs/registry.js";

/** One copy, reset. */
export async function create(id: string, parameters: Record<string, unknown> = {}): Promise<Environment> {
  const environment = await createEnvironment(id, parameters, { copies: 1 });
  environment.reset(0);
  return environment;
}

/** Overwrite part of a one-copy environment's hidden state; what it does not name is unchanged. */
export function inject(environment: Environment, values: Record<string, readonly number[]>): void {
  const state = environment.saveState!() as Record<string, NdArray<"float64">>;
  for (const [name, numbers] of Object.entries(values)) state[name].data.set(numbers);
  environment.loadState!(state);
}

/** One array of the hidden state. */
export function numbers(environment: Environment, name: string): number[] {
  return [...(environment.saveState!() as Record<string, NdArray<"float64">>)[name].data];
}

/** Take a step with the actions of all agents, in the order of groups and agents. */
export function step(environment: Environment, ...actions: readonly number[]): void {
  let first = 0;
  for (const { action } of environment.groups) {
    action.set(actions.slice(first, first + action.length));
    first += action.length;
  }
  environment.step();
}

/** Rewards of all agents, in the order of groups and agents. */
export function rewards(environment: Environment): number[] {
  return environment.groups.flatMap(({ reward }) => [...reward]);
}

/** @param tolerance by default what a golden value printed to 10 digits allows */
export function expectClose(got: ArrayLike<number>, expected: readonly number[], tolerance = 6e-10): void {
  expect(got.length).toBe(expected.length);
  for (let k = 0; k < expected.length; k++) {
    expect(Math.abs(got[k] - expected[k]), `entry ${k}: ${got[k]}`).toBeLessThanOrEqual(tolerance);
  }
}
