/**
 * A child process that is asked and answers, one frame each, while the asking thread waits: `Environment.step` is
 * synchronous. A worker thread owns the pipes (`bridge/pipe-worker.mjs`); this side sleeps on an atomic until it answers.
 */
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { internalError } from "../core/errors.js";

/** Bytes of a frame before its payload: length and kind, uint32 each, little-endian. */
export const HEADER = 8;

export interface Answer {
  /** One ASCII letter. */
  readonly kind: string;
  readonly payload: ArrayBuffer;
}

/** How a child ended that should not have. */
export interface Ending {
  /** "spawn": it could not be started; "ended": it did; "protocol": it wrote what is no answer */
  readonly failure: "spawn" | "ended" | "protocol";
  /** exit code, or the operating system's error ("ENOENT") */
  readonly code: number | string | null;
  readonly signal: string | null;
  /** the end of what it wrote to stderr */
  readonly stderr: string;
}

/** Thrown by `ask` when the child is gone. */
export class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
  readonly ending: Ending;
  constructor(ending: Ending) {
    super(`the process failed: ${ending.failure}`);
    this.ending = ending;
  }
}

/** A file of the package's `bridge` folder: two levels up from src/bridge/, three from dist/src/bridge/. */
export function bridgeFile(name: string): string {
  for (const up of ["../../bridge/", "../../../bridge/"]) {
    const file = fileURLToPath(new URL(`${up}${name}`, import.meta.url));
    if (fs.existsSync(file)) return file;
  }
  throw internalError(`bridge/${name} is missing`);
}

/** Children that run: whoever is left when this process exits is killed. */
const running = new Set<number>();
let hooked = false;

function killAll(): void {
  for (const pid of running) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  }
}

/**
 * Ends with this process, however that ends: the exit hook kills it; after a SIGKILL of this process its stdin closes,
 * which the child must take as its end.
 */
export class ChildProcess {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  /** 1 when an answer is there */
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  #pid: number | null = null;
  #closed = false;

  private constructor(command: string, args: readonly string[]) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(bridgeFile("pipe-worker.mjs"), {
      workerData: { command, args, port: port2, signal: this.#signal },
      transferList: [port2],
      // Not our loaders and flags: the file runs as it is.
      execArgv: [],
    });
    if (!hooked) process.on("exit", killAll);
    hooked = true;
  }

  /** Start the thread and the child. A thread needs our event loop to start, so this alone does not block. */
  static async start(command: string, args: readonly string[]): Promise<ChildProcess> {
    const child = new ChildProcess(command, args);
    const worker = child.#worker;
    child.#pid = await new Promise<number | null>((resolve, reject) => {
      worker.once("message", ({ pid }: { pid: number | null }) => resolve(pid));
      worker.once("error", reject);
    });
    if (child.#pid !== null) running.add(child.#pid);
    // Neither keeps a program alive that has nothing else to do.
    worker.unref();
    child.#port.unref();
    return child;
  }

  /**
   * Send a frame and wait for the answer.
   *
   * @param frame header and payload; see `frameOf`
   * @throws ProcessEnded if there will be none
   */
  ask(frame: Uint8Array): Answer {
    const message = this.#exchange({ frame });
    if ("failure" in message) {
      this.#forget();
      throw new ProcessEnded(message as unknown as Ending);
    }
    const { kind, payload } = message as { kind: number; payload: Uint8Array<ArrayBuffer> };
    return { kind: String.fromCharCode(kind), payload: payload.buffer };
  }

  /** Close its stdin and wait for its end; it is killed after two seconds. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#exchange({ close: true });
    this.#forget();
    this.#port.close();
    void this.#worker.terminate();
  }

  #forget(): void {
    if (this.#pid !== null) running.delete(this.#pid);
  }

  #exchange(request: object): object {
    Atomics.store(this.#signal, 0, 0);
    this.#port.postMessage(request);
    Atomics.wait(this.#signal, 0, 0);
    const received = receiveMessageOnPort(this.#port) as { message: object } | undefined;
    if (received === undefined) throw internalError("a thread of the bridge woke us without an answer");
    return received.message;
  }
}

/** A frame with room for `length` bytes of payload, and the payload. */
export function frameOf(kind: string, length: number): { frame: Uint8Array; payload: Uint8Array } {
  const frame = new Uint8Array(HEADER + length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, length, true);
  view.setUint32(4, kind.charCodeAt(0), true);
  return { frame, payload: frame.subarray(HEADER) };
}
