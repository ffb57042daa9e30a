/** What the parent and its worker processes say to each other. */
import type { PlanNode } from "./plan.js";
import type { Outcome, Progress } from "./run-node.js";

/** First message to a worker. */
export interface WorkerSetup {
  readonly type: "setup";
  readonly root: string;
  /** URL of a module that exports `toolbox`. */
  readonly toolboxModule: string;
  readonly checkpointSeconds: number;
  readonly progressMs: number;
}

export type ToWorker =
  | WorkerSetup
  | { readonly type: "run"; readonly node: PlanNode }
  | { readonly type: "stop" };

export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "progress"; readonly progress: Progress }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "ended"; readonly outcome: Outcome }
  | { readonly type: "failed"; readonly name: string; readonly message: string; readonly stack?: string };
