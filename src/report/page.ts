/** A page as one HTML file: everything inline, nothing fetched, no script but ours. */

import { createHash } from "node:crypto";
import { escapeMarkup, playerScript, viewsStyle } from "../views/index.js";
import type { NamedValue } from "./data.js";
import { runPage } from "./page-script.js";
import { pageStyle } from "./style.js";

const text = escapeMarkup;

export interface Section {
  readonly id: string;
  readonly title: string;
  /** Title in the navigation. */
  readonly short: string;
  /** HTML; what comes from outside is escaped already. */
  readonly content: string;
}

export interface Page {
  readonly title: string;
  /** The line under the title. */
  readonly question: string;
  /** HTML in the head of the page, under the question. */
  readonly head?: string;
  /** HTML before the sections. */
  readonly lead?: string;
  readonly sections: readonly Section[];
}

/**
 * The text of one HTML file, dark and light; every replay in it plays. The page's own policy forbids every network
 * request and every script but the two that are written here.
 */
export function renderPage({ title, question, head = "", lead = "", sections }: Page): string {
  const script = `(${runPage})();\n${playerScript()}`.replaceAll("</script", "<\\/script");
  const links = sections.map(({ id, short }) => `<a href="#${id}">${short}</a>`).join("");
  const body = sections
    .map((section) => `<section id="${section.id}"><h2>${section.title}</h2>${section.content}</section>`)
    .join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Phalanx">
<link rel="icon" href="data:,">
<title>${text(title)}</title>
<style>${viewsStyle}${pageStyle}</style>
</head>
<body>
<div class="bar"><div><nav aria-label="Sections">${links}</nav><button type="button" class="quiet-button" data-page="theme" aria-label="Switch between light and dark" hidden>Dark</button></div></div>
<main class="page">
<header><h1>${text(title)}</h1><p class="question">${text(question)}</p>${head}</header>
${lead}
${body}
</main>
<script>${script}</script>
</body>
</html>
`;
}

/** Only the script with this very hash runs; nothing is loaded from anywhere. */
function contentPolicy(script: string): string {
  const hash = createHash("sha256").update(script, "utf8").digest("base64");
  return `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'`;
}

/** Names with their values. */
export function numberList(values: readonly NamedValue[], kind: "numbers" | "facts"): string {
  if (values.length === 0) return "";
  const items = values.map((one) => `<dt>${text(one.name)}</dt><dd>${text(one.value)}</dd>`).join("");
  return `<dl class="${kind}">${items}</dl>`;
}
