import { sizeOf } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import { suggestion } from "../core/suggest.js";
import {
  concat,
  formatDims,
  named,
  reshape,
  sameShape,
  split,
  type Tensor,
  TensorError,
} from "../tensor/index.js";
import type { Initializer } from "./init.js";

/** One parameter of a module. */
export interface ParamSpec {
  /** unique within a layout, like "policy/hidden0/weight" */
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Initializer;
}

/** A parameter's place in the flat vector. */
export interface ParamEntry extends ParamSpec {
  readonly offset: number;
  readonly size: number;
}

/** A part of a network: parameters, and a function of them. Holds no values. */
export interface Module {
  readonly parameters: readonly ParamSpec[];
  forward(params: Readonly<Record<string, Tensor>>, x: Tensor): Tensor;
}

/**
 * Where each named parameter lies in the one flat vector that an optimiser updates. Few large tensors cross the
 * border to the engine instead of many small ones, and a checkpoint is one array.
 */
export class ParamLayout {
  readonly entries: readonly ParamEntry[];
  readonly size: number;
  readonly #byName: ReadonlyMap<string, ParamEntry>;

  /** @throws UserError if a name occurs twice */
  constructor(parameters: readonly ParamSpec[]) {
    const entries: ParamEntry[] = [];
    const byName = new Map<string, ParamEntry>();
    let offset = 0;
    for (const spec of parameters) {
      if (byName.has(spec.name)) {
        throw new UserError(`parameter "${spec.name}": two modules use this name, expected a unique one`);
      }
      const entry = { ...spec, offset, size: sizeOf(spec.shape) };
      byName.set(spec.name, entry);
      entries.push(entry);
      offset += entry.size;
    }
    this.entries = entries;
    this.size = offset;
    this.#byName = byName;
  }

  /**
   * The named parameters of a flat vector [size]: one Split, and a Reshape for each that is not a vector. The
   * gradient with respect to the vector is therefore one Concat.
   */
  unpack(flat: Tensor): Record<string, Tensor> {
    const parts = this.#parts(flat);
    return Object.fromEntries(
      this.entries.map(({ name, shape }, i) => [name, named(reshape(parts[i]!, shape), name)]),
    );
  }

  /**
   * The flat vector [size] with some of its parameters replaced: one Split and one Concat.
   *
   * @param values by name, each of its parameter's shape
   * @throws UserError if there is no parameter of a name; TensorError if a shape does not fit
   */
  replace(flat: Tensor, values: Readonly<Record<string, Tensor>>): Tensor {
    for (const [name, value] of Object.entries(values)) {
      const { shape } = this.#entry(name);
      if (!sameShape(value.shape, shape)) {
        throw new TensorError(`parameter "${name}": got ${value}, expected shape ${formatDims(shape)}`);
      }
    }
    const parts = this.#parts(flat);
    return concat(
      this.entries.map(({ name, size }, i) =>
        values[name] === undefined ? parts[i]! : reshape(values[name], [size]),
      ),
    );
  }

  #parts(flat: Tensor): Tensor[] {
    if (flat.shape.length !== 1 || flat.shape[0] !== this.size) {
      throw new TensorError(`parameters: got ${flat}, expected a vector of ${this.size} elements`);
    }
    return split(
      flat,
      this.entries.map((e) => e.size),
    );
  }

  /** First values of all parameters, drawn in order from the stream. */
  initial(stream: RandomStream): Float32Array {
    const flat = new Float32Array(this.size);
    for (const { init, shape, offset, size } of this.entries) {
      init(shape, stream, flat.subarray(offset, offset + size));
    }
    return flat;
  }

  /** A view of one parameter in a flat vector. @throws UserError if there is none of that name */
  view(flat: Float32Array, name: string): Float32Array {
    const { offset, size } = this.#entry(name);
    return flat.subarray(offset, offset + size);
  }

  #entry(name: string): ParamEntry {
    const entry = this.#byName.get(name);
    if (entry !== undefined) return entry;
    throw new UserError(
      `parameter "${name}": not in this network. ${suggestion(name, [...this.#byName.keys()])}`,
    );
  }
}

/** The layout of all parameters of some modules, or of whatever else has parameters, in order. */
export function layoutOf(...modules: readonly (Module | Pick<Module, "parameters">)[]): ParamLayout {
  return new ParamLayout(modules.flatMap((m) => m.parameters));
}
