import { type NdArray, sizeOf } from "../core/array.js";
import { internalError, NonFiniteError } from "../core/errors.js";
import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import { writeModel } from "../onnx/index.js";
import {
  FREE,
  Graph,
  isFloat,
  isOp,
  reachable,
  type ScanBody,
  stackOf,
  type Tensor,
  TensorError,
  trace,
} from "../tensor/index.js";
import type { LoadedModel } from "./backend.js";
import { nonFinitePosition } from "./finite.js";
import { InputLayout, OutputLayout } from "./layout.js";
import type { CachedModel, ModelCache } from "./model-cache.js";
import type { ArraySpec, Concrete, SpecTree } from "./types.js";

export interface ProgramOptions {
  /**
   * Inputs whose first dimension is left free, so that any number of rows runs without compiling again. A path
   * names one input or everything below it; all of them have the same number of rows in a call.
   */
  readonly freeRows?: readonly string[];
  /** The only inputs to accept; default: any sizes, compiled once each, with the leaves of the first call. */
  readonly inputs?: SpecTree;
  /** Check every value of every run, and stop at the first that is not finite. Slow; for finding a NaN. */
  readonly debug?: boolean;
}

export interface ExportOptions {
  /** other names for inputs, by path */
  readonly inputNames?: Readonly<Record<string, string>>;
  /** other names for outputs, by path */
  readonly outputNames?: Readonly<Record<string, string>>;
  /** graph name; default: the program's */
  readonly graphName?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** One shape of a program, compiled. */
interface Specialization {
  readonly layout: InputLayout;
  /** positions in the layout of the inputs that the model has */
  readonly used: readonly number[];
  readonly outputs: OutputLayout;
  readonly cached: CachedModel;
  /** reused by every call */
  readonly leaves: NdArray[];
  readonly args: NdArray[];
}

const NOTHING: NdArray = { dtype: "float32", shape: [0], data: new Float32Array(0) };

/** A bound on forgotten shapes; a program called with more of them wants free rows. */
const MAX_SPECIALIZATIONS = 64;

/**
 * A function over tensors, compiled once for each tree of shapes it is called with.
 * `I` is the tree of arrays it takes, `O` the tree of tensors it computes.
 */
export class Program<I extends Tree<NdArray>, O extends Tree<Tensor>> {
  readonly #fn: (inputs: Tree<Tensor>) => Tree<Tensor>;
  readonly #cache: ModelCache;
  readonly #options: ProgramOptions;
  readonly #specializations: Specialization[] = [];
  #kind: InputLayout | undefined;
  #last: Specialization | undefined;

  /** Made by `Runtime.program`. */
  constructor(
    readonly name: string,
    fn: (inputs: never) => Tree<Tensor>,
    cache: ModelCache,
    options: ProgramOptions = {},
  ) {
    this.#fn = fn as (inputs: Tree<Tensor>) => Tree<Tensor>;
    this.#cache = cache;
    this.#options = options;
    if (options.inputs !== undefined) this.#kind = new InputLayout(this.#withFreeRows(options.inputs));
  }

  /**
   * Compute the outputs. Synchronous. Results may be passed to later calls without copying.
   *
   * @throws TensorError naming program, input, what was given and what is expected
   * @throws NonFiniteError with the option `debug`, naming the first tensor that is not finite
   */
  run(inputs: I): Concrete<O> {
    const s = this.#prepare(inputs);
    const results = this.#model(s).call(s.args);
    this.#release(s);
    if (this.#options.debug) this.#checkAll(inputs, s);
    return s.outputs.build(results) as unknown as Concrete<O>;
  }

  /** As `run`, for engines that do not block. */
  async runAsync(inputs: I): Promise<Concrete<O>> {
    const s = this.#prepare(inputs);
    const model = this.#model(s);
    const args = [...s.args];
    this.#release(s);
    return s.outputs.build(await model.callAsync(args)) as unknown as Concrete<O>;
  }

  /** Compile for these shapes now instead of at the first call. */
  compile(inputs: SpecTree): void {
    this.#specialize(this.#withFreeRows(inputs));
  }

  /**
   * The computation as an ONNX file, with every input of the tree in its signature. Inputs and outputs are called by
   * their paths; an output with the path of an input (`state`) is called `next/state`.
   *
   * @param inputs shapes and dtypes; FREE as first dimension leaves the number of rows open
   */
  model(inputs: SpecTree, options: ExportOptions = {}): Uint8Array<ArrayBuffer> {
    const { inputTensors, outputs } = this.#trace(new InputLayout(this.#withFreeRows(inputs)), inputs);
    const inputNames = new Set(inputTensors.map((x) => (x as Tensor<"input">).attrs.name));
    const named = outputs.map(([path, x]) => {
      const standard = inputNames.has(path) ? `next/${path}` : path;
      return [options.outputNames?.[path] ?? standard, x] as const;
    });
    return writeModel({
      inputs: inputTensors,
      outputs: Object.fromEntries(named),
      inputNames: options.inputNames,
      name: options.graphName ?? this.name,
      metadata: options.metadata,
    });
  }

  /**
   * The first tensor, in order of computation, that is not finite for these inputs: what to call when a result
   * is NaN. Undefined if all are finite. Inside a loop, the first step comes first; loops that may stop early are not
   * looked into.
   */
  firstNonFiniteTensor(inputs: I): string | undefined {
    const layout = new InputLayout(specOf(inputs));
    const { inputTensors, outputs } = this.#trace(layout, inputs);
    const watched = trace(() => watchedValues(outputs.map(([, x]) => x)), inputTensors[0]?.graph);
    const model = this.#cache
      .load(this.name, {
        inputs: inputTensors,
        outputs: Object.fromEntries(watched.map(({ value }, i) => [`debug/${i}`, value])),
      })
      .acquire();
    const values = model.run(
      Object.fromEntries(flattenTree<NdArray>(inputs).map(([p, a]) => [p || "input", a])),
    );
    const positions = watched.map((_, i) => nonFinitePosition(values[`debug/${i}`]!));
    const first = positions.findIndex((position) => position >= 0);
    if (first < 0) return undefined;
    const { loop } = watched[first]!;
    if (loop === undefined) return describe(watched[first]!.tensor);
    // Of all values of the loop, the one whose first bad step comes first.
    let found = { step: Number.POSITIVE_INFINITY, tensor: watched[first]!.tensor };
    for (const [i, w] of watched.entries()) {
      if (w.loop !== loop || positions[i]! < 0) continue;
      const { length, reverse } = loop;
      const array = values[`debug/${i}`]!;
      const size = sizeOf(array.shape) / length;
      for (let k = 0; k < length && k < found.step; k++) {
        const t = reverse ? length - 1 - k : k;
        const data = array.data.subarray(t * size, (t + 1) * size);
        if (nonFinitePosition({ ...array, shape: [size], data } as NdArray) >= 0) {
          found = { step: k, tensor: w.tensor };
        }
      }
    }
    const t = loop.reverse ? loop.length - 1 - found.step : found.step;
    return `${describe(found.tensor)}, in step ${t} of a loop`;
  }

  /** Leaves of the tree in the order of the compiled program, which is compiled if it is not there yet. */
  #prepare(inputs: I): Specialization {
    let s = this.#last;
    if (s === undefined || !s.layout.collect(inputs, s.leaves)) {
      s = this.#find(inputs);
      this.#last = s;
    }
    const { used, args, leaves } = s;
    for (let i = 0; i < used.length; i++) args[i] = leaves[used[i]!]!;
    return s;
  }

  /** The caller's arrays are not kept alive by the last call. */
  #release({ args, leaves }: Specialization): void {
    args.fill(NOTHING);
    leaves.fill(NOTHING);
  }

  #find(inputs: I): Specialization {
    for (const s of this.#specializations) if (s.layout.collect(inputs, s.leaves)) return s;
    const spec = this.#withFreeRows(specOf(inputs));
    if (this.#kind !== undefined) {
      const fits =
        this.#options.inputs === undefined ? this.#kind.sameKind(spec) : this.#kind.collect(inputs, []);
      if (!fits) throw this.#kind.mismatch(this.name, inputs);
    }
    const s = this.#specialize(spec);
    if (!s.layout.collect(inputs, s.leaves)) throw s.layout.mismatch(this.name, inputs);
    return s;
  }

  #specialize(spec: SpecTree): Specialization {
    const layout = new InputLayout(spec);
    const { inputTensors, outputs, outputTree } = this.#trace(layout, spec);
    const needed = new Set(reachable(outputs.map(([, x]) => x)));
    const free = inputTensors.findIndex((x) => x.shape[0] === FREE);
    const used = inputTensors.flatMap((x, i) => (needed.has(x) || i === free ? [i] : []));
    const cached = this.#cache.load(this.name, {
      inputs: used.map((i) => inputTensors[i]!),
      // State that comes in under a name goes out under the same: a prefix keeps the two apart.
      outputs: Object.fromEntries(outputs.map(([path, x]) => [`out/${path}`, x])),
      name: this.name,
    });
    const s: Specialization = {
      layout,
      used,
      cached,
      outputs: new OutputLayout(outputTree as SpecTree),
      leaves: [],
      args: [],
    };
    this.#kind ??= layout;
    if (this.#specializations.length >= MAX_SPECIALIZATIONS) this.#specializations.shift();
    this.#specializations.push(s);
    return s;
  }

  #model(s: Specialization): LoadedModel {
    return s.cached.acquire();
  }

  /** Run the function over symbolic inputs. */
  #trace(layout: InputLayout, spec: SpecTree) {
    const graph = new Graph();
    const inputTensors: Tensor[] = [];
    const next = { index: 0 };
    const symbolic = mapTree<ArraySpec, Tensor>(spec, (_, path) => {
      const { shape, dtype } = layout.specs[next.index++]!;
      const x = graph.input(path === "" ? "input" : path, shape, dtype);
      inputTensors.push(x);
      return x;
    });
    try {
      const outputTree = trace(() => this.#fn(symbolic), graph);
      const outputs = flattenTree<Tensor>(outputTree).map(([path, x]) => [path || "output", x] as const);
      if (outputs.length === 0) throw new TensorError("the function returned no tensors");
      for (const [path, x] of outputs) {
        if (x.graph !== graph) throw new TensorError(`output "${path}" belongs to another trace`);
      }
      return { inputTensors, outputs, outputTree };
    } catch (error) {
      if (error instanceof TensorError)
        throw new TensorError(`${this.name}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  #withFreeRows(spec: SpecTree): SpecTree {
    const free = this.#options.freeRows ?? [];
    const matched = new Set<string>();
    const result = mapTree<ArraySpec, ArraySpec>(spec, ({ dtype, shape }, path) => {
      const match = free.find((name) => name === path || path.startsWith(`${name}/`));
      if (match === undefined) return { dtype, shape };
      matched.add(match);
      if (shape.length === 0) {
        throw new TensorError(
          `${this.name}, input "${path}": got a scalar, expected rows, which are declared free`,
        );
      }
      return { dtype, shape: [FREE, ...shape.slice(1)] };
    });
    const missing = free.find((name) => !matched.has(name));
    if (missing !== undefined) {
      throw new TensorError(
        `${this.name}, input "${missing}": missing, expected rows, which are declared free`,
      );
    }
    return result;
  }

  #checkAll(inputs: I, s: Specialization): void {
    if (s.layout.paths.length === 0) throw internalError("debug run without inputs");
    const bad = this.firstNonFiniteTensor(inputs);
    if (bad !== undefined)
      throw new NonFiniteError(`${this.name}: the first tensor that is not finite is ${bad}`);
  }
}

function specOf(inputs: Tree<NdArray>): SpecTree {
  return mapTree<NdArray, ArraySpec>(inputs, ({ dtype, shape }) => ({ dtype, shape }));
}

/** A float value that debugging looks at, and the loop whose every step it shows. */
interface Watched {
  readonly value: Tensor;
  /** what to name: the value, or the one of the body that it stacks */
  readonly tensor: Tensor;
  readonly loop?: ScanBody;
}

/** Every float value that the roots depend on, those inside loops stacked; in order of computation. */
function watchedValues(roots: readonly Tensor[]): Watched[] {
  const nodes = reachable(roots);
  return nodes.flatMap((x): Watched[] => {
    if (isFloat(x.dtype) && x.op !== "split") return [{ value: x, tensor: x }];
    if (!isOp(x, "scan") || x.attrs.body.stop !== undefined) return [];
    const { body } = x.attrs;
    const stacked = nodes.flatMap((r) =>
      isOp(r, "scanStack") && r.inputs[0] === (x as unknown as Tensor) ? [r.attrs.value] : [],
    );
    return reachable([...body.next, ...stacked])
      .filter((v) => isFloat(v.dtype) && v.op !== "split" && !body.captures.includes(v))
      .map((v) => ({ value: stackOf(x as unknown as Tensor, v), tensor: v, loop: body }));
  });
}

function describe(x: Tensor): string {
  const given = x.graph.nameOf(x) ?? (x as Tensor<"input">).attrs.name;
  return `${given === undefined ? "" : `"${given}", `}${x} of (${x.inputs.join(", ")})`;
}
