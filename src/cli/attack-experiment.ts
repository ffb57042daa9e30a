/** What the options of `phalanx attack` mean: an experiment, as one would write it by hand. */
import path from "node:path";
import { stringify } from "yaml";
import { UserError } from "../core/errors.js";
import { exists, readBytes, readText } from "../core/files.js";
import { toolbox } from "../experiment/builtin.js";
import { type Experiment, readExperiment, SOURCE_FILE, slug } from "../experiment/index.js";
import { readModel } from "../onnx/index.js";
import type { HeadKind } from "../policy/index.js";
import { integerOption, keyValues, yamlValue } from "./io.js";

/** As the command line gives them; lists are empty where an option is not given. */
export interface AttackOptions {
  readonly policy: readonly string[];
  readonly env?: string;
  readonly threat: readonly string[];
  readonly epsilon?: number;
  readonly attack: readonly string[];
  readonly attackOption: readonly string[];
  readonly steps?: number;
  readonly seeds: string;
  readonly episodes: number;
  readonly films: number;
  readonly mode?: "sample" | "greedy";
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly head?: HeadKind;
  readonly state: readonly string[];
  readonly temperature?: number;
  readonly out?: string;
  readonly workers: number;
  readonly checkpoint: number;
  readonly json?: boolean;
}

/** Radius where none is given, in observation units. */
export const EPSILON = 0.1;
/** Environment steps of an attack that learns, where none are given. */
export const STEPS = 100_000;

/**
 * The experiment that the command line describes; also what the report shows as its configuration.
 * @throws UserError, one line per mistake, naming the option
 */
export async function attackExperiment(
  files: readonly string[],
  options: AttackOptions,
): Promise<Experiment> {
  const given = [
    ...files.map((file) => ({ file })),
    ...options.policy.map((text) => {
      const [plays, file] = pair(text, "--policy", "WHO=FILE (for example speaker=policy.onnx)");
      return { file, plays };
    }),
  ];
  if (given.length === 0)
    throw new UserError("command line: got no policy, expected an ONNX file, or --policy WHO=FILE.");
  const root = outOf(files, options);
  const team = teamName(given.map((g) => g.file));
  const threat = threatOf(options);
  const attacks = attacksOf(options, threat);
  const binding = bindingOf(options);
  const { registries } = toolbox;
  const columns: Record<string, unknown> = {};
  const channel = threat.channel as never;
  const isRandom = attacks.some(({ name }) => name === "random");
  if (!isRandom && registries.attacks.get("random").channels.includes(channel))
    columns.random = { attack: "random", threat: "threat" };
  for (const attack of attacks) {
    const learns = registries.attacks.has(attack.name) && registries.attacks.get(attack.name).learns;
    const steps = learns ? (options.steps ?? STEPS) : options.steps;
    columns[columnName(attack.name, columns)] = {
      attack,
      threat: "threat",
      ...(steps === undefined ? {} : { steps }),
    };
  }
  const value = {
    name: `attack on ${team}`,
    question: `How much does ${given.map((g) => path.basename(g.file)).join(" with ")} lose under this threat?`,
    environment: environmentOf(options, given[0]!.file),
    seeds: seedsOf(options.seeds),
    threats: { threat },
    teams: {
      [team]: {
        policies: given.map((policy) => ({ ...policy, ...binding })),
      },
    },
    adversaries: columns,
    evaluation: { episodes: options.episodes, films: options.films },
  };
  const locate = (at: readonly (string | number)[]) => optionOf(at, options);
  const experiment = await readExperiment({ file: SOURCE_FILE, value, locate }, registries);
  // Written into the folder of the results, the file looks for its policies from there.
  const policies = given.map((policy) => ({ ...policy, ...binding, file: path.relative(root, policy.file) }));
  const text = stringify({ ...value, teams: { [team]: { policies } } });
  return { ...experiment, source: { file: SOURCE_FILE, text, overrides: [] } };
}

/** The option that put a value there; "" where the message names the policy file itself. */
function optionOf(
  [section, second, third, fourth, fifth]: readonly (string | number)[],
  options: AttackOptions,
) {
  const place = (option: string, ...keys: unknown[]) =>
    ["command line", option, ...keys.filter((k) => k !== undefined && k !== "name")].join(", ");
  switch (section) {
    case "environment":
      return place("--env", second === "id" ? undefined : second);
    case "seeds":
      return place("--seeds");
    case "threats":
      return third === "epsilon" && options.epsilon !== undefined
        ? place("--epsilon")
        : place("--threat", third);
    case "adversaries": {
      if (third === "steps") return place("--steps");
      if (third !== "attack") return place("--attack");
      const isOption = options.attackOption.some((text) => text.startsWith(`${fourth}=`));
      return isOption ? place("--attack-option", fourth) : place("--attack", fourth);
    }
    case "teams": {
      const option = { inputs: "--input", outputs: "--output" }[String(fifth)];
      return option === undefined ? "" : place(option);
    }
    default:
      return place(`--${third ?? section}`);
  }
}

function pair(text: string, option: string, expected: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1)
    throw new UserError(`${option}: got "${text}", expected ${expected}.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Folder of the results. */
export function outOf(files: readonly string[], { out, policy }: AttackOptions): string {
  return (
    out ?? path.join("runs", `attack-${slug(teamName([...files, ...policy.map((p) => p.split("=")[1]!)]))}`)
  );
}

/** The file's name without its ending; "given" for several, and where the name is one of the report's own. */
function teamName(files: readonly string[]): string {
  const { name } = path.parse(files[0] ?? "");
  return files.length !== 1 || ["", "uniform"].includes(slug(name))
    ? "given"
    : name.replace(/[^\w .-]/g, "-");
}

function columnName(name: string, columns: Readonly<Record<string, unknown>>): string {
  if (columns[name] === undefined) return name;
  for (let i = 2; ; i++) if (columns[`${name} ${i}`] === undefined) return `${name} ${i}`;
}

/** --env, else what Phalanx writes into its own policy files. */
function environmentOf({ env }: AttackOptions, file: string): unknown {
  if (env !== undefined) return yamlValue(env, "--env");
  const { metadata } = readModel(readBytes(file), file);
  if (metadata.environment === undefined) {
    throw new UserError(
      `--env: missing, expected an environment (see phalanx env list); ${file} does not say where it plays.`,
    );
  }
  const parameters = yamlValue(metadata.environmentParameters ?? "{}", file) as Record<string, unknown>;
  return { id: metadata.environment, ...parameters };
}

function threatOf({ threat, epsilon }: AttackOptions): Record<string, unknown> {
  const parts = threat.map((text): Record<string, unknown> => {
    const isFile = exists(text) || /\.(ya?ml|json)$/.test(text);
    const isPair = !isFile && /^\w+=/.test(text);
    const value = isPair
      ? keyValues([text])
      : yamlValue(isFile ? readText(text) : text, isFile ? text : "--threat");
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    throw new UserError(
      `--threat: got "${text}", expected a YAML file, key=value, or a mapping such as '{channel: observation, epsilon: 0.1}'.`,
    );
  });
  const merged: Record<string, unknown> = { channel: "observation", ...Object.assign({}, ...parts) };
  if (epsilon !== undefined) merged.epsilon = epsilon;
  else if (merged.channel === "observation") merged.epsilon ??= EPSILON;
  return merged;
}

type NamedAttack = { readonly name: string } & Readonly<Record<string, unknown>>;

function attacksOf(
  { attack, attackOption }: AttackOptions,
  threat: Readonly<Record<string, unknown>>,
): NamedAttack[] {
  const attacks = (attack.length === 0 ? [usualAttack(threat)] : attack).map((text): NamedAttack => {
    const value = yamlValue(text, "--attack");
    const record = typeof value === "string" ? { name: value } : value;
    if (typeof (record as Partial<NamedAttack> | null)?.name === "string") return record as NamedAttack;
    throw new UserError(
      `--attack: got "${text}", expected the name of an attack or {name: …, options} (${toolbox.registries.attacks.names().join(", ")}).`,
    );
  });
  if (attackOption.length === 0) return attacks;
  if (attacks.length > 1) {
    throw new UserError(
      `--attack-option: got "${attackOption[0]}" for ${attacks.length} attacks, expected one; write options into the attack: --attack '{name: pgd, iterations: 20}'.`,
    );
  }
  return [{ ...attacks[0]!, ...keyValues(attackOption) }];
}

/** The attack that a threat is usually put to the test with. */
function usualAttack({ channel, norm }: Readonly<Record<string, unknown>>): string {
  if (channel === "dynamics") return "none";
  if (channel === "control" || channel === "action") return "best-response";
  return norm === "gaussian" ? "random" : "pgd";
}

function bindingOf(options: AttackOptions): Record<string, unknown> {
  const { head, mode, temperature } = options;
  const named = (texts: readonly string[], option: string, expected: string) =>
    Object.fromEntries(texts.map((text) => pair(text, option, expected)));
  // An output without a role is the head's.
  const role = head === "q-values" ? "q" : head;
  const outputs = options.output.map((text) =>
    text.includes("=") || role === undefined || role === "gaussian" ? text : `${role}=${text}`,
  );
  return {
    inputs: named(options.input, "--input", "ROLE=NAME (for example obs=x)"),
    outputs: named(outputs, "--output", "ROLE=NAME (for example logits=y), or --head beside it"),
    state: named(options.state, "--state", "IN=OUT (for example h=h_next)"),
    ...(head === undefined ? {} : { head }),
    ...(mode === undefined ? {} : { mode }),
    ...(temperature === undefined ? {} : { temperature }),
  };
}

function seedsOf(text: string): number[] {
  if (/^[0-9_]+$/.test(text))
    return Array.from({ length: integerOption("--seeds", 1)(text) }, (_, seed) => seed);
  return text
    .split(",")
    .map((part) => integerOption("--seeds", 0)(part.trim() === "" ? "none" : part.trim()));
}
