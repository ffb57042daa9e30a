/** phalanx bench: the benchmarks, from their compiled modules. */
import fs from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command } from "commander";
import { UserError } from "../core/errors.js";

/** What `bench/index.ts` exports. */
interface BenchModule {
  /** @param name one benchmark; undefined: all */
  runBenchmarks(name: string | undefined, options: { readonly json: boolean }): Promise<void>;
}

export function benchCommand(): Command {
  return new Command("bench")
    .summary("measure speed")
    .description("Runs the benchmarks: medians of interleaved runs on one core.")
    .argument("[name]", "one benchmark (default: all)")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExamples:\n  phalanx bench\n  phalanx bench updates --json")
    .action(async (name: string | undefined, { json = false }: { json?: boolean }) => {
      // dist/src/cli → dist/bench
      const file = fileURLToPath(new URL("../../bench/index.js", import.meta.url));
      if (!fs.existsSync(file))
        throw new UserError(
          `${file}: the compiled benchmarks are not there; they are part of the repository, not of the package. Run "npm run build" in a checkout.`,
        );
      const { runBenchmarks } = (await import(pathToFileURL(file).href)) as BenchModule;
      await runBenchmarks(name, { json });
    });
}
