/** Who plays in `phalanx env play`: random actions, a script, a trained team, or policy files. */
import fs from "node:fs";
import path from "node:path";
import { UserError } from "../core/errors.js";
import { exists, readBytes } from "../core/files.js";
import type { EnvironmentDefinition, EnvironmentSpec } from "../env/contract.js";
import { environments, toolbox } from "../experiment/builtin.js";
import { finishedTeam, readTeam } from "../experiment/evaluate-team.js";
import { mistakesOf } from "../experiment/messages.js";
import { readModel } from "../onnx/index.js";
import { importTeam, type PolicyFileInput, policyFileSchema } from "../policy/index.js";
import type { Players } from "../rollout/index.js";
import { yamlValue } from "./io.js";

/** A choice that has been read but not yet fitted to an environment. */
export interface ChosenPlayers {
  /** "random", "plain, seed 0", "policy.onnx" */
  readonly label: string;
  /** Parameters of the environment that the players were trained in. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** @throws UserError where they do not fit */
  fit(spec: EnvironmentSpec): Players;
}

/**
 * @param texts of --policy: "random", the name of a script, or the folder of a team run, alone; or policy files
 * @throws UserError in one sentence for what is none of these, or was made for another environment
 */
export function choosePlayers(definition: EnvironmentDefinition, texts: readonly string[]): ChosenPlayers {
  const [first = "random"] = texts;
  const { scripts = {} } = definition;
  const isFolder = fs.statSync(first, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const isScript = Object.hasOwn(scripts, first);
  if (first === "random" || isScript || isFolder) {
    if (texts.length > 1)
      throw new UserError(
        `--policy: got ${texts.map((text) => `"${text}"`).join(" and ")}, expected "${first}" alone; several are for policy files.`,
      );
    if (isFolder) return teamRun(definition, first);
    const players = isScript ? scripts[first]! : "uniform";
    return { label: first, parameters: {}, fit: () => players };
  }
  return policyFiles(definition, texts);
}

function teamRun(definition: EnvironmentDefinition, directory: string): ChosenPlayers {
  const { label, environment } = finishedTeam(directory);
  requireSame(definition, environment.id, directory);
  return {
    label,
    parameters: environment.parameters,
    fit: (spec) => readTeam(directory, spec, toolbox),
  };
}

function policyFiles(definition: EnvironmentDefinition, texts: readonly string[]): ChosenPlayers {
  const files = texts.map((text) => policyFile(definition, text));
  const own = files.map(({ bytes, place }) => {
    const { metadata } = readModel(bytes, place);
    if (metadata.environment !== undefined) requireSame(definition, metadata.environment, place);
    return yamlValue(metadata.environmentParameters ?? "{}", place) as Record<string, unknown>;
  });
  return {
    label: files.map(({ place }) => path.basename(place)).join(" + "),
    parameters: own[0]!,
    fit: (spec) => importTeam(spec, files),
  };
}

/** FILE, WHO=FILE, or an entry of an experiment file's `policies`. */
function policyFile(definition: EnvironmentDefinition, text: string): PolicyFileInput {
  const [, who, rest] = exists(text) ? [] : (/^([\w-]+)=(.+)$/.exec(text) ?? []);
  const given = text.startsWith("{")
    ? yamlValue(text, "--policy")
    : who === undefined
      ? { file: text }
      : { file: rest, plays: who };
  const parsed = policyFileSchema.safeParse(given);
  if (!parsed.success) {
    const [{ path: at, message }] = mistakesOf(policyFileSchema, given, parsed.error.issues) as [
      ReturnType<typeof mistakesOf>[number],
    ];
    throw new UserError(`--policy, ${at.join(".")}: ${message}`);
  }
  const { file, plays, ...options } = parsed.data;
  if (!exists(file) && !/\.onnx$/i.test(file)) {
    const names = Object.keys(definition.scripts ?? {});
    const scripted = names.length === 0 ? "" : ` ${names.map((name) => `"${name}"`).join(", ")} (scripted),`;
    throw new UserError(
      `--policy: got "${text}", expected "random",${scripted} the folder of a finished team run (RESULTS/teams/…), or an ONNX file.`,
    );
  }
  return { bytes: readBytes(file), place: file, plays, options };
}

/** Presets are the environment that they are made of, with other defaults. */
function requireSame(definition: EnvironmentDefinition, id: string, place: string): void {
  const base = (d: EnvironmentDefinition) => d.presetOf ?? d.id;
  if (base(definition) === (environments.has(id) ? base(environments.get(id)) : id)) return;
  throw new UserError(
    `--policy: ${place} was trained on ${id}, expected a policy for ${definition.id}; try phalanx env play ${id}.`,
  );
}
