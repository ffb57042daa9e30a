/**
 * Very many runs of programs of all kinds in one process, with fewer sessions open than there are programs: memory must
 * stay flat, and what comes out must be the same, bit by bit, as with all sessions open.
 */
import { createHash, type Hash } from "node:crypto";
import { f32, type NdArray, ndarray } from "../src/core/array.js";
import { RandomStream } from "../src/core/random.js";
import { flattenTree, type Tree } from "../src/core/tree.js";
import {
  adam,
  gruCell,
  layoutOf,
  meanSquaredError,
  type ParamLayout,
  stackelbergGradient,
  unrollCell,
} from "../src/nn/index.js";
import { type Backend, Runtime } from "../src/runtime/index.js";
import { nodeBackend } from "../src/runtime/node.js";
import {
  add,
  concat,
  exp,
  filled,
  gather,
  grad,
  mean,
  mul,
  reshape,
  split,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
  transpose,
} from "../src/tensor/index.js";
import { network } from "./cases.js";

export interface SoakResult {
  readonly runs: number;
  /** most sessions that may be open */
  readonly capacity: number;
  readonly seconds: number;
  /** sessions opened in all, and most open at once */
  readonly opened: number;
  readonly mostOpen: number;
  /** resident memory after a tenth of the runs, half and all of them */
  readonly memory: readonly { readonly runs: number; readonly MiB: number }[];
  /** of everything that came out of every run */
  readonly sha256: string;
}

/** One run of some program, fed from the stream; what it returns is hashed. */
type Work = (stream: RandomStream) => Tree<NdArray>;

/** Runs between two choices of programs, and how many of them are in turn then. */
const [BLOCK, CHOSEN] = [250, 3];

/** @param capacity sessions open at once; fewer than programs, so that they are closed and opened again and again */
export async function soak(runs: number, capacity = 6): Promise<SoakResult> {
  const { backend, opened } = counting(nodeBackend());
  const runtime = new Runtime(backend, { capacity });
  const works = worksOf(runtime);
  const shapes = manyShapes(runtime);
  const stream = RandomStream.from(0, "soak");
  const hash = createHash("sha256");
  const marks = new Set([Math.ceil(runs / 10), Math.ceil(runs / 2), runs]);
  const memory: { runs: number; MiB: number }[] = [];
  let mostOpen = 0;
  let chosen: Work[] = [];
  const started = performance.now();
  for (let run = 1; run <= runs; run++) {
    // Some of what a closed session leaves is freed when the event loop turns, as it does in any program that waits.
    if (run % BLOCK === 0) await new Promise((resolve) => setImmediate(resolve));
    if (run % BLOCK === 1) chosen = Array.from({ length: CHOSEN }, () => works[stream.int(works.length)]!);
    // Once a block, a shape that has hardly been seen before: traced, written, loaded.
    const work = run % BLOCK === 0 ? shapes : chosen[stream.int(CHOSEN)]!;
    digest(hash, work(stream));
    mostOpen = Math.max(mostOpen, runtime.openSessions);
    if (marks.has(run)) memory.push({ runs: run, MiB: process.memoryUsage.rss() / 2 ** 20 });
  }
  const seconds = (performance.now() - started) / 1000;
  runtime.dispose();
  return { runs, capacity, seconds, opened: opened(), mostOpen, memory, sha256: hash.digest("hex") };
}

/**
 * `phalanx bench soak`: with few sessions open, and again with all of them.
 * @throws Error if the two do not come to the same
 */
export async function runSoak(runs: number, { json }: { readonly json: boolean }): Promise<void> {
  const results = [await soak(runs, 6), await soak(runs, 128)];
  if (json) console.log(JSON.stringify(results, null, 1));
  for (const { capacity, seconds, opened, mostOpen, memory, sha256 } of json ? [] : results) {
    const resident = memory.map((m) => `${m.MiB.toFixed(1)} MiB after ${m.runs.toLocaleString("en")}`);
    console.log(
      `${runs.toLocaleString("en")} runs in ${Math.round(seconds)} s, at most ${mostOpen} of ${capacity} sessions open, opened ${opened} times; resident memory ${resident.join(", ")}; sha256 ${sha256.slice(0, 16)}`,
    );
  }
  if (results[0]!.sha256 !== results[1]!.sha256) {
    throw new Error("soak: results differ with the number of sessions that are open");
  }
}

function counting(backend: Backend): { backend: Backend; opened(): number } {
  let count = 0;
  const load: Backend["load"] = (...args) => {
    count++;
    return backend.load(...args);
  };
  return { backend: { name: backend.name, load }, opened: () => count };
}

function digest(hash: Hash, tree: Tree<NdArray>): void {
  for (const [, { data }] of flattenTree<NdArray>(tree)) {
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
}

const normals = (stream: RandomStream, ...shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return f32(
    shape,
    Float32Array.from({ length: size }, () => stream.normal()),
  );
};
const start = (layout: ParamLayout): NdArray =>
  f32([layout.size], layout.initial(RandomStream.from(0, "start")));

function worksOf(runtime: Runtime): Work[] {
  return [
    ...[4, 16, 64].map((batch) => training(runtime, batch)),
    inference(runtime),
    ...[5, 12].map((steps) => recurrent(runtime, steps)),
    ...[null, 0.9].map((above) => wholeUpdate(runtime, above)),
    secondOrder(runtime),
  ];
}

/** A gradient step with Adam; parameters go from run to run. */
function training(runtime: Runtime, batch: number): Work {
  const net = network("net", [8, 32, 32, 2]);
  const layout = layoutOf(net);
  const optimizer = adam();
  const program = runtime.program(
    "soak/training",
    (inputs: { params: Tensor; state: Record<string, Tensor>; x: Tensor; y: Tensor }) => {
      const loss = meanSquaredError(net.forward(layout.unpack(inputs.params), inputs.x), inputs.y);
      return { ...optimizer.step(inputs.params, grad(loss, inputs.params), inputs.state, 1e-3), loss };
    },
  );
  let params = start(layout);
  let state: Record<string, NdArray> = optimizer.initial(layout.size);
  return (stream) => {
    const out = program.run({ params, state, x: normals(stream, batch, 8), y: normals(stream, batch, 2) });
    ({ params, state } = out);
    return { params, loss: out.loss };
  };
}

/** Any number of rows. */
function inference(runtime: Runtime): Work {
  const net = network("net", [8, 32, 2]);
  const layout = layoutOf(net);
  const program = runtime.program(
    "soak/inference",
    ({ params, x }: { params: Tensor; x: Tensor }) => ({ y: net.forward(layout.unpack(params), x) }),
    { freeRows: ["x"] },
  );
  const params = start(layout);
  return (stream) => program.run({ params, x: normals(stream, 1 + stream.int(40), 8) });
}

/** A loop and its gradient. */
function recurrent(runtime: Runtime, steps: number): Work {
  const [rows, width] = [4, 8];
  const cell = gruCell("gru", width, width);
  const layout = layoutOf(cell);
  const program = runtime.program("soak/recurrent", ({ params, x, starts }: Record<string, Tensor>) => {
    const named = layout.unpack(params!);
    const first = filled(0, [rows, width], "float32");
    const { all } = unrollCell(cell, named, cell.project(named, x!), first, starts!);
    const loss = mean(square(all));
    return { loss, params: sub(params!, mul(grad(loss, params!), 0.1)) };
  });
  let params = start(layout);
  return (stream) => {
    const starts = f32(
      [steps, rows],
      Float32Array.from({ length: steps * rows }, () => stream.int(2)),
    );
    const out = program.run({ params, x: normals(stream, steps, rows, width), starts });
    params = out.params!;
    return out;
  };
}

/** Epochs of minibatches in one run; with a limit, a loop that may stop early. */
function wholeUpdate(runtime: Runtime, above: number | null): Work {
  const [samples, epochs, minibatches] = [12, 3, 2];
  const net = network("net", [3, 8, 1]);
  const layout = layoutOf(net);
  const update = runtime.epochs(
    "soak/update",
    ({ state, data, index }) => {
      const params = state as Tensor;
      const { x, y } = data as Record<string, Tensor>;
      const rows = (a: Tensor) => gather(a, index!, 0);
      const loss = meanSquaredError(net.forward(layout.unpack(params), rows(x!)), rows(y!));
      return { state: sub(params, mul(grad(loss, params), 0.05)), reports: reshape(loss, [1]) };
    },
    {
      epochs,
      minibatches,
      reports: ["loss"],
      ...(above === null ? {} : { stop: { report: "loss", above } }),
    },
  );
  let params = start(layout);
  const order = new Int32Array(epochs * samples);
  const permutation = Int32Array.from({ length: samples }, (_, i) => i);
  return (stream) => {
    for (let e = 0; e < epochs; e++) {
      stream.permutation(permutation);
      order.set(permutation, e * samples);
    }
    const data = { x: normals(stream, samples, 3), y: normals(stream, samples, 1) };
    const { state, totals, steps } = update.run(params, data, order);
    params = state as NdArray;
    return {
      params,
      totals: ndarray("float64", [1], totals),
      steps: ndarray("int32", [1], Int32Array.of(steps)),
    };
  };
}

/** Second derivatives in float64. */
function secondOrder(runtime: Runtime): Work {
  const net = network("net", [4, 8, 3]);
  const layout = layoutOf(net);
  const program = runtime.program("soak/secondOrder", ({ params, obs }: Record<string, Tensor>) => {
    const named = layout.unpack(params!);
    const clean = net.forward(named, obs!);
    const { value, gradient } = stackelbergGradient(
      {
        objective: (delta) => sum(square(sub(net.forward(named, add(obs!, delta)), clean))),
        start: mul(obs!, 0.01),
        steps: 3,
        direction: "normalised",
        stepSize: 0.1,
        projection: { kind: "ball", radius: 0.2 },
      },
      params!,
    );
    return { value, gradient };
  });
  const wide = ({ shape, data }: NdArray) =>
    ndarray("float64", shape, Float64Array.from(data as Float32Array));
  const params = wide(start(layout));
  return (stream) => program.run({ params, obs: wide(normals(stream, 5, 4)) });
}

/** Hardly ever the same shape twice. */
function manyShapes(runtime: Runtime): Work {
  const program = runtime.program("soak/shapes", ({ x }: Record<string, Tensor>) => {
    const [first, rest] = split(x!, [1, (x!.shape[0] as number) - 1], 0);
    const mixed = tanh(concat([rest!, exp(first!)], 0));
    return { rows: sum(mixed, 1), product: transpose(mixed, [1, 0]) };
  });
  return (stream) => program.run({ x: normals(stream, 2 + stream.int(90), 1 + stream.int(90)) });
}
