/** Reads what an experiment's folder holds so far: the plan, every finished cell, every training curve. */
import path from "node:path";
import { UserError } from "../core/errors.js";
import { exists, listDirectory, readJson, readJsonLines } from "../core/files.js";
import type { Film } from "../core/film.js";
import { CELL_FILE, METRICS_FILE, NodeFolder, type RunRecord } from "./artefacts.js";
import type { CellRecord } from "./cell.js";
import { EXPERIMENT_FILE } from "./execute.js";
import type { Experiment } from "./experiment.js";
import { type AdversaryNode, type CellNode, type Plan, planExperiment, type TeamNode } from "./plan.js";
import type { Registries } from "./registries.js";

/** Return of the last iterations of a training, one point per iteration in which an episode ended. */
export interface TrainingCurve {
  readonly envSteps: readonly number[];
  readonly returns: readonly number[];
}

export interface CellResult {
  readonly node: CellNode;
  readonly record: CellRecord;
}

export interface Results {
  readonly root: string;
  readonly plan: Plan;
  readonly experiment: Experiment;
  /** Finished cells, in plan order. */
  readonly cells: readonly CellResult[];
  /** Number of nodes of the plan, and of those that are complete. */
  readonly planned: number;
  readonly complete: number;
  /** Curve of a team or an adversary; null where it has not finished. */
  curve(node: TeamNode | AdversaryNode): TrainingCurve | null;
  films(node: CellNode): Film[];
}

/**
 * @param root folder of `phalanx run`
 * @throws UserError if it is no such folder
 */
export function readResults(root: string, registries: Registries): Results {
  const file = path.join(root, EXPERIMENT_FILE);
  if (!exists(file)) {
    throw new UserError(
      `${root}: got a folder without ${EXPERIMENT_FILE}, expected the folder of a finished or running experiment.`,
    );
  }
  const experiment = readJson(file) as Experiment;
  const plan = planExperiment(experiment, registries);
  const records = new Map<string, RunRecord>();
  for (const node of plan.nodes) {
    const record = new NodeFolder(root, node).completed(node.key);
    if (record !== null) records.set(node.key, record);
  }
  const cells = plan.nodes.flatMap((node) =>
    node.kind === "cell" && records.has(node.key)
      ? [{ node, record: readJson(new NodeFolder(root, node).file(CELL_FILE)) as CellRecord }]
      : [],
  );
  return {
    root,
    plan,
    experiment,
    cells,
    planned: plan.nodes.length,
    complete: records.size,
    curve: (node) =>
      records.has(node.key) ? readCurve(new NodeFolder(root, node).file(METRICS_FILE)) : null,
    films(node) {
      if (!records.has(node.key)) return [];
      const folder = new NodeFolder(root, node).file("episodes");
      if (!exists(folder)) return [];
      return listDirectory(folder)
        .filter((name) => name.endsWith(".json"))
        .sort()
        .map((name) => readJson(path.join(folder, name)) as Film);
    },
  };
}

function readCurve(file: string): TrainingCurve {
  const lines = readJsonLines(file) as { envSteps: number; return: number | null }[];
  const ended = lines.filter((line) => typeof line.return === "number");
  return { envSteps: ended.map((line) => line.envSteps), returns: ended.map((line) => line.return!) };
}

/** Per seed in the experiment's order: the mean return of one cell; null where it is not there yet. */
export function seedValues(results: Results, team: string, adversary: string): (number | null)[] {
  return results.experiment.seeds.map((seed) => cellOf(results, team, adversary, seed)?.returns.mean ?? null);
}

export function cellOf(results: Results, team: string, adversary: string, seed: number): CellRecord | null {
  const found = results.cells.find(
    ({ node }) => node.team === team && node.adversary === adversary && node.seed === seed,
  );
  return found?.record ?? null;
}

/** Values of the seeds that both lists have, paired. */
export function paired(a: readonly (number | null)[], b: readonly (number | null)[]): [number[], number[]] {
  const both = a.flatMap((x, i) =>
    x !== null && b[i] !== null && b[i] !== undefined ? [[x, b[i]] as const] : [],
  );
  return [both.map(([x]) => x), both.map(([, y]) => y)];
}
