/** The robustness matrix and its paired comparisons, from finished cells. The seed is the unit, never the episode. */
import { holm, pairedTest, significanceLimit, studentInterval } from "../metrics/index.js";
import type { PairedComparison } from "../report/data.js";
import { describeThreat } from "../threats/index.js";
import type { MatrixCell, MatrixColumn, MatrixData } from "../views/index.js";
import { type AdversaryEntry, CLEAN, UNIFORM } from "./experiment.js";
import { healthFlags } from "./health.js";
import type { Registries } from "./registries.js";
import { cellOf, paired, type Results, seedValues } from "./results.js";

export function matrixOf(results: Results, registries: Registries): MatrixData {
  const { experiment } = results;
  const columns: MatrixColumn[] = [
    { adversary: CLEAN, threat: "no adversary", kind: "clean" },
    ...experiment.adversaries.map((a) => ({
      adversary: a.name,
      threat: describeThreat(experiment.threats[a.threat]!),
      kind: columnKind(a),
    })),
  ];
  const cells = experiment.teams.flatMap((team) =>
    columns.map((column) => matrixCell(results, registries, team.name, column.adversary)),
  );
  return {
    measure: "mean episode return per agent",
    higherIsBetter: true,
    seeds: experiment.seeds,
    teams: experiment.teams.map(({ name, description }) => ({ name, description })),
    columns,
    cells,
  };
}

/** Every adversary of an experiment is found against the very team it is shown with. */
const columnKind = (adversary: AdversaryEntry): MatrixColumn["kind"] =>
  adversary.attack.name === "random" || adversary.attack.name === "none" ? "random" : "adaptive";

function matrixCell(results: Results, registries: Registries, team: string, adversary: string): MatrixCell {
  const values = seedValues(results, team, adversary);
  const present = values.filter((v) => v !== null);
  const interval = present.length === 0 ? { mean: null, low: null, high: null } : studentInterval(present);
  const records = results.experiment.seeds.flatMap((seed) => cellOf(results, team, adversary, seed) ?? []);
  const [first] = records;
  const notes: string[] = [];
  if (first !== undefined) {
    notes.push(`${first.episodes} episodes per seed`);
    if (first.effort.envSteps > 0)
      notes.push(`attack trained for ${first.effort.envSteps.toLocaleString("en")} steps`);
    if (first.effort.gradientsPerDecision > 0)
      notes.push(`${first.effort.gradientsPerDecision} gradients per decision`);
    if (first.effect.controlledShare > 0)
      notes.push(`${percent(first.effect.controlledShare)} of the hijackable decisions taken over`);
    if (first.effect.perturbedShare > 0) {
      notes.push(`largest change of an observation: ${first.effect.largestPerturbation.toPrecision(3)}`);
    }
  }
  return {
    team,
    adversary,
    values,
    mean: interval.mean,
    low: interval.low,
    high: interval.high,
    flags: healthFlags(results, registries, team, adversary),
    notes,
  };
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

/** All comparisons that the experiment asks for, corrected together. */
export function comparisonsOf(results: Results): PairedComparison[] {
  const { experiment } = results;
  const wanted = experiment.comparisons.flatMap(({ team, against, adversaries }) =>
    adversaries.map((adversary) => ({ team, baseline: against, adversary })),
  );
  const tested = wanted.map((c) => {
    const a = seedValues(results, c.baseline, c.adversary);
    const b = seedValues(results, c.team, c.adversary);
    const [x, y] = paired(a, b);
    const seedGains = a.map((v, i) => (v === null || b[i] === null ? null : b[i]! - v));
    return { ...c, seedGains, test: x.length === 0 ? null : pairedTest(x, y) };
  });
  const corrected = holm(tested.map((c) => c.test?.p ?? 1));
  const limit = significanceLimit(experiment.seeds.length, wanted.length);
  return tested.map(({ test, ...c }, i) => ({
    ...c,
    gain: test?.mean ?? null,
    low: test?.low ?? null,
    high: test?.high ?? null,
    p: test?.p ?? null,
    pHolm: test?.p == null ? null : corrected[i]!,
    ...(limit === null ? {} : { note: limit }),
  }));
}

/** Random play, the floor: mean over seeds; null where it has not run. */
export function randomPlay(results: Results): number | null {
  const values = seedValues(results, UNIFORM, CLEAN).filter((v) => v !== null);
  return values.length === 0 ? null : studentInterval(values).mean;
}
