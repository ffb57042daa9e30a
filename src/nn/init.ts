import { sizeOf } from "../core/array.js";
import type { RandomStream } from "../core/random.js";

/** Fills `out`, a parameter of the given shape, with its first values. Weights are [in, out]. */
export type Initializer = (shape: readonly number[], stream: RandomStream, out: Float32Array) => void;

export const constantInit =
  (value: number): Initializer =>
  (_, __, out) => {
    out.fill(value);
  };

export const zerosInit: Initializer = constantInit(0);

/** fan-in and fan-out of a weight [in, out]; a vector counts as both. */
function fans(shape: readonly number[]): [fanIn: number, fanOut: number] {
  const out = shape[shape.length - 1] ?? 1;
  return [shape.length < 2 ? out : sizeOf(shape) / out, out];
}

const uniform =
  (bound: (fanIn: number, fanOut: number) => number): Initializer =>
  (shape, stream, out) => {
    const b = bound(...fans(shape));
    for (let i = 0; i < out.length; i++) out[i] = stream.uniformIn(-b, b);
  };

const normal =
  (std: (fanIn: number, fanOut: number) => number): Initializer =>
  (shape, stream, out) => {
    const s = std(...fans(shape));
    for (let i = 0; i < out.length; i++) out[i] = s * stream.normal();
  };

/** U(−bound, bound), whatever the shape. */
export const uniformInit = (bound: number): Initializer => uniform(() => bound);
/** N(0, σ²) */
export const normalInit = (std = 1): Initializer => normal(() => std);
/** U(−a, a), a = gain · √(6 / (in + out)) (Glorot and Bengio 2010). */
export const xavierUniform = (gain = 1): Initializer => uniform((i, o) => gain * Math.sqrt(6 / (i + o)));
/** N(0, σ²), σ = gain · √(2 / (in + out)) (Glorot and Bengio 2010). */
export const xavierNormal = (gain = 1): Initializer => normal((i, o) => gain * Math.sqrt(2 / (i + o)));
/** U(−a, a), a = gain · √(3 / in) (He et al. 2015; gain √2 for ReLU). */
export const kaimingUniform = (gain = Math.SQRT2): Initializer => uniform((i) => gain * Math.sqrt(3 / i));
/** N(0, σ²), σ = gain / √in (He et al. 2015; gain √2 for ReLU). */
export const kaimingNormal = (gain = Math.SQRT2): Initializer => normal((i) => gain / Math.sqrt(i));

/**
 * Orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al. 2014): Gram–Schmidt on Gaussian
 * vectors, which draws from the uniform distribution over such matrices, as PyTorch's `orthogonal_` does by QR.
 */
export const orthogonal =
  (gain = 1): Initializer =>
  (shape, stream, out) => {
    const cols = shape[shape.length - 1] ?? 1;
    const rows = sizeOf(shape) / cols;
    const [count, length] = rows < cols ? [rows, cols] : [cols, rows];
    const basis: Float64Array[] = [];
    for (let k = 0; k < count; k++) basis.push(nextOrthonormal(basis, length, stream));
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        out[r * cols + c] = gain * (rows < cols ? basis[r]![c]! : basis[c]![r]!);
      }
    }
  };

function nextOrthonormal(basis: readonly Float64Array[], length: number, stream: RandomStream): Float64Array {
  const v = new Float64Array(length);
  for (;;) {
    for (let i = 0; i < length; i++) v[i] = stream.normal();
    // Twice is enough (Giraud et al. 2005): what rounding left in the first pass goes in the second.
    for (let pass = 0; pass < 2; pass++) {
      for (const b of basis) {
        let dot = 0;
        for (let i = 0; i < length; i++) dot += v[i]! * b[i]!;
        for (let i = 0; i < length; i++) v[i]! -= dot * b[i]!;
      }
    }
    let norm = 0;
    for (let i = 0; i < length; i++) norm += v[i]! * v[i]!;
    norm = Math.sqrt(norm);
    if (norm < 1e-8) continue;
    for (let i = 0; i < length; i++) v[i]! /= norm;
    return v;
  }
}
