/** Corrections for many comparisons, and what a number of seeds can show at all. */

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
