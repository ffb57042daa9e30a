/** An experiment's results as one HTML file. */

export type {
  EffortRow,
  NamedValue,
  PairedComparison,
  ReportData,
  SummarySentence,
  ThreatDefinition,
} from "./data.js";
export { renderReport } from "./html.js";
