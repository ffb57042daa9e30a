/** Runs nodes in worker processes, as many at once as it has workers. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { SystemError } from "../core/errors.js";
import {
  DEFAULT_CHECKPOINT_SECONDS,
  DEFAULT_PROGRESS_MS,
  type Executor,
  type InProcessOptions,
  NodeFailure,
} from "./execute.js";
import type { PlanNode } from "./plan.js";
import type { Outcome, Progress } from "./run-node.js";
import type { FromWorker, ToWorker, WorkerSetup } from "./wire.js";

export interface WorkerPoolOptions extends InProcessOptions {
  readonly root: string;
  readonly workers: number;
  /** Module that exports `toolbox`; default: all that is built in. */
  readonly toolboxModule?: string;
  /** Compiled worker entry; default: beside this module. */
  readonly entry?: string;
}

/** How long a worker may take to save after a wish to stop. An evaluation is not saved: it just ends. */
const STOP_GRACE_MS = 20_000;

interface Task {
  readonly node: PlanNode;
  readonly onProgress: (progress: Progress) => void;
  readonly onNote: (text: string) => void;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: Error) => void;
}

class Worker {
  readonly #child: ChildProcess;
  #task: Task | null = null;
  #stopping = false;
  #stderr = "";
  readonly exited: Promise<void>;

  constructor(entry: string, setup: WorkerSetup) {
    this.#child = fork(entry, [], { stdio: ["ignore", "ignore", "pipe", "ipc"], serialization: "json" });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2000);
    });
    this.#child.on("message", (message: FromWorker) => this.#receive(message));
    this.#child.on("error", (error) => this.#fail(`a worker process cannot be started: ${error.message}`));
    // A message to a process that has just died: its exit says more.
    this.exited = new Promise((resolve) => {
      this.#child.on("exit", (code, signal) => {
        const how = signal === null ? `with code ${code}` : `by ${signal}`;
        const said = this.#stderr.trim();
        this.#fail(`the worker process ended ${how}${said === "" ? "" : `; it said: ${said}`}`);
        resolve();
      });
    });
    this.#send(setup);
  }

  get idle(): boolean {
    return this.#task === null;
  }

  get alive(): boolean {
    return this.#child.connected && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(task: Task): void {
    this.#task = task;
    this.#send({ type: "run", node: task.node });
  }

  stop(): void {
    this.#stopping = true;
    if (!this.alive) return;
    this.#send({ type: "stop" });
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_GRACE_MS);
    timer.unref();
    this.#child.once("exit", () => clearTimeout(timer));
  }

  disconnect(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #take(): Task | null {
    const task = this.#task;
    this.#task = null;
    return task;
  }

  #fail(message: string): void {
    const task = this.#take();
    if (task === null) return;
    // Killed because it did not end in time: stopped, not failed.
    if (this.#stopping) task.resolve("stopped");
    else task.reject(new SystemError(`${task.node.label}: ${message}`));
  }

  #receive(message: FromWorker): void {
    if (message.type === "progress") this.#task?.onProgress(message.progress);
    else if (message.type === "note") this.#task?.onNote(message.text);
    else if (message.type === "ended") this.#take()?.resolve(message.outcome);
    else if (message.type === "failed") {
      const { name, message: text, stack } = message;
      this.#take()?.reject(new NodeFailure(name, text, stack));
    }
  }
}

/** Workers start when there is work for them and stay until `close`. */
export function workerPool(options: WorkerPoolOptions): Executor {
  const setup: WorkerSetup = {
    type: "setup",
    root: options.root,
    toolboxModule: options.toolboxModule ?? new URL("./builtin.js", import.meta.url).href,
    checkpointSeconds: options.checkpointSeconds ?? DEFAULT_CHECKPOINT_SECONDS,
    progressMs: options.progressMs ?? DEFAULT_PROGRESS_MS,
  };
  const entry = options.entry ?? fileURLToPath(new URL("./worker.js", import.meta.url));
  let workers: Worker[] = [];
  let stopping = false;
  return {
    lanes: options.workers,
    run(node, onProgress, onNote) {
      if (stopping) return Promise.resolve<Outcome>("stopped");
      workers = workers.filter((w) => w.alive);
      let worker = workers.find((w) => w.idle);
      if (worker === undefined) {
        worker = new Worker(entry, setup);
        workers.push(worker);
      }
      const idle = worker;
      return new Promise<Outcome>((resolve, reject) =>
        idle.start({ node, onProgress, onNote, resolve, reject }),
      );
    },
    stop() {
      stopping = true;
      for (const worker of workers) worker.stop();
    },
    async close() {
      for (const worker of workers) worker.disconnect();
      await Promise.all(workers.map((w) => w.exited));
    },
  };
}
