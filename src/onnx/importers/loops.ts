import type { Tensor } from "../../tensor/index.js";
import * as t from "../../tensor/index.js";
import type { ModelGraph } from "../read.js";
import type { Importer, NodeContext } from "./context.js";
import { tensorValue } from "./values.js";

/**
 * Operators with graphs inside: Scan, and Loop with a known number of steps, as the loops of `tensor/scan` (what
 * `writeModel` makes of these); If where the condition is known from the shapes, as exporters write a squeeze.
 */

/** Run a body on one step's inputs. @returns its outputs as tensors */
function step(c: NodeContext, body: ModelGraph, inputs: readonly Tensor[]): Tensor[] {
  if (body.inputs.length !== inputs.length)
    throw c.fail(`its body has ${body.inputs.length} inputs, expected ${inputs.length}`);
  const scope = c.scope.nested();
  for (const [i, name] of body.inputs.entries()) scope.set(name, tensorValue(inputs[i]!));
  return c.runGraph(body, scope);
}

/** Tensors as a tree that a loop can carry. */
const numbered = (tensors: readonly Tensor[]) =>
  Object.fromEntries(tensors.map((x, i) => [String(i), x])) as Record<string, Tensor>;
const listed = (tree: Readonly<Record<string, Tensor>>, count: number) =>
  Array.from({ length: count }, (_, i) => tree[String(i)]!);

/** True for all directions 1 (backwards), false for all 0. */
function isReversed(c: NodeContext, inputs: number, outputs: number): boolean {
  const directions = [
    ...(c.intList("scan_input_directions") ?? new Array<number>(inputs).fill(0)),
    ...(c.intList("scan_output_directions") ?? new Array<number>(outputs).fill(0)),
  ];
  if (new Set(directions).size > 1 || directions.some((d) => d !== 0 && d !== 1))
    throw c.fail(`got directions [${directions.join(", ")}], supported are all 0 or all 1`);
  return directions[0] === 1;
}

const scan: Importer = (c) => {
  if (c.opset < 9) throw c.fail(`Scan of operator set ${c.opset} is not supported, expected 9 or later`);
  const body = c.graph("body");
  const inputs = c.tensors;
  const sequences = c.int("num_scan_inputs");
  const carried = inputs.length - sequences;
  if (sequences < 1 || carried < 0)
    throw c.fail(`attribute "num_scan_inputs" is ${sequences} of ${inputs.length} inputs`);
  const outputs = body.outputs.length - carried;
  if (outputs < 0) throw c.fail(`its body has ${body.outputs.length} outputs, expected at least ${carried}`);
  for (const name of ["scan_input_axes", "scan_output_axes"]) {
    const axes = c.intList(name);
    if (axes?.some((axis) => axis !== 0)) throw c.wrong(name, axes, "axis 0");
  }
  const reverse = isReversed(c, sequences, outputs);
  const init = numbered(inputs.slice(0, carried));
  const xs = numbered(inputs.slice(carried));
  const { carry, out } = t.scan({ init, xs, reverse }, (state, slices) => {
    const results = step(c, body, [...listed(state, carried), ...listed(slices, sequences)]);
    return { carry: numbered(results.slice(0, carried)), out: numbered(results.slice(carried)) };
  });
  return [...listed(carry, carried), ...listed(out, outputs)].map(tensorValue);
};

/** Body: step number, condition, carried values → condition, carried values, values to stack. */
const loop: Importer = (c) => {
  const body = c.graph("body");
  if (!c.has(0)) throw c.fail("it has no number of steps, expected a constant");
  const length = c.number(0, 0);
  if (c.number(1, 1) === 0) throw c.fail("it never runs: its condition is false");
  const inputs = c.node.inputs.slice(2).map((_, i) => c.tensor(i + 2));
  const carried = inputs.length;
  const outputs = body.outputs.length - 1 - carried;
  if (outputs < 0)
    throw c.fail(`its body has ${body.outputs.length} outputs, expected at least ${carried + 1}`);
  const init = { at: t.scalar(0, "int64"), state: numbered(inputs) };
  const { carry, out } = t.scan({ init, length }, ({ at, state }) => {
    const go = t.scalar(1, "bool");
    const [goOn, ...results] = step(c, body, [at, go, ...listed(state, carried)]);
    const next = { at: t.add(at, t.scalar(1, "int64")), state: numbered(results.slice(0, carried)) };
    // The condition handed through: always all steps.
    if (t.constantNumber(goOn!) === 1) return { carry: next, out: numbered(results.slice(carried)) };
    if (outputs > 0) throw c.fail("it can stop early and has values of every step, which is not supported");
    return { carry: next, stop: t.not(goOn!) };
  });
  return [...listed(carry.state, carried), ...listed(out, outputs)].map(tensorValue);
};

const branch: Importer = (c) => {
  const condition = c.value(0);
  if (condition.kind !== "literal" || condition.array.data.length !== 1)
    throw c.fail("its condition is computed from data, expected one that is known from the shapes");
  const [yes, no] = [c.graph("then_branch"), c.graph("else_branch")];
  return c.runGraph(Number(condition.array.data[0]) === 0 ? no : yes, c.scope.nested()).map(tensorValue);
};

export const loops: Readonly<Record<string, Importer>> = { Scan: scan, Loop: loop, If: branch };
