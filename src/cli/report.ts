/** phalanx report: the HTML report of a folder of results, as far as they are. */
import path from "node:path";
import { Command } from "commander";
import { writeFile } from "../core/files.js";
import { toolbox } from "../experiment/builtin.js";
import { reportData } from "../experiment/report-data.js";
import { type ReportData, renderReport } from "../report/index.js";
import { print, printJson } from "./io.js";

export const REPORT_FILE = "report.html";

/** Collect, render and write. @returns the data, and the file to open */
export function writeReport(root: string): { readonly data: ReportData; readonly file: string } {
  const data = reportData(root, toolbox.registries);
  const file = path.join(root, REPORT_FILE);
  writeFile(file, renderReport(data));
  return { data, file };
}

/** The summary's sentences, as the report has them. */
export function printSummary(data: ReportData): void {
  print(`\n${data.title}: ${data.question}`.trimEnd());
  if (data.unfinished) print(data.unfinished);
  for (const { text } of data.summary) print(`• ${text}`);
}

export function reportCommand(): Command {
  return new Command("report")
    .summary("write the report of a folder of results")
    .description(
      "Writes report.html for a folder of results, finished or not. Nothing is trained or evaluated.",
    )
    .argument("<dir>", "folder that `phalanx run` wrote")
    .option("--json", "print everything that the report shows as JSON instead (films left out)")
    .addHelpText(
      "after",
      `
Examples:
  phalanx report runs/quickstart
  phalanx report runs/quickstart --json > matrix.json`,
    )
    .action((dir: string, { json }: { json?: boolean }) => {
      if (json) {
        const { films: _, ...data } = reportData(dir, toolbox.registries);
        printJson(data);
        return;
      }
      const { data, file } = writeReport(dir);
      printSummary(data);
      print(`\nReport: ${file}`);
    });
}
