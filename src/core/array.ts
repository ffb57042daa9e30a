import { formatShape } from "./errors.js";

/** Element types of arrays and tensors. */
export type DType = "float32" | "float64" | "int32" | "int64" | "bool";

export interface DataOf {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
  int64: BigInt64Array;
  /** 0 or 1 per element */
  bool: Uint8Array;
}

/** A dense row-major array: `data.length` is the product of `shape`. */
export interface NdArray<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: DataOf[D];
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** @throws RangeError if the data's length is not the product of the shape */
export function ndarray<D extends DType>(dtype: D, shape: readonly number[], data: DataOf[D]): NdArray<D> {
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(
      `array of shape ${formatShape(shape)}: got ${data.length} elements, expected ${sizeOf(shape)}`,
    );
  }
  return { dtype, shape, data };
}

/** A zero-filled array. */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): NdArray<D> {
  return { dtype, shape, data: allocate(dtype, sizeOf(shape)) };
}

/** A zero-filled typed array for `n` elements of `dtype`. */
export function allocate<D extends DType>(dtype: D, n: number): DataOf[D] {
  const kinds = {
    float32: Float32Array,
    float64: Float64Array,
    int32: Int32Array,
    int64: BigInt64Array,
    bool: Uint8Array,
  } as const;
  return new kinds[dtype](n) as DataOf[D];
}

/** Shorthand for the commonest case: float32 with the given data (copied when it is a plain array). */
export function f32(shape: readonly number[], data: Float32Array | readonly number[]): NdArray<"float32"> {
  return ndarray("float32", shape, data instanceof Float32Array ? data : Float32Array.from(data));
}

/** A deep copy. */
export function cloneArray<D extends DType>(a: NdArray<D>): NdArray<D> {
  return { dtype: a.dtype, shape: a.shape, data: a.data.slice() as DataOf[D] };
}
