/** What the views draw: plain data, made by `report/` and by the dashboard's wire. */

/** One cell of the robustness matrix: one team against one adversary. */
export interface MatrixCell {
  readonly team: string;
  readonly adversary: string;
  /** Per seed, in the order of `MatrixData.seeds`; null where the run has not finished. */
  readonly values: readonly (number | null)[];
  readonly mean: number | null;
  /** 95 % interval of the mean; null below two seeds. */
  readonly low: number | null;
  readonly high: number | null;
  /** Sentences that say when the attack, not the team, failed. */
  readonly flags: readonly string[];
  /** Lines for the tool tip: effort, episodes. */
  readonly notes: readonly string[];
}

export interface MatrixColumn {
  readonly adversary: string;
  /** The threat in words, printed beside every number. */
  readonly threat: string;
  readonly kind: "clean" | "random" | "adaptive" | "transfer";
}

export interface MatrixData {
  /** "mean episode return per agent" */
  readonly measure: string;
  /** true: a larger number is better for the team */
  readonly higherIsBetter: boolean;
  readonly seeds: readonly number[];
  readonly teams: readonly { readonly name: string; readonly description: string }[];
  readonly columns: readonly MatrixColumn[];
  readonly cells: readonly MatrixCell[];
}

/** One line with a band. All arrays of one series have equal length. */
export interface CurveSeries {
  readonly name: string;
  readonly x: readonly number[];
  readonly mean: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** Each seed's own line. */
  readonly seeds: readonly { readonly seed: number; readonly y: readonly number[] }[];
}

export interface CurveData {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly CurveSeries[];
}
