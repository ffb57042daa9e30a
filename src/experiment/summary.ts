/**
 * The summary on top of a report: sentences that follow from the numbers by rules, so that nobody can write a better
 * story than was measured. "Better" and "worse" are said only where a paired test is significant after Holm's
 * correction; an effect is otherwise called not distinguishable.
 */
import { pairedTest, significanceLimit, studentInterval } from "../metrics/index.js";
import type { NamedValue, PairedComparison, SummarySentence } from "../report/data.js";
import type { MatrixData } from "../views/index.js";
import { CLEAN, type Experiment, type TeamEntry, UNIFORM } from "./experiment.js";
import { referenceOf } from "./plan.js";
import { paired, type Results, seedValues } from "./results.js";

const LEVEL = 0.05;
const number = (x: number) => x.toFixed(Math.abs(x) >= 100 ? 0 : Math.abs(x) >= 1 ? 1 : 2).replace("-", "−");
const interval = (low: number | null, high: number | null) =>
  low === null || high === null ? "" : ` (${number(low)} … ${number(high)})`;

export function summaryOf(
  results: Results,
  matrix: MatrixData,
  comparisons: readonly PairedComparison[],
): SummarySentence[] {
  const { experiment } = results;
  const value = (team: string, adversary: string): NamedValue | null => {
    const cell = matrix.cells.find((c) => c.team === team && c.adversary === adversary);
    if (cell === undefined || cell.mean === null) return null;
    return { name: `${team}, ${adversary}`, value: `${number(cell.mean)}${interval(cell.low, cell.high)}` };
  };
  const baseline = experiment.teams[0]!;
  return [
    ...floorSentence(results, baseline, value),
    ...attackSentence(results, baseline, value),
    ...hardeningSentences(results, comparisons, value),
    ...otherChannelSentences(experiment, comparisons, value),
    ...ignoringSentences(results, comparisons, value),
    ...limitSentence(experiment, comparisons),
  ];
}

type Value = (team: string, adversary: string) => NamedValue | null;
const list = (...values: (NamedValue | null)[]): NamedValue[] => values.filter((v) => v !== null);

/** Is the trained team any better than random play? */
function floorSentence(results: Results, team: TeamEntry, value: Value): SummarySentence[] {
  const [trained, floor] = paired(seedValues(results, team.name, CLEAN), seedValues(results, UNIFORM, CLEAN));
  if (trained.length === 0) return [];
  const test = pairedTest(floor, trained);
  const random = { name: "random play", value: number(studentInterval(floor).mean) };
  const text = isSure(test.p)
    ? `Undisturbed, the ${team.name} team ${test.mean > 0 ? "plays far above" : "plays below"} random play.`
    : `Undisturbed, the ${team.name} team cannot be told from random play with these seeds.`;
  return [
    {
      text:
        test.mean > 0 && test.mean < 0.2 * Math.abs(studentInterval(floor).mean)
          ? text.replace("far above", "above")
          : text,
      numbers: list(value(team.name, CLEAN), random),
    },
  ];
}

/** What attacks do to the undefended team, beside random behaviour in the same threat. */
function attackSentence(results: Results, team: TeamEntry, value: Value): SummarySentence[] {
  const { experiment } = results;
  const worst = worstColumn(results, team.name);
  if (worst === null) return [];
  const clean = seedValues(results, team.name, CLEAN);
  const [before, after] = paired(clean, seedValues(results, team.name, worst));
  const test = pairedTest(before, after);
  if (!isSure(test.p) || test.mean >= 0) {
    return [
      {
        text: `No attack here lowers the return of the ${team.name} team beyond what seeds explain.`,
        numbers: list(value(team.name, CLEAN), value(team.name, worst)),
      },
    ];
  }
  const isFinished = experiment.adversaries.every((a) =>
    seedValues(results, team.name, a.name).every((v) => v !== null),
  );
  const entry = experiment.adversaries.find((a) => a.name === worst)!;
  const reference = referenceOf(experiment, entry.threat);
  const [random, attacked] = paired(
    seedValues(results, team.name, reference),
    seedValues(results, team.name, worst),
  );
  const beyond = random.length === 0 || reference === worst ? null : pairedTest(random, attacked);
  const compared =
    beyond === null
      ? "."
      : isSure(beyond.p) && beyond.mean < 0
        ? ", far more than random behaviour in the same threat does."
        : ", which is not distinguishable from random behaviour in the same threat.";
  const referenceValue =
    beyond === null ? null : { name: reference, value: number(studentInterval(random).mean) };
  return [
    {
      text: `The strongest attack${isFinished ? "" : " among those that finished"}, ${worst}, costs the ${team.name} team ${number(-test.mean)}${compared}`,
      numbers: list(value(team.name, CLEAN), value(team.name, worst), referenceValue),
    },
  ];
}

/** Each hardened team in the columns of the threat it was hardened against: what it buys, and what it costs clean. */
function hardeningSentences(
  results: Results,
  comparisons: readonly PairedComparison[],
  value: Value,
): SummarySentence[] {
  const { experiment } = results;
  return experiment.teams.flatMap((team) => {
    if (team.threat === null) return [];
    const own = comparisons.filter(
      (c) => c.team === team.name && baselineOf(experiment, c) && c.gain !== null,
    );
    const against = own.filter(
      (c) => isAgainst(experiment, c.adversary, team.threat!) && !isRandomColumn(experiment, c.adversary),
    );
    const clean = own.find((c) => c.adversary === CLEAN);
    return against.map((c): SummarySentence => {
      const attacked = `Under ${c.adversary}, the ${team.name} team is ${verdict(c)} the ${c.baseline} team`;
      const cost =
        clean === undefined
          ? ""
          : isSure(clean.pHolm)
            ? clean.gain! < 0
              ? `; undisturbed, it pays ${number(-clean.gain!)} for it`
              : `; undisturbed, it is even better by ${number(clean.gain!)}`
            : `; undisturbed, the difference (${number(clean.gain!)}) is not distinguishable from 0`;
      return {
        text: `${attacked}${cost}.`,
        numbers: list(
          value(c.baseline, c.adversary),
          value(team.name, c.adversary),
          value(c.baseline, CLEAN),
          value(team.name, CLEAN),
        ),
      };
    });
  });
}

/** Does hardening one channel help on another? */
function otherChannelSentences(
  experiment: Experiment,
  comparisons: readonly PairedComparison[],
  value: Value,
): SummarySentence[] {
  const channelOf = (adversary: string) => {
    const entry = experiment.adversaries.find((a) => a.name === adversary);
    return entry === undefined ? null : experiment.threats[entry.threat]!.channel;
  };
  return experiment.teams.flatMap((team): SummarySentence[] => {
    if (team.threat === null) return [];
    const own = experiment.threats[team.threat]!.channel;
    const mine = comparisons.filter(
      (c) => c.team === team.name && baselineOf(experiment, c) && c.gain !== null,
    );
    const channels = new Set(mine.map((c) => channelOf(c.adversary)));
    return [...channels].flatMap((channel): SummarySentence[] => {
      if (channel === null || channel === own) return [];
      const others = mine.filter((c) => channelOf(c.adversary) === channel);
      const better = others.some((c) => isSure(c.pHolm) && c.gain! > 0);
      const says = (subject: string) =>
        others
          .map((c) => `under ${c.adversary} ${subject} is ${verdict(c)} the ${c.baseline} team`)
          .join("; ");
      const found = others.every((c) => c.gain! <= 0) ? "buys nothing" : "shows no gain";
      const text = better
        ? `On the ${channel} channel, which the ${team.name} team was not hardened for, ${says("it")}.`
        : `Hardening the ${own} channel ${found} on the ${channel} channel: ${says(`the ${team.name} team`)}.`;
      return [
        {
          text,
          numbers: others.flatMap((c) => list(value(c.baseline, c.adversary), value(team.name, c.adversary))),
        },
      ];
    });
  });
}

/** A team that never reads the attacked features says how much of a defense is distrust. */
function ignoringSentences(
  results: Results,
  comparisons: readonly PairedComparison[],
  value: Value,
): SummarySentence[] {
  const { experiment } = results;
  return experiment.teams.flatMap((reference): SummarySentence[] => {
    if (Object.keys(reference.ignore).length === 0) return [];
    const what = Object.entries(reference.ignore)
      .map(([agent, features]) => `${agent}'s ${features.join(" and ")}`)
      .join(", ");
    return comparisons
      .filter((c) => c.baseline === reference.name && c.adversary !== CLEAN && c.gain !== null)
      .map((c) => {
        const worse = isSure(c.pHolm) && c.gain! < 0;
        const clean = comparisons.find(
          (d) => d.team === c.team && d.baseline === c.baseline && d.adversary === CLEAN,
        );
        const cleanText =
          clean === undefined || clean.gain === null
            ? ""
            : `; undisturbed, the ${c.team} team is ${verdict(clean)} it`;
        const moral = worse ? " For the pure worst case, not listening is the better choice." : "";
        return {
          text: `A team that ignores ${what} cannot be deceived through it. Under ${c.adversary}, the ${c.team} team is ${verdict(c)} that team${cleanText}.${moral}`,
          numbers: list(
            value(reference.name, CLEAN),
            value(reference.name, c.adversary),
            value(c.team, c.adversary),
            value(c.team, CLEAN),
          ),
        };
      });
  });
}

function limitSentence(experiment: Experiment, comparisons: readonly PairedComparison[]): SummarySentence[] {
  const limit = significanceLimit(experiment.seeds.length, comparisons.length);
  return limit === null ? [] : [{ text: limit, numbers: [] }];
}

/** "better by 9.6 than", "not distinguishable (+0.3) from" */
function verdict(c: PairedComparison): string {
  const size = number(Math.abs(c.gain!));
  if (!isSure(c.pHolm)) return `not distinguishable (${c.gain! >= 0 ? "+" : "−"}${size}) from`;
  return `${c.gain! > 0 ? "better" : "worse"} by ${size} than`;
}

const isSure = (p: number | null) => p !== null && p < LEVEL;
const baselineOf = (experiment: Experiment, c: PairedComparison) => c.baseline === experiment.teams[0]!.name;
const isAgainst = (experiment: Experiment, adversary: string, threat: string) =>
  experiment.adversaries.find((a) => a.name === adversary)?.threat === threat;
const isRandomColumn = (experiment: Experiment, adversary: string) =>
  experiment.adversaries.find((a) => a.name === adversary)?.attack.name === "random";

/** The column with the lowest mean return of a team; null where nothing attacked has finished. */
export function worstColumn(results: Results, team: string): string | null {
  let worst: string | null = null;
  let lowest = Number.POSITIVE_INFINITY;
  for (const { name } of results.experiment.adversaries) {
    const values = seedValues(results, team, name).filter((v) => v !== null);
    if (values.length === 0) continue;
    const { mean } = studentInterval(values);
    if (mean < lowest) {
      lowest = mean;
      worst = name;
    }
  }
  return worst;
}
