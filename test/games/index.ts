/** Fixture games: small, whole, each proving one part of the environment contract. */
import type { EnvironmentDefinition } from "../../src/env/contract.js";
import { chorus } from "./chorus.js";
import { couriers } from "./couriers.js";
import { foragers } from "./foragers.js";
import { nim } from "./nim.js";
import { remote } from "./remote.js";
import { twoStep } from "./two-step.js";

export { chorus, decodeChorus } from "./chorus.js";
export { couriers } from "./couriers.js";
export { foragers } from "./foragers.js";
export { nim } from "./nim.js";
export { remote } from "./remote.js";
export { twoStep, twoStepReturns } from "./two-step.js";

/** Every fixture game with every set of parameters worth a test. */
export const fixtureGames: readonly {
  readonly definition: EnvironmentDefinition;
  readonly parameters: Readonly<Record<string, unknown>>;
}[] = [
  { definition: nim, parameters: {} },
  { definition: couriers, parameters: {} },
  { definition: foragers, parameters: {} },
  { definition: foragers, parameters: { agents: 2, stopProbability: 0 } },
  { definition: remote, parameters: {} },
  { definition: chorus, parameters: {} },
  { definition: twoStep, parameters: {} },
  { definition: twoStep, parameters: { continuousActions: true } },
];
