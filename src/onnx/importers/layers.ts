import type { Tensor } from "../../tensor/index.js";
import * as t from "../../tensor/index.js";
import { type Importer, type NodeContext, one } from "./context.js";
import { tensorValue } from "./values.js";

/** Operators that are layers of a network: products, normalisations, dropout. */

/** numpy's matmul: a vector is a row on the left, a column on the right. */
function matmul(c: NodeContext): Tensor {
  const [a, b] = [c.tensor(0), c.tensor(1)];
  const [row, column] = [a.shape.length === 1, b.shape.length === 1];
  const y = t.matmul(row ? t.reshape(a, [1, ...a.shape]) : a, column ? t.reshape(b, [...b.shape, 1]) : b);
  if (!row && !column) return y;
  const batch = y.shape.slice(0, -2);
  return t.reshape(y, [
    ...batch,
    ...(row ? [] : y.shape.slice(-2, -1)),
    ...(column ? [] : y.shape.slice(-1)),
  ]);
}

/** α op(A) op(B) + β C */
function gemm(c: NodeContext): Tensor {
  const [alpha, beta] = [c.float("alpha", 1), c.float("beta", 1)];
  const [a, b] = [c.tensor(0), c.tensor(1)];
  const [transA, transB] = [c.flag("transA", false), c.flag("transB", false)];
  const bias = c.has(2) ? t.mul(c.tensor(2), beta) : undefined;
  if (alpha === 1) return t.gemm(a, b, transA, transB, bias);
  const y = t.mul(t.gemm(a, b, transA, transB), alpha);
  return bias === undefined ? y : t.add(y, bias);
}

/**
 * Along one axis (by default the last) since operator set 13; before, over all axes from the given one (by default 1)
 * together.
 */
const softmax =
  (fn: (x: Tensor, axis: number) => Tensor): Importer =>
  (c) => {
    const x = c.tensor(0);
    if (c.opset >= 13) return one(fn(x, c.int("axis", -1)));
    const rank = x.shape.length;
    const given = c.int("axis", 1);
    const axis = given < 0 ? given + rank : given;
    if (axis < 0 || axis > rank) throw c.wrong("axis", given, `an axis of a tensor of rank ${rank}`);
    if (axis === rank - 1) return one(fn(x, axis));
    const rest = x.shape.slice(axis);
    if (t.hasFree(rest)) throw c.fail("it normalises over the rows, which are free here");
    const flat = t.reshape(x, [...x.shape.slice(0, axis), rest.reduce((n, d) => n * d, 1)]);
    return one(t.reshape(fn(flat, axis), x.shape));
  };

/** Zero mean and unit variance over the axes from `axis` on, then scale and bias (Ba et al. 2016). */
function layerNormalization(c: NodeContext): readonly Tensor[] {
  const x = c.tensor(0);
  const given = c.int("axis", -1);
  const first = given < 0 ? given + x.shape.length : given;
  if (first < 0 || first >= x.shape.length)
    throw c.wrong("axis", given, `an axis of a tensor of rank ${x.shape.length}`);
  const axes = x.shape.flatMap((_, i) => (i >= first ? [i] : []));
  // Says in which precision to compute; ours is that of the data.
  c.attribute("stash_type");
  const mean = t.mean(x, axes, true);
  const centred = t.sub(x, mean);
  const variance = t.mean(t.square(centred), axes, true);
  const inverse = t.div(1, t.sqrt(t.add(variance, c.float("epsilon", 1e-5))));
  const scaled = t.mul(t.mul(centred, inverse), c.tensor(1));
  return [c.has(2) ? t.add(scaled, c.tensor(2)) : scaled, mean, inverse];
}

/** With the statistics of the file: (x − mean) / √(variance + ε) · scale + bias along axis 1 (Ioffe, Szegedy 2015). */
function batchNormalization(c: NodeContext): Tensor {
  const x = c.tensor(0);
  c.require("training_mode", 0);
  c.require("spatial", 1);
  // How fast the statistics move in training.
  c.attribute("momentum");
  const channel = (i: number) => {
    const v = c.tensor(i);
    return t.reshape(v, [...v.shape, ...x.shape.slice(2).map(() => 1)]);
  };
  const [scale, bias, mean, variance] = [channel(1), channel(2), channel(3), channel(4)];
  const factor = t.div(scale, t.sqrt(t.add(variance, c.float("epsilon", 1e-5))));
  return t.add(t.mul(t.sub(x, mean), factor), bias);
}

/** Nothing is dropped when a policy acts. */
function dropout(c: NodeContext): readonly Tensor[] {
  const x = c.tensor(0);
  for (const name of ["ratio", "seed"]) c.attribute(name);
  c.ignore(1);
  if (c.has(2) && c.number(2, 0) !== 0)
    throw c.fail("it is in training mode; export the model in eval() mode");
  return [x, t.filled(1, x.shape, "bool")];
}

export const layers: Readonly<Record<string, Importer>> = {
  MatMul: (c) => one(matmul(c)),
  Gemm: (c) => one(gemm(c)),
  Softmax: softmax(t.softmax),
  LogSoftmax: softmax(t.logSoftmax),
  LayerNormalization: (c) => layerNormalization(c).map(tensorValue),
  BatchNormalization: (c) => one(batchNormalization(c)),
  Dropout: (c) => dropout(c).map(tensorValue),
};
