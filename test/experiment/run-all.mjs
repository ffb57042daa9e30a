/** Runs an experiment of the fakes in worker processes; to be killed by tests. */
import path from "node:path";
import { pathToFileURL } from "node:url";
import { registries } from "./fakes.mjs";

const [dist, file, root, toolboxModule] = process.argv.slice(2);
const { loadExperiment, planExperiment, executePlan, workerPool } = await import(
  pathToFileURL(path.join(dist, "experiment", "index.js")).href
);
const plan = planExperiment(await loadExperiment(file, [], registries), registries);
const executor = workerPool({ root, workers: 2, toolboxModule, checkpointSeconds: 0.02 });
const result = await executePlan(plan, root, executor);
process.exit(result.failed.length + result.blocked.length === 0 ? 0 : 1);
