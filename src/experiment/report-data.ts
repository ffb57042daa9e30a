/** From an experiment's folder to everything that its report shows. */
import path from "node:path";
import type { Film } from "../core/film.js";
import { studentInterval } from "../metrics/index.js";
import type { EffortRow, NamedValue, ReportData, ThreatDefinition } from "../report/data.js";
import { describeThreat, type Threat } from "../threats/index.js";
import { type CurveData, type CurveSeries, inferLanguage } from "../views/index.js";
import { CLEAN, isGiven } from "./experiment.js";
import { comparisonsOf, matrixOf, randomPlay } from "./matrix.js";
import type { AdversaryNode, TeamNode } from "./plan.js";
import type { Registries } from "./registries.js";
import { cellOf, type Results, readResults, type TrainingCurve } from "./results.js";
import { summaryOf, worstColumn } from "./summary.js";
import { versions } from "./versions.js";

/** Points of a learning curve; more cannot be seen. */
const CURVE_POINTS = 80;
/** Films embedded in one report; a longer one would open slowly. */
const MAX_FILMS = 60;

/** @param root folder of `phalanx run` */
export function reportData(root: string, registries: Registries): ReportData {
  const results = readResults(root, registries);
  const { experiment } = results;
  const matrix = matrixOf(results, registries);
  const comparisons = comparisonsOf(results);
  const floor = randomPlay(results);
  const films = filmsOf(results);
  const missing = results.planned - results.complete;
  return {
    title: experiment.name,
    question: experiment.question,
    summary: summaryOf(results, matrix, comparisons),
    ...(missing === 0
      ? {}
      : {
          unfinished: `${results.complete} of ${results.planned} runs and evaluations are finished; the rest is missing below.`,
        }),
    matrix,
    references: floor === null ? [] : [{ name: "random play", value: floor.toFixed(1).replace("-", "−") }],
    curves: curvesOf(results),
    films,
    ...panelsOf(results),
    ...(experiment.replayNote === "" ? {} : { replayNote: experiment.replayNote }),
    comparisons,
    comparisonMethod:
      "Student's t test on differences paired by seed, two-sided, with its 95 % interval; p corrected for all rows of the table (Holm). The seed is the unit, never the episode.",
    effort: effortOf(results, matrix.cells),
    threats: experiment.adversaries.map((a) => threatDefinition(a.name, experiment.threats[a.threat]!)),
    configuration: {
      file: experiment.source.file,
      text: [
        experiment.source.text.trimEnd(),
        ...experiment.source.overrides.map((o) => `# override: ${o}`),
      ].join("\n"),
    },
    versions: [
      { name: "environment", value: experiment.environment.id },
      ...experiment.teams.filter(isGiven).flatMap(({ policies }) =>
        policies.map(({ file, sha256 }) => ({
          name: path.basename(file),
          value: `SHA-256 ${sha256.slice(0, 16)}…`,
        })),
      ),
      ...Object.entries(versions()).map(([name, value]) => ({ name, value })),
    ],
    methods: methodsOf(results),
  };
}

/**
 * Films of the first seed, by episode: the one in which the strongest attack cost the first team most comes first, so
 * the replay opens on it (and says so).
 */
function filmsOf(results: Results): Film[] {
  const { experiment } = results;
  const [seed] = experiment.seeds;
  const all = results.cells
    .filter(({ node }) => node.seed === seed && !node.hidden && node.films > 0)
    // Shown under the experiment's seed; the evaluation's own seed is derived from it.
    .flatMap(({ node }) => results.films(node).map((film) => ({ ...film, seed: node.seed })));
  const told = inferLanguage(all).filter((film) => experiment.teams.some((t) => t.name === film.team));
  const team = experiment.teams[0]!.name;
  const worst = worstColumn(results, team);
  const of = (adversary: string | null, copy: number) =>
    told.find((f) => f.team === team && f.adversary === adversary && f.copy === copy)?.episodeReturn ?? 0;
  const copies = [...new Set(told.map((film) => film.copy))];
  copies.sort((a, b) => of(worst, a) - of(CLEAN, a) - (of(worst, b) - of(CLEAN, b)));
  const perEpisode = Math.max(1, told.length / Math.max(1, copies.length));
  return copies
    .slice(0, Math.max(1, Math.floor(MAX_FILMS / perEpisode)))
    .flatMap((copy) => told.filter((film) => film.copy === copy));
}

/** A single team is shown undisturbed beside its strongest attack, whichever film happens to end worst. */
function panelsOf(results: Results): Pick<ReportData, "replayPanels"> {
  const [team, ...others] = results.experiment.teams;
  const worst = worstColumn(results, team!.name);
  if (others.length > 0 || worst === null) return {};
  return { replayPanels: [CLEAN, worst].map((adversary) => ({ team: team!.name, adversary })) };
}

function curvesOf(results: Results): CurveData[] {
  const { experiment, plan } = results;
  const teams = plan.nodes.filter((n): n is TeamNode => n.kind === "team");
  const adversaries = plan.nodes.filter((n): n is AdversaryNode => n.kind === "adversary");
  const curves: CurveData[] = [
    {
      title: "Training of the teams",
      xLabel: "environment steps",
      yLabel: "episode return in training",
      series: experiment.teams.flatMap(({ name }) =>
        series(
          name,
          results,
          teams.filter((n) => n.team === name),
        ),
      ),
    },
  ];
  for (const { name } of experiment.adversaries) {
    const own = adversaries.filter((n) => n.adversary === name);
    if (own.length === 0) continue;
    curves.push({
      title: `Training of ${name}`,
      xLabel: "environment steps of the attack",
      yLabel: "episode return of the team",
      series: experiment.teams.flatMap((team) =>
        series(
          `against ${team.name}`,
          results,
          own.filter((n) => n.team === team.name),
        ),
      ),
    });
  }
  return curves.filter((c) => c.series.length > 0);
}

/** Mean and 95 % interval over seeds, each seed averaged over windows of the training. */
function series(name: string, results: Results, nodes: readonly (TeamNode | AdversaryNode)[]): CurveSeries[] {
  const curves = nodes.flatMap((node) => {
    const curve = results.curve(node);
    return curve === null || curve.returns.length === 0 ? [] : [{ seed: node.seed, curve }];
  });
  if (curves.length === 0) return [];
  const end = Math.min(...curves.map(({ curve }) => curve.envSteps[curve.envSteps.length - 1]!));
  const points = Math.min(CURVE_POINTS, ...curves.map(({ curve }) => curve.returns.length));
  const x = Array.from({ length: points }, (_, i) => ((i + 1) * end) / points);
  const seeds = curves.map(({ seed, curve }) => ({ seed, y: windowMeans(curve, x) }));
  const intervals = x.map((_, i) => studentInterval(seeds.map((s) => s.y[i]!)));
  return [
    {
      name,
      x,
      mean: intervals.map((v) => v.mean),
      low: intervals.map((v) => v.low ?? v.mean),
      high: intervals.map((v) => v.high ?? v.mean),
      seeds,
    },
  ];
}

/** Mean return between consecutive x; a window in which no episode ended repeats the one before. */
function windowMeans(curve: TrainingCurve, x: readonly number[]): number[] {
  const out: number[] = [];
  let k = 0;
  for (const end of x) {
    let sum = 0;
    let count = 0;
    for (; k < curve.returns.length && curve.envSteps[k]! <= end + 1e-9; k++) {
      sum += curve.returns[k]!;
      count++;
    }
    out.push(count > 0 ? sum / count : (out[out.length - 1] ?? curve.returns[0]!));
  }
  return out;
}

function effortOf(results: Results, cells: ReportData["matrix"]["cells"]): EffortRow[] {
  const { experiment, plan } = results;
  return experiment.teams.flatMap((team) =>
    experiment.adversaries.flatMap((adversary): EffortRow[] => {
      const records = experiment.seeds.flatMap(
        (seed) => cellOf(results, team.name, adversary.name, seed) ?? [],
      );
      const [record] = records;
      if (record === undefined) return [];
      const agents = Object.keys(record.agentReturns).length;
      const node = plan.nodes.find(
        (n): n is AdversaryNode =>
          n.kind === "adversary" && n.team === team.name && n.adversary === adversary.name,
      );
      const curve = node === undefined ? null : results.curve(node);
      return [
        {
          team: team.name,
          adversary: adversary.name,
          attack: adversary.attack.name,
          configurations: 1,
          environmentSteps: record.effort.envSteps,
          gradientEvaluations: Math.round(
            record.effort.gradientsPerDecision *
              record.effort.evaluationSteps *
              agents *
              record.effect.perturbedShare,
          ),
          bestSoFar: curve === null ? [] : bestSoFar(curve),
          flags: cells.find((c) => c.team === team.name && c.adversary === adversary.name)?.flags ?? [],
        },
      ];
    }),
  );
}

/** Lowest windowed return so far, in twenty windows. */
function bestSoFar(curve: TrainingCurve): number[] {
  const end = curve.envSteps[curve.envSteps.length - 1] ?? 0;
  const windows = windowMeans(
    curve,
    Array.from({ length: 20 }, (_, i) => ((i + 1) * end) / 20),
  );
  let best = Number.POSITIVE_INFINITY;
  return windows.map((v) => {
    best = Math.min(best, v);
    return best;
  });
}

function threatDefinition(adversary: string, threat: Threat): ThreatDefinition {
  const fields = Object.entries(threat).map(
    ([name, value]): NamedValue => ({
      name,
      value: typeof value === "object" ? JSON.stringify(value) : String(value),
    }),
  );
  return { adversary, sentence: describeThreat(threat), fields };
}

function methodsOf({ experiment }: Results): string[] {
  const { episodes } = experiment.evaluation;
  const seeds = `${experiment.seeds.length} seed${experiment.seeds.length === 1 ? "" : "s"}`;
  const given = experiment.teams.filter(isGiven).map((team) => team.name);
  const made = [
    given.length < experiment.teams.length
      ? `Every team is trained once per seed (${seeds}), with equal environment steps unless its row says otherwise.`
      : "",
    given.length > 0
      ? `The policies of ${given.join(", ")} were made elsewhere and are the same for every seed (${seeds}): for them a seed decides the episodes, the actions that are drawn and how the attack is found. Their intervals say how well these very policies are measured, and nothing of another training.`
      : "",
  ].filter((sentence) => sentence !== "");
  return [
    `${made.join(" ")} A cell's value per seed is the mean over ${episodes} episodes of the sum over steps of the mean reward of the agents. Evaluation episodes are the same for all teams and columns of a seed, and are never trained on.`,
    "A cell shows the mean over seeds, its 95 % Student interval, and every seed. Columns named adaptive hold an adversary found against the very team of the row; random columns hold behaviour without knowledge in the same threat.",
    "A sentence of the summary calls a team better or worse than another only where their paired test is significant at 5 % after Holm's correction. What is said of one team alone (against random play, under its strongest attack) rests on single paired tests at 5 %. Flags mark cells in which the attack, not the team, may have failed.",
  ];
}

/** Whether anything can be shown yet. */
export function hasResults(data: ReportData): boolean {
  return data.matrix.cells.some((cell) => cell.mean !== null);
}
