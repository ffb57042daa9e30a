/**
 * Executes a plan: nodes whose artefacts are complete are skipped, the others run as soon as what they need is there,
 * on as many lanes as the executor has. A failing node stops only those that need it.
 */
import os from "node:os";
import path from "node:path";
import { SystemError } from "../core/errors.js";
import { ensureDirectory, removeTemporary, writeFile, writeJson } from "../core/files.js";
import { NodeFolder } from "./artefacts.js";
import { lockExperiment } from "./lock.js";
import type { Plan, PlanNode } from "./plan.js";
import { type Outcome, type Progress, runNode } from "./run-node.js";
import type { Toolbox } from "./toolbox.js";

/** What runs a node: this process, worker processes, later a queue. The plan does not know which. */
export interface Executor {
  /** Nodes that may run at once. */
  readonly lanes: number;
  /** @throws NodeFailure with the node's own error */
  run(
    node: PlanNode,
    onProgress: (progress: Progress) => void,
    onNote: (text: string) => void,
  ): Promise<Outcome>;
  /** Ask everything that runs to save and end. */
  stop(): void;
  /** End workers. */
  close(): Promise<void>;
}

export interface FailedNode {
  readonly node: PlanNode;
  readonly error: { readonly name: string; readonly message: string; readonly stack?: string };
}

/** Listener of an execution; all methods optional. */
export interface Listener {
  onStart?(plan: Plan, done: ReadonlySet<string>): void;
  onNodeStart?(node: PlanNode): void;
  onProgress?(node: PlanNode, progress: Progress): void;
  onNodeEnd?(node: PlanNode, outcome: Outcome | "failed"): void;
  onNote?(text: string): void;
}

export interface ExecutionResult {
  /** Nodes that were complete before. */
  readonly skipped: number;
  readonly finished: number;
  readonly failed: readonly FailedNode[];
  /** Nodes not run because something they need failed. */
  readonly blocked: readonly PlanNode[];
  /** Asked to stop before the end. */
  readonly stopped: boolean;
}

export const EXPERIMENT_FILE = "experiment.json";
export const SOURCE_FILE = "experiment.yaml";

/** Number of workers where nothing else is said: one per core. */
export function defaultWorkers(): number {
  return Math.max(1, os.availableParallelism());
}

/**
 * @param root folder of the results; created
 * @param signal aborting it makes everything save and end
 * @throws UserError if another process works on this folder
 */
export async function executePlan(
  plan: Plan,
  root: string,
  executor: Executor,
  listener: Listener = {},
  signal?: AbortSignal,
): Promise<ExecutionResult> {
  ensureDirectory(root);
  const release = lockExperiment(root);
  const stop = () => executor.stop();
  signal?.addEventListener("abort", stop);
  try {
    removeTemporary(root);
    writeFile(path.join(root, SOURCE_FILE), plan.experiment.source.text);
    writeJson(path.join(root, EXPERIMENT_FILE), plan.experiment);
    return await schedule(plan, root, executor, listener, signal);
  } finally {
    signal?.removeEventListener("abort", stop);
    await executor.close();
    release();
  }
}

async function schedule(
  plan: Plan,
  root: string,
  executor: Executor,
  listener: Listener,
  signal: AbortSignal | undefined,
): Promise<ExecutionResult> {
  const done = new Set<string>();
  for (const node of plan.nodes) {
    const folder = new NodeFolder(root, node);
    if (folder.completed(node.key) === null) continue;
    folder.tidy();
    done.add(node.key);
  }
  const skipped = done.size;
  listener.onStart?.(plan, done);
  const waiting = new Set(plan.nodes.filter((n) => !done.has(n.key)));
  const failed: FailedNode[] = [];
  let finished = 0;
  let stopped = false;
  const running = new Set<Promise<void>>();

  const start = async (node: PlanNode): Promise<void> => {
    listener.onNodeStart?.(node);
    let outcome: Outcome | "failed" = "failed";
    try {
      outcome = await executor.run(
        node,
        (progress) => listener.onProgress?.(node, progress),
        (text) => listener.onNote?.(text),
      );
      if (outcome === "done") {
        done.add(node.key);
        finished++;
      } else stopped = true;
    } catch (error) {
      const { name, message, stack } = error as Error;
      failed.push({ node, error: { name, message, ...(stack === undefined ? {} : { stack }) } });
    }
    listener.onNodeEnd?.(node, outcome);
  };

  for (;;) {
    if (signal?.aborted) stopped = true;
    if (!stopped) {
      for (const node of waiting) {
        if (running.size >= executor.lanes) break;
        if (!node.needs.every((key) => done.has(key))) continue;
        waiting.delete(node);
        const promise: Promise<void> = start(node).finally(() => running.delete(promise));
        running.add(promise);
      }
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  return { skipped, finished, failed, blocked: stopped ? [] : [...waiting], stopped };
}

export interface InProcessOptions {
  /** Seconds between two checkpoints; results do not depend on it. */
  readonly checkpointSeconds?: number;
  /** Least time between two reports of progress. */
  readonly progressMs?: number;
}

/** Runs nodes one after the other in this process. */
export function inProcess(toolbox: Toolbox, root: string, options: InProcessOptions = {}): Executor {
  let stopping = false;
  let runtime: ReturnType<Toolbox["createRuntime"]> | undefined;
  return {
    lanes: 1,
    async run(node, onProgress, onNote) {
      runtime ??= toolbox.createRuntime();
      return runNode(node, {
        root,
        toolbox,
        runtime: await runtime,
        checkpointSeconds: options.checkpointSeconds ?? DEFAULT_CHECKPOINT_SECONDS,
        progressMs: options.progressMs ?? DEFAULT_PROGRESS_MS,
        stopRequested: () => stopping,
        onProgress,
        onNote,
      });
    },
    stop: () => {
      stopping = true;
    },
    close: async () => {},
  };
}

export const DEFAULT_CHECKPOINT_SECONDS = 15;
export const DEFAULT_PROGRESS_MS = 150;

/** The error of a node that ran elsewhere, with its own name. */
export class NodeFailure extends SystemError {
  constructor(name: string, message: string, stack: string | undefined) {
    super(message);
    Object.defineProperty(this, "name", { value: name });
    if (stack !== undefined) this.stack = stack;
  }
}
