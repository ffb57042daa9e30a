import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { pettingZoo } from "../../src/bridge/index.js";
import { checkEnvironment } from "../../src/env/conformance.js";
import { toolbox } from "../../src/experiment/builtin.js";
import { loadModule } from "../../src/experiment/environments.js";
import { executePlan, inProcess } from "../../src/experiment/execute.js";
import { loadExperiment } from "../../src/experiment/load.js";
import { planExperiment } from "../../src/experiment/plan.js";
import { cellOf, readResults } from "../../src/experiment/results.js";
import { ensureBuilt } from "../cli/built.js";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-own-"));
afterAll(() => fs.rmSync(root, { recursive: true }));
// The example imports the package by its name, which is the compiled one.
beforeAll(ensureBuilt);

const page = fs.readFileSync("docs/your-environment.md", "utf8");
const blocks = (kind: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${kind}\\n([\\s\\S]*?)\`\`\``, "g"))].map((match) => match[1]!);

describe("the page about an environment of one's own", () => {
  test("shows the example and its experiment as they are, in forty lines", () => {
    const [code] = blocks("js");
    expect(code).toBe(fs.readFileSync("experiments/whisper.mjs", "utf8"));
    expect(code!.trim().split("\n").length).toBeLessThanOrEqual(40);
    expect(blocks("yaml")).toContain(fs.readFileSync("experiments/whisper.yaml", "utf8"));
  });

  test("shows an example that keeps every rule, at any size", async () => {
    const { definition } = await loadModule("experiments/whisper.mjs");
    expect(await checkEnvironment(definition)).toEqual([]);
    expect(await checkEnvironment(definition, { cells: 2 })).toEqual([]);
  });

  test("shows an example that trains, and a team that a liar ruins", async () => {
    const smaller = ["seeds=[0]", "teams={plain: {}}", "evaluation={episodes: 100}"];
    const experiment = await loadExperiment("experiments/whisper.yaml", smaller, toolbox.registries);
    const plan = planExperiment(experiment, toolbox.registries);
    expect((await executePlan(plan, root, inProcess(toolbox, root))).failed).toEqual([]);
    const results = readResults(root, toolbox.registries);
    const mean = (team: string, adversary: string) => cellOf(results, team, adversary, 0)!.returns.mean;
    // −16, −4 and −27 here. The listener hears nothing before its first step, so the best is about −2.9.
    expect(mean("uniform", "clean")).toBeLessThan(-12);
    expect(mean("plain", "clean")).toBeGreaterThan(-6);
    expect(mean("plain", "best response")).toBeLessThan(-20);
  });

  test("names every parameter of the bridge with its default", () => {
    const { shape } = pettingZoo.parameters as unknown as { readonly shape: Record<string, z.ZodType> };
    const rows = new Map(
      [...page.matchAll(/^\| `(\w+)` \| ([^|]*) \|/gm)].map((match) => [match[1]!, match[2]!.trim()]),
    );
    const defaults = Object.entries(shape).map(([name, field]) => {
      const value = field.parse(undefined);
      return [name, typeof value === "string" ? value : JSON.stringify(value)] as const;
    });
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(defaults));
  });
});
