/**
 * Entry of a worker process: runs the nodes that the parent hands it, one at a time. It saves and ends when the parent
 * says so or is gone; the terminal's Ctrl-C is the parent's business.
 */
import { type RunContext, runNode } from "./run-node.js";
import type { Toolbox } from "./toolbox.js";
import type { FromWorker, ToWorker, WorkerSetup } from "./wire.js";

let stopping = false;
let context: Promise<RunContext> | undefined;
let busy = false;

function send(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}

async function setUp(setup: WorkerSetup): Promise<RunContext> {
  const { toolbox } = (await import(setup.toolboxModule)) as { toolbox: Toolbox };
  return {
    root: setup.root,
    toolbox,
    runtime: await toolbox.createRuntime(),
    checkpointSeconds: setup.checkpointSeconds,
    progressMs: setup.progressMs,
    stopRequested: () => stopping,
    onProgress: (progress) => send({ type: "progress", progress }),
    onNote: (text) => send({ type: "note", text }),
  };
}

async function handle(message: ToWorker): Promise<void> {
  if (message.type === "stop") {
    stopping = true;
    return;
  }
  if (message.type === "setup") {
    context = setUp(message);
    // Its failure is reported with the first node.
    context.catch(() => {});
    return;
  }
  busy = true;
  try {
    send({ type: "ended", outcome: await runNode(message.node, await context!) });
  } catch (error) {
    const { name, message: text, stack } = error as Error;
    send({ type: "failed", name, message: text, ...(stack === undefined ? {} : { stack }) });
  }
  busy = false;
  if (!process.connected) process.exit(0);
}

process.on("message", (message: ToWorker) => void handle(message));
// The parent is gone (killed, perhaps): keep what there is and end.
process.on("disconnect", () => {
  stopping = true;
  if (!busy) process.exit(0);
});
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {
  stopping = true;
});
send({ type: "ready" });
