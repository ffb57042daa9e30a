/**
 * The easy way to write an environment: one copy, plain objects keyed by agent name, no typed arrays.
 * `batchScalar` turns it into a batched `EnvironmentDefinition`; it costs some speed, nothing else.
 *
 * ```ts
 * const guess = batchScalar({
 *   id: "mine/guess_v0",
 *   summary: "Guess a number.",
 *   source: "own",
 *   parameters: { n: z.int().min(2).default(4).describe("numbers to choose from") },
 *   describe: ({ n }) => ({
 *     groups: [{ name: "players", agents: ["player_0"], features: [{ name: "hint", size: 1, low: 0, high: 1 }],
 *                action: { kind: "discrete", n } }],
 *     maxSteps: 10,
 *   }),
 *   create: ({ n }) => {
 *     let secret = 0;
 *     const view = (hint: number) => ({ obs: { player_0: [hint] } });
 *     return {
 *       reset: ({ reset }) => { secret = reset.int(n); return view(0); },
 *       step: ({ player_0 }) => {
 *         const hit = player_0 === secret;
 *         return { ...view(hit ? 1 : 0), reward: { player_0: hit ? 1 : 0 }, terminated: hit };
 *       },
 *     };
 *   },
 * });
 * ```
 */
import type { z } from "zod";
import { type NdArray, zeros } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { BatchedEnvironment, type CopyStreams } from "./batch.js";
import type { CreateOptions, EnvironmentDefinition, EnvironmentSpec, Frame, Space } from "./contract.js";
import { defineEnvironment } from "./definition.js";
import { type FeatureInput, layout, sizeOfFeatures } from "./features.js";
import { actionSize, maskSize, onlyFirst } from "./spaces.js";

export interface ScalarGroup {
  readonly name: string;
  /** unique in the environment */
  readonly agents: readonly string[];
  /** what an observation consists of, in order */
  readonly features: readonly FeatureInput[];
  readonly action: Space;
  /** whether views carry a `mask` for these agents (default false) */
  readonly hasActionMask?: boolean;
  /** what each discrete action is called */
  readonly actionNames?: readonly string[];
}

export interface ScalarSpec {
  readonly groups: readonly ScalarGroup[];
  /** what the global state consists of; none by default */
  readonly state?: readonly FeatureInput[];
  /** steps after which the copy is truncated: counted for you; none by default */
  readonly maxSteps?: number;
  /** default false */
  readonly turnBased?: boolean;
  /** names of the numbers in `ScalarStep.metrics` */
  readonly metrics?: readonly string[];
  /** how many numbers `saveState` returns; leave it out if the environment cannot save its state */
  readonly savedNumbers?: number;
  /** whether `frame` exists (default false) */
  readonly frames?: boolean;
}

type ByAgent<T> = Readonly<Record<string, T>>;

/** What the agents may see and do next. */
export interface ScalarView {
  /** of every agent that is alive */
  readonly obs: ByAgent<readonly number[]>;
  /** 1 or true where allowed, all sizes of a multi-discrete space after another; everything is if left out */
  readonly mask?: ByAgent<readonly (number | boolean)[]>;
  /** false for the dead; all live if left out */
  readonly alive?: ByAgent<boolean>;
  /** false for those who wait; all the living act if left out */
  readonly acting?: ByAgent<boolean>;
  readonly state?: readonly number[];
}

export interface ScalarStep extends ScalarView {
  /** 0 for agents left out */
  readonly reward: ByAgent<number>;
  /** the task ended: no value beyond (default false) */
  readonly terminated?: boolean;
  /** a limit other than `maxSteps` cut the episode (default false); ignored when terminated */
  readonly truncated?: boolean;
  /** read at the last step of an episode */
  readonly metrics?: ByAgent<number>;
}

/** A discrete action is a number, the others are lists. */
export type ScalarActions = Readonly<Record<string, number & readonly number[]>>;

/** One copy of an environment. */
export interface ScalarEnvironment {
  /** Start an episode. All randomness comes from the streams; keep them for `step`. */
  reset(streams: CopyStreams): ScalarView;
  /** Take one step with the actions of all agents; those of dead and waiting agents mean nothing. */
  step(actions: ScalarActions): ScalarStep;
  /** Everything that determines the future except the streams and the step count, as `savedNumbers` numbers. */
  saveState?(): readonly number[];
  /** The inverse of `saveState`; returns the view that the saved copy showed. The streams are those to go on with. */
  loadState?(numbers: readonly number[], streams: CopyStreams): ScalarView;
  frame?(): Frame;
  close?(): void;
}

export interface ScalarDefinition<Shape extends z.ZodRawShape> {
  readonly id: string;
  readonly summary: string;
  readonly source: string;
  /** every key with `.default(…)` and `.describe(…)` */
  readonly parameters: Shape;
  describe(parameters: z.output<z.ZodObject<Shape>>): ScalarSpec;
  /** Called once per copy. */
  create(parameters: z.output<z.ZodObject<Shape>>): ScalarEnvironment | Promise<ScalarEnvironment>;
}

/** The batched definition of a scalar environment. */
export function batchScalar<Shape extends z.ZodRawShape>(
  definition: ScalarDefinition<Shape>,
): EnvironmentDefinition {
  return defineEnvironment({
    id: definition.id,
    summary: definition.summary,
    source: definition.source,
    parameters: definition.parameters,
    create: async (parameters, options) => {
      const spec = completeSpec(definition.id, definition.describe(parameters));
      const instances: ScalarEnvironment[] = [];
      for (let e = 0; e < options.copies; e++) instances.push(await definition.create(parameters));
      return new BatchedScalar(spec, definition.describe(parameters).savedNumbers ?? 0, instances, options);
    },
  });
}

function completeSpec(id: string, spec: ScalarSpec): EnvironmentSpec {
  const stateFeatures = layout(spec.state ?? []);
  return {
    id,
    groups: spec.groups.map((group) => {
      const features = layout(group.features);
      return {
        name: group.name,
        agents: group.agents,
        obsSize: sizeOfFeatures(features),
        features,
        action: group.action,
        hasActionMask: group.hasActionMask ?? false,
        ...(group.actionNames === undefined ? {} : { actionNames: group.actionNames }),
      };
    }),
    stateSize: sizeOfFeatures(stateFeatures),
    stateFeatures,
    maxSteps: spec.maxSteps ?? null,
    turnBased: spec.turnBased ?? false,
    episodeMetrics: spec.metrics ?? [],
    capabilities: { saveState: spec.savedNumbers !== undefined, frames: spec.frames ?? false },
  };
}

class BatchedScalar extends BatchedEnvironment {
  readonly #instances: readonly ScalarEnvironment[];
  /** what each copy shows now */
  readonly #views: ScalarView[];
  /** [E, savedNumbers], filled when a state is saved */
  readonly #saved: NdArray<"float64">;
  /** [E, M] metrics of the last step */
  readonly #metrics: Float64Array;

  constructor(
    spec: EnvironmentSpec,
    savedNumbers: number,
    instances: readonly ScalarEnvironment[],
    options: CreateOptions,
  ) {
    super(spec, options);
    this.#instances = instances;
    this.#views = Array<ScalarView>(instances.length).fill({ obs: {} });
    this.#saved = zeros("float64", [instances.length, savedNumbers]);
    this.#metrics = new Float64Array(instances.length * spec.episodeMetrics.length);
  }

  protected override startEpisode(e: number): void {
    this.#show(e, this.#instances[e].reset(this.streams[e]));
  }

  protected override advance(): void {
    const { episodeMetrics } = this.spec;
    for (let e = 0; e < this.copies; e++) {
      const result = this.#instances[e].step(this.#actionsOf(e));
      this.spec.groups.forEach((group, g) => {
        group.agents.forEach((agent, i) => {
          this.groups[g].reward[e * group.agents.length + i] = result.reward[agent] ?? 0;
        });
      });
      if (result.terminated === true) this.terminated[e] = 1;
      else if (result.truncated === true) this.truncated[e] = 1;
      episodeMetrics.forEach((name, m) => {
        this.#metrics[e * episodeMetrics.length + m] = result.metrics?.[name] ?? 0;
      });
      this.#show(e, result);
    }
  }

  #actionsOf(e: number): ScalarActions {
    const out: Record<string, number | readonly number[]> = {};
    this.spec.groups.forEach((group, g) => {
      const size = actionSize(group.action);
      const { action } = this.groups[g];
      group.agents.forEach((agent, i) => {
        const start = (e * group.agents.length + i) * size;
        out[agent] =
          group.action.kind === "discrete" ? action[start] : [...action.subarray(start, start + size)];
      });
    });
    return out as ScalarActions;
  }

  /** Keep a view and write `alive` and `acting`, which must be right before `observe`. */
  #show(e: number, view: ScalarView): void {
    this.#views[e] = view;
    this.spec.groups.forEach((group, g) => {
      group.agents.forEach((agent, i) => {
        const row = e * group.agents.length + i;
        const alive = view.alive?.[agent] ?? true;
        this.groups[g].alive[row] = alive ? 1 : 0;
        this.groups[g].acting[row] = alive && (view.acting?.[agent] ?? true) ? 1 : 0;
      });
    });
  }

  protected override observe(from: number, to: number): void {
    for (let e = from; e < to; e++) {
      const view = this.#views[e];
      this.spec.groups.forEach((group, g) => {
        const { obs, actionMask, alive } = this.groups[g];
        const width = maskSize(group.action);
        group.agents.forEach((agent, i) => {
          const row = e * group.agents.length + i;
          const isAlive = alive[row] === 1;
          if (isAlive) this.#write(obs, row, group.obsSize, view.obs[agent], `observation of "${agent}"`);
          else obs.fill(0, row * group.obsSize, (row + 1) * group.obsSize);
          if (actionMask === null) return;
          if (!isAlive) onlyFirst(group.action, actionMask, row * width);
          else if (view.mask?.[agent] === undefined) actionMask.fill(1, row * width, (row + 1) * width);
          else this.#write(actionMask, row, width, view.mask[agent], `mask of "${agent}"`);
        });
      });
      const { stateSize } = this.spec;
      if (stateSize > 0) this.#write(this.state, e, stateSize, view.state, "global state");
    }
  }

  #write(
    target: Float32Array | Uint8Array,
    row: number,
    width: number,
    values: readonly (number | boolean)[] | undefined,
    what: string,
  ): void {
    if (values?.length !== width) {
      const got = values === undefined ? "nothing" : `${values.length} numbers`;
      throw new UserError(`${this.spec.id}, ${what}: got ${got}, expected ${width} numbers.`);
    }
    for (let k = 0; k < width; k++) target[row * width + k] = Number(values[k]);
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { numbers: this.#saved };
  }

  protected override beforeSave(): void {
    const width = this.#saved.shape[1];
    this.#instances.forEach((instance, e) => {
      const numbers = instance.saveState?.();
      if (numbers?.length !== width) {
        throw new UserError(
          `${this.spec.id}, saveState: got ${numbers?.length ?? "no"} numbers, expected ${width} (savedNumbers).`,
        );
      }
      this.#saved.data.set(numbers, e * width);
    });
  }

  protected override afterLoad(): void {
    const width = this.#saved.shape[1];
    this.#instances.forEach((instance, e) => {
      const numbers = [...this.#saved.data.subarray(e * width, (e + 1) * width)];
      const view = instance.loadState?.(numbers, this.streams[e]);
      if (view === undefined)
        throw new UserError(`${this.spec.id} declares saveState but has no loadState().`);
      this.#show(e, view);
    });
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const count = this.spec.episodeMetrics.length;
    for (let m = 0; m < count; m++) out[offset + m] = this.#metrics[e * count + m];
  }

  protected override draw(e: number): Frame {
    return this.#instances[e].frame?.() ?? super.draw(e);
  }

  protected override release(): void {
    for (const instance of this.#instances) instance.close?.();
  }
}
