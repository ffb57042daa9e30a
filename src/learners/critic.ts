/** The network that values rest on: feed-forward, or with a memory of its own, built like the actor's (Yu et al. 2022). */
import {
  gruCell,
  layerNorm,
  layoutOf,
  linear,
  type Module,
  mlp,
  mlpBase,
  orthogonal,
  type ParamLayout,
  type RecurrentCell,
  sequential,
  unrollCell,
} from "../nn/index.js";
import { reshape, sum, type Tensor } from "../tensor/index.js";

export interface CriticOptions {
  /** C: what it sees, ids included */
  readonly inputSize: number;
  readonly hidden: readonly number[];
  readonly activation: "tanh" | "relu";
  readonly layerNorm: boolean;
  /** Units H of its GRU; null: it has no memory. */
  readonly recurrent: number | null;
}

export class Critic {
  readonly layout: ParamLayout;
  /** H; 0 without memory */
  readonly stateSize: number;
  /** without memory: all of it; else up to the GRU */
  readonly #base: Module;
  readonly #memory: { readonly cell: RecurrentCell<Tensor>; readonly head: Module } | null;

  constructor(options: CriticOptions) {
    const { inputSize, hidden, activation, layerNorm: norm, recurrent } = options;
    const init = orthogonal(Math.SQRT2);
    const outputInit = orthogonal(1);
    const common = { activation, layerNorm: norm, init };
    this.stateSize = recurrent ?? 0;
    if (recurrent === null) {
      this.#base = mlp("critic", { ...common, sizes: [inputSize, ...hidden, 1], outputInit });
      this.#memory = null;
      this.layout = layoutOf(this.#base);
      return;
    }
    const sizes = [inputSize, ...hidden];
    this.#base = mlpBase("critic", { ...common, sizes });
    const cell = gruCell("critic/gru", sizes[sizes.length - 1]!, recurrent, { init: orthogonal() });
    const head = sequential([
      layerNorm("critic/gruNorm", recurrent),
      linear("critic/output", recurrent, 1, { init: outputInit }),
    ]);
    this.#memory = { cell, head };
    this.layout = layoutOf(this.#base, cell, head);
  }

  /**
   * Outputs for rows.
   * @param x     [R, C]
   * @param state [R, H] the memory before the step, where there is one
   * @returns [R]
   */
  forward(parameters: Tensor, x: Tensor, state?: Tensor): Tensor {
    const named = this.layout.unpack(parameters);
    const features = this.#base.forward(named, x);
    if (this.#memory === null) return sum(features, [1]);
    const { cell, head } = this.#memory;
    return sum(head.forward(named, cell.step(named, cell.project(named, features), state!)), [1]);
  }

  /**
   * Outputs over T steps of R sequences; for critics with a memory.
   * @param x      [T·R, C] in order of time
   * @param state  [R, H] the memory before the first step
   * @param starts [T, R] 1 where an episode starts at the step
   * @returns outputs [T·R], and the memory after every step [T, R, H]
   */
  unroll(
    parameters: Tensor,
    x: Tensor,
    state: Tensor,
    starts: Tensor,
  ): { readonly output: Tensor; readonly memory: Tensor } {
    const { cell, head } = this.#memory!;
    const named = this.layout.unpack(parameters);
    const features = reshape(this.#base.forward(named, x), [...starts.shape, -1]);
    const { all } = unrollCell(cell, named, cell.project(named, features), state, starts);
    return { output: sum(head.forward(named, reshape(all, [-1, this.stateSize])), [1]), memory: all };
  }
}
