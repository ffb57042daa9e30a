import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { pettingZooBridge } from "../../src/bridge/index.js";
import { Registry } from "../../src/core/registry.js";
import { toolbox as builtIn } from "../../src/experiment/builtin.js";
import { executePlan, inProcess } from "../../src/experiment/execute.js";
import { parseExperiment } from "../../src/experiment/load.js";
import { planExperiment } from "../../src/experiment/plan.js";
import type { Toolbox } from "../../src/experiment/toolbox.js";

const standIn = fileURLToPath(new URL("stand-in.mjs", import.meta.url));
const game = pettingZooBridge(() => ({ command: process.execPath, args: [standIn, "game"] }));
const toolbox: Toolbox = {
  ...builtIn,
  registries: { ...builtIn.registries, environments: new Registry("environment", { [game.id]: game }) },
};
const root = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-resume-"));
afterAll(() => fs.rmSync(root, { recursive: true }));

test("a run on the bridge trains, is interrupted, begins its episodes again and says so", async () => {
  const text = `name: hop
environment: { id: ${game.id}, module: games.hop }
seeds: [0]
threats: { tamper: { channel: control, agents: [hopper_0] } }
training: { steps: 640, learner: { name: ppo, copies: 8, rolloutSteps: 10, epochs: 1, minibatches: 1 } }
teams: { plain: {} }
adversaries: { random: { attack: random, threat: tamper } }
evaluation: { episodes: 8, films: 1 }
`;
  const experiment = await parseExperiment("hop.yaml", text, [], toolbox.registries);
  expect(experiment.environment.versions).toEqual({ python: "3.0.0", game: "1.0" });
  const plan = planExperiment(experiment, toolbox.registries);
  const abort = new AbortController();
  const executor = () => inProcess(toolbox, root, { checkpointSeconds: 0, progressMs: 0 });
  const first = await executePlan(
    plan,
    root,
    executor(),
    { onProgress: (node, { done }) => node.kind === "team" && done >= 0.5 && abort.abort() },
    abort.signal,
  );
  expect(first.stopped).toBe(true);
  const notes: string[] = [];
  const second = await executePlan(plan, root, executor(), { onNote: (note) => notes.push(note) });
  expect(second).toMatchObject({ failed: [], blocked: [], stopped: false });
  expect(notes).toEqual([
    "plain, seed 0: pettingzoo/parallel_v1 cannot save its state; the episodes that were interrupted begin again, and the result is not that of a run in one go.",
  ]);
});
