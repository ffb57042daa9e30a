/** Two-sample comparisons of what we draw with what was recorded of an original. */

/**
 * Two-sample χ² statistic of counts, values seen fewer than ten times left out, as a standard normal number: Wilson and
 * Hilferty 1931, (χ²/k)^(1/3) ~ N(1 − 2/9k, 2/9k) at k degrees of freedom.
 */
export function deviation(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): number {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (k) => (a[k] ?? 0) + (b[k] ?? 0) >= 10,
  );
  const k = keys.length - 1;
  if (k === 0) return 0;
  const total = (counts: Readonly<Record<string, number>>) =>
    keys.reduce((sum, key) => sum + (counts[key] ?? 0), 0);
  const ratio = Math.sqrt(total(b) / total(a));
  const chi2 = keys.reduce((sum, key) => {
    const [x, y] = [a[key] ?? 0, b[key] ?? 0];
    return sum + (ratio * x - y / ratio) ** 2 / (x + y);
  }, 0);
  return (Math.cbrt(chi2 / k) - (1 - 2 / (9 * k))) / Math.sqrt(2 / (9 * k));
}

/**
 * Two-sample z statistic of a mean.
 * @param theirs mean of the original, with its standard error
 */
export function meanDifference(ours: Float64Array, theirs: number, standardError: number): number {
  const n = ours.length;
  const mean = ours.reduce((a, b) => a + b, 0) / n;
  const variance = ours.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  return (mean - theirs) / Math.sqrt(variance / n + standardError ** 2);
}
