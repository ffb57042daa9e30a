import { apply, type Tensor } from "./graph.js";

/**
 * The value, with its derivative with respect to x written down instead of derived: for functions whose derivative
 * is much shorter than what the rules would build. The derivative is an ordinary tensor and can be differentiated
 * again; where it is not the derivative's own derivative that comes out then, wrap it in `refuseGradient`.
 *
 * Unlike a value with a part hidden behind `stopGradient`, which has the right first derivative and silently the wrong
 * second one, this is exact in every order or refused.
 *
 * @param value      any shape; a function of x alone, element by element
 * @param x          the shape of value
 * @param derivative the shape of value: d value / d x of each element
 * @throws TensorError if shapes or dtypes differ
 */
export function withDerivative(value: Tensor, x: Tensor, derivative: Tensor): Tensor {
  return apply("withDerivative", [value, x, derivative], {});
}

/**
 * The value; every derivative through it is an error.
 *
 * @param name the function whose derivative ends here, for the message
 */
export function refuseGradient(x: Tensor, name: string): Tensor {
  return apply("refuseGradient", [x], { name });
}
