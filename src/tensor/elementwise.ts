import type { DType } from "../core/array.js";
import { apply, constantNumber, filled, type Operand, Tensor, toTensor } from "./graph.js";
import type { ArithmeticOperator, BinaryOperator, Dim, UnaryOperator } from "./operators.js";
import { broadcastShapes, isFloat, sameShape, TensorError } from "./shape.js";

/**
 * Elementwise operators. Numbers take the dtype of the other operand; shapes broadcast as in numpy.
 * Simplifications happen here, while the graph is built (x + 0, x · 1, arithmetic of two numbers), so that
 * derivatives come out as short as hand-written ones without a rewriting pass.
 */

/** Both operands as tensors. @throws TensorError if neither is one */
function operands(op: string, a: Operand, b: Operand): [Tensor, Tensor] {
  if (a instanceof Tensor) return [a, toTensor(b, a)];
  if (b instanceof Tensor) return [toTensor(a, b), b];
  throw new TensorError(`${op}: got the numbers ${a} and ${b}, expected at least one tensor; see scalar()`);
}

/** An expansion is left out where broadcasting against the other operand does the same. */
function shrink(x: Tensor, other: readonly Dim[]): Tensor {
  while (x.op === "expand") {
    const inner = x.inputs[0]!;
    if (!sameShape(broadcastShapes("", inner.shape, other), broadcastShapes("", x.shape, other))) break;
    x = inner;
  }
  return x;
}

function binary(op: BinaryOperator, a: Operand, b: Operand): Tensor {
  const [x, y] = operands(op, a, b);
  // Checked before anything is simplified, so that a mistake is an error whatever the values are.
  if (x.dtype !== y.dtype) return apply(op, [x, y], {});
  broadcastShapes(op, x.shape, y.shape);
  const left = shrink(x, y.shape);
  return apply(op, [left, shrink(y, left.shape)], {});
}

const fold: { [O in ArithmeticOperator]?: (a: number, b: number) => number } = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

/** Arithmetic with simplification: `neutral` names the value of b (or a) that leaves the other as it is. */
function arithmetic(
  op: ArithmeticOperator,
  a: Operand,
  b: Operand,
  neutral: number,
  commutes: boolean,
): Tensor {
  const [x, y] = operands(op, a, b);
  if (x.dtype === y.dtype) {
    const shape = broadcastShapes(op, x.shape, y.shape);
    const [p, q] = [constantNumber(x), constantNumber(y)];
    if (q === neutral && sameShape(shape, x.shape)) return x;
    if (commutes && p === neutral && sameShape(shape, y.shape)) return y;
    if (p !== undefined && q !== undefined && isFloat(x.dtype)) {
      return filled(fold[op]!(p, q), shape, x.dtype);
    }
  }
  return binary(op, x, y);
}

export function add(a: Operand, b: Operand): Tensor {
  // x + x = 2 x, which joins other factors
  if (a === b && a instanceof Tensor && isFloat(a.dtype)) return mul(a, 2);
  if (b instanceof Tensor && b.op === "neg") return sub(a, b.inputs[0]!);
  if (a instanceof Tensor && a.op === "neg") return sub(b, a.inputs[0]!);
  return arithmetic("add", a, b, 0, true);
}

export function sub(a: Operand, b: Operand): Tensor {
  if (b instanceof Tensor && b.op === "neg") return add(a, b.inputs[0]!);
  return arithmetic("sub", a, b, 0, false);
}
export const div = (a: Operand, b: Operand): Tensor => arithmetic("div", a, b, 1, false);

export function mul(a: Operand, b: Operand): Tensor {
  const [x, y] = operands("mul", a, b);
  return scaled(x, y) ?? scaled(y, x) ?? negated(x, y) ?? negated(y, x) ?? arithmetic("mul", x, y, 1, true);
}

/** −x · y is −(x · y): signs go outwards, where sums take them in. */
function negated(x: Tensor, y: Tensor): Tensor | undefined {
  if (x.op !== "neg" || x.dtype !== y.dtype) return undefined;
  if (!sameShape(broadcastShapes("mul", x.shape, y.shape), x.shape)) return undefined;
  return neg(mul(x.inputs[0]!, y));
}

/** x · factor where the factor is a number: −1 negates, and factors of factors are multiplied now. */
function scaled(x: Tensor, factor: Tensor): Tensor | undefined {
  const c = constantNumber(factor);
  if (c === undefined || x.dtype !== factor.dtype || !isFloat(x.dtype)) return undefined;
  if (!sameShape(broadcastShapes("mul", x.shape, factor.shape), x.shape)) return undefined;
  if (c === -1) return neg(x);
  if (x.op === "neg") return mul(x.inputs[0]!, -c);
  const parts = factored(x);
  return parts === undefined ? undefined : mul(parts.rest, parts.factor * c);
}

/** x as number · tensor, if it was made so. */
function factored(x: Tensor): { readonly factor: number; readonly rest: Tensor } | undefined {
  if (x.op !== "mul" || !isFloat(x.dtype)) return undefined;
  for (const [i, other] of x.inputs.entries()) {
    const factor = constantNumber(other);
    const rest = x.inputs[1 - i]!;
    if (factor !== undefined && sameShape(rest.shape, x.shape)) return { factor, rest };
  }
  return undefined;
}

/**
 * a raised to b. A number as exponent is differentiable everywhere its derivative exists; a tensor as exponent
 * has derivative a^b · log(a), which is NaN at a = 0.
 */
export function pow(a: Operand, b: Operand): Tensor {
  const [x, y] = operands("pow", a, b);
  const exponent = constantNumber(y);
  if (exponent !== undefined && sameShape(broadcastShapes("pow", x.shape, y.shape), x.shape)) {
    if (exponent === 0) return filled(1, x.shape, x.dtype);
    if (exponent === 1) return x;
    if (exponent === 2) return mul(x, x);
    if (exponent === 0.5) return sqrt(x);
    if (exponent === -1) return div(1, x);
  }
  return binary("pow", x, y);
}

/** The smaller of two; the gradient of a tie goes to the first operand. */
export const minimum = (a: Operand, b: Operand): Tensor => binary("minimum", a, b);
/** The larger of two; the gradient of a tie goes to the first operand. */
export const maximum = (a: Operand, b: Operand): Tensor => binary("maximum", a, b);

export const greater = (a: Operand, b: Operand): Tensor => binary("greater", a, b);
export const greaterEqual = (a: Operand, b: Operand): Tensor => binary("greaterEqual", a, b);
export const less = (a: Operand, b: Operand): Tensor => binary("less", a, b);
export const lessEqual = (a: Operand, b: Operand): Tensor => binary("lessEqual", a, b);
export const equal = (a: Operand, b: Operand): Tensor => binary("equal", a, b);
export const notEqual = (a: Operand, b: Operand): Tensor => not(equal(a, b));
export const and = (a: Tensor, b: Tensor): Tensor => binary("and", a, b);
export const or = (a: Tensor, b: Tensor): Tensor => binary("or", a, b);
export const not = (x: Tensor): Tensor => (x.op === "not" ? x.inputs[0]! : apply("not", [x], {}));

/** Elements of a where the condition (bool) holds, of b elsewhere. The gradient reaches only the chosen side. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const [x, y] = operands("where", a, b);
  if (x.dtype !== y.dtype) return apply("where", [condition, x, y], {});
  const left = shrink(x, broadcastShapes("where", condition.shape, y.shape));
  const right = shrink(y, broadcastShapes("where", condition.shape, left.shape));
  return apply("where", [condition, left, right], {});
}

function unary(op: UnaryOperator): (x: Tensor) => Tensor {
  return (x) => apply(op, [x], {});
}

export function neg(x: Tensor): Tensor {
  if (x.op === "neg") return x.inputs[0]!;
  const value = constantNumber(x);
  if (value !== undefined) return filled(-value, x.shape, x.dtype);
  const parts = factored(x);
  return parts === undefined ? apply("neg", [x], {}) : mul(parts.rest, -parts.factor);
}
export const exp = unary("exp");
export const log = unary("log");
export const tanh = unary("tanh");
/** 1 / (1 + e^−x). The float32 kernel is an approximation: take log-probabilities from softplus instead. */
export const sigmoid = unary("sigmoid");
/** Square root; its derivative is infinite at 0, so add a small number inside where 0 can occur. */
export const sqrt = unary("sqrt");
/** log(1 + e^x) */
export const softplus = unary("softplus");
/** max(x, 0); derivative 0 at 0 */
export const relu = unary("relu");
/** |x|; derivative 0 at 0 */
export const abs = unary("abs");
/** −1, 0 or 1; derivative 0 */
export const sign = unary("sign");
/** Gauss error function (no float64 kernel in ONNX Runtime) */
export const erf = unary("erf");
export const square = (x: Tensor): Tensor => mul(x, x);

/**
 * x limited to [low, high]; either bound may be a tensor that broadcasts. The derivative is 1 inside and on
 * the bounds, 0 outside (PyTorch 1.13 agrees; 2.15 gives 0 on the bounds).
 */
export function clip(x: Tensor, low: Operand, high: Operand): Tensor {
  if (typeof low === "number" && typeof high === "number") return apply("clip", [x], { low, high });
  // A tie of minimum and maximum goes to the first operand: the same convention on the bounds.
  return minimum(maximum(x, low), high);
}

/** The same values in another dtype; floats become integers by truncation, any non-zero value is true. */
export function cast(x: Tensor, to: DType): Tensor {
  if (x.dtype === to) return x;
  const value = constantNumber(x);
  if (value !== undefined && isFloat(x.dtype) && isFloat(to)) return filled(value, x.shape, to);
  return apply("cast", [x], { to });
}
