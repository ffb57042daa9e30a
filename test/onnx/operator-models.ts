/** One small valid model for each operator: what the engine's kernels are measured with, and seeds for fuzzing. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "../../src/onnx/gen/onnx_pb.js";

type Attribute = MessageInitShape<typeof AttributeProtoSchema>;
type Literal = MessageInitShape<typeof TensorProtoSchema>;

export const attribute = {
  int: (name: string, i: number): Attribute => ({ name, type: AttributeType.INT, i: BigInt(i) }),
  ints: (name: string, values: readonly number[]): Attribute => ({
    name,
    type: AttributeType.INTS,
    ints: values.map(BigInt),
  }),
  text: (name: string, s: string): Attribute => ({
    name,
    type: AttributeType.STRING,
    s: new TextEncoder().encode(s),
  }),
};

/** A tensor input or output with static sizes, or names for sizes. */
export function value(
  name: string,
  elemType: DataType,
  shape: readonly (number | string)[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((d) =>
    typeof d === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(d) } }
      : { value: { case: "dimParam" as const, value: d } },
  );
  return { name, type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } } };
}

export function int64(name: string, values: readonly number[], dims?: readonly number[]): Literal {
  return {
    name,
    dataType: DataType.INT64,
    dims: (dims ?? [values.length]).map(BigInt),
    int64Data: values.map(BigInt),
  };
}

/** A float literal of the model's element type. */
function float(type: DataType, name: string, values: readonly number[], dims: readonly number[]): Literal {
  const data = type === DataType.DOUBLE ? { doubleData: [...values] } : { floatData: [...values] };
  return { name, dataType: type, dims: dims.map(BigInt), ...data };
}

interface Case {
  readonly opType: string;
  /** shapes of the float inputs */
  readonly inputs: readonly (readonly number[])[];
  readonly attributes?: readonly Attribute[];
  readonly literals?: readonly Literal[];
  /** names of inputs and literals in the node's order; default: inputs x0, x1, … and then literals */
  readonly order?: readonly string[];
  readonly outputs?: readonly { readonly shape: readonly number[]; readonly type?: DataType }[];
  /** inputs of other element types */
  readonly others?: Readonly<Record<string, readonly [DataType, readonly number[]]>>;
}

export interface OperatorModel {
  readonly opType: string;
  readonly bytes: Uint8Array;
}

const words = (text: string) => text.split(" ");

function cases(type: DataType, opset: number): Case[] {
  const { int, ints, text } = attribute;
  /** Integers that are an input from an operator set on, and an attribute before. */
  const since = (first: number, name: string, values: readonly number[]) =>
    opset >= first ? { literals: [int64(name, values)] } : { attributes: [ints(name, values)] };
  const [x, bool] = [[2, 4], DataType.BOOL];
  const same = { inputs: [x], outputs: [{ shape: x }] };
  const pair = { inputs: [x, x], outputs: [{ shape: x }] };
  const toInts = (shape: readonly number[]) => [{ shape, type: DataType.INT64 }];
  const gates = (n: number) => [
    [3, 2, 4],
    [1, 5 * n, 4],
    [1, 5 * n, 5],
    [1, 10 * n],
  ];
  const recurrent = (n: number) => ({
    inputs: gates(n),
    outputs: [{ shape: [3, 1, 2, 5] }, { shape: [1, 2, 5] }],
  });
  return [
    ...words(
      "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Hardmax " +
        "Identity LeakyRelu Log LogSoftmax LpNormalization Mish Neg Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softmax " +
        "Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Flatten Dropout Trilu",
    ).map((opType) => ({ opType, ...same })),
    ...words("IsNaN IsInf").map((opType) => ({ opType, inputs: [x], outputs: [{ shape: x, type: bool }] })),
    ...words("Add Sub Mul Div Pow Min Max Mean Sum PRelu").map((opType) => ({ opType, ...pair })),
    { opType: "Mod", ...pair, attributes: [int("fmod", 1)] },
    ...words("Greater GreaterOrEqual Less LessOrEqual Equal").map((opType) => ({
      opType,
      inputs: [x, x],
      outputs: [{ shape: x, type: bool }],
    })),
    ...words("And Or Xor").map((opType) => ({
      opType,
      inputs: [],
      others: { a: [bool, x] as const, b: [bool, x] as const },
      order: ["a", "b"],
      outputs: [{ shape: x, type: bool }],
    })),
    {
      opType: "Not",
      inputs: [],
      others: { a: [bool, x] },
      order: ["a"],
      outputs: [{ shape: x, type: bool }],
    },
    { opType: "Where", ...pair, others: { c: [bool, x] }, order: ["c", "x0", "x1"] },
    { opType: "Transpose", inputs: [x], attributes: [ints("perm", [1, 0])], outputs: [{ shape: [4, 2] }] },
    { opType: "Shape", inputs: [x], outputs: toInts([2]) },
    { opType: "Size", inputs: [x], outputs: toInts([]) },
    { opType: "NonZero", inputs: [x], outputs: [] },
    {
      opType: "Gemm",
      inputs: [[2, 4], [4, 3], [3]],
      outputs: [{ shape: [2, 3] }],
    },
    {
      opType: "MatMul",
      inputs: [
        [5, 2, 4],
        [5, 4, 3],
      ],
      outputs: [{ shape: [5, 2, 3] }],
    },
    ...words(
      "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare",
    ).map((opType) => ({
      opType,
      inputs: [x],
      outputs: [{ shape: [2, 1] }],
      ...since(opType === "ReduceSum" ? 13 : 18, "axes", [1]),
    })),
    ...words("ArgMax ArgMin").map((opType) => ({
      opType,
      inputs: [x],
      attributes: [int("axis", 1)],
      outputs: toInts([2, 1]),
    })),
    { opType: "CumSum", ...same, literals: [int64("axis", [1], [])] },
    { opType: "Clip", ...same, literals: [float(type, "low", [-1], []), float(type, "high", [1], [])] },
    {
      opType: "Cast",
      inputs: [x],
      attributes: [int("to", DataType.FLOAT)],
      outputs: [{ shape: x, type: DataType.FLOAT }],
    },
    { opType: "CastLike", ...pair },
    { opType: "Reshape", inputs: [x], literals: [int64("shape", [4, -1])], outputs: [{ shape: [4, 2] }] },
    { opType: "Expand", inputs: [x], literals: [int64("shape", [3, 2, 4])], outputs: [{ shape: [3, 2, 4] }] },
    { opType: "Tile", inputs: [x], literals: [int64("repeats", [2, 1])], outputs: [{ shape: [4, 4] }] },
    { opType: "Squeeze", inputs: [[1, 4]], ...since(13, "axes", [0]), outputs: [{ shape: [4] }] },
    { opType: "Unsqueeze", inputs: [x], ...since(13, "axes", [0]), outputs: [{ shape: [1, 2, 4] }] },
    { opType: "Concat", inputs: [x, x], attributes: [int("axis", 0)], outputs: [{ shape: [4, 4] }] },
    {
      opType: "Split",
      inputs: [[4, 2]],
      ...since(13, "split", [1, 3]),
      outputs: [{ shape: [1, 2] }, { shape: [3, 2] }],
    },
    {
      opType: "Slice",
      inputs: [x],
      literals: [int64("starts", [1]), int64("ends", [9]), int64("axes", [1]), int64("steps", [2])],
      outputs: [{ shape: [2, 2] }],
    },
    { opType: "Pad", inputs: [x], literals: [int64("pads", [0, 0, 1, 1])], outputs: [{ shape: [3, 5] }] },
    { opType: "Gather", inputs: [x], literals: [int64("indices", [1, 0, 1])], outputs: [{ shape: [3, 4] }] },
    {
      opType: "GatherElements",
      inputs: [x],
      literals: [int64("indices", [1, 0, 1, 0], [1, 4])],
      outputs: [{ shape: [1, 4] }],
    },
    {
      opType: "GatherND",
      inputs: [x],
      literals: [int64("indices", [0, 1], [1, 2])],
      outputs: [{ shape: [1] }],
    },
    {
      opType: "ScatterElements",
      inputs: [[2], [2]],
      literals: [int64("indices", [1, 0])],
      order: ["x0", "indices", "x1"],
      attributes: opset >= 16 ? [text("reduction", "add")] : [],
      outputs: [{ shape: [2] }],
    },
    {
      opType: "ScatterND",
      inputs: [[2], [2]],
      literals: [int64("indices", [0, 1], [2, 1])],
      order: ["x0", "indices", "x1"],
      attributes: opset >= 16 ? [text("reduction", "add")] : [],
      outputs: [{ shape: [2] }],
    },
    {
      opType: "OneHot",
      inputs: [],
      others: { indices: [DataType.INT64, [2]] },
      literals: [int64("depth", [3], []), float(type, "values", [0, 1], [2])],
      order: ["indices", "depth", "values"],
      outputs: [{ shape: [2, 3] }],
    },
    { opType: "LayerNormalization", inputs: [x, [4], [4]], outputs: [{ shape: x }] },
    {
      opType: "GroupNormalization",
      inputs: [[2, 4, 3], [4], [4]],
      attributes: [int("num_groups", 2)],
      outputs: [{ shape: [2, 4, 3] }],
    },
    { opType: "BatchNormalization", inputs: [x, [4], [4], [4], [4]], outputs: [{ shape: x }] },
    { opType: "InstanceNormalization", inputs: [[2, 4, 3], [4], [4]], outputs: [{ shape: [2, 4, 3] }] },
    { opType: "RMSNormalization", inputs: [x, [4]], outputs: [{ shape: x }] },
    { opType: "GRU", ...recurrent(3), attributes: [int("hidden_size", 5), int("linear_before_reset", 1)] },
    { opType: "LSTM", ...recurrent(4), attributes: [int("hidden_size", 5)] },
    { opType: "RNN", ...recurrent(1), attributes: [int("hidden_size", 5)] },
    {
      opType: "Conv",
      inputs: [
        [1, 2, 5],
        [3, 2, 3],
      ],
      outputs: [{ shape: [1, 3, 3] }],
    },
    {
      opType: "ConvTranspose",
      inputs: [
        [1, 2, 5],
        [2, 3, 3],
      ],
      outputs: [{ shape: [1, 3, 7] }],
    },
    ...words("AveragePool MaxPool").map((opType) => ({
      opType,
      inputs: [[1, 2, 5]],
      attributes: [ints("kernel_shape", [2])],
      outputs: [{ shape: [1, 2, 4] }],
    })),
    ...words("GlobalAveragePool GlobalMaxPool").map((opType) => ({
      opType,
      inputs: [[1, 2, 5]],
      outputs: [{ shape: [1, 2, 1] }],
    })),
    {
      opType: "Einsum",
      inputs: [
        [2, 4],
        [4, 3],
      ],
      attributes: [text("equation", "ij,jk->ik")],
      outputs: [{ shape: [2, 3] }],
    },
    {
      opType: "TopK",
      inputs: [x],
      literals: [int64("k", [2])],
      outputs: [{ shape: [2, 2] }, { shape: [2, 2], type: DataType.INT64 }],
    },
    { opType: "Det", inputs: [[3, 3]], outputs: [{ shape: [] }] },
    { opType: "Multinomial", inputs: [x], outputs: [{ shape: [2, 1], type: DataType.INT32 }] },
    {
      opType: "ConstantOfShape",
      inputs: [],
      literals: [int64("shape", [2, 3])],
      attributes: [
        { name: "value", type: AttributeType.TENSOR, t: float(type, "", [0.5], [1]) as Attribute["t"] },
      ],
      outputs: [{ shape: [2, 3] }],
    },
    {
      opType: "Constant",
      inputs: [],
      attributes: [
        { name: "value", type: AttributeType.TENSOR, t: float(type, "", [0.5, 2], [2]) as Attribute["t"] },
      ],
      outputs: [{ shape: [2] }],
    },
    {
      opType: "Range",
      inputs: [],
      literals: [float(type, "start", [0], []), float(type, "limit", [3], []), float(type, "delta", [1], [])],
      outputs: [{ shape: [3] }],
    },
  ] as Case[];
}

/** The opset that brought an operator, if that is later than 11. */
const SINCE: Readonly<Record<string, number>> = {
  CastLike: 15,
  Celu: 12,
  Gelu: 20,
  GreaterOrEqual: 12,
  GroupNormalization: 18,
  HardSwish: 14,
  LayerNormalization: 17,
  LessOrEqual: 12,
  Mish: 18,
  RMSNormalization: 23,
  Swish: 24,
  Trilu: 14,
};

/**
 * @param type  element type of the float inputs
 * @param opset 11 or later; not every operator exists at every opset
 */
export function operatorModels(type: DataType.FLOAT | DataType.DOUBLE, opset: number): OperatorModel[] {
  const present = cases(type, opset).filter(({ opType }) => opset >= (SINCE[opType] ?? 0));
  return present.map((c) => {
    const { opType, inputs, attributes = [], literals = [], outputs = [], others = {} } = c;
    const names = inputs.map((_, i) => `x${i}`);
    const bytes = toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 9n,
        producerName: "operator-models",
        opsetImport: [{ domain: "", version: BigInt(opset) }],
        graph: {
          name: opType,
          node: [
            {
              opType,
              name: "node",
              input: [...(c.order ?? [...names, ...literals.map((l) => l.name!)])],
              output: outputs.length === 0 ? ["y0"] : outputs.map((_, i) => `y${i}`),
              attribute: [...attributes],
            },
          ],
          initializer: [...literals],
          input: [
            ...inputs.map((shape, i) => value(`x${i}`, type, shape)),
            ...Object.entries(others).map(([name, [otherType, shape]]) => value(name, otherType, shape)),
          ],
          output:
            outputs.length === 0
              ? [value("y0", DataType.INT64, ["rank", "found"])]
              : outputs.map((o, i) => value(`y${i}`, o.type ?? type, o.shape)),
        },
      }),
    );
    return { opType, bytes };
  });
}
