import type { DType, NdArray } from "../core/array.js";
import { allocate } from "../core/array.js";
import { SystemError, UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import { type Backend, type LoadedModel, type LoadOptions, OrderedModel, optimizationOf } from "./backend.js";

/**
 * ONNX Runtime as WebAssembly, for pages, workers and Node, through the C functions underneath its public interface:
 * that one is asynchronous for the sake of engines on a GPU, while the CPU build computes before it returns, and
 * training loops are plain synchronous code. The functions are not public, so the package is pinned to one exact
 * version, and this is the only file that knows them. One thread: more need a page that is isolated from others.
 */
const ENGINE = "onnxruntime-web";
const VERSION = "1.30.0";
const MODULE = "ort-wasm-simd-threaded.mjs";

export interface WebBackendOptions {
  /** Only "cpu": the engine's GPU builds answer asynchronously, and programs run synchronously. */
  readonly provider?: "cpu";
  /** where `ort-wasm-simd-threaded.mjs` lies; default: the installed package, by its name */
  readonly moduleUrl?: string | URL;
  /** where `ort-wasm-simd-threaded.wasm` lies; default: beside the module */
  readonly wasmUrl?: string | URL;
  /** the wasm file's bytes, instead of a place to load them from */
  readonly wasmBinary?: ArrayBuffer | Uint8Array;
  /** what the engine prints: 2 warnings, 3 errors, 4 only fatal ones. Default 4: errors arrive as exceptions. */
  readonly logSeverity?: 0 | 1 | 2 | 3 | 4;
}

/** What is used of Emscripten's module. Pointers and handles are addresses in its memory; 0 means failure. */
interface Engine {
  readonly HEAPU8: Uint8Array;
  readonly HEAP32: Int32Array;
  readonly HEAPU32: Uint32Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  stackSave(): number;
  stackAlloc(bytes: number): number;
  stackRestore(stack: number): void;
  UTF8ToString(pointer: number): string;
  _OrtInit(threads: number, logSeverity: number): number;
  _OrtGetLastError(code: number, message: number): number;
  _OrtFree(pointer: number): number;
  _OrtCreateSessionOptions(
    optimizationLevel: number,
    arena: boolean,
    memoryPattern: boolean,
    executionMode: number,
    profiling: boolean,
    profilePrefix: number,
    logId: number,
    logSeverity: number,
    logVerbosity: number,
    optimizedModelPath: number,
  ): number;
  _OrtReleaseSessionOptions(options: number): number;
  _OrtCreateSession(data: number, bytes: number, options: number): number;
  _OrtReleaseSession(session: number): number;
  _OrtGetInputOutputCount(session: number, inputs: number, outputs: number): number;
  _OrtGetInputOutputMetadata(session: number, index: number, name: number, description: number): number;
  _OrtCreateTensor(
    type: number,
    data: number,
    bytes: number,
    dims: number,
    rank: number,
    place: number,
  ): number;
  _OrtGetTensorData(tensor: number, type: number, data: number, dims: number, rank: number): number;
  _OrtReleaseTensor(tensor: number): number;
  _OrtRun(
    session: number,
    inputNames: number,
    inputs: number,
    inputCount: number,
    outputNames: number,
    outputCount: number,
    outputs: number,
    options: number,
  ): number;
}

const FUNCTIONS = [
  "_malloc",
  "_free",
  "stackSave",
  "stackAlloc",
  "stackRestore",
  "UTF8ToString",
  "_OrtInit",
  "_OrtGetLastError",
  "_OrtFree",
  "_OrtCreateSessionOptions",
  "_OrtReleaseSessionOptions",
  "_OrtCreateSession",
  "_OrtReleaseSession",
  "_OrtGetInputOutputCount",
  "_OrtGetInputOutputMetadata",
  "_OrtCreateTensor",
  "_OrtGetTensorData",
  "_OrtReleaseTensor",
  "_OrtRun",
] as const satisfies readonly (keyof Engine)[];

export interface WebBackend extends Backend {
  /** size of the engine's memory in bytes; it grows with need and is never given back */
  readonly memoryBytes: number;
}

/**
 * The CPU engine as WebAssembly. Starting it is asynchronous (14 MB to load and compile); everything after is not.
 * Each call makes an engine with its own memory, which ends with the last reference to it.
 *
 * @throws SystemError if the engine cannot be loaded, or is another version or build than the one expected
 * @throws UserError if the provider is not one of the wasm engine's
 */
export async function webBackend(options: WebBackendOptions = {}): Promise<WebBackend> {
  checkProvider(options.provider ?? "cpu");
  const { logSeverity = 4 } = options;
  const engine = await loadEngine(options);
  if (engine._OrtInit(1, logSeverity) !== 0) {
    throw new SystemError(`${ENGINE} ${VERSION} does not start: ${lastError(engine)}`);
  }
  return {
    name: `${ENGINE} ${VERSION} (wasm)`,
    get memoryBytes() {
      return engine.HEAPU8.length;
    },
    load(model: Uint8Array<ArrayBuffer>, { name = "model" }: LoadOptions = {}): LoadedModel {
      return guarded(name, () => new WebModel(engine, createSession(engine, name, model, logSeverity), name));
    },
  };
}

function checkProvider(provider: string): void {
  if (provider === "cpu") return;
  if (provider === "webgpu" || provider === "webnn" || provider === "webgl") {
    throw new SystemError(
      `${ENGINE}, provider "${provider}": its builds answer asynchronously, and programs run synchronously; use "cpu" here, or nodeBackend({ provider: "webgpu" }) in Node`,
    );
  }
  throw new UserError(`${ENGINE}, provider "${provider}": unknown. ${suggestion(provider, ["cpu"])}`);
}

// ---------------------------------------------------------------- start

async function loadEngine({ moduleUrl, wasmUrl, wasmBinary }: WebBackendOptions): Promise<Engine> {
  const config: Record<string, unknown> = { numThreads: 1 };
  if (wasmBinary !== undefined) {
    config.wasmBinary = wasmBinary;
    // Otherwise the loader works out an address even so, which it cannot where it has none itself (blob:).
    config.locateFile = (file: string) => file;
  } else if (wasmUrl !== undefined) config.locateFile = () => String(wasmUrl);
  let engine: Partial<Engine>;
  const hadWorker = "Worker" in globalThis;
  try {
    const loader = await (moduleUrl === undefined
      ? import("onnxruntime-web/ort-wasm-simd-threaded.mjs")
      : import(/* @vite-ignore */ /* webpackIgnore: true */ String(moduleUrl)));
    engine = (await loader.default(config)) as Partial<Engine>;
  } catch (error) {
    throw new SystemError(
      `${ENGINE} ${VERSION} cannot be loaded (${messageOf(error)}); install it beside Phalanx, or say with moduleUrl and wasmUrl where ${MODULE} and its .wasm lie`,
      { cause: error },
    );
  } finally {
    // In Node the loader makes Worker a global, by which other code would take Node for a page.
    if (!hadWorker) delete (globalThis as { Worker?: unknown }).Worker;
  }
  const missing = FUNCTIONS.find((name) => typeof engine[name] !== "function");
  if (missing !== undefined) {
    throw new SystemError(`${ENGINE}: ${MODULE} has no function ${missing}, expected version ${VERSION}`);
  }
  if ("asyncInit" in engine || "jsepInit" in engine || "webgpuInit" in engine) {
    throw new SystemError(`${ENGINE}: got a build for GPUs, which is asynchronous, expected ${MODULE}`);
  }
  if (!holdsVersion((engine as Engine).HEAPU8)) {
    throw new SystemError(
      `${ENGINE}: the wasm file is not of version ${VERSION}, on whose inner functions this backend relies`,
    );
  }
  return engine as Engine;
}

/** The engine has its version among its constants, between zero bytes, and no function that tells it. */
function holdsVersion(memory: Uint8Array): boolean {
  const text = [0, ...new TextEncoder().encode(VERSION), 0];
  // Constants lie at the start of the memory; this build has 1.1 MB of them.
  const end = Math.min(memory.length, 1 << 22) - text.length;
  for (let at = memory.indexOf(text[1]!); at > 0 && at < end; at = memory.indexOf(text[1]!, at + 1)) {
    if (text.every((byte, i) => memory[at - 1 + i] === byte)) return true;
  }
  return false;
}

// ---------------------------------------------------------------- sessions

/** Bytes of a pointer, and of every number that the functions exchange through memory. */
const WORD = 4;
/** ONNX's numbers for element types. */
const TYPE_CODE = { float32: 1, int32: 6, int64: 7, bool: 9, float64: 11 } as const satisfies Record<
  DType,
  number
>;
const DTYPE = new Map(Object.entries(TYPE_CODE).map(([dtype, code]) => [code as number, dtype as DType]));
const OPTIMIZATION_LEVEL = { disabled: 0, basic: 1 } as const;
/** the engine's name for its own memory, as opposed to a GPU's */
const ON_CPU = 1;

function createSession(engine: Engine, name: string, model: Uint8Array, logSeverity: number): number {
  const level = OPTIMIZATION_LEVEL[optimizationOf(model)];
  const options = engine._OrtCreateSessionOptions(level, false, true, 0, false, 0, 0, logSeverity, 0, 0);
  let data = 0;
  try {
    if (options === 0) throw new SystemError(`${name}: ${ENGINE}: ${lastError(engine)}`);
    data = allocateBytes(engine, name, model.byteLength);
    engine.HEAPU8.set(model, data);
    const session = engine._OrtCreateSession(data, model.byteLength, options);
    if (session === 0) {
      throw new SystemError(`${name}: ${ENGINE} cannot load the model: ${lastError(engine)}`);
    }
    return session;
  } finally {
    engine._free(data);
    if (options !== 0) engine._OrtReleaseSessionOptions(options);
  }
}

class WebModel extends OrderedModel {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #engine: Engine;
  readonly #name: string;
  /** 0 once disposed of */
  #session: number;
  /** words of a call: pointers to the names of inputs and outputs, then the handles of inputs and of outputs */
  readonly #words: number;
  /** where the bytes of each input start in the block of a call */
  readonly #offsets: number[];

  constructor(engine: Engine, session: number, name: string) {
    super();
    this.#engine = engine;
    this.#session = session;
    this.#name = name;
    const stack = engine.stackSave();
    const counts = engine.stackAlloc(2 * WORD);
    this.#must(engine._OrtGetInputOutputCount(session, counts, counts + WORD));
    const inputs = engine.HEAPU32[counts >>> 2]!;
    const outputs = engine.HEAPU32[(counts + WORD) >>> 2]!;
    engine.stackRestore(stack);
    this.#words = allocateBytes(engine, name, 2 * WORD * (inputs + outputs));
    const names = Array.from({ length: inputs + outputs }, (_, i) => this.#readName(i));
    this.inputNames = names.slice(0, inputs);
    this.outputNames = names.slice(inputs);
    this.#offsets = new Array(inputs).fill(0);
  }

  call(inputs: readonly NdArray[]): NdArray[] {
    if (this.#session === 0) throw new SystemError(`${this.#name}: the session is closed`);
    return guarded(this.#name, () => this.#call(inputs));
  }

  async callAsync(inputs: readonly NdArray[]): Promise<NdArray[]> {
    return this.call(inputs);
  }

  dispose(): void {
    if (this.#session === 0) return;
    const engine = this.#engine;
    const first = this.#words >>> 2;
    const count = this.inputNames.length + this.outputNames.length;
    for (let i = 0; i < count; i++) engine._OrtFree(engine.HEAPU32[first + i]!);
    engine._free(this.#words);
    engine._OrtReleaseSession(this.#session);
    this.#session = 0;
  }

  /** Copy in, run, copy out; nothing stays behind in the engine's memory. */
  #call(inputs: readonly NdArray[]): NdArray[] {
    const engine = this.#engine;
    const inputCount = this.inputNames.length;
    const outputCount = this.outputNames.length;
    const names = this.#words;
    const inputHandles = names + WORD * (inputCount + outputCount);
    const outputHandles = inputHandles + WORD * inputCount;
    engine.HEAPU32.fill(0, inputHandles >>> 2, (outputHandles >>> 2) + outputCount);
    const stack = engine.stackSave();
    const block = this.#copyIn(inputs);
    try {
      for (let i = 0; i < inputCount; i++) {
        const tensor = this.#createTensor(inputs[i]!, block + this.#offsets[i]!);
        engine.HEAPU32[(inputHandles >>> 2) + i] = tensor;
      }
      this.#must(
        engine._OrtRun(
          this.#session,
          names,
          inputHandles,
          inputCount,
          names + WORD * inputCount,
          outputCount,
          outputHandles,
          0,
        ),
      );
      const results: NdArray[] = new Array(outputCount);
      for (let i = 0; i < outputCount; i++) {
        results[i] = this.#copyOut(engine.HEAPU32[(outputHandles >>> 2) + i]!);
      }
      return results;
    } finally {
      for (let i = 0; i < inputCount + outputCount; i++) {
        const tensor = engine.HEAPU32[(inputHandles >>> 2) + i]!;
        if (tensor !== 0) engine._OrtReleaseTensor(tensor);
      }
      engine._free(block);
      engine.stackRestore(stack);
    }
  }

  /** All inputs in one block of memory. */
  #copyIn(inputs: readonly NdArray[]): number {
    const engine = this.#engine;
    const offsets = this.#offsets;
    let bytes = 0;
    for (let i = 0; i < offsets.length; i++) {
      offsets[i] = bytes;
      bytes += (inputs[i]!.data.byteLength + 15) & ~15;
    }
    const block = allocateBytes(engine, this.#name, bytes);
    const memory = engine.HEAPU8;
    for (let i = 0; i < offsets.length; i++) {
      const { data } = inputs[i]!;
      memory.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), block + offsets[i]!);
    }
    return block;
  }

  #createTensor({ dtype, shape, data }: NdArray, at: number): number {
    const engine = this.#engine;
    const dims = engine.stackAlloc(WORD * shape.length);
    for (let axis = 0; axis < shape.length; axis++) engine.HEAP32[(dims >>> 2) + axis] = shape[axis]!;
    const type = TYPE_CODE[dtype];
    const tensor = engine._OrtCreateTensor(type, at, data.byteLength, dims, shape.length, ON_CPU);
    if (tensor === 0) throw this.#failure();
    return tensor;
  }

  #copyOut(tensor: number): NdArray {
    const engine = this.#engine;
    const out = engine.stackAlloc(4 * WORD);
    this.#must(engine._OrtGetTensorData(tensor, out, out + WORD, out + 2 * WORD, out + 3 * WORD));
    const words = engine.HEAPU32;
    const type = words[out >>> 2]!;
    const from = words[(out >>> 2) + 1]!;
    const dims = words[(out >>> 2) + 2]!;
    const rank = words[(out >>> 2) + 3]!;
    const shape = Array.from(words.subarray(dims >>> 2, (dims >>> 2) + rank));
    engine._OrtFree(dims);
    const dtype = DTYPE.get(type);
    if (dtype === undefined) {
      throw new SystemError(
        `${this.#name}: an output has ONNX's element type ${type}, which is not supported`,
      );
    }
    let size = 1;
    for (const d of shape) size *= d;
    const data = allocate(dtype, size);
    const bytes = new Uint8Array(data.buffer);
    bytes.set(engine.HEAPU8.subarray(from, from + bytes.length));
    return { dtype, shape, data } as NdArray;
  }

  /** Name of an input or output; its bytes stay in the engine's memory, where calls point to them. */
  #readName(index: number): string {
    const engine = this.#engine;
    const stack = engine.stackSave();
    const out = engine.stackAlloc(2 * WORD);
    this.#must(engine._OrtGetInputOutputMetadata(this.#session, index, out, out + WORD));
    const pointer = engine.HEAPU32[out >>> 2]!;
    engine._OrtFree(engine.HEAPU32[(out + WORD) >>> 2]!);
    engine.HEAPU32[(this.#words >>> 2) + index] = pointer;
    engine.stackRestore(stack);
    return engine.UTF8ToString(pointer);
  }

  #must(status: number): void {
    if (status !== 0) throw this.#failure();
  }

  #failure(): SystemError {
    return new SystemError(`${this.#name}: ${lastError(this.#engine)}`);
  }
}

// ---------------------------------------------------------------- memory and errors

/** @returns an address; a block of no bytes has one too */
function allocateBytes(engine: Engine, name: string, bytes: number): number {
  const pointer = engine._malloc(Math.max(bytes, 1));
  if (pointer === 0) {
    throw new SystemError(`${name}: ${ENGINE} has no memory left for ${bytes} bytes (its limit is 4 GiB)`);
  }
  return pointer;
}

function lastError(engine: Engine): string {
  const stack = engine.stackSave();
  const out = engine.stackAlloc(2 * WORD);
  engine._OrtGetLastError(out, out + WORD);
  const message = engine.HEAPU32[(out + WORD) >>> 2]!;
  const text = message === 0 ? "unknown error" : engine.UTF8ToString(message);
  engine.stackRestore(stack);
  return text.split("\n")[0]!;
}

/** What WebAssembly itself throws (a trap, an exhausted stack) is the engine's failure, with the model's name. */
function guarded<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof SystemError || error instanceof TypeError) throw error;
    throw new SystemError(`${name}: ${ENGINE}: ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
