import type { NdArray } from "../core/array.js";

/** An engine that runs ONNX models. The rest of the code sees only this. */
export interface Backend {
  /** for messages and records: engine and version */
  readonly name: string;
  /** @throws SystemError if the engine refuses the model */
  load(model: Uint8Array<ArrayBuffer>, options?: LoadOptions): LoadedModel;
}

export interface LoadOptions {
  /** for messages */
  readonly name?: string;
}

/** A model ready to run. Arrays passed in are read in place; arrays returned are fresh and belong to the caller. */
export interface LoadedModel {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Values in the order of `inputNames`; results in the order of `outputNames`. Synchronous. */
  call(inputs: readonly NdArray[]): NdArray[];
  callAsync(inputs: readonly NdArray[]): Promise<NdArray[]>;
  run(feeds: Readonly<Record<string, NdArray>>): Record<string, NdArray>;
  runAsync(feeds: Readonly<Record<string, NdArray>>): Promise<Record<string, NdArray>>;
  dispose(): void;
}

/** Above this size optimising a graph costs more than it gains (measured: 2,000 nodes, about 50 bytes each). */
const OPTIMIZED_BYTES = 100_000;

/** How far an engine should rewrite a model when it loads it: our graphs are written the way they should run. */
export function optimizationOf(model: Uint8Array): "basic" | "disabled" {
  return model.byteLength > OPTIMIZED_BYTES ? "disabled" : "basic";
}

/** What is left of a backend's model once `call` exists. */
export abstract class OrderedModel implements LoadedModel {
  abstract readonly inputNames: readonly string[];
  abstract readonly outputNames: readonly string[];
  abstract call(inputs: readonly NdArray[]): NdArray[];
  abstract callAsync(inputs: readonly NdArray[]): Promise<NdArray[]>;
  abstract dispose(): void;

  run(feeds: Readonly<Record<string, NdArray>>): Record<string, NdArray> {
    return this.#named(this.call(this.#ordered(feeds)));
  }

  async runAsync(feeds: Readonly<Record<string, NdArray>>): Promise<Record<string, NdArray>> {
    return this.#named(await this.callAsync(this.#ordered(feeds)));
  }

  #ordered(feeds: Readonly<Record<string, NdArray>>): NdArray[] {
    return this.inputNames.map((name) => {
      const value = feeds[name];
      if (value === undefined) throw new TypeError(`model input "${name}" is missing`);
      return value;
    });
  }

  #named(results: readonly NdArray[]): Record<string, NdArray> {
    return Object.fromEntries(this.outputNames.map((name, i) => [name, results[i]!]));
  }
}
