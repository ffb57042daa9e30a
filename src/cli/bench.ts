/** phalanx bench: the benchmarks, from their compiled modules. */
import fs from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command } from "commander";
import { UserError } from "../core/errors.js";
import { integerOption } from "./io.js";

/** What `bench/index.ts` exports. */
interface BenchModule {
  /** @param name one suite, or "soak"; undefined: all suites */
  runBenchmarks(
    name: string | undefined,
    options: { readonly json: boolean; readonly rounds?: number; readonly runs?: number },
  ): Promise<void>;
}

interface BenchFlags {
  readonly json?: boolean;
  readonly rounds?: number;
  readonly runs?: number;
}

export function benchCommand(): Command {
  return new Command("bench")
    .summary("measure speed")
    .description("Runs the benchmarks: medians of interleaved runs on one core.")
    .argument(
      "[name]",
      "updates, env, train, recurrent, stackelberg or attacks (default: all of them); or soak: memory over many runs",
    )
    .option("--json", "as JSON")
    .option("--rounds <n>", "measurements of each side and case (default: 7)", integerOption("--rounds", 1))
    .option("--runs <n>", "of soak (default: 1000000)", integerOption("--runs", 1))
    .addHelpText(
      "after",
      "\nExamples:\n  phalanx bench\n  phalanx bench updates --rounds 15 --json\n  phalanx bench soak --runs 100000",
    )
    .action(async (name: string | undefined, { json = false, ...counts }: BenchFlags) => {
      // dist/src/cli → dist/bench
      const file = fileURLToPath(new URL("../../bench/index.js", import.meta.url));
      if (!fs.existsSync(file))
        throw new UserError(
          `${file}: the compiled benchmarks are not there; they are part of the repository, not of the package. Run "npm run build" in a checkout.`,
        );
      const { runBenchmarks } = (await import(pathToFileURL(file).href)) as BenchModule;
      await runBenchmarks(name, { json, ...counts });
    });
}
