import { describe, expect, it } from "vitest";
import { RandomStream } from "./random.js";

/** xoshiro128** 1.1 in exact arithmetic, and integers by rejecting the incomplete last block. */
function reference(state: readonly number[]): { next(): bigint; int(n: bigint): bigint } {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  const s = state.map(BigInt);
  const next = () => {
    const result = (rotate((s[1] * 5n) & mask, 7n) * 9n) & mask;
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
    return result;
  };
  const int = (n: bigint): bigint => {
    const limit = 2n ** 32n - (2n ** 32n % n);
    for (;;) {
      const x = next();
      if (x < limit) return x % n;
    }
  };
  return { next, int };
}

const sizes = [1, 2, 3, 5, 7, 50, 1000, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 3_000_000_001, 2 ** 32];

describe("a random stream", () => {
  it("is xoshiro128**", () => {
    const stream = RandomStream.from(7, "a");
    const expected = reference([...stream.state]);
    for (let k = 0; k < 200; k++) expect(BigInt(stream.nextUint32())).toBe(expected.next());
  });

  it.each(sizes)("draws integers below %d without bias", (n) => {
    const stream = RandomStream.from(8, n);
    const expected = reference([...stream.state]);
    for (let k = 0; k < 100; k++) expect(BigInt(stream.int(n))).toBe(expected.int(BigInt(n)));
  });

  it.each(sizes.filter((n) => n <= 2 ** 31))(
    "fills arrays with integers below %d as single draws would",
    (n) => {
      const stream = RandomStream.from(9, n);
      const other = RandomStream.from(9, n);
      const filled = new Int32Array(300).fill(-1);
      stream.fillInts(filled, 20, 290, n);
      const expected = filled.map((_, k) => (k < 20 || k >= 290 ? -1 : other.int(n)));
      expect(filled).toEqual(expected);
      expect(stream.state).toEqual(other.state);
    },
  );

  it("fills arrays with uniform numbers as single draws would", () => {
    const stream = RandomStream.from(10);
    const other = RandomStream.from(10);
    const filled = new Float64Array(300).fill(7);
    stream.fillUniform(filled, 20, 290, -3, 0.1);
    expect(filled).toEqual(filled.map((_, k) => (k < 20 || k >= 290 ? 7 : other.uniformIn(-3, 0.1))));
    stream.fillUniform(filled, 0, 300);
    expect(filled).toEqual(filled.map(() => other.uniform()));
    expect(stream.state).toEqual(other.state);
  });

  it.each([0, -1, Number.NaN, 2 ** 32 + 1])("refuses to draw integers below %d", (n) => {
    const stream = RandomStream.from(0);
    const message = `int(n): got ${n}, expected 1 ≤ n ≤ 2³²`;
    expect(() => stream.int(n)).toThrow(message);
    expect(() => stream.fillInts(new Int32Array(2), 0, 2, n)).toThrow(message);
  });
});
