/** Everything a report shows, as plain data. An experiment fills it in; `renderReport` draws it. */

import type { Film } from "../core/film.js";
import type { CurveData, MatrixData, ReplayPanel } from "../views/index.js";

/** One sentence of the summary, with the numbers that carry it. */
export interface SummarySentence {
  readonly text: string;
  /** "plain under best response", "−28.1 (−29.9 … −26.3)" */
  readonly numbers: readonly NamedValue[];
}

export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

/** Difference of two teams in one column, paired by seed. */
export interface PairedComparison {
  readonly team: string;
  readonly baseline: string;
  readonly adversary: string;
  /** Mean over seeds of team − baseline, signed so that positive is better for `team`; null where it is unfinished. */
  readonly gain: number | null;
  /** 95 % interval of the gain; null below two seeds. */
  readonly low: number | null;
  readonly high: number | null;
  /** The gain of every seed, in the order of the matrix's seeds. */
  readonly seedGains: readonly (number | null)[];
  readonly p: number | null;
  /** p corrected for all comparisons of the table (Holm). */
  readonly pHolm: number | null;
  /** For example that so few seeds cannot reach significance at all. */
  readonly note?: string;
}

/** What was spent to find the adversary of one cell, and whether the search looks healthy. */
export interface EffortRow {
  readonly team: string;
  readonly adversary: string;
  /** "best response (PPO)" */
  readonly attack: string;
  readonly configurations: number;
  readonly environmentSteps: number;
  readonly gradientEvaluations: number;
  /** Best attack so far, one number per checkpoint; may be empty. */
  readonly bestSoFar: readonly number[];
  readonly flags: readonly string[];
}

/** The exact threat of one column. */
export interface ThreatDefinition {
  readonly adversary: string;
  readonly sentence: string;
  readonly fields: readonly NamedValue[];
}

export interface ReportData {
  readonly title: string;
  /** The question that the experiment answers, in one sentence. */
  readonly question: string;
  readonly summary: readonly SummarySentence[];
  /** How far the experiment is, where it is not finished; shown on top. */
  readonly unfinished?: string;
  readonly matrix: MatrixData;
  /** Values that give the numbers a scale: "random play", "−39.7". */
  readonly references: readonly NamedValue[];
  readonly curves: readonly CurveData[];
  readonly films: readonly Film[];
  /** What the replay shows first; absent: clean, worst attack, the same attack on another team. */
  readonly replayPanels?: readonly ReplayPanel[];
  /** One paragraph above the replay: what to look for. */
  readonly replayNote?: string;
  readonly comparisons: readonly PairedComparison[];
  /** The test, the correction and their limits, in words. */
  readonly comparisonMethod: string;
  readonly effort: readonly EffortRow[];
  readonly threats: readonly ThreatDefinition[];
  readonly configuration: { readonly file: string; readonly text: string };
  /** Phalanx, Node, ONNX Runtime, commit, environment ids. */
  readonly versions: readonly NamedValue[];
  /** How the numbers are made: one paragraph each. */
  readonly methods: readonly string[];
}
