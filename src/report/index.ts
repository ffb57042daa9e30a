/** An experiment's results, or episodes alone, as one HTML file. */

export type {
  EffortRow,
  NamedValue,
  PairedComparison,
  ReportData,
  SummarySentence,
  ThreatDefinition,
} from "./data.js";
export { renderReport } from "./html.js";
export { type ReplayPageData, renderReplayPage } from "./replay-page.js";
