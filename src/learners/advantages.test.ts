import { describe, expect, it } from "vitest";
import { type AdvantageInputs, computeAdvantages, normalizeAdvantages } from "./index.js";

/** One copy, one agent, three steps, γ = λ = ½; by hand δ = (−2.5, 4, 1) where nothing ends. */
function advantages(given: Partial<AdvantageInputs>): number[] {
  const inputs: AdvantageInputs = {
    steps: 3,
    copies: 1,
    agents: 1,
    reward: Float64Array.of(1, 2, 3),
    value: Float64Array.of(4, 1, 6, 8),
    terminated: new Uint8Array(3),
    truncated: new Uint8Array(3),
    finalValue: Float64Array.of(NaN, 10, 10),
    gamma: 0.5,
    gaeLambda: 0.5,
    timeLimit: "bootstrap",
    ...given,
  };
  const out = new Float64Array(inputs.reward.length).fill(NaN);
  computeAdvantages(inputs, out);
  return [...out];
}

const at1 = Uint8Array.of(0, 1, 0);
const at2 = Uint8Array.of(0, 0, 1);

describe("computeAdvantages", () => {
  it("sums discounted temporal differences, and bootstraps the unfinished rollout", () => {
    expect(advantages({})).toEqual([-1.4375, 4.25, 1]);
  });

  it("sees no value beyond termination", () => {
    expect(advantages({ terminated: at1 })).toEqual([-2.25, 1, 1]);
    expect(advantages({ terminated: at2 })).toEqual([-2.5 + 0.25 * (4 - 0.75), 4 - 0.75, -3]);
  });

  it.each([
    ["bootstrap", [-1, 6, 1], [-1.375, 4.5, 2]],
    ["drop", [-2.5, 0, 1], [-1.5, 4, 0]],
    ["terminal", [-2.25, 1, 1], [-1.6875, 3.25, -3]],
  ] as const)("means by a time limit what is asked for: %s", (timeLimit, inside, atTheEnd) => {
    expect(advantages({ truncated: at1, timeLimit })).toEqual(inside);
    expect(advantages({ truncated: at2, timeLimit })).toEqual(atTheEnd);
  });

  it("is the discounted return minus the value for λ = 1, the temporal difference for λ = 0", () => {
    expect(advantages({ gaeLambda: 1 })).toEqual([1 + 1 + 0.75 + 1 - 4, 2 + 1.5 + 2 - 1, 1]);
    expect(advantages({ gaeLambda: 0 })).toEqual([-2.5, 4, 1]);
  });

  it("keeps copies and agents apart", () => {
    const [E, n] = [2, 2];
    const spread = (column: readonly number[], k: number) => column.map((x) => x + k);
    const table = (column: readonly number[]) =>
      Float64Array.from(column.flatMap((_, t) => [0, 1, 2, 3].map((k) => spread(column, k)[t]!)));
    const got = advantages({
      copies: E,
      agents: n,
      reward: table([1, 2, 3]),
      value: table([4, 1, 6, 8]),
      finalValue: table([0, 10, 10]),
      terminated: Uint8Array.of(0, 0, 1, 0, 0, 0),
      truncated: Uint8Array.of(0, 0, 0, 1, 0, 0),
    });
    for (let k = 0; k < 4; k++) {
      const alone = advantages({
        reward: Float64Array.from(spread([1, 2, 3], k)),
        value: Float64Array.from(spread([4, 1, 6, 8], k)),
        finalValue: Float64Array.from(spread([0, 10, 10], k)),
        [k < 2 ? "terminated" : "truncated"]: at1,
      });
      expect([got[k], got[4 + k], got[8 + k]]).toEqual(alone);
    }
  });
});

describe("normalizeAdvantages", () => {
  it("standardises what has weight and zeroes the rest", () => {
    const a = Float64Array.of(1, 100, 3, -7, 5);
    expect(normalizeAdvantages(a, Float32Array.of(1, 0, 1, 0, 1), 1e-5)).toBe(true);
    // mean 3, standard deviation √(8/3)
    const unit = 2 / (Math.sqrt(8 / 3) + 1e-5);
    expect(a[0]).toBeCloseTo(-unit, 12);
    expect(a[4]).toBeCloseTo(unit, 12);
    expect([a[1], a[2], a[3]]).toEqual([0, 0, 0]);
  });

  it("says when nothing has weight, and survives equal values", () => {
    const a = Float64Array.of(1, 2);
    expect(normalizeAdvantages(a, new Float32Array(2), 1e-5)).toBe(false);
    const same = Float64Array.of(4, 4);
    expect(normalizeAdvantages(same, Float32Array.of(1, 1), 1e-5)).toBe(true);
    expect([...same]).toEqual([0, 0]);
  });
});
