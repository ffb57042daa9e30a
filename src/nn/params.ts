import { ndarray, sizeOf } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import { suggestion } from "../core/suggest.js";
import {
  concat,
  constant,
  formatDims,
  isOp,
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
   * The named parameters of a flat vector [P]: one Split, and a Reshape for each that is not a vector. The gradient
   * with respect to the vector is therefore one Concat. A constant vector becomes one constant for each.
   *
   * From the vectors of n stacked agents [n, P], a matrix [in, out] becomes [n, in, out]; what has fewer axes also gets
   * a row axis, to broadcast against [..., n, B, size]: a vector [size] becomes [n, 1, size]. See
   * `stackedLayout`.
   *
   * @param flat [P] or [n, P]
   */
  unpack(flat: Tensor): Record<string, Tensor> {
    // Parameters that are known stand in a file under their own names.
    if (isOp(flat, "constant") && flat.shape.length === 1 && flat.shape[0] === this.size) {
      const { dtype, data } = flat.attrs.value;
      return Object.fromEntries(
        this.entries.map(({ name, shape, offset, size }) => [
          name,
          named(constant(ndarray(dtype, shape, data.slice(offset, offset + size))), name),
        ]),
      );
    }
    const parts = this.#parts(flat);
    return Object.fromEntries(
      this.entries.map((entry, i) => [
        entry.name,
        named(reshape(parts[i]!, unpackedShape(entry, flat)), entry.name),
      ]),
    );
  }

  /**
   * The vector with some of its parameters replaced: one Split and one Concat.
   *
   * @param flat   [P] or [n, P]
   * @param values by name, of the shapes that `unpack` gives
   * @throws UserError if there is no parameter of a name; TensorError if a shape does not fit
   */
  replace(flat: Tensor, values: Readonly<Record<string, Tensor>>): Tensor {
    for (const [name, value] of Object.entries(values)) {
      const expected = unpackedShape(this.#entry(name), flat);
      if (!sameShape(value.shape, expected)) {
        throw new TensorError(`parameter "${name}": got ${value}, expected shape ${formatDims(expected)}`);
      }
    }
    const parts = this.#parts(flat);
    const replaced = this.entries.map(({ name }, i) =>
      values[name] === undefined ? parts[i]! : reshape(values[name], parts[i]!.shape),
    );
    return concat(replaced, -1);
  }

  #parts(flat: Tensor): Tensor[] {
    const rank = flat.shape.length;
    if ((rank !== 1 && rank !== 2) || flat.shape[rank - 1] !== this.size) {
      throw new TensorError(
        `parameters: got ${flat}, expected a vector of ${this.size} elements, or one for each stacked agent`,
      );
    }
    const sizes = this.entries.map((e) => e.size);
    return split(flat, sizes, -1);
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

/** A parameter's shape in [P], or in [n, P]. */
function unpackedShape({ shape }: ParamSpec, flat: Tensor): readonly number[] {
  if (flat.shape.length === 1) return shape;
  const rows = new Array<number>(Math.max(0, 2 - shape.length)).fill(1);
  return [flat.shape[0]!, ...rows, ...shape];
}

/** The layout of all parameters of some modules, or of whatever else has parameters, in order. */
export function layoutOf(...modules: readonly (Module | Pick<Module, "parameters">)[]): ParamLayout {
  return new ParamLayout(modules.flatMap((m) => m.parameters));
}
