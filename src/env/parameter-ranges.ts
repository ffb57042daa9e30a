/** What a definition's parameters are, in words, read off the schema itself: nothing is written twice. */
import { z } from "zod";
import type { EnvironmentDefinition } from "./contract.js";

/** One parameter of an environment, for pages and lists. */
export interface ParameterDescription {
  readonly name: string;
  readonly default: unknown;
  /** "integer ≥ 1", "number in (0, 1]", "number > 0, or null" */
  readonly range: string;
  /** The sentence of its author; "" where there is none. */
  readonly description: string;
}

/** The parameters of a definition in the order of its schema; none where the schema is no record. */
export function describeParameters({ parameters }: EnvironmentDefinition): ParameterDescription[] {
  if (!(parameters instanceof z.ZodObject)) return [];
  return Object.entries(parameters.shape as Record<string, z.ZodType>).map(([name, field]) => ({
    name,
    default: field.safeParse(undefined).data,
    range: rangeOf(z.toJSONSchema(field, { io: "input", unrepresentable: "any" })),
    description: field.description ?? "",
  }));
}

const ANY = "any value";

type JsonSchema = z.core.JSONSchema.BaseSchema;

function rangeOf(schema: JsonSchema): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map((part) => rangeOf(part)).join(", or ");
  if (schema.enum !== undefined) return schema.enum.map(shown).join(", ");
  if (schema.const !== undefined) return shown(schema.const);
  switch (schema.type) {
    case "integer":
    case "number":
      return `${schema.type}${intervalOf(schema)}`;
    case "boolean":
      return "true, false";
    case "array": {
      const { items } = schema;
      const each = typeof items === "object" && !Array.isArray(items) ? rangeOf(items) : ANY;
      return each === ANY ? "list" : `list of (${each})`;
    }
    case "object":
      return "mapping";
    case "string":
      return "text";
    case "null":
      return "null";
    default:
      return ANY;
  }
}

/** " ≥ 1", " in (0, 1]"; whole numbers that are only bounded by what a float holds are not bounded. */
function intervalOf(schema: JsonSchema): string {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema;
  const inner = (value: number | undefined) =>
    value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? undefined : value;
  const low = inner(minimum);
  const above = inner(exclusiveMinimum as number | undefined);
  const high = inner(maximum);
  const below = inner(exclusiveMaximum as number | undefined);
  const from = above ?? low;
  const to = below ?? high;
  if (from !== undefined && to !== undefined)
    return ` in ${above === undefined ? "[" : "("}${from}, ${to}${below === undefined ? "]" : ")"}`;
  if (from !== undefined) return ` ${above === undefined ? "≥" : ">"} ${from}`;
  if (to !== undefined) return ` ${below === undefined ? "≤" : "<"} ${to}`;
  return "";
}

const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
