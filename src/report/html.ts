/** The report of an experiment, section by section. */

import {
  escapeMarkup,
  extent,
  formatCount,
  formatNumber,
  groupColumns,
  linearScale,
  renderCurves,
  renderHeatmap,
  renderReplay,
  renderSeedTable,
} from "../views/index.js";
import type { EffortRow, PairedComparison, ReportData } from "./data.js";
import { numberList, renderPage, type Section } from "./page.js";

const text = escapeMarkup;

/**
 * The whole report as the text of one HTML file. All texts of `data` are escaped, and the page's own policy forbids
 * every network request and every script but the two that are written here.
 */
export function renderReport(data: ReportData): string {
  const unfinished = data.unfinished ? `<p class="unfinished">${text(data.unfinished)}</p>` : "";
  return renderPage({
    title: data.title,
    question: data.question,
    head: unfinished,
    lead: summaryMarkup(data),
    sections: [
      matrixSection(data),
      replaySection(data),
      comparisonSection(data),
      curveSection(data),
      effortSection(data),
      threatSection(data),
      methodSection(data),
      configurationSection(data),
    ].filter((section) => section !== null),
  });
}

function summaryMarkup(data: ReportData): string {
  if (data.summary.length === 0) return "";
  const items = data.summary
    .map((sentence) => `<li><p>${text(sentence.text)}</p>${numberList(sentence.numbers, "numbers")}</li>`)
    .join("");
  return `<ul class="summary" aria-label="Summary">${items}</ul>`;
}

function matrixSection(data: ReportData): Section {
  const references = data.references.length
    ? `<p class="references">For scale: ${data.references.map((one) => `${text(one.name)} <b>${text(one.value)}</b>`).join("; ")}.</p>`
    : "";
  return {
    id: "matrix",
    title: "Robustness matrix",
    short: "Matrix",
    content: `${renderHeatmap(data.matrix)}${references}<details><summary>Every seed as a number</summary>${renderSeedTable(data.matrix)}</details>`,
  };
}

function replaySection(data: ReportData): Section | null {
  if (data.films.length === 0) return null;
  const note = data.replayNote ? `<p class="lead">${text(data.replayNote)}</p>` : "";
  const options = data.replayPanels ? { panels: data.replayPanels } : {};
  return {
    id: "replay",
    title: "Replay",
    short: "Replay",
    content: note + renderReplay(data.films, options),
  };
}

function curveSection(data: ReportData): Section | null {
  if (data.curves.length === 0) return null;
  const figures = data.curves
    .map(
      (curve) =>
        `<figure><h3>${text(curve.title)}</h3><div class="wide">${renderCurves(curve, { width: 540, height: 300 })}</div><div class="narrow">${renderCurves(curve, { width: 358, height: 280 })}</div></figure>`,
    )
    .join("");
  return {
    id: "curves",
    title: "Learning curves",
    short: "Curves",
    content: `<div class="curve-grid">${figures}</div><p class="plot-note">Thick: mean of the seeds. Shade: 95 % interval of the mean. Thin: every seed.</p>`,
  };
}

function comparisonSection(data: ReportData): Section | null {
  if (data.comparisons.length === 0) return null;
  const domain = extent([
    0,
    ...data.comparisons.flatMap((one) => [one.low, one.high, one.gain, ...one.seedGains]),
  ]);
  const notes = data.comparisons.some((one) => one.note);
  const rows = data.comparisons
    .map((one) => {
      const interval =
        one.low === null || one.high === null
          ? "–"
          : `${formatNumber(one.low, 2)} … ${formatNumber(one.high, 2)}`;
      const gain =
        one.gain !== null && one.gain > 0 ? `+${formatNumber(one.gain, 2)}` : formatNumber(one.gain, 2);
      return `<tr><th scope="row">${text(one.team)} <span class="note">against</span> ${text(one.baseline)}</th><td class="phx-left">${text(one.adversary)}</td><td>${gainPlot(one, domain)}</td><td><b>${gain}</b></td><td>${interval}</td><td>${formatP(one.p)}</td><td>${formatP(one.pHolm)}</td>${notes ? `<td class="words note">${text(one.note ?? "")}</td>` : ""}</tr>`;
    })
    .join("");
  return {
    id: "comparisons",
    title: "Paired comparisons",
    short: "Comparisons",
    content: `<p class="lead">${text(data.comparisonMethod)}</p><div class="phx-scroll" tabindex="0" role="region" aria-label="Paired comparisons"><table class="phx-table"><thead><tr><th scope="col">teams</th><th scope="col" class="phx-left">adversary</th><th scope="col" class="phx-left">gain of every seed</th><th scope="col">mean gain</th><th scope="col">95 % interval</th><th scope="col">p</th><th scope="col">p, Holm</th>${notes ? '<th scope="col" class="words">remark</th>' : ""}</tr></thead><tbody>${rows}</tbody></table></div>`,
  };
}

/** Interval (bar) and seeds (ticks) on a scale that all rows share; the tall line is no difference. */
function gainPlot(one: PairedComparison, domain: readonly [number, number]): string {
  const x = linearScale(domain, [5, 145]);
  const worse = one.gain !== null && one.gain < 0 ? " worse" : "";
  const at = (value: number) => x(value).toFixed(1);
  const bar =
    one.low !== null && one.high !== null
      ? `<line class="bar${worse}" x1="${at(one.low)}" x2="${at(one.high)}" y1="9" y2="9"/>`
      : "";
  const seeds = one.seedGains
    .map((gain) =>
      gain === null ? "" : `<line class="seed${worse}" x1="${at(gain)}" x2="${at(gain)}" y1="3" y2="15"/>`,
    )
    .join("");
  const words = `seeds: ${one.seedGains.map((gain) => formatNumber(gain, 2)).join(", ")}`;
  return `<svg class="gain" viewBox="0 0 150 18" role="img" aria-label="${words}"><line class="zero" x1="${at(0)}" x2="${at(0)}" y1="0" y2="18"/>${bar}${seeds}</svg>`;
}

function effortSection(data: ReportData): Section | null {
  if (data.effort.length === 0) return null;
  const rows = data.effort
    .map(
      (row) =>
        `<tr><th scope="row">${text(row.team)}</th><td class="phx-left">${text(row.adversary)}</td><td class="phx-left">${text(row.attack)}</td><td>${formatCount(row.configurations)}</td><td>${formatCount(row.environmentSteps)}</td><td>${formatCount(row.gradientEvaluations)}</td><td>${sparkline(row)}</td><td class="words">${healthMarkup(row.flags)}</td></tr>`,
    )
    .join("");
  return {
    id: "effort",
    title: "Effort and health of the attacks",
    short: "Effort",
    content: `<p class="lead">A weak attack makes any team look robust. This is what each attack spent, and every sign that it may have failed.</p><div class="phx-scroll" tabindex="0" role="region" aria-label="Effort"><table class="phx-table"><thead><tr><th scope="col">team</th><th scope="col" class="phx-left">adversary</th><th scope="col" class="phx-left">attack</th><th scope="col">configurations</th><th scope="col">environment steps</th><th scope="col">gradients</th><th scope="col">best so far</th><th scope="col" class="words">health</th></tr></thead><tbody>${rows}</tbody></table></div>`,
  };
}

function healthMarkup(flags: readonly string[]): string {
  if (flags.length === 0) return '<span class="note">no flag</span>';
  return flags
    .map((flag) => `<span class="phx-health" aria-hidden="true">⚑</span> ${text(flag)}`)
    .join("<br>");
}

function sparkline(row: EffortRow): string {
  const [low, high] = extent(row.bestSoFar);
  if (row.bestSoFar.length < 2 || Number.isNaN(low)) return '<span class="note">–</span>';
  const x = linearScale([0, row.bestSoFar.length - 1], [1, 89]);
  const y = linearScale([low, high], [16, 2]);
  const points = row.bestSoFar.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
  const words = `from ${formatNumber(row.bestSoFar[0])} to ${formatNumber(row.bestSoFar.at(-1))}`;
  return `<svg class="spark" viewBox="0 0 90 18" role="img" aria-label="${words}"><title>${words}</title><path d="M${points.join("L")}"/></svg>`;
}

function threatSection(data: ReportData): Section | null {
  if (data.threats.length === 0) return null;
  const order = groupColumns(data.matrix.columns).flatMap((group) =>
    group.columns.map((one) => one.adversary),
  );
  const place = (adversary: string) => (order.includes(adversary) ? order.indexOf(adversary) : order.length);
  const items = [...data.threats]
    .sort((a, b) => place(a.adversary) - place(b.adversary))
    .map(
      (threat) =>
        `<div><h3>${text(threat.adversary)}</h3><p>${text(threat.sentence)}</p>${numberList(threat.fields, "facts")}</div>`,
    )
    .join("");
  return {
    id: "threats",
    title: "Threats, exactly",
    short: "Threats",
    content: `<div class="threats">${items}</div>`,
  };
}

function methodSection(data: ReportData): Section | null {
  if (data.methods.length === 0) return null;
  const paragraphs = data.methods.map((paragraph) => `<p>${text(paragraph)}</p>`).join("");
  return {
    id: "methods",
    title: "How the numbers are made",
    short: "Method",
    content: `<div class="methods">${paragraphs}</div>`,
  };
}

function configurationSection(data: ReportData): Section {
  const { file, text: yaml } = data.configuration;
  return {
    id: "configuration",
    title: "Configuration and versions",
    short: "Configuration",
    content: `${numberList(data.versions, "facts")}<details><summary>${text(file)}</summary><div class="code"><button type="button" class="quiet-button" data-page="copy" hidden>Copy</button><pre tabindex="0">${text(yaml)}</pre></div></details>`,
  };
}

function formatP(p: number | null): string {
  if (p === null || !Number.isFinite(p)) return "–";
  if (p < 0.001) return "&lt; 0.001";
  return p.toFixed(3);
}
