/**
 * Our side of the benchmarks as a process of its own, speaking the peers' protocol: one line when ready, then one
 * answer per request line. `node dist/bench/worker.js SUITE [CASE]`; with a case of training, the first line says when
 * its first update was done.
 */
import { createInterface } from "node:readline";
import { Runtime } from "../src/runtime/index.js";
import { nodeBackend } from "../src/runtime/node.js";
import { attackCases } from "./attacks.js";
import { type Case, checkOf } from "./cases.js";
import { environmentCases } from "./environments.js";
import { peakGflops, productsOf } from "./profile.js";
import { recurrentCases } from "./recurrent.js";
import { stackelbergCases } from "./stackelberg.js";
import { suites } from "./suites.js";
import { trainCases } from "./train.js";
import { updateCases } from "./updates.js";

interface Times {
  readonly seconds: number;
  /** processor time of all threads */
  readonly cpu_seconds: number;
}
interface Prepared {
  /** numbers that a peer must come to as well */
  readonly check?: readonly number[];
  measure(): Promise<Times & { readonly per_call_ms?: number; readonly steps_per_second?: number }>;
  /** the time of a call, and of the matrix products in it */
  profile?(): Promise<object>;
}

const runtime = new Runtime(nodeBackend());
const WARMUP = 20;
/** Seconds that one measurement of a short case should take; the peers' default. */
const BUDGET = 0.3;

async function timed(work: () => unknown): Promise<Times> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpu_seconds: (user + system) / 1e6 };
}

/** One short call, repeated until the time budget is used. */
function repeated(cases: readonly Case[]): Record<string, () => Promise<Prepared>> {
  return Object.fromEntries(
    cases.map((one) => [
      one.name,
      async () => {
        const call = one.setup(runtime);
        const check = checkOf(call);
        const repeat = (count: number) =>
          timed(() => {
            for (let i = 0; i < count; i++) call();
          });
        await repeat(WARMUP);
        const estimate = (await repeat(WARMUP)).seconds / WARMUP;
        const calls = Math.max(5, Math.round(BUDGET / estimate));
        const measure = async () => {
          const times = await repeat(calls);
          return { ...times, per_call_ms: (1000 * times.seconds) / calls };
        };
        const profile = async () => {
          // The fastest of both, for a share of one in the other.
          const each = [];
          for (let i = 0; i < calls; i++) each.push((await repeat(1)).seconds);
          return {
            per_call_ms: 1000 * Math.min(...each),
            products: productsOf(one, Math.max(5, Math.ceil(calls / 3))),
          };
        };
        return { check, measure, profile };
      },
    ]),
  );
}

const cases: Record<string, Record<string, () => Promise<Prepared>>> = {
  updates: repeated(updateCases),
  recurrent: repeated(recurrentCases),
  stackelberg: repeated(stackelbergCases),
  attacks: repeated(attackCases),
  env: Object.fromEntries(
    environmentCases.map(({ name, setup }) => [
      name,
      async () => {
        const run = await setup();
        const probe = 256 * 25;
        run(probe);
        const estimate = (await timed(() => run(probe))).seconds;
        const steps = Math.max(probe, Math.round((BUDGET * probe) / estimate));
        return {
          measure: async () => {
            const times = await timed(() => run(steps));
            return { ...times, steps_per_second: steps / times.seconds };
          },
        };
      },
    ]),
  ),
  train: Object.fromEntries(
    trainCases.map(({ name, envSteps, run }) => [
      name,
      async () => {
        await run(runtime, envSteps, 0);
        return {
          measure: async () => {
            const times = await timed(() => run(runtime, envSteps, 0));
            return { ...times, steps_per_second: envSteps / times.seconds };
          },
        };
      },
    ]),
  ),
};

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const [name = "", firstCase] = process.argv.slice(2);
const suite = cases[name];
if (suite === undefined) throw new Error(`suite: got "${name}", expected ${Object.keys(cases).join(", ")}`);

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
  ...(suites[name]?.products ? { peak_gflops: peakGflops() } : {}),
  ...firstUpdate,
});
const prepared = new Map<string, Prepared>();
for await (const line of createInterface({ input: process.stdin })) {
  const { case: asked, profile } = JSON.parse(line) as { case: string; profile?: boolean };
  const prepare = suite[asked];
  if (prepare === undefined) {
    say({ case: asked, error: "unknown case" });
    continue;
  }
  const known = prepared.get(asked);
  const one = known ?? (await prepare());
  prepared.set(asked, one);
  const answer = profile ? await one.profile?.() : await one.measure();
  say({ case: asked, ...(known === undefined ? { check: one.check } : {}), ...answer });
}
