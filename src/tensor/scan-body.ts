import type { Graph, Tensor } from "./graph.js";

let bodies = 0;

/**
 * One step of a loop, as a graph of its own. The loop's inputs are, in this order, the carried values before the first
 * step, the sequences that are read a slice at a time, and what the step takes from outside.
 */
export class ScanBody {
  readonly #id = bodies++;

  constructor(
    readonly graph: Graph,
    /** inputs: the carried values before the step */
    readonly carry: readonly Tensor[],
    /** inputs: this step's slices of the sequences */
    readonly slices: readonly Tensor[],
    /** inputs: values of the graph outside, the same at every step */
    readonly captures: readonly Tensor[],
    /** the carried values after the step */
    readonly next: readonly Tensor[],
    /** number of steps T; the most there can be where the body can stop */
    readonly length: number,
    /** from the last slice to the first; results stay in the order of the sequences */
    readonly reverse: boolean,
    /** bool scalar: no further step after this one. Undefined: always T steps. */
    readonly stop: Tensor | undefined,
  ) {}

  /** Distinguishes bodies in the key of a value. */
  toString(): string {
    return `scan body ${this.#id}`;
  }
}
