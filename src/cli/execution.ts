/** What commands that run an experiment share: progress, interrupts, the report, failures and exit codes. */

import { UserError } from "../core/errors.js";
import { toolbox } from "../experiment/builtin.js";
import {
  type ExecutionResult,
  type Experiment,
  executePlan,
  planExperiment,
  workerPool,
} from "../experiment/index.js";
import type { ReportData } from "../report/index.js";
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USER, Exit, print } from "./io.js";
import { liveProgress, plainProgress } from "./progress.js";
import { writeReport } from "./report.js";

export interface ExecutionOptions {
  /** folder of the results */
  readonly root: string;
  readonly workers: number;
  /** seconds between two checkpoints */
  readonly checkpoint: number;
  /** Keep standard output free: progress goes to standard error. */
  readonly quiet?: boolean;
}

export interface Executed {
  readonly result: ExecutionResult;
  readonly data: ReportData;
  /** the report's file */
  readonly report: string;
}

const printToStandardError = (line: string) => {
  process.stderr.write(`${line}\n`);
};

/** A number of seconds ≥ 0, of --checkpoint. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new UserError(`--checkpoint: got "${text}", expected a number of seconds ≥ 0.`);
  return value;
}

/** Runs what is not finished, in worker processes, and writes the report. The first interrupt saves and ends. */
export async function execute(experiment: Experiment, options: ExecutionOptions): Promise<Executed> {
  const { root, workers, checkpoint, quiet = false } = options;
  const plan = planExperiment(experiment, toolbox.registries);
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(EXIT_INTERRUPTED);
    abort.abort();
    process.stderr.write("\nSaving; press Ctrl-C again to end at once.\n");
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  // Some terminals do not know their size; lines are for them too.
  const { isTTY, rows, columns } = process.stdout;
  const live = !quiet && isTTY === true && process.env.TERM !== "dumb" && rows > 0 && columns > 0;
  const progress = live ? liveProgress(process.stdout) : plainProgress(quiet ? printToStandardError : print);
  const executor = workerPool({ root, workers, checkpointSeconds: checkpoint });
  let result: ExecutionResult;
  try {
    result = await executePlan(plan, root, executor, progress, abort.signal);
  } finally {
    progress.finish();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
  const { data, file: report } = writeReport(root);
  return { result, data, report };
}

/**
 * Says what failed, and where the report is.
 * @throws Exit unless everything ran
 */
export function conclude({ result, report }: Executed, quiet = false): void {
  const say = quiet ? printToStandardError : print;
  printFailures(result);
  if (result.stopped) {
    say(`\nInterrupted. The same command goes on from here; the report so far: ${report}`);
    throw new Exit(EXIT_INTERRUPTED);
  }
  say(`\nReport: ${report}`);
  const { failed } = result;
  if (failed.length > 0)
    throw new Exit(failed.every(({ error }) => error.name === "UserError") ? EXIT_USER : EXIT_FAILURE);
}

function printFailures({ failed, blocked }: ExecutionResult): void {
  if (failed.length === 0) return;
  const lines = failed.map(({ node, error }) =>
    error.message.startsWith(node.label) ? error.message : `${node.label}: ${error.message}`,
  );
  process.stderr.write(`\n${failed.length === 1 ? "1 run" : `${failed.length} runs`} failed:\n`);
  for (const line of lines) process.stderr.write(`  ${line}\n`);
  // Bugs of ours come with where they happened.
  for (const { error } of failed) {
    if (!["UserError", "SystemError", "NonFiniteError"].includes(error.name) && error.stack !== undefined)
      process.stderr.write(`\n${error.stack}\n`);
  }
  if (blocked.length > 0)
    process.stderr.write(`  ${blocked.length} more could not run, because they need one of these.\n`);
}
