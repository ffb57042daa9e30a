import { expect, it } from "vitest";
import { z } from "zod";
import type { Environment } from "./contract.js";
import { defineEnvironment } from "./definition.js";
import { describeParameters } from "./parameter-ranges.js";

it("parameters come with default, range and sentence, in the words of their schema", () => {
  const definition = defineEnvironment({
    id: "x/y_v0",
    summary: "",
    source: "",
    parameters: {
      agents: z.int().min(1).default(3).describe("how many"),
      any: z.int().default(0),
      share: z.number().min(0).max(1).default(0.5),
      dt: z.number().positive().max(1).default(0.1),
      below: z.number().lt(2).default(1),
      speed: z.number().positive().nullable().default(null),
      levels: z.union([z.int().min(1), z.array(z.int().min(1))]).default(1),
      rules: z.enum(["old", "new"]).default("new"),
      stage: z.literal([0, 1]).default(1),
      fast: z.boolean().default(false),
      table: z.union([z.string(), z.array(z.unknown())]).default([]),
      name: z.string().default("a"),
    },
    create: () => null as unknown as Environment,
  });
  const rows = describeParameters(definition).map((p) => [p.name, p.default, p.range, p.description]);
  expect(rows).toEqual([
    ["agents", 3, "integer ≥ 1", "how many"],
    ["any", 0, "integer", ""],
    ["share", 0.5, "number in [0, 1]", ""],
    ["dt", 0.1, "number in (0, 1]", ""],
    ["below", 1, "number < 2", ""],
    ["speed", null, "number > 0, or null", ""],
    ["levels", 1, "integer ≥ 1, or list of (integer ≥ 1)", ""],
    ["rules", "new", "old, new", ""],
    ["stage", 1, "0, 1", ""],
    ["fast", false, "true, false", ""],
    ["table", [], "text, or list", ""],
    ["name", "a", "text", ""],
  ]);
});
