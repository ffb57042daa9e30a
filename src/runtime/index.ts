/**
 * Programs: functions over tensors, compiled to ONNX and run by an engine. This entry point knows no engine;
 * `runtime/node.js` provides the one for Node.
 */
import type { NdArray } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import type { Tensor } from "../tensor/index.js";
import type { Backend } from "./backend.js";
import { ModelCache } from "./model-cache.js";
import { Program, type ProgramOptions } from "./program.js";
import type { Concrete, Symbolic } from "./types.js";

export interface RuntimeOptions {
  /** most sessions open at once. Default 128. */
  readonly capacity?: number;
  /** default of the programs' option `debug` */
  readonly debug?: boolean;
}

/** Compiles and runs programs on one backend. */
export class Runtime {
  readonly backend: Backend;
  readonly #cache: ModelCache;
  readonly #debug: boolean;

  constructor(backend: Backend, options: RuntimeOptions = {}) {
    this.backend = backend;
    this.#cache = new ModelCache(backend, options.capacity ?? 128);
    this.#debug = options.debug ?? false;
  }

  /**
   * A program: `fn` is traced and compiled at the first call with each tree of shapes and dtypes.
   *
   * @param name for messages and viewers, like "ppo/actor"
   * @param fn   from a tree of tensors to a tree of tensors; must depend on nothing that changes
   */
  program<I extends Tree<NdArray>, O extends Tree<Tensor>>(
    name: string,
    fn: (inputs: Symbolic<I>) => O,
    options?: ProgramOptions,
  ): Program<I, O>;
  /** The same with the input tree taken from the annotation of `fn`'s parameter. */
  program<S extends Tree<Tensor>, O extends Tree<Tensor>>(
    name: string,
    fn: (inputs: S) => O,
    options?: ProgramOptions,
  ): Program<Concrete<S> & Tree<NdArray>, O>;
  program(
    name: string,
    fn: (inputs: never) => Tree<Tensor>,
    options: ProgramOptions = {},
  ): Program<Tree<NdArray>, Tree<Tensor>> {
    return new Program(name, fn, this.#cache, { debug: this.#debug, ...options });
  }

  /** number of open sessions */
  get openSessions(): number {
    return this.#cache.openCount;
  }

  /** Close all sessions and release the engine's memory. Programs open theirs again when they run. */
  dispose(): void {
    this.#cache.clear();
  }
}

export type { Backend, LoadedModel, LoadOptions } from "./backend.js";
export { checkFinite, firstNonFinite, nonFinitePosition } from "./finite.js";
export { type ExportOptions, Program, type ProgramOptions } from "./program.js";
export type { ArraySpec, Concrete, SpecTree, Symbolic } from "./types.js";
