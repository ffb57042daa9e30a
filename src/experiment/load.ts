/**
 * From an experiment file to a validated `Experiment`. All mistakes are reported together, one line each, with file,
 * line, column, value and what is expected.
 */
import path from "node:path";
import type { z } from "zod";
import { UserError } from "../core/errors.js";
import { readText } from "../core/files.js";
import { suggestion } from "../core/suggest.js";
import type { EnvironmentDefinition, EnvironmentSpec } from "../env/contract.js";
import { policyFileSchema, requireGradients, type Team } from "../policy/index.js";
import { checkThreat, describeThreat, type Threat, threatSchema } from "../threats/index.js";
import { isModule, type LoadedModule, loadModule, probeEnvironment } from "./environments.js";
import {
  type AdversaryEntry,
  type Chosen,
  CLEAN,
  type Comparison,
  type EnvironmentChoice,
  type Experiment,
  type GivenTeam,
  slug,
  type TeamEntry,
  UNIFORM,
} from "./experiment.js";
import { describeGiven, givenPolicy, importGiven } from "./given-team.js";
import { type Mistake, mistakesOf, showValue } from "./messages.js";
import type { Registries } from "./registries.js";
import {
  adversarySchema,
  evaluationSchema,
  experimentSchema,
  reportSchema,
  teamSchema,
  trainingSchema,
} from "./schema.js";
import { formatPath, type ValuePath, YamlSource } from "./yaml-source.js";

/**
 * Read and validate an experiment file.
 *
 * @param overrides "key.path=value" of the command line; values are YAML
 * @throws UserError with one line per mistake
 */
export function loadExperiment(
  file: string,
  overrides: readonly string[],
  registries: Registries,
): Promise<Experiment> {
  return parseExperiment(file, readText(file), overrides, registries);
}

/** As `loadExperiment`, from text. */
export async function parseExperiment(
  file: string,
  text: string,
  overrides: readonly string[],
  registries: Registries,
): Promise<Experiment> {
  const experiment = await readExperiment(YamlSource.parse(file, text, overrides), registries);
  return { ...experiment, source: { file, text, overrides } };
}

/** Values of an experiment, and where they stand. */
export interface ExperimentValues {
  /** The file, or the file that it will be: policy files are named relative to it. */
  readonly file: string;
  readonly value: unknown;
  /**
   * Place of the value at a path, for messages: "FILE:LINE:COLUMN"; "command line, …" needs no path after it, and ""
   * stands for a message that says its place itself.
   * @param key true: the place of the key itself
   */
  locate(path: ValuePath, key?: boolean): string;
}

/** @throws UserError with one line per mistake */
export function readExperiment(
  values: ExperimentValues,
  registries: Registries,
): Promise<Omit<Experiment, "source">> {
  return new Reader(values, registries).read();
}

/** An environment, and what it is called in the file. */
type ChosenEnvironment = EnvironmentChoice & {
  readonly definition: EnvironmentDefinition;
  readonly name: string;
};

function choiceOf(
  { id, parameters, module }: ChosenEnvironment,
  spec: EnvironmentSpec | undefined,
): EnvironmentChoice {
  const versions = spec?.versions;
  return {
    id,
    parameters,
    ...(module === undefined ? {} : { module }),
    ...(versions === undefined ? {} : { versions }),
  };
}

type Record_ = Readonly<Record<string, unknown>>;

/** Collects mistakes; a section that failed is undefined, and what depends on it is not checked. */
class Reader {
  readonly #source: ExperimentValues;
  readonly #registries: Registries;
  readonly #mistakes: Mistake[] = [];
  /** Teams of policy files, by the place of these. */
  readonly #given = new Map<ValuePath, Team>();

  constructor(source: ExperimentValues, registries: Registries) {
    this.#source = source;
    this.#registries = registries;
  }

  /** What files are named relative to. */
  get #folder(): string {
    return path.dirname(this.#source.file);
  }

  async read(): Promise<Omit<Experiment, "source">> {
    const root = this.#validate([], experimentSchema, this.#source.value, true);
    if (root === undefined) throw this.#error();
    const environment = await this.#environment(root.environment);
    const spec = environment && (await this.#specOf(environment));
    this.#seeds(root.seeds);
    const threats = this.#threats(root.threats, environment?.definition, spec);
    const training = this.#validate(["training"], trainingSchema, root.training ?? {});
    const teams = this.#teams(root.teams, training, threats, spec);
    const adversaries = this.#adversaries(root.adversaries, threats);
    this.#requireGradients(adversaries);
    const evaluation = this.#validate(["evaluation"], evaluationSchema, root.evaluation ?? {});
    const report = this.#validate(["report"], reportSchema, root.report ?? {});
    const comparisons =
      report?.comparisons === undefined
        ? defaultComparisons(teams, adversaries)
        : this.#comparisons(report.comparisons, Object.keys(root.teams), Object.keys(root.adversaries));
    if (this.#mistakes.length > 0 || environment === undefined || evaluation === undefined)
      throw this.#error();
    return {
      name: root.name,
      question: root.question,
      environment: choiceOf(environment, spec),
      seeds: root.seeds,
      threats: Object.fromEntries(threats),
      teams,
      adversaries,
      evaluation,
      comparisons,
      replayNote: report?.replay ?? "",
    };
  }

  #error(): UserError {
    const lines = this.#mistakes.map(({ path, message, key }) => {
      const place = this.#source.locate(path, key);
      const name = formatPath(path);
      if (place === "") return message;
      return place.startsWith("command line") || name === ""
        ? `${place}: ${message}`
        : `${place}, ${name}: ${message}`;
    });
    return new UserError([...new Set(lines)].join("\n"));
  }

  #add(path: ValuePath, message: string, key = false): void {
    this.#mistakes.push({ path, message, key });
  }

  /** The parsed value, or undefined with its mistakes noted. `partial`: go on if only keys are unknown. */
  #validate<S extends z.ZodType>(
    path: ValuePath,
    schema: S,
    value: unknown,
    partial = false,
  ): z.output<S> | undefined {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const m of mistakesOf(schema, value, result.error.issues))
      this.#add([...path, ...m.path], m.message, m.key);
    const unknown = result.error.issues.flatMap((i) =>
      i.code === "unrecognized_keys" && i.path.length === 0 ? i.keys : [],
    );
    if (!partial || unknown.length === 0) return undefined;
    const rest = Object.fromEntries(
      Object.entries(value as Record_).filter(([key]) => !unknown.includes(key)),
    );
    const again = schema.safeParse(rest);
    return again.success ? again.data : undefined;
  }

  async #environment(given: unknown): Promise<ChosenEnvironment | undefined> {
    const { id, ...parameters } = (typeof given === "string" ? { id: given } : given) as Record_;
    const { environments } = this.#registries;
    const path = typeof given === "string" ? ["environment"] : ["environment", "id"];
    if (typeof id !== "string") {
      this.#add(
        path,
        id === undefined
          ? "missing, expected the id of an environment."
          : `got ${showValue(id)}, expected the id of an environment.`,
      );
      return undefined;
    }
    if (!isModule(id) && !environments.has(id)) {
      this.#add(path, `got "${id}", expected a known environment. ${suggestion(id, environments.names())}`);
      return undefined;
    }
    let found: Partial<LoadedModule> & Pick<LoadedModule, "definition">;
    try {
      found = isModule(id)
        ? await loadModule(inFolder(this.#folder, id))
        : { definition: environments.get(id) };
    } catch (error) {
      // A name that carries parameters may be malformed, or its parameters impossible.
      if (!(error instanceof UserError)) throw error;
      this.#add(path, error.message);
      return undefined;
    }
    const complete = this.#validate(["environment"], found.definition.parameters, parameters);
    return complete && { ...found, id: found.definition.id, name: id, parameters: complete };
  }

  /** Agents and features are known only to a living environment; one copy is enough. */
  async #specOf({
    definition,
    parameters,
    module,
    name,
  }: ChosenEnvironment): Promise<EnvironmentSpec | undefined> {
    try {
      return await probeEnvironment(definition, parameters, module?.file ?? name);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#add(["environment"], error.message);
      return undefined;
    }
  }

  #seeds(seeds: readonly number[]): void {
    for (const [i, seed] of seeds.entries()) {
      if (seeds.indexOf(seed) !== i) this.#add(["seeds", i], `got ${seed} twice, expected different seeds.`);
    }
  }

  /** Keys are row and column names and become parts of folder names, where "a b" and "a-b" are the same. */
  #checkName(section: string, key: string, others: readonly string[], reserved: string): boolean {
    if (key === reserved) {
      this.#add([section, key], `this name is taken; "${reserved}" is always there.`, true);
      return false;
    }
    const twin = others.find((other) => other !== key && slug(other) === slug(key));
    if (twin === undefined || others.indexOf(twin) > others.indexOf(key)) return true;
    this.#add([section, key], `differs from "${twin}" only in signs that folder names do not keep.`, true);
    return false;
  }

  #threats(
    given: Record_,
    definition: EnvironmentDefinition | undefined,
    spec: EnvironmentSpec | undefined,
  ): Map<string, Threat> {
    const out = new Map<string, Threat>();
    for (const [name, value] of Object.entries(given)) {
      const path = ["threats", name];
      const threat = this.#validate(path, threatSchema, value);
      if (threat === undefined) continue;
      out.set(name, threat);
      if (threat.channel === "dynamics") {
        if (definition !== undefined)
          this.#validate([...path, "parameters"], definition.parameters, threat.parameters);
      } else if (spec !== undefined) this.#checkAgainstSpec(path, threat, spec);
    }
    return out;
  }

  #checkAgainstSpec(path: ValuePath, threat: Threat, spec: EnvironmentSpec): void {
    try {
      checkThreat(threat, spec, "");
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // ".agents: got …": the field that it names becomes part of the place.
      const [, field, message] = /^(?:\.(\w+))?: (.*)$/s.exec(error.message) ?? [
        undefined,
        undefined,
        error.message,
      ];
      this.#add(field === undefined ? path : [...path, field], message!);
    }
  }

  /** Name and validated options of `{ name, …options }`; keys in `reserved` are not options. */
  #chosen(
    path: ValuePath,
    given: string | Record_,
    kind: "learners" | "attacks" | "defenses",
    reserved: readonly string[] = [],
  ): Chosen | undefined {
    const registry = this.#registries[kind];
    const record: Record_ = typeof given === "string" ? { name: given } : given;
    const noun = kind.slice(0, -1);
    const at = typeof given === "string" ? path : [...path, "name"];
    const { name } = record;
    if (typeof name !== "string") {
      const known = registry.names().join(", ");
      this.#add(
        at,
        `${name === undefined ? "missing" : `got ${showValue(name)}`}, expected the name of ${noun === "attack" ? "an attack" : `a ${noun}`}: ${known}.`,
      );
      return undefined;
    }
    if (!registry.has(name)) {
      this.#add(at, `got "${name}", expected a known ${noun}. ${suggestion(name, registry.names())}`);
      return undefined;
    }
    const options = Object.fromEntries(
      Object.entries(record).filter(([key]) => key !== "name" && !reserved.includes(key)),
    );
    const complete = this.#validate(path, registry.get(name).options, options);
    return complete === undefined ? undefined : { name, options: complete as Record_ };
  }

  #threatNamed(path: ValuePath, name: unknown, threats: ReadonlyMap<string, Threat>): Threat | undefined {
    const given = Object.keys((this.#source.value as { threats?: object }).threats ?? {});
    if (typeof name === "string" && given.includes(name)) return threats.get(name);
    this.#add(
      path,
      `got ${showValue(name)}, expected a name in threats. ${typeof name === "string" ? suggestion(name, given) : ""}`.trim(),
    );
    return undefined;
  }

  #teams(
    given: Record_,
    training: z.output<typeof trainingSchema> | undefined,
    threats: ReadonlyMap<string, Threat>,
    spec: EnvironmentSpec | undefined,
  ): TeamEntry[] {
    const out: TeamEntry[] = [];
    if (Object.keys(given).length === 0) this.#add(["teams"], "got no team, expected at least one.");
    for (const [name, value] of Object.entries(given)) {
      const path = ["teams", name];
      if (!this.#checkName("teams", name, Object.keys(given), UNIFORM)) continue;
      const team = this.#validate(path, teamSchema, value ?? {});
      if (team === undefined || training === undefined) continue;
      if (team.policies !== undefined) {
        out.push(...this.#givenTeam(path, name, team, team.policies, spec));
        continue;
      }
      const steps = team.steps ?? training.steps;
      if (steps === undefined) this.#add([...path, "steps"], "missing, expected here or as training.steps.");
      const learner = this.#learner(path, team.learner, training.learner);
      const { defense, threat } = this.#defense([...path, "defense"], team.defense ?? "plain", threats);
      if (team.ignore !== undefined && spec !== undefined)
        this.#ignore([...path, "ignore"], team.ignore, spec);
      if (steps === undefined || learner === undefined || defense === undefined) continue;
      const ignore = team.ignore ?? {};
      out.push({
        name,
        description: team.description ?? describeTeam(steps, learner, defense, threat, threats, ignore),
        steps,
        learner,
        defense,
        threat,
        ignore,
      });
    }
    return out;
  }

  #givenTeam(
    at: ValuePath,
    name: string,
    team: z.output<typeof teamSchema>,
    files: readonly (string | Record_)[],
    spec: EnvironmentSpec | undefined,
  ): GivenTeam[] {
    for (const key of ["steps", "learner", "defense", "ignore"] as const) {
      if (team[key] !== undefined)
        this.#add(
          [...at, key],
          `got ${showValue(team[key])}, but a team of policy files is not trained.`,
          true,
        );
    }
    const read = files.map((given, i) => {
      const place = [...at, "policies", i];
      const file = this.#validate(
        place,
        policyFileSchema,
        typeof given === "string" ? { file: given } : given,
      );
      return file && this.#attempt(place, () => givenPolicy(inFolder(this.#folder, file.file), file));
    });
    if (spec === undefined || !read.every((r) => r !== undefined)) return [];
    const policies = read.map((r) => r.policy);
    const imported = this.#attempt([...at, "policies"], () =>
      importGiven(
        policies,
        read.map((r) => r.bytes),
        spec,
      ),
    );
    if (imported === undefined) return [];
    this.#given.set([...at, "policies"], imported);
    const description = team.description ?? describeGiven(imported);
    return [{ name, description, threat: null, ignore: {}, policies }];
  }

  /** What attacks differentiate must have a gradient. */
  #requireGradients(adversaries: readonly AdversaryEntry[]): void {
    if (!adversaries.some(({ attack }) => this.#registries.attacks.get(attack.name).whiteBox)) return;
    for (const [path, team] of this.#given) this.#attempt(path, () => requireGradients(team));
  }

  /** The result, or undefined with the user's mistake noted. */
  #attempt<T>(path: ValuePath, action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#add(path, error.message);
      return undefined;
    }
  }

  /** A team's learner options go over the defaults of `training`, unless it names another learner. */
  #learner(
    path: ValuePath,
    own: string | Record_ | undefined,
    shared: string | Record_ | undefined,
  ): Chosen | undefined {
    const record = (x: string | Record_ | undefined): Record_ =>
      typeof x === "string" ? { name: x } : (x ?? {});
    const a = record(shared);
    const b = record(own);
    if (own === undefined || Object.keys(b).length === 0) {
      if (shared === undefined) {
        this.#add([...path, "learner"], "missing, expected here or as training.learner.");
        return undefined;
      }
      return this.#chosen(["training", "learner"], shared, "learners");
    }
    const merged = b.name === undefined || b.name === a.name ? { ...a, ...b } : b;
    return this.#chosen([...path, "learner"], merged, "learners");
  }

  #defense(
    path: ValuePath,
    given: string | Record_,
    threats: ReadonlyMap<string, Threat>,
  ): { defense: Chosen | undefined; threat: string | null } {
    const defense = this.#chosen(path, given, "defenses", ["threat"]);
    const name = typeof given === "string" ? undefined : given.threat;
    if (defense === undefined) return { defense, threat: null };
    const { channels } = this.#registries.defenses.get(defense.name);
    if (channels.length === 0) {
      if (name !== undefined)
        this.#add(
          [...path, "threat"],
          `got ${showValue(name)}, but "${defense.name}" trains against no threat.`,
        );
      return { defense, threat: null };
    }
    if (name === undefined) {
      this.#add(
        [...path, "threat"],
        `missing; "${defense.name}" trains against a threat of channel ${channels.join(" or ")}.`,
      );
      return { defense, threat: null };
    }
    const threat = this.#threatNamed([...path, "threat"], name, threats);
    if (threat !== undefined && !channels.includes(threat.channel)) {
      this.#add(
        [...path, "threat"],
        `got "${name}" of channel "${threat.channel}", but "${defense.name}" trains against ${channels.map((c) => `"${c}"`).join(" or ")}.`,
      );
    }
    return { defense, threat: name as string };
  }

  #ignore(path: ValuePath, ignore: Readonly<Record<string, readonly string[]>>, spec: EnvironmentSpec): void {
    const agents = spec.groups.flatMap((g) => g.agents);
    for (const [agent, features] of Object.entries(ignore)) {
      const group = spec.groups.find((g) => g.agents.includes(agent));
      if (group === undefined) {
        this.#add([...path, agent], `unknown agent of ${spec.id}. ${suggestion(agent, agents)}`, true);
        continue;
      }
      const known = group.features.map((f) => f.name);
      for (const [i, feature] of features.entries()) {
        if (!known.includes(feature))
          this.#add(
            [...path, agent, i],
            `got "${feature}", expected an observation feature of ${agent}. ${suggestion(feature, known)}`,
          );
      }
    }
  }

  #adversaries(given: Record_, threats: ReadonlyMap<string, Threat>): AdversaryEntry[] {
    const out: AdversaryEntry[] = [];
    for (const [name, value] of Object.entries(given)) {
      const path = ["adversaries", name];
      if (!this.#checkName("adversaries", name, Object.keys(given), CLEAN)) continue;
      const entry = this.#validate(path, adversarySchema, value);
      if (entry === undefined) continue;
      const attack = this.#chosen([...path, "attack"], entry.attack, "attacks");
      const threat = this.#threatNamed([...path, "threat"], entry.threat, threats);
      if (attack === undefined) continue;
      const definition = this.#registries.attacks.get(attack.name);
      if (threat !== undefined && !definition.channels.includes(threat.channel)) {
        this.#add(
          [...path, "threat"],
          `got "${entry.threat}" of channel "${threat.channel}", but attack "${attack.name}" works on ${definition.channels.map((c) => `"${c}"`).join(" or ")}.`,
        );
      }
      if (
        definition.whiteBox &&
        threat !== undefined &&
        threat.channel !== "dynamics" &&
        threat.knowledge === "black-box"
      ) {
        this.#add(
          [...path, "attack"],
          `got "${attack.name}", which differentiates the team's policies, but threat "${entry.threat}" says knowledge "black-box".`,
        );
      }
      if (definition.learns && entry.steps === undefined) {
        this.#add([...path, "steps"], `missing; attack "${attack.name}" learns and needs environment steps.`);
      }
      if (!definition.learns && entry.steps !== undefined) {
        this.#add(
          [...path, "steps"],
          `got ${entry.steps}, but attack "${attack.name}" learns nothing and takes no steps.`,
        );
      }
      out.push({ name, attack, threat: entry.threat, steps: definition.learns ? (entry.steps ?? 0) : 0 });
    }
    return out;
  }

  #comparisons(
    given: readonly { team: string; against: string; adversaries?: readonly string[] | undefined }[],
    teams: readonly string[],
    adversaries: readonly string[],
  ): Comparison[] {
    const columns = [CLEAN, ...adversaries];
    return given.map((c, i) => {
      const path = ["report", "comparisons", i];
      for (const field of ["team", "against"] as const) {
        if (!teams.includes(c[field]))
          this.#add([...path, field], `got "${c[field]}", expected a team. ${suggestion(c[field], teams)}`);
      }
      if (c.team === c.against)
        this.#add([...path, "against"], `got "${c.against}", expected another team than "${c.team}".`);
      for (const [k, name] of (c.adversaries ?? []).entries()) {
        if (!columns.includes(name))
          this.#add(
            [...path, "adversaries", k],
            `got "${name}", expected a column. ${suggestion(name, columns)}`,
          );
      }
      return { team: c.team, against: c.against, adversaries: c.adversaries ?? columns };
    });
  }
}

/** Relative names are relative to the folder; without `resolve`, so that results hold no more of a path than was given. */
const inFolder = (folder: string, file: string) => (path.isAbsolute(file) ? file : path.join(folder, file));

/** Where the file names none: every defended team against the first plain one, in all columns. */
function defaultComparisons(
  teams: readonly TeamEntry[],
  adversaries: readonly AdversaryEntry[],
): Comparison[] {
  const isReference = (t: TeamEntry) => Object.keys(t.ignore).length > 0;
  const base = teams.find((t) => t.threat === null && !isReference(t));
  if (base === undefined) return [];
  const columns = [CLEAN, ...adversaries.map((a) => a.name)];
  return teams
    .filter((t) => t !== base && !isReference(t))
    .map((t) => ({ team: t.name, against: base.name, adversaries: columns }));
}

function describeTeam(
  steps: number,
  learner: Chosen,
  defense: Chosen,
  threat: string | null,
  threats: ReadonlyMap<string, Threat>,
  ignore: Readonly<Record<string, readonly string[]>>,
): string {
  const against = threat === null ? undefined : threats.get(threat);
  const parts = [
    against === undefined
      ? defense.name === "plain"
        ? "trained without attack"
        : `trained with ${defense.name}`
      : `trained with ${defense.name} against ${describeThreat(against)}`,
    ...Object.entries(ignore).map(([agent, features]) => `${agent} never sees ${features.join(", ")}`),
    `${learner.name}, ${steps.toLocaleString("en-US")} steps`,
  ];
  return parts.join("; ");
}
