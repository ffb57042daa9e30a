/** What `phalanx env show` prints: the spaces from the environment itself, the rest from its definition and its page. */
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { exists, readText } from "../core/files.js";
import type { EnvironmentDefinition, EnvironmentSpec, Feature, GroupSpec, Space } from "../env/contract.js";
import { describeParameters } from "../env/index.js";
import { table } from "./io.js";

/** What a page of docs/environments says beyond the definition. */
export interface EnvironmentPage {
  readonly rewards: string;
  /** How the environment was checked against its original, and where it differs. */
  readonly parity: string;
}

/** Pages travel with the package: two levels up from src/cli/, three from dist/src/cli/. */
const FOLDERS = ["../../docs/environments/", "../../../docs/environments/"].map((up) =>
  fileURLToPath(new URL(up, import.meta.url)),
);

/** The page of an environment, or of the one that it is a preset of; null for environments that have none. */
export function environmentPage({ id, presetOf }: EnvironmentDefinition): EnvironmentPage | null {
  const folder = FOLDERS.find(exists);
  if (folder === undefined) return null;
  const texts = fs
    .readdirSync(folder)
    .filter((file) => file.endsWith(".md"))
    .map((file) => readText(`${folder}${file}`));
  const ofId = (wanted: string | undefined) =>
    texts.find((text) => /^\| id \|.*\|$/m.exec(text)?.[0].includes(`\`${wanted}\``));
  const text = ofId(id) ?? ofId(presetOf);
  return text === undefined ? null : readPage(text);
}

/** The sections that are printed, without their headings. */
export function readPage(text: string): EnvironmentPage {
  const section = (name: string) => {
    const [, body = ""] = text.split(`\n## ${name}\n`);
    return body.split("\n## ")[0]!.trim();
  };
  return { rewards: section("Rewards"), parity: section("Parity") };
}

/**
 * The environment in full, for a terminal.
 *
 * @param parameters those that `spec` was made with; the ones that are not the default are shown beside it
 */
export function describeEnvironment(
  definition: EnvironmentDefinition,
  spec: EnvironmentSpec,
  parameters: Readonly<Record<string, unknown>>,
  page: EnvironmentPage | null,
): string {
  return [
    `${spec.id}: ${definition.summary}`,
    episodes(spec),
    ...spec.groups.map(describeGroup),
    ...(page === null ? [] : [`rewards:\n${indent(page.rewards)}`]),
    `parameters:\n${parameterTable(definition, parameters)}`,
    ...scripted(definition),
    `source:\n${indent(definition.source)}`,
    ...(page === null ? [] : [`parity:\n${indent(page.parity)}`]),
  ].join("\n\n");
}

const indent = (text: string) => text.replace(/^(?=.)/gm, "  ");
const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
const bound = (x: number) => (Number.isFinite(x) ? String(x) : x > 0 ? "∞" : "−∞").replace("-", "−");
const interval = (low: number, high: number) =>
  `${low === Number.NEGATIVE_INFINITY ? "(" : "["}${bound(low)}, ${bound(high)}${high === Number.POSITIVE_INFINITY ? ")" : "]"}`;

function episodes(spec: EnvironmentSpec): string {
  const { saveState, frames, exactModel = false } = spec.capabilities;
  const can = [
    ...(spec.turnBased ? ["agents take turns"] : []),
    frames ? "draws pictures" : "draws no pictures",
    saveState ? "resumes exactly" : "a resumed run repeats its episodes",
    ...(exactModel ? ["has an exact model"] : []),
  ];
  return table([
    ["steps:", spec.maxSteps === null ? "no limit" : `at most ${spec.maxSteps}`],
    ["global state:", spec.stateSize === 0 ? "none" : `${spec.stateSize} numbers`],
    ["episode metrics:", spec.episodeMetrics.join(", ") || "none"],
    ...Object.entries(spec.versions ?? {}).map(([name, version]) => [`${name}:`, version]),
    ["", can.join("; ")],
  ]);
}

function describeGroup(group: GroupSpec): string {
  const rows = group.features.map((f: Feature) => [
    `  ${f.size === 1 ? f.offset : `${f.offset}–${f.offset + f.size - 1}`}`,
    f.name,
    f.kind,
    interval(f.low, f.high),
    f.perturbable ? "perturbable" : "",
  ]);
  const agents = group.agents.length > 8 ? shortened(group.agents) : group.agents.join(", ");
  return [
    `group ${group.name}: ${agents}; ${describeSpace(group.action)}; observation of ${group.obsSize} numbers:`,
    ...(rows.length === 0 ? [] : [table(rows)]),
    ...actionLines(group),
  ].join("\n");
}

/** Long rows of names by their ends. */
function shortened(names: readonly string[]): string {
  return `${names.slice(0, 3).join(", ")} … ${names.at(-1)} (${names.length})`;
}

function describeSpace(space: Space): string {
  if (space.kind === "discrete") return `${space.n} actions`;
  if (space.kind === "multi-discrete") return `${space.sizes.join(" × ")} actions`;
  return `actions of ${space.low.length} numbers in ${interval(Math.min(...space.low), Math.max(...space.high))}`;
}

function actionLines({ actionNames, hasActionMask, maskedAction }: GroupSpec): string[] {
  const nameOf = (action: number) => actionNames?.[action] ?? `action ${action}`;
  const names = actionNames?.map((name, action) => `${action} ${name}`);
  const masked = maskedAction === undefined ? "is refused" : `becomes ${nameOf(maskedAction)}`;
  return [
    ...(names === undefined ? [] : [`  actions: ${names.length > 16 ? shortened(names) : names.join(", ")}`]),
    ...(hasActionMask ? [`  a mask says which actions are allowed; a masked one ${masked}`] : []),
  ];
}

function parameterTable(
  definition: EnvironmentDefinition,
  parameters: Readonly<Record<string, unknown>>,
): string {
  const described = describeParameters(definition);
  if (described.length === 0) return "  none";
  const rows = described.map(({ name, default: usual, range, description }) => {
    const [value, normal] = [shown(parameters[name]), shown(usual)];
    return [`  ${name}`, value === normal ? normal : `${value} (default ${normal})`, range, description];
  });
  return table([["  name", "value", "range", ""], ...rows]);
}

function scripted({ scripts = {} }: EnvironmentDefinition): string[] {
  const rows = Object.entries(scripts).map(([name, { summary }]) => [`  ${name}`, summary]);
  return rows.length === 0 ? [] : [`scripted policies:\n${table(rows)}`];
}
