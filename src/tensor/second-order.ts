import { flattenTree, type Tree } from "../core/tree.js";
import { add, mul } from "./elementwise.js";
import { grad } from "./grad.js";
import { stopGradient, Tensor } from "./graph.js";
import { sum } from "./reduce.js";
import { formatDims, sameShape, TensorError } from "./shape.js";

/**
 * Products with second derivatives, without building any matrix (Pearlmutter 1994): the derivative of an inner
 * product of a gradient. They cost about as much as two gradients.
 */

/** What `grad` differentiates with respect to. */
export type Variables = Tensor | readonly Tensor[] | Tree<Tensor>;

/** The structure of X with a tensor for every tensor. */
type Like<X extends Variables> = X extends Tensor ? Tensor : X extends readonly Tensor[] ? Tensor[] : X;

/**
 * The Hessian of y with respect to x, times v: ∂_x ⟨∇_x y, v⟩.
 *
 * @param y float scalar
 * @param x a tensor, an array, or a tree of float tensors, as in `grad`
 * @param v the structure, shapes and dtypes of x; a constant, whatever it was made of
 * @returns the structure of x
 * @throws TensorError if v does not fit x, or as `grad` does
 */
export function hessianVectorProduct<X extends Variables>(y: Tensor, x: X, v: X): Like<X> {
  return product("hessianVectorProduct", y, x, x, v);
}

/**
 * The mixed second derivative of y, times v: ∂_θ ⟨∇_x y, v⟩, that is (∂²y/∂θ∂x) v.
 *
 * @param y     float scalar
 * @param x     what the inner gradient is taken with respect to, as in `grad`
 * @param theta what its product with v is differentiated with respect to, as in `grad`
 * @param v     the structure, shapes and dtypes of x; a constant, whatever it was made of
 * @returns the structure of theta
 * @throws TensorError if v does not fit x, or as `grad` does
 */
export function mixedVectorProduct<X extends Variables, P extends Variables>(
  y: Tensor,
  x: X,
  theta: P,
  v: X,
): Like<P> {
  return product("mixedVectorProduct", y, x, theta, v);
}

function product<X extends Variables, P extends Variables>(
  place: string,
  y: Tensor,
  x: X,
  theta: P,
  v: X,
): Like<P> {
  const [slopes, weights] = [leavesOf(grad(y, x as Tree<Tensor>)), leavesOf(v)];
  const fits =
    slopes.length === weights.length &&
    slopes.every(([path, g], i) => {
      const [at, w] = weights[i]!;
      return path === at && w.dtype === g.dtype && sameShape(w.shape, g.shape);
    });
  if (!fits)
    throw new TensorError(`${place}: got v = ${listed(weights)}, expected ${listed(slopes)} as in x`);
  const terms = slopes.map(([, g], i) => sum(mul(g, stopGradient(weights[i]![1]))));
  return grad(
    terms.reduce((a, b) => add(a, b)),
    theta as Tree<Tensor>,
  ) as Like<P>;
}

function leavesOf(x: Variables): [path: string, leaf: Tensor][] {
  if (x instanceof Tensor) return [["", x]];
  return Array.isArray(x) ? x.map((leaf, i) => [`${i}`, leaf]) : flattenTree<Tensor>(x as Tree<Tensor>);
}

function listed(leaves: readonly [string, Tensor][]): string {
  return leaves
    .map(([path, { dtype, shape }]) => `${path === "" ? "" : `${path}: `}${dtype}${formatDims(shape)}`)
    .join(", ");
}
