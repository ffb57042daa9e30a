import { fork } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readBytes } from "../../src/core/files.js";
import { sha256Hex } from "../../src/core/hash.js";
import { executePlan, inProcess } from "../../src/experiment/execute.js";
import { parseExperiment } from "../../src/experiment/load.js";
import { planExperiment } from "../../src/experiment/plan.js";
import { workerPool } from "../../src/experiment/worker-pool.js";
import { dist, ensureBuilt } from "../cli/built.js";
import { registries, toolbox } from "./fakes.mjs";

const TEXT = `name: trial
environment: fake/line_v1
seeds: [0, 1]
threats: { liar: { channel: control, agents: [speaker_0] } }
training: { steps: 4_000, learner: { name: fake, slowMs: 2 } }
teams:
  plain: {}
  hardened: { defense: { name: hardening, threat: liar } }
adversaries:
  search: { attack: { name: search, slowMs: 2 }, threat: liar, steps: 2_000 }
evaluation: { episodes: 8 }
`;

const fakes = new URL("./fakes.mjs", import.meta.url).href;
const entry = path.join(dist, "experiment", "worker.js");

let dir: string;
beforeAll(ensureBuilt);
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-workers-"));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const planOf = async (overrides: string[] = []) =>
  planExperiment(await parseExperiment("t.yaml", TEXT, overrides, registries), registries);

const pool = (root: string, workers = 2) =>
  workerPool({ root, workers, toolboxModule: fakes, entry, checkpointSeconds: 0.02, progressMs: 0 });

/** Hash of every file but those that tell time. */
function bytesOf(root: string): Record<string, string> {
  const files = fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
  return Object.fromEntries(
    files
      // experiment.json holds the path that the file was read from.
      .filter((f) => f.name !== "timing.json" && f.name !== "experiment.json")
      .map((f) => path.join(f.parentPath, f.name))
      .map((file) => [path.relative(root, file), sha256Hex(readBytes(file)).slice(0, 16)])
      .sort(),
  );
}

async function reference(): Promise<Record<string, string>> {
  const root = path.join(dir, "reference");
  await executePlan(await planOf(), root, inProcess(toolbox, root));
  return bytesOf(root);
}

describe("worker processes", () => {
  it("give the same bytes as one process", async () => {
    const root = path.join(dir, "a");
    const result = await executePlan(await planOf(), root, pool(root));
    expect(result).toMatchObject({ failed: [], blocked: [], stopped: false, finished: 22 });
    expect(bytesOf(root)).toEqual(await reference());
  });

  it("save and end when asked, and go on to the same bytes", async () => {
    const root = path.join(dir, "a");
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 700);
    const first = await executePlan(await planOf(), root, pool(root), {}, abort.signal);
    expect(first.stopped).toBe(true);
    expect(await executePlan(await planOf(), root, pool(root))).toMatchObject({ failed: [], stopped: false });
    expect(bytesOf(root)).toEqual(await reference());
  });

  it("a worker that is killed fails its node in one sentence; the others go on", async () => {
    const root = path.join(dir, "a");
    let killed = 0;
    const base = pool(root);
    const result = await executePlan(await planOf(), root, base, {
      onProgress: () => {
        if (killed > 0) return;
        const { pid } = childrenOf(process.pid)[0]!;
        killed = pid;
        process.kill(pid, "SIGKILL");
      },
    });
    expect(result.failed).toHaveLength(1);
    expect(result.failed[0]!.error.message).toMatch(/, seed \d: the worker process ended by SIGKILL$/);
    expect(await executePlan(await planOf(), root, pool(root))).toMatchObject({ failed: [], blocked: [] });
    expect(bytesOf(root)).toEqual(await reference());
  });

  it("the whole program killed at random moments, again and again, ends with the same bytes", async () => {
    const root = path.join(dir, "a");
    fs.writeFileSync(path.join(dir, "t.yaml"), TEXT);
    const runner = fileURLToPath(new URL("./run-all.mjs", import.meta.url));
    let kills = 0;
    for (let round = 0; ; round++) {
      expect(round).toBeLessThan(60);
      const child = fork(runner, [dist, path.join(dir, "t.yaml"), root, fakes], { stdio: "inherit" });
      // A generous last round, so that slow machines finish too.
      const timer = setTimeout(
        () => child.kill("SIGKILL"),
        round < 25 ? 150 + ((round * 137) % 400) : 60_000,
      );
      const code = await new Promise<number | null>((resolve) => child.on("exit", (c) => resolve(c)));
      clearTimeout(timer);
      if (code !== null) {
        expect(code).toBe(0);
        break;
      }
      kills++;
    }
    expect(kills).toBeGreaterThan(3);
    expect(bytesOf(root)).toEqual(await reference());
  });
});

/** Child processes, from /proc. */
function childrenOf(parent: number): { pid: number }[] {
  return fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = fs.readFileSync(`/proc/${name}/stat`, "utf8");
        const command = fs.readFileSync(`/proc/${name}/cmdline`, "utf8");
        const ppid = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return ppid === parent && command.includes("worker.js") ? [{ pid: Number(name) }] : [];
      } catch {
        return [];
      }
    });
}
