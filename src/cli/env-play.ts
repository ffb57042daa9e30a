/** phalanx env play: episodes of one environment as a page with a replay, and as a picture. */
import { Command, Option } from "commander";
import { evaluate } from "../attacks/index.js";
import { UserError } from "../core/errors.js";
import { writeFile } from "../core/files.js";
import { completeParameters } from "../env/index.js";
import { environments, toolbox } from "../experiment/builtin.js";
import { findEnvironment, probeEnvironment } from "../experiment/environments.js";
import { slug } from "../experiment/index.js";
import type { ActionMode } from "../policy/index.js";
import { renderReplayPage } from "../report/index.js";
import { formatNumber, inferLanguage, renderStill, type Theme } from "../views/index.js";
import { integerOption, keyValues, print, table } from "./io.js";
import { choosePlayers } from "./players.js";
import { rasterise } from "./png.js";

interface Options {
  readonly policy: readonly string[];
  readonly parameters: readonly string[];
  readonly seed: number;
  readonly episodes: number;
  readonly mode: ActionMode;
  readonly out?: string;
  readonly png?: string;
  readonly theme: Theme;
}

const collect = (value: string, before: readonly string[]) => [...before, value];

export function playCommand(): Command {
  return new Command("play")
    .description("Plays episodes and writes them as a page with a replay: one HTML file, no network.")
    .argument("<id>", "environment, with or without its version, or a file of your own (./mine.mjs)")
    .argument("[parameters...]", "name=value; default: those that the policy was trained with")
    .option(
      "--policy <policy>",
      'who plays: "random" (the default), a scripted policy of the environment, the folder of a finished team run, or an ONNX file; FILE or WHO=FILE, repeatable',
      collect,
      [],
    )
    .option("--parameters <name=value>", "the same as an option; repeatable", collect, [])
    .option("--seed <n>", "seed of the episodes and of all chance in them", integerOption("--seed", 0), 0)
    .option("--episodes <n>", "number of episodes", integerOption("--episodes", 1), 3)
    .addOption(
      new Option("--mode <mode>", "how a policy chooses actions")
        .choices(["sample", "greedy"])
        .default("sample"),
    )
    .option("-o, --out <file>", "the page (default: runs/play-ID.html)")
    .option("--png <file>", "also the last moment of the first episode, as a picture")
    .addOption(new Option("--theme <theme>", "of the picture").choices(["light", "dark"]).default("light"))
    .addHelpText(
      "after",
      `
Examples:
  phalanx env play mpe/simple_spread agents=5
  phalanx env play mpe/simple_spread --policy share-out --png spread.png
  phalanx env play mpe/simple_speaker_listener --policy runs/quickstart/teams/plain-s0-1a2b3c4d --mode greedy
  phalanx env play mpe/simple_speaker_listener --policy speaker=s.onnx --policy listener=l.onnx`,
    )
    .action(play);
}

async function play(id: string, args: string[], options: Options): Promise<void> {
  const { episodes, seed, mode } = options;
  const definition = await findEnvironment(id, environments);
  const chosen = choosePlayers(definition, options.policy);
  const given = keyValues([...args, ...options.parameters]);
  const parameters = completeParameters(definition, { ...chosen.parameters, ...given });
  const createEnvironment = (copies: number, more = {}) => definition.create(parameters, { copies, ...more });
  const spec = await probeEnvironment(definition, parameters, id);
  if (!spec.capabilities.frames)
    throw new UserError(
      `${spec.id}: draws no pictures (capabilities.frames), expected an environment that does.`,
    );
  const team = chosen.fit(spec);
  const result = await evaluate({
    runtime: await toolbox.createRuntime(),
    createEnvironment,
    team,
    mode,
    adversary: null,
    threat: null,
    episodes,
    films: episodes,
    seed,
    labels: { team: chosen.label, adversary: "nobody" },
  });
  const isPolicy = team !== "uniform" && !("act" in team);
  const out = options.out ?? `runs/play-${slug(spec.id)}.html`;
  writeFile(
    out,
    renderReplayPage({
      title: spec.id,
      question: definition.summary,
      films: result.films,
      facts: [
        { name: "policy", value: chosen.label },
        ...(isPolicy ? [{ name: "actions", value: mode === "greedy" ? "the likeliest" : "sampled" }] : []),
        { name: "seed", value: String(seed) },
        { name: "source", value: definition.source },
      ],
      parameters: Object.entries(parameters).map(([name, value]) => ({ name, value: JSON.stringify(value) })),
    }),
  );
  const rows = result.films.map(({ copy, episodeReturn }) => [
    `  ${copy}`,
    formatNumber(episodeReturn, 2),
    String(result.lengths[copy]),
    ...Object.values(result.metrics).map((values) => formatNumber(values[copy], 2)),
  ]);
  print(`${spec.id}, ${chosen.label}, seed ${seed}`);
  print(table([["  episode", "return", "steps", ...Object.keys(result.metrics)], ...rows]));
  print(`\nReplay: ${out}`);
  if (options.png === undefined) return;
  writeFile(options.png, await rasterise(renderStill(inferLanguage(result.films)[0]!, options.theme)));
  print(`Picture: ${options.png}`);
}
