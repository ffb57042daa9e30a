import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { f32, type NdArray, sizeOf } from "../../src/core/array.js";
import { UserError } from "../../src/core/errors.js";
import { RandomStream } from "../../src/core/random.js";
import { type ImportedModel, importModel } from "../../src/onnx/index.js";
import { arrayFrom, FREE, interpret, trace } from "../../src/tensor/index.js";
import "../support/allclose.js";
import { type NodeSpec, nodeModel } from "./node-model.js";

/**
 * Models exported for one row, applied to three: whatever the graph does, the result is that of the rows one by one, or
 * a refusal.
 */

const ROWS = 3;
const random = (shape: readonly number[], seed: number) => {
  const stream = RandomStream.from(seed);
  return f32(
    shape,
    Array.from({ length: sizeOf(shape) }, () => stream.normal()),
  );
};

interface Graph {
  readonly nodes: NodeSpec[];
  readonly constants: Record<string, NdArray>;
  /** shape of every float value */
  readonly shapes: Map<string, readonly number[]>;
}

/** One random node on values of the graph so far; it is left out where nothing fits. */
function grow(graph: Graph, pick: (n: number) => number): void {
  const { nodes, constants, shapes } = graph;
  const names = [...shapes.keys()];
  const from = names[names.length - 1 - pick(Math.min(3, names.length))]!;
  const shape = shapes.get(from)!;
  const rank = shape.length;
  const out = `v${nodes.length}`;
  const literal = (array: NdArray) => {
    const name = `c${Object.keys(constants).length}`;
    constants[name] = array;
    return name;
  };
  const ints = (values: readonly number[]) => literal(arrayFrom([values.length], "int64", values));
  const emit = (
    op: string,
    inputs: readonly string[],
    result: readonly number[],
    attrs: NodeSpec["attrs"] = {},
  ) => {
    nodes.push({ op, in: inputs, out: [out], attrs });
    shapes.set(out, result);
  };
  const axis = rank === 0 ? 0 : pick(rank);
  const changed = (size: number) => shape.with(axis, size);
  const scalars = [
    () => emit("Tanh", [from], shape),
    () => {
      const at = pick(rank + 1);
      emit("Unsqueeze", [from, ints([at])], shape.toSpliced(at, 0, 1));
    },
    () => {
      // The same elements under other sizes, 1s among them.
      const target = [1, sizeOf(shape), 1].slice(pick(2), 2 + pick(2));
      const last = target.length - 1;
      emit("Reshape", [from, ints(pick(2) === 1 ? target.with(last, -1) : target)], target);
    },
  ];
  const others = [
    () => {
      const perm = shape.map((_, i) => i);
      for (let i = perm.length - 1; i > 0; i--) {
        const j = pick(i + 1);
        [perm[i], perm[j]] = [perm[j]!, perm[i]!];
      }
      const result = perm.map((k) => shape[k]!);
      emit("Transpose", [from], result, { perm });
    },
    () => {
      if (shape[axis] === 1) emit("Squeeze", [from, ints([axis])], shape.toSpliced(axis, 1));
    },
    () => emit("Softmax", [from], shape, { axis }),
    () => emit("ReduceSum", [from, ints([axis])], changed(1)),
    () => emit("Concat", [from, from], changed(2 * shape[axis]!), { axis }),
    () => emit("Concat", [from, literal(random(changed(2), pick(99)))], changed(shape[axis]! + 2), { axis }),
    () => {
      if (rank < 2) return;
      const w = random([shape[rank - 1]!, 2], pick(99));
      emit("MatMul", [from, literal(w)], shape.with(rank - 1, 2));
    },
    () => emit("Gather", [from, literal(arrayFrom([], "int64", [0]))], shape.toSpliced(axis, 1), { axis }),
    () => emit("CumSum", [from, literal(arrayFrom([], "int64", [axis]))], shape),
    () => {
      const other = names[pick(names.length)]!;
      const result = broadcast(shape, shapes.get(other)!);
      if (result !== undefined && sizeOf(result) <= 200) emit("Mul", [from, other], result);
    },
    () => {
      const ones = shape.map((d, i) => (i === axis && d === 1 ? 2 : 1));
      emit("Add", [from, literal(random(ones, pick(99)))], broadcast(shape, ones)!);
    },
    () => emit("Flatten", [from], [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))], { axis }),
  ];
  const moves = rank === 0 ? scalars : [...scalars, ...others];
  moves[pick(moves.length)]!();
}

function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}

const INPUTS = { x: [1, 4], y: [1, 3, 2] };

function modelOf(choices: readonly number[]): Uint8Array {
  const graph: Graph = { nodes: [], constants: {}, shapes: new Map(Object.entries(INPUTS)) };
  let at = 0;
  const pick = (n: number) => choices[at++ % choices.length]! % n;
  for (let i = 0; i < 4; i++) grow(graph, pick);
  const [last, shape] = [...graph.shapes].at(-1)!;
  const value = (name: string, dims: readonly number[]) => [name, { dtype: "float32", shape: dims }] as const;
  return nodeModel({
    opset: 18,
    inputs: Object.fromEntries(Object.entries(INPUTS).map(([k, s]) => value(k, s))),
    constants: graph.constants,
    nodes: [...graph.nodes, { op: "Neg", in: [last], out: ["out"] }],
    outputs: Object.fromEntries([value("out", shape)]),
  });
}

function run(model: ImportedModel, feeds: Readonly<Record<string, NdArray>>, free: boolean): NdArray {
  return trace((graph) => {
    const xs = Object.entries(feeds).map(([k, { dtype, shape }]) => {
      return [k, graph.input(k, free ? [FREE, ...shape.slice(1)] : shape, dtype)];
    });
    return interpret(model.apply(Object.fromEntries(xs)), feeds).out!;
  });
}

/** Arrays that are equal except for one axis of 1, laid along it. */
function joined(rows: readonly NdArray[], axis: number): NdArray {
  const { shape } = rows[0]!;
  const inner = sizeOf(shape.slice(axis + 1));
  const outer = sizeOf(shape.slice(0, axis));
  const values: number[] = [];
  for (let o = 0; o < outer; o++) {
    for (const { data } of rows) {
      for (let i = 0; i < inner; i++) values.push(Number(data[o * inner + i]));
    }
  }
  return arrayFrom(shape.with(axis, rows.length), "float64", values);
}

describe("a model exported for one row", () => {
  it("is applied to several rows one by one, or refused", () => {
    const counts = { applied: 0, refused: 0 };
    const feeds = {
      x: random([ROWS, ...INPUTS.x.slice(1)], 1),
      y: random([ROWS, ...INPUTS.y.slice(1)], 2),
    };
    const rowOf = ({ shape, data }: NdArray, i: number) => {
      const size = data.length / ROWS;
      return f32([1, ...shape.slice(1)], Array.from(data.slice(i * size, (i + 1) * size), Number));
    };
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 30, maxLength: 60 }), fc.boolean(), (choices, free) => {
        const model = importModel(modelOf(choices), "one.onnx");
        const single = Array.from({ length: ROWS }, (_, i) =>
          run(model, { x: rowOf(feeds.x, i), y: rowOf(feeds.y, i) }, false),
        );
        let together: NdArray;
        try {
          together = run(model, feeds, free);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/^one\.onnx[^\n]*$/);
          counts.refused++;
          return;
        }
        counts.applied++;
        const { shape } = single[0]!;
        const axis = together.shape.findIndex((d, i) => d !== shape[i]);
        // A result that does not depend on the rows at all has none.
        const expected = axis < 0 ? single[0]! : joined(single, axis);
        expect(together).toBeAllclose(expected, { rtol: 1e-12, atol: 1e-12 });
      }),
      { numRuns: 800, seed: 11 },
    );
    expect(counts.applied).toBeGreaterThan(200);
    expect(counts.refused).toBeGreaterThan(200);
  });

  const one = (nodes: readonly NodeSpec[], x: readonly (number | string)[] = [1, 4]) =>
    importModel(
      nodeModel({
        opset: 18,
        inputs: { x: { dtype: "float32", shape: x }, z: { dtype: "float32", shape: [1, 4] } },
        constants: {
          last: arrayFrom([1], "int64", [-1]),
          all: arrayFrom([1], "int64", [0]),
          flipped: arrayFrom([2], "int64", [1, 0]),
        },
        nodes,
        outputs: { y: { dtype: "float32", shape: [1, 4] } },
      }),
      "one.onnx",
    );
  const apply = (model: ImportedModel, x: readonly number[], z: readonly number[] = [1, 4]) =>
    trace((graph) => {
      const given = { x: graph.input("x", x, "float32"), z: graph.input("z", z, "float32") };
      return model.apply(given).y!.shape;
    });

  it.each([
    [
      "a product of all pairs of rows",
      [
        { op: "ReduceSum", in: ["x", "last"], out: ["s"] },
        { op: "Transpose", in: ["s"], out: ["t"] },
        { op: "Mul", in: ["s", "t"] },
      ],
      'one.onnx: it was exported for one row, and "y" mixes rows; export it with a dynamic batch dimension',
    ],
    [
      "a product that sums over rows",
      [
        { op: "Transpose", in: ["x"], out: ["t"] },
        { op: "MatMul", in: ["t", "x"] },
      ],
      '"y" mixes rows',
    ],
    [
      "a batched product that sums over rows",
      [
        { op: "Unsqueeze", in: ["x", "all"], out: ["u"] },
        { op: "Transpose", in: ["u"], out: ["t"], attrs: { perm: [0, 2, 1] } },
        { op: "MatMul", in: ["t", "u"] },
      ],
      '"y" mixes rows',
    ],
    [
      "elements that change rows",
      [
        { op: "Shape", in: ["x"], out: ["sizes"] },
        { op: "Gather", in: ["sizes", "flipped"], out: ["target"] },
        { op: "Reshape", in: ["x", "target"] },
      ],
      '"y" mixes rows',
    ],
    [
      "a mean over everything",
      [{ op: "ReduceMean", in: ["x"] }],
      'node "ReduceMean_0" (ReduceMean): mean: axis 0 of shape [N, 4] is free (N); the model was exported for one row, export it',
    ],
    [
      "all dimensions of 1 removed",
      [{ op: "Squeeze", in: ["x"] }],
      "the row as well; the model was exported for one row",
    ],
    [
      "one long row",
      [{ op: "Reshape", in: ["x", "last"] }],
      'output "y": it joins the rows, which are free here, with other dimensions; the model was exported for one row',
    ],
    ["the first row", [{ op: "Gather", in: ["x", "all"] }], "picks from the rows, which are free here"],
  ] as [string, NodeSpec[], string][])("refuses %s in one sentence", (_, nodes, expected) => {
    expect(() => apply(one(nodes), [5, 4])).toThrow(expected);
    expect(() => apply(one(nodes), [1, 4])).not.toThrow();
  });

  it("shares an input of one row among all rows", () => {
    const add = one([{ op: "Add", in: ["x", "z"] }]);
    expect(apply(add, [5, 4])).toEqual([5, 4]);
    expect(apply(add, [5, 4], [5, 4])).toEqual([5, 4]);
    expect(() => apply(add, [5, 4], [6, 4])).toThrow(
      'input "z": got 6 rows, expected as many as input "x", 5',
    );
  });

  it("says what to export instead", () => {
    const add = [{ op: "Add", in: ["x", "z"] }];
    expect(() => apply(one(add, ["batch", 4]), [5, 4], [5, 4])).toThrow(
      'input "z": its rows are fixed at 1 while other sizes are named; export it with a dynamic batch dimension of every input',
    );
    expect(() => apply(one(add, [8, 4]), [5, 4])).toThrow(
      'input "x": got float32 [5, 4], expected float32 [8, 4]; if these are rows, export the model with a dynamic batch dimension',
    );
    expect(() => apply(one(add, [4]), [5, 4])).toThrow(
      'input "x": got float32 [5, 4], expected float32 [4]; export the model with a batch dimension',
    );
  });
});

/** A dimension of a value in a model with dynamic rows: a size, or so many elements for each row. */
type Size = number | { readonly perRow: number };

const sizesOf = (dims: readonly Size[]) => dims.map((d) => (typeof d === "number" ? d : ROWS * d.perRow));

/** Random nodes that join the rows with other dimensions, compute, and separate them again. */
function dynamicModel(pick: (n: number) => number): Uint8Array {
  const nodes: NodeSpec[] = [];
  const constants: Record<string, NdArray> = {};
  let dims: readonly Size[] = [{ perRow: 1 }, 2, 3, 4];
  let last = "x";
  const literal = (array: NdArray) => {
    const name = `c${Object.keys(constants).length}`;
    constants[name] = array;
    return name;
  };
  const emit = (
    op: string,
    others: readonly string[],
    result: readonly Size[],
    attrs: NodeSpec["attrs"] = {},
  ) => {
    const out = `v${nodes.length}`;
    nodes.push({ op, in: [last, ...others], out: [out], attrs });
    [last, dims] = [out, result];
  };
  const reshape = (to: readonly Size[]) => {
    const sizes = to.map((d) => (typeof d === "number" ? d : -1));
    emit("Reshape", [literal(arrayFrom([to.length], "int64", sizes))], to);
  };
  const perRow = (d: Size) => (typeof d === "number" ? d : d.perRow);
  const moves = [
    () => {
      // Two neighbours become one dimension.
      if (dims.length < 2) return;
      const i = pick(dims.length - 1);
      const [a, b] = [dims[i]!, dims[i + 1]!];
      const size = perRow(a) * perRow(b);
      const isRows = typeof a !== "number" || typeof b !== "number";
      reshape(dims.toSpliced(i, 2, isRows ? { perRow: size } : size));
    },
    () => {
      // One becomes two; the rows go to the first.
      const i = pick(dims.length);
      const d = dims[i]!;
      const factor = [2, 3, 4].find((k) => perRow(d) % k === 0);
      if (factor === undefined || dims.length > 4) return;
      const rest = perRow(d) / factor;
      reshape(dims.toSpliced(i, 1, typeof d === "number" ? rest : { perRow: rest }, factor));
    },
    () => {
      const perm = dims.map((_, i) => i);
      const i = pick(dims.length);
      perm.push(...perm.splice(i, 1));
      emit(
        "Transpose",
        [],
        perm.map((k) => dims[k]!),
        { perm },
      );
    },
    () => emit("Tanh", [], dims),
    () =>
      emit(
        "Add",
        [
          literal(
            random(
              [perRow(dims.at(-1)!) === 1 || typeof dims.at(-1) !== "number" ? 1 : (dims.at(-1) as number)],
              pick(99),
            ),
          ),
        ],
        dims,
      ),
    () => emit("Softmax", [], dims, { axis: -1 - pick(dims.length) }),
    () =>
      emit(
        "Concat",
        [last],
        dims.map((d, i) => (i === 1 && typeof d === "number" ? 2 * d : d)),
        { axis: 1 },
      ),
    () => {
      const width = dims.at(-1)!;
      if (typeof width !== "number" || dims.length < 2) return;
      const w = literal(random([width, 2], pick(99)));
      if (dims.length === 2 && pick(2) === 0) emit("Gemm", [w], [dims[0]!, 2], { alpha: { float: 0.5 } });
      else emit("MatMul", [w], [...dims.slice(0, -1), 2]);
    },
    () => {
      if (dims.length < 3) return;
      const swapped = [...dims.slice(0, -2), dims.at(-1)!, dims.at(-2)!];
      const perm = dims.map((_, i) => i);
      perm.push(...perm.splice(-2, 2).reverse());
      const [before, own] = [last, dims];
      emit("Transpose", [], swapped, { perm });
      nodes.push({ op: "MatMul", in: [before, last], out: [`v${nodes.length}`] });
      [last, dims] = [`v${nodes.length - 1}`, [...own.slice(0, -1), own.at(-2)!]];
    },
    () => {
      const axis = pick(dims.length);
      const keep = pick(2);
      const reduced = keep === 1 ? dims.with(axis, 1) : dims.toSpliced(axis, 1);
      emit("ReduceMax", [literal(arrayFrom([1], "int64", [axis - dims.length]))], reduced, {
        keepdims: keep,
      });
    },
    () => {
      const axis = pick(dims.length);
      const d = dims[axis]!;
      if (typeof d !== "number" || d < 2) return;
      const bounds = [1, 2 ** 40, axis].map((v) => literal(arrayFrom([1], "int64", [v])));
      emit("Slice", bounds, dims.with(axis, d - 1));
    },
    () => {
      const at = pick(dims.length + 1);
      if (dims.length < 5)
        emit("Unsqueeze", [literal(arrayFrom([1], "int64", [at]))], dims.toSpliced(at, 0, 1));
    },
  ];
  for (let i = 0; i < 5; i++) moves[pick(moves.length)]!();
  const value = (shape: readonly (number | string)[]) => ({ dtype: "float32", shape }) as const;
  // In the end the rows come first, on their own.
  const size = dims.reduce<number>((n, d) => n * perRow(d), 1);
  const at = dims.findIndex((d) => typeof d !== "number");
  if (at >= 0) reshape([{ perRow: 1 }, size]);
  return nodeModel({
    opset: 18,
    inputs: { x: value(["batch", 2, 3, 4]) },
    constants,
    nodes: [...nodes, { op: "Neg", in: [last], out: ["out"] }],
    outputs: { out: value(sizesOf(dims)) },
  });
}

describe("a model with dynamic rows", () => {
  it("is the same function of free rows as of fixed ones, or refused", () => {
    const counts = { applied: 0, refused: 0 };
    const feeds = { x: random([ROWS, 2, 3, 4], 5) };
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 30, maxLength: 60 }), (choices) => {
        let at = 0;
        const bytes = dynamicModel((n) => choices[at++ % choices.length]! % n);
        const model = importModel(bytes, "rows.onnx");
        const fixed = run(model, feeds, false);
        let free: NdArray;
        try {
          free = run(model, feeds, true);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/^rows\.onnx[^\n]*free[^\n]*$/);
          counts.refused++;
          return;
        }
        counts.applied++;
        expect(free).toBeAllclose(fixed, { rtol: 1e-12, atol: 1e-12 });
      }),
      { numRuns: 1000, seed: 12 },
    );
    expect(counts.applied).toBeGreaterThan(500);
    expect(counts.refused).toBeGreaterThan(10);
  });
});
