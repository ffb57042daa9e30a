import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { registries, toolbox } from "../../test/experiment/fakes.mjs";
import { readBytes, readJson, readJsonLines } from "../core/files.js";
import { sha256Hex } from "../core/hash.js";
import { type Executor, executePlan, inProcess, type Listener } from "./execute.js";
import { parseExperiment } from "./load.js";
import { planExperiment } from "./plan.js";

const TEXT = `name: trial
environment: fake/line_v1
seeds: [0, 1]
threats: { liar: { channel: control, agents: [speaker_0] } }
training: { steps: 2_000, learner: fake }
teams:
  plain: {}
  hardened: { defense: { name: hardening, threat: liar } }
adversaries:
  search: { attack: search, threat: liar, steps: 1_000 }
evaluation: { episodes: 8 }
`;

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-execute-"));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const planOf = async (overrides: string[] = []) =>
  planExperiment(await parseExperiment("t.yaml", TEXT, overrides, registries), registries);

const execute = async (
  root: string,
  overrides: string[] = [],
  listener: Listener = {},
  wrap = (e: Executor) => e,
) =>
  executePlan(
    await planOf(overrides),
    root,
    wrap(inProcess(toolbox, root, { checkpointSeconds: 0 })),
    listener,
  );

/** Every file's bytes but those that tell time. */
function bytesOf(root: string): Record<string, string> {
  const files = fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
  return Object.fromEntries(
    files
      .filter((f) => f.name !== "timing.json")
      .map((f) => {
        const file = path.join(f.parentPath, f.name);
        return [path.relative(root, file), sha256Hex(readBytes(file)).slice(0, 16)];
      })
      .sort(),
  );
}

describe("executing a plan in this process", () => {
  it("leaves complete folders, and does nothing the second time", async () => {
    const root = path.join(dir, "a");
    const first = await execute(root);
    expect(first).toMatchObject({ skipped: 0, finished: 22, failed: [], blocked: [], stopped: false });
    const team = fs.readdirSync(path.join(root, "teams")).find((n) => n.startsWith("plain-s0"))!;
    expect(fs.readdirSync(path.join(root, "teams", team)).sort()).toEqual([
      "metrics.jsonl",
      "policy.onnx",
      "run.json",
      "state.safetensors",
      "timing.json",
    ]);
    expect(readJsonLines(path.join(root, "teams", team, "metrics.jsonl"))).toHaveLength(20);
    const cell = fs.readdirSync(path.join(root, "cells")).find((n) => n.startsWith("plain-vs-search-s0"))!;
    expect(readJson(path.join(root, "cells", cell, "cell.json"))).toMatchObject({
      team: "plain",
      adversary: "search",
      episodes: 8,
      effect: { controlledShare: 1 },
      effort: { envSteps: 1000, gradientsPerDecision: 0, evaluationSteps: 40 },
    });
    expect(fs.readdirSync(path.join(root, "cells", cell, "episodes"))).toEqual(["000.json", "001.json"]);
    const before = bytesOf(root);
    expect(await execute(root)).toMatchObject({ skipped: 22, finished: 0 });
    expect(bytesOf(root)).toEqual(before);
  });

  it("gives the same bytes in another folder", async () => {
    await execute(path.join(dir, "a"));
    await execute(path.join(dir, "b"));
    expect(bytesOf(path.join(dir, "b"))).toEqual(bytesOf(path.join(dir, "a")));
  });

  it("stopped anywhere and started again, ends with the same bytes", async () => {
    const reference = path.join(dir, "a");
    await execute(reference);
    const expected = bytesOf(reference);
    for (const stopAt of [3, 7, 23, 40, 61]) {
      const root = path.join(dir, `stop-${stopAt}`);
      for (let round = 0; round < 100; round++) {
        const abort = new AbortController();
        let events = 0;
        const plan = await planOf();
        const base = inProcess(toolbox, root, {
          checkpointSeconds: round % 2 === 0 ? 0 : 1000,
          progressMs: 0,
        });
        // Every iteration is an event here, so that any of them can be the last.
        const executor: Executor = {
          ...base,
          run: (node, onProgress, onNote) =>
            base.run(
              node,
              (p) => {
                onProgress(p);
                if (++events === stopAt) abort.abort();
              },
              onNote,
            ),
        };
        const result = await executePlan(plan, root, executor, {}, abort.signal);
        if (!result.stopped) break;
      }
      expect(bytesOf(root)).toEqual(expected);
    }
  });

  it("runs a node again whose artefact was damaged, and only that one", async () => {
    const root = path.join(dir, "a");
    await execute(root);
    const before = bytesOf(root);
    const name = Object.keys(before).find(
      (n) => n.startsWith("teams/hardened-s1") && n.endsWith("state.safetensors"),
    )!;
    fs.writeFileSync(path.join(root, name), "damaged");
    expect(await execute(root)).toMatchObject({ skipped: 21, finished: 1 });
    expect(bytesOf(root)).toEqual(before);
  });

  it("starts a run again whose checkpoint is damaged, with a note", async () => {
    const root = path.join(dir, "a");
    const plan = await planOf(["seeds=[0]"]);
    const abort = new AbortController();
    const base = inProcess(toolbox, root, { checkpointSeconds: 0 });
    await executePlan(plan, root, base, { onProgress: () => abort.abort() }, abort.signal);
    const checkpoint = path.join(root, plan.nodes[0]!.folder, "checkpoint.safetensors");
    fs.truncateSync(checkpoint, 100);
    const notes: string[] = [];
    expect(await execute(root, ["seeds=[0]"], { onNote: (text) => notes.push(text) })).toMatchObject({
      failed: [],
    });
    expect(notes).toEqual([
      expect.stringMatching(/^plain, seed 0: starts again; .*not a valid safetensors file/),
    ]);
  });

  it("goes on without what depends on a failed run, and keeps its last good state", async () => {
    const root = path.join(dir, "a");
    const failing = ["teams.plain.learner.failAt=5", "seeds=[0]"];
    const result = await execute(root, failing);
    expect(result.failed.map((f) => [f.node.label, f.error.name])).toEqual([
      ["plain, seed 0", "NonFiniteError"],
    ]);
    expect(result.failed[0]!.error.message).toMatch(
      /^plain, seed 0, iteration 5: fake\/update, iteration 5: "loss" is NaN\. The last good state is in .*last-good\.safetensors\.$/,
    );
    expect(result.blocked.map((n) => n.label)).toEqual([
      "search against plain, seed 0",
      "plain under clean, seed 0",
      "plain under search, seed 0",
      "plain under random behaviour under liar, seed 0",
    ]);
    // hardened, its search, its three cells, random play
    expect(result.finished).toBe(6);
    const folder = path.join(root, result.failed[0]!.node.folder);
    expect(fs.readdirSync(folder).sort()).toContain("error.json");
    expect(fs.readdirSync(folder).sort()).toContain("last-good.safetensors");
  });

  it("refuses a folder that another process holds, and takes over a dead one's", async () => {
    const root = path.join(dir, "a");
    fs.mkdirSync(path.join(root, ".locks"), { recursive: true });
    const lock = (pid: number) =>
      fs.writeFileSync(
        path.join(root, ".locks", "experiment.json"),
        JSON.stringify({ pid, host: os.hostname(), since: "now" }),
      );
    lock(process.ppid);
    await expect(execute(root)).rejects.toThrow(
      `${root}: process ${process.ppid} on ${os.hostname()} has been working here since now.`,
    );
    fs.mkdirSync(path.join(root, ".locks"), { recursive: true });
    lock(2 ** 30);
    expect(await execute(root, ["seeds=[0]"])).toMatchObject({ finished: 11 });
    expect(fs.existsSync(path.join(root, ".locks"))).toBe(false);
  });
});
