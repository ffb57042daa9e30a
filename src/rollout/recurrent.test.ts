import { describe, expect, it } from "vitest";
import { chorus, foragers, nim } from "../../test/games/index.js";
import { farthest } from "../../test/support/allclose.js";
import {
  ConstantActor,
  CountingActor,
  createEnvironment,
  randomPolicyActor,
  runtime,
} from "../../test/support/rollouts.js";
import { f32, type NdArray, ndarray } from "../core/array.js";
import type { Environment } from "../env/contract.js";
import { maskSize } from "../env/index.js";
import { type PolicyActor, policyInputs, policyState } from "../policy/index.js";
import type { Tensor } from "../tensor/index.js";
import {
  fixedCasting,
  hijackCasting,
  OnPolicyBuffer,
  type OnPolicyOptions,
  type Recorder,
  Rollout,
} from "./index.js";

const H = 6;
const T = 14;

const everyAgent = (environment: Environment) => environment.spec.groups[0]!.agents.map((_, i) => i);

function bufferOf(environment: Environment, given: Partial<OnPolicyOptions> = {}): OnPolicyBuffer {
  return new OnPolicyBuffer({
    environment,
    group: 0,
    agents: everyAgent(environment),
    steps: T,
    actor: 0,
    role: "own",
    criticInput: "observation",
    rewardWeights: null,
    ...given,
  });
}

/** Log-probabilities of the recorded actions from step `from` on, by one program that unrolls from the stored state. */
function unrolled(buffer: OnPolicyBuffer, { policy: { policy, parameters } }: PolicyActor, from: number) {
  const { copies: E, agents: n } = buffer;
  const steps = T - from;
  const [rows, all] = [E * n, steps * E * n];
  const D = buffer.action.length / (T * rows);
  const tail = <A extends Float32Array | Int32Array | Uint8Array>(data: A) => {
    const width = data.length / (T * rows);
    return data.slice(from * rows * width) as A;
  };
  const state = (buffer.state as { hidden: NdArray<"float32"> }).hidden;
  const starts = Float32Array.from({ length: all }, (_, k) => buffer.starts[from * E + Math.floor(k / n)]!);
  const feed: Record<string, NdArray | Record<string, NdArray>> = {
    parameters: f32([parameters.length], parameters),
    obs: f32([all, policy.obsSize], tail(buffer.obs)),
    state: { hidden: f32([rows, H], state.data.slice(from * rows * H, (from + 1) * rows * H)) },
    starts: f32([steps, rows], starts),
    action: ndarray("int32", D === 1 ? [all] : [all, D], tail(buffer.action as Int32Array)),
    agent: ndarray(
      "int32",
      [all],
      Int32Array.from({ length: all }, (_, k) => k % n),
    ),
  };
  if (buffer.actionMask !== null)
    feed.actionMask = ndarray("bool", [all, maskSize(policy.space)], tail(buffer.actionMask));
  const program = runtime.program<Record<string, NdArray | Record<string, NdArray>>, { logProb: Tensor }>(
    "unroll",
    (inputs) => {
      const { parameters: flat, starts: at, action } = inputs as Record<string, Tensor>;
      const { distribution } = policy.unroll!(flat!, policyInputs(inputs), policyState(inputs), at!);
      return { logProb: distribution.logProb(action!) };
    },
  );
  return { got: program.run(feed).logProb, recorded: tail(buffer.logProb) };
}

describe("the on-policy buffer of a recurrent actor", () => {
  it.each([
    ["chorus", chorus],
    ["foragers, who die", foragers],
    ["nim, in turns", nim],
  ])("holds what it takes to compute every log-probability again, from any step on: %s", async (_, game) => {
    const environment = await createEnvironment(game, 3);
    const actor = randomPolicyActor(environment, 0, 1, { recurrent: H, gain: 2 });
    const buffer = bufferOf(environment);
    const cast = fixedCasting(new Int32Array(environment.spec.groups[0]!.agents.length));
    const rollout = new Rollout({
      environment,
      actors: [actor],
      cast,
      seed: 2,
      stream: "x",
      recorders: [buffer],
    });
    for (let update = 0; update < 2; update++) {
      rollout.run(T);
      for (const from of [0, 5, T - 1]) {
        const { got, recorded } = unrolled(buffer, actor, from);
        expect(farthest(got, recorded, { atol: 2e-5, rtol: 1e-4 })).toBeUndefined();
      }
      // Episodes begin in the middle of what was recorded, and the second one in the middle of an episode.
      expect(buffer.starts.slice(3).some((x) => x === 1)).toBe(true);
      expect(Array.from(buffer.starts.slice(0, 3)).every((x) => x === 1)).toBe(update === 0);
      buffer.clear();
    }
  });

  it("keeps the state of its own actor, role and agents only", async () => {
    const environment = await createEnvironment(chorus, 5);
    const { action } = environment.spec.groups[0]!;
    const actors = [
      new CountingActor("team", action),
      new ConstantActor("idle", 1),
      new CountingActor("thief", action),
    ];
    const team = bufferOf(environment, { agents: [3, 1] });
    const idle = bufferOf(environment, { actor: 1 });
    const thief = bufferOf(environment, { actor: 2, role: "hijack", agents: [1, 2] });
    const elapsed = new Int32Array(5);
    const expected: number[] = [];
    const starts: number[] = [];
    const watch: Recorder = {
      onAct: () => {
        expected.push(...elapsed);
        starts.push(...elapsed.map((steps) => (steps === 0 ? 1 : 0)));
      },
      onOutcome: ({ environment: { ended } }) => {
        for (let e = 0; e < 5; e++) elapsed[e]!++;
        for (let r = 0; r < ended.count; r++) elapsed[ended.copies[r]!] = 0;
      },
    };
    const rollout = new Rollout({
      environment,
      actors,
      cast: hijackCasting([0, 0, 1, 0], [-1, 2, 2, -1]),
      seed: 4,
      stream: "x",
      hijack: { epsilon: 0.5, coin: "set" },
      recorders: [watch, team, idle, thief],
    });
    rollout.run(T);
    const state = (buffer: OnPolicyBuffer) =>
      buffer.state as { steps: NdArray<"int32">; trail: { pair: NdArray<"float32"> } };
    for (const buffer of [team, thief]) {
      expect(state(buffer).steps.shape).toEqual([T, 5, 2]);
      expect(state(buffer).trail.pair.shape).toEqual([T, 5, 2, 2]);
      expect(Array.from(state(buffer).steps.data)).toEqual(expected.flatMap((steps) => [steps, steps]));
      expect(state(buffer).trail.pair.data.every((x) => x === 0.5)).toBe(true);
    }
    expect(idle.state).toEqual({});
    for (const buffer of [team, idle, thief]) expect([...buffer.starts]).toEqual(starts);
    expect(new Set(expected).size).toBeGreaterThan(3);
  });

  it("says nothing of states and starts where nobody carries anything", async () => {
    const environment = await createEnvironment(chorus, 2);
    const buffer = bufferOf(environment);
    const cast = fixedCasting([0, 0, 0, 0]);
    const actors = [new ConstantActor("idle", 1)];
    const rollout = new Rollout({ environment, actors, cast, seed: 4, stream: "x", recorders: [buffer] });
    rollout.run(T);
    expect([buffer.state, buffer.starts.length, rollout.view.starts]).toEqual([{}, 0, null]);
    expect(Object.keys(rollout.saveState())).not.toContain("starts");
  });
});
