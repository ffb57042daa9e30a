/**
 * Seeded random streams. Every source of randomness has a name ("reset", "policy", …); a stream is
 * derived from a seed and a path of names, so that no consumer can disturb another.
 *
 * Generator: xoshiro128** 1.1 (Blackman and Vigna 2018), 128 bits of state, seeded through SplitMix32
 * from a 32-bit FNV-1a hash chain of the path. The state lives in a caller-visible Uint32Array(4),
 * so that saving a stream is copying four integers.
 */

export type StreamPath = readonly (string | number)[];

const STATE_WORDS = 4;

function hashPath(seed: number, path: StreamPath): number {
  let h = (0x811c9dc5 ^ (seed >>> 0)) >>> 0;
  const mix = (byte: number) => {
    h = Math.imul(h ^ byte, 0x01000193) >>> 0;
  };
  // Both halves, so that seeds beyond 2³² stay different.
  let high = Math.floor(seed / 4294967296) >>> 0;
  for (let i = 0; i < 4; i++, high >>>= 8) mix(high & 0xff);
  for (const part of path) {
    // A separator and a type tag keep ["a", "b"] apart from ["ab"] and 1 apart from "1".
    mix(typeof part === "number" ? 1 : 2);
    const text = String(part);
    for (let i = 0; i < text.length; i++) {
      mix(text.charCodeAt(i) & 0xff);
      mix(text.charCodeAt(i) >>> 8);
    }
    mix(0xff);
  }
  return h;
}

/** n as an unsigned 32-bit integer, so that the engine divides integers, not floats; 0 stands for 2³². */
function divisor(n: number): number {
  if (!(n >= 1 && n <= 4294967296)) throw new RangeError(`int(n): got ${n}, expected 1 ≤ n ≤ 2³²`);
  return n >>> 0;
}

/** The last of the 32-bit integers that fall into whole blocks of m; those above would favour small remainders. */
function lastFair(m: number): number {
  return (0xffffffff - (((0 - m) >>> 0) % m)) >>> 0;
}

/** One random stream; cheap to create, allocation-free to use. */
export class RandomStream {
  /** [4] the generator's state; copying it in and out saves and restores the stream. */
  readonly state: Uint32Array;

  constructor(state: Uint32Array) {
    if (state.length !== STATE_WORDS)
      throw new RangeError(`stream state: got ${state.length} words, expected 4`);
    this.state = state;
  }

  /** The stream of `seed` (an integer ≥ 0) under the given path of names. */
  static from(seed: number, ...path: StreamPath): RandomStream {
    const stream = new RandomStream(new Uint32Array(STATE_WORDS));
    stream.reseed(seed, ...path);
    return stream;
  }

  /** Restart this stream in place, as `from` would create it. */
  reseed(seed: number, ...path: StreamPath): void {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new RangeError(`seed: got ${seed}, expected an integer ≥ 0`);
    let z = hashPath(seed, path);
    let any = 0;
    for (let i = 0; i < STATE_WORDS; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = z;
      t = Math.imul(t ^ (t >>> 16), 0x21f0aaad);
      t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
      // The low seed word enters every state word again: the 32-bit hash alone would collide too early.
      const word = (t ^ (t >>> 15) ^ Math.imul(seed >>> 0, 0x9e3779b1 + 2 * i)) >>> 0;
      this.state[i] = word;
      any |= word;
    }
    if (any === 0) this.state[0] = 1;
    for (let i = 0; i < 12; i++) this.nextUint32();
  }

  /** 32 random bits. */
  nextUint32(): number {
    const s = this.state;
    const s1 = s[1]!;
    const m = Math.imul(s1, 5);
    const result = Math.imul((m << 7) | (m >>> 25), 9) >>> 0;
    const t = s1 << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s1;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    const s3 = s[3]!;
    s[3] = (s3 << 11) | (s3 >>> 21);
    return result;
  }

  /** Uniform in [0, 1), 53 random bits. */
  uniform(): number {
    return (
      (this.nextUint32() >>> 5) * 1.1102230246251565e-16 * 67108864 +
      (this.nextUint32() >>> 6) * 1.1102230246251565e-16
    );
  }

  /** Uniform in [low, high). */
  uniformIn(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** Uniform integer in [0, n), without bias. */
  int(n: number): number {
    const m = divisor(n);
    if (m === 0) return this.nextUint32();
    // The last fair integer is beyond this; which it is, only the few above need to know.
    const safe = 0xffffffff - m;
    for (;;) {
      const x = this.nextUint32();
      if (x <= safe || x <= lastFair(m)) return x % m;
    }
  }

  /** Fill out[from … to − 1] with what as many calls of `int(n)` would give, the state kept in registers. */
  fillInts(out: Int32Array, from: number, to: number, n: number): void {
    const m = divisor(n);
    const last = m === 0 ? 0xffffffff : lastFair(m);
    const s = this.state;
    let s0 = s[0]!;
    let s1 = s[1]!;
    let s2 = s[2]!;
    let s3 = s[3]!;
    for (let k = from; k < to; ) {
      // One step of nextUint32.
      const product = Math.imul(s1, 5);
      const x = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
      const t = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= t;
      s3 = (s3 << 11) | (s3 >>> 21);
      if (x <= last) out[k++] = m === 0 ? x : x % m;
    }
    s[0] = s0;
    s[1] = s1;
    s[2] = s2;
    s[3] = s3;
  }

  /** Fill out[from … to − 1] with what as many calls of `uniformIn(low, high)` would give, no number boxed on the way. */
  fillUniform(out: Float64Array, from: number, to: number, low = 0, high = 1): void {
    const s = this.state;
    let s0 = s[0]!;
    let s1 = s[1]!;
    let s2 = s[2]!;
    let s3 = s[3]!;
    let upper = 0;
    for (let half = 2 * from; half < 2 * to; half++) {
      // One step of nextUint32.
      const product = Math.imul(s1, 5);
      const x = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
      const t = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= t;
      s3 = (s3 << 11) | (s3 >>> 21);
      if ((half & 1) === 0) upper = x >>> 5;
      else {
        const u = upper * 1.1102230246251565e-16 * 67108864 + (x >>> 6) * 1.1102230246251565e-16;
        out[half >> 1] = low + (high - low) * u;
      }
    }
    s[0] = s0;
    s[1] = s1;
    s[2] = s2;
    s[3] = s3;
  }

  /** Standard normal (Box–Muller, the sine half unused: a stream's state is its four words alone). */
  normal(): number {
    const u = 1 - this.uniform();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Fill with 0 … n−1 in random order (Fisher–Yates). */
  permutation(out: Int32Array): Int32Array {
    for (let i = 0; i < out.length; i++) out[i] = i;
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      const swap = out[i]!;
      out[i] = out[j]!;
      out[j] = swap;
    }
    return out;
  }
}
