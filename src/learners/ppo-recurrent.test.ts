import { describe, expect, it } from "vitest";
import { couriers, foragers, nim, remote, twoStep } from "../../test/games/index.js";
import { farthest } from "../../test/support/allclose.js";
import { createPpo, type Given, rolloutOf } from "../../test/support/ppo-learners.js";
import { bytesOf } from "../../test/support/rollouts.js";
import { f32, type NdArray } from "../core/array.js";
import { isLeaf, type Tree } from "../core/tree.js";
import type { EnvironmentDefinition } from "../env/contract.js";
import type { OnPolicyBuffer, Rollout } from "../rollout/index.js";
import { type Executor, Runtime } from "../runtime/index.js";
import { nodeBackend } from "../runtime/node.js";
import {
  add,
  constant,
  div,
  exp,
  grad,
  input,
  interpret,
  mul,
  neg,
  square,
  sub,
  sum,
  type Tensor,
  trace,
} from "../tensor/index.js";
import { computeAdvantages } from "./advantages.js";
import { Critic } from "./critic.js";
import type { Learner, LearnerContext } from "./index.js";

/** PPO with a memory: chunks of sequences, started from what was carried when the actions were chosen. */

const STEPS = 6;
const COPIES = 3;
const base = { copies: COPIES, rolloutSteps: STEPS, hidden: [5], recurrent: 4, chunk: 3, outputGain: 1 };

const create = (
  game: EnvironmentDefinition,
  given: Given,
  context: Partial<LearnerContext> = {},
  parameters: Record<string, unknown> = {},
) => createPpo(game, { ...base, ...given, copies: COPIES }, context, parameters);

const games: readonly [string, EnvironmentDefinition, Given, Record<string, unknown>?][] = [
  ["turns and masks", nim, { critic: "independent" }],
  ["multi-discrete with deaths", foragers, { critic: "independent", minibatches: 2 }],
  ["box, global state", twoStep, { critic: "centralised", chunk: 2 }, { continuousActions: true }],
  ["unequal groups", couriers, { critic: "centralised", minibatches: 3 }],
  ["truncation, whole rollouts as chunks", remote, { critic: "centralised", chunk: STEPS }],
  ["chunks of one step", remote, { critic: "independent", chunk: 1, minibatches: 2 }],
];

describe("with a memory", () => {
  it.each(games)("an update sees what the actors saw and carried: %s", async (_, game, given, parameters) => {
    // Steps too small to matter: every minibatch must find the probabilities and values of the rollout again.
    const still = { learningRate: 1e-9, epochs: 2, valueNormBeta: null, huberDelta: null };
    const run = async (more: Given) => {
      const { environment, learner } = await create(game, { ...still, ...given, ...more }, {}, parameters);
      const rollout = rolloutOf(environment, learner);
      const metrics = [];
      for (let k = 0; k < 3; k++) {
        rollout.run(STEPS);
        metrics.push(learner.update(0));
      }
      return metrics;
    };
    const [free, clipped] = [await run({ valueClip: null }), await run({ valueClip: 1e-7 })];
    for (const [k, metrics] of free.entries()) {
      for (const [name, value] of Object.entries(metrics)) {
        if (name.endsWith("/kl")) expect(Math.abs(value)).toBeLessThan(2e-8);
        if (name.endsWith("/clipFraction")) expect(value).toBe(0);
        // A value that is not the rollout's would be clipped back to it, and lose more.
        if (name.endsWith("/valueLoss")) expect(clipped[k]![name]! - value).toBeLessThan(1e-5);
      }
    }
  });

  it.each(games)(
    "a whole update in one run is the same bit by bit: %s",
    async (_, game, given, parameters) => {
      const run = async (executor: Executor) => {
        const { environment, learner } = await create(
          game,
          { ...given, learningRate: 0.02, epochs: 3 },
          { runtime: new Runtime(nodeBackend(), { executor }) },
          parameters,
        );
        const rollout = rolloutOf(environment, learner);
        for (let k = 0; k < 3; k++) {
          rollout.run(STEPS);
          learner.update(k / 3);
        }
        return bytesOf(learner.saveState().arrays);
      };
      expect(await run("whole")).toEqual(await run("stepwise"));
    },
  );

  it("goes on from a saved state in the middle of episodes, with both memories", async () => {
    const { environment, learner } = await create(remote, { critic: "independent", rolloutSteps: 3 });
    const rollout = rolloutOf(environment, learner);
    rollout.run(3);
    learner.update(0);
    const saved = { learner: learner.saveState(), rollout: rollout.saveState() };
    const { criticMemory } = (saved.learner.arrays as unknown as Record<string, { criticMemory: NdArray }>)
      .walkers!;
    expect(criticMemory.shape).toEqual([COPIES * 2, 4]);
    expect([...criticMemory.data].some((x) => x !== 0)).toBe(true);
    const goOn = (l: Learner, r: Rollout) => {
      r.run(3);
      l.update(0.5);
      return bytesOf(l.saveState().arrays);
    };
    const other = await create(remote, { critic: "independent", rolloutSteps: 3 });
    const again = rolloutOf(other.environment, other.learner);
    other.learner.loadState(saved.learner, "test");
    again.loadState(saved.rollout);
    expect(goOn(other.learner, again)).toEqual(goOn(learner, rollout));
  });

  it.each([3, STEPS])(
    "has the gradient of every sequence stepped on its own, back to the start of its chunk of %i",
    async (chunk) => {
      const { environment, learner, options } = await create(remote, {
        critic: "independent",
        agentIds: false,
        chunk,
        epochs: 1,
        maxGradNorm: null,
        valueNormBeta: null,
        huberDelta: null,
        valueClip: null,
        normalizeAdvantages: "none",
        entropyCoef: 0,
      });
      const rollout = rolloutOf(environment, learner);
      // A rollout before the one looked at, so that memories are carried into it.
      rollout.run(STEPS);
      (learner.recorders[0] as OnPolicyBuffer).clear();
      rollout.run(STEPS);
      const buffer = learner.recorders[0] as OnPolicyBuffer;
      const before = (learner.saveState().arrays as unknown as Record<string, Record<string, NdArray>>)
        .walkers!;
      const expected = gradientsOf(learner, buffer, before, options.gamma, options.gaeLambda, chunk);
      learner.update(0);
      const after = (learner.saveState().arrays as unknown as Record<string, Record<string, Tree<NdArray>>>)
        .walkers!;
      // Adam's first sum of gradients is the first gradient.
      for (const side of ["actor", "critic"] as const) {
        const { m } = after[`${side}Adam`] as unknown as { m: NdArray };
        expect(farthest(m, expected[side], { rtol: 2e-4, atol: 2e-6 })).toBeUndefined();
      }
    },
  );
});

/**
 * Gradients of PPO's losses in float64, each (copy, agent) stepped by itself through `forward`, with the memory zeroed
 * by hand. The critic starts from an empty memory, which the rollout before it did not feed.
 */
function gradientsOf(
  learner: Learner,
  buffer: OnPolicyBuffer,
  parameters: Record<string, NdArray>,
  gamma: number,
  gaeLambda: number,
  chunk: number,
): { actor: NdArray; critic: NdArray } {
  const { steps: T, copies: E, agents: n } = buffer;
  const { policy } = learner.actors[0]!.policy!;
  const O = policy.obsSize;
  const critic = new Critic({
    inputSize: O,
    hidden: [5],
    activation: "tanh",
    layerNorm: false,
    recurrent: 4,
  });
  const row = (data: ArrayLike<number>, k: number, size: number) =>
    constant(
      f32(
        [1, size],
        Float32Array.from({ length: size }, (_, i) => data[k * size + i]!),
      ),
    );
  const hidden = buffer.state as { hidden: NdArray };
  return trace(() => {
    const actorParameters = input("actor", parameters.actor!.shape);
    const criticParameters = input("critic", parameters.critic!.shape);
    const feeds = { actor: parameters.actor!, critic: parameters.critic! };
    const value = new Float64Array((T + 1) * E * n);
    const finalValue = new Float64Array(T * E * n);
    const steps: { k: number; value: Tensor; logProb: Tensor }[] = [];
    for (let e = 0; e < E; e++) {
      for (let i = 0; i < n; i++) {
        let memory: Tensor | undefined;
        let carried: Tree<Tensor> = {};
        const zeros = constant(f32([1, 4], new Float32Array(4)));
        for (let t = 0; t <= T; t++) {
          const k = (t * E + e) * n + i;
          const ended = t > 0 && buffer.terminated[(t - 1) * E + e]! + buffer.truncated[(t - 1) * E + e]! > 0;
          const isStart = t < T ? buffer.starts[t * E + e] === 1 : ended;
          const x = row(buffer.critic, k, O);
          if (memory === undefined || isStart) memory = zeros;
          // A chunk's memory is a constant where it starts.
          else if (t % chunk === 0 && t < T) memory = constant(asFloat32(interpret(memory, feeds)));
          const step = criticStep(critic, criticParameters, x, memory);
          value[k] = Number(interpret(step.output, feeds).data[0]);
          memory = step.memory;
          if (t === T) continue;
          if (t % chunk === 0) carried = { hidden: row(hidden.hidden.data as Float32Array, k, 4) };
          if (isStart) carried = { hidden: zeros };
          const { distribution, state } = policy.forward(
            actorParameters,
            { obs: row(buffer.obs, k, O) },
            carried,
          );
          carried = state;
          const action = constant({
            dtype: "int32",
            shape: [1],
            data: Int32Array.of(buffer.action[k]!),
          } as NdArray);
          steps.push({ k, value: sum(step.output), logProb: sum(distribution.logProb(action)) });
          if (buffer.truncated[t * E + e] === 1) {
            const at = [...buffer.cut.index.subarray(0, buffer.cut.count)].indexOf(t * E + e);
            const last = criticStep(critic, criticParameters, row(buffer.cut.critic, at * n + i, O), memory);
            finalValue[k] = Number(interpret(last.output, feeds).data[0]);
          }
        }
      }
    }
    const advantage = new Float64Array(T * E * n);
    const { reward, terminated, truncated } = buffer;
    computeAdvantages(
      {
        ...{ steps: T, copies: E, agents: n, reward, value, terminated, truncated, finalValue },
        ...{ gamma, gaeLambda, timeLimit: "bootstrap" },
      },
      advantage,
    );
    const losses = steps.map(({ k, value: v, logProb }) => ({
      actor: neg(mul(exp(sub(logProb, buffer.logProb[k]!)), advantage[k]!)),
      critic: mul(square(sub(v, advantage[k]! + value[k]!)), 0.5),
    }));
    const mean = (side: "actor" | "critic") =>
      div(
        losses.map((l) => l[side]).reduce((a, b) => add(a, b)),
        losses.length,
      );
    const found = interpret(
      { actor: grad(mean("actor"), actorParameters), critic: grad(mean("critic"), criticParameters) },
      feeds,
    );
    return { actor: found.actor as NdArray, critic: found.critic as NdArray };
  });
}

/** One step of the critic with the memory after it: a sequence of one step. */
function criticStep(critic: Critic, parameters: Tensor, x: Tensor, memory: Tensor) {
  const after = critic.unroll(parameters, x, memory, constant(f32([1, 1], new Float32Array(1))));
  return { output: after.output, memory: sum(after.memory, [0]) };
}

function asFloat32(x: NdArray): NdArray {
  if (isLeaf<NdArray>(x)) return f32(x.shape, Float32Array.from(x.data as Float64Array));
  throw new TypeError("expected an array");
}
