/** Evaluates one finished team run against an adversary that nobody planned for; writes nothing. */
import path from "node:path";
import type { AdversaryTraining } from "../attacks/attack.js";
import { UserError } from "../core/errors.js";
import { exists, readJson } from "../core/files.js";
import type { EnvironmentSpec } from "../env/contract.js";
import { completeParameters } from "../env/index.js";
import type { Team } from "../policy/index.js";
import { checkThreat, type Threat, threatSchema } from "../threats/index.js";
import { NodeFolder, RUN_FILE, type RunRecord, STATE_FILE } from "./artefacts.js";
import { type CellRecord, cellRecord } from "./cell.js";
import { definitionOf } from "./environments.js";
import { EXPERIMENT_FILE } from "./execute.js";
import { type Chosen, CLEAN, type Experiment } from "./experiment.js";
import { mistakesOf } from "./messages.js";
import {
  type AdversaryNode,
  adversarySeed,
  type CellNode,
  evaluationSeed,
  type GivenTeamNode,
  type TeamNode,
} from "./plan.js";
import type { Toolbox } from "./toolbox.js";
import { formatPath } from "./yaml-source.js";

export interface EvaluateTeamOptions {
  /** Folder of a finished team run. */
  readonly directory: string;
  /** A name in the experiment's threats, or a threat as data; none: nobody attacks. */
  readonly threat?: unknown;
  /** Attack name, or { name, …options }; default: random. */
  readonly attack?: unknown;
  /** Folder of a finished adversary run: a learnt adversary, with its threat. */
  readonly adversary?: string;
  readonly episodes: number;
  /** The evaluation's own seed; the same seed means the same episodes for every team. */
  readonly seed: number;
}

/** @throws UserError in one sentence for a folder that is no finished run, or a threat or attack that does not fit */
export async function evaluateTeam(options: EvaluateTeamOptions, toolbox: Toolbox): Promise<CellRecord> {
  const { directory } = options;
  const team = finishedTeam(directory);
  const definition = await definitionOf(team.environment, toolbox.registries.environments);
  const learnt =
    options.adversary === undefined ? null : (finishedRun(options.adversary, "adversary") as AdversaryNode);
  const threat = learnt?.threat ?? threatOf(options.threat, directory);
  const attack = learnt?.attack ?? attackOf(options.attack, threat, toolbox);
  const changed = threat?.channel === "dynamics" ? threat.parameters : {};
  const parameters = completeParameters(definition, { ...team.environment.parameters, ...changed });
  const createEnvironment = (copies: number, more = {}) => definition.create(parameters, { copies, ...more });
  const probe = await createEnvironment(1);
  probe.close();
  if (threat !== null) checkThreat(threat, probe.spec, "--threat");
  const runtime = await toolbox.createRuntime();
  const loaded = readTeam(directory, probe.spec, toolbox);
  let training: AdversaryTraining | null = null;
  try {
    if (attack !== null && threat !== null) {
      training = await toolbox.registries.attacks
        .get(attack.name)
        .start(
          { runtime, createEnvironment, seed: adversarySeed(options.seed), steps: 1, team: loaded, threat },
          attack.options,
        );
      if (options.adversary !== undefined)
        training.loadState(new NodeFolder(options.adversary, { folder: "." }).readState(STATE_FILE));
    }
    const adversary = learnt?.adversary ?? attack?.name ?? CLEAN;
    const seed = evaluationSeed(options.seed, 0);
    const result = await toolbox.evaluate({
      runtime,
      createEnvironment,
      team: loaded,
      adversary: training?.adversary() ?? null,
      threat,
      episodes: options.episodes,
      seed,
      labels: { team: team.team, adversary },
    });
    const node = {
      team: team.team,
      adversary,
      seed: options.seed,
      evaluationSeed: seed,
      threat,
      episodes: options.episodes,
    };
    return cellRecord(
      node as CellNode,
      result,
      training?.effort() ?? { envSteps: 0, gradientsPerDecision: 0 },
    );
  } finally {
    training?.close();
  }
}

/** What a finished team run was run from. @throws UserError for any other folder */
export function finishedTeam(directory: string): TeamNode | GivenTeamNode {
  return finishedRun(directory, "team") as TeamNode | GivenTeamNode;
}

/** The team of a finished run. @throws UserError if it does not fit the environment, or its file is damaged */
export function readTeam(directory: string, spec: EnvironmentSpec, { loadTeam }: Toolbox): Team {
  const folder = new NodeFolder(directory, { folder: "." });
  return loadTeam(folder.readState(STATE_FILE), spec, folder.file(STATE_FILE));
}

function finishedRun(directory: string, kind: "team" | "adversary") {
  const file = path.join(directory, RUN_FILE);
  if (!exists(file)) {
    throw new UserError(
      `${directory}: got no ${RUN_FILE} there, expected the folder of a finished ${kind} run (RESULTS/${kind === "team" ? "teams" : "adversaries"}/…).`,
    );
  }
  const { node } = readJson(file) as Partial<RunRecord>;
  if (node?.kind !== kind && !(kind === "team" && node?.kind === "given"))
    throw new UserError(`${directory}: got a run of kind "${node?.kind ?? "unknown"}", expected "${kind}".`);
  return node!;
}

function threatOf(given: unknown, directory: string): Threat | null {
  if (given === undefined) return null;
  if (typeof given === "string") {
    const file = path.join(directory, "..", "..", EXPERIMENT_FILE);
    const known = exists(file) ? (readJson(file) as Experiment).threats : {};
    const found = known[given];
    if (found === undefined) {
      const names = Object.keys(known);
      throw new UserError(
        `--threat: got "${given}", expected a threat of the experiment${names.length === 0 ? "" : ` (${names.join(", ")})`} or a mapping such as '{channel: observation, epsilon: 0.1}'.`,
      );
    }
    return found;
  }
  return validated(threatSchema, given, "--threat");
}

function validated<S extends typeof threatSchema>(schema: S, given: unknown, place: string): Threat {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw new UserError(describe(mistakesOf(schema, given, result.error.issues), place));
}

function describe(mistakes: ReturnType<typeof mistakesOf>, place: string): string {
  return mistakes
    .map((m) => `${[place, formatPath(m.path)].filter((p) => p !== "").join(", ")}: ${m.message}`)
    .join("\n");
}

function attackOf(given: unknown, threat: Threat | null, { registries }: Toolbox): Chosen | null {
  if (threat === null) {
    if (given === undefined) return null;
    throw new UserError("--attack: got an attack without --threat, expected a threat to attack under.");
  }
  const fallback = threat.channel === "dynamics" && registries.attacks.has("none") ? "none" : "random";
  const record =
    typeof given === "string" ? { name: given } : ((given ?? { name: fallback }) as Record<string, unknown>);
  const { name, ...rest } = record;
  if (typeof name !== "string")
    throw new UserError(`--attack: got no name, expected one of ${registries.attacks.names().join(", ")}.`);
  const definition = registries.attacks.get(name);
  if (definition.learns)
    throw new UserError(
      `--attack: "${name}" has to be trained; put it into an experiment, or name a finished run of it with --adversary.`,
    );
  if (!definition.channels.includes(threat.channel)) {
    throw new UserError(
      `--attack: got "${name}", which works on ${definition.channels.map((c) => `"${c}"`).join(" or ")}, but the threat's channel is "${threat.channel}".`,
    );
  }
  if (definition.whiteBox && threat.channel !== "dynamics" && threat.knowledge === "black-box")
    throw new UserError(
      `--attack: "${name}" differentiates the team's policies, but the threat says knowledge "black-box".`,
    );
  const result = definition.options.safeParse(rest);
  if (!result.success)
    throw new UserError(describe(mistakesOf(definition.options, rest, result.error.issues), "--attack"));
  return { name, options: result.data as Record<string, unknown> };
}
