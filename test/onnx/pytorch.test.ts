import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { DType, NdArray } from "../../src/core/array.js";
import { importModel, writeModel } from "../../src/onnx/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import {
  add,
  arrayFrom,
  constant,
  FREE,
  grad,
  interpret,
  isFloat,
  mul,
  sum,
  type Tensor,
  trace,
  transpose,
} from "../../src/tensor/index.js";
import "../support/allclose.js";

/**
 * Policies exported by PyTorch (record/policies.py): outputs and input gradients against what PyTorch computes. Both of
 * its exporters, models with dynamic rows and models exported for one row, fixed and free rows, the engine and the
 * float64 interpreter.
 */

interface Recorded {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

type Values = Readonly<Record<string, Recorded>>;

interface Recording {
  readonly rowAxes: Readonly<Record<string, number>>;
  readonly inputs: Values;
  readonly outputs: Values;
  readonly cotangents: Values;
  readonly gradients: Values;
  readonly exports: readonly { readonly file: string; readonly rows: "rows" | "one row" }[];
}

const FIXTURES = new URL("fixtures/", import.meta.url);
const backend = nodeBackend();

const load = (file: string) => new Uint8Array(readFileSync(new URL(file, FIXTURES)));
const arrays = (values: Values): Record<string, NdArray> =>
  Object.fromEntries(
    Object.entries(values).map(([k, { dtype, shape, data }]) => [k, arrayFrom(shape, dtype, data)]),
  );

/** Axes reordered so that `axis` comes first, or back. */
const toFront = (rank: number, axis: number) => [
  axis,
  ...Array.from({ length: rank }, (_, i) => i).toSpliced(axis, 1),
];
const toBack = (rank: number, axis: number) =>
  Array.from({ length: rank - 1 }, (_, i) => i + 1).toSpliced(axis, 0, 0);

/** The values of one row of the inputs, or the inputs with the rows in front, as arrays. */
function moved(
  values: Readonly<Record<string, NdArray>>,
  axes: Recording["rowAxes"],
): Record<string, NdArray> {
  return trace(() =>
    Object.fromEntries(
      Object.entries(values).map(([k, v]) => {
        const { data, shape } = interpret({ x: transpose(constant(v), toFront(v.shape.length, axes[k]!)) }).x;
        return [k, arrayFrom(shape, v.dtype, Array.from(data as ArrayLike<number | bigint>, Number))];
      }),
    ),
  );
}

/**
 * Outputs, and gradients of Σ cotangent · output by the float inputs.
 * @param xs what to differentiate by
 */
function withGradients(
  outputs: Readonly<Record<string, Tensor>>,
  cotangents: Readonly<Record<string, Tensor>>,
  xs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const loss = Object.entries(cotangents)
    .map(([name, c]) => sum(mul(outputs[name]!, c)))
    .reduce((a, b) => add(a, b));
  const floats = Object.fromEntries(Object.entries(xs).filter(([, x]) => isFloat(x.dtype)));
  const gradients = Object.entries(grad(loss, floats)).map(([k, g]) => [`gradient/${k}`, g]);
  return { ...outputs, ...Object.fromEntries(gradients) };
}

function expectRecorded(
  actual: Readonly<Record<string, NdArray>>,
  expected: Readonly<Record<string, NdArray>>,
): void {
  for (const [name, value] of Object.entries(expected)) {
    expect(actual[name]!.shape, name).toEqual(value.shape);
    expect(actual[name]!, name).toBeAllclose(value, { rtol: 1e-5, atol: 1e-5 });
  }
}

const prefixed = <T>(prefix: string, values: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([k, v]) => [`${prefix}/${k}`, v]));

for (const file of readdirSync(FIXTURES).filter((name) => name.endsWith(".json"))) {
  const recording = JSON.parse(readFileSync(new URL(file, FIXTURES), "utf8")) as Recording;
  const { rowAxes } = recording;
  const [inputs, outputs] = [arrays(recording.inputs), arrays(recording.outputs)];
  const [cotangents, gradients] = [arrays(recording.cotangents), arrays(recording.gradients)];
  describe(file.replace(".json", ""), () => {
    for (const { file: model, rows } of recording.exports) {
      const imported = importModel(load(model), model);

      it(`${model}: outputs and input gradients are PyTorch's, in the engine and in float64`, () => {
        trace((graph) => {
          const declare = (values: Readonly<Record<string, NdArray>>, prefix = "") =>
            Object.fromEntries(
              Object.entries(values).map(([k, v]) => [k, graph.input(prefix + k, v.shape, v.dtype)]),
            );
          const xs = declare(inputs);
          const results = withGradients(imported.apply(xs), declare(cotangents, "cotangent/"), xs);
          const feeds = { ...inputs, ...prefixed("cotangent", cotangents) };
          const expected = { ...outputs, ...prefixed("gradient", gradients) };
          expectRecorded(backend.load(writeModel({ outputs: results })).run(feeds), expected);
          expectRecorded(interpret(results, feeds), expected);
        });
      });

      it(`${model}: any number of rows without compiling again`, () => {
        trace((graph) => {
          /** An input with free rows in front, and the same with the rows where the model has them. */
          const free = (name: string, { dtype, shape }: NdArray, axis: number) => {
            const x = graph.input(name, [FREE, ...shape.toSpliced(axis, 1)], dtype);
            return [x, transpose(x, toBack(shape.length, axis))] as const;
          };
          const xs = Object.entries(inputs).map(([k, v]) => [k, free(k, v, rowAxes[k]!)] as const);
          const results = imported.apply(Object.fromEntries(xs.map(([k, [, placed]]) => [k, placed])));
          const axes = Object.fromEntries(
            Object.entries(results).map(([k, y]) => [k, y.shape.indexOf(FREE)]),
          );
          const seeds = Object.entries(cotangents).map(([k, v]) => [
            k,
            free(`cotangent/${k}`, v, axes[k]!)[1],
          ]);
          const bytes = writeModel({
            outputs: withGradients(
              results,
              Object.fromEntries(seeds),
              Object.fromEntries(xs.map(([k, [x]]) => [k, x])),
            ),
          });
          const feeds = { ...moved(inputs, rowAxes), ...prefixed("cotangent", moved(cotangents, axes)) };
          expectRecorded(backend.load(bytes).run(feeds), {
            ...outputs,
            ...prefixed("gradient", moved(gradients, rowAxes)),
          });
        });
      });

      if (rows === "one row") {
        it(`${model}: takes the one row it was exported for`, () => {
          const row = Object.fromEntries(
            Object.entries(moved(inputs, rowAxes)).map(([k, v]) => [k, firstRow(v)]),
          );
          trace((graph) => {
            const xs = Object.entries(row).map(([k, v]) => {
              const x = graph.input(k, v.shape, v.dtype);
              return [k, transpose(x, toBack(x.shape.length, rowAxes[k]!))];
            });
            const actual = interpret(imported.apply(Object.fromEntries(xs)), row);
            for (const [name, value] of Object.entries(actual)) {
              const axis = outputs[name]!.shape.findIndex((d, i) => d !== value.shape[i]);
              const whole = moved({ x: outputs[name]! }, { x: axis }).x!;
              expect(value.data, name).toBeAllclose(firstRow(whole).data as Float32Array, { atol: 1e-5 });
            }
          });
        });
      }
    }
  });
}

function firstRow({ dtype, shape, data }: NdArray): NdArray {
  const size = data.length / shape[0]!;
  return arrayFrom([1, ...shape.slice(1)], dtype, Array.from(data.slice(0, size), Number));
}
