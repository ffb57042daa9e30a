import { describe, expect, it } from "vitest";
import { contrastRatio, hexToOklab, mixColors, scaleColor, type Theme, textColor } from "./color.js";
import { viewsStyle } from "./theme.js";

const places = Array.from({ length: 101 }, (_, at) => at / 100);

describe.each(["light", "dark"] as Theme[])("the %s scale", (theme) => {
  it("runs one way in lightness, so that order survives colour blindness and grey print", () => {
    const lightness = places.map((place) => hexToOklab(scaleColor(place, theme))[0]);
    const direction = theme === "light" ? -1 : 1;
    for (let at = 1; at < lightness.length; at++) {
      expect(direction * (lightness[at]! - lightness[at - 1]!)).toBeGreaterThan(0);
    }
  });

  it("has even steps: no tenth looks more than 2.2 times as long as another", () => {
    const colors = places
      .filter((_, at) => at % 10 === 0)
      .map((place) => hexToOklab(scaleColor(place, theme)));
    const steps = colors
      .slice(1)
      .map((color, at) => Math.hypot(...color.map((one, axis) => one - colors[at]![axis]!)));
    expect(Math.max(...steps) / Math.min(...steps)).toBeLessThan(2.2);
  });

  it("carries text with a contrast of at least 4.5 everywhere", () => {
    for (const place of places) {
      const color = scaleColor(place, theme);
      expect(contrastRatio(color, textColor(color))).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("clips what lies outside and puts NaN in the middle", () => {
    expect(scaleColor(-3, theme)).toBe(scaleColor(0, theme));
    expect(scaleColor(7, theme)).toBe(scaleColor(1, theme));
    expect(scaleColor(Number.NaN, theme)).toBe(scaleColor(0.5, theme));
  });
});

it("computes contrast as WCAG does", () => {
  expect(contrastRatio("#000000", "#ffffff")).toBeCloseTo(21, 6);
  // #767676 on white is the well-known boundary of 4.54.
  expect(contrastRatio("#767676", "#ffffff")).toBeCloseTo(4.54, 2);
});

it("keeps every text colour of the style sheet at 4.5 : 1 on both grounds", () => {
  const pairs = new Map(
    [...viewsStyle.matchAll(/--phx-([a-z0-9]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
      ([, name, light, dark]) => [name!, [light!, dark!] as const],
    ),
  );
  const texts = [
    "ink",
    "quiet",
    "attack",
    "goal",
    "true",
    "deceived",
    "focus",
    "c0",
    "c1",
    "c2",
    "c3",
    "c4",
    "c5",
    "c6",
  ];
  for (const name of texts) {
    for (const ground of ["ground", "raised"]) {
      for (const theme of [0, 1] as const) {
        const ratio = contrastRatio(pairs.get(name)![theme], pairs.get(ground)![theme]);
        expect(ratio, `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
    }
  }
});

it("mixes as CSS's color-mix does in OKLab", () => {
  // As Chromium computes color-mix(in oklab, … 55%, #1b1f24).
  expect(mixColors("rgb(255, 0, 0)", "#1b1f24", 0.55)).toBe("#932d27");
  expect(mixColors("#50a", "#1b1f24", 0.55)).toBe("#39206b");
  expect(mixColors("teal", "#1b1f24", 0.55)).toBe("#1b1f24");
});
