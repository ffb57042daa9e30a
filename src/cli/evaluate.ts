/** phalanx evaluate: a finished team against an adversary of one's choice. */
import { Command } from "commander";
import { toolbox } from "../experiment/builtin.js";
import { evaluateTeam } from "../experiment/evaluate-team.js";
import { integerOption, print, printJson, yamlValue } from "./io.js";

interface Options {
  readonly threat?: string;
  readonly attack?: string;
  readonly adversary?: string;
  readonly episodes: number;
  readonly seed: number;
  readonly json?: boolean;
}

export function evaluateCommand(): Command {
  return new Command("evaluate")
    .summary("evaluate a finished team under a threat of your choice")
    .description("Plays whole episodes with a finished team run. Nothing is trained and nothing is written.")
    .argument("<run>", "folder of a team run (RESULTS/teams/NAME)")
    .option("--threat <threat>", "a threat of its experiment, or one as YAML or JSON")
    .option("--attack <attack>", "an attack's name, or {name: …, options} (default: random)")
    .option("--adversary <dir>", "folder of a finished adversary run, with its threat and attack")
    .option("--episodes <n>", "number of episodes", integerOption("--episodes", 1), 200)
    .option(
      "--seed <n>",
      "evaluation seed: the same seed gives every team the same episodes",
      integerOption("--seed", 0),
      0,
    )
    .option("--json", "as JSON, with every episode's return")
    .addHelpText(
      "after",
      `
Examples:
  phalanx evaluate runs/quickstart/teams/plain-s0-1a2b3c4d
  phalanx evaluate runs/quickstart/teams/plain-s0-1a2b3c4d --threat liar
  phalanx evaluate runs/quickstart/teams/plain-s0-1a2b3c4d --threat '{channel: observation, epsilon: 0.1}' --attack fgsm`,
    )
    .action(async (directory: string, options: Options) => {
      const { threat, attack, adversary, episodes, seed } = options;
      const record = await evaluateTeam(
        {
          directory,
          episodes,
          seed,
          ...(threat === undefined ? {} : { threat: yamlValue(threat, "--threat") }),
          ...(attack === undefined ? {} : { attack: yamlValue(attack, "--attack") }),
          ...(adversary === undefined ? {} : { adversary }),
        },
        toolbox,
      );
      if (options.json) {
        printJson(record);
        return;
      }
      const { returns } = record;
      const show = (x: number) => x.toFixed(2).replace("-", "−");
      print(
        `${record.team} under ${record.adversary} (${record.threatText}), ${episodes} episodes, seed ${seed}`,
      );
      print(
        `mean return ${show(returns.mean)} (standard error over episodes ${show(returns.std / Math.sqrt(episodes))})`,
      );
      print(
        "One trained team is one value: the error over episodes says nothing about other training seeds.",
      );
    });
}
