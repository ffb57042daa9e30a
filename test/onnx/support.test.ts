/** The tables of `src/onnx/support.ts`, held to the engine and to the gradient rules. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { TensorProto_DataType as DataType } from "../../src/onnx/gen/onnx_pb.js";
import { importers } from "../../src/onnx/importers/index.js";
import { importModel } from "../../src/onnx/index.js";
import { float64Support, importSupport, SUPPORTED_OPSETS } from "../../src/onnx/support.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { add, grad, interpret, isFloat, mul, sum, type Tensor, trace } from "../../src/tensor/index.js";
import { operatorModels } from "./operator-models.js";

const backend = nodeBackend();

/** Whether the engine computes the model; undefined if the operator does not exist at this opset. */
function computes(bytes: Uint8Array): boolean | undefined {
  try {
    backend.load(bytes.slice()).dispose();
    return true;
  } catch (error) {
    const { message } = error as Error;
    if (message.includes("Could not find an implementation")) return false;
    if (/Type 'tensor\(double\)' of input parameter .* is invalid/.test(message)) return false;
    expect(message).toMatch(/No Op registered|Unrecognized attribute/);
    return undefined;
  }
}

describe("float64 kernels of the engine", () => {
  const opsets = [13, 15, 16, 17, 18, 19, 20, 21, 22, 24];
  const measured = new Map<string, [number, boolean][]>();
  for (const opset of opsets) {
    for (const { opType, bytes } of operatorModels(DataType.DOUBLE, opset)) {
      const found = computes(bytes);
      if (found !== undefined) measured.set(opType, [...(measured.get(opType) ?? []), [opset, found]]);
    }
  }

  it.each([...measured])("are as the table says: %s", (opType, found) => {
    const table = found.map(([opset]) => [opset, float64Support({ domain: "", opType }, opset) === "yes"]);
    expect(table).toEqual(found);
  });

  it("are measured for every operator that can be imported", () => {
    // Control flow has no kernels of its own: the operators in its bodies have.
    const control = ["If", "Loop", "Scan"];
    const missing = Object.keys(importers).filter((op) => !measured.has(op) && !control.includes(op));
    expect(missing).toEqual([]);
    for (const opType of control) expect(float64Support({ domain: "", opType }, 18)).toBe("yes");
  });

  it("are listed on their page", () => {
    const page = readFileSync("docs/inspect.md", "utf8");
    const row = (title: string) => {
      const line = page.split("\n").find((text) => text.startsWith(`| ${title} |`))!;
      return [...line.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
    };
    const where = (has: (found: readonly [number, boolean][]) => boolean) =>
      [...measured].filter(([, found]) => has(found)).map(([opType]) => opType);
    const range = (found: readonly [number, boolean][]) =>
      found.flatMap(([opset, yes]) => (yes ? [opset] : [])).join(" ");
    expect(row("never")).toEqual(where((found) => range(found) === "").sort());
    expect(row("at 18 only")).toEqual(where((found) => range(found) === "18").sort());
    expect(row("from 16 to 18")).toEqual(where((found) => range(found) === "16 17 18").sort());
  });

  it("are unknown for operators of other domains and for new ones", () => {
    expect(float64Support({ domain: "com.microsoft", opType: "Gelu" }, 18)).toBe("unknown");
    expect(float64Support({ domain: "", opType: "constructor" }, 18)).toBe("unknown");
  });
});

describe("derivatives of imported operators", () => {
  const models = operatorModels(DataType.DOUBLE, SUPPORTED_OPSETS.newest).filter(({ opType }) =>
    Object.hasOwn(importers, opType),
  );

  it.each(models.map(({ opType, bytes }) => [opType, bytes] as const))(
    "are as the table says: %s",
    (opType, bytes) => {
      const { inputs, apply } = importModel(bytes, opType);
      const stream = RandomStream.from(3, opType);
      const feeds: Record<string, NdArray> = {};
      for (const { name, dtype, shape } of inputs) {
        const size = sizeOf(shape as number[]);
        // Between 0 and 1: inside the domain of every operator.
        const data = Float64Array.from({ length: size }, () => 0.1 + 0.8 * stream.uniform());
        const whole = { bool: Uint8Array, int64: BigInt64Array, int32: Int32Array };
        feeds[name] = ndarray(
          dtype,
          shape as number[],
          dtype === "float64" ? data : (new whole[dtype as keyof typeof whole](size) as NdArray["data"]),
        );
      }
      const gradients = trace((graph) => {
        const tensors = Object.fromEntries(
          Object.entries(feeds).map(([name, x]) => [name, graph.input(name, x.shape, x.dtype)]),
        );
        const outputs = Object.values(apply(tensors)).filter((y) => isFloat(y.dtype));
        // Weights that differ: the sum of a softmax is constant.
        const loss = outputs.reduce<Tensor | undefined>((total, y) => {
          const part = sum(mul(y, y));
          return total === undefined || total.dtype !== part.dtype ? part : add(total, part);
        }, undefined);
        const floats = Object.values(tensors).filter((x) => isFloat(x.dtype));
        if (loss === undefined || floats.length === 0) return [];
        return Object.values(
          interpret(Object.fromEntries(grad(loss, floats).map((g, i) => [`${i}`, g])), feeds),
        );
      });
      const flows = gradients.some((g) => (g as NdArray).data.some((v) => Number(v) !== 0));
      expect(importSupport({ domain: "", opType })).toBe(flows ? "differentiable" : "no gradient");
    },
  );
});
