import { UserError } from "../core/errors.js";
import { importers } from "./importers/index.js";
import { isGraph, type Model, type ModelGraph, type ModelNode, shorten } from "./read.js";

/** Which models and operators can be imported, differentiated, and computed in float64. */

/** Versions of ONNX's operator set that the importers know the operators of. */
export const SUPPORTED_OPSETS = { oldest: 7, newest: 22 } as const;

export type ImportSupport = "differentiable" | "no gradient" | "not supported";

/**
 * Operators whose result is constant, an integer or a truth value, or changes in jumps: what is computed from them
 * does not depend on their inputs as far as a derivative goes.
 */
const WITHOUT_GRADIENT: ReadonlySet<string> = new Set(
  (
    "And ArgMax ArgMin Ceil Constant ConstantOfShape Equal EyeLike Floor Greater GreaterOrEqual IsInf IsNaN Less " +
    "LessOrEqual NonZero Not OneHot Or Range Round Shape Sign Size Xor"
  ).split(" "),
);

/** What importing makes of an operator. */
export function importSupport({ domain, opType }: Pick<ModelNode, "domain" | "opType">): ImportSupport {
  if (domain !== "" || !Object.hasOwn(importers, opType)) return "not supported";
  return WITHOUT_GRADIENT.has(opType) ? "no gradient" : "differentiable";
}

/** One node that cannot be imported. */
export interface UnsupportedNode {
  /** `node "x"`, with the nodes around it first */
  readonly where: string;
  readonly operator: string;
}

/** The nodes that cannot be imported, in order, those of graphs inside nodes after the node. */
export function unsupportedNodes(graph: Pick<ModelGraph, "nodes">): UnsupportedNode[] {
  return graph.nodes.flatMap((node) => {
    const where = `node "${shorten(node.name)}"`;
    const own = importSupport(node) === "not supported" ? [{ where, operator: operatorName(node) }] : [];
    const inner = Object.values(node.attributes)
      .filter(isGraph)
      .flatMap((body) => unsupportedNodes(body))
      .map((found) => ({ ...found, where: `${where}, ${found.where}` }));
    return [...own, ...inner];
  });
}

/** `Gemm`, `FusedGemm of domain "com.microsoft"`. */
export function operatorName({ domain, opType }: Pick<ModelNode, "domain" | "opType">): string {
  return domain === "" ? shorten(opType) : `${shorten(opType)} of domain "${shorten(domain)}"`;
}

/** Why the model's operator set cannot be imported; undefined if it can. */
export function unsupportedOpset({ opset }: Pick<Model, "opset">): string | undefined {
  const { oldest, newest } = SUPPORTED_OPSETS;
  if (opset >= oldest && opset <= newest) return undefined;
  return `got operator set ${opset}, expected ${oldest} to ${newest}; export it with opset ${opset < oldest ? oldest : newest}`;
}

/** @throws UserError for an operator set that is not supported, or by name and node for an operator */
export function requireSupport(model: Model, place: string): void {
  const opset = unsupportedOpset(model);
  if (opset !== undefined) throw new UserError(`${place}: ${opset}`);
  const [first] = unsupportedNodes(model);
  if (first !== undefined)
    throw new UserError(`${place}, ${first.where}: operator ${first.operator} is not supported`);
}

export type Float64Support = "yes" | "no" | "unknown";

/** Operators that compute in float64 at every opset that has them, or do not compute with floats. */
const FLOAT64: ReadonlySet<string> = new Set(
  (
    "Abs Add And ArgMax ArgMin BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape Cos CumSum Div Dropout " +
    "Einsum Equal Exp Expand Flatten Floor GRU Gather GatherElements GatherND Gemm Greater GreaterOrEqual " +
    "GroupNormalization Identity If IsInf IsNaN LSTM LayerNormalization Less LessOrEqual Log LogSoftmax Loop LpNormalization " +
    "MatMul Max MaxPool Min Mod Mul Neg Not Or Pad Pow RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum " +
    "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Scan " +
    "ScatterElements ScatterND Shape Sigmoid Sign Sin Size Slice Softmax Split Sqrt Squeeze Sub Sum Swish Tanh Tile TopK " +
    "Transpose Trilu Unsqueeze Where Xor"
  ).split(" "),
);

/** Operators without a float64 kernel at any opset. */
const NO_FLOAT64: ReadonlySet<string> = new Set(
  (
    "Acos Acosh Asin Asinh Atan Atanh AveragePool Celu Conv ConvTranspose Cosh Det Erf Gelu GlobalAveragePool GlobalMaxPool Hardmax " +
    "InstanceNormalization Mean Multinomial NonZero OneHot RNN Sinh Tan"
  ).split(" "),
);

/** Operators that compute in float64 only where the engine expands them into others: opset, first and last. */
const FLOAT64_AT: Readonly<Record<string, readonly [number, number]>> = {
  Elu: [18, 18],
  HardSigmoid: [18, 18],
  HardSwish: [18, 18],
  LeakyRelu: [16, 18],
  Mish: [18, 18],
  PRelu: [16, 18],
  Selu: [18, 18],
  Softplus: [18, 18],
  Softsign: [18, 18],
  ThresholdedRelu: [18, 18],
};

const MEASURED_OPSETS = { oldest: 13, newest: 24 };

/**
 * Does the engine have a float64 kernel? Measured with ONNX Runtime 1.30.0, CPU, one model for each operator and
 * opset; `test/onnx/support.test.ts` measures again.
 */
export function float64Support(
  { domain, opType }: Pick<ModelNode, "domain" | "opType">,
  opset: number,
): Float64Support {
  if (domain !== "" || opset < MEASURED_OPSETS.oldest || opset > MEASURED_OPSETS.newest) return "unknown";
  if (FLOAT64.has(opType)) return "yes";
  if (NO_FLOAT64.has(opType)) return "no";
  const range = Object.hasOwn(FLOAT64_AT, opType) ? FLOAT64_AT[opType] : undefined;
  if (range === undefined) return "unknown";
  return opset >= range[0] && opset <= range[1] ? "yes" : "no";
}
