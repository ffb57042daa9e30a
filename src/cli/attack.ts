/**
 * phalanx attack: how much a policy of one's own loses under a threat. The command writes the experiment that one
 * would write by hand (one team of policy files; clean, random and attacked columns) and runs it like any other.
 */
import { Command, Option } from "commander";
import { UserError } from "../core/errors.js";
import { defaultWorkers, type Experiment } from "../experiment/index.js";
import { HEADS } from "../policy/index.js";
import type { ReportData } from "../report/index.js";
import { formatCount, formatNumber } from "../views/index.js";
import { type AttackOptions, attackExperiment, EPSILON, outOf, STEPS } from "./attack-experiment.js";
import { conclude, execute, seconds } from "./execution.js";
import { integerOption, print, printJson, table } from "./io.js";
import { printSummary } from "./report.js";

const collect = (value: string, before: readonly string[]) => [...before, value];

export function attackCommand(): Command {
  return new Command("attack")
    .summary("attack a policy of your own: clean, random and attacked returns, and a report")
    .description(
      "Attacks policies in ONNX files, whoever made them. Prints clean, random and attacked returns with intervals over seeds, and writes a report with replays.",
    )
    .argument("[policies...]", "ONNX files; one plays all agents, or those that its metadata names")
    .option("--policy <who=file>", "the file that plays a group or an agent; repeatable", collect, [])
    .option("--env <env>", "environment: an id, or {id: …, parameters}; default: what the file says")
    .option(
      "--threat <threat>",
      `a YAML file, key=value (repeatable), or a mapping; default: observations, ℓ∞ ≤ ${EPSILON}`,
      collect,
      [],
    )
    .option("--epsilon <number>", "the threat's epsilon, in observation units for observations", epsilon)
    .option(
      "--attack <attack>",
      "a name, or {name: …, options}; repeatable; default: what suits the threat (pgd for observations)",
      collect,
      [],
    )
    .option("--attack-option <key=value>", "an option of the attack; repeatable", collect, [])
    .option(
      "--steps <n>",
      `environment steps of an attack that learns (default: ${STEPS})`,
      integerOption("--steps", 1),
    )
    .option("--seeds <seeds>", "a number of seeds, or a list such as 3,4,7", "5")
    .option("--episodes <n>", "episodes per seed", integerOption("--episodes", 1), 100)
    .option("--films <n>", "episodes of the first seed to film", integerOption("--films", 0), 2)
    .addOption(
      new Option(
        "--mode <mode>",
        "how the policy chooses actions (default: sample; Q values: greedy)",
      ).choices(["sample", "greedy"]),
    )
    .option("--input <role=name>", "what the file calls obs, actionMask or agent; repeatable", collect, [])
    .option(
      "--output <role=name>",
      "what the file calls logits, probabilities, q, mean, std, logStd or action; repeatable",
      collect,
      [],
    )
    .addOption(new Option("--head <kind>", "what the only output is").choices(HEADS))
    .option("--state <in=out>", "an input of carried state and the output of its next value", collect, [])
    .option("--temperature <number>", "of the softmax over Q values (default: 1)", positive)
    .option("-o, --out <dir>", "folder of the results (default: runs/attack-FILE)")
    .option("-w, --workers <n>", "worker processes", integerOption("--workers", 1), defaultWorkers())
    .option("--checkpoint <seconds>", "time between two checkpoints", seconds, 15)
    .option("--json", "everything that the report shows as JSON (films left out); progress to standard error")
    .addHelpText(
      "after",
      `
Examples:
  phalanx attack policy.onnx --env mpe/simple_spread
  phalanx attack policy.onnx --env mpe/simple_spread --epsilon 0.2 --attack pgd --attack-option iterations=20
  phalanx attack policy.onnx --env mpe/simple_spread --threat channel=control --threat 'agents=[agent_0]'
  phalanx attack dqn.onnx --env mpe/simple_spread --input obs=x --head q-values
  phalanx attack --policy speaker=s.onnx --policy listener=l.onnx --env mpe/simple_speaker_listener`,
    )
    .action((files: string[], options: AttackOptions) => attack(files, options));
}

async function attack(files: readonly string[], options: AttackOptions): Promise<void> {
  const experiment = await attackExperiment(files, options);
  const { json = false, workers, checkpoint } = options;
  const executed = await execute(experiment, {
    root: outOf(files, options),
    workers,
    checkpoint,
    quiet: json,
  });
  if (json) {
    const { films: _, ...data } = executed.data;
    printJson(data);
  } else {
    printMatrix(executed.data, experiment);
    printSummary(executed.data);
  }
  conclude(executed, json);
}

/** The row of the matrix, one line per column; then what was spent, and every sign that an attack failed. */
function printMatrix({ matrix, effort }: ReportData, { environment }: Experiment): void {
  const [team] = matrix.teams;
  print(`\n${team!.description}, in ${environment.id}`);
  const rows = matrix.columns.map((column) => {
    const cell = matrix.cells.find((c) => c.adversary === column.adversary)!;
    const interval = cell.low === null ? "–" : `${formatNumber(cell.low, 2)} … ${formatNumber(cell.high, 2)}`;
    const values = cell.values.map((value) => formatNumber(value, 2)).join("  ");
    return [column.adversary, formatNumber(cell.mean, 2), interval, values];
  });
  print(table([["", "return", "95 % interval", `seeds ${matrix.seeds.join(", ")}`], ...rows]));
  const threat = matrix.columns.find((column) => column.kind !== "clean")?.threat;
  if (threat !== undefined) print(`threat: ${threat}`);
  for (const { adversary, environmentSteps, gradientEvaluations, flags } of effort) {
    const spent = [
      environmentSteps > 0 ? `${formatCount(environmentSteps)} environment steps` : "",
      gradientEvaluations > 0 ? `${formatCount(gradientEvaluations)} gradients` : "",
    ].filter((part) => part !== "");
    if (spent.length > 0) print(`effort of ${adversary}: ${spent.join(", ")}, for each seed`);
    for (const flag of flags) print(`⚑ ${adversary}: ${flag}`);
  }
}

function epsilon(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new UserError(`--epsilon: got "${text}", expected a number ≥ 0.`);
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new UserError(`--temperature: got "${text}", expected a number > 0.`);
  return value;
}
