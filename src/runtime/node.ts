import { createRequire } from "node:module";
import type { Binding } from "onnxruntime-node/dist/binding.js";
import type { DType, NdArray } from "../core/array.js";
import { SystemError } from "../core/errors.js";
import { type Backend, type LoadedModel, type LoadOptions, OrderedModel } from "./backend.js";

/**
 * ONNX Runtime in Node, through the synchronous binding underneath its public interface: `session.run` is a
 * synchronous call in an asynchronous coat, and training loops are simpler without the coat. The binding is not
 * public, so the package is pinned to one exact version, and this is the only file that knows it.
 */
const ENGINE = "onnxruntime-node";
const VERSION = "1.30.0";

export interface NodeBackendOptions {
  /** threads inside one operator; more than one helps only with large matrices on idle cores. Default 1. */
  readonly threads?: number;
  /** what the engine prints: 2 warnings, 3 errors, 4 only fatal ones. Default 4: errors arrive as exceptions. */
  readonly logSeverity?: 0 | 1 | 2 | 3 | 4;
}

/** Above this size optimising a graph costs more than it gains (the study: 2,000 nodes, about 50 bytes each). */
const OPTIMIZED_BYTES = 100_000;

/**
 * The CPU engine for Node.
 *
 * @throws SystemError if the engine or its synchronous binding is missing
 */
export function nodeBackend(options: NodeBackendOptions = {}): Backend {
  const engine = loadEngine();
  const { threads = 1, logSeverity = 4 } = options;
  return {
    name: `${ENGINE} ${VERSION}`,
    load(model: Uint8Array<ArrayBuffer>, { name = "model" }: LoadOptions = {}): LoadedModel {
      const session = new engine.InferenceSession();
      const copy = model.slice();
      try {
        session.loadModel(copy.buffer, 0, copy.byteLength, {
          executionProviders: ["cpu"],
          executionMode: "sequential",
          graphOptimizationLevel: model.byteLength > OPTIMIZED_BYTES ? "disabled" : "basic",
          intraOpNumThreads: threads,
          logSeverityLevel: logSeverity,
          // With several threads, waiting in a loop takes the core from whoever has work.
          ...(threads > 1 ? { extra: { session: { intra_op: { allow_spinning: "0" } } } } : {}),
        });
      } catch (error) {
        throw new SystemError(`${name}: ${ENGINE} cannot load the model: ${messageOf(error)}`, {
          cause: error,
        });
      }
      return new NodeModel(session, name);
    },
  };
}

function loadEngine(): { readonly InferenceSession: Binding.InferenceSessionConstructor } {
  const require = createRequire(import.meta.url);
  try {
    const { binding, initOrt } = require(`${ENGINE}/dist/binding.js`);
    initOrt();
    return binding;
  } catch (error) {
    throw new SystemError(
      `the synchronous binding of ${ENGINE} ${VERSION} cannot be loaded (${messageOf(error)}); run "npm ci" on a supported platform`,
      { cause: error },
    );
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}

/** What the binding reads of a tensor; one is kept for each input and refilled, so that calls allocate nothing. */
interface Feed {
  type: DType;
  dims: readonly number[];
  data: NdArray["data"];
  readonly location: "cpu";
}

const EMPTY = new Float32Array(0);
const RUN_OPTIONS = {};

class NodeModel extends OrderedModel {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #session: Binding.InferenceSession;
  readonly #name: string;
  readonly #slots: Feed[];
  readonly #feeds: Record<string, Feed>;
  readonly #fetches: Record<string, null>;

  constructor(session: Binding.InferenceSession, name: string) {
    super();
    this.#session = session;
    this.#name = name;
    this.inputNames = session.inputMetadata.map((m) => m.name);
    this.outputNames = session.outputMetadata.map((m) => m.name);
    this.#slots = this.inputNames.map(() => ({ type: "float32", dims: [0], data: EMPTY, location: "cpu" }));
    this.#feeds = Object.fromEntries(this.inputNames.map((n, i) => [n, this.#slots[i]!]));
    this.#fetches = Object.fromEntries(this.outputNames.map((n) => [n, null]));
  }

  call(inputs: readonly NdArray[]): NdArray[] {
    const slots = this.#slots;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      const { dtype, shape, data } = inputs[i]!;
      slot.type = dtype;
      slot.dims = shape;
      slot.data = data;
    }
    let results: Record<string, unknown>;
    try {
      results = this.#session.run(this.#feeds as never, this.#fetches, RUN_OPTIONS) as never;
    } catch (error) {
      throw new SystemError(`${this.#name}: ${messageOf(error)}`, { cause: error });
    } finally {
      // Whoever owned the arrays decides how long they live, not the last call.
      for (const slot of slots) slot.data = EMPTY;
    }
    const names = this.outputNames;
    const out: NdArray[] = new Array(names.length);
    for (let i = 0; i < names.length; i++) {
      const { type, dims, data } = results[names[i]!] as Feed;
      out[i] = { dtype: type, shape: dims, data } as NdArray;
    }
    return out;
  }

  async callAsync(inputs: readonly NdArray[]): Promise<NdArray[]> {
    return this.call(inputs);
  }

  dispose(): void {
    this.#session.dispose();
  }
}
