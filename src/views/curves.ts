/** Learning curves: the mean of the seeds, a 95 % band, and every seed as a thin line. */

import type { CurveData, CurveSeries } from "./data.js";
import {
  extent,
  formatCount,
  linearScale,
  niceDomain,
  niceTicks,
  type Scale,
  tickDecimals,
} from "./scale.js";
import { formatNumber, escapeMarkup as text } from "./stage.js";

export interface CurveSize {
  /** Pixels; text keeps its size, so ask for the width that will be shown. */
  readonly width?: number;
  readonly height?: number;
}

const PALETTE_SIZE = 7;
/** Widths of a character: regular for ticks, bold for names; generous, as fonts differ. */
const GLYPH = 6.6;
const NAME_GLYPH = 7.4;

/** The chart as an SVG string; series are named at their right ends, or above the plot where that would not fit. */
export function renderCurves(data: CurveData, size: CurveSize = {}): string {
  const width = size.width ?? 640;
  const height = size.height ?? 320;
  const series = data.series.filter((one) => one.x.some((x) => Number.isFinite(x)));
  const widest = Math.max(0, ...series.map((one) => one.name.length)) * NAME_GLYPH;
  const direct = widest <= width * 0.3;
  const legendRows = direct ? [] : legendLayout(series, width);
  const top = 30 + legendRows.length * 20;
  const [lowX, highX] = extent(series.flatMap((one) => [...one.x]));
  const [lowY, highY] = extent(
    series.flatMap((one) => [
      ...one.mean,
      ...one.low,
      ...one.high,
      ...one.seeds.flatMap((seed) => [...seed.y]),
    ]),
  );
  const domainY = niceDomain(lowY, highY, height / 60);
  const ticksY = series.length === 0 ? [] : niceTicks(domainY[0], domainY[1], height / 60);
  const decimals = tickDecimals(ticksY);
  const labelsY = ticksY.map((tick) => formatTick(tick, decimals));
  const left = 14 + Math.max(2, ...labelsY.map((label) => label.length)) * GLYPH;
  const right = direct && series.length > 0 ? widest + 20 : 14;
  const bottom = height - 44;
  const x = linearScale(Number.isNaN(lowX) ? [0, 1] : [Math.min(0, lowX), highX], [left, width - right]);
  const y = linearScale(domainY, [bottom, top]);
  const ticksX = series.length === 0 ? [] : niceTicks(x.domain[0], x.domain[1], (width - left - right) / 90);

  const parts: string[] = [`<text class="phx-axis-title" x="0" y="14">${text(data.yLabel)}</text>`];
  ticksY.forEach((tick, at) => {
    parts.push(
      `<line class="phx-gridline" x1="${f(left)}" x2="${f(width - right)}" y1="${f(y(tick))}" y2="${f(y(tick))}"/>`,
    );
    parts.push(
      `<text class="phx-tick" x="${f(left - 8)}" y="${f(y(tick) + 4)}" text-anchor="end">${labelsY[at]}</text>`,
    );
  });
  for (const tick of ticksX) {
    parts.push(
      `<line class="phx-tickmark" x1="${f(x(tick))}" x2="${f(x(tick))}" y1="${f(bottom)}" y2="${f(bottom + 5)}"/>`,
    );
    const anchor = x(tick) > width - 20 ? "end" : "middle";
    parts.push(
      `<text class="phx-tick" x="${f(x(tick))}" y="${f(bottom + 20)}" text-anchor="${anchor}">${formatCount(tick)}</text>`,
    );
  }
  parts.push(
    `<line class="phx-baseline" x1="${f(left)}" x2="${f(width - right)}" y1="${f(bottom)}" y2="${f(bottom)}"/>`,
  );
  parts.push(
    `<text class="phx-axis-title" x="${f((left + width - right) / 2)}" y="${height - 4}" text-anchor="middle">${text(data.xLabel)}</text>`,
  );
  parts.push(...series.map((one, at) => bandAndSeeds(one, at, x, y)));
  series.forEach((one, at) => {
    parts.push(
      `<path class="phx-curve-mean ${colorClass(at)}" d="${linePath(one.x, one.mean, x, y)}"${dash(at)}/>`,
    );
    if (one.mean.length === 1) parts.push(dot(one, at, x, y));
  });
  parts.push(
    ...(direct ? directLabels(series, y, width - right + 8, top, bottom) : legendMarkup(legendRows)),
  );
  if (series.length === 0)
    parts.push(
      `<text class="phx-axis-title" x="${f(width / 2)}" y="${f((top + bottom) / 2)}" text-anchor="middle">no data yet</text>`,
    );
  const words = `${data.title}: ${series.map((one) => `${one.name} ends at ${formatNumber(lastFinite(one.mean), 2)}`).join("; ")}`;
  return `<svg class="phx-curves" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${text(words)}">${parts.join("")}</svg>`;
}

function bandAndSeeds(one: CurveSeries, at: number, x: Scale, y: Scale): string {
  const seeds = one.seeds
    .map(
      (seed) =>
        `<path class="phx-curve-seed ${colorClass(at)}" d="${linePath(one.x, seed.y, x, y)}"><title>${text(one.name)}, seed ${text(seed.seed)}</title></path>`,
    )
    .join("");
  return `<path class="phx-curve-band ${colorClass(at)}" d="${bandPath(one, x, y)}"/>${seeds}`;
}

/** A path that breaks where a value is missing, and keeps first, lowest, highest and last point of every pixel column. */
function linePath(xs: readonly number[], ys: readonly number[], x: Scale, y: Scale): string {
  let path = "";
  let open = false;
  for (const at of thin(xs, ys, x)) {
    if (at < 0) {
      open = false;
      continue;
    }
    path += `${open ? "L" : "M"}${f(x(xs[at]!))} ${f(y(ys[at]!))}`;
    open = true;
  }
  return path;
}

/** Indices to draw; −1 marks a gap. */
function thin(xs: readonly number[], ys: readonly number[], x: Scale): number[] {
  const kept: number[] = [];
  let column: number[] = [];
  const flush = () => {
    if (column.length <= 4) kept.push(...column);
    else {
      const byHeight = [...column].sort((a, b) => ys[a]! - ys[b]!);
      const four = new Set([
        column[0]!,
        byHeight[0]!,
        byHeight[byHeight.length - 1]!,
        column[column.length - 1]!,
      ]);
      kept.push(...[...four].sort((a, b) => a - b));
    }
    column = [];
  };
  for (let at = 0; at < xs.length; at++) {
    if (!Number.isFinite(xs[at]) || !Number.isFinite(ys[at])) {
      flush();
      kept.push(-1);
      continue;
    }
    if (column.length > 0 && Math.floor(x(xs[column[0]!]!)) !== Math.floor(x(xs[at]!))) flush();
    column.push(at);
  }
  flush();
  return kept;
}

function bandPath(one: CurveSeries, x: Scale, y: Scale): string {
  const pieces: string[] = [];
  let run: number[] = [];
  const close = () => {
    if (run.length > 1) {
      const upper = run.map((at) => `${f(x(one.x[at]!))} ${f(y(one.high[at]!))}`);
      const lower = [...run].reverse().map((at) => `${f(x(one.x[at]!))} ${f(y(one.low[at]!))}`);
      pieces.push(`M${upper.join("L")}L${lower.join("L")}Z`);
    }
    run = [];
  };
  let previous = Number.NEGATIVE_INFINITY;
  for (const [at, value] of one.x.entries()) {
    if (![value, one.low[at], one.high[at]].every(Number.isFinite)) close();
    else if (at === one.x.length - 1 || x(value) - previous >= 0.75) {
      previous = x(value);
      run.push(at);
    }
  }
  close();
  return pieces.join("");
}

/** Names at the right ends, moved apart where they would touch. */
function directLabels(
  series: readonly CurveSeries[],
  y: Scale,
  left: number,
  top: number,
  bottom: number,
): string[] {
  const gap = 17;
  const labels = series
    .map((one, at) => {
      const end = lastFinite(one.mean);
      return { one, at, y: Number.isFinite(end) ? y(end) : bottom };
    })
    .sort((a, b) => a.y - b.y);
  for (let at = 1; at < labels.length; at++) labels[at]!.y = Math.max(labels[at]!.y, labels[at - 1]!.y + gap);
  const overflow = Math.max(0, (labels[labels.length - 1]?.y ?? 0) - bottom);
  if (overflow > 0) {
    let limit = bottom;
    for (let at = labels.length - 1; at >= 0; at--) {
      labels[at]!.y = Math.min(labels[at]!.y, limit);
      limit = labels[at]!.y - gap;
    }
  }
  return labels.map(
    (label) =>
      `<text class="phx-curve-name ${colorClass(label.at)}" x="${f(left)}" y="${f(Math.max(top + 4, label.y + 4))}">${text(label.one.name)}</text>`,
  );
}

interface LegendRow {
  readonly entries: { readonly name: string; readonly at: number; readonly x: number }[];
}

function legendLayout(series: readonly CurveSeries[], width: number): LegendRow[] {
  const rows: LegendRow[] = [];
  let x = 0;
  series.forEach((one, at) => {
    const room = Math.floor((width - 28) / NAME_GLYPH);
    const name = one.name.length > room ? `${one.name.slice(0, room - 1)}…` : one.name;
    const length = 26 + name.length * NAME_GLYPH + 14;
    if (rows.length === 0 || x + length > width) {
      rows.push({ entries: [] });
      x = 0;
    }
    rows[rows.length - 1]!.entries.push({ name, at, x });
    x += length;
  });
  return rows;
}

function legendMarkup(rows: readonly LegendRow[]): string[] {
  return rows.flatMap((row, line) =>
    row.entries.map(
      ({ name, at, x }) =>
        `<path class="phx-curve-mean ${colorClass(at)}" d="M${f(x)} ${32 + line * 20}h18"${dash(at)}/><text class="phx-curve-name ${colorClass(at)}" x="${f(x + 24)}" y="${36 + line * 20}">${text(name)}</text>`,
    ),
  );
}

function dot(one: CurveSeries, at: number, x: Scale, y: Scale): string {
  if (!Number.isFinite(one.mean[0])) return "";
  return `<circle class="phx-curve-dot ${colorClass(at)}" cx="${f(x(one.x[0]!))}" cy="${f(y(one.mean[0]!))}" r="3"/>`;
}

function colorClass(at: number): string {
  return `phx-c${at % PALETTE_SIZE}`;
}

/** Beyond the palette, dashes tell series apart. */
function dash(at: number): string {
  const round = Math.floor(at / PALETTE_SIZE);
  return round === 0 ? "" : ` stroke-dasharray="${round === 1 ? "7 4" : "2 4"}"`;
}

function formatTick(tick: number, decimals: number): string {
  return Math.abs(tick) >= 10000 ? formatCount(tick) : formatNumber(tick, decimals);
}

function lastFinite(values: readonly number[]): number {
  for (let at = values.length - 1; at >= 0; at--) if (Number.isFinite(values[at])) return values[at]!;
  return Number.NaN;
}

function f(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toFixed(1))) : "0";
}
