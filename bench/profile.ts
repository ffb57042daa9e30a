/** How much of a call is matrix products, by the engine's own profile, and how fast they could be on this core. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { f32 } from "../src/core/array.js";
import { type Backend, Runtime } from "../src/runtime/index.js";
import { nodeBackend } from "../src/runtime/node.js";
import { matmul, type Tensor } from "../src/tensor/index.js";
import type { Case } from "./cases.js";
import { SharedNumbers } from "./numbers.js";

/** The matrix products of one call. */
export interface Products {
  /** time inside them, without what the engine does between nodes */
  readonly ms: number;
  /** 10⁹ multiplications and additions */
  readonly gflop: number;
}

/** What the engine writes about one node or run; times in µs. */
interface Event {
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Shaped[];
    readonly output_type_shape?: readonly Shaped[];
  };
}
/** element type → shape */
type Shaped = Readonly<Record<string, readonly number[]>>;

/** The case built anew on an engine that writes profiles, and called so many times. */
export function productsOf({ setup }: Case, calls: number): Products {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-profile-"));
  try {
    const { backend, close } = closable(nodeBackend({ profile: path.join(folder, "session") }));
    const call = setup(new Runtime(backend));
    for (let i = 0; i < calls; i++) call();
    close();
    const sessions = fs
      .readdirSync(folder)
      .map((file) => products(JSON.parse(fs.readFileSync(path.join(folder, file), "utf8")), calls));
    return {
      ms: sessions.reduce((sum, s) => sum + s.ms, 0),
      gflop: sessions.reduce((sum, s) => sum + s.gflop, 0),
    };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** A backend whose models can all be closed at once: the engine writes a profile when a session ends. */
function closable(backend: Backend): { backend: Backend; close(): void } {
  const models: { dispose(): void }[] = [];
  return {
    backend: {
      name: backend.name,
      load: (...args) => {
        const model = backend.load(...args);
        models.push(model);
        return model;
      },
    },
    close: () => {
      for (const model of models) model.dispose();
    },
  };
}

/** Of one session: the fastest of its runs, which other work on the machine disturbed least, times runs per call. */
function products(events: readonly Event[], calls: number): Products {
  const runs = events.filter(({ name }) => name === "model_run");
  const nodes = events
    .filter(({ name, args }) => name.endsWith("_kernel_time") && /^(Gemm|MatMul)$/.test(args?.op_name ?? ""))
    .sort((a, b) => a.ts - b.ts);
  const took: number[] = [];
  const work: number[] = [];
  let next = 0;
  for (const run of runs.sort((a, b) => a.ts - b.ts)) {
    let [us, flop] = [0, 0];
    while (next < nodes.length && nodes[next]!.ts < run.ts) next++;
    for (; next < nodes.length && nodes[next]!.ts <= run.ts + run.dur; next++) {
      us += nodes[next]!.dur;
      flop += flopOf(nodes[next]!);
    }
    took.push(us);
    work.push(flop);
  }
  if (runs.length === 0) return { ms: 0, gflop: 0 };
  const perCall = runs.length / calls;
  return { ms: (Math.min(...took) * perCall) / 1e3, gflop: (Math.min(...work) * perCall) / 1e9 };
}

/** 2·M·K·N of each matrix, with K from the sizes of both operands and the result, transposed or not. */
function flopOf({ args }: Event): number {
  const shape = (x: Shaped | undefined) => Object.values(x ?? {})[0] ?? [];
  const size = (x: readonly number[]) => x.reduce((a, b) => a * b, 1);
  const [a, b] = (args?.input_type_shape ?? []).map(shape) as [readonly number[], (readonly number[])?];
  const result = shape(args?.output_type_shape?.[0]);
  const inner = () => {
    if (args?.op_name === "MatMul") return a[a.length - 1]!;
    // Not listed inside a loop: the row of ones that spreads a column.
    if (b === undefined) return size(a) / result[0]!;
    return Math.sqrt((size(a) * size(b)) / Math.max(size(result), 1));
  };
  return 2 * size(result) * inner();
}

const SQUARES = [256, 512, 1024];
const TRIES = 12;

/** The fastest that the engine multiplies square matrices here, in 10⁹ multiplications and additions a second. */
export function peakGflops(): number {
  const runtime = new Runtime(nodeBackend());
  const program = runtime.program("bench/peak", ({ a, b }: { a: Tensor; b: Tensor }) => ({
    c: matmul(a, b),
  }));
  const numbers = new SharedNumbers();
  let best = 0;
  for (const n of SQUARES) {
    const inputs = { a: numbers.draw([n, n], 1), b: f32([n, n], new Float32Array(n * n).fill(1)) };
    for (let i = 0; i < TRIES; i++) {
      const start = performance.now();
      program.run(inputs);
      best = Math.max(best, (2 * n ** 3) / 1e6 / (performance.now() - start));
    }
  }
  runtime.dispose();
  return best;
}
