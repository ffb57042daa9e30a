/** What a zod schema expects, and what was wrong with a value, in one sentence each. */
import type { z } from "zod";
import { suggestion } from "../core/suggest.js";
import type { ValuePath } from "./yaml-source.js";

/** One mistake: where, what, and whether the key itself (not its value) is wrong. */
export interface Mistake {
  readonly path: ValuePath;
  readonly message: string;
  readonly key?: boolean;
}

type Schema = z.core.$ZodType;

interface Definition {
  readonly type: string;
  readonly innerType?: Schema;
  readonly in?: Schema;
  readonly out?: Schema;
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly options?: readonly Schema[];
  readonly discriminator?: string;
  readonly valueType?: Schema;
  readonly element?: Schema;
  readonly items?: readonly Schema[];
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly values?: readonly unknown[];
  readonly getter?: () => Schema;
}

interface Bag {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly format?: string;
}

const definitionOf = (schema: Schema) => schema._zod.def as unknown as Definition;
const bagOf = (schema: Schema) => schema._zod.bag as Bag;

/** The schema under defaults, optionals and the like. */
function unwrap(schema: Schema): Schema {
  for (let s = schema; ; ) {
    const d = definitionOf(s);
    const inner =
      d.type === "pipe"
        ? definitionOf(d.in!).type === "transform"
          ? d.out
          : d.in
        : d.type === "lazy"
          ? d.getter?.()
          : d.innerType;
    if (inner === undefined) return s;
    s = inner;
  }
}

/** The schema of a nested value; for a union the branch that fits the value. */
function schemaAt(schema: Schema, value: unknown, path: readonly PropertyKey[]): Schema | undefined {
  let s: Schema | undefined = schema;
  let v = value;
  for (const key of path) {
    if (s === undefined) return undefined;
    s = branchFor(unwrap(s), v);
    const d = definitionOf(s);
    if (d.type === "object") s = d.shape?.[String(key)];
    else if (d.type === "record") s = d.valueType;
    else if (d.type === "array") s = d.element;
    else if (d.type === "tuple") s = d.items?.[Number(key)];
    else return undefined;
    v = (v as Record<PropertyKey, unknown> | null | undefined)?.[key];
  }
  return s;
}

/** In a union, the option that takes values of this kind; else the schema itself. */
function branchFor(schema: Schema, value: unknown): Schema {
  const d = definitionOf(schema);
  if (d.type !== "union" || d.options === undefined) return schema;
  const options = d.options.map(unwrap);
  if (d.discriminator !== undefined) {
    const tag = (value as Record<string, unknown> | null)?.[d.discriminator];
    const found = options.find((o) => literalsOf(definitionOf(o).shape?.[d.discriminator!]).includes(tag));
    return found ?? schema;
  }
  const wanted = Array.isArray(value)
    ? ["array", "tuple"]
    : typeof value === "object"
      ? ["object", "record"]
      : [typeof value];
  return options.find((o) => wanted.includes(definitionOf(o).type)) ?? schema;
}

function literalsOf(schema: Schema | undefined): readonly unknown[] {
  if (schema === undefined) return [];
  const d = definitionOf(unwrap(schema));
  if (d.type === "literal") return d.values ?? [];
  return d.type === "enum" ? Object.values(d.entries ?? {}) : [];
}

/** Keys that an object schema knows at this place. */
export function knownKeys(schema: Schema, value: unknown): string[] {
  return Object.keys(definitionOf(branchFor(unwrap(schema), value)).shape ?? {});
}

function numberExpectation({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, format }: Bag): string {
  const noun = format === "safeint" || format === "int32" ? "an integer" : "a number";
  const safe = (x: number | undefined) =>
    x !== undefined && Math.abs(x) < Number.MAX_SAFE_INTEGER ? x : undefined;
  const low = safe(minimum);
  const high = safe(maximum);
  if (
    low !== undefined &&
    high !== undefined &&
    exclusiveMinimum === undefined &&
    exclusiveMaximum === undefined
  )
    return `${noun} in [${low}, ${high}]`;
  const parts: string[] = [];
  if (exclusiveMinimum !== undefined) parts.push(`> ${exclusiveMinimum}`);
  else if (low !== undefined) parts.push(`≥ ${low}`);
  if (exclusiveMaximum !== undefined) parts.push(`< ${exclusiveMaximum}`);
  else if (high !== undefined) parts.push(`≤ ${high}`);
  return parts.length === 0 ? noun : `${noun} ${parts.join(" and ")}`;
}

const quote = (values: readonly unknown[]) => values.map((v) => JSON.stringify(v)).join(", ");

/** "an integer ≥ 1", "one of "a", "b"": what a schema takes, in words. */
export function expectation(schema: Schema): string {
  const s = unwrap(schema);
  const d = definitionOf(s);
  const bag = bagOf(s);
  switch (d.type) {
    case "number":
      return numberExpectation(bag);
    case "string":
      return "a text";
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    case "literal":
      return quote(d.values ?? []);
    case "enum":
      return `one of ${quote(Object.values(d.entries ?? {}))}`;
    case "array":
      return `a list of ${plural(expectation(d.element!))}${bag.minimum !== undefined && bag.minimum > 0 ? ` (at least ${bag.minimum})` : ""}`;
    case "tuple":
      return `a list of ${d.items?.length ?? 0} values`;
    case "object":
    case "record":
      return "a mapping of keys";
    case "union":
      return [...new Set((d.options ?? []).map(expectation))].join(" or ");
    default:
      return "another value";
  }
}

function plural(noun: string): string {
  return noun
    .replace(/^an? (text|number|integer|list|mapping)/, (_, word: string) => `${word}s`)
    .replace(/^one of /, "values out of ");
}

/** A value as messages show it: JSON, cut to a readable length. */
export function showValue(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function describe(schema: Schema): string {
  for (let s: Schema | undefined = schema; s !== undefined; s = definitionOf(s).innerType) {
    const description = (s as z.ZodType).description;
    if (description !== undefined && description.length <= 100) return ` (${description})`;
  }
  return "";
}

/**
 * Every mistake that zod found in `value`, as sentences with paths relative to it.
 */
export function mistakesOf(schema: Schema, value: unknown, issues: readonly z.core.$ZodIssue[]): Mistake[] {
  return issues.flatMap((issue) => mistakesOfIssue(schema, value, issue, []));
}

function mistakesOfIssue(
  root: Schema,
  value: unknown,
  issue: z.core.$ZodIssue,
  prefix: readonly PropertyKey[],
): Mistake[] {
  const path = [...prefix, ...issue.path] as (string | number)[];
  const at = path.reduce<unknown>(
    (v, key) => (v as Record<PropertyKey, unknown> | null | undefined)?.[key],
    value,
  );
  const schema = schemaAt(root, value, path);
  if (issue.code === "unrecognized_keys") {
    const known = schema === undefined ? [] : knownKeys(schema, at);
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown key. ${suggestion(key, known)}`.trim(),
      key: true,
    }));
  }
  if (issue.code === "invalid_union" && schema !== undefined) {
    const branch = branchFor(unwrap(schema), at);
    const options = definitionOf(unwrap(schema)).options?.map(unwrap) ?? [];
    const nested = issue.errors[options.indexOf(branch)];
    // The branch of the value's kind knows best what is wrong inside it.
    if (nested !== undefined && nested.some((n) => n.path.length > 0 || n.code !== "invalid_type"))
      return nested.flatMap((n) => mistakesOfIssue(root, value, n, path));
  }
  if (issue.code === "custom") return [{ path, message: sentence(issue.message) }];
  if (schema === undefined) return [{ path, message: sentence(`got ${showValue(at)}: ${issue.message}`) }];
  const parent = path.slice(0, -1);
  const union = definitionOf(unwrap(schemaAt(root, value, parent) ?? root));
  const expected =
    issue.code === "invalid_union" && union.discriminator === path.at(-1)
      ? `one of ${quote(union.options?.flatMap((o) => literalsOf(definitionOf(unwrap(o)).shape?.[union.discriminator!])) ?? [])}`
      : expectation(schema);
  const near = typeof at === "string" ? nearest(at, expected) : "";
  const got = at === undefined ? "missing" : `got ${showValue(at)}`;
  return [{ path, message: `${got}, expected ${expected}${near === "" ? describe(schema) : ""}.${near}` }];
}

/** ` Did you mean "linf"?`, where the expectation lists names. */
function nearest(word: string, expected: string): string {
  const names = [...expected.matchAll(/"([^"]+)"/g)].map((m) => m[1]!);
  const text = suggestion(word, names);
  return text.startsWith("Did") ? ` ${text}` : "";
}

function sentence(text: string): string {
  return text.endsWith(".") ? text : `${text}.`;
}
