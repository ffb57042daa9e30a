import { createRequire } from "node:module";
import type { Binding } from "onnxruntime-node/dist/binding.js";
import type { DType, NdArray } from "../core/array.js";
import { SystemError, UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import { writeModel } from "../onnx/index.js";
import { exp, trace } from "../tensor/index.js";
import { type Backend, type LoadedModel, type LoadOptions, OrderedModel, optimizationOf } from "./backend.js";

/**
 * ONNX Runtime in Node, through the synchronous binding underneath its public interface: `session.run` is a
 * synchronous call in an asynchronous coat, and training loops are simpler without the coat. The binding is not
 * public, so the package is pinned to one exact version, and this is the only file that knows it.
 */
const ENGINE = "onnxruntime-node";
const VERSION = "1.30.0";

const PROVIDERS = ["cpu", "cuda", "webgpu"] as const;

/** Who computes: the processor, or a graphics card through CUDA or WebGPU. */
export type NodeProvider = (typeof PROVIDERS)[number];

export interface NodeBackendOptions {
  /**
   * Default "cpu". Nothing falls back: where the provider is missing, no backend is made. A single operator that a
   * GPU lacks runs on the CPU, though; with "webgpu" that is every operator on float64.
   */
  readonly provider?: NodeProvider;
  /** threads inside one operator; more than one helps only with large matrices on idle cores. Default 1. */
  readonly threads?: number;
  /** what the engine prints: 2 warnings, 3 errors, 4 only fatal ones. Default 4: errors arrive as exceptions. */
  readonly logSeverity?: 0 | 1 | 2 | 3 | 4;
  /**
   * Where the engine writes what every node of every run took: a JSON file for each session, when it is closed, whose
   * name begins with this path. Slows every node by about 2 µs. Default: nowhere.
   */
  readonly profile?: string;
}

/**
 * The native engine for Node.
 *
 * @throws SystemError if the engine or its synchronous binding is missing, or the machine lacks the provider
 * @throws UserError if there is no provider of that name
 */
export function nodeBackend(options: NodeBackendOptions = {}): Backend {
  const { threads = 1, logSeverity = 4, provider = "cpu", profile } = options;
  if (!PROVIDERS.includes(provider)) {
    throw new UserError(
      `${ENGINE}, provider "${String(provider)}": unknown. ${suggestion(String(provider), PROVIDERS)}`,
    );
  }
  const engine = loadEngine(logSeverity);
  let sessions = 0;
  const load = (model: Uint8Array<ArrayBuffer>): Binding.InferenceSession => {
    const session = new engine.InferenceSession();
    const copy = model.slice();
    session.loadModel(copy.buffer, 0, copy.byteLength, {
      executionProviders: [provider],
      executionMode: "sequential",
      graphOptimizationLevel: optimizationOf(model),
      intraOpNumThreads: threads,
      logSeverityLevel: logSeverity,
      // With several threads, waiting in a loop takes the core from whoever has work.
      ...(threads > 1 ? { extra: { session: { intra_op: { allow_spinning: "0" } } } } : {}),
      ...(profile === undefined
        ? {}
        : { enableProfiling: true, profileFilePrefix: `${profile}${sessions++}` }),
    });
    return session;
  };
  if (provider !== "cpu") tryProvider(provider, load);
  return {
    name: `${ENGINE} ${VERSION}${provider === "cpu" ? "" : ` (${provider})`}`,
    load(model: Uint8Array<ArrayBuffer>, { name = "model" }: LoadOptions = {}): LoadedModel {
      try {
        return new NodeModel(load(model), name);
      } catch (error) {
        throw new SystemError(`${name}: ${ENGINE} cannot load the model: ${messageOf(error)}`, {
          cause: error,
        });
      }
    },
  };
}

/**
 * Run the smallest model once: a missing library, driver or card shows when a session is made or used, not before.
 * @throws SystemError
 */
function tryProvider(
  provider: NodeProvider,
  load: (model: Uint8Array<ArrayBuffer>) => Binding.InferenceSession,
): void {
  const bytes = trace((graph) => {
    const x = graph.input("x", [1], "float32");
    return writeModel({ inputs: [x], outputs: { y: exp(x) }, name: "probe" });
  });
  try {
    const model = new NodeModel(load(bytes), "probe");
    model.call([{ dtype: "float32", shape: [1], data: new Float32Array(1) }]);
    model.dispose();
  } catch (error) {
    const needs =
      provider === "cuda"
        ? "it needs the engine's CUDA libraries (which its install script fetches), CUDA 12 and cuDNN"
        : "it needs a graphics card with a Vulkan, Metal or Direct3D 12 driver";
    throw new SystemError(
      `${ENGINE}, provider "${provider}": not available on this machine (${messageOf(error)}); ${needs}`,
      { cause: error },
    );
  }
}

function loadEngine(logSeverity: number): { readonly InferenceSession: Binding.InferenceSessionConstructor } {
  const require = createRequire(import.meta.url);
  // Otherwise the engine gives this machine an id in the user's cache, records every session beside it to send home,
  // and keeps a few kilobytes for each. It looks when it is loaded; whoever wants the records sets the variable to 0.
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  try {
    const { binding, initOrt } = require(`${ENGINE}/dist/binding.js`);
    // Messages that belong to no session obey a setting of their own, read once for the whole process.
    const { env } = createRequire(require.resolve(ENGINE))("onnxruntime-common");
    env.logLevel = (["verbose", "info", "warning", "error", "fatal"] as const)[logSeverity];
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
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  // The engine's own checks begin with a source file and the condition; what they mean comes last.
  return line.split(" was false. ").at(-1)!;
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
