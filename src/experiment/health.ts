/**
 * Health flags: signs that the attack, not the team, failed, so that a good number is not believed too soon. Each is
 * one sentence.
 */
import { mean, standardDeviation } from "../metrics/index.js";
import { CLEAN } from "./experiment.js";
import { referenceOf } from "./plan.js";
import type { Registries } from "./registries.js";
import { cellOf, paired, type Results, seedValues } from "./results.js";

/** Share of a control budget, or of a radius, below which a budget counts as unspent. */
const UNSPENT = 0.5;
/** An attack counts as still improving if its last tenth lowers the return beyond noise, by more than this share of the whole drop. */
const STILL_IMPROVING = 0.05;
/** Training and evaluation differ by more than this share of the return. */
const UNLIKE_TRAINING = 0.25;

export function healthFlags(
  results: Results,
  registries: Registries,
  team: string,
  adversary: string,
): string[] {
  const values = seedValues(results, team, adversary).filter((v) => v !== null);
  if (values.length === 0) return [];
  if (adversary === CLEAN) return cleanFlags(results, team);
  return [
    ...weakerThanRandom(results, team, adversary),
    ...unspentBudget(results, team, adversary),
    ...stillImproving(results, registries, team, adversary),
    ...seedsDisagree(results, team, adversary, values),
  ];
}

/** A clean evaluation far from what the training itself saw, where nothing disturbed it. */
function cleanFlags(results: Results, team: string): string[] {
  const entry = results.experiment.teams.find((t) => t.name === team)!;
  if (entry.threat !== null) return [];
  for (const node of results.plan.nodes) {
    if (node.kind !== "team" || node.team !== team) continue;
    const curve = results.curve(node);
    const cell = cellOf(results, team, CLEAN, node.seed);
    if (curve === null || cell === null || curve.returns.length < 20) continue;
    const last = curve.returns.slice(-Math.ceil(curve.returns.length / 20));
    const difference = cell.returns.mean - mean(last);
    const noise = Math.hypot(
      cell.returns.std / Math.sqrt(cell.episodes),
      standardDeviation(last) / Math.sqrt(last.length),
    );
    if (Math.abs(difference) > 4 * noise && Math.abs(difference) > UNLIKE_TRAINING * Math.abs(mean(last))) {
      return [
        `seed ${node.seed}: the clean return (${cell.returns.mean.toFixed(1)}) is unlike the end of training (${mean(last).toFixed(1)})`,
      ];
    }
  }
  return [];
}

function weakerThanRandom(results: Results, team: string, adversary: string): string[] {
  const entry = results.experiment.adversaries.find((a) => a.name === adversary)!;
  if (entry.attack.name === "random") return [];
  const reference = referenceOf(results.experiment, entry.threat);
  const [attacked, random] = paired(
    seedValues(results, team, adversary),
    seedValues(results, team, reference),
  );
  if (attacked.length === 0) return [];
  const noise = results.experiment.seeds.flatMap((seed) => {
    const a = cellOf(results, team, adversary, seed);
    const b = cellOf(results, team, reference, seed);
    return a === null || b === null ? [] : [(a.returns.std ** 2 + b.returns.std ** 2) / a.episodes];
  });
  const error = Math.sqrt(noise.reduce((sum, v) => sum + v, 0)) / noise.length;
  const difference = mean(attacked) - mean(random);
  return difference > 2 * error
    ? [`weaker than random behaviour in the same threat (by ${difference.toFixed(2)})`]
    : [];
}

function unspentBudget(results: Results, team: string, adversary: string): string[] {
  const records = results.experiment.seeds.flatMap((seed) => cellOf(results, team, adversary, seed) ?? []);
  const threat = records[0]?.threat;
  if (threat === null || threat === undefined) return [];
  if (threat.channel === "control" && threat.epsilon > 0) {
    const share = mean(records.map((r) => r.effect.controlledShare)) / threat.epsilon;
    if (share < UNSPENT)
      return [`budget unspent: ${Math.round(100 * share)} % of the allowed control was used`];
  }
  if (threat.channel === "observation" && threat.norm === "linf" && threat.epsilon > 0) {
    const share = mean(records.map((r) => r.effect.largestPerturbation)) / threat.epsilon;
    if (share < UNSPENT) return [`budget unspent: the largest change is ${Math.round(100 * share)} % of ε`];
  }
  return [];
}

function stillImproving(results: Results, registries: Registries, team: string, adversary: string): string[] {
  const curves = results.plan.nodes.flatMap((node) => {
    if (node.kind !== "adversary" || node.team !== team || node.adversary !== adversary) return [];
    if (!registries.attacks.get(node.attack.name).learns) return [];
    return results.curve(node) ?? [];
  });
  const usable = curves.filter((c) => c.returns.length >= 20);
  if (usable.length === 0) return [];
  const window = (from: number, to: number) =>
    usable.flatMap((c) =>
      c.returns.slice(Math.floor(from * c.returns.length), Math.ceil(to * c.returns.length)),
    );
  const [start, before, last] = [window(0, 0.1), window(0.8, 0.9), window(0.9, 1)];
  const late = mean(before) - mean(last);
  const noise = Math.hypot(
    standardDeviation(before) / Math.sqrt(before.length),
    standardDeviation(last) / Math.sqrt(last.length),
  );
  return late > 2 * noise && late > STILL_IMPROVING * (mean(start) - mean(last))
    ? [`still improving at the end: the last tenth of its training lowered the return by ${late.toFixed(2)}`]
    : [];
}

function seedsDisagree(
  results: Results,
  team: string,
  adversary: string,
  values: readonly number[],
): string[] {
  if (values.length < 3) return [];
  const [attacked, clean] = paired(seedValues(results, team, adversary), seedValues(results, team, CLEAN));
  if (attacked.length < 3) return [];
  const drop = Math.abs(mean(attacked) - mean(clean));
  const spread = standardDeviation(values);
  const cleanSpread = standardDeviation(clean);
  return spread > drop && spread > 2 * cleanSpread && spread > 0.1 * Math.abs(mean(values))
    ? [`seeds disagree widely (standard deviation ${spread.toFixed(2)}, effect ${drop.toFixed(2)})`]
    : [];
}
