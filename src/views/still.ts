/**
 * One moment of a film as an SVG that any renderer understands: the replay's drawing with its style worked out for one
 * theme, no variables, no `light-dark()`, no `color-mix()` left.
 */

import type { Film } from "../core/film.js";
import { mixColors, type Theme } from "./color.js";
import { renderFrame, safeColor, worldBounds } from "./stage.js";
import { viewsStyle } from "./theme.js";

/**
 * @param theme the drawing's colours and ground
 * @param time step to show, default the last: every path is drawn by then
 * @param film whose bounds the picture has
 */
export function renderStill(film: Film, theme: Theme, time = Number.MAX_VALUE): string {
  const svg = renderFrame(film, time, worldBounds([film]));
  const variables = variablesOf(theme);
  // A path has its agent's colour, darker or lighter as the theme's ink is.
  const trails = svg.replace(
    /<g style="--agent:([^"]*)">/g,
    (_, color: string) => `<g color="${mixColors(safeColor(color), variables.get("--phx-ink")!, 0.55)}">`,
  );
  variables.set("--trail", "currentColor");
  const style = styleOf(classesOf(svg), variables, theme);
  return trails
    .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ')
    .replace(/^<svg [^>]*>/, (open) => `${open}<style>${style}</style>`);
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
