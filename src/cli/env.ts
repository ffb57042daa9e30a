/** phalanx env: what environments there are, what one looks like, and whether it keeps the contract. */
import { Command } from "commander";
import { checkEnvironment } from "../env/conformance.js";
import type { EnvironmentSpec, Space } from "../env/contract.js";
import { completeParameters } from "../env/index.js";
import { environments } from "../envs/index.js";
import { EXIT_FAILURE, Exit, keyValues, print, printJson, table } from "./io.js";

export function envCommand(): Command {
  const env = new Command("env").summary("list, show and check environments").addHelpText(
    "after",
    `
Examples:
  phalanx env list
  phalanx env show mpe/simple_spread agents=5
  phalanx env check mpe/simple_spread`,
  );
  env.command("list").description("All environments.").option("--json", "as JSON").action(list);
  env
    .command("show")
    .description("Agents, observations, actions and parameters of one environment.")
    .argument("<id>", "environment, with or without its version")
    .argument("[parameters...]", "name=value")
    .option("--json", "as JSON")
    .action(show);
  env
    .command("check")
    .description("Runs the conformance suite that every environment must pass.")
    .argument("<id>", "environment, with or without its version")
    .argument("[parameters...]", "name=value")
    .option("--json", "as JSON")
    .action(check);
  return env;
}

function list({ json }: { json?: boolean }): void {
  const all = [...environments.entries()].map(([id, d]) => ({ id, summary: d.summary, source: d.source }));
  if (json) printJson(all);
  else print(table(all.map(({ id, summary }) => [id, summary])));
}

const bound = (x: number) => (Number.isFinite(x) ? String(x) : x > 0 ? "∞" : "−∞");

function describeSpace(space: Space): string {
  if (space.kind === "discrete") return `${space.n} actions`;
  if (space.kind === "multi-discrete") return `${space.sizes.join(" × ")} actions`;
  return `${space.low.length} numbers in [${bound(Math.min(...space.low))}, ${bound(Math.max(...space.high))}]`;
}

async function specOf(
  id: string,
  args: readonly string[],
): Promise<{ spec: EnvironmentSpec; parameters: Record<string, unknown> }> {
  const definition = environments.get(id);
  const parameters = completeParameters(definition, keyValues(args));
  const environment = await definition.create(parameters, { copies: 1 });
  environment.close();
  return { spec: environment.spec, parameters };
}

async function show(id: string, args: string[], { json }: { json?: boolean }): Promise<void> {
  const definition = environments.get(id);
  const { spec, parameters } = await specOf(id, args);
  if (json) return printJson({ summary: definition.summary, source: definition.source, parameters, spec });
  print(`${spec.id}: ${definition.summary}\n${definition.source}\n`);
  print(
    `steps: ${spec.maxSteps ?? "no limit"}; global state: ${spec.stateSize} numbers; episode metrics: ${spec.episodeMetrics.join(", ") || "none"}\n`,
  );
  for (const group of spec.groups) {
    print(
      `group ${group.name}: ${group.agents.join(", ")}; ${describeSpace(group.action)}; observation of ${group.obsSize} numbers:`,
    );
    print(
      table(
        group.features.map((f) => [
          `  ${f.offset}–${f.offset + f.size - 1}`,
          f.name,
          f.kind,
          `[${bound(f.low)}, ${bound(f.high)}]`,
          f.perturbable ? "perturbable" : "",
        ]),
      ),
    );
    print("");
  }
  const shape = (definition.parameters as { shape?: Record<string, { description?: string }> }).shape ?? {};
  print("parameters:");
  print(
    table(
      Object.entries(parameters).map(([name, value]) => [
        `  ${name}`,
        JSON.stringify(value),
        shape[name]?.description ?? "",
      ]),
    ),
  );
}

async function check(id: string, args: string[], { json }: { json?: boolean }): Promise<void> {
  const definition = environments.get(id);
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
