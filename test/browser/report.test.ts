/** The report in a real browser. Needs Chromium: PHALANX_CHROMIUM or /usr/bin/chromium; fails where there is none. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderReport } from "../../src/report/index.js";
import { fixtureReport } from "./fixture.js";

const executablePath = process.env.PHALANX_CHROMIUM ?? "/usr/bin/chromium";
const folder = mkdtempSync(join(tmpdir(), "phalanx-report-"));
const plain = join(folder, "report.html");
const hostile = join(folder, "hostile.html");
let browser: Browser;

beforeAll(async () => {
  writeFileSync(plain, renderReport(fixtureReport()));
  const data = fixtureReport();
  const evil = `<script>document.title="owned"</script><img src=x onerror="document.title='owned'">`;
  const long = "a_name_without_any_space_that_somebody_generated_from_a_sweep_".repeat(3);
  writeFileSync(
    hostile,
    renderReport({
      ...data,
      title: evil + long,
      matrix: {
        ...data.matrix,
        teams: data.matrix.teams.map((team) => ({ ...team, description: evil + long })),
        cells: data.matrix.cells.map((cell) => ({ ...cell, flags: [evil + long] })),
      },
      films: data.films.map((film) => ({
        ...film,
        adversary: film.adversary === "clean" ? "clean" : evil + long,
        actionNames: { listener_0: Array<string>(5).fill(evil + long) },
      })),
    }),
  );
  // Containers run as root, where Chromium's own sandbox refuses to start; the pages are ours.
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** Opens a file and collects what a silent page must not do. */
async function open(file: string, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on("console", (message) => troubles.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== pathToFileURL(file).href && !request.url().startsWith("data:")) {
      troubles.push(`request: ${request.url()}`);
    }
  });
  await page.goto(pathToFileURL(file).href);
  return { context, page, troubles };
}

const clock = (page: Page) => page.locator("[data-phx=clock]").textContent();
const ground = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

describe("a report in the browser", () => {
  it("plays, steps, scrubs and obeys the keyboard, without a request or a complaint", async () => {
    const { context, page, troubles } = await open(plain);
    await page.locator(".phx-replay[data-phx-ready]").waitFor();
    expect(await clock(page)).toBe("25 / 25");

    await page.locator("[data-phx=first]").click();
    expect(await clock(page)).toBe("0 / 25");
    await page.locator("[data-phx=next]").click();
    expect(await clock(page)).toBe("1 / 25");
    await page.locator("[data-phx=scrub]").fill("9");
    expect(await clock(page)).toBe("9 / 25");
    const attacked = page.locator(".phx-panel").nth(1);
    expect(await attacked.locator(".phx-controlled").count()).toBe(1);
    expect(await attacked.locator("[data-phx=status]").textContent()).toContain("forced by the adversary");

    await page.locator(".phx-replay").focus();
    await page.keyboard.press("ArrowRight");
    expect(await clock(page)).toBe("10 / 25");
    await page.keyboard.press("End");
    expect(await clock(page)).toBe("25 / 25");
    await page.locator("[data-phx=speed]").selectOption("4");
    await page.locator(".phx-replay").focus();
    await page.keyboard.press("Space");
    await page.waitForFunction(() =>
      document.querySelector("[data-phx=clock]")?.textContent?.startsWith("5 /"),
    );
    await page.keyboard.press("Space");
    const paused = await clock(page);
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
    expect(await clock(page)).toBe(paused);
    await page.locator("[data-phx=play]").click();
    await page.waitForFunction(() => document.querySelector("[data-phx=clock]")?.textContent === "25 / 25");
    expect(troubles).toEqual([]);
    await context.close();
  });

  it("lets one choose team, adversary and episode, and says where no film exists", async () => {
    const { context, page, troubles } = await open(plain);
    const first = page.locator(".phx-panel").first();
    await first.locator("[data-phx=adversary]").selectOption("FGSM on the listener");
    await page.locator("[data-phx=scrub]").fill("3");
    expect(await first.locator(".phx-deceived").count()).toBe(1);
    expect(await first.locator("[data-phx=status]").textContent()).toContain("sees wrong: velocity ±0.10");
    const before = await first.locator("[data-phx=stage]").innerHTML();
    await page.locator("[data-phx=episode]").selectOption("0/5");
    expect(await first.locator("[data-phx=stage]").innerHTML()).not.toBe(before);
    expect(troubles).toEqual([]);
    await context.close();
  });

  it("shows whole steps only to people who asked for less motion", async () => {
    const { context, page } = await open(plain, { reducedMotion: "reduce" });
    await page.locator("[data-phx=speed]").selectOption("0.5");
    const seen = await page.evaluate(async () => {
      const positions = new Set<string>();
      document.querySelector<HTMLButtonElement>("[data-phx=play]")!.click();
      const until = performance.now() + 2000;
      while (performance.now() < until) {
        await new Promise(requestAnimationFrame);
        positions.add(document.querySelector(".phx-trail")?.getAttribute("points") ?? "");
      }
      return { positions: positions.size, clock: document.querySelector("[data-phx=clock]")!.textContent };
    });
    expect(seen.positions).toBeLessThanOrEqual(Number.parseInt(seen.clock ?? "0", 10) + 1);
    await context.close();
  });

  it("follows the system's theme and lets the reader switch", async () => {
    const { context, page, troubles } = await open(plain, { colorScheme: "light" });
    const light = await ground(page);
    const cell = page.locator(".phx-cell").first();
    const colorOf = () => cell.evaluate((element) => getComputedStyle(element).backgroundColor);
    const lightCell = await colorOf();
    const button = page.locator("[data-page=theme]");
    expect(await button.textContent()).toBe("Dark");
    await button.click();
    expect(await ground(page)).not.toBe(light);
    expect(await colorOf()).not.toBe(lightCell);
    expect(await button.textContent()).toBe("Light");
    await button.click();
    expect(await ground(page)).toBe(light);
    expect(troubles).toEqual([]);
    await context.close();
  });

  it.each([
    [1280, plain],
    [390, plain],
    [1280, hostile],
    [390, hostile],
  ])("fits a width of %i without scrolling sideways (%#)", async (width, file) => {
    const { context, page } = await open(file, { viewport: { width, height: 844 } });
    await page.locator("details").evaluateAll((all) => {
      for (const one of all) (one as HTMLDetailsElement).open = true;
    });
    for (const step of ["0", "12", "25"]) {
      await page.locator("[data-phx=scrub]").fill(step);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    }
    await context.close();
  });

  it("runs nobody else's script", async () => {
    const { context, page, troubles } = await open(hostile);
    await page.locator("[data-phx=scrub]").fill("4");
    expect(await page.title()).not.toBe("owned");
    expect(await page.locator("img").count()).toBe(0);
    expect(troubles).toEqual([]);
    await context.close();
  });

  it("is readable without any script", async () => {
    const { context, page } = await open(plain, { javaScriptEnabled: false });
    expect(await page.locator("svg.phx-stage").count()).toBe(3);
    expect(await page.locator(".phx-transport").isVisible()).toBe(false);
    expect(await page.locator(".phx-panel").first().textContent()).toContain("plain · clean");
    await context.close();
  });

  it("copies the configuration", async () => {
    const { context, page } = await open(plain);
    await page.locator("#configuration summary").click();
    const button = page.locator("[data-page=copy]");
    await button.click();
    await page.waitForFunction(() =>
      /Copied|Selected/.test(document.querySelector("[data-page=copy]")?.textContent ?? ""),
    );
    await context.close();
  });
});
