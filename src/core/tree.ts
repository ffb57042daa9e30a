/**
 * Trees: plain records whose leaves are arrays (values) or tensors (symbols). State of every kind is
 * such a tree, so that saving, comparing and feeding it to a program needs one piece of code.
 * A leaf is anything with a `dtype` and a `shape`; everything else must be a plain record.
 */

export interface Leaf {
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

export type Tree<L extends Leaf> = L | { readonly [key: string]: Tree<L> };

export function isLeaf<L extends Leaf>(node: Tree<L>): node is L {
  return (
    typeof node === "object" &&
    node !== null &&
    "dtype" in node &&
    "shape" in node &&
    Array.isArray(node.shape)
  );
}

/**
 * The leaves with their paths ("actor/w0"), keys in sorted order: the order does not depend on how the
 * tree was put together.
 */
export function flattenTree<L extends Leaf>(tree: Tree<L>, prefix = ""): [path: string, leaf: L][] {
  if (isLeaf(tree)) return [[prefix, tree]];
  const out: [string, L][] = [];
  for (const key of Object.keys(tree).sort()) {
    const child = tree[key];
    if (child === undefined || child === null || typeof child !== "object") {
      throw new TypeError(
        `tree leaf "${prefix === "" ? key : `${prefix}/${key}`}": got ${String(child)}, expected an array or a record`,
      );
    }
    out.push(...flattenTree(child, prefix === "" ? key : `${prefix}/${key}`));
  }
  return out;
}

/** The tree of the same structure with every leaf replaced. */
export function mapTree<L extends Leaf, M extends Leaf>(
  tree: Tree<L>,
  fn: (leaf: L, path: string) => M,
  prefix = "",
): Tree<M> {
  if (isLeaf(tree)) return fn(tree, prefix);
  const out: Record<string, Tree<M>> = {};
  for (const key of Object.keys(tree).sort()) {
    out[key] = mapTree(tree[key]!, fn, prefix === "" ? key : `${prefix}/${key}`);
  }
  return out;
}

/** Rebuild a tree from paths and leaves; the inverse of `flattenTree`. */
export function unflattenTree<L extends Leaf>(entries: Iterable<readonly [path: string, leaf: L]>): Tree<L> {
  const root: Record<string, Tree<L>> = {};
  for (const [path, leaf] of entries) {
    if (path === "") return leaf;
    const keys = path.split("/");
    let node = root;
    for (const key of keys.slice(0, -1)) {
      node[key] ??= {};
      node = node[key] as Record<string, Tree<L>>;
    }
    node[keys[keys.length - 1]!] = leaf;
  }
  return root;
}
