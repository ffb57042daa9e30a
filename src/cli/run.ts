/** phalanx run: an experiment file goes in, a folder of results with a report comes out. */
import path from "node:path";
import { Command } from "commander";
import { UserError } from "../core/errors.js";
import { toolbox } from "../experiment/builtin.js";
import {
  defaultWorkers,
  type ExecutionResult,
  executePlan,
  loadExperiment,
  planExperiment,
  slug,
  workerPool,
} from "../experiment/index.js";
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USER, Exit, integerOption, print } from "./io.js";
import { liveProgress, plainProgress } from "./progress.js";
import { printSummary, writeReport } from "./report.js";

interface RunOptions {
  readonly out?: string;
  readonly workers: number;
  readonly checkpoint: number;
}

export function runCommand(): Command {
  return new Command("run")
    .summary("train, attack, harden, evaluate and report what an experiment file describes")
    .description(
      "Runs an experiment file. Finished runs are not repeated: the same command goes on where it was interrupted.",
    )
    .argument("<file>", "experiment file (YAML)")
    .argument("[overrides...]", "key.path=value, the value in YAML; changes the file's value for this run")
    .option("-o, --out <dir>", "folder of the results (default: runs/NAME)")
    .option("-w, --workers <n>", "worker processes", integerOption("--workers", 1), defaultWorkers())
    .option("--checkpoint <seconds>", "time between two checkpoints", seconds, 15)
    .addHelpText(
      "after",
      `
Examples:
  phalanx run experiments/quickstart.yaml
  phalanx run experiments/quickstart.yaml training.steps=50_000 seeds=[0] --out /tmp/quick
  phalanx run my.yaml 'adversaries.best response.attack.learningRate=0.001' --workers 4`,
    )
    .action((file: string, overrides: string[], options: RunOptions) => run(file, overrides, options));
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new UserError(`--checkpoint: got "${text}", expected a number of seconds ≥ 0.`);
  return value;
}

async function run(file: string, overrides: readonly string[], options: RunOptions): Promise<void> {
  const { registries } = toolbox;
  const experiment = await loadExperiment(file, overrides, registries);
  const plan = planExperiment(experiment, registries);
  const root = options.out ?? path.join("runs", slug(experiment.name));
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
  const live = isTTY === true && process.env.TERM !== "dumb" && rows > 0 && columns > 0;
  const progress = live ? liveProgress(process.stdout) : plainProgress(print);
  const executor = workerPool({ root, workers: options.workers, checkpointSeconds: options.checkpoint });
  let result: ExecutionResult;
  try {
    result = await executePlan(plan, root, executor, progress, abort.signal);
  } finally {
    progress.finish();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
  const { data, file: report } = writeReport(root);
  printSummary(data);
  printFailures(result);
  if (result.stopped) {
    print(`\nInterrupted. The same command goes on from here; the report so far: ${report}`);
    throw new Exit(EXIT_INTERRUPTED);
  }
  print(`\nReport: ${report}`);
  if (result.failed.length > 0)
    throw new Exit(result.failed.every(({ error }) => error.name === "UserError") ? EXIT_USER : EXIT_FAILURE);
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
