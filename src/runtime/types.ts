import type { DType, NdArray } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import type { Dim, Tensor } from "../tensor/index.js";

/** A tree of arrays as the function of a program sees it: tensors in place of arrays. */
export type Symbolic<I> = I extends NdArray ? Tensor : { readonly [K in keyof I]: Symbolic<I[K]> };

/** A tree of tensors as a program returns it: arrays in place of tensors. */
export type Concrete<O> = O extends Tensor ? NdArray : { readonly [K in keyof O]: Concrete<O[K]> };

/** Shape and dtype of an array to come; the first dimension may be FREE. Every array is its own description. */
export interface ArraySpec {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

export type SpecTree = Tree<ArraySpec>;
