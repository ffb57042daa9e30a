/** The result of one cell: one team against one adversary with one seed. */
import type { Effort } from "../attacks/attack.js";
import type { Evaluation } from "../attacks/evaluate.js";
import { mean, standardDeviation } from "../metrics/index.js";
import { describeThreat, type Threat } from "../threats/index.js";
import type { CellNode } from "./plan.js";

export interface Spread {
  readonly mean: number;
  readonly std: number;
  readonly min: number;
  readonly max: number;
}

export interface CellRecord {
  readonly team: string;
  readonly adversary: string;
  readonly seed: number;
  readonly evaluationSeed: number;
  readonly threat: Threat | null;
  /** The threat in words. */
  readonly threatText: string;
  readonly episodes: number;
  /** Over episodes: sum over steps of the mean reward of the agents. */
  readonly returns: Spread;
  readonly agentReturns: Readonly<Record<string, number>>;
  readonly length: Spread;
  /** Means of the environment's own episode metrics. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What the adversary really did within its budget. */
  readonly effect: {
    readonly controlledShare: number;
    readonly perturbedShare: number;
    readonly largestPerturbation: number;
  };
  readonly effort: {
    readonly envSteps: number;
    readonly gradientsPerDecision: number;
    readonly evaluationSteps: number;
  };
  /** Every episode's return. */
  readonly episodeReturns: readonly number[];
}

function spread(values: readonly number[]): Spread {
  return {
    mean: mean(values),
    std: standardDeviation(values),
    min: values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
    max: values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
  };
}

export function cellRecord(node: CellNode, result: Evaluation, effort: Effort): CellRecord {
  const returns = [...result.returns];
  const means = (columns: Readonly<Record<string, Float64Array>>) =>
    Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, mean([...values])]));
  return {
    team: node.team,
    adversary: node.adversary,
    seed: node.seed,
    evaluationSeed: node.evaluationSeed,
    threat: node.threat,
    threatText: node.threat === null ? "no adversary" : describeThreat(node.threat),
    episodes: node.episodes,
    returns: spread(returns),
    agentReturns: means(result.agentReturns),
    length: spread([...result.lengths]),
    metrics: means(result.metrics),
    effect: {
      controlledShare: result.controlledShare,
      perturbedShare: result.perturbedShare,
      largestPerturbation: result.largestPerturbation,
    },
    effort: { ...effort, evaluationSteps: result.envSteps },
    episodeReturns: returns,
  };
}
