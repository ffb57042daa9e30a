/** A script of the environment as an actor. */
import type { NdArray } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import type { GroupSpec, Script } from "../env/contract.js";
import { actionSize, maskSize } from "../env/index.js";
import type { ActBatch, Actor } from "./actor.js";

/** Plays one group by its script. A script has no distribution: log-probabilities are 0. */
export class ScriptedActor implements Actor {
  readonly policy = null;

  constructor(
    readonly name: string,
    readonly group: GroupSpec,
    readonly script: Script,
  ) {}

  initialState(): Tree<NdArray> {
    return {};
  }

  act({ rows, obs, actionMask, agent, streams, action, logProb }: ActBatch): void {
    const { group, script } = this;
    const O = group.obsSize;
    const A = maskSize(group.action);
    const D = actionSize(group.action);
    action.fill(0, 0, rows * D);
    logProb.fill(0, 0, rows);
    for (let r = 0; r < rows; r++) {
      const moment = {
        group,
        agent: agent[r]!,
        obs: obs.subarray(r * O, (r + 1) * O),
        actionMask: actionMask?.subarray(r * A, (r + 1) * A) ?? null,
        stream: streams[r]!,
      };
      script.act(moment, action.subarray(r * D, (r + 1) * D));
    }
  }
}
