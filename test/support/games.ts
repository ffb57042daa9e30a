/** Small games in tests: environments with their exact models, and frequencies against probabilities. */
import { expect } from "vitest";
import type { Environment } from "../../src/env/contract.js";
import { createEnvironment } from "../../src/envs/registry.js";
import type { ExactModel } from "../../src/games/index.js";

/** A registered environment after its first reset. */
export async function createGame(
  id: string,
  parameters: Record<string, unknown> = {},
  copies = 1,
): Promise<Environment> {
  const environment = await createEnvironment(id, parameters, { copies });
  environment.reset(0);
  return environment;
}

/** Its exact model, which must be of the kind given. */
export function modelOf<K extends ExactModel["kind"]>(environment: Environment, kind: K) {
  const model = environment.exactModel!();
  expect(model.kind).toBe(kind);
  return model as Extract<ExactModel, { kind: K }>;
}

/** χ² of counts against probabilities, and its degrees of freedom. */
function chiSquared(counts: readonly number[], probabilities: readonly number[]) {
  const total = counts.reduce((a, b) => a + b, 0);
  const value = counts.reduce(
    (sum, n, k) => sum + (n - total * probabilities[k]) ** 2 / (total * probabilities[k]),
    0,
  );
  return { value, freedom: counts.length - 1 };
}

/** A χ² beyond five standard deviations (mean f, variance 2f) is no accident. */
export function expectFrequencies(counts: readonly number[], probabilities: readonly number[]): void {
  const { value, freedom } = chiSquared(counts, probabilities);
  expect(value).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom));
}
