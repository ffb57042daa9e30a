/**
 * A thread that owns a child process and its pipes, so that another thread can wait for an answer without returning to
 * its event loop. Started by src/bridge/process.ts; plain JavaScript, since a thread starts from a file that runs as it is.
 *
 * Frames, little-endian: payload length (uint32), kind (uint32), payload. One frame in, one frame out.
 */
import { spawn } from "node:child_process";
import { parentPort, workerData } from "node:worker_threads";

const HEADER = 8;
/** What the child may say on stderr before it is forgotten, in characters. */
const REMEMBERED = 4000;
/** How long a child may take to end when its stdin has closed. */
const GRACE_MS = 2000;

/** @type {{ command: string, args: string[], port: import("node:worker_threads").MessagePort, signal: Int32Array }} */
const { command, args, port, signal } = workerData;

/** @param {object} message @param {ArrayBuffer[]} [transfer] */
function answer(message, transfer = []) {
  port.postMessage(message, transfer);
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
}

let waiting = false;
let closing = false;
/** How the child ended; null while it runs. @type {{ failure: string, [key: string]: unknown } | null} */
let end = null;
let said = "";
/** Bytes of the answer that is coming in. @type {Buffer[]} */
let chunks = [];
let received = 0;

function finish() {
  if (closing) {
    answer({ closed: true });
    port.close();
  } else if (waiting) {
    waiting = false;
    answer({ ...end });
  }
}

/** @param {Record<string, unknown>} how */
function childEnded(how) {
  if (end !== null) return;
  end = { failure: "ended", stderr: said, ...how };
  finish();
}

const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], windowsHide: true });

child.on("error", (error) => childEnded({ failure: "spawn", code: /** @type {any} */ (error).code }));
// "close" comes when the pipes are empty too; a grandchild that holds them must not keep us waiting.
child.on("close", (code, killer) => childEnded({ code, signal: killer }));
child.on("exit", (code, killer) => setTimeout(() => childEnded({ code, signal: killer }), 300));
child.stdin.on("error", () => {});
child.stderr.setEncoding("utf8").on("data", (text) => {
  said = (said + text).slice(-REMEMBERED);
});
child.stdout.on("data", (chunk) => {
  chunks.push(chunk);
  received += chunk.length;
  if (received < HEADER) return;
  if (chunks[0].length < HEADER) chunks = [Buffer.concat(chunks)];
  const length = chunks[0].readUInt32LE(0);
  const kind = chunks[0].readUInt32LE(4);
  // Kinds are ASCII letters; text that was printed between the frames is not.
  if (!waiting || kind > 127 || received > HEADER + length) {
    child.kill("SIGKILL");
    childEnded({ failure: "protocol", stderr: chunks[0].subarray(0, 80).toString().split("\n")[0] });
    return;
  }
  if (received < HEADER + length) return;
  // A buffer of its own, so that typed arrays of eight bytes can start at its beginning.
  const payload = new Uint8Array(length);
  let offset = -HEADER;
  for (const part of chunks) {
    payload.set(offset < 0 ? part.subarray(-offset) : part, Math.max(0, offset));
    offset += part.length;
  }
  chunks = [];
  received = 0;
  waiting = false;
  answer({ kind, payload }, [payload.buffer]);
});

port.on("message", (message) => {
  if (message.close) {
    closing = true;
    if (end !== null) return finish();
    child.stdin.end();
    setTimeout(() => child.kill("SIGKILL"), GRACE_MS).unref();
    return;
  }
  if (end !== null) return answer({ ...end });
  waiting = true;
  child.stdin.write(message.frame);
});

// From here on, questions are answered while the other thread sleeps.
parentPort?.postMessage({ pid: child.pid ?? null });
