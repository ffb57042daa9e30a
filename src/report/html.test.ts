import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fixtureFilms, fixtureReport } from "../../test/browser/fixture.js";
import type { ReportData } from "./data.js";
import { renderReport } from "./html.js";

const report = renderReport(fixtureReport());

/** The same data with every text replaced, at any depth; enumerations stay. */
function withTexts<T>(value: T, replace: (text: string) => string): T {
  const enumerations = new Set(["clean", "random", "adaptive", "transfer", "circle", "line"]);
  const roles = new Set(["agent", "landmark", "goal", "obstacle"]);
  const walk = (inner: unknown): unknown => {
    if (typeof inner === "string")
      return enumerations.has(inner) || roles.has(inner) ? inner : replace(inner);
    if (Array.isArray(inner)) return inner.map(walk);
    if (typeof inner !== "object" || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, one]) => [key, walk(one)]));
  };
  return walk(value) as T;
}

const EMPTY: ReportData = {
  title: "Empty",
  question: "Does nothing work?",
  summary: [],
  unfinished: "Nothing has run yet.",
  matrix: { measure: "return", higherIsBetter: true, seeds: [], teams: [], columns: [], cells: [] },
  references: [],
  curves: [],
  films: [],
  comparisons: [],
  comparisonMethod: "",
  effort: [],
  threats: [],
  configuration: { file: "empty.yaml", text: "" },
  versions: [],
  methods: [],
};

describe("the report", () => {
  it("has every section, in the order in which a reader asks", () => {
    const ids = [...report.matchAll(/<section id="([a-z]+)"/g)].map((match) => match[1]);
    expect(ids).toEqual([
      "matrix",
      "replay",
      "comparisons",
      "curves",
      "effort",
      "threats",
      "methods",
      "configuration",
    ]);
    expect(report.indexOf('class="summary"')).toBeLessThan(report.indexOf('id="matrix"'));
  });

  it("refers to nothing outside itself", () => {
    const urls = [...report.matchAll(/(?:https?:)?\/\/[a-z0-9.-]+\.[a-z]{2,}[^\s"'<]*/gi)].map(
      (match) => match[0],
    );
    expect(urls.filter((url) => !url.startsWith("http://www.w3.org/"))).toEqual([]);
    expect(report).not.toMatch(/<(link|img|iframe|object)[^>]+(href|src)="(?!data:)/);
    expect(report).not.toMatch(/@import|url\(/);
  });

  it("allows only its own script to run", () => {
    const script = report.slice(report.lastIndexOf("<script>") + 8, report.lastIndexOf("</script>"));
    const hash = createHash("sha256").update(script, "utf8").digest("base64");
    expect(report).toContain(`script-src 'sha256-${hash}'`);
  });

  it("is small: 12 films of 25 steps stay below 2 MB", () => {
    const twelve = renderReport({ ...fixtureReport(), films: fixtureFilms().slice(0, 12) });
    expect(Buffer.byteLength(twelve)).toBeLessThan(1_000_000);
  });

  it("escapes every text, wherever it comes from", () => {
    const hostile = withTexts(
      fixtureReport(),
      (text) => `${text}"'><script>alert(1)</script><img src=x onerror=alert(1)>`,
    );
    const html = renderReport(hostile);
    const scripts = html.match(/<script/g) ?? [];
    // One for the page, one with the films.
    expect(scripts.length).toBe(2);
    expect(html.match(/<\/script/g)?.length).toBe(2);
    expect(html).not.toContain("<img");
    expect(html).not.toMatch(/ onerror=alert\(1\)>/);
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  });

  it("keeps the films as data: they parse to what went in", () => {
    const json = /data-phx="films">(.*?)<\/script>/s.exec(report)![1]!;
    const films = JSON.parse(json);
    expect(films).toHaveLength(fixtureFilms().length);
    expect(films[0].steps).toHaveLength(26);
    expect(films[0].language).toEqual({ speaker_0: ["C", "A", "B"] });
  });

  it("renders before anything has run", () => {
    const html = renderReport(EMPTY);
    expect(html).toContain("Nothing has run yet.");
    expect(html).not.toMatch(/>NaN<|undefined</);
  });

  it("shows an unfinished comparison as such and says p below a thousandth", () => {
    const comparison = fixtureReport().comparisons[0]!;
    const html = renderReport({
      ...fixtureReport(),
      comparisons: [
        { ...comparison, gain: null, low: null, high: null, seedGains: [null], p: null, pHolm: null },
        { ...comparison, p: 1e-9, note: "too few seeds" },
      ],
    });
    expect(html).toContain("<b>–</b>");
    expect(html).toContain("&lt; 0.001");
    expect(html).toContain("too few seeds");
  });
});
