/** Registry entries of environments: parameters with defaults, and one sentence for every mistake in them. */
import { z } from "zod";
import { UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import type { CreateOptions, Environment, EnvironmentDefinition, Script } from "./contract.js";

/** What an author writes; see `defineEnvironment`. */
export interface EnvironmentInput<Shape extends z.ZodRawShape> {
  readonly id: string;
  readonly summary: string;
  readonly presetOf?: string;
  readonly source: string;
  /** every key with `.default(…)` and `.describe(…)` */
  readonly parameters: Shape;
  readonly scripts?: Readonly<Record<string, Script>>;
  create(
    parameters: z.output<z.ZodObject<Shape>>,
    options: CreateOptions,
  ): Environment | Promise<Environment>;
}

/** A registry entry whose parameters are a strict record: unknown keys are refused. */
export function defineEnvironment<Shape extends z.ZodRawShape>(
  input: EnvironmentInput<Shape>,
): EnvironmentDefinition {
  const schema = z.strictObject(input.parameters);
  return {
    id: input.id,
    summary: input.summary,
    ...(input.presetOf === undefined ? {} : { presetOf: input.presetOf }),
    source: input.source,
    parameters: schema as unknown as z.ZodType<Record<string, unknown>>,
    ...(input.scripts === undefined ? {} : { scripts: input.scripts }),
    create: async (parameters, options) => input.create(parameters as z.output<z.ZodObject<Shape>>, options),
  };
}

/** A shape of parameters with other defaults for some of them: what a preset is made of. */
export function withDefaults<Shape extends z.ZodRawShape>(
  shape: Shape,
  defaults: Partial<z.output<z.ZodObject<Shape>>>,
): Shape {
  const changed = Object.entries(defaults).map(([name, value]) => {
    const field = shape[name] as unknown as z.ZodDefault<z.ZodType>;
    return [
      name,
      field
        .unwrap()
        .default(value as never)
        .describe(field.description ?? ""),
    ];
  });
  return { ...shape, ...Object.fromEntries(changed) };
}

/**
 * Validate parameters and fill in defaults.
 *
 * @throws UserError in one sentence: unknown key with the nearest name, or the value got and what is expected
 */
export function completeParameters(
  definition: EnvironmentDefinition,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const result = definition.parameters.safeParse(given);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0];
    const known = parameterNames(definition);
    throw new UserError(`${definition.id}, parameter "${key}": unknown key. ${suggestion(key, known)}`);
  }
  const path = issue.path.map(String).join(".");
  let value: unknown = given;
  for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  throw new UserError(
    `${definition.id}, parameter "${path}": got ${JSON.stringify(value) ?? String(value)}, expected ${expected(issue)}.`,
  );
}

/** The names of a definition's parameters. */
export function parameterNames(definition: EnvironmentDefinition): string[] {
  const { parameters } = definition;
  return parameters instanceof z.ZodObject ? Object.keys(parameters.shape) : [];
}

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "too_small":
      return `a number ${issue.inclusive === false ? ">" : "≥"} ${issue.minimum}`;
    case "too_big":
      return `a number ${issue.inclusive === false ? "<" : "≤"} ${issue.maximum}`;
    case "invalid_type":
      if (issue.expected === "array") return "a list";
      return issue.expected === "int" ? "an integer" : `a ${issue.expected}`;
    case "invalid_value":
      return `one of ${issue.values.map((v) => JSON.stringify(v)).join(", ")}`;
    case "invalid_union": {
      const parts = issue.errors.flatMap((list) => list.slice(0, 1).map(expected));
      return [...new Set(parts)].join(" or ");
    }
    default:
      return `something else (${issue.message})`;
  }
}
