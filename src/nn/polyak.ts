import { isLeaf, type Tree } from "../core/tree.js";
import { add, formatDims, mul, type Operand, sub, type Tensor, TensorError } from "../tensor/index.js";

/**
 * Parameters of a target network after one step towards the online network (Polyak averaging; Lillicrap 2016, alg. 1):
 * target ← (1 − τ) · target + τ · online, on a vector or on every leaf of a tree. τ = 1 copies and τ = 0 keeps, both
 * exactly, so that a tensor that is mostly 0 and sometimes 1 makes hard copies inside one program.
 *
 * @param target tensor, or a tree of them
 * @param online the same structure and shapes
 * @param tau    in [0, 1]: a number or a tensor of shape []
 * @throws TensorError if structures or shapes differ, or tau is a number outside [0, 1]
 */
export function polyak<T extends Tree<Tensor>>(target: T, online: T, tau: Operand): T {
  if (typeof tau === "number" && !(tau >= 0 && tau <= 1)) {
    throw new TensorError(`polyak: got tau ${tau}, expected a number in [0, 1]`);
  }
  const kept = typeof tau === "number" ? 1 - tau : sub(1, tau);

  const follow = (old: Tree<Tensor>, now: Tree<Tensor>, path: string): Tree<Tensor> => {
    if (describe(old) !== describe(now)) {
      const place = path === "" ? "polyak" : `polyak, "${path}"`;
      throw new TensorError(
        `${place}: got target ${describe(old)} and online ${describe(now)}, expected the same structure and shapes`,
      );
    }
    if (isLeaf(old)) return add(mul(old, kept), mul(now as Tensor, tau));
    const below = (key: string) => (path === "" ? key : `${path}/${key}`);
    return Object.fromEntries(
      Object.keys(old).map((key) => [key, follow(old[key]!, (now as typeof old)[key]!, below(key))]),
    );
  };
  return follow(target, online, "") as T;
}

function describe(tree: Tree<Tensor>): string {
  if (isLeaf(tree)) return `${tree.dtype}${formatDims(tree.shape)}`;
  return `{ ${Object.keys(tree).sort().join(", ")} }`;
}
