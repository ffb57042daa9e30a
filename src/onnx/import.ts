import { type NdArray, sizeOf } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import {
  constant,
  FREE,
  formatDims,
  isFloat,
  named,
  sameShape,
  type Tensor,
  TensorError,
} from "../tensor/index.js";
import { MAX_RANK } from "./arrays.js";
import { importers, NodeContext, type Value } from "./importers.js";
import { type Model, type ModelValue, readModel, shorten } from "./read.js";
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
   * @param inputs  a tensor for each input; where the model has a named size, any size fits
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

/** Told what each name of the file stands for. */
export type Observer = (name: string, value: Value) => void;

/**
 * Turn an ONNX file into a function over tensors. Understands the operators in `importers.ts`.
 *
 * @param place the file's name, for messages
 * @throws UserError as `readModel`, and for an operator that is not supported, by its name and its node's
 */
export function importModel(bytes: Uint8Array, place = "model"): ImportedModel {
  const model = readModel(bytes, place);
  requireSupport(model, place);
  const weights = weightsOf(model);
  return {
    model,
    inputs: model.inputs,
    outputs: model.outputs,
    metadata: model.metadata,
    weights,
    apply: (inputs, given = {}, observe) => {
      checkWeights(weights, given, place);
      return applyModel(model, inputs, given, place, observe);
    },
  };
}

/** Operands that are read while importing, so that no tensor can stand there. */
const NUMBER_OPERANDS: Readonly<Record<string, readonly number[]>> = { Clip: [1, 2], Pad: [2] };

function weightsOf(model: Model): Record<string, NdArray> {
  const computed = new Set<string>();
  for (const { opType, inputs } of model.nodes) {
    for (const [i, name] of inputs.entries()) if (!NUMBER_OPERANDS[opType]?.includes(i)) computed.add(name);
  }
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

function applyModel(
  model: Model,
  inputs: Readonly<Record<string, Tensor>>,
  weights: Readonly<Record<string, Tensor>>,
  place: string,
  observe: Observer | undefined,
): Record<string, Tensor> {
  const values = new Map<string, Value>();
  const setValue = (name: string, value: Value) => {
    values.set(name, value);
    observe?.(name, value);
  };
  for (const value of model.inputs) setValue(value.name, { tensor: bind(value, inputs, place) });
  for (const [name, array] of model.initializers) {
    if (Object.hasOwn(weights, name)) {
      setValue(name, { tensor: weights[name]! });
      continue;
    }
    // Shapes, axes and positions stay numbers; as tensors they are needed only by computations.
    const ints =
      array.dtype === "int64" && array.shape.length <= 1 ? Array.from(array.data, Number) : undefined;
    setValue(name, { array, ints });
  }
  for (const node of model.nodes) {
    const where = `${place}, node "${shorten(node.name)}" (${node.opType})`;
    const context = new NodeContext(node, values, where);
    try {
      const results = importers[node.opType]!(context);
      context.checkAttributes();
      for (const [i, name] of node.outputs.entries()) {
        if (name === "") continue;
        const result = results[i];
        if (result === undefined)
          throw new UserError(`${where}: got ${node.outputs.length} outputs, expected ${results.length}`);
        if (result.tensor !== undefined) {
          checkSize(result.tensor, where);
          if (!name.startsWith("_")) named(result.tensor, name);
        }
        setValue(name, result);
      }
    } catch (error) {
      if (error instanceof TensorError) throw new UserError(`${where}: ${error.message}`, { cause: error });
      throw error;
    }
  }
  return Object.fromEntries(
    model.outputs.map((output) => {
      const { tensor, array, ints } = values.get(output.name)!;
      if (tensor !== undefined) return [output.name, tensor];
      if (array !== undefined) return [output.name, constant(array)];
      throw new UserError(`${place}, output "${output.name}": got the shape [${ints}], expected a tensor`);
    }),
  );
}

/** A file of a few nodes can double a rank or a size again and again. */
function checkSize({ shape }: Tensor, where: string): void {
  if (shape.length > MAX_RANK)
    throw new UserError(`${where}: its result has ${shape.length} dimensions, expected at most ${MAX_RANK}`);
  if (!shape.every((d) => d === FREE || Number.isSafeInteger(d)) || !Number.isSafeInteger(sizeOf(shape))) {
    throw new UserError(
      `${where}: its result has the size ${formatDims(shape)}, expected at most 2⁵³ elements`,
    );
  }
}

function bind(value: ModelValue, inputs: Readonly<Record<string, Tensor>>, place: string): Tensor {
  const where = `${place}, input "${value.name}"`;
  const expected = `${value.dtype} [${value.shape.join(", ")}]`;
  const given = Object.hasOwn(inputs, value.name) ? inputs[value.name] : undefined;
  if (given === undefined) throw new UserError(`${where}: missing, expected ${expected}`);
  const fits =
    given.dtype === value.dtype &&
    given.shape.length === value.shape.length &&
    value.shape.every((d, i) =>
      typeof d === "string" ? given.shape[i] === FREE || given.shape[i]! >= 0 : d === given.shape[i],
    );
  if (!fits)
    throw new UserError(`${where}: got ${given.dtype} ${formatDims(given.shape)}, expected ${expected}`);
  return given;
}
