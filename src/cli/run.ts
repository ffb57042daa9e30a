/** phalanx run: an experiment file goes in, a folder of results with a report comes out. */
import path from "node:path";
import { Command } from "commander";
import { toolbox } from "../experiment/builtin.js";
import { defaultWorkers, loadExperiment, slug } from "../experiment/index.js";
import { conclude, execute, seconds } from "./execution.js";
import { integerOption } from "./io.js";
import { printSummary } from "./report.js";

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

async function run(file: string, overrides: readonly string[], options: RunOptions): Promise<void> {
  const experiment = await loadExperiment(file, overrides, toolbox.registries);
  const root = options.out ?? path.join("runs", slug(experiment.name));
  const executed = await execute(experiment, { root, ...options });
  printSummary(executed.data);
  conclude(executed);
}
