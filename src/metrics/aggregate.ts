/** Aggregates that are robust to a few odd values, and corrections for many comparisons. */

/**
 * Interquartile mean: the mean of the middle half. A quarter of the values, rounded down, is dropped at each end
 * (SciPy's `trim_mean(x, 0.25)`; Agarwal 2021).
 */
export function interquartileMean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("interquartileMean: got no values");
  const sorted = [...values].sort((a, b) => a - b);
  const cut = Math.floor(sorted.length / 4);
  const kept = sorted.slice(cut, sorted.length - cut);
  return kept.reduce((a, b) => a + b, 0) / kept.length;
}

/**
 * Holm's step-down adjustment (Holm 1979): compare each adjusted p-value with the level as if it were the only one.
 * @returns adjusted p-values in the order of the input
 */
export function holm(pValues: readonly number[]): number[] {
  const m = pValues.length;
  const order = pValues.map((p, i) => ({ p, i })).sort((a, b) => a.p - b.p || a.i - b.i);
  const out = new Array<number>(m);
  let running = 0;
  order.forEach(({ p, i }, rank) => {
    running = Math.max(running, Math.min(1, (m - rank) * p));
    out[i] = running;
  });
  return out;
}

/**
 * Whether a statement about this many seeds can be significant at all, whatever the values.
 *
 * A paired Student test needs two seeds; a sign pattern (every seed on the same side) has a two-sided probability of
 * 2^(1−n), so that "all seeds agree" alone says nothing below six seeds at 5 %.
 *
 * @param comparisons number of comparisons that Holm's correction spans
 * @returns a sentence that says what is impossible, or null
 */
export function significanceLimit(seeds: number, comparisons = 1, level = 0.05): string | null {
  if (seeds < 2) {
    return `With ${seeds === 1 ? "1 seed" : `${seeds} seeds`} there is no interval and no test: nothing here can be significant.`;
  }
  if (seeds >= 3) return null;
  // Two seeds: one degree of freedom. A p of level / m needs differences that agree to one part in 12.7 × m.
  return (
    `With 2 seeds a difference is significant only if both seeds agree almost exactly ` +
    `(95 % interval: ±12.7 standard errors${comparisons > 1 ? `, and ${comparisons} comparisons share the level of ${level}` : ""}).`
  );
}

/** Smallest two-sided p-value that an exact rank-sum test can reach with n against m values: 2 / C(n + m, n). */
export function smallestRankSumP(n: number, m: number): number {
  let combinations = 1;
  for (let i = 1; i <= n; i++) combinations = (combinations * (m + i)) / i;
  return Math.min(1, 2 / combinations);
}
