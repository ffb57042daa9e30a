import type { NdArray } from "./array.js";
import type { Tree } from "./tree.js";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Everything needed to go on as if nothing had happened: arrays, and a little plain data. */
export interface SavedState {
  readonly arrays: Tree<NdArray>;
  readonly meta: { readonly [key: string]: Json };
}
