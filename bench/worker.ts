/**
 * Our side of the benchmarks as a process of its own, speaking the peers' protocol: one line when ready, then one
 * answer per request line. `node dist/bench/worker.js SUITE [CASE]`; with a case of training, the first line says when
 * its first update was done.
 */
import { createInterface } from "node:readline";
import { Runtime } from "../src/runtime/index.js";
import { nodeBackend } from "../src/runtime/node.js";
import { environmentCases } from "./environments.js";
import { trainCases } from "./train.js";
import { updateCases } from "./updates.js";

interface Answer {
  readonly seconds: number;
  readonly per_call_ms?: number;
  readonly steps_per_second?: number;
}
type Measure = () => Promise<Answer>;

const runtime = new Runtime(nodeBackend());
const WARMUP = 20;
/** Seconds that one measurement of a short case should take; the peers' default. */
const BUDGET = 0.3;

const seconds = async (work: () => unknown) => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

const suites: Record<string, Record<string, () => Promise<Measure>>> = {
  updates: Object.fromEntries(
    updateCases.map(({ name, setup }) => [
      name,
      async () => {
        const call = setup(runtime);
        for (let i = 0; i < WARMUP; i++) call();
        const estimate =
          (await seconds(() => {
            for (let i = 0; i < WARMUP; i++) call();
          })) / WARMUP;
        const calls = Math.max(5, Math.round(BUDGET / estimate));
        return async () => {
          const took = await seconds(() => {
            for (let i = 0; i < calls; i++) call();
          });
          return { seconds: took, per_call_ms: (1000 * took) / calls };
        };
      },
    ]),
  ),
  env: Object.fromEntries(
    environmentCases.map(({ name, setup }) => [
      name,
      async () => {
        const run = await setup();
        const probe = 256 * 25;
        run(probe);
        const steps = Math.max(probe, Math.round((BUDGET * probe) / (await seconds(() => run(probe)))));
        return async () => {
          const took = await seconds(() => run(steps));
          return { seconds: took, steps_per_second: steps / took };
        };
      },
    ]),
  ),
  train: Object.fromEntries(
    trainCases.map(({ name, envSteps, run }) => [
      name,
      async () => {
        await run(runtime, envSteps, 0);
        return async () => {
          const took = await seconds(() => run(runtime, envSteps, 0));
          return { seconds: took, steps_per_second: envSteps / took };
        };
      },
    ]),
  ),
};

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const suite = suites[process.argv[2] ?? ""];
if (suite === undefined)
  throw new Error(`suite: got "${process.argv[2]}", expected ${Object.keys(suites).join(", ")}`);

const firstCase = process.argv[3];
let firstUpdate = {};
if (firstCase !== undefined) {
  const first = trainCases.find((c) => c.name === firstCase);
  if (first === undefined) throw new Error(`case: got "${firstCase}"`);
  await first.run(runtime, 1, 0);
  // The clock of `performance` starts with the process: this is its age, imports and all.
  firstUpdate = { first_update_seconds: performance.now() / 1000 };
}
say({
  ready: true,
  peer: "phalanx",
  version: runtime.backend.name,
  node: process.versions.node,
  cases: Object.keys(suite),
  ...firstUpdate,
});
const prepared = new Map<string, Measure>();
for await (const line of createInterface({ input: process.stdin })) {
  const { case: name } = JSON.parse(line) as { case: string };
  const prepare = suite[name];
  if (prepare === undefined) {
    say({ case: name, error: "unknown case" });
    continue;
  }
  const measure = prepared.get(name) ?? (await prepare());
  prepared.set(name, measure);
  say({ case: name, ...(await measure()) });
}
