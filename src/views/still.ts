/**
 * One moment of a film as an SVG that any renderer understands: the replay's drawing with its style worked out for one
 * theme, no variables, no `light-dark()`, no `color-mix()` left.
 */

import type { Film } from "../core/film.js";
import { mixColors, type Theme } from "./color.js";
import { escapeMarkup, formatNumber, renderFrame, returnsSoFar, safeColor, worldBounds } from "./stage.js";
import { viewsStyle } from "./theme.js";

/**
 * @param film whose bounds the picture has; below it stand step and return, and what the environment says
 * @param theme the drawing's colours and ground
 * @param time step to show, default the last: every path is drawn by then
 */
export function renderStill(film: Film, theme: Theme, time = Number.MAX_VALUE): string {
  const last = Math.max(0, film.steps.length - 1);
  const index = Math.min(last, Math.max(0, Math.floor(time)));
  const svg = withText(renderFrame(film, index, worldBounds([film])), [
    `step ${index} of ${last} · return ${formatNumber(returnsSoFar(film)[index])}`,
    ...(film.steps[index]?.frame.captions ?? []),
  ]);
  const variables = variablesOf(theme);
  variables.set("--trail", "currentColor");
  const style = styleOf(classesOf(svg), variables, theme);
  // A path has its agent's colour, darker or lighter as the theme's ink is.
  return svg
    .replace(
      /<g style="--agent:([^"]*)">/g,
      (_, color: string) => `<g color="${mixColors(safeColor(color), variables.get("--phx-ink")!, 0.55)}">`,
    )
    .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ')
    .replace(/^<svg [^>]*>/, (open) => `${open}<style>${style}</style>`);
}

/** A stage with lines of text below it, the first of them quiet; long ones are broken between words. */
function withText(stage: string, texts: readonly string[]): string {
  const [lineHeight, margin, columns] = [17, 12, 46];
  const lines = texts.flatMap((text) => brokenLines(text, columns));
  const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(stage)!.map(Number) as [number, number, number];
  const total = height + margin + lineHeight * lines.length;
  const written = lines.map(
    (line, at) =>
      `<text class="phx-word-${at === 0 ? "quiet" : "ink"}" x="${margin}" y="${height + lineHeight * (at + 1)}">${escapeMarkup(line)}</text>`,
  );
  return stage
    .replace(`viewBox="0 0 ${width} ${height}"`, `viewBox="0 0 ${width} ${total}"`)
    .replace(
      /(<rect class="phx-ground" width="\d+") height="\d+"\/>/,
      `$1 height="${total}"/><svg width="${width}" height="${height}">`,
    )
    .replace(/<\/svg>$/, () => `</svg>${written.join("")}</svg>`);
}

function brokenLines(text: string, columns: number): string[] {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

const rules = [
  ...viewsStyle.replace(/@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}/g, "").matchAll(/([^{}]+)\{([^{}]*)\}/g),
].map(([, selectors, body]) => ({ selectors: selectors!.split(",").map((one) => one.trim()), body: body! }));

/** The style sheet's variables as they are in one theme. */
function variablesOf(theme: Theme): Map<string, string> {
  const root = rules.find(({ selectors }) => selectors.includes(":root"))!;
  const entries = [...root.body.matchAll(/(--[\w-]+):\s*([^;]+);/g)];
  return new Map(entries.map(([, name, value]) => [name!, ofTheme(value!, theme)]));
}

function ofTheme(value: string, theme: Theme): string {
  return value.replace(/light-dark\(([^,()]+),\s*([^,()]+)\)/g, (_, light: string, dark: string) =>
    theme === "light" ? light : dark,
  );
}

function classesOf(svg: string): ReadonlySet<string> {
  return new Set([...svg.matchAll(/class="([^"]*)"/g)].flatMap(([, names]) => names!.split(" ")));
}

/** The rules of these classes, with everything worked out that only browsers know. */
function styleOf(classes: ReadonlySet<string>, variables: ReadonlyMap<string, string>, theme: Theme): string {
  const plain = (declaration: string) =>
    ofTheme(
      declaration.replace(/var\((--[\w-]+)\)/g, (_, name: string) => variables.get(name)!),
      theme,
    ).replace(/(?<=font-weight: )\d+/, (weight) => String(100 * Math.round(Number(weight) / 100)));
  return rules
    .map(({ selectors, body }) => {
      const used = selectors.filter((one) => one.startsWith(".") && classes.has(one.slice(1)));
      const declarations = body
        .split(";")
        .map((one) => one.trim())
        .filter((one) => one !== "" && !/^--|inherit|user-select/.test(one));
      return used.length === 0 || declarations.length === 0
        ? ""
        : `${used.join(",")}{${declarations.map(plain).join(";")}}`;
    })
    .join("");
}
