/** From an experiment file to a folder of results. */
export { NodeFolder, type RunRecord, type Timing } from "./artefacts.js";
export type { CellRecord } from "./cell.js";
export * from "./execute.js";
export * from "./experiment.js";
export { type ExperimentValues, loadExperiment, parseExperiment, readExperiment } from "./load.js";
export { FORMAT, type Plan, type PlanNode, planExperiment } from "./plan.js";
export type { LearnerEntry, Registries } from "./registries.js";
export type { Outcome, Progress } from "./run-node.js";
export type { Toolbox } from "./toolbox.js";
export { versions } from "./versions.js";
export { type WorkerPoolOptions, workerPool } from "./worker-pool.js";
