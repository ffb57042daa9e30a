import type { NdArray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import { formatDims, isFloat, sameShape, type Tensor } from "../tensor/index.js";
import { type Observer, runGraph, Scope, tensorValue } from "./importers/index.js";
import { isGraph, type Model, type ModelGraph, type ModelValue, readModel } from "./read.js";
import { InputBinder } from "./rows.js";
import { requireSupport } from "./support.js";

/** A model as a function over tensors, ready to be part of a larger computation and to be differentiated. */
export interface ImportedModel {
  readonly model: Model;
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The parameters by name: float initializers with at least one dimension that a node computes with. Shapes,
   * indices, bounds and single numbers (a clip limit, the √2 of a GELU) are none.
   */
  readonly weights: Readonly<Record<string, NdArray>>;
  /**
   * The outputs by name, in the current trace.
   *
   * @param inputs  a tensor for each input; where the model has a named size, any size fits. A model exported for
   *   one row, whose inputs have a 1 where the rows should be, takes any number of rows if every operator treats them
   *   one by one. int32 stands for int64.
   * @param weights tensors to compute with instead of the file's weights, of the same shape and dtype: what the
   *   outputs can then be differentiated by. Those left out stay constants.
   * @param observe is told every value by its name in the file, in order of computation
   * @throws UserError naming the input, the weight or the node that does not fit
   */
  apply(
    inputs: Readonly<Record<string, Tensor>>,
    weights?: Readonly<Record<string, Tensor>>,
    observe?: Observer,
  ): Record<string, Tensor>;
}

/**
 * Turn an ONNX file into a function over tensors. Understands the operators in `importers/`.
 *
 * @param place the file's name, for messages
 * @throws UserError as `readModel`, and for an operator that is not supported, by its name and its node's
 */
export function importModel(bytes: Uint8Array, place = "model"): ImportedModel {
  const model = readModel(bytes, place);
  requireSupport(model, place);
  const weights = weightsOf(model);
  const binder = new InputBinder(model, place);
  return {
    model,
    inputs: model.inputs,
    outputs: model.outputs,
    metadata: model.metadata,
    weights,
    apply: (inputs, given = {}, observe) => {
      checkWeights(weights, given, place);
      const { tensors, rows } = binder.bind(inputs);
      const scope = new Scope(model.opset, rows, observe);
      for (const [name, x] of tensors) scope.set(name, tensorValue(x));
      for (const [name, x] of Object.entries(given)) scope.set(name, tensorValue(x));
      const names = model.outputs.map((output) => output.name);
      const outputs = runGraph({ ...model, inputs: [], outputs: names }, scope, place);
      return Object.fromEntries(names.map((name, i) => [name, outputs[i]!]));
    },
  };
}

/** Operands that are read while importing, so that no tensor can stand there. */
const NUMBER_OPERANDS: Readonly<Record<string, readonly number[]>> = {
  Clip: [1, 2],
  CumSum: [1],
  Dropout: [1, 2],
  OneHot: [1, 2],
  Pad: [2],
  Range: [0, 1, 2],
};

function weightsOf(model: Model): Record<string, NdArray> {
  const computed = new Set<string>();
  const collect = ({ nodes }: Pick<ModelGraph, "nodes">) => {
    for (const { opType, inputs, attributes } of nodes) {
      for (const [i, name] of inputs.entries()) if (!NUMBER_OPERANDS[opType]?.includes(i)) computed.add(name);
      for (const attribute of Object.values(attributes)) if (isGraph(attribute)) collect(attribute);
    }
  };
  collect(model);
  return Object.fromEntries(
    [...model.initializers].filter(
      ([name, { dtype, shape }]) => isFloat(dtype) && shape.length > 0 && computed.has(name),
    ),
  );
}

function checkWeights(
  weights: Readonly<Record<string, NdArray>>,
  given: Readonly<Record<string, Tensor>>,
  place: string,
): void {
  for (const [name, x] of Object.entries(given)) {
    const own = Object.hasOwn(weights, name) ? weights[name] : undefined;
    if (own === undefined) {
      const cure = suggestion(name, Object.keys(weights));
      throw new UserError(`${place}, weight "${name}": the model has no weight of this name. ${cure}`.trim());
    }
    if (x.dtype !== own.dtype || !sameShape(x.shape, own.shape)) {
      throw new UserError(
        `${place}, weight "${name}": got ${x.dtype} ${formatDims(x.shape)}, expected ${own.dtype} ${formatDims(own.shape)}`,
      );
    }
  }
}
