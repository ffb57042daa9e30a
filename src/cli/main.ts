#!/usr/bin/env node
/** The phalanx command. */
import { Command, CommanderError } from "commander";
import { versions } from "../experiment/versions.js";
import { attackCommand } from "./attack.js";
import { benchCommand } from "./bench.js";
import { envCommand } from "./env.js";
import { evaluateCommand } from "./evaluate.js";
import { inspectCommand } from "./inspect.js";
import { EXIT_USER, reportError } from "./io.js";
import { reportCommand } from "./report.js";
import { runCommand } from "./run.js";

const program = new Command("phalanx")
  .description("Train multi-agent teams, attack them, harden them, and report how robust they are.")
  .version(versions().phalanx!)
  .showSuggestionAfterError()
  .addCommand(runCommand())
  .addCommand(attackCommand())
  .addCommand(evaluateCommand())
  .addCommand(reportCommand())
  .addCommand(envCommand())
  .addCommand(inspectCommand())
  .addCommand(benchCommand())
  .addHelpText(
    "after",
    `
Examples:
  phalanx run experiments/quickstart.yaml      train, attack, harden, report
  phalanx attack policy.onnx --env ENV         attack a policy of your own
  phalanx report runs/quickstart               write the report again
  phalanx env list                             what there is to play

Every command explains itself: phalanx run --help`,
  );

/** Exits are ours: the codes are the same whoever found the mistake. */
function throwing(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwing(child);
}
throwing(program);

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed its sentence already; help and version end with 0.
  process.exitCode =
    error instanceof CommanderError ? (error.exitCode === 0 ? 0 : EXIT_USER) : reportError(error);
}
