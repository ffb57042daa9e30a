/** Uniformly random legal actions: the floor that every attack and every team is compared with. */
import type { NdArray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import type { Tree } from "../core/tree.js";
import type { Space } from "../env/contract.js";
import { maskSize } from "../env/index.js";
import type { ActBatch, Actor } from "./actor.js";

export class UniformActor implements Actor {
  readonly policy = null;

  constructor(
    readonly name: string,
    readonly space: Space,
  ) {
    if (space.kind === "box" && [...space.low, ...space.high].some((x) => !Number.isFinite(x))) {
      throw new UserError(
        `random actions of "${name}": the box is unbounded, expected finite bounds to draw between.`,
      );
    }
  }

  initialState(): Tree<NdArray> {
    return {};
  }

  act(batch: ActBatch): void {
    const { space } = this;
    const { action, logProb, streams, actionMask } = batch;
    if (space.kind === "box") {
      const D = space.low.length;
      for (let r = 0, k = 0; r < batch.rows; r++) {
        let sum = 0;
        for (let d = 0; d < D; d++, k++) {
          action[k] = streams[r]!.uniformIn(space.low[d]!, space.high[d]!);
          sum -= Math.log(space.high[d]! - space.low[d]!);
        }
        logProb[r] = sum;
      }
      return;
    }
    const sizes = space.kind === "discrete" ? [space.n] : space.sizes;
    const width = maskSize(space);
    for (let r = 0; r < batch.rows; r++) {
      let offset = r * width;
      let sum = 0;
      for (let d = 0; d < sizes.length; d++) {
        const n = sizes[d]!;
        let allowed = n;
        if (actionMask !== null) {
          allowed = 0;
          for (let i = 0; i < n; i++) allowed += actionMask[offset + i]!;
        }
        let pick = streams[r]!.int(allowed);
        let a = pick;
        if (actionMask !== null) {
          a = 0;
          for (; a < n; a++) if (actionMask[offset + a] === 1 && pick-- === 0) break;
        }
        action[r * sizes.length + d] = a;
        sum -= Math.log(allowed);
        offset += n;
      }
      logProb[r] = sum;
    }
  }
}
