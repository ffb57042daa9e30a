/**
 * The cases of benchmark (a) on both engines, native and WebAssembly, in turn in one process; and what it takes to
 * start each. `node dist/bench/engines.js` prints one line of a Markdown table per case.
 */
import { Runtime } from "../src/runtime/index.js";
import { nodeBackend } from "../src/runtime/node.js";
import { webBackend } from "../src/runtime/web.js";
import { updateCases } from "./updates.js";

const ROUNDS = 15;
/** Seconds of one measurement. */
const BUDGET = 0.2;
/** Calls before the first measurement: WebAssembly runs slowly until its functions have been optimised. */
const WARMUP = 200;

/** Milliseconds of one call, over so many: of processor time, because both have one thread and machines are shared. */
function timed(call: () => void, calls: number): number {
  const start = process.cpuUsage();
  for (let i = 0; i < calls; i++) call();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000 / calls;
}

async function main(): Promise<void> {
  const starts = [performance.now()];
  const native = nodeBackend();
  starts.push(performance.now());
  const wasm = await webBackend();
  starts.push(performance.now());
  console.log(`${native.name}: starts in ${Math.round(starts[1]! - starts[0]!)} ms`);
  console.log(`${wasm.name}: starts in ${Math.round(starts[2]! - starts[1]!)} ms`);
  console.log("| case | native (ms) | wasm (ms) | wasm ÷ native |\n|---|---|---|---|");
  for (const { name, setup } of updateCases) {
    const calls = [native, wasm].map((backend) => setup(new Runtime(backend)));
    const counts = calls.map((call) => {
      for (let i = 0; i < WARMUP; i++) call();
      return Math.max(3, Math.round((1000 * BUDGET) / timed(call, 3)));
    });
    const rounds = Array.from({ length: ROUNDS }, () => calls.map((call, i) => timed(call, counts[i]!)));
    // The best round of each: what else a machine does only ever slows a round down.
    const [nativeMs = 0, wasmMs = 0] = [0, 1].map((i) => Math.min(...rounds.map((round) => round[i]!)));
    const cells = [nativeMs, wasmMs, wasmMs / nativeMs].map((x) => x.toPrecision(3));
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
  console.log(`memory of the wasm engine: ${Math.round(wasm.memoryBytes / 2 ** 20)} MiB`);
}

await main();
