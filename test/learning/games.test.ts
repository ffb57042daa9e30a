/** The tasks of the learning tests keep the environment contract, too. */
import { expect, it } from "vitest";
import { checkEnvironment } from "../../src/env/conformance.js";
import { bandit, recall, relay } from "./games.js";

it.each([bandit, relay, recall])("$id keeps the contract", async (definition) => {
  expect(await checkEnvironment(definition)).toEqual([]);
});
