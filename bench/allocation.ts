/**
 * What a step allocates: `node dist/bench/allocation.js [ID …]` plays random actions in 64 copies of every environment
 * (or of those named) and prints, by V8's sampling heap profile, what was allocated per step of all copies together,
 * collected garbage included, and by which functions. Numbers that the engine boxes for a call count, too; a step that
 * makes an array or an object for a copy shows with at least 64 times its size.
 */
import { Session } from "node:inspector/promises";
import { RandomStream } from "../src/core/random.js";
import { sampleActions } from "../src/env/spaces.js";
import { createEnvironment, environments } from "../src/envs/registry.js";

const COPIES = 64;
/** Seconds of play before the profile, so that everything is compiled, and during it. */
const WARM = 0.5;
const PLAY = 0.5;
const SHOWN = 3;

type Node = Awaited<ReturnType<typeof profileOf>>["head"];

async function profileOf(work: () => void) {
  const session = new Session();
  session.connect();
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: 256,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  work();
  const { profile } = await session.post("HeapProfiler.stopSampling");
  session.disconnect();
  return profile;
}

/** Bytes by function. The profiler's own traffic is left out. */
function tally(node: Node, into = new Map<string, number>()): Map<string, number> {
  const { functionName, url } = node.callFrame;
  if (url.startsWith("file:")) into.set(functionName, (into.get(functionName) ?? 0) + node.selfSize);
  for (const child of node.children) tally(child, into);
  return into;
}

const asked = process.argv.slice(2);
for (const id of asked.length > 0 ? asked : environments.names()) {
  const environment = await createEnvironment(id, {}, { copies: COPIES });
  environment.reset(0);
  const stream = RandomStream.from(0, "bench", "actions");
  const play = (seconds: number): number => {
    const end = performance.now() + 1000 * seconds;
    let steps = 0;
    for (; performance.now() < end || steps < 30; steps++) {
      sampleActions(environment, stream);
      environment.step();
    }
    return steps;
  };
  play(WARM);
  let steps = 1;
  const profile = await profileOf(() => {
    steps = play(PLAY);
  });
  environment.close();
  const found = [...tally(profile.head)].sort(([, a], [, b]) => b - a);
  const total = found.reduce((sum, [, bytes]) => sum + bytes, 0);
  const most = found
    .filter(([, bytes]) => bytes >= steps)
    .slice(0, SHOWN)
    .map(([name, bytes]) => `${name} ${Math.round(bytes / steps)}`);
  console.log(
    `${id.padEnd(34)} ${String(Math.round(total / steps)).padStart(7)} bytes per step of ${COPIES} copies  ${most.join(", ")}`,
  );
}
