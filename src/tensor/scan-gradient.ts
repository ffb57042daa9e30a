import { add } from "./elementwise.js";
import { apply, currentGraph, Graph, isOp, type Tensor, trace, zerosLike } from "./graph.js";
import { reachable } from "./interpret.js";
import { gemm } from "./linalg.js";
import { reshape } from "./movement.js";
import type { Operator } from "./operators.js";
import { sum } from "./reduce.js";
import { scan, stackOf } from "./scan.js";
import type { ScanBody } from "./scan-body.js";
import { isFloat, TensorError } from "./shape.js";

/**
 * Vector–Jacobian product of several tensors: the walk of `grad`, which hands itself over.
 * @returns cotangents of xs, undefined where none arrives
 */
export type Vjp = (
  ys: readonly (readonly [y: Tensor, seed: Tensor])[],
  xs: readonly Tensor[],
) => (Tensor | undefined)[];

/**
 * The cotangents of a loop's inputs from those of its results: a loop in the other direction, whose step is the
 * gradient of one step. It is built from ordinary operators, and can be differentiated again.
 *
 * What the backward step needs of the forward one is stacked by the forward loop, not computed again. Sums over time
 * that end in a matrix product or in a sum over rows (the gradients of weights and biases) are taken after the loop in
 * one operation over T·R rows.
 *
 * @param node    the loop
 * @param results cotangent of each result that has one
 * @param wanted  for each input, whether the derivative is to reach it
 */
export function scanCotangents(
  node: Tensor<"scan">,
  results: ReadonlyMap<Tensor, Tensor>,
  wanted: readonly boolean[],
  vjp: Vjp,
): (Tensor | undefined)[] {
  const { body } = node.attrs;
  if (body.stop !== undefined) {
    throw new TensorError(
      "grad: a loop that may stop early has no derivative; run all steps, or stop outside",
    );
  }
  const copy = copyBody(body, node);
  const isActive = activeCarries(body, wanted);
  const carryCount = body.carry.length;
  const sequences = carryCount + body.slices.length;

  // One step's gradient, in the copy: cotangents of its results are further inputs.
  const carried: { index: number; cotangent: Tensor }[] = [];
  const seeds: [Tensor, Tensor][] = [];
  const stacked: { cotangent: Tensor; sequence: Tensor }[] = [];
  body.carry.forEach((x, index) => {
    if (!isActive[index]) return;
    const cotangent = copy.graph.input(`cotangent/carry/${index}`, x.shape, x.dtype);
    carried.push({ index, cotangent });
    seeds.push([copy.of(body.next[index]!), cotangent]);
  });
  const finals = new Map<number, Tensor>();
  for (const [result, d] of results) {
    if (isOp(result, "scanCarry")) {
      finals.set(result.attrs.index, d);
    } else if (isOp(result, "scanStack")) {
      const { value } = result.attrs;
      if (!isFloat(value.dtype)) continue;
      const cotangent = copy.graph.input(`cotangent/stack/${stacked.length}`, value.shape, value.dtype);
      stacked.push({ cotangent, sequence: d });
      seeds.push([copy.of(value), cotangent]);
    }
  }
  const isReached = (i: number) => wanted[i]! && isFloat(node.inputs[i]!.dtype);
  const targets = [
    ...carried.map(({ index }) => copy.of(body.carry[index]!)),
    ...body.slices.flatMap((x, i) => (isReached(carryCount + i) ? [copy.of(x)] : [])),
    ...body.captures.flatMap((_, i) =>
      isReached(sequences + i) ? [copy.graph.resolve("grad", node.inputs[sequences + i]!)] : [],
    ),
  ];
  const found = trace(() => vjp(seeds, targets), copy.graph);
  const gradients = new Map(
    targets.map((x, i) => {
      const g = found[i];
      return [x, g === undefined ? undefined : copy.graph.resolve("grad", g)];
    }),
  );
  const gradientOf = (x: Tensor) => gradients.get(x);

  // What is summed over time inside the loop, and what after it.
  const terms = body.captures.map((_, i) => {
    if (!isReached(sequences + i)) return undefined;
    const g = gradientOf(copy.graph.resolve("grad", node.inputs[sequences + i]!));
    return g === undefined ? undefined : sumsOf(g);
  });

  // The backward step: the copy's gradients with the forward values read from sequences.
  const roots = [
    ...carried.map(({ index }) => gradientOf(copy.of(body.carry[index]!))),
    ...body.slices.map((x) => gradientOf(copy.of(x))),
    ...terms.flatMap((t) => (t === undefined ? [] : [...t.inside, ...t.after.flatMap(({ parts }) => parts)])),
  ].filter((x) => x !== undefined);
  const saved = frontier(roots, copy, body);
  const xs: Record<string, Tensor> = {};
  saved.forEach((x, i) => {
    const slice = body.slices.indexOf(copy.originalOf(x)!);
    xs[`saved${i}`] = slice >= 0 ? node.inputs[carryCount + slice]! : stackOf(node, copy.originalOf(x)!);
  });
  stacked.forEach(({ sequence }, i) => {
    xs[`cotangent${i}`] = sequence;
  });
  const init: Record<string, Tensor> = {};
  for (const { index } of carried)
    init[`carry${index}`] = finals.get(index) ?? zerosLike(node.inputs[index]!);
  terms.forEach((t, i) => {
    if (t !== undefined && t.inside.length > 0) init[`sum${i}`] = zerosLike(node.inputs[sequences + i]!);
  });
  /** the sequence of a value that is one already */
  const given = (p: Tensor) => {
    const i = saved.indexOf(p);
    return i >= 0 ? xs[`saved${i}`] : stacked.find(({ cotangent }) => cotangent === p)?.sequence;
  };
  const backward = scan<Record<string, Tensor>, Record<string, Tensor>, Record<string, Tensor>>(
    { init, xs, length: body.length, reverse: !body.reverse },
    (carry, x) => {
      const values = new Map<Tensor, Tensor>();
      for (const { index, cotangent } of carried) values.set(cotangent, carry[`carry${index}`]!);
      for (const [i, { cotangent }] of stacked.entries()) values.set(cotangent, x[`cotangent${i}`]!);
      for (const [i, p] of saved.entries()) values.set(p, x[`saved${i}`]!);
      const of = (g: Tensor) => transplant(g, values);
      const next: Record<string, Tensor> = {};
      for (const { index } of carried) {
        const g = gradientOf(copy.of(body.carry[index]!));
        next[`carry${index}`] = g === undefined ? zerosLike(carry[`carry${index}`]!) : of(g);
      }
      terms.forEach((t, i) => {
        if (t === undefined || t.inside.length === 0) return;
        next[`sum${i}`] = t.inside.map(of).reduce(add, carry[`sum${i}`]!);
      });
      const results: Record<string, Tensor> = {};
      body.slices.forEach((s, i) => {
        const g = gradientOf(copy.of(s));
        if (g !== undefined) results[`slice${i}`] = of(g);
      });
      terms.forEach((t) => {
        for (const p of t?.after.flatMap(({ parts }) => parts) ?? []) {
          if (given(p) !== undefined) continue;
          results[`part${p.id}`] = of(p);
        }
      });
      return { carry: next, out: results };
    },
  );
  const sequenceOf = (p: Tensor) => given(p) ?? backward.out[`part${p.id}`]!;
  return node.inputs.map((x, i) => {
    if (i < carryCount) return isActive[i] ? backward.carry[`carry${i}`] : undefined;
    if (i < sequences) return backward.out[`slice${i - carryCount}`];
    const t = terms[i - sequences];
    if (t === undefined) return undefined;
    const all = t.after.map(({ parts, join }) => join(parts.map(sequenceOf), x));
    if (t.inside.length > 0) all.push(backward.carry[`sum${i - sequences}`]!);
    return all.reduce(add);
  });
}

/** A body's values in a graph of their own, inside the current one. */
interface BodyCopy {
  readonly graph: Graph;
  /** the copy of a value of the body */
  of(x: Tensor): Tensor;
  /** the value of the body that was copied; undefined for everything else */
  originalOf(x: Tensor): Tensor | undefined;
  remember(original: Tensor, copied: Tensor): void;
}

function copyBody(body: ScanBody, node: Tensor): BodyCopy {
  const graph = new Graph(currentGraph("grad"));
  const values = new Map<Tensor, Tensor>();
  const originals = new Map<Tensor, Tensor>();
  const remember = (original: Tensor, copied: Tensor) => {
    values.set(original, copied);
    originals.set(copied, original);
  };
  for (const x of [...body.carry, ...body.slices]) {
    remember(x, graph.input((x as Tensor<"input">).attrs.name, x.shape, x.dtype));
  }
  const sequences = body.carry.length + body.slices.length;
  for (const [i, x] of body.captures.entries()) {
    values.set(x, graph.resolve("grad", node.inputs[sequences + i]!));
  }
  return {
    graph,
    of: (x) =>
      trace(() => {
        for (const y of reachable([x])) {
          if (values.has(y)) continue;
          remember(
            y,
            graph.apply(
              y.op,
              y.inputs.map((i) => values.get(i)!),
              y.attrs,
            ) as unknown as Tensor,
          );
        }
        return values.get(x)!;
      }, graph),
    originalOf: (x) => originals.get(x),
    remember,
  };
}

/** Which carried values the derivative passes through: float ones that depend on a wanted input. */
function activeCarries(body: ScanBody, wanted: readonly boolean[]): boolean[] {
  const inputs = [...body.carry, ...body.slices, ...body.captures];
  const active = new Set(inputs.filter((x, i) => wanted[i]! && isFloat(x.dtype)));
  const nodes = reachable(body.next);
  for (let grew = true; grew; ) {
    grew = false;
    for (const x of nodes) if (!active.has(x) && x.inputs.some((i) => active.has(i))) active.add(x);
    body.carry.forEach((x, i) => {
      if (active.has(x) || !active.has(body.next[i]!) || !isFloat(x.dtype)) return;
      active.add(x);
      grew = true;
    });
  }
  return body.carry.map((x) => active.has(x));
}

/** A sum over time that is taken after the loop, from sequences of its parts. */
interface DeferredSum {
  readonly parts: readonly Tensor[];
  /** @param sequences the parts with a leading time axis; @param like gives the result's shape */
  join(sequences: readonly Tensor[], like: Tensor): Tensor;
}

/** The terms of a gradient that is summed over time: those to add up inside the loop, and those for after it. */
function sumsOf(gradient: Tensor): { inside: Tensor[]; after: DeferredSum[] } {
  const inside: Tensor[] = [];
  const after: DeferredSum[] = [];
  const pending = [gradient];
  for (let term = pending.pop(); term !== undefined; term = pending.pop()) {
    if (term.op === "add" && term.inputs.every((x) => x.shape.join() === term!.shape.join())) {
      pending.push(...term.inputs);
      continue;
    }
    const deferred = deferredProduct(term) ?? deferredRowSum(term);
    if (deferred === undefined) inside.push(term);
    else after.push(deferred);
  }
  return { inside, after };
}

const flat = (x: Tensor) => reshape(x, [-1, x.shape[x.shape.length - 1]!]);

/** Σₜ aₜᵀ bₜ over rows is one product over T·R rows. */
function deferredProduct(term: Tensor): DeferredSum | undefined {
  if (!isOp(term, "gemm") || term.inputs.length > 2 || !term.attrs.transA || term.attrs.transB) return;
  return {
    parts: term.inputs,
    join: ([a, b]) => gemm(flat(a!), flat(b!), true, false),
  };
}

/** Σₜ of sums over rows is one sum over T·R rows. */
function deferredRowSum(term: Tensor): DeferredSum | undefined {
  const total = term.op === "reshape" ? term.inputs[0]! : term;
  if (!isOp(total, "sum") || total.inputs[0]!.shape.length !== 2 || total.attrs.axes.join() !== "0") return;
  return {
    parts: total.inputs,
    join: ([x], like) => reshape(sum(flat(x!), [0]), like.shape),
  };
}

/** Operators that cost less than reading a stored value. */
const FREE_OF_COST: ReadonlySet<Operator> = new Set([
  "constant",
  "reshape",
  "expand",
  "stopGradient",
  // No values of their own.
  "split",
  "scan",
]);

/** The forward values that the gradients start from, to be read from sequences. */
function frontier(roots: readonly Tensor[], copy: BodyCopy, body: ScanBody): Tensor[] {
  const inputs = new Set([...body.carry, ...body.slices]);
  const saved: Tensor[] = [];
  const seen = new Set(roots);
  for (const x of seen) {
    // What a loop inside the step stacks for its own derivative is a forward value too.
    const loopInside = isOp(x, "scanStack") ? copy.originalOf(x.inputs[0]!) : undefined;
    if (loopInside !== undefined && copy.originalOf(x) === undefined) {
      copy.remember(
        trace(() => stackOf(loopInside, (x as Tensor<"scanStack">).attrs.value), body.graph),
        x,
      );
    }
    const original = copy.originalOf(x);
    const isForward = original !== undefined;
    if (isForward && (inputs.has(original) || !FREE_OF_COST.has(x.op))) saved.push(x);
    else for (const i of x.inputs) seen.add(i);
  }
  return saved.sort((a, b) => a.id - b.id);
}

/** The value built again in the current graph, from the values given. */
function transplant(root: Tensor, values: Map<Tensor, Tensor>): Tensor {
  const graph = currentGraph("grad");
  const needed = new Set([root]);
  for (const x of needed) if (!values.has(x)) for (const i of x.inputs) needed.add(i);
  for (const x of [...needed].sort((a, b) => a.id - b.id)) {
    if (values.has(x)) continue;
    const origin = x.graph.originOf(x);
    values.set(
      x,
      origin !== undefined
        ? graph.resolve("grad", origin)
        : (apply(
            x.op,
            x.inputs.map((i) => values.get(i)!),
            x.attrs,
          ) as Tensor),
    );
  }
  return values.get(root)!;
}
