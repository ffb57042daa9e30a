import type { DType } from "../core/array.js";
import type { Tensor } from "./graph.js";
import {
  type Dim,
  FREE,
  type Operator,
  type OperatorAttributes,
  type ReductionAttributes,
} from "./operators.js";
import {
  broadcastShapes,
  formatDims,
  isFloat,
  normalizeAxis,
  reducedShape,
  requireStatic,
  sameShape,
  staticSize,
  TensorError,
} from "./shape.js";

/** Shape and dtype of a result. */
export interface Signature {
  readonly shape: readonly Dim[];
  readonly dtype: DType;
}

export type ShapeRule<O extends Operator> = (
  inputs: readonly Tensor[],
  attrs: OperatorAttributes[O],
) => Signature;

type Kind = "float" | "number" | "bool";

function requireKind(op: string, x: Tensor, kind: Kind): void {
  const ok = kind === "float" ? isFloat(x.dtype) : kind === "bool" ? x.dtype === "bool" : x.dtype !== "bool";
  if (!ok) {
    const expected = { float: "float32 or float64", number: "a numeric dtype", bool: "bool" }[kind];
    throw new TensorError(`${op}: got ${x.dtype}${formatDims(x.shape)}, expected ${expected}`);
  }
}

function requireSameDtype(op: string, a: Tensor, b: Tensor): void {
  if (a.dtype !== b.dtype) {
    throw new TensorError(
      `${op}: dtypes ${a.dtype}${formatDims(a.shape)} and ${b.dtype}${formatDims(b.shape)} differ; cast one of them`,
    );
  }
}

/** Same shape and dtype as the only input. */
function unary(op: string, kind: Kind): (inputs: readonly Tensor[]) => Signature {
  return ([x]) => {
    requireKind(op, x!, kind);
    return { shape: x!.shape, dtype: x!.dtype };
  };
}

function binary(op: string, kind: Kind, result?: "bool"): (inputs: readonly Tensor[]) => Signature {
  return ([a, b]) => {
    requireSameDtype(op, a!, b!);
    requireKind(op, a!, kind);
    return { shape: broadcastShapes(op, a!.shape, b!.shape), dtype: result ?? a!.dtype };
  };
}

function along(op: string, kind: Kind): (inputs: readonly Tensor[], attrs: { axis: number }) => Signature {
  return ([x], { axis }) => {
    requireKind(op, x!, kind);
    normalizeAxis(op, axis, x!.shape.length);
    return { shape: x!.shape, dtype: x!.dtype };
  };
}

function reduction(
  op: string,
  kind: Kind,
): (inputs: readonly Tensor[], attrs: ReductionAttributes) => Signature {
  return ([x], { axes, keepDims }) => {
    requireKind(op, x!, kind);
    return { shape: reducedShape(x!.shape, axes, keepDims), dtype: x!.dtype };
  };
}

function requireIndices(op: string, indices: Tensor): void {
  if (indices.dtype !== "int32" && indices.dtype !== "int64") {
    throw new TensorError(
      `${op}: got indices ${indices.dtype}${formatDims(indices.shape)}, expected int32 or int64`,
    );
  }
}

/** `a` and `b` with the given axis left out. */
function without(shape: readonly Dim[], axis: number): Dim[] {
  return shape.filter((_, i) => i !== axis);
}

export const shapeRules: { readonly [O in Operator]: ShapeRule<O> } = {
  input: (_, { shape, dtype, name }) => {
    for (const [i, d] of shape.entries()) {
      if (d === FREE ? i !== 0 : !Number.isInteger(d) || d < 0) {
        throw new TensorError(
          `input "${name}": got shape ${formatDims(shape)}, expected sizes ≥ 0; only the first dimension may be free`,
        );
      }
    }
    return { shape, dtype };
  },
  constant: (_, { value }) => ({ shape: value.shape, dtype: value.dtype }),
  stopGradient: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
  withDerivative: ([value, x, derivative]) => {
    requireKind("withDerivative", value!, "float");
    for (const other of [x!, derivative!]) {
      if (!sameShape(other.shape, value!.shape) || other.dtype !== value!.dtype) {
        throw new TensorError(
          `withDerivative: got ${other} for the value ${value}, expected its shape and dtype`,
        );
      }
    }
    return { shape: value!.shape, dtype: value!.dtype };
  },
  refuseGradient: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),

  neg: unary("neg", "number"),
  exp: unary("exp", "float"),
  log: unary("log", "float"),
  tanh: unary("tanh", "float"),
  sigmoid: unary("sigmoid", "float"),
  sqrt: unary("sqrt", "float"),
  softplus: unary("softplus", "float"),
  relu: unary("relu", "number"),
  abs: unary("abs", "number"),
  sign: unary("sign", "number"),
  erf: unary("erf", "float"),
  not: unary("not", "bool"),
  clip: ([x], { low, high }) => {
    requireKind("clip", x!, "number");
    if (!(low <= high)) throw new TensorError(`clip: got bounds ${low} and ${high}, expected low ≤ high`);
    return { shape: x!.shape, dtype: x!.dtype };
  },
  cast: ([x], { to }) => ({ shape: x!.shape, dtype: to }),

  add: binary("add", "number"),
  sub: binary("sub", "number"),
  mul: binary("mul", "number"),
  div: binary("div", "number"),
  pow: binary("pow", "float"),
  minimum: binary("minimum", "number"),
  maximum: binary("maximum", "number"),
  greater: binary("greater", "number", "bool"),
  greaterEqual: binary("greaterEqual", "number", "bool"),
  less: binary("less", "number", "bool"),
  lessEqual: binary("lessEqual", "number", "bool"),
  equal: ([a, b]) => {
    requireSameDtype("equal", a!, b!);
    return { shape: broadcastShapes("equal", a!.shape, b!.shape), dtype: "bool" };
  },
  and: binary("and", "bool"),
  or: binary("or", "bool"),
  where: ([condition, a, b]) => {
    requireKind("where", condition!, "bool");
    requireSameDtype("where", a!, b!);
    const branches = broadcastShapes("where", a!.shape, b!.shape);
    return { shape: broadcastShapes("where", condition!.shape, branches), dtype: a!.dtype };
  },

  matmul: ([a, b]) => {
    requireSameDtype("matmul", a!, b!);
    requireKind("matmul", a!, "number");
    const [x, y] = [a!.shape, b!.shape];
    if (x.length < 2 || y.length < 2 || x[x.length - 1] !== y[y.length - 2]) {
      throw new TensorError(
        `matmul: shapes ${formatDims(x)} and ${formatDims(y)} do not fit, expected […, n, k] and […, k, m]`,
      );
    }
    const batch = broadcastShapes("matmul", x.slice(0, -2), y.slice(0, -2));
    return { shape: [...batch, x[x.length - 2]!, y[y.length - 1]!], dtype: a!.dtype };
  },
  gemm: ([a, b, c], { transA, transB }) => {
    requireSameDtype("linear", a!, b!);
    requireKind("linear", a!, "float");
    const x = transA ? [...a!.shape].reverse() : a!.shape;
    const y = transB ? [...b!.shape].reverse() : b!.shape;
    if (x.length !== 2 || y.length !== 2 || x[1] !== y[0]) {
      throw new TensorError(
        `linear: shapes ${formatDims(x)} and ${formatDims(y)} do not fit, expected [n, k] and [k, m]`,
      );
    }
    const shape = [x[0]!, y[1]!];
    if (c !== undefined) {
      requireSameDtype("linear", a!, c);
      if (!sameShape(broadcastShapes("linear", shape, c.shape), shape)) {
        throw new TensorError(
          `linear: bias ${formatDims(c.shape)} does not broadcast to the result ${formatDims(shape)}`,
        );
      }
    }
    return { shape, dtype: a!.dtype };
  },

  softmax: along("softmax", "float"),
  logSoftmax: along("logSoftmax", "float"),
  sum: reduction("sum", "number"),
  sumSquare: reduction("sumSquare", "number"),
  mean: ([x], { axes, keepDims }) => {
    requireKind("mean", x!, "float");
    for (const axis of axes) requireStatic("mean", x!.shape, axis);
    return { shape: reducedShape(x!.shape, axes, keepDims), dtype: x!.dtype };
  },
  max: reduction("max", "number"),
  min: reduction("min", "number"),
  logSumExp: reduction("logSumExp", "float"),
  argMax: ([x], { axis }) => {
    requireKind("argMax", x!, "number");
    return { shape: reducedShape(x!.shape, [axis], true), dtype: "int64" };
  },
  cumsum: along("cumsum", "number"),

  reshape: ([x], { shape }) => {
    const free = (s: readonly Dim[]) => s.filter((d) => d === FREE).length;
    if (free(shape) !== free(x!.shape) || free(shape) > 1 || staticSize(shape) !== staticSize(x!.shape)) {
      throw new TensorError(
        `reshape: ${formatDims(x!.shape)} cannot become ${formatDims(shape)}, expected equal element counts`,
      );
    }
    return { shape, dtype: x!.dtype };
  },
  transpose: ([x], { permutation }) => {
    const rank = x!.shape.length;
    if (permutation.length !== rank || new Set(permutation).size !== rank) {
      throw new TensorError(
        `transpose: got permutation [${permutation}] for shape ${formatDims(x!.shape)}, expected each axis once`,
      );
    }
    return {
      shape: permutation.map((axis) => x!.shape[normalizeAxis("transpose", axis, rank)]!),
      dtype: x!.dtype,
    };
  },
  expand: ([x], { shape }) => {
    if (!sameShape(broadcastShapes("expand", x!.shape, shape), shape)) {
      throw new TensorError(`expand: ${formatDims(x!.shape)} does not broadcast to ${formatDims(shape)}`);
    }
    return { shape, dtype: x!.dtype };
  },
  concat: (parts, { axis }) => {
    const first = parts[0]!;
    let size = 0;
    for (const part of parts) {
      requireSameDtype("concat", first, part);
      if (
        part.shape.length !== first.shape.length ||
        !sameShape(without(part.shape, axis), without(first.shape, axis))
      ) {
        throw new TensorError(
          `concat: shapes ${formatDims(first.shape)} and ${formatDims(part.shape)} differ outside axis ${axis}`,
        );
      }
      size += requireStatic("concat", part.shape, axis);
    }
    return { shape: first.shape.map((d, i) => (i === axis ? size : d)), dtype: first.dtype };
  },
  split: ([x], { axis, sizes }) => {
    const size = requireStatic("split", x!.shape, axis);
    const total = sizes.reduce((a, b) => a + b, 0);
    if (total !== size || sizes.some((s) => !Number.isInteger(s) || s < 0)) {
      throw new TensorError(
        `split: sizes [${sizes}] sum to ${total}, expected ${size}, the size of axis ${axis} of ${formatDims(x!.shape)}`,
      );
    }
    return { shape: x!.shape, dtype: x!.dtype };
  },
  part: ([split], { index }) => {
    const { axis, sizes } = split!.attrs as OperatorAttributes["split"];
    return { shape: split!.shape.map((d, i) => (i === axis ? sizes[index]! : d)), dtype: split!.dtype };
  },
  slice: ([x], { starts, ends, steps }) => ({
    shape: x!.shape.map((d, i) => {
      const [start, end, step] = [starts[i]!, ends[i]!, steps[i]!];
      if (start === 0 && end === d && step === 1) return d;
      requireStatic("slice", x!.shape, i);
      return Math.max(0, Math.ceil((end - start) / step));
    }),
    dtype: x!.dtype,
  }),
  pad: ([x], { before, after }) => ({
    shape: x!.shape.map((d, i) => {
      if (before[i] === 0 && after[i] === 0) return d;
      return before[i]! + requireStatic("pad", x!.shape, i) + after[i]!;
    }),
    dtype: x!.dtype,
  }),
  gather: ([x, indices], { axis }) => {
    requireIndices("gather", indices!);
    requireStatic("gather", x!.shape, axis);
    return {
      shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)],
      dtype: x!.dtype,
    };
  },
  gatherElements: ([x, indices], { axis }) => {
    requireIndices("gatherElements", indices!);
    requireStatic("gatherElements", x!.shape, axis);
    // ONNX permits smaller indices on the other axes; equal sizes are all that the gradient supports.
    if (
      x!.shape.length !== indices!.shape.length ||
      !sameShape(without(x!.shape, axis), without(indices!.shape, axis))
    ) {
      throw new TensorError(
        `gatherElements: data ${formatDims(x!.shape)} and indices ${formatDims(indices!.shape)} differ outside axis ${axis}`,
      );
    }
    return { shape: indices!.shape, dtype: x!.dtype };
  },
  scatterElements: ([updates, indices], { axis, size }) => {
    requireIndices("scatterElements", indices!);
    if (!sameShape(updates!.shape, indices!.shape)) {
      throw new TensorError(
        `scatterElements: updates ${formatDims(updates!.shape)} and indices ${formatDims(indices!.shape)} differ`,
      );
    }
    return { shape: updates!.shape.map((d, i) => (i === axis ? size : d)), dtype: updates!.dtype };
  },

  // No value of its own.
  scan: () => ({ shape: [], dtype: "bool" }),
  scanCarry: ([scan], { index }) => {
    const { shape, dtype } = bodyOf(scan!).carry[index]!;
    return { shape, dtype };
  },
  scanStack: ([scan], { value }) => {
    const { length, stop } = bodyOf(scan!);
    if (stop !== undefined) {
      throw new TensorError("scan: a loop that may stop early has no values of every step");
    }
    return { shape: [length, ...value.shape], dtype: value.dtype };
  },
};

const bodyOf = (scan: Tensor) => (scan.attrs as OperatorAttributes["scan"]).body;
