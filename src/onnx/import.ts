import { UserError } from "../core/errors.js";
import { constant, FREE, formatDims, named, type Tensor, TensorError } from "../tensor/index.js";
import { importers, NodeContext, type Value } from "./importers.js";
import { type Model, type ModelValue, readModel } from "./read.js";

/** A model as a function over tensors, ready to be part of a larger computation and to be differentiated. */
export interface ImportedModel {
  readonly model: Model;
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The outputs by name, in the current trace.
   *
   * @param inputs a tensor for each input; where the model has a named size, any size fits
   * @throws UserError naming the input or the node that does not fit
   */
  apply(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
}

/**
 * Turn an ONNX file into a function over tensors. Understands the operators that `writeModel` emits.
 *
 * @param place the file's name, for messages
 * @throws UserError as `readModel`, and for an operator that is not supported, by its name and its node's
 */
export function importModel(bytes: Uint8Array, place = "model"): ImportedModel {
  const model = readModel(bytes, place);
  for (const { name, opType } of model.nodes) {
    if (!Object.hasOwn(importers, opType)) {
      throw new UserError(`${place}, node "${name}": operator ${opType} is not supported`);
    }
  }
  return {
    model,
    inputs: model.inputs,
    outputs: model.outputs,
    metadata: model.metadata,
    apply: (inputs) => applyModel(model, inputs, place),
  };
}

function applyModel(
  model: Model,
  inputs: Readonly<Record<string, Tensor>>,
  place: string,
): Record<string, Tensor> {
  const values = new Map<string, Value>();
  for (const value of model.inputs)
    values.set(value.name, { tensor: bind(value, inputs[value.name], place) });
  for (const [name, array] of model.initializers) {
    // Shapes, axes and positions stay numbers; as tensors they are needed only by computations.
    const ints =
      array.dtype === "int64" && array.shape.length <= 1 ? Array.from(array.data, Number) : undefined;
    values.set(name, { array, ints });
  }
  for (const node of model.nodes) {
    const where = `${place}, node "${node.name}" (${node.opType})`;
    const context = new NodeContext(node, values, where);
    try {
      const results = importers[node.opType]!(context);
      context.checkAttributes();
      for (const [i, name] of node.outputs.entries()) {
        if (name === "") continue;
        const result = results[i];
        if (result === undefined)
          throw new UserError(`${where}: got ${node.outputs.length} outputs, expected ${results.length}`);
        if (result.tensor !== undefined && !name.startsWith("_")) named(result.tensor, name);
        values.set(name, result);
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

function bind(value: ModelValue, given: Tensor | undefined, place: string): Tensor {
  const where = `${place}, input "${value.name}"`;
  const expected = `${value.dtype} [${value.shape.join(", ")}]`;
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
