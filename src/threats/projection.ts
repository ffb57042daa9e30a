/**
 * Projections onto an observation threat's ball. An adversary proposes δ; what the policy sees is computed here, in
 * float32, and lies within the budget to the last bit: |seen − clean| ≤ ε holds for the float32 numbers themselves,
 * not only for the real numbers they round.
 */

const word = new Float32Array(1);
const bits = new Int32Array(word.buffer);

/** The float32 next to `x` in the direction of `target`. */
function nextToward(x: number, target: number): number {
  if (x === target) return x;
  if (x === 0) return target > 0 ? 1.401298464324817e-45 : -1.401298464324817e-45;
  word[0] = x;
  // Float32 bit patterns of one sign are ordered like the magnitudes.
  bits[0]! += target > x === x > 0 ? 1 : -1;
  return word[0]!;
}

export interface Ball {
  readonly norm: "linf" | "l2" | "gaussian";
  /** [O] factor on the radius per entry; 0 where the entry may not change */
  readonly scale: Float64Array;
  /** [O] valid range per entry; −Infinity/Infinity where not kept */
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/**
 * One row: seen = clean + the projection of δ.
 *
 * ℓ∞: each entry is clipped to ε·scale. ℓ2: the entries divided by their scale are shrunk to length ε. Gaussian:
 * the noise is the loop's own draw, so only untouchable entries and the range are enforced.
 * NaN counts as 0, and so does ±∞ except under ℓ∞, where it is clipped like any large number. What is seen of a
 * finite observation is finite.
 *
 * @param delta [O] at `offset`: proposal in, effect (seen − clean) out
 * @param clean, seen [O] at `offset`
 * @param epsilon radius ≥ 0
 */
export function projectRow(
  ball: Ball,
  epsilon: number,
  delta: Float32Array,
  clean: Float32Array,
  seen: Float32Array,
  offset: number,
): void {
  const { scale, low, high } = ball;
  const size = scale.length;
  if (ball.norm === "linf") {
    for (let i = 0; i < size; i++) {
      const limit = epsilon * scale[i]!;
      const c = clean[offset + i]!;
      let d = delta[offset + i]!;
      if (!(d >= -limit)) d = d < -limit ? -limit : 0;
      else if (d > limit) d = limit;
      let s = limit === 0 ? c : finite(Math.fround(c + d), c);
      s = clampTo(s, c, low[i]!, high[i]!);
      while (Math.abs(s - c) > limit) s = nextToward(s, c);
      seen[offset + i] = s;
      delta[offset + i] = s - c;
    }
    return;
  }
  let factor = 1;
  for (let attempt = 0; ; attempt++) {
    let squared = 0;
    for (let i = 0; i < size; i++) {
      const c = clean[offset + i]!;
      let d = delta[offset + i]! * factor;
      if (scale[i] === 0 || !Number.isFinite(d)) d = 0;
      const s = d === 0 ? c : clampTo(finite(Math.fround(c + d), c), c, low[i]!, high[i]!);
      seen[offset + i] = s;
      if (s !== c) squared += ((s - c) / scale[i]!) ** 2;
    }
    if (ball.norm === "gaussian" || Math.sqrt(squared) <= epsilon) break;
    // Rounding to float32 can push the length over ε again: shrink a little further, and give up the whole
    // perturbation where even that cannot help (ε below the spacing of float32 at this observation).
    factor *= (epsilon / Math.sqrt(squared)) * (1 - 1e-7 * 2 ** attempt);
    if (attempt > 20) factor = 0;
  }
  for (let i = 0; i < size; i++) delta[offset + i] = seen[offset + i]! - clean[offset + i]!;
}

/** Float32 can overflow where nothing else limits the sum. */
const finite = (s: number, clean: number) => (Number.isFinite(s) ? s : clean);

/** Into [low, high], unless the clean value itself lies outside: then not further out than it. */
function clampTo(s: number, clean: number, low: number, high: number): number {
  if (s < low) return Math.max(s, Math.fround(Math.min(clean, low)));
  if (s > high) return Math.min(s, Math.fround(Math.max(clean, high)));
  return s;
}
