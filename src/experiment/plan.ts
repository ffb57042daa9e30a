/**
 * An experiment as a directed acyclic graph of nodes: train teams, train adversaries against them, evaluate cells.
 * Every node is plain data, complete in itself, and keyed by a hash of everything that determines its result, so that
 * a worker anywhere can run it and a finished one is never run again.
 */
import { hashOf } from "../core/hash.js";
import type { Threat } from "../threats/index.js";
import {
  type AdversaryEntry,
  type Chosen,
  CLEAN,
  type EnvironmentChoice,
  type Experiment,
  type GivenPolicy,
  type GivenTeam,
  isGiven,
  slug,
  type TrainedTeam,
  UNIFORM,
} from "./experiment.js";
import type { Registries } from "./registries.js";

/**
 * Raised whenever the same configuration would give other artefacts than before: a change of results, or of a file's
 * form. Old results are then not mistaken for new ones.
 */
export const FORMAT = 3;

/** Name prefix of the hidden column that attacks are compared with. */
const REFERENCE_PREFIX = "random behaviour under ";

interface NodeBase {
  /** 64 hexadecimal digits */
  readonly key: string;
  /** Folder of the artefacts, relative to the experiment's; ends in the key's beginning. */
  readonly folder: string;
  /** "plain, seed 0", for people */
  readonly label: string;
  /** Keys of the nodes whose artefacts it reads. */
  readonly needs: readonly string[];
  readonly environment: EnvironmentChoice;
  /** The experiment's seed. */
  readonly seed: number;
  /** Environment steps that it takes, for estimates of time. */
  readonly work: number;
}

export interface TeamNode extends NodeBase {
  readonly kind: "team";
  readonly team: string;
  readonly steps: number;
  readonly learner: Chosen;
  readonly defense: Chosen;
  readonly threat: Threat | null;
  readonly ignore: Readonly<Record<string, readonly string[]>>;
}

/** Reads policy files; one node for all seeds. */
export interface GivenTeamNode extends NodeBase {
  readonly kind: "given";
  readonly team: string;
  readonly policies: readonly GivenPolicy[];
}

export interface AdversaryNode extends NodeBase {
  readonly kind: "adversary";
  readonly team: string;
  readonly adversary: string;
  readonly teamFolder: string;
  readonly attack: Chosen;
  readonly threat: Threat;
  readonly steps: number;
}

export interface CellNode extends NodeBase {
  readonly kind: "cell";
  /** Team name, or "uniform" */
  readonly team: string;
  /** Adversary name, or "clean" */
  readonly adversary: string;
  /** Column that exists only to compare attacks with. */
  readonly hidden: boolean;
  /** null for random play */
  readonly teamFolder: string | null;
  /** Where the learnt adversary is; null for attacks that learn nothing. */
  readonly adversaryFolder: string | null;
  readonly attack: Chosen | null;
  readonly threat: Threat | null;
  readonly episodes: number;
  readonly evaluationSeed: number;
  readonly films: number;
}

export type PlanNode = TeamNode | GivenTeamNode | AdversaryNode | CellNode;

/** Nodes in an order in which every one comes after what it needs. */
export interface Plan {
  readonly experiment: Experiment;
  readonly nodes: readonly PlanNode[];
}

/**
 * Seeds of different purposes never meet: training uses the seed itself (below 2³²), training of adversaries and
 * evaluation the same low half under another high half.
 */
const SEED_SPAN = 2 ** 32;
export const adversarySeed = (seed: number) => SEED_SPAN + seed;
export const evaluationSeed = (seed: number, evaluation: number) => (2 + evaluation) * SEED_SPAN + seed;

type Keyed<T> = Omit<T, "key" | "folder">;

function keyed<T extends NodeBase>(folder: string, node: Keyed<T>, determines: unknown): T {
  const key = hashOf({ format: FORMAT, determines });
  return { ...node, key, folder: `${folder}-${key.slice(0, 8)}` } as unknown as T;
}

/** What of an environment determines results: where its module lies does not. */
function identityOf({ module, ...rest }: EnvironmentChoice): unknown {
  return module === undefined ? rest : { ...rest, module: module.sha256 };
}

/** Expand an experiment into its nodes. */
export function planExperiment(experiment: Experiment, registries: Registries): Plan {
  const nodes: PlanNode[] = [];
  const columns = [
    ...experiment.adversaries.map((a) => ({ ...a, hidden: false })),
    ...references(experiment, registries),
  ];
  const given = new Map(
    experiment.teams.filter(isGiven).map((entry) => [entry.name, givenTeamNode(experiment, entry)]),
  );
  nodes.push(...given.values());
  for (const [seedIndex, seed] of experiment.seeds.entries()) {
    const films = seedIndex === 0 ? experiment.evaluation.films : 0;
    const cells: CellNode[] = [cellNode(experiment, seed, films, null, null, null)];
    for (const entry of experiment.teams) {
      const team = isGiven(entry) ? given.get(entry.name)! : teamNode(experiment, entry, seed);
      if (team.kind === "team") nodes.push(team);
      cells.push(cellNode(experiment, seed, films, team, null, null));
      for (const adversary of columns) {
        const learns = registries.attacks.get(adversary.attack.name).learns;
        const run = learns ? adversaryNode(experiment, team, adversary, seed) : null;
        if (run !== null) nodes.push(run);
        cells.push(cellNode(experiment, seed, adversary.hidden ? 0 : films, team, adversary, run));
      }
    }
    nodes.push(...cells);
  }
  return { experiment, nodes };
}

/** Random behaviour for every attacked threat that has no such column: what tells a weak attack from a strong team. */
function references(
  experiment: Experiment,
  registries: Registries,
): (AdversaryEntry & { hidden: boolean })[] {
  if (!registries.attacks.has("random")) return [];
  const random = registries.attacks.get("random");
  const has = new Set(experiment.adversaries.filter((a) => a.attack.name === "random").map((a) => a.threat));
  const wanted = new Set(experiment.adversaries.map((a) => a.threat).filter((name) => !has.has(name)));
  return [...wanted]
    .filter((name) => random.channels.includes(experiment.threats[name]!.channel))
    .map((name) => ({
      name: `${REFERENCE_PREFIX}${name}`,
      attack: { name: "random", options: random.options.parse({}) as Record<string, unknown> },
      threat: name,
      steps: 0,
      hidden: true,
    }));
}

/** The column of random behaviour under a threat: a visible one, or the hidden reference. */
export function referenceOf(experiment: Experiment, threat: string): string {
  const visible = experiment.adversaries.find((a) => a.attack.name === "random" && a.threat === threat);
  return visible?.name ?? `${REFERENCE_PREFIX}${threat}`;
}

function givenTeamNode({ environment, seeds }: Experiment, entry: GivenTeam): GivenTeamNode {
  const { name, policies } = entry;
  return keyed<GivenTeamNode>(
    `teams/${slug(name)}`,
    {
      kind: "given",
      label: name,
      needs: [],
      environment,
      seed: seeds[0]!,
      work: 0,
      team: name,
      policies,
    },
    // Not the files' names: what is in them decides.
    {
      kind: "given",
      environment: identityOf(environment),
      policies: policies.map(({ file: _, ...rest }) => rest),
    },
  );
}

function teamNode({ environment, threats }: Experiment, entry: TrainedTeam, seed: number): TeamNode {
  const { name, steps, learner, defense, ignore } = entry;
  const threat = entry.threat === null ? null : threats[entry.threat]!;
  return keyed<TeamNode>(
    `teams/${slug(name)}-s${seed}`,
    {
      kind: "team",
      label: `${name}, seed ${seed}`,
      needs: [],
      environment,
      seed,
      work: steps,
      team: name,
      steps,
      learner,
      defense,
      threat,
      ignore,
    },
    { kind: "team", environment: identityOf(environment), seed, steps, learner, defense, threat, ignore },
  );
}

function adversaryNode(
  experiment: Experiment,
  team: TeamNode | GivenTeamNode,
  entry: AdversaryEntry,
  seed: number,
): AdversaryNode {
  const { environment } = experiment;
  const { attack, steps, name } = entry;
  const threat = experiment.threats[entry.threat]!;
  return keyed<AdversaryNode>(
    `adversaries/${slug(team.team)}-vs-${slug(name)}-s${seed}`,
    {
      kind: "adversary",
      label: `${name} against ${team.team}, seed ${seed}`,
      needs: [team.key],
      environment,
      seed,
      work: steps,
      team: team.team,
      adversary: name,
      teamFolder: team.folder,
      attack,
      threat,
      steps,
    },
    { kind: "adversary", team: team.key, attack, threat, steps, seed },
  );
}

function cellNode(
  experiment: Experiment,
  seed: number,
  films: number,
  team: TeamNode | GivenTeamNode | null,
  entry: (AdversaryEntry & { hidden: boolean }) | null,
  run: AdversaryNode | null,
): CellNode {
  const { environment } = experiment;
  const { episodes } = experiment.evaluation;
  const teamName = team?.team ?? UNIFORM;
  const adversary = entry?.name ?? CLEAN;
  const threat = entry === null ? null : experiment.threats[entry.threat]!;
  const attack = entry?.attack ?? null;
  const evaluation = evaluationSeed(seed, experiment.evaluation.seed);
  return keyed<CellNode>(
    `cells/${slug(teamName)}-vs-${slug(adversary)}-s${seed}`,
    {
      kind: "cell",
      label: `${teamName} under ${adversary}, seed ${seed}`,
      needs: [...(team === null ? [] : [team.key]), ...(run === null ? [] : [run.key])],
      environment,
      seed,
      work: episodes * 25,
      team: teamName,
      adversary,
      hidden: entry?.hidden ?? false,
      teamFolder: team?.folder ?? null,
      adversaryFolder: run?.folder ?? null,
      attack,
      threat,
      episodes,
      evaluationSeed: evaluation,
      films,
    },
    {
      kind: "cell",
      environment: identityOf(environment),
      team: team?.key ?? UNIFORM,
      adversary: run?.key ?? null,
      attack,
      threat,
      episodes,
      seed: evaluation,
      films,
      // Films carry the names.
      labels: films > 0 ? [teamName, adversary] : null,
    },
  );
}
