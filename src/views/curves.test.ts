import { describe, expect, it } from "vitest";
import { renderCurves } from "./curves.js";
import type { CurveData, CurveSeries } from "./data.js";
import { standaloneSvg } from "./theme.js";

function series(name: string, mean: number[], more: Partial<CurveSeries> = {}): CurveSeries {
  return {
    name,
    x: mean.map((_, at) => at * 1000),
    mean,
    low: mean.map((value) => value - 1),
    high: mean.map((value) => value + 1),
    seeds: [
      { seed: 0, y: mean.map((value) => value - 0.5) },
      { seed: 1, y: mean.map((value) => value + 0.5) },
    ],
    ...more,
  };
}

const chart = (all: CurveSeries[]): CurveData => ({
  title: "Training",
  xLabel: "environment steps",
  yLabel: "episode return",
  series: all,
});
const count = (text: string, part: string) => text.split(part).length - 1;
const path = (svg: string, kind: string) =>
  new RegExp(`class="${kind} phx-c0" d="([^"]*)"`).exec(svg)?.[1] ?? "missing";

describe("learning curves", () => {
  it("draw a mean, a band and every seed of every series, with ticks and titles", () => {
    const svg = renderCurves(chart([series("plain", [-40, -20, -9]), series("hardened", [-40, -25, -14])]));
    expect(count(svg, "phx-curve-mean")).toBe(2);
    expect(count(svg, "phx-curve-band")).toBe(2);
    expect(count(svg, "phx-curve-seed")).toBe(4);
    expect(svg).toContain(">−40</text>");
    expect(svg).toContain(">2 k</text>");
    expect(svg).toContain("environment steps");
    expect(svg).toContain("plain ends at −9.00");
  });

  it("name series at their ends without overlap, or above where names are too long", () => {
    const direct = renderCurves(chart([series("a", [1, 2]), series("b", [1, 2])]));
    const heights = [...direct.matchAll(/phx-curve-name phx-c\d" x="[\d.]+" y="([\d.]+)"/g)].map((one) =>
      Number(one[1]),
    );
    expect(Math.abs(heights[0]! - heights[1]!)).toBeGreaterThanOrEqual(16);
    const long = renderCurves(chart([series("x".repeat(90), [1, 2])]), { width: 358 });
    expect(long).toContain("…</text>");
    expect(long).toContain('y="36"');
  });

  it("break lines and bands at missing values instead of bridging them", () => {
    const svg = renderCurves(chart([series("plain", [1, 2, Number.NaN, 4, 5])]));
    expect(count(path(svg, "phx-curve-mean"), "M")).toBe(2);
    expect(count(path(svg, "phx-curve-band"), "Z")).toBe(2);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("survive one point, equal values and no series", () => {
    const single = renderCurves(chart([series("plain", [-3], { low: [-3], high: [-3], seeds: [] })]));
    expect(single).toContain("phx-curve-dot");
    const flat = renderCurves(
      chart([series("plain", [5, 5, 5], { low: [5, 5, 5], high: [5, 5, 5], seeds: [] })]),
    );
    const empty = renderCurves(chart([]));
    expect(empty).toContain("no data yet");
    for (const svg of [single, flat, empty]) expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("stay small for long runs and keep the extremes", () => {
    const mean = Array.from({ length: 100_000 }, (_, at) => Math.sin(at / 50));
    mean[54_321] = -30;
    const svg = renderCurves(chart([series("plain", mean, { seeds: [] })]), { width: 640, height: 320 });
    expect(svg.length).toBeLessThan(120_000);
    const heights = [...path(svg, "phx-curve-mean").matchAll(/ (\d+\.?\d*)/g)].map((one) => Number(one[1]));
    expect(Math.max(...heights) - Math.min(...heights)).toBeGreaterThan(150);
  });

  it("tell many series apart by dashes once colours run out", () => {
    const svg = renderCurves(chart(Array.from({ length: 8 }, (_, at) => series(`s${at}`, [1, 2]))));
    expect(count(svg, "stroke-dasharray")).toBe(1);
  });

  it("escape names", () => {
    const svg = renderCurves({
      title: "<script>",
      xLabel: "<script>",
      yLabel: "<script>",
      series: [series('"><script>x</script>', [1, 2])],
    });
    expect(svg).not.toContain("<script");
  });

  it("can stand alone as a file", () => {
    const svg = standaloneSvg(renderCurves(chart([series("plain", [1, 2])])));
    expect(svg).toMatch(/^<svg class="phx-curves" xmlns="http:\/\/www\.w3\.org\/2000\/svg"[^>]*><style>/);
  });
});
