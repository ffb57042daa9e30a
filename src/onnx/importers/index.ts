import { sizeOf } from "../../core/array.js";
import { UserError } from "../../core/errors.js";
import { constant, FREE, formatDims, named, type Tensor, TensorError } from "../../tensor/index.js";
import { MAX_RANK } from "../arrays.js";
import { type ModelGraph, type ModelNode, shorten } from "../read.js";
import { type Importer, JOINED, NodeContext, type Scope } from "./context.js";
import { elementwise } from "./elementwise.js";
import { fold } from "./fold.js";
import { indexing } from "./indexing.js";
import { lift } from "./joined.js";
import { layers } from "./layers.js";
import { loops } from "./loops.js";
import { movement } from "./movement.js";
import { recurrent } from "./recurrent.js";
import { reductions } from "./reductions.js";
import { reshapes } from "./reshape.js";
import { shapes } from "./shape.js";
import { literalValue, type Value } from "./values.js";

export { type RowAxes, type RowAxis, Scope } from "./context.js";
export { dimsOf, isRows, type Observer, type Rows, tensorValue, type Value } from "./values.js";

/** ONNX operator → tensors, one function each, under the operator's own name. What one does not understand it refuses. */
export const importers: Readonly<Record<string, Importer>> = {
  ...elementwise,
  ...layers,
  ...reductions,
  ...reshapes,
  ...movement,
  ...indexing,
  ...shapes,
  ...recurrent,
  ...loops,
};

/** Loops run as often as the file says, so they are not run while importing. */
const NOT_FOLDED = new Set([...Object.keys(loops), ...Object.keys(recurrent)]);

/**
 * Run a graph's nodes in the current trace.
 *
 * @param scope its inputs by name; gets everything else the graph defines
 * @param place the file's name, for messages
 * @returns its outputs
 * @throws UserError naming the node that cannot be
 */
export function runGraph(graph: ModelGraph, scope: Scope, place: string): Tensor[] {
  for (const [name, array] of graph.initializers) {
    if (!scope.has(name)) scope.set(name, literalValue(array));
  }
  for (const node of graph.nodes) runNode(node, scope, place);
  return graph.outputs.map((name) => {
    const value = scope.get(name)!;
    if (value.kind === "tensor") {
      if (value.joined !== undefined) throw new UserError(`${place}, output "${shorten(name)}": ${JOINED}`);
      return value.tensor;
    }
    if (value.kind === "literal") return constant(value.array);
    throw new UserError(
      `${place}, output "${shorten(name)}": it is the number of rows, which is free here; give the model a fixed number of rows`,
    );
  });
}

function runNode(node: ModelNode, scope: Scope, place: string): void {
  const where = `${place}, node "${shorten(node.name)}" (${node.opType})`;
  const run = (graph: ModelGraph, inner: Scope) => runGraph(graph, inner, where);
  const context = new NodeContext(node, scope, where, run);
  const importer = importers[node.opType]!;
  try {
    const folded = NOT_FOLDED.has(node.opType) ? undefined : fold(context, importer);
    const results = folded ?? lift(context, importer) ?? plainly(context, importer);
    for (const [i, name] of node.outputs.entries()) {
      if (name === "") continue;
      const result = results[i];
      if (result === undefined)
        throw new UserError(`${where}: got ${node.outputs.length} outputs, expected ${results.length}`);
      if (result.kind === "literal") checkSize(result.array, where);
      if (result.kind === "tensor") {
        checkSize(result.tensor, where);
        // Names that begin with "_" are ours: values that the writer had to call something.
        if (!name.startsWith("_")) named(result.tensor, name);
      }
      scope.set(name, result);
    }
  } catch (error) {
    if (error instanceof TensorError) throw new UserError(`${where}: ${error.message}`, { cause: error });
    throw error;
  }
}

function plainly(context: NodeContext, importer: Importer): readonly Value[] {
  const results = importer(context);
  context.checkAllRead();
  return results;
}

/** A file of a few nodes can double a rank or a size again and again. */
function checkSize({ shape }: Pick<Tensor, "shape">, where: string): void {
  if (shape.length > MAX_RANK)
    throw new UserError(`${where}: its result has ${shape.length} dimensions, expected at most ${MAX_RANK}`);
  if (!shape.every((d) => d === FREE || Number.isSafeInteger(d)) || !Number.isSafeInteger(sizeOf(shape))) {
    throw new UserError(
      `${where}: its result has the size ${formatDims(shape)}, expected at most 2⁵³ elements`,
    );
  }
}
