/** Axes: where ticks go and how numbers are written. */

/** A linear map from data to pixels. */
export interface Scale {
  (value: number): number;
  readonly domain: readonly [number, number];
}

/** Maps `domain` to `range`; a domain of no width maps to the middle. */
export function linearScale(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const [from, to] = domain;
  const [start, end] = range;
  const map = (value: number) =>
    to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start);
  return Object.assign(map, { domain });
}

/**
 * Ticks at 1, 2 or 5 times a power of ten that lie inside [low, high].
 *
 * @param about number of intervals wanted; the result has between half and twice as many
 * @returns ascending ticks; a single one where low = high; none where a bound is not finite
 */
export function niceTicks(low: number, high: number, about = 5): number[] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [];
  if (low === high) return [low];
  const step = niceStep((high - low) / Math.max(1, about));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step)) + 1);
  const ticks: number[] = [];
  for (let index = first; index <= last; index++)
    ticks.push(Number((index * step).toFixed(Math.min(20, digits))) + 0);
  return ticks;
}

/** [low, high] widened to the next ticks, so that axes begin and end at a labelled value. */
export function niceDomain(low: number, high: number, about = 5): [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) {
    const pad = Math.abs(low) * 0.1 || 1;
    return [low - pad, high + pad];
  }
  const step = niceStep((high - low) / Math.max(1, about));
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
}

/** Smallest and largest finite number; [NaN, NaN] where there is none. */
export function extent(values: Iterable<number | null>): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low > high ? [Number.NaN, Number.NaN] : [low, high];
}

/** "0", "50 k", "1.2 M": counts on axes and in tables. */
export function formatCount(count: number): string {
  const size = Math.abs(count);
  const trim = (value: number) => String(Number(value.toPrecision(3))).replace("-", "−");
  if (!Number.isFinite(count)) return "–";
  if (size >= 1e9) return `${trim(count / 1e9)} G`;
  if (size >= 1e6) return `${trim(count / 1e6)} M`;
  if (size >= 1e3) return `${trim(count / 1e3)} k`;
  return trim(count);
}

/** Decimals that tell the ticks of an axis apart. */
export function tickDecimals(ticks: readonly number[]): number {
  const step = ticks.length > 1 ? ticks[1]! - ticks[0]! : 1;
  return Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const ratio = rough / power;
  if (ratio < 1.5) return power;
  if (ratio < 3.5) return 2 * power;
  if (ratio < 7.5) return 5 * power;
  return 10 * power;
}
