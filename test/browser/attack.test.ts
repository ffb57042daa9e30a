/** The report of `phalanx attack` in a real browser, from a policy file to the picture. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attackCommand } from "../../src/cli/attack.js";
import { type AttackOptions, attackExperiment } from "../../src/cli/attack-experiment.js";
import { writeReport } from "../../src/cli/report.js";
import { toolbox } from "../../src/experiment/builtin.js";
import { executePlan, inProcess, planExperiment } from "../../src/experiment/index.js";

const folder = mkdtempSync(join(tmpdir(), "phalanx-attack-"));
let browser: Browser;
let report: string;

beforeAll(async () => {
  const command = attackCommand();
  const given = ["--env", "mpe/simple_spread", "--seeds", "2", "--episodes", "4", "--out", folder];
  command.parseOptions(given);
  const experiment = await attackExperiment(
    ["test/cli/fixtures/spread_gru.onnx"],
    command.opts<AttackOptions>(),
  );
  const plan = planExperiment(experiment, toolbox.registries);
  const { failed } = await executePlan(plan, folder, inProcess(toolbox, folder));
  expect(failed).toEqual([]);
  report = writeReport(folder).file;
  const executablePath = process.env.PHALANX_CHROMIUM ?? "/usr/bin/chromium";
  // Containers run as root, where Chromium's own sandbox refuses to start; the page is ours.
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

describe("the report on a policy of one's own", () => {
  it("shows one row, and the same episode undisturbed and attacked side by side", async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const troubles: string[] = [];
    page.on("console", (message) => troubles.push(message.text()));
    page.on("pageerror", (error) => troubles.push(error.message));
    await page.goto(pathToFileURL(report).href);
    await page.locator(".phx-replay[data-phx-ready]").waitFor();
    expect(await page.locator(".phx-matrix tbody tr").count()).toBe(1);
    expect(await page.locator(".phx-column b").allTextContents()).toEqual(["clean", "random", "pgd"]);

    const panels = page.locator(".phx-panel");
    expect(await panels.count()).toBe(2);
    const [calm, attacked] = [panels.nth(0), panels.nth(1)];
    expect(await calm.locator("[data-phx=adversary]").inputValue()).toBe("clean");
    expect(await attacked.locator("[data-phx=adversary]").inputValue()).toBe("pgd");

    // Both begin in the same state; in the second, every agent sees what is not there.
    await page.locator("[data-phx=first]").click();
    const places = (panel: typeof calm) =>
      panel
        .locator(".phx-frame circle:not(.phx-deceived)")
        .evaluateAll((all) => all.map((one) => `${one.getAttribute("cx")} ${one.getAttribute("cy")}`));
    expect((await places(calm)).length).toBeGreaterThanOrEqual(6);
    expect(await places(attacked)).toEqual(await places(calm));
    expect(await calm.locator(".phx-deceived").count()).toBe(0);
    expect(await attacked.locator(".phx-frame .phx-deceived").count()).toBe(3);
    expect(troubles).toEqual([]);
    await page.close();
  });
});
