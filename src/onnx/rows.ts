import { UserError } from "../core/errors.js";
import {
  cast,
  type Dim,
  FREE,
  formatDims,
  type Graph,
  isOp,
  type Operator,
  type OperatorAttributes,
  reachable,
  type Tensor,
  trace,
  transpose,
} from "../tensor/index.js";
import {
  dimsOf,
  isRows,
  type RowAxes,
  type RowAxis,
  type Rows,
  runGraph,
  Scope,
  tensorValue,
} from "./importers/index.js";
import { type Model, type ModelValue, shorten } from "./read.js";

/**
 * The inputs of a model, and how many rows it has. A model exported for one row ([1, O] instead of [N, O]) is applied
 * to more by laying the rows along the axis that had the one, provided that no operator mixes them: then every value
 * is the values for single rows side by side, and so are the outputs. This is found out once, in a trace whose
 * number of rows is free, where the free dimension shows in each value which axis has the rows.
 */
export class InputBinder {
  readonly #model: Model;
  readonly #place: string;
  readonly #found = new Map<string, (name: string) => RowAxis | undefined>();

  constructor(model: Model, place: string) {
    this.#model = model;
    this.#place = place;
  }

  /**
   * @param inputs a tensor for each input of the model
   * @returns the tensors by name in the file's dtypes, and where the rows lie if the file was made for one
   * @throws UserError naming the input that is missing or does not fit
   */
  bind(inputs: Readonly<Record<string, Tensor>>): {
    tensors: Map<string, Tensor>;
    rows: RowAxes | undefined;
  } {
    const tensors = new Map<string, Tensor>();
    const sizes = new Map<string, { readonly size: Dim; readonly input: string }>();
    const axes = new Map<string, number>();
    for (const value of this.#model.inputs) {
      const { name } = value;
      const { tensor, axis } = this.#bindOne(
        value,
        Object.hasOwn(inputs, name) ? inputs[name] : undefined,
        sizes,
      );
      tensors.set(name, tensor);
      if (axis !== undefined) axes.set(name, axis);
    }
    return { tensors, rows: axes.size === 0 ? undefined : this.#rows(axes, tensors) };
  }

  /** An input, and the axis in which it has more than the one row of the file. */
  #bindOne(
    value: ModelValue,
    given: Tensor | undefined,
    sizes: Map<string, { readonly size: Dim; readonly input: string }>,
  ): { tensor: Tensor; axis: number | undefined } {
    const where = `${this.#place}, input "${shorten(value.name)}"`;
    const expected = `${value.dtype} [${value.shape.join(", ")}]`;
    if (given === undefined) throw new UserError(`${where}: missing, expected ${expected}`);
    const got = `got ${given.dtype} ${formatDims(given.shape)}`;
    const tensor = given.dtype === "int32" && value.dtype === "int64" ? cast(given, "int64") : given;
    const sameKind = tensor.dtype === value.dtype;
    if (sameKind && given.shape.length === value.shape.length + 1)
      throw new UserError(`${where}: ${got}, expected ${expected}; export the model with a batch dimension`);
    if (!sameKind || given.shape.length !== value.shape.length)
      throw new UserError(`${where}: ${got}, expected ${expected}`);
    const other = value.shape.flatMap((d, i) => (typeof d === "number" && d !== given.shape[i] ? [i] : []));
    if (other.length > 1 || other.some((i) => value.shape[i] !== 1)) {
      const cure =
        other.length === 1 ? "; if these are rows, export the model with a dynamic batch dimension" : "";
      throw new UserError(`${where}: ${got}, expected ${expected}${cure}`);
    }
    for (const [i, d] of value.shape.entries()) {
      if (typeof d !== "string") continue;
      const size = given.shape[i]!;
      const before = sizes.get(d);
      if (before !== undefined && before.size !== size) {
        throw new UserError(
          `${where}: ${got}, expected ${expected}, where ${d} is ${formatDims([before.size]).slice(1, -1)} in input "${shorten(before.input)}"`,
        );
      }
      sizes.set(d, { size, input: value.name });
    }
    return { tensor, axis: other[0] };
  }

  #rows(axes: ReadonlyMap<string, number>, tensors: ReadonlyMap<string, Tensor>): RowAxes {
    const counts = [...axes].map(([name, axis]) => [name, tensors.get(name)!.shape[axis]!] as const);
    const [first, count] = counts[0]!;
    const other = counts.find(([, n]) => n !== count);
    if (other !== undefined) {
      throw new UserError(
        `${this.#place}, input "${shorten(other[0])}": got ${formatDims([other[1]]).slice(1, -1)} rows, expected as many as input "${shorten(first)}", ${formatDims([count]).slice(1, -1)}`,
      );
    }
    const key = JSON.stringify([...axes]);
    const axisOf = this.#found.get(key) ?? this.#findAxes(axes);
    this.#found.set(key, axisOf);
    return { count, axisOf };
  }

  #findAxes(axes: ReadonlyMap<string, number>): (name: string) => RowAxis | undefined {
    const model = this.#model;
    if (model.inputs.some(({ shape }) => shape.some((d) => typeof d === "string"))) {
      const [name] = axes.keys();
      throw new UserError(
        `${this.#place}, input "${shorten(name!)}": its rows are fixed at 1 while other sizes are named; ${CURE} of every input`,
      );
    }
    if (model.nodes.some(({ opType }) => opType === "Scan" || opType === "Loop"))
      throw new UserError(`${this.#place}: it was exported for one row and has loops; ${CURE}`);
    return trace((graph) => {
      const found = new Map<string, RowAxis>();
      const scope = new Scope(model.opset, { count: FREE, axisOf: undefined }, (name, value) => {
        if (value.kind !== "tensor") return;
        const dims = dimsOf(value);
        const axis = dims.findIndex(isRows);
        if (axis >= 0) found.set(name, { axis, times: (dims[axis] as Rows).times });
      });
      for (const value of model.inputs) {
        scope.set(value.name, tensorValue(freeInput(graph, value, axes.get(value.name))));
      }
      const outputs = this.#orCure(scope);
      const mixing = firstMixing(outputs);
      if (mixing !== undefined) {
        const name = graph.nameOf(mixing);
        const what = name === undefined ? `one of its values (${mixing.op})` : `"${shorten(name)}"`;
        throw new UserError(`${this.#place}: it was exported for one row, and ${what} mixes rows; ${CURE}`);
      }
      return (name: string) => found.get(name);
    });
  }

  #run(scope: Scope): Tensor[] {
    const outputs = this.#model.outputs.map(({ name }) => name);
    return runGraph({ ...this.#model, inputs: [], outputs }, scope, this.#place);
  }

  /** Run with free rows. @throws UserError as with one row, or about the node that takes no more than that */
  #orCure(scope: Scope): Tensor[] {
    try {
      return this.#run(scope);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      trace((graph) => {
        const single = new Scope(this.#model.opset, undefined);
        for (const value of this.#model.inputs)
          single.set(value.name, tensorValue(freeInput(graph, value, undefined)));
        this.#run(single);
      });
      const [problem] = error.message.split(/, but this operation needs|; give the/);
      throw new UserError(`${problem}; the model was exported for one row, ${CURE}`, { cause: error });
    }
  }
}

/** What to do about a node that cannot take more rows than the one it was exported for. */
const CURE = "export it with a dynamic batch dimension";

/** An input with free rows in the given axis, if there is one. */
function freeInput(graph: Graph, { name, dtype, shape }: ModelValue, axis: number | undefined): Tensor {
  const dims = shape as readonly number[];
  if (axis === undefined) return graph.input(name, dims, dtype);
  // Inputs can be free in the first dimension only.
  const x = graph.input(name, [FREE, ...dims.toSpliced(axis, 1)], dtype);
  const others = dims.slice(1).map((_, i) => i + 1);
  return transpose(x, others.toSpliced(axis, 0, 0));
}

/** Does the operator mix rows? Its inputs have them in at most one axis; null: no, whatever that axis is. */
type MixRule<O extends Operator> = ((x: Tensor<O>) => boolean) | null;

const along = ({ inputs, attrs }: { inputs: readonly Tensor[]; attrs: { readonly axis: number } }) =>
  inputs[0]!.shape[attrs.axis] === FREE;
const over = ({ inputs, attrs }: { inputs: readonly Tensor[]; attrs: OperatorAttributes["sum"] }) =>
  attrs.axes.some((axis) => inputs[0]!.shape[axis] === FREE);

/** Elements before the free dimension: where it lies in memory. */
const before = ({ shape }: { readonly shape: readonly Dim[] }) =>
  shape.slice(0, shape.indexOf(FREE)).reduce((n, d) => n * d, 1);

const mixRules: { readonly [O in Operator]: MixRule<O> } = {
  input: null,
  constant: null,
  stopGradient: null,
  withDerivative: null,
  refuseGradient: null,

  neg: null,
  exp: null,
  log: null,
  tanh: null,
  sigmoid: null,
  sqrt: null,
  softplus: null,
  relu: null,
  abs: null,
  sign: null,
  erf: null,
  not: null,
  clip: null,
  cast: null,

  add: null,
  sub: null,
  mul: null,
  div: null,
  pow: null,
  minimum: null,
  maximum: null,
  greater: null,
  greaterEqual: null,
  less: null,
  lessEqual: null,
  equal: null,
  and: null,
  or: null,
  where: null,

  matmul: ({ inputs }) => inputs[0]!.shape.at(-1) === FREE,
  gemm: ({ inputs, attrs }) => inputs[0]!.shape[attrs.transA ? 0 : 1] === FREE,

  softmax: along,
  logSoftmax: along,
  sum: over,
  sumSquare: over,
  mean: over,
  max: over,
  min: over,
  logSumExp: over,
  argMax: along,
  cumsum: along,

  reshape: (x) => x.shape.includes(FREE) && before(x) !== before(x.inputs[0]!),
  transpose: null,
  expand: null,
  // Along a free axis the shape rules refuse these.
  concat: null,
  split: null,
  part: null,
  slice: null,
  pad: null,
  gather: null,
  gatherElements: null,
  scatterElements: along,

  scan: ({ attrs }) => firstMixing(attrs.body.next) !== undefined,
  scanCarry: null,
  scanStack: ({ attrs }) => firstMixing([attrs.value]) !== undefined,
};

/** The first value, in order of computation, that mixes rows: by its operator, or by having them in two axes. */
function firstMixing(outputs: readonly Tensor[]): Tensor | undefined {
  return reachable(outputs).find((x) => {
    const rule = mixRules[x.op] as MixRule<Operator>;
    return x.shape.filter((d) => d === FREE).length > 1 || (rule !== null && !isOp(x, "input") && rule(x));
  });
}
