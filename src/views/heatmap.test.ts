import { describe, expect, it } from "vitest";
import type { MatrixCell, MatrixData } from "./data.js";
import { renderHeatmap, renderSeedTable } from "./heatmap.js";

function cell(
  team: string,
  adversary: string,
  values: (number | null)[],
  more: Partial<MatrixCell> = {},
): MatrixCell {
  const known = values.filter((value) => value !== null);
  const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  const half = known.length > 1 ? 1 : null;
  const bound = (sign: number) => (mean === null || half === null ? null : mean + sign * half);
  return { team, adversary, values, mean, low: bound(-1), high: bound(1), flags: [], notes: [], ...more };
}

function matrix(more: Partial<MatrixData> = {}): MatrixData {
  return {
    measure: "mean episode return per agent",
    higherIsBetter: true,
    seeds: [0, 1, 2],
    teams: [
      { name: "plain", description: "no defense" },
      { name: "hardened", description: "two timescales" },
    ],
    columns: [
      { adversary: "best response", threat: "controls speaker_0, ε = 1", kind: "adaptive" },
      { adversary: "clean", threat: "nobody interferes", kind: "clean" },
      { adversary: "old attack", threat: "controls speaker_0, ε = 1", kind: "transfer" },
    ],
    cells: [
      cell("plain", "clean", [-8, -9, -10]),
      cell("plain", "best response", [-27, -28, -29], {
        flags: ["still improving"],
        notes: ["200 episodes"],
      }),
      cell("hardened", "clean", [-13, -14, null]),
      cell("hardened", "best response", [null, null, null], { flags: [] }),
    ],
    ...more,
  };
}

const count = (text: string, part: string) => text.split(part).length - 1;
const backgrounds = (html: string) =>
  [...html.matchAll(/--bg-light:(#[0-9a-f]{6})/g)].map((match) => match[1]);

describe("the heat map", () => {
  it("has a row per team and a column per adversary, grouped by kind in a fixed order", () => {
    const html = renderHeatmap(matrix());
    expect(count(html, '<th scope="row"')).toBe(2);
    expect(count(html, '<th scope="col"')).toBe(3);
    expect(html.indexOf("<b>Clean</b>")).toBeLessThan(html.indexOf("<b>Adaptive</b>"));
    expect(html.indexOf("<b>Adaptive</b>")).toBeLessThan(html.indexOf("<b>Transfer</b>"));
    expect(html).toContain("controls speaker_0, ε = 1");
  });

  it("shows mean, interval and every seed", () => {
    const html = renderHeatmap(matrix());
    expect(html).toContain("−28.0");
    expect(html).toContain("−29.0 … −27.0");
    expect(html).toContain("<title>seed 2: −29.00</title>");
    expect(count(html, "phx-strip-seed")).toBe(3 + 3 + 2);
  });

  it("says what is unfinished, without a seed, or was never evaluated", () => {
    const html = renderHeatmap(matrix());
    expect(html).toContain("2 of 3 seeds");
    expect(html).toContain("0 of 3 seeds");
    expect(count(html, "not evaluated")).toBe(2);
  });

  it("numbers a flag once and explains it once", () => {
    const flagged = matrix({
      cells: [
        cell("plain", "clean", [-8, -9, -10], { flags: ["seeds disagree"] }),
        cell("hardened", "clean", [-8, -9, -10], { flags: ["seeds disagree", "weaker than random"] }),
      ],
    });
    const html = renderHeatmap(flagged);
    expect(count(html, "<sup")).toBe(2);
    expect(html).toContain("</span>1,2</sup>");
    expect(count(html, "<li>")).toBe(2);
  });

  it("colours the worst cell with the end of the scale, whichever direction is better", () => {
    const html = renderHeatmap(matrix());
    const lower = renderHeatmap(matrix({ higherIsBetter: false }));
    expect(new Set(backgrounds(html)).size).toBe(3);
    expect(backgrounds(html)[0]).toBe(backgrounds(lower)[1]);
    expect(backgrounds(html)[1]).toBe(backgrounds(lower)[0]);
  });

  it("gives equal values one colour and one seed no interval", () => {
    const html = renderHeatmap(
      matrix({ seeds: [0], cells: [cell("plain", "clean", [-8]), cell("hardened", "clean", [-8])] }),
    );
    expect(new Set(backgrounds(html)).size).toBe(1);
    expect(html).toContain("one seed");
    expect(html).toContain("mean of 1 seed.");
  });

  it("treats NaN as missing and never prints it", () => {
    const html = renderHeatmap(
      matrix({ cells: [cell("plain", "clean", [Number.NaN, Number.NaN, Number.NaN], { mean: Number.NaN })] }),
    );
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  it.each([0, 1, 12])("draws a matrix of %i × as many", (size) => {
    const names = Array.from({ length: size }, (_, at) => `n${at}`);
    const html = renderHeatmap(
      matrix({
        teams: names.map((name) => ({ name, description: "" })),
        columns: names.map((adversary) => ({ adversary, threat: "", kind: "random" })),
        cells: names.flatMap((team) => names.map((adversary) => cell(team, adversary, [-1, -2, -3]))),
      }),
    );
    expect(count(html, 'class="phx-cell"')).toBe(size * size);
    expect(html.includes("phx-dense")).toBe(size === 12);
    expect(html).not.toMatch(/NaN|undefined/);
  });

  it("escapes names, threats, flags and notes", () => {
    const evil = '"><script>alert(1)</script>';
    const html =
      renderHeatmap(
        matrix({
          measure: evil,
          teams: [{ name: evil, description: evil }],
          columns: [{ adversary: evil, threat: evil, kind: "clean" }],
          cells: [cell(evil, evil, [1, 2, 3], { flags: [evil], notes: [evil] })],
        }),
      ) + renderSeedTable(matrix({ teams: [{ name: evil, description: evil }] }));
    expect(html).not.toContain("<script");
    expect(html).toContain("&lt;script&gt;");
  });
});

it("lists every seed as a number", () => {
  const html = renderSeedTable(matrix());
  expect(html).toContain('<th scope="col">seed 2</th>');
  expect(html).toContain("<td>−29.00</td>");
  expect(count(html, "<tr>")).toBe(1 + 2 * 3);
});
