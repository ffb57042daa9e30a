import { describe, expect, it } from "vitest";
import {
  holm,
  pairedTest,
  significanceLimit,
  studentInterval,
  studentQuantile,
  studentTwoSided,
} from "./index.js";

// Expected values: SciPy 1.17.1, statsmodels 0.15.0; the call stands beside each.
const close = (got: number, expected: number) =>
  expect(Math.abs(got - expected) / Math.abs(expected), `${got} against ${expected}`).toBeLessThan(1e-12);

describe("Student's distribution", () => {
  it("has SciPy's quantiles", () => {
    close(studentQuantile(0.975, 1), 12.706204736174694); // t.ppf(.975, 1)
    close(studentQuantile(0.975, 2), 4.302652729749462); // t.ppf(.975, 2)
    close(studentQuantile(0.975, 4), 2.7764451051977934); // t.ppf(.975, 4)
    close(studentQuantile(0.025, 9), -2.262157162798205); // t.ppf(.025, 9)
    close(studentQuantile(0.975, 1.5), 6.016663104427929); // t.ppf(.975, 1.5)
    close(studentQuantile(0.995, 29), 2.756385903670605); // t.ppf(.995, 29)
    expect(studentQuantile(0.5, 3)).toBe(0);
  });

  it("has SciPy's tails", () => {
    close(studentTwoSided(2.5, 7), 0.04099221858575289); // 2 * t.sf(2.5, 7)
    close(studentTwoSided(-40, 4), 2.3340163226012678e-6); // 2 * t.sf(40, 4)
    expect(studentTwoSided(0, 4)).toBe(1);
  });
});

describe("intervals and tests over seeds", () => {
  const plain = [-8.2, -12.2, -8.5, -8.2, -8.0];
  const attackedPlain = [-27.6, -26.4, -28.8, -27.9, -29.7];
  const attackedHardened = [-19.5, -17.1, -19.7, -18.3, -17.7];

  it("gives SciPy's interval of a mean", () => {
    const { low, high } = studentInterval(plain); // ttest_1samp(plain, 0).confidence_interval()
    close(low!, -11.238377901602352);
    close(high!, -6.801622098397647);
  });

  it("gives SciPy's paired test", () => {
    const test = pairedTest(attackedPlain, attackedHardened); // ttest_rel(hardened, plain)
    close(test.t!, 14.890142351332056);
    close(test.p!, 0.00011847012925106404);
    close(test.low!, 7.826235959214091);
    close(test.high!, 11.413764040785907);
    close(test.mean, 9.62);
  });

  it("has no interval and no test below two seeds, and none that fails on equal values", () => {
    expect(studentInterval([3])).toEqual({ mean: 3, low: null, high: null });
    expect(pairedTest([1], [2])).toMatchObject({ mean: 1, t: null, p: null, low: null });
    expect(pairedTest([1, 2], [1, 2])).toMatchObject({ mean: 0, t: 0, p: 1 });
    expect(pairedTest([1, 2], [2, 3])).toMatchObject({ mean: 1, p: 0 });
    expect(() => pairedTest([1], [1, 2])).toThrow(RangeError);
  });
});

describe("corrections", () => {
  it("corrects as Holm", () => {
    const rounded = (xs: number[]) => xs.map((x) => Number(x.toFixed(12)));
    // multipletests(p, method="holm")[1]
    expect(rounded(holm([0.01, 0.04, 0.03, 0.005]))).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(rounded(holm([0.2, 0.6, 0.001]))).toEqual([0.4, 0.6, 0.003]);
    expect(holm([])).toEqual([]);
  });

  it("says when a number of seeds cannot carry significance", () => {
    expect(significanceLimit(1)).toMatch(/^With 1 seed there is no interval/);
    expect(significanceLimit(2)).toMatch(/^With 2 seeds/);
    expect(significanceLimit(3)).toBeNull();
  });
});
