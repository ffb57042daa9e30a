import { create } from "@bufbuild/protobuf";
import { internalError } from "../core/errors.js";
import {
  arrayFrom,
  type Dim,
  FREE,
  isOp,
  type Operator,
  reachable,
  sameShape,
  type Tensor,
  TensorError,
} from "../tensor/index.js";
import { onnxTypes } from "./arrays.js";
import type { Emitter } from "./emitter.js";
import { type OnnxForm, onnxForms } from "./forms.js";
import { GraphProtoSchema, type ValueInfoProto, ValueInfoProtoSchema } from "./gen/onnx_pb.js";

/** Emit values in topological order, loops with all their results at once. */
export function emitNodes(
  emit: Emitter,
  nodes: readonly Tensor[],
  outputName: ReadonlyMap<Tensor, string> = new Map(),
): void {
  for (const x of nodes) {
    const name = outputName.get(x);
    if (name !== undefined && isOp(x, "part")) emit.wishForPart(x.inputs[0]!, x.attrs.index, name);
  }
  const folded = foldedProducts(nodes, outputName);
  const products = new Set(folded.values());
  const nameFor = rowSpreader(
    emit,
    nodes.filter((x) => !folded.has(x)),
  );
  for (const x of nodes) {
    if (products.has(x)) continue;
    const product = folded.get(x);
    if (product !== undefined) {
      emitProductSum(emit, x, product, outputName.get(x));
    } else if (isOp(x, "scan")) {
      emitLoop(
        emit,
        x,
        nodes.filter((r) => r.inputs[0] === (x as Tensor)),
      );
    } else {
      emitNode(emit, x, nameFor, outputName.get(x));
    }
  }
}

/**
 * Sums of a matrix product that nothing else needs, each with its product: the engine begins the product from the other
 * summand, in one node instead of two.
 */
function foldedProducts(
  nodes: readonly Tensor[],
  outputName: ReadonlyMap<Tensor, string>,
): ReadonlyMap<Tensor, Tensor> {
  const uses = new Map<Tensor, number>();
  for (const x of nodes) for (const i of x.inputs) uses.set(i, (uses.get(i) ?? 0) + 1);
  const folded = new Map<Tensor, Tensor>();
  for (const x of nodes) {
    if (!isOp(x, "add")) continue;
    const product = x.inputs.findLast(
      (i) =>
        isOp(i, "gemm") &&
        i.inputs.length === 2 &&
        uses.get(i) === 1 &&
        !outputName.has(i) &&
        sameShape(i.shape, x.shape),
    );
    if (product !== undefined) folded.set(x as unknown as Tensor, product);
  }
  return folded;
}

function emitProductSum(emit: Emitter, sum: Tensor, product: Tensor, outputName: string | undefined): void {
  if (emit.has(sum)) return;
  const other = sum.inputs.find((x) => x !== product)!;
  const given = sum.graph.nameOf(sum) ?? product.graph.nameOf(product);
  const out = outputName ?? emit.fresh(given ?? `_${sum.id}_${sum.op}`);
  const form = onnxForms.gemm!;
  const inputs = [...product.inputs, other].map((x) => emit.name(x));
  form(emit, { inputs, attrs: (product as Tensor<"gemm">).attrs, x: sum, out });
  emit.alias(sum, out);
}

/** Operators whose value is that of their first input. */
const ALIASES: ReadonlySet<Operator> = new Set(["stopGradient", "withDerivative", "refuseGradient"]);

/** Whether a node of its own computes the value, whose output can be called as one likes. */
export const carriesName = (x: Tensor): boolean => onnxForms[x.op] !== null || x.op === "part";

/** Elementwise operations on one matrix from which a row that all of them need is repeated once for all. */
const SHARED_USES = 3;
/** Matrices that are worth it: of at least so many rows, none longer than that. */
const [MANY_ROWS, SHORT_ROW] = [64, 64];

/**
 * The name under which an operation takes its operand. The engine repeats a short row for every row of a matrix, one by
 * one, in each operation; where several do that with the same row (attacks that normalise observations, step after
 * step), it is repeated once.
 */
function rowSpreader(emit: Emitter, nodes: readonly Tensor[]): (operand: Tensor, x: Tensor) => string {
  const keyOf = (operand: Tensor, { op, shape }: Tensor): string | undefined => {
    const [rows, columns] = shape as readonly [Dim, number];
    const isMatrix = shape.length === 2 && (rows === FREE || rows >= MANY_ROWS) && columns <= SHORT_ROW;
    const isRow = operand.shape.at(-1) === columns && operand.shape.slice(0, -1).every((d) => d === 1);
    const isArithmetic = op === "add" || op === "sub" || op === "mul" || op === "div";
    return isArithmetic && isMatrix && isRow && columns > 1 ? `${operand.id} ${shape}` : undefined;
  };
  const uses = new Map<string, number>();
  for (const x of nodes) {
    for (const operand of x.inputs) {
      const key = keyOf(operand, x);
      if (key !== undefined) uses.set(key, (uses.get(key) ?? 0) + 1);
    }
  }
  const wide = new Map<string, string>();
  return (operand, x) => {
    const key = keyOf(operand, x);
    if (key === undefined || uses.get(key)! < SHARED_USES) return emit.name(operand);
    const known = wide.get(key);
    if (known !== undefined) return known;
    const name = emit.fresh(`${emit.name(operand)}_rows`);
    emit.node("Expand", [emit.name(operand), emit.shape(x.shape)], [name]);
    wide.set(key, name);
    return name;
  };
}

function emitNode(
  emit: Emitter,
  x: Tensor,
  nameFor: (operand: Tensor, x: Tensor) => string,
  outputName: string | undefined,
): void {
  if (emit.has(x)) return;
  if (isOp(x, "input")) {
    throw new TensorError(
      `writeModel: the outputs need input "${x.attrs.name}", which is not among the inputs`,
    );
  }
  const given = x.graph.nameOf(x);
  if (isOp(x, "constant")) {
    emit.alias(x as unknown as Tensor, emit.literal((x as Tensor<"constant">).attrs.value, given));
  } else if (ALIASES.has(x.op)) {
    emit.alias(x as unknown as Tensor, emit.name(x.inputs[0]!));
  } else if (isOp(x, "part")) {
    emit.alias(x as unknown as Tensor, emit.partName(x.inputs[0]!, x.attrs.index));
  } else {
    const form = onnxForms[x.op] as OnnxForm<Operator>;
    const out = outputName ?? emit.fresh(given ?? `_${x.id}_${x.op}`);
    const inputs = x.inputs.map((input) => nameFor(input, x));
    form!(emit, { inputs, attrs: x.attrs, x, out });
    emit.alias(x, out);
  }
}

/**
 * A loop: `Scan`, or `Loop` where it can stop early or has no sequences to read. Values from outside are used by their
 * names, as ONNX permits, and need not be carried.
 */
function emitLoop(emit: Emitter, node: Tensor<"scan">, results: readonly Tensor[]): void {
  const { body } = node.attrs;
  const name = emit.fresh(`_${node.id}_loop`);
  const inner = emit.nested();
  const outside = node.inputs.map((x) => emit.name(x));
  const sequences = body.carry.length + body.slices.length;
  for (const [i, x] of body.captures.entries()) inner.alias(x, outside[sequences + i]!);
  const declare = (x: Tensor, wish: string) => {
    inner.alias(x, emit.fresh(`${name}/${wish}`));
    return valueInfo(inner.name(x), x);
  };
  const carry = body.carry.map((x, i) => declare(x, `carry${i}`));
  const isScan = body.stop === undefined && body.slices.length > 0;
  const slices = isScan ? body.slices.map((x, i) => declare(x, `x${i}`)) : [];
  const step = emit.fresh(`${name}/step`);
  const goOn = emit.fresh(`${name}/continue`);
  if (!isScan) readSlices(inner, node, step, outside);
  const stacks = results.flatMap((x) => (isOp(x, "scanStack") ? [x] : []));
  const values = [...body.next, ...stacks.map((x) => x.attrs.value)];
  const wishes = values.map((_, i) =>
    emit.fresh(`${name}/${i < body.next.length ? `next${i}` : `out${i - body.next.length}`}`),
  );
  // A value that the step computes carries the output's name itself; every other one is passed on.
  const outputName = new Map<Tensor, string>();
  for (const [i, x] of values.entries()) {
    if (carriesName(x) && !outputName.has(x)) outputName.set(x, wishes[i]!);
  }
  emitNodes(inner, reachable(body.stop === undefined ? values : [...values, body.stop]), outputName);
  const outputs = values.map((x, i) => {
    if (inner.name(x) !== wishes[i]) inner.node("Identity", [inner.name(x)], [wishes[i]!]);
    return valueInfo(wishes[i]!, x);
  });
  const finals = body.carry.map((_, i) => emit.fresh(`${name}/carried${i}`));
  const stacked = stacks.map((x) => emit.fresh(x.graph.nameOf(x as unknown as Tensor) ?? `_${x.id}_stack`));
  const graph = {
    name,
    node: inner.nodes,
    initializer: inner.literals,
  };
  if (isScan) {
    const direction = body.reverse ? 1 : 0;
    emit.node("Scan", outside.slice(0, sequences), [...finals, ...stacked], {
      body: create(GraphProtoSchema, { ...graph, input: [...carry, ...slices], output: outputs }),
      num_scan_inputs: slices.length,
      scan_input_directions: slices.map(() => direction),
      scan_output_directions: stacks.map(() => direction),
    });
  } else {
    if (stacks.length > 0 && body.reverse) throw internalError("a loop without sequences in reverse");
    const flag = emit.fresh(`${name}/go`);
    if (body.stop === undefined) inner.node("Identity", [goOn], [flag]);
    else inner.node("Not", [inner.name(body.stop)], [flag]);
    const trips = emit.literal(arrayFrom([], "int64", [body.length]));
    const yes = emit.literal(arrayFrom([], "bool", [1]));
    emit.node("Loop", [trips, yes, ...outside.slice(0, body.carry.length)], [...finals, ...stacked], {
      body: create(GraphProtoSchema, {
        ...graph,
        input: [scalarInfo(step, "int64"), scalarInfo(goOn, "bool"), ...carry],
        output: [scalarInfo(flag, "bool"), ...outputs],
      }),
    });
  }
  for (const x of results)
    if (isOp(x, "scanCarry")) emit.alias(x as unknown as Tensor, finals[x.attrs.index]!);
  for (const [i, x] of stacks.entries()) emit.alias(x as unknown as Tensor, stacked[i]!);
}

/** This step's slices of the sequences, by the number of the step. */
function readSlices(inner: Emitter, node: Tensor<"scan">, step: string, outside: readonly string[]): void {
  const { body } = node.attrs;
  let at = step;
  if (body.reverse && body.slices.length > 0) {
    at = inner.fresh(`${step}/reversed`);
    inner.node("Sub", [inner.literal(arrayFrom([], "int64", [body.length - 1])), step], [at]);
  }
  body.slices.forEach((x, i) => {
    const slice = inner.fresh(`${step}/x${i}`);
    inner.node("Gather", [outside[body.carry.length + i]!, at], [slice], { axis: 0 });
    inner.alias(x, slice);
  });
}

const scalarInfo = (name: string, dtype: Tensor["dtype"]) => valueInfo(name, { dtype, shape: [] });

/** A name with its type, as inputs and outputs are declared. */
export function valueInfo(name: string, { dtype, shape }: Pick<Tensor, "dtype" | "shape">): ValueInfoProto {
  const dimension = (d: Dim) =>
    d === FREE
      ? ({ value: { case: "dimParam", value: "N" } } as const)
      : ({ value: { case: "dimValue", value: BigInt(d) } } as const);
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: { elemType: onnxTypes[dtype], shape: { dim: shape.map(dimension) } },
      },
    },
  });
}
