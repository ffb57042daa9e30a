/**
 * The environment that an experiment names: one of the registry, or a module of the user's, which exports a definition
 * made by `batchScalar` or `defineEnvironment`.
 */
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { UserError } from "../core/errors.js";
import { readBytes, readText } from "../core/files.js";
import { sha256Hex } from "../core/hash.js";
import type { Registry } from "../core/registry.js";
import { checkDeclaration } from "../env/conformance/declaration.js";
import { Findings } from "../env/conformance/finding.js";
import type { EnvironmentDefinition, EnvironmentSpec } from "../env/contract.js";
import type { EnvironmentChoice } from "./experiment.js";

/** Whether an id is a file's name: "./crossing.mjs". */
export function isModule(id: string): boolean {
  return /^\.{0,2}[/\\]/.test(id) || path.isAbsolute(id) || /\.[cm]?[jt]s$/.test(id);
}

/** A registered environment, or that of a module. @throws UserError in one sentence if there is none of that name */
export async function findEnvironment(
  name: string,
  registry: Registry<EnvironmentDefinition>,
): Promise<EnvironmentDefinition> {
  return isModule(name) ? (await loadModule(name)).definition : registry.get(name);
}

/** A module's definition, and what identifies it in results. */
export interface LoadedModule {
  readonly definition: EnvironmentDefinition;
  readonly module: NonNullable<EnvironmentChoice["module"]>;
}

/**
 * Import a user's environment.
 *
 * @param file relative to the working directory
 * @throws UserError in one sentence if there is no such file, it cannot be imported, or its default export is no
 *   environment
 */
export async function loadModule(file: string): Promise<LoadedModule> {
  if (!/\.[cm]?js$/.test(file))
    throw new UserError(`${file}: expected a JavaScript module (.mjs or .js); compile it first.`);
  const sha256 = hashOfModule(file);
  let exports: { readonly default?: unknown };
  try {
    // The hash makes a changed file another module, also where the old one was imported before.
    const url = `${pathToFileURL(path.resolve(file)).href}?${sha256.slice(0, 16)}`;
    exports = (await import(/* @vite-ignore */ url)) as typeof exports;
  } catch (error) {
    throw new UserError(`${file}: the module cannot be imported: ${hintOf(error as Error)}`);
  }
  const definition = exports.default;
  if (!isDefinition(definition)) {
    const got = definition === undefined ? "nothing" : describeValue(definition);
    throw new UserError(
      `${file}: the default export is ${got}, expected an environment: export default batchScalar({ … }), or defineEnvironment({ … }), of "phalanx/env".`,
    );
  }
  return { definition, module: { file, sha256 } };
}

/** As it was when the experiment was read. @throws UserError if the module, or what it runs on, has changed since */
export async function definitionOf(
  { id, module, versions }: EnvironmentChoice,
  registry: Registry<EnvironmentDefinition>,
): Promise<EnvironmentDefinition> {
  if (module === undefined)
    return versions === undefined ? registry.get(id) : pinned(registry.get(id), versions);
  const loaded = await loadModule(module.file);
  if (loaded.module.sha256 !== module.sha256)
    throw new UserError(
      `${module.file}: the file, or one that it imports, has changed since the experiment began; run the command again.`,
    );
  return loaded.definition;
}

/** The same environment, which refuses other versions than those that the experiment was read with. */
function pinned(
  definition: EnvironmentDefinition,
  versions: Readonly<Record<string, string>>,
): EnvironmentDefinition {
  return {
    ...definition,
    async create(parameters, options) {
      const environment = await definition.create(parameters, options);
      const now = environment.spec.versions ?? {};
      const changed = Object.keys({ ...versions, ...now }).find((name) => versions[name] !== now[name]);
      if (changed === undefined) return environment;
      environment.close();
      throw new UserError(
        `${definition.id}: ${changed} is ${now[changed] ?? "gone"} now, the experiment began with ${versions[changed] ?? "none"}; run the command again.`,
      );
    },
  };
}

/**
 * Agents and features as one copy declares them.
 *
 * @param name what the file calls it
 * @throws UserError if it cannot be made with these parameters, or declares what cannot be
 */
export async function probeEnvironment(
  definition: EnvironmentDefinition,
  parameters: Readonly<Record<string, unknown>>,
  name: string,
): Promise<EnvironmentSpec> {
  const cure = `"phalanx env check ${name}" runs every check`;
  let environment: Awaited<ReturnType<EnvironmentDefinition["create"]>>;
  try {
    environment = await definition.create({ ...parameters }, { copies: 1 });
  } catch (error) {
    if (error instanceof UserError || !isModule(name)) throw error;
    throw new UserError(`${name}: the environment cannot be made: ${hintOf(error as Error)} ${cure}.`);
  }
  environment.close();
  // Registered ones pass the whole suite in tests.
  if (!isModule(name)) return environment.spec;
  const findings = new Findings();
  checkDeclaration(environment, 1, findings);
  const [first] = findings.list;
  if (first !== undefined) throw new UserError(`${name}: ${first.message} ${cure}.`);
  return environment.spec;
}

function isDefinition(value: unknown): value is EnvironmentDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { id, summary, parameters, create } = value as Partial<EnvironmentDefinition>;
  return (
    typeof id === "string" &&
    typeof summary === "string" &&
    typeof parameters?.safeParse === "function" &&
    typeof create === "function"
  );
}

function describeValue(value: unknown): string {
  if (typeof value === "function") return "a function";
  return typeof value === "object" ? "an object that is no environment" : JSON.stringify(value);
}

/** What went wrong, and in which line where the stack tells. */
function hintOf(error: Error): string {
  const message = String(error?.message ?? error).split("\n")[0]!;
  if (/Cannot find package 'phalanx'/.test(message))
    return 'it finds no package "phalanx"; install Phalanx in the folder of the module or above it.';
  const at = /([^/\\(]+\.[cm]?js)(?:\?\w*)?:(\d+)(?::\d+)?/.exec(error?.stack ?? "");
  return at === null ? `${message}.` : `${message} (${at[1]}, line ${at[2]}).`;
}

/** Of the module's text, and of the files that it imports by relative names, and so on. */
function hashOfModule(file: string): string {
  const seen = new Map<string, string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.set(name, sha256Hex(readBytes(name)));
    if (!/\.[cm]?js$/.test(name)) return;
    for (const [, target] of readText(name).matchAll(
      /(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}\/[^"'\n]+)["']/g,
    )) {
      const next = path.join(path.dirname(name), target!);
      // What is named only in a comment need not exist; what is missing, the import itself reports.
      if (fs.existsSync(next)) visit(next);
    }
  };
  visit(file);
  if (seen.size === 1) return seen.get(file)!;
  // Where the module is, is no part of it; where the others are from there, is.
  const folder = path.dirname(file);
  const parts = [...seen].map(([name, hash]) => `${path.relative(folder, name)} ${hash}`).sort();
  return sha256Hex(new TextEncoder().encode(parts.join("\n")));
}
