/** Small helpers for tests that run the loop: environments, actors without networks, recordings. */
import { type NdArray, ndarray } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { flattenTree, isLeaf, type Tree } from "../../src/core/tree.js";
import type { CreateOptions, Environment, EnvironmentDefinition, Space } from "../../src/env/contract.js";
import { completeParameters } from "../../src/env/definition.js";
import { type ActBatch, type Actor, PolicyActor, UniformActor } from "../../src/policy/index.js";
import type { Recorder, StepView } from "../../src/rollout/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { type ObservationThreat, type ThreatInput, threatSchema } from "../../src/threats/index.js";
import { smallPolicy } from "./teams.js";

/** One engine for all tests of a file. */
export const runtime = new Runtime(nodeBackend());

export async function createEnvironment(
  definition: EnvironmentDefinition,
  copies: number,
  parameters: Readonly<Record<string, unknown>> = {},
  options: Omit<CreateOptions, "copies"> = {},
): Promise<Environment> {
  return definition.create(completeParameters(definition, parameters), { copies, ...options });
}

/** The definition without the ability to save. */
export function unsaveable(definition: EnvironmentDefinition): EnvironmentDefinition {
  return {
    ...definition,
    create: async (parameters, options) => {
      const sound = await definition.create(parameters, options);
      const capabilities = { ...sound.spec.capabilities, saveState: false };
      const { groups, state, terminated, truncated, ended, copies } = sound;
      return {
        spec: { ...sound.spec, capabilities },
        ...{ groups, state, terminated, truncated, ended, copies },
        reset: (seed, first) => sound.reset(seed, first),
        step: () => sound.step(),
        close: () => sound.close(),
      };
    },
  };
}

/** Random legal actions; the log-probability is the number of steps that the carried state has seen before. */
export class CountingActor implements Actor {
  readonly policy = null;
  /** rows of every call, in order */
  readonly calls: number[] = [];
  readonly #inner: UniformActor;

  constructor(
    readonly name: string,
    space: Space,
  ) {
    this.#inner = new UniformActor(name, space);
  }

  initialState(rows: number): Tree<NdArray> {
    // Two leaves of different widths and types; the second starts away from zero.
    return {
      steps: ndarray("int32", [rows], new Int32Array(rows)),
      trail: { pair: ndarray("float32", [rows, 2], new Float32Array(2 * rows).fill(0.5)) },
    };
  }

  act(batch: ActBatch): void {
    this.calls.push(batch.rows);
    this.#inner.act(batch);
    const state = batch.state as { steps: NdArray<"int32">; trail: { pair: NdArray<"float32"> } };
    for (let r = 0; r < batch.rows; r++) {
      batch.logProb[r] = state.steps.data[r]! + state.trail.pair.data[2 * r + 1]! - 0.5;
      state.steps.data[r]!++;
    }
  }
}

/** The same action always, whatever its space says. */
export class ConstantActor implements Actor {
  readonly policy = null;

  constructor(
    readonly name: string,
    readonly value: number,
  ) {}

  initialState(): Tree<NdArray> {
    return {};
  }

  act(batch: ActBatch): void {
    batch.action.fill(this.value);
    batch.logProb.fill(-this.value);
  }
}

/** A policy with random parameters for a group: an actor as learners make them. */
export function randomPolicyActor(
  environment: Environment,
  group: number,
  seed: number,
  options: {
    readonly ids?: boolean;
    readonly mode?: "sample" | "greedy";
    readonly gain?: number;
    /** units of a GRU; none by default */
    readonly recurrent?: number;
  } = {},
): PolicyActor {
  const spec = environment.spec.groups[group]!;
  const policy = smallPolicy({
    obsSize: spec.obsSize,
    space: spec.action,
    agentIds: options.ids === false ? 0 : spec.agents.length,
    actionMask: spec.hasActionMask,
    outputGain: options.gain ?? 1,
    ...(options.recurrent === undefined ? {} : { recurrent: options.recurrent }),
  });
  const parameters = policy.initialParameters(RandomStream.from(seed, "test", group));
  return new PolicyActor(`random/${spec.name}`, runtime, policy, parameters, options.mode ?? "sample");
}

/** Everything the loop shows, one list of numbers per copy and step. */
export class Trace implements Recorder {
  /** [copy][step] */
  readonly copies: number[][][] = [];

  onAct(view: StepView): void {
    for (let e = 0; e < view.environment.copies; e++) {
      const row: number[] = [view.episode[e]!, view.starts?.[e] ?? -1];
      view.groups.forEach((step, g) => {
        const n = view.spec.groups[g]!.agents.length;
        const part = (x: ArrayLike<number> | null) => {
          if (x === null) return;
          const width = (x.length / view.environment.copies / n) * n;
          for (let k = e * width; k < (e + 1) * width; k++) row.push(x[k]!);
        };
        for (const x of [step.obs, step.seen, step.actionMask, step.own.action, step.own.logProb]) part(x);
        for (const x of [step.hijack?.action ?? null, step.hijack?.logProb ?? null]) part(x);
        for (const x of [step.controlled, step.perturbed, step.action, step.alive, step.acting]) part(x);
      });
      const N = view.casting.controller.length / view.environment.copies;
      row.push(...view.casting.controller.subarray(e * N, (e + 1) * N));
      row.push(...view.casting.hijacker.subarray(e * N, (e + 1) * N), view.casting.attackScale[e]!);
      if (this.copies[e] === undefined) this.copies[e] = [];
      this.copies[e].push(row);
    }
  }

  onOutcome(view: StepView): void {
    const { environment } = view;
    for (let e = 0; e < environment.copies; e++) {
      const row = this.copies[e]!.at(-1)!;
      for (const { reward } of environment.groups) {
        const n = reward.length / environment.copies;
        row.push(...reward.subarray(e * n, (e + 1) * n));
      }
      row.push(environment.terminated[e]!, environment.truncated[e]!);
    }
  }
}

/** Every leaf of a tree as text that shows every bit. */
export function bytesOf(tree: Tree<NdArray>): Record<string, string> {
  const leaves = isLeaf(tree) ? [["", tree] as const] : flattenTree(tree);
  return Object.fromEntries(
    leaves.map(([path, leaf]) => {
      const { buffer, byteOffset, byteLength } = leaf.data;
      return [path, Buffer.from(buffer, byteOffset, byteLength).toString("base64")];
    }),
  );
}

/** A validated observation threat, all else by default. */
export function observationThreat(
  given: Omit<Extract<ThreatInput, { channel: "observation" }>, "channel">,
): ObservationThreat {
  const threat = threatSchema.parse({ channel: "observation", ...given });
  if (threat.channel !== "observation") throw new Error("unreachable");
  return threat;
}
