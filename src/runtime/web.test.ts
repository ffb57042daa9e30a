import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { f32, type NdArray, ndarray } from "../core/array.js";
import { SystemError, UserError } from "../core/errors.js";
import { writeModel } from "../onnx/index.js";
import { constant, gather, matmul, mul, sum, type Tensor, tanh, trace } from "../tensor/index.js";
import { Runtime } from "./index.js";
import { type WebBackend, webBackend } from "./web.js";

const { resolve } = createRequire(import.meta.url);
const MODULE = resolve("onnxruntime-web/ort-wasm-simd-threaded.mjs");
const WASM = resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");

let backend: WebBackend;
beforeAll(async () => {
  backend = await webBackend();
});

/** A model that returns its inputs as they are, each under "out/NAME". */
function passing(inputs: Readonly<Record<string, NdArray>>): Uint8Array<ArrayBuffer> {
  return trace((graph) => {
    const xs = Object.entries(inputs).map(
      ([name, a]) => [name, graph.input(name, a.shape, a.dtype)] as const,
    );
    return writeModel({
      inputs: xs.map(([, x]) => x),
      outputs: Object.fromEntries(xs.map(([name, x]) => [`out/${name}`, x])),
    });
  });
}

describe("the wasm engine", () => {
  it("takes and returns every dtype, scalars, empty arrays, and parts of larger buffers", () => {
    const large = Float32Array.from({ length: 100 }, (_, i) => i);
    const inputs: Record<string, NdArray> = {
      scalar: ndarray("float32", [], Float32Array.of(-0.1)),
      part: f32([2, 3], large.subarray(41, 47)),
      empty: f32([0, 3], []),
      float64: ndarray("float64", [2], Float64Array.of(Math.PI, Number.MIN_VALUE)),
      int32: ndarray("int32", [3], Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1)),
      int64: ndarray("int64", [1, 2], BigInt64Array.of(2n ** 62n + 1n, -1n)),
      // An odd number of bytes: what follows must stay aligned.
      bool: ndarray("bool", [3], Uint8Array.of(1, 0, 1)),
      last: ndarray("float64", [1], Float64Array.of(Number.NaN)),
    };
    const model = backend.load(passing(inputs));
    const results = model.run(inputs);
    for (const [name, given] of Object.entries(inputs)) {
      expect(results[`out/${name}`], name).toEqual(given);
      expect(results[`out/${name}`]!.data.buffer).not.toBe(given.data.buffer);
    }
    model.dispose();
  });

  it("runs programs with free rows, and results stay as they are when later ones run", () => {
    const program = new Runtime(backend).program(
      "double",
      ({ x }: { x: Tensor }) => ({ y: mul(x, 2), total: sum(x) }),
      { freeRows: ["x"] },
    );
    const first = program.run({ x: f32([1, 2], [1, 2]) });
    const second = program.run({ x: f32([3, 2], [1, 2, 3, 4, 5, 6]) });
    expect(first.y).toEqual(f32([1, 2], [2, 4]));
    expect(second.y).toEqual(f32([3, 2], [2, 4, 6, 8, 10, 12]));
    expect(second.total.data[0]).toBe(21);
  });

  it("gives equal bits in two engines of its kind", async () => {
    const stream = Float32Array.from({ length: 64 * 64 }, (_, i) => Math.sin(i));
    const compute = (one: WebBackend) =>
      new Runtime(one)
        .program("net", ({ x }: { x: Tensor }) => ({ y: tanh(matmul(x, tanh(x))) }))
        .run({ x: f32([64, 64], stream) }).y;
    expect(compute(await webBackend())).toEqual(compute(backend));
  });

  it("frees what a run needed: thousands of runs leave its memory as it was", async () => {
    const fresh = await webBackend();
    const big = f32([2 ** 18], new Float32Array(2 ** 18));
    const bigModel = fresh.load(passing({ big }));
    const shape = new Array(16).fill(1);
    const small = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x${i}`, f32(shape, [i])]));
    const smallModel = fresh.load(passing(small));
    const inputs = Object.values(small);
    for (let i = 0; i < 10; i++) [bigModel.call([big]), smallModel.call(inputs)];
    const before = fresh.memoryBytes;
    // Be it the 1 MiB in and out or the 40 shapes: what a run kept would add up to more than there is.
    for (let i = 0; i < 1000; i++) bigModel.call([big]);
    for (let i = 0; i < 6000; i++) smallModel.call(inputs);
    expect(fresh.memoryBytes).toBe(before);
  });

  it("frees sessions: opening and closing them leaves its memory as it was", async () => {
    const fresh = await webBackend();
    const weights = Float32Array.from({ length: 2 ** 16 }, (_, i) => i);
    const bytes = trace((graph) => {
      // A long name, because names are kept for each session.
      const x = graph.input("x".repeat(20_000), [2 ** 16], "float32");
      return writeModel({ outputs: { y: mul(x, constant(f32([2 ** 16], weights))) } });
    });
    const once = () => {
      const model = fresh.load(bytes);
      model.call([f32([2 ** 16], weights)]);
      model.dispose();
      model.dispose();
    };
    for (let i = 0; i < 20; i++) once();
    const before = fresh.memoryBytes;
    for (let i = 0; i < 2000; i++) once();
    expect(fresh.memoryBytes).toBe(before);
  });

  it("frees what failed loads and runs needed, too", async () => {
    const fresh = await webBackend();
    const model = fresh.load(passing({ x: f32([2 ** 18], new Float32Array(2 ** 18)) }), { name: "m" });
    const broken = new Uint8Array(2 ** 18).fill(255);
    const wrong = [f32([2 ** 17], new Float32Array(2 ** 17))];
    const once = () => {
      expect(() => model.call(wrong)).toThrow(SystemError);
      expect(() => fresh.load(broken)).toThrow(SystemError);
    };
    for (let i = 0; i < 10; i++) once();
    const before = fresh.memoryBytes;
    for (let i = 0; i < 1000; i++) once();
    expect(fresh.memoryBytes).toBe(before);
  });

  it("says in one sentence what is wrong with a model, an input, or the order of calls", () => {
    expect(() => backend.load(Uint8Array.of(1, 2, 3), { name: "broken" })).toThrow(
      /^broken: onnxruntime-web cannot load the model: [^\n]+$/,
    );
    const bytes = trace((graph) => {
      const x = graph.input("x", [2], "float32");
      const index = graph.input("index", [1], "int32");
      return writeModel({ inputs: [x, index], outputs: { y: gather(x, index) } });
    });
    const model = backend.load(bytes, { name: "rows" });
    const x = f32([2], [1, 2]);
    const at = (index: number) => ndarray("int32", [1], Int32Array.of(index));
    expect(model.run({ x, index: at(1) }).y).toEqual(f32([1], [2]));
    expect(() => model.run({ x: f32([3], [1, 2, 3]), index: at(1) })).toThrow(
      /^rows: [^\n]*invalid dimensions[^\n]*$/,
    );
    expect(() => model.run({ x, index: at(7) })).toThrow(/^rows: [^\n]*out of data bounds[^\n]*$/);
    expect(() => model.run({ x })).toThrow('model input "index" is missing');
    expect(model.run({ x, index: at(0) }).y).toEqual(f32([1], [1]));
    model.dispose();
    expect(() => model.run({ x, index: at(0) })).toThrow("rows: the session is closed");
  });

  it("computes no longer asynchronously than it must: both forms of a call give the same", async () => {
    const a = f32([2], [1, 2]);
    const model = backend.load(passing({ a }));
    expect(await model.callAsync([a])).toEqual(model.call([a]));
    expect((await model.runAsync({ a }))["out/a"]).toEqual(a);
  });
});

describe("starting the wasm engine", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "phalanx-web-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** A module in a file of its own. */
  const moduleOf = (name: string, text: string) => {
    const file = path.join(folder, name);
    writeFileSync(file, text);
    return pathToFileURL(file);
  };
  const functionsOf = (text: string) => `export default async () => new Proxy(${text}, {
    get: (object, key) => object[key] ?? (key === "then" ? undefined : () => 0),
    has: (object, key) => key in object,
  });`;

  it("takes the files from where the caller says, or the bytes themselves", async () => {
    const x = f32([1], [3]);
    const moduleUrl = pathToFileURL(MODULE);
    const binary = readFileSync(WASM);
    for (const options of [
      { moduleUrl, wasmUrl: pathToFileURL(WASM) },
      { moduleUrl: moduleUrl.href, wasmBinary: binary },
      { wasmBinary: binary.buffer.slice(binary.byteOffset, binary.byteOffset + binary.byteLength) },
    ]) {
      const one = await webBackend(options);
      expect(one.name).toBe("onnxruntime-web 1.30.0 (wasm)");
      expect(one.load(passing({ x })).run({ x })["out/x"]).toEqual(x);
    }
  });

  it("leaves no globals behind", async () => {
    const before = Reflect.ownKeys(globalThis);
    await webBackend();
    expect(Reflect.ownKeys(globalThis)).toEqual(before);
  });

  it("says where the files are expected if there are none", async () => {
    const nowhere = pathToFileURL(path.join(folder, "nothing.mjs"));
    await expect(webBackend({ moduleUrl: nowhere })).rejects.toThrow(
      /^onnxruntime-web 1\.30\.0 cannot be loaded \([^\n]+\); install it beside Phalanx, or say with moduleUrl and wasmUrl where [^\n]+ lie$/,
    );
    await expect(webBackend({ moduleUrl: nowhere })).rejects.toThrow(SystemError);
    await expect(webBackend({ wasmBinary: Uint8Array.of(0, 1, 2) })).rejects.toThrow("cannot be loaded");
  });

  it("refuses another version, a build for GPUs, and modules that lack a function, by name", async () => {
    const old = moduleOf("old.mjs", functionsOf("{ HEAPU8: new TextEncoder().encode('\\0' + '1.29.0\\0') }"));
    await expect(webBackend({ moduleUrl: old })).rejects.toThrow("the wasm file is not of version 1.30.0");
    const gpu = moduleOf("gpu.mjs", functionsOf("{ asyncInit() {} }"));
    await expect(webBackend({ moduleUrl: gpu })).rejects.toThrow("got a build for GPUs");
    const other = moduleOf("other.mjs", "export default async () => ({ _malloc() {}, _free() {} });");
    await expect(webBackend({ moduleUrl: other })).rejects.toThrow(
      "ort-wasm-simd-threaded.mjs has no function stackSave, expected version 1.30.0",
    );
  });

  it("refuses the engine's own build for GPUs, which answers asynchronously", async () => {
    const moduleUrl = pathToFileURL(resolve("onnxruntime-web/ort-wasm-simd-threaded.jsep.mjs"));
    await expect(webBackend({ moduleUrl })).rejects.toThrow("got a build for GPUs");
  });

  it("refuses GPU providers by name, and names the nearest for others", async () => {
    const choose = (provider: string) => webBackend({ provider: provider as "cpu" });
    await expect(choose("webgpu")).rejects.toThrow(
      /^onnxruntime-web, provider "webgpu": its builds answer asynchronously[^\n]*$/,
    );
    await expect(choose("webgpu")).rejects.toThrow(SystemError);
    await expect(choose("cpuu")).rejects.toThrow('provider "cpuu": unknown. Did you mean "cpu"?');
    await expect(choose("cpuu")).rejects.toThrow(UserError);
  });
});
