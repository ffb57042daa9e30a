import type { DType } from "../../core/array.js";
import type { Tensor } from "../../tensor/index.js";
import * as t from "../../tensor/index.js";
import { dtypeOf, typeName } from "../arrays.js";
import { type Importer, type NodeContext, one } from "./context.js";

/** Operators that work element by element, with numpy's broadcasting. */

const unary =
  (fn: (x: Tensor) => Tensor): Importer =>
  (c) =>
    one(fn(c.tensor(0)));

/** With one number as attribute. */
const parametric =
  (name: string, absent: number, fn: (x: Tensor, parameter: number) => Tensor): Importer =>
  (c) =>
    one(fn(c.tensor(0), c.float(name, absent)));

const binary =
  (fn: (a: Tensor, b: Tensor) => Tensor): Importer =>
  (c) =>
    one(fn(c.tensor(0), c.tensor(1)));

const variadic =
  (fn: (a: Tensor, b: Tensor) => Tensor): Importer =>
  (c) =>
    one(c.tensors.reduce(fn));

/** The positive side as it is, another function of min(x, 0) on the other: no overflow where it is not used. */
function sides(x: Tensor, negative: (x: Tensor) => Tensor): Tensor {
  return t.add(t.relu(x), negative(t.minimum(x, 0)));
}

/** α (e^x − 1) */
const expm1 = (x: Tensor, alpha: number) => t.mul(t.sub(t.exp(x), 1), alpha);

/** x Φ(x), or its approximation by a tanh (Hendrycks and Gimpel 2016). */
function gelu(c: NodeContext): Tensor {
  const x = c.tensor(0);
  const approximate = c.text("approximate", "none");
  if (approximate !== "none" && approximate !== "tanh")
    throw c.wrong("approximate", approximate, '"none" or "tanh"');
  if (approximate === "none") return t.mul(t.mul(x, 0.5), t.add(t.erf(t.div(x, Math.SQRT2)), 1));
  const cubic = t.add(x, t.mul(t.mul(t.mul(x, x), x), 0.044715));
  return t.mul(t.mul(x, 0.5), t.add(t.tanh(t.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
}

/** The exponent may have a dtype of its own. */
function pow(c: NodeContext): Tensor {
  const [x, y] = [c.tensor(0), c.tensor(1)];
  if (t.isFloat(x.dtype)) return t.pow(x, t.cast(y, x.dtype));
  return t.cast(t.pow(t.cast(x, "float64"), t.cast(y, "float64")), x.dtype);
}

/** Bounds: attributes before operator set 11, inputs from then on, where they may be computed. */
function clip(c: NodeContext): Tensor {
  const x = c.tensor(0);
  if (c.opset < 11) return t.clip(x, c.float("min", -Infinity), c.float("max", Infinity));
  const bound = (i: number, absent: number) => (c.has(i) ? (c.knownNumber(i) ?? c.tensor(i)) : absent);
  return t.clip(x, bound(1, -Infinity), bound(2, Infinity));
}

/** Towards zero, as far as int64 reaches; without a derivative. */
const truncate = (x: Tensor) => t.cast(t.cast(x, "int64"), x.dtype);

/** The next integer below (sign 1) or above (−1). */
function towards(x: Tensor, sign: 1 | -1): Tensor {
  const near = truncate(x);
  const beyond = sign === 1 ? t.greater(near, x) : t.less(near, x);
  return t.where(beyond, t.sub(near, t.scalar(sign, x.dtype)), near);
}

/** a − q b with the sign of the divisor, or with `fmod` that of the dividend. */
function mod(c: NodeContext): Tensor {
  const [a, b] = [c.tensor(0), c.tensor(1)];
  const ofDividend = c.flag("fmod", false);
  // Division of integers truncates by itself.
  const quotient = t.isFloat(a.dtype) ? truncate(t.div(a, b)) : t.div(a, b);
  const rest = t.sub(a, t.mul(quotient, b));
  const [sign, step] = ofDividend ? [a, t.mul(t.abs(b), t.sign(a))] : [b, b];
  return t.where(t.less(t.mul(rest, sign), t.scalar(0, a.dtype)), t.add(rest, step), rest);
}

function cast(c: NodeContext): Tensor {
  const to = c.int("to");
  const dtype = dtypeOf(to);
  // Says what happens to numbers too large for 8-bit floats, which we have none of.
  c.attribute("saturate");
  if (dtype === undefined) throw c.fail(`casts to ${typeName(to)}, which is not supported`);
  return t.cast(c.tensor(0), dtype);
}

function castLike(c: NodeContext): Tensor {
  c.attribute("saturate");
  return t.cast(c.tensor(0), dtypeAt(c, 1));
}

function dtypeAt(c: NodeContext, i: number): DType {
  const value = c.value(i);
  if (value.kind === "sizes") return "int64";
  return value.kind === "literal" ? value.array.dtype : value.tensor.dtype;
}

export const elementwise: Readonly<Record<string, Importer>> = {
  Neg: unary(t.neg),
  Exp: unary(t.exp),
  Log: unary(t.log),
  Sqrt: unary(t.sqrt),
  Reciprocal: unary((x) => t.div(1, x)),
  Abs: unary(t.abs),
  Sign: unary(t.sign),
  Floor: unary((x) => towards(x, 1)),
  Ceil: unary((x) => towards(x, -1)),
  Erf: unary(t.erf),
  Not: unary(t.not),

  Tanh: unary(t.tanh),
  Sigmoid: unary(t.sigmoid),
  Softplus: unary(t.softplus),
  Softsign: unary((x) => t.div(x, t.add(t.abs(x), 1))),
  Relu: unary(t.relu),
  LeakyRelu: parametric("alpha", 0.01, (x, alpha) => t.where(t.greater(x, 0), x, t.mul(x, alpha))),
  PRelu: binary((x, slope) => t.where(t.greater(x, 0), x, t.mul(x, slope))),
  Elu: parametric("alpha", 1, (x, alpha) => sides(x, (s) => expm1(s, alpha))),
  Celu: parametric("alpha", 1, (x, alpha) => sides(x, (s) => expm1(t.div(s, alpha), alpha))),
  Selu: (c) => {
    // Klambauer et al. 2017, as float32
    const alpha = c.float("alpha", 1.6732631921768188);
    return one(
      t.mul(
        sides(c.tensor(0), (s) => expm1(s, alpha)),
        c.float("gamma", 1.0507010221481323),
      ),
    );
  },
  Gelu: (c) => one(gelu(c)),
  Mish: unary((x) => t.mul(x, t.tanh(t.softplus(x)))),
  HardSigmoid: (c) =>
    one(t.clip(t.add(t.mul(c.tensor(0), c.float("alpha", 0.2)), c.float("beta", 0.5)), 0, 1)),
  HardSwish: unary((x) => t.mul(x, t.clip(t.add(t.div(x, 6), 0.5), 0, 1))),
  Clip: (c) => one(clip(c)),
  Cast: (c) => one(cast(c)),
  CastLike: (c) => one(castLike(c)),

  Add: binary(t.add),
  Sub: binary(t.sub),
  Mul: binary(t.mul),
  Div: binary(t.div),
  Mod: (c) => one(mod(c)),
  Pow: (c) => one(pow(c)),
  Sum: variadic(t.add),
  Min: variadic(t.minimum),
  Max: variadic(t.maximum),
  Greater: binary(t.greater),
  GreaterOrEqual: binary(t.greaterEqual),
  Less: binary(t.less),
  LessOrEqual: binary(t.lessEqual),
  Equal: binary(t.equal),
  And: binary(t.and),
  Or: binary(t.or),
  Xor: binary((a, b) => t.not(t.equal(a, b))),
  Where: (c) => one(t.where(c.tensor(0), c.tensor(1), c.tensor(2))),
};
