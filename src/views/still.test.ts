import { describe, expect, it } from "vitest";
import type { Film } from "../core/film.js";
import { renderStill } from "./still.js";

const film: Film = {
  environment: "x/y_v0",
  team: "plain",
  adversary: "nobody",
  seed: 0,
  copy: 0,
  agents: ["a"],
  hijacked: ["a"],
  episodeReturn: 0,
  steps: [0, 1].map((x) => ({
    frame: {
      shapes: [
        { kind: "circle", x: 2, y: 1, radius: 0.1, color: "#a62626", role: "goal", label: "A" },
        { kind: "circle", x, y: 0, radius: 0.1, color: "rgb(255, 0, 0)", role: "agent", agent: "a" },
      ],
      captions: [x === 0 ? "nothing yet" : `${"a long word after another ".repeat(3)}<end$&>`],
    },
    controlled: [],
    perturbed: {},
  })),
};

describe("a still", () => {
  it("leaves nothing that only browsers understand", () => {
    for (const theme of ["light", "dark"] as const)
      expect(renderStill(film, theme)).not.toMatch(/var\(|light-dark|color-mix|--|undefined|NaN/);
  });

  it("is a document of its own, with the ground and the ink of its theme", () => {
    const light = renderStill(film, "light");
    const dark = renderStill(film, "dark");
    expect(light).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    expect(light).toContain(".phx-ground{fill: #f6f6f4}");
    expect(dark).toContain(".phx-ground{fill: #1d2126}");
    expect(dark).toContain(".phx-word-ink{fill: #e8eaed}");
  });

  it("draws paths in the agent's colour towards the ink, as the page does", () => {
    // color-mix(in oklab, red 55%, #1b1f24), as Chromium computes it.
    expect(renderStill(film, "light")).toContain('<g color="#932d27">');
    expect(renderStill(film, "light")).toContain(".phx-trail{fill: none;stroke: currentColor");
  });

  it("shows the last moment unless another is asked for", () => {
    expect(renderStill(film, "light")).toContain("step 1 of 1");
    expect(renderStill(film, "light", 0)).toContain("step 0 of 1");
    expect(renderStill(film, "light", 0)).not.toContain("polyline");
  });

  it("says below the stage where the episode is, and what the environment says, in lines that fit", () => {
    const first = renderStill(film, "light", 0);
    expect(first).toContain(">step 0 of 1 · return 0.0</text>");
    expect(first).toContain(">nothing yet</text>");
    // The stage of 224 units, a margin, and two lines; then four.
    expect(first).toContain('viewBox="0 0 360 270"');
    const last = renderStill(film, "light");
    expect(last).toContain('viewBox="0 0 360 287"');
    expect(last).toContain(">a long word after another a long word after</text>");
    expect(last).toContain("&lt;end$&amp;&gt;</text>");
  });
});
