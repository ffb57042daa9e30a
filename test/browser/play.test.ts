/** A page with a replay alone in a real browser. Needs Chromium: PHALANX_CHROMIUM or /usr/bin/chromium. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { expect, it } from "vitest";
import { renderReplayPage } from "../../src/report/index.js";
import { speakerListenerFilm } from "./fixture.js";

const executablePath = process.env.PHALANX_CHROMIUM ?? "/usr/bin/chromium";

it("a page of two episodes says who plays, offers the episodes alone, plays, and asks for nothing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "phalanx-play-"));
  const file = join(folder, "play.html");
  const film = (copy: number) => ({
    ...speakerListenerFilm("random", "clean", copy, 1),
    adversary: "nobody",
  });
  const films = [film(0), film(1)];
  const html = renderReplayPage({ title: "x/y_v0", question: "", films, facts: [], parameters: [] });
  writeFileSync(file, html);
  // Containers run as root, where Chromium's own sandbox refuses to start; the page is ours.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    const troubles: string[] = [];
    page.on("console", (message) => troubles.push(message.text()));
    page.on("pageerror", (error) => troubles.push(error.message));
    page.on("request", (request) => {
      const url = request.url();
      if (url !== pathToFileURL(file).href && !url.startsWith("data:")) troubles.push(url);
    });
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector("[data-phx-ready]");
    expect(await page.locator("figcaption").textContent()).toMatch(/^random against nobody/);
    expect(await page.locator("[data-phx=team]").isVisible()).toBe(false);
    const episode = page.locator("[data-phx=episode]");
    expect(await episode.locator("option").allInnerTexts()).toEqual(
      films.map((f) => `seed ${f.seed}, episode ${f.copy}`),
    );
    const before = await page.locator(".phx-stage").innerHTML();
    await episode.selectOption({ index: 1 });
    expect(await page.locator(".phx-stage").innerHTML()).not.toBe(before);
    await page.locator("[data-phx=first]").click();
    expect(await page.locator("[data-phx=clock]").textContent()).toBe("0 / 25");
    await page.locator("[data-phx=play]").click();
    await page.waitForFunction(
      () => Number.parseInt(document.querySelector("[data-phx=clock]")!.textContent!, 10) > 0,
    );
    // Nothing is wider than a phone.
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    expect(troubles).toEqual([]);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true });
  }
});
