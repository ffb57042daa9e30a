import type { NdArray } from "../core/array.js";
import { NonFiniteError } from "../core/errors.js";
import { flattenTree, type Tree } from "../core/tree.js";

/** Position of the first NaN or infinity, −1 if there is none. Integers are finite. */
export function nonFinitePosition({ dtype, data }: NdArray): number {
  if (dtype !== "float32" && dtype !== "float64") return -1;
  const values = data as Float32Array | Float64Array;
  // 0 · x is 0 for every finite x: one pass without branches answers the usual case.
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += 0 * values[i]!;
  if (zero === 0) return -1;
  return values.findIndex((v) => !Number.isFinite(v));
}

/** Path of the first array of a tree that holds NaN or an infinity; undefined if all are finite. */
export function firstNonFinite(tree: Tree<NdArray>): string | undefined {
  return flattenTree<NdArray>(tree).find(([, a]) => nonFinitePosition(a) >= 0)?.[0];
}

/**
 * @param place what is checked, for the message ("ppo/actor, iteration 12")
 * @throws NonFiniteError naming the first array with NaN or an infinity
 */
export function checkFinite(place: string, tree: Tree<NdArray>): void {
  for (const [path, a] of flattenTree<NdArray>(tree)) {
    const at = nonFinitePosition(a);
    if (at < 0) continue;
    throw new NonFiniteError(
      `${place}, "${path}": element ${at} is ${a.data[at]}, expected finite numbers only`,
    );
  }
}
