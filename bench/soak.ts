/**
 * 100,000 training steps in one process: resident memory must stay flat, and the parameters must come out bit for
 * bit the same when the whole is done again. `node dist/bench/soak.js [steps]` prints one JSON line.
 */
import { createHash } from "node:crypto";
import { f32, type NdArray } from "../src/core/array.js";
import { RandomStream } from "../src/core/random.js";
import { adam, layoutOf, meanSquaredError, mlp } from "../src/nn/index.js";
import { Runtime } from "../src/runtime/index.js";
import { nodeBackend } from "../src/runtime/node.js";
import { grad, type Tensor } from "../src/tensor/index.js";

export interface SoakResult {
  readonly steps: number;
  readonly seconds: number;
  /** resident memory after a tenth of the steps, and at the end, in MiB */
  readonly earlyMiB: number;
  readonly lateMiB: number;
  /** of the final parameters */
  readonly sha256: string;
}

/** Train a small MLP with Adam for so many steps, one program run each. */
export function soak(steps: number): SoakResult {
  const runtime = new Runtime(nodeBackend());
  const net = mlp("net", { sizes: [8, 32, 32, 2], activation: "tanh" });
  const layout = layoutOf(net);
  const optimizer = adam();
  const step = runtime.program(
    "soak",
    (inputs: { params: Tensor; state: Record<string, Tensor>; x: Tensor; y: Tensor }) => {
      const loss = meanSquaredError(net.forward(layout.unpack(inputs.params), inputs.x), inputs.y);
      return { ...optimizer.step(inputs.params, grad(loss, inputs.params), inputs.state, 1e-3), loss };
    },
  );
  const stream = RandomStream.from(0);
  let params: NdArray = f32([layout.size], layout.initial(stream));
  let state: Record<string, NdArray> = optimizer.initial(layout.size);
  const memory = () => process.memoryUsage.rss() / 2 ** 20;
  const started = performance.now();
  let earlyMiB = 0;
  for (let i = 0; i < steps; i++) {
    const x = f32(
      [16, 8],
      Float32Array.from({ length: 128 }, () => stream.normal()),
    );
    const y = f32([16, 2], new Float32Array(32));
    ({ params, state } = step.run({ params, state, x, y }));
    if (i === Math.floor(steps / 10)) earlyMiB = memory();
  }
  const seconds = (performance.now() - started) / 1000;
  const result = {
    steps,
    seconds,
    earlyMiB,
    lateMiB: memory(),
    sha256: createHash("sha256")
      .update(params.data as Float32Array)
      .digest("hex"),
  };
  runtime.dispose();
  return result;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  console.log(JSON.stringify(soak(Number(process.argv[2] ?? 100_000))));
}
