/** The robustness matrix as an accessible table: colour for the eye, a number for every claim. */

import { scaleColor, textColor } from "./color.js";
import type { MatrixCell, MatrixColumn, MatrixData } from "./data.js";
import { extent, linearScale } from "./scale.js";
import { formatNumber, escapeMarkup as text } from "./stage.js";

const KINDS: Record<MatrixColumn["kind"], { readonly title: string; readonly meaning: string }> = {
  clean: { title: "Clean", meaning: "no adversary" },
  random: { title: "Random", meaning: "the same threat, no knowledge" },
  adaptive: { title: "Adaptive", meaning: "trained against this very team" },
  transfer: { title: "Transfer", meaning: "trained against another team" },
};

/**
 * The matrix as HTML: rows are teams, columns adversaries grouped by kind (clean, random, adaptive, transfer). Every
 * cell has the mean, its 95 % interval and a strip with one tick per seed on a scale common to the whole matrix.
 * Flags are numbered and explained below the table; cells without a result say so.
 */
export function renderHeatmap(data: MatrixData): string {
  const groups = groupColumns(data.columns);
  const ordered = groups.flatMap((group) => group.columns);
  const cells = new Map(data.cells.map((cell) => [cellKey(cell.team, cell.adversary), cell]));
  const [worst, best] = colorDomain(data);
  const domain = seedDomain(data);
  const flagNumbers = numberFlags(data, ordered);
  const decimals = matrixDecimals(data);
  const gap = (inner: string) => `<td class="phx-gap" aria-hidden="true"></td>${inner}`;

  const groupHeads = groups
    .map(({ kind, columns }) =>
      gap(
        `<th scope="colgroup" colspan="${columns.length}" class="phx-kind"><b>${KINDS[kind].title}</b><span>${KINDS[kind].meaning}</span></th>`,
      ),
    )
    .join("");
  const columnHead = (column: MatrixColumn) =>
    `<th scope="col" class="phx-column" title="${text(column.adversary)}"><b>${text(column.adversary)}</b><span>${text(column.threat)}</span></th>`;
  const heads = groups.map((group) => gap(group.columns.map(columnHead).join(""))).join("");
  const rows = data.teams
    .map((team) => {
      const cellAt = (column: MatrixColumn) =>
        cellMarkup(cells.get(cellKey(team.name, column.adversary)), column, {
          data,
          worst,
          best,
          domain,
          decimals,
          flagNumbers,
        });
      const row = groups.map((group) => gap(group.columns.map(cellAt).join(""))).join("");
      return `<tr><th scope="row" class="phx-team" title="${text(team.name)}"><b>${text(team.name)}</b><span>${text(team.description)}</span></th>${row}</tr>`;
    })
    .join("\n");
  const dense = ordered.length > 7 ? " phx-dense" : "";
  return `<div class="phx-matrix${dense}" style="--columns:${ordered.length}"><div class="phx-scroll" tabindex="0" role="region" aria-label="Robustness matrix"><table>
<caption class="phx-sr">${text(data.measure)}: teams by adversaries, mean over seeds with 95 % interval</caption>
<thead><tr><td></td>${groupHeads}</tr><tr><td></td>${heads}</tr></thead>
<tbody>${rows}</tbody></table></div>
${keyMarkup(data, worst, best, decimals)}${flagList(flagNumbers)}</div>`;
}

/** Every seed's value as a plain table, for reading and copying. */
export function renderSeedTable(data: MatrixData): string {
  const ordered = groupColumns(data.columns).flatMap((group) => group.columns);
  const cells = new Map(data.cells.map((cell) => [cellKey(cell.team, cell.adversary), cell]));
  const rows = data.teams.flatMap((team) =>
    ordered.map((column) => {
      const cell = cells.get(cellKey(team.name, column.adversary));
      const values = data.seeds.map((_, at) => `<td>${formatNumber(cell?.values[at], 2)}</td>`).join("");
      return `<tr><th scope="row">${text(team.name)}</th><td class="phx-left">${text(column.adversary)}</td>${values}<td><b>${formatNumber(cell?.mean, 2)}</b></td><td>${intervalText(cell, 2) || "–"}</td></tr>`;
    }),
  );
  const heads = data.seeds.map((seed) => `<th scope="col">seed ${text(seed)}</th>`).join("");
  return `<div class="phx-scroll" tabindex="0" role="region" aria-label="Every seed"><table class="phx-table"><thead><tr><th scope="col" class="phx-left">team</th><th scope="col" class="phx-left">adversary</th>${heads}<th scope="col">mean</th><th scope="col">95 % interval</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

interface CellContext {
  readonly data: MatrixData;
  readonly worst: number;
  readonly best: number;
  readonly domain: readonly [number, number];
  readonly decimals: number;
  readonly flagNumbers: ReadonlyMap<string, number>;
}

function cellMarkup(cell: MatrixCell | undefined, column: MatrixColumn, context: CellContext): string {
  const { data, decimals } = context;
  const label = `<span class="phx-cell-label">${text(column.adversary)}<small>${KINDS[column.kind].title.toLowerCase()}</small></span>`;
  const done = cell ? cell.values.filter((value) => value !== null && Number.isFinite(value)).length : 0;
  const flags = (cell?.flags ?? []).map((flag) => context.flagNumbers.get(flag)!);
  const marks = flags.length
    ? `<sup class="phx-flag" title="${text(cell!.flags.join("\n"))}"><span class="phx-sr">flag </span><span aria-hidden="true">⚑</span>${flags.join(",")}</sup>`
    : "";
  if (!cell || cell.mean === null || !Number.isFinite(cell.mean)) {
    const why = done > 0 || cell ? `${done} of ${data.seeds.length} seeds` : "not evaluated";
    return `<td class="phx-cell phx-empty">${label}<span class="phx-cell-body"><span class="phx-mean">–${marks}</span><span class="phx-interval">${why}</span></span></td>`;
  }
  const span = context.worst - context.best;
  const badness = span === 0 ? 0.5 : (cell.mean - context.best) / span;
  const [light, dark] = [scaleColor(badness, "light"), scaleColor(badness, "dark")];
  const colors = `--bg-light:${light};--ink-light:${textColor(light)};--bg-dark:${dark};--ink-dark:${textColor(dark)}`;
  const unfinished =
    done < data.seeds.length ? `<span class="phx-partial">${done} of ${data.seeds.length} seeds</span>` : "";
  const interval = intervalText(cell, decimals) || (done === 1 ? "one seed" : "no interval");
  const tip = [...seedLines(cell, data), ...cell.notes].join("\n");
  return `<td class="phx-cell" style="${colors}" title="${text(tip)}">${label}<span class="phx-cell-body"><span class="phx-mean">${formatNumber(cell.mean, decimals)}${marks}</span><span class="phx-interval">${interval}</span>${seedStrip(cell, data, context.domain)}${unfinished}</span></td>`;
}

/** One tick per seed over a bar for the interval; position is comparable across all cells. */
function seedStrip(cell: MatrixCell, data: MatrixData, domain: readonly [number, number]): string {
  const x = linearScale(domain, [2, 98]);
  const at = (value: number) => Math.min(100, Math.max(0, x(value))).toFixed(1);
  const bar =
    cell.low !== null && cell.high !== null && Number.isFinite(cell.low) && Number.isFinite(cell.high)
      ? `<line class="phx-strip-bar" x1="${at(cell.low)}" x2="${at(cell.high)}" y1="7" y2="7"/>`
      : "";
  const ticks = cell.values
    .map((value, index) =>
      value === null || !Number.isFinite(value)
        ? ""
        : `<line class="phx-strip-seed" x1="${at(value)}" x2="${at(value)}" y1="1" y2="13"><title>seed ${text(data.seeds[index])}: ${formatNumber(value, 2)}</title></line>`,
    )
    .join("");
  const words = `seeds: ${cell.values.map((value) => formatNumber(value, 2)).join(", ")}`;
  return `<svg class="phx-strip" viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="${text(words)}"><line class="phx-strip-axis" x1="0" x2="100" y1="7" y2="7"/>${bar}${ticks}</svg>`;
}

function keyMarkup(data: MatrixData, worst: number, best: number, decimals: number): string {
  const steps = [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0];
  const stops = steps.map((step) => `light-dark(${scaleColor(step, "light")},${scaleColor(step, "dark")})`);
  const seeds = data.seeds.length === 1 ? "1 seed" : `${data.seeds.length} seeds`;
  const scale = Number.isFinite(worst)
    ? `<span class="phx-ramp-row"><span>worse ${formatNumber(worst, decimals)}</span><span class="phx-ramp" style="background:linear-gradient(90deg,${stops.join(",")})"></span><span>${formatNumber(best, decimals)} better</span></span>`
    : "";
  return `<div class="phx-key">${scale}<span>${text(capitalise(data.measure))}; ${data.higherIsBetter ? "higher" : "lower"} is better. Large: mean of ${seeds}. Below: 95 % interval, and a tick for every seed on a scale that all cells share.</span></div>`;
}

function flagList(flagNumbers: ReadonlyMap<string, number>): string {
  if (flagNumbers.size === 0) return "";
  const items = [...flagNumbers].map(
    ([flag, number]) =>
      `<li><span class="phx-flag"><span aria-hidden="true">⚑</span>${number}</span><span>${text(flag)}</span></li>`,
  );
  return `<div class="phx-flags"><p>Flagged cells: the attack may have failed there, rather than the team held.</p><ol>${items.join("")}</ol></div>`;
}

/** Columns in the order clean, random, adaptive, transfer; within a kind as given. */
export function groupColumns(
  columns: readonly MatrixColumn[],
): { readonly kind: MatrixColumn["kind"]; readonly columns: readonly MatrixColumn[] }[] {
  return (Object.keys(KINDS) as MatrixColumn["kind"][])
    .map((kind) => ({ kind, columns: columns.filter((column) => column.kind === kind) }))
    .filter((group) => group.columns.length > 0);
}

/** The same sentence has the same number wherever it stands; numbered in reading order. */
function numberFlags(data: MatrixData, ordered: readonly MatrixColumn[]): Map<string, number> {
  const cells = new Map(data.cells.map((cell) => [cellKey(cell.team, cell.adversary), cell]));
  const numbers = new Map<string, number>();
  for (const team of data.teams)
    for (const column of ordered)
      for (const flag of cells.get(cellKey(team.name, column.adversary))?.flags ?? [])
        if (!numbers.has(flag)) numbers.set(flag, numbers.size + 1);
  return numbers;
}

/** [worst, best] mean of the matrix. */
function colorDomain(data: MatrixData): [number, number] {
  const [low, high] = extent(data.cells.map((cell) => cell.mean));
  return data.higherIsBetter ? [low, high] : [high, low];
}

function seedDomain(data: MatrixData): [number, number] {
  return extent(data.cells.flatMap((cell) => [...cell.values, cell.low, cell.high]));
}

/** Decimals that keep three significant digits of the largest number, two at most. */
function matrixDecimals(data: MatrixData): number {
  const [low, high] = extent(data.cells.map((cell) => cell.mean));
  const size = Math.max(Math.abs(low), Math.abs(high));
  return size >= 100 ? 0 : size >= 10 || Number.isNaN(size) ? 1 : 2;
}

function intervalText(cell: MatrixCell | undefined, decimals: number): string {
  if (!cell || cell.low === null || cell.high === null) return "";
  if (!Number.isFinite(cell.low) || !Number.isFinite(cell.high)) return "";
  return `${formatNumber(cell.low, decimals)} … ${formatNumber(cell.high, decimals)}`;
}

function seedLines(cell: MatrixCell, data: MatrixData): string[] {
  return data.seeds.map((seed, at) => `seed ${seed}: ${formatNumber(cell.values[at], 2)}`);
}

function cellKey(team: string, adversary: string): string {
  return JSON.stringify([team, adversary]);
}

function capitalise(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
