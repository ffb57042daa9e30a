/** phalanx env: what environments there are, what one is and looks like, and whether it keeps the contract. */
import { Command } from "commander";
import { checkEnvironment } from "../env/conformance.js";
import type { EnvironmentSpec } from "../env/contract.js";
import { completeParameters, describeParameters } from "../env/index.js";
import { environments } from "../experiment/builtin.js";
import { findEnvironment } from "../experiment/environments.js";
import { describeEnvironment, environmentPage } from "./env-page.js";
import { playCommand } from "./env-play.js";
import { EXIT_FAILURE, Exit, keyValues, print, printJson, table } from "./io.js";

export function envCommand(): Command {
  const env = new Command("env").summary("list, show, check and play environments").addHelpText(
    "after",
    `
Examples:
  phalanx env list
  phalanx env show mpe/simple_spread agents=5
  phalanx env check mpe/simple_spread
  phalanx env play mpe/simple_spread`,
  );
  env.command("list").description("All environments.").option("--json", "as JSON").action(list);
  env
    .command("show")
    .description(
      "Agents, observations, actions, rewards, parameters with their ranges, source and parity of one environment.",
    )
    .argument("<id>", "environment, with or without its version, or a file of your own (./mine.mjs)")
    .argument("[parameters...]", "name=value")
    .option("--json", "as JSON")
    .action(show);
  env
    .command("check")
    .description("Runs the conformance suite that every environment must pass.")
    .argument("<id>", "environment, with or without its version, or a file of your own (./mine.mjs)")
    .argument("[parameters...]", "name=value")
    .option("--json", "as JSON")
    .action(check);
  return env.addCommand(playCommand());
}

function list({ json }: { json?: boolean }): void {
  const all = [...environments.entries()].map(([id, d]) => ({ id, summary: d.summary, source: d.source }));
  if (json) printJson(all);
  else {
    print(table(all.map(({ id, summary }) => [id, summary])));
    for (const { pattern } of environments.families) print(`and ${pattern}`);
  }
}

async function specOf(
  id: string,
  args: readonly string[],
): Promise<{ spec: EnvironmentSpec; parameters: Record<string, unknown> }> {
  const definition = await findEnvironment(id, environments);
  const parameters = completeParameters(definition, keyValues(args));
  const environment = await definition.create(parameters, { copies: 1 });
  environment.close();
  return { spec: environment.spec, parameters };
}

async function show(id: string, args: string[], { json }: { json?: boolean }): Promise<void> {
  const definition = await findEnvironment(id, environments);
  const { spec, parameters } = await specOf(id, args);
  const page = environmentPage(definition);
  if (!json) return print(describeEnvironment(definition, spec, parameters, page));
  const { summary, source, scripts = {} } = definition;
  printJson({
    summary,
    source,
    ...page,
    parameters,
    parameterRanges: describeParameters(definition),
    scripts: Object.fromEntries(Object.entries(scripts).map(([name, script]) => [name, script.summary])),
    spec,
  });
}

async function check(id: string, args: string[], { json }: { json?: boolean }): Promise<void> {
  const definition = await findEnvironment(id, environments);
  const findings = await checkEnvironment(definition, keyValues(args));
  if (json) printJson({ id: definition.id, findings });
  else if (findings.length === 0) print(`${definition.id} keeps every rule of the contract.`);
  else {
    print(
      `${definition.id} breaks ${findings.length === 1 ? "a rule" : `${findings.length} rules`} of the contract:`,
    );
    for (const finding of findings) print(`  ${finding.rule}: ${finding.message}`);
  }
  if (findings.length > 0) throw new Exit(EXIT_FAILURE);
}
