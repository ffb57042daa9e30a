/** The tasks of the learning tests keep the environment contract, too. */
import { expect, it } from "vitest";
import { checkEnvironment } from "../../src/env/conformance.js";
import { bandit, relay } from "./games.js";

it.each([bandit, relay])("$id keeps the contract", async (definition) => {
  expect(await checkEnvironment(definition)).toEqual([]);
});
