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

/** The bounds that a schema's checks put on its values. */
interface Bounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minimumLength?: number;
  integer?: boolean;
}

interface Check {
  readonly check: string;
  readonly value?: number;
  readonly inclusive?: boolean;
  readonly minimum?: number;
  readonly format?: string;
}

const definitionOf = (schema: Schema) => schema._zod.def as unknown as Definition;

function boundsOf(schema: Schema): Bounds {
  const own = schema._zod.def as unknown as Check & { readonly checks?: readonly { _zod: { def: Check } }[] };
  const out: Bounds = {};
  for (const c of [own, ...(own.checks ?? []).map((x) => x._zod.def)]) {
    if (c.check === "greater_than") {
      if (c.inclusive) out.minimum = Math.max(c.value!, out.minimum ?? Number.NEGATIVE_INFINITY);
      else out.exclusiveMinimum = c.value!;
    } else if (c.check === "less_than") {
      if (c.inclusive) out.maximum = Math.min(c.value!, out.maximum ?? Number.POSITIVE_INFINITY);
      else out.exclusiveMaximum = c.value!;
    } else if (c.check === "min_length") out.minimumLength = c.minimum!;
    else if (c.check === "number_format") out.integer = c.format !== "float32" && c.format !== "float64";
  }
  return out;
}

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

function numberExpectation(bounds: Bounds): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = bounds;
  const noun = bounds.integer ? "an integer" : "a number";
  if (minimum !== undefined && maximum !== undefined) return `${noun} in [${minimum}, ${maximum}]`;
  const parts: string[] = [];
  if (exclusiveMinimum !== undefined) parts.push(`> ${exclusiveMinimum}`);
  else if (minimum !== undefined) parts.push(`≥ ${minimum}`);
  if (exclusiveMaximum !== undefined) parts.push(`< ${exclusiveMaximum}`);
  else if (maximum !== undefined) parts.push(`≤ ${maximum}`);
  return parts.length === 0 ? noun : `${noun} ${parts.join(" and ")}`;
}

const quote = (values: readonly unknown[]) => values.map((v) => JSON.stringify(v)).join(", ");

/** "an integer ≥ 1", "one of "a", "b"": what a schema takes, in words. */
export function expectation(schema: Schema): string {
  const s = unwrap(schema);
  const d = definitionOf(s);
  const bounds = boundsOf(s);
  switch (d.type) {
    case "number":
      return numberExpectation(bounds);
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
      return `a list of ${plural(expectation(d.element!))}${(bounds.minimumLength ?? 0) > 0 ? ` (at least ${bounds.minimumLength})` : ""}`;
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
    if (nested?.some((n) => n.path.length > 0 || n.code !== "invalid_type"))
      return nested.flatMap((n) => mistakesOfIssue(root, value, n, path));
  }
  if (issue.code === "custom") return [{ path, message: sentence(issue.message) }];
  if (issue.code === "invalid_format" && issue.message.startsWith("expected"))
    return [{ path, message: sentence(`got ${showValue(at)}, ${issue.message}`) }];
  const parent = unwrap(schemaAt(root, value, path.slice(0, -1)) ?? root);
  const { discriminator, options = [] } = definitionOf(parent);
  const tags = discriminator !== undefined && discriminator === path.at(-1);
  if (schema === undefined && !tags)
    return [{ path, message: sentence(`got ${showValue(at)}: ${issue.message}`) }];
  const expected =
    schema === undefined
      ? `one of ${quote(options.flatMap((o) => literalsOf(definitionOf(unwrap(o)).shape?.[discriminator!])))}`
      : expectation(schema);
  const near = typeof at === "string" ? nearest(at, expected) : "";
  const got = at === undefined ? "missing" : `got ${showValue(at)}`;
  return [
    {
      path,
      message: `${got}, expected ${expected}${near === "" && schema !== undefined ? describe(schema) : ""}.${near}`,
    },
  ];
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
