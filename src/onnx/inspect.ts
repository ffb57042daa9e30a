import type { DType, NdArray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import { FREE, type Graph, isFloat, type Tensor, trace } from "../tensor/index.js";
import { importModel } from "./import.js";
import { dimsOf, isRows, type Value } from "./importers/index.js";
import { isGraph, type Model, type ModelGraph, type ModelValue, readModel, shorten } from "./read.js";
import {
  type Float64Support,
  float64Support,
  type ImportSupport,
  importSupport,
  operatorName,
  unsupportedNodes,
  unsupportedOpset,
} from "./support.js";

/** What is in an ONNX file: everything that the reader accepts, also what cannot be imported. */
export interface Inspection {
  /** size of the file */
  readonly bytes: number;
  readonly name: string;
  readonly producer: string;
  readonly irVersion: number;
  readonly opset: number;
  readonly otherOpsets: Readonly<Record<string, number>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  readonly parameters: {
    /** elements of all float initializers, those of nested graphs included */
    readonly count: number;
    readonly nonFinite: number;
    readonly tensors: readonly ParameterSummary[];
  };
  /** initializers that hold integers or truth values: shapes, axes, positions */
  readonly otherInitializers: number;
  readonly nodeCount: {
    readonly total: number;
    /** of these in graphs inside nodes: bodies of loops, branches */
    readonly nested: number;
    readonly nestedGraphs: number;
  };
  /** most frequent first */
  readonly operators: readonly OperatorSummary[];
  /** in the file's order; those of a nested graph follow the node around it */
  readonly nodes: readonly NodeSummary[];
  /** named sizes that have a number in the shapes of nodes; all others are left open */
  readonly sizes: Readonly<Record<string, number>>;
  /** operator set, domains and operators are supported; a node may still be refused for what it does */
  readonly supported: boolean;
  /** one sentence each */
  readonly warnings: readonly string[];
}

export interface ParameterSummary {
  readonly name: string;
  /** names of the nodes around its graph, from outside; empty for the model's own */
  readonly inside: readonly string[];
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly size: number;
  /** over the finite elements; null if there are none */
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  /** elements that are NaN or infinite */
  readonly nonFinite: number;
}

export interface OperatorSummary {
  /** its name, with the domain if that is not ONNX's own */
  readonly operator: string;
  readonly count: number;
  /** of these in nested graphs */
  readonly nested: number;
  readonly support: ImportSupport;
  /** whether the engine computes it in float64 at the model's operator set */
  readonly float64: Float64Support;
}

export interface NodeSummary {
  readonly name: string;
  readonly operator: string;
  readonly inside: readonly string[];
  readonly inputs: readonly ValueSummary[];
  readonly outputs: readonly ValueSummary[];
}

/** dtype and shape as found by importing, else as the file declares them, else null. */
export interface ValueSummary {
  /** "" for an optional input that is left out */
  readonly name: string;
  readonly dtype: DType | null;
  readonly shape: readonly (number | string)[] | null;
}

/**
 * Describe an ONNX file.
 *
 * @param bytes the file
 * @param place the file's name, for messages
 * @param sizes numbers for named sizes, by name: with them more shapes are known. The others stay open if they are a
 *   first dimension that the operators allow to be open, and count as 1 if not.
 * @throws UserError as `readModel`, and for a size that the model's inputs do not have
 */
export function inspectModel(
  bytes: Uint8Array,
  place = "model",
  sizes: Readonly<Record<string, number>> = {},
): Inspection {
  const model = readModel(bytes, place);
  checkSizes(model, sizes, place);
  const opset = unsupportedOpset(model);
  const refused = unsupportedNodes(model);
  const supported = opset === undefined && refused.length === 0;
  const found: FoundShapes = supported
    ? inferShapes(bytes, model, place, sizes)
    : { values: new Map(), sizes: {} };
  const parameters = parametersOf(model, []);
  const operators = operatorsOf(model);
  const total = operators.reduce((sum, { count }) => sum + count, 0);
  const nested = operators.reduce((sum, operator) => sum + operator.nested, 0);
  return {
    bytes: bytes.length,
    name: model.name,
    producer: model.producer,
    irVersion: model.irVersion,
    opset: model.opset,
    otherOpsets: model.otherOpsets,
    metadata: model.metadata,
    inputs: model.inputs,
    outputs: model.outputs,
    parameters: {
      count: parameters.reduce((sum, p) => sum + p.size, 0),
      nonFinite: parameters.reduce((sum, p) => sum + p.nonFinite, 0),
      tensors: parameters,
    },
    otherInitializers: countOtherInitializers(model),
    nodeCount: { total, nested, nestedGraphs: bodiesOf(model).reduce((n, b) => n + countGraphs(b.body), 0) },
    operators,
    nodes: nodesOf(model, (name) => found.values.get(name) ?? unknown(name), []),
    sizes: found.sizes,
    supported,
    warnings: [
      ...(opset === undefined ? [] : [`${place}: ${opset}.`]),
      ...refusals(refused, place),
      ...(found.problem === undefined ? [] : [`${found.problem}.`]),
      ...parameters
        .filter((p) => p.nonFinite > 0)
        .map(
          (p) =>
            `${place}, parameter "${shorten(p.name)}": ${p.nonFinite} of ${p.size} values are not finite.`,
        ),
    ],
  };
}

type Body = { readonly node: string; readonly body: ModelGraph };

/** The graphs inside the nodes of a graph. */
function bodiesOf({ nodes }: Pick<ModelGraph, "nodes">): Body[] {
  return nodes.flatMap((node) =>
    Object.values(node.attributes)
      .filter(isGraph)
      .map((body) => ({ node: node.name, body })),
  );
}

function countGraphs(graph: ModelGraph): number {
  return bodiesOf(graph).reduce((n, { body }) => n + countGraphs(body), 1);
}

function countOtherInitializers(graph: Pick<ModelGraph, "nodes" | "initializers">): number {
  const own = [...graph.initializers.values()].filter(({ dtype }) => !isFloat(dtype)).length;
  return bodiesOf(graph).reduce((n, { body }) => n + countOtherInitializers(body), own);
}

function parametersOf(
  graph: Pick<ModelGraph, "nodes" | "initializers">,
  inside: readonly string[],
): ParameterSummary[] {
  const own = [...graph.initializers]
    .filter(([, { dtype }]) => isFloat(dtype))
    .map(([name, array]) => ({ name, inside, ...summarize(array) }));
  const inner = bodiesOf(graph).flatMap(({ node, body }) => parametersOf(body, [...inside, node]));
  return [...own, ...inner];
}

function summarize({ dtype, shape, data }: NdArray): Omit<ParameterSummary, "name" | "inside"> {
  let [min, max, sum, finite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (const element of data) {
    const x = Number(element);
    if (!Number.isFinite(x)) continue;
    finite++;
    sum += x;
    if (x < min) min = x;
    if (x > max) max = x;
  }
  const none = finite === 0;
  return {
    dtype,
    shape,
    size: data.length,
    min: none ? null : min,
    max: none ? null : max,
    mean: none ? null : sum / finite,
    nonFinite: data.length - finite,
  };
}

function operatorsOf(model: Model): OperatorSummary[] {
  const counts = new Map<string, { -readonly [K in keyof OperatorSummary]: OperatorSummary[K] }>();
  const count = (graph: Pick<ModelGraph, "nodes">, isNested: boolean) => {
    for (const node of graph.nodes) {
      const operator = operatorName(node);
      const entry = counts.get(operator) ?? {
        operator,
        count: 0,
        nested: 0,
        support: importSupport(node),
        float64: float64Support(node, model.opset),
      };
      entry.count++;
      if (isNested) entry.nested++;
      counts.set(operator, entry);
    }
    for (const { body } of bodiesOf(graph)) count(body, true);
  };
  count(model, false);
  return [...counts.values()].sort((a, b) => b.count - a.count || (a.operator < b.operator ? -1 : 1));
}

/** One sentence for each operator that is not supported. */
function refusals(refused: ReturnType<typeof unsupportedNodes>, place: string): string[] {
  const byOperator = new Map<string, { readonly first: string; others: number }>();
  for (const { operator, where } of refused) {
    const entry = byOperator.get(operator);
    if (entry === undefined) byOperator.set(operator, { first: where, others: 0 });
    else entry.others++;
  }
  return [...byOperator].map(([operator, { first, others }]) => {
    const more = others === 0 ? "" : ` and ${others} more`;
    return `${place}, ${first}${more}: operator ${operator} is not supported.`;
  });
}

type Describe = (name: string) => ValueSummary;

function nodesOf(
  graph: Pick<ModelGraph, "nodes" | "declared" | "initializers">,
  found: Describe,
  inside: readonly string[],
): NodeSummary[] {
  const describe = (name: string): ValueSummary => {
    const literal = graph.initializers.get(name);
    if (literal !== undefined) return { name, dtype: literal.dtype, shape: literal.shape };
    const known = found(name);
    return known.shape === null ? (graph.declared.get(name) ?? known) : known;
  };
  return graph.nodes.flatMap((node) => {
    const own = {
      name: node.name,
      operator: operatorName(node),
      inside,
      inputs: node.inputs.map(describe),
      outputs: node.outputs.map(describe),
    };
    const inner = Object.values(node.attributes)
      .filter(isGraph)
      .flatMap((body) => {
        // The body's own names hide those around it.
        const hidden = new Set([...body.inputs, ...body.nodes.flatMap((n) => n.outputs)]);
        return nodesOf(body, (name) => (hidden.has(name) ? unknown(name) : describe(name)), [
          ...inside,
          node.name,
        ]);
      });
    return [own, ...inner];
  });
}

const unknown = (name: string): ValueSummary => ({ name, dtype: null, shape: null });

interface FoundShapes {
  readonly values: ReadonlyMap<string, ValueSummary>;
  readonly sizes: Readonly<Record<string, number>>;
  /** why not all values are known */
  readonly problem?: string;
}

/**
 * Shapes of all values, by importing into a trace that is thrown away. The named first dimension stays open if every
 * operator allows it; if not, it is 1, as are the other named sizes without a number.
 */
function inferShapes(
  bytes: Uint8Array,
  model: Model,
  place: string,
  given: Readonly<Record<string, number>>,
): FoundShapes {
  const imported = importModel(bytes, place);
  const names = namedSizes(model);
  const later = new Set(model.inputs.flatMap(({ shape }) => shape.slice(1)));
  const open = names.find((name) => !Object.hasOwn(given, name) && !later.has(name));
  const attempts = open === undefined ? [undefined] : [open, undefined];
  let best: FoundShapes = { values: new Map(), sizes: {} };
  for (const free of attempts) {
    const sizes = Object.fromEntries(
      names
        .filter((name) => name !== free)
        .map((name) => [name, Object.hasOwn(given, name) ? given[name]! : 1]),
    );
    const values = new Map<string, ValueSummary>();
    try {
      trace((graph) =>
        imported.apply(inputsOf(model, graph, sizes), {}, (name, value) =>
          values.set(name, summaryOf(name, value, free)),
        ),
      );
      return { values, sizes };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      best = { values, sizes, problem: error.message };
    }
  }
  return best;
}

function inputsOf(
  model: Model,
  graph: Graph,
  sizes: Readonly<Record<string, number>>,
): Record<string, Tensor> {
  return Object.fromEntries(
    model.inputs.map(({ name, dtype, shape }) => {
      const dims = shape.map((d) => (typeof d === "number" ? d : Object.hasOwn(sizes, d) ? sizes[d]! : FREE));
      return [name, graph.input(name, dims, dtype)];
    }),
  );
}

function summaryOf(name: string, value: Value, free = "N"): ValueSummary {
  const dtype =
    value.kind === "sizes" ? "int64" : value.kind === "literal" ? value.array.dtype : value.tensor.dtype;
  const shape = dimsOf(value).map((d) => (isRows(d) ? d.toString().replace("N", free) : d));
  return { name, dtype, shape };
}

/** Names of sizes in the inputs' shapes, in order. */
function namedSizes(model: Model): string[] {
  const names = model.inputs.flatMap(({ shape }) => shape.filter((d) => typeof d === "string"));
  return [...new Set(names)];
}

function checkSizes(model: Model, sizes: Readonly<Record<string, number>>, place: string): void {
  const names = namedSizes(model);
  for (const [name, size] of Object.entries(sizes)) {
    if (!names.includes(name)) {
      throw new UserError(
        `${place}, size "${shorten(name)}": the inputs have no size of this name. ${suggestion(name, names)}`.trim(),
      );
    }
    if (!Number.isSafeInteger(size) || size < 0)
      throw new UserError(`${place}, size "${shorten(name)}": got ${size}, expected an integer ≥ 0`);
  }
}
