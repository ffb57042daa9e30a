/**
 * Programs: functions over tensors, compiled to ONNX and run by an engine. This entry point knows no engine;
 * `runtime/node.js` provides the one for Node.
 */
import type { NdArray } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import type { Tensor } from "../tensor/index.js";
import type { Backend } from "./backend.js";
import { Epochs, type EpochsOptions, type Executor, type MinibatchStep } from "./epochs.js";
import { ModelCache } from "./model-cache.js";
import { Program, type ProgramOptions } from "./program.js";
import type { Concrete, Symbolic } from "./types.js";

export interface RuntimeOptions {
  /** most sessions open at once. Default 128. */
  readonly capacity?: number;
  /** default of the programs' option `debug` */
  readonly debug?: boolean;
  /**
   * How updates of many minibatches run. Default "whole", all of them in one run; "stepwise" in debug mode, where every
   * value is looked at.
   */
  readonly executor?: Executor;
}

/** Compiles and runs programs on one backend. */
export class Runtime {
  readonly backend: Backend;
  readonly #cache: ModelCache;
  readonly #debug: boolean;
  readonly #executor: Executor;

  constructor(backend: Backend, options: RuntimeOptions = {}) {
    this.backend = backend;
    this.#cache = new ModelCache(backend, options.capacity ?? 128);
    this.#debug = options.debug ?? false;
    this.#executor = options.executor ?? (this.#debug ? "stepwise" : "whole");
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

  /**
   * Gradient steps over the minibatches of a batch, epoch after epoch.
   *
   * @param name of the step, for messages and viewers, like "ppo/minibatch"
   * @param step one minibatch: the next state, and float32 [K] numbers to report
   */
  epochs(
    name: string,
    step: (minibatch: MinibatchStep) => { readonly state: Tree<Tensor>; readonly reports: Tensor },
    options: EpochsOptions,
  ): Epochs {
    const compile = (program: string, fn: (inputs: never) => Tree<Tensor>) =>
      new Program<Tree<NdArray>, Tree<Tensor>>(program, fn, this.#cache, { debug: this.#debug });
    return new Epochs(name, compile, step, options, this.#executor);
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
export {
  Epochs,
  type EpochsOptions,
  type EpochsResult,
  type Executor,
  type MinibatchStep,
} from "./epochs.js";
export { checkFinite, firstNonFinite, nonFinitePosition } from "./finite.js";
export { type ExportOptions, Program, type ProgramOptions } from "./program.js";
export type { ArraySpec, Concrete, SpecTree, Symbolic } from "./types.js";
