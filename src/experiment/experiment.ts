/** A validated experiment: names resolved, defaults filled in, nothing optional. Plain data throughout. */
import type { BindingOptions } from "../policy/index.js";
import type { Threat } from "../threats/index.js";

/** A registry name with its complete options. */
export interface Chosen {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface EnvironmentChoice {
  /** full id, with version */
  readonly id: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** The user's module that it comes from; absent for registered ones. */
  readonly module?: {
    /** As given, relative to the working directory. */
    readonly file: string;
    /** Of its text, and of the files that it imports by relative names. */
    readonly sha256: string;
  };
  /** Of foreign software that it runs on; absent where there is none. */
  readonly versions?: Readonly<Record<string, string>>;
}

export type TeamEntry = TrainedTeam | GivenTeam;

interface AnyTeam {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** Name in `threats` of what it trains against; null where the defense takes none. */
  readonly threat: string | null;
  /** Observation features that the named agent's policy never sees. */
  readonly ignore: Readonly<Record<string, readonly string[]>>;
}

export interface TrainedTeam extends AnyTeam {
  /** Environment steps, copies counted. */
  readonly steps: number;
  readonly learner: Chosen;
  readonly defense: Chosen;
}

/** A team that was made elsewhere, the same for every seed. */
export interface GivenTeam extends AnyTeam {
  readonly threat: null;
  readonly policies: readonly GivenPolicy[];
}

/** A policy file, and how it is read. */
export interface GivenPolicy {
  /** As given, relative to the working directory. */
  readonly file: string;
  /** Of the file's bytes: the file may change, the experiment's team may not. */
  readonly sha256: string;
  /** "all", groups or agents; null: as the file says */
  readonly plays: string | readonly string[] | null;
  readonly options: BindingOptions;
}

export function isGiven(team: TeamEntry): team is GivenTeam {
  return "policies" in team;
}

export interface AdversaryEntry {
  readonly name: string;
  readonly attack: Chosen;
  /** Name in `threats`. */
  readonly threat: string;
  /** Environment steps that the attack may spend; 0 for attacks that learn nothing. */
  readonly steps: number;
}

export interface EvaluationChoice {
  /** Episodes per team, adversary and seed. */
  readonly episodes: number;
  readonly seed: number;
  /** Episodes kept as films per team and adversary, of the first seed. */
  readonly films: number;
}

export interface Comparison {
  readonly team: string;
  readonly against: string;
  /** Column names, "clean" included. */
  readonly adversaries: readonly string[];
}

export interface Experiment {
  readonly name: string;
  readonly question: string;
  readonly environment: EnvironmentChoice;
  readonly seeds: readonly number[];
  readonly threats: Readonly<Record<string, Threat>>;
  readonly teams: readonly TeamEntry[];
  readonly adversaries: readonly AdversaryEntry[];
  readonly evaluation: EvaluationChoice;
  readonly comparisons: readonly Comparison[];
  /** Paragraph above the replay. */
  readonly replayNote: string;
  /** The file as written, and the command line's overrides. */
  readonly source: { readonly file: string; readonly text: string; readonly overrides: readonly string[] };
}

/** Column of the matrix in which nobody attacks. */
export const CLEAN = "clean";
/** Row of uniformly random legal actions: the floor. */
export const UNIFORM = "uniform";

/** Letters, digits, dots and dashes of a name, for folders. */
export function slug(name: string): string {
  const text = name
    .normalize("NFKD")
    .replace(/[^A-Za-z0-9.]+/g, "-")
    .replace(/^[-.]+|-+$/g, "");
  return text === "" ? "x" : text.toLowerCase();
}
