/**
 * Student's intervals and tests over seeds. Special functions come from Cephes, the library behind SciPy's own.
 */
import { compiled, incbet, incbi } from "cephes";

// The library is compiled once, in a few milliseconds; importing this module waits for it.
await compiled;

/**
 * Quantile of Student's t distribution.
 * @param p probability in (0, 1)
 * @param degrees of freedom > 0
 */
export function studentQuantile(p: number, degrees: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`studentQuantile: got p = ${p}, expected 0 < p < 1`);
  if (p === 0.5) return 0;
  // P(|T| > t) = I_{ν/(ν+t²)}(ν/2, 1/2)
  const x = incbi(degrees / 2, 0.5, 2 * Math.min(p, 1 - p));
  return Math.sign(p - 0.5) * Math.sqrt(degrees * (1 / x - 1));
}

/** Two-sided probability P(|T| ≥ |t|). */
export function studentTwoSided(t: number, degrees: number): number {
  if (!Number.isFinite(t)) return 0;
  return incbet(degrees / 2, 0.5, degrees / (degrees + t * t));
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("mean: got no values");
  let sum = 0;
  for (const v of values) sum += v;
  return sum / values.length;
}

/** Sample standard deviation (n − 1); 0 for a single value. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const m = mean(values);
  let sum = 0;
  for (const v of values) sum += (v - m) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

export interface Interval {
  readonly mean: number;
  /** Student 95 % interval of the mean; null below two values, where there is none. */
  readonly low: number | null;
  readonly high: number | null;
}

/**
 * Mean and Student interval of values that are one per seed.
 * @param level coverage, default 0.95
 */
export function studentInterval(values: readonly number[], level = 0.95): Interval {
  const m = mean(values);
  const n = values.length;
  if (n < 2) return { mean: m, low: null, high: null };
  const half = (studentQuantile((1 + level) / 2, n - 1) * standardDeviation(values)) / Math.sqrt(n);
  return { mean: m, low: m - half, high: m + half };
}

export interface PairedTest extends Interval {
  /** Per seed: b − a. */
  readonly differences: readonly number[];
  /** Student's t; null below two pairs. ±Infinity where all differences are equal and not 0. */
  readonly t: number | null;
  /** Two-sided p-value; null below two pairs. */
  readonly p: number | null;
}

/**
 * Paired Student test of b − a, seed by seed.
 * @throws RangeError if the lists differ in length or are empty
 */
export function pairedTest(a: readonly number[], b: readonly number[]): PairedTest {
  if (a.length !== b.length) throw new RangeError(`pairedTest: got ${a.length} and ${b.length} values`);
  const differences = b.map((v, i) => v - a[i]!);
  const interval = studentInterval(differences);
  const n = differences.length;
  if (n < 2) return { ...interval, differences, t: null, p: null };
  const deviation = standardDeviation(differences);
  if (deviation === 0) {
    const t = interval.mean === 0 ? 0 : Math.sign(interval.mean) * Number.POSITIVE_INFINITY;
    return { ...interval, differences, t, p: t === 0 ? 1 : 0 };
  }
  const t = interval.mean / (deviation / Math.sqrt(n));
  return { ...interval, differences, t, p: studentTwoSided(t, n - 1) };
}
