/**
 * Environments that are Markov games written down as tables: all players move at once, a row of the table says what
 * they are paid and where chance leads. The game that is played is the very object that `exactModel` returns.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import type { RandomStream } from "../../core/random.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, GroupSpec } from "../../env/contract.js";
import { type FeatureInput, layout, sizeOfFeatures } from "../../env/features.js";
import { jointAction } from "../../games/joint.js";
import type { MarkovGame } from "../../games/markov.js";
import type { ExactModel } from "../../games/model.js";
import { playersInARow } from "./picture.js";

/** How long an episode lasts, and what its end means. */
export const durationParameters = (steps: number, timeLimit: "terminated" | "truncated" = "terminated") => ({
  steps: z.int().min(1).max(1_000_000).default(steps).describe("steps of an episode"),
  timeLimit: z
    .enum(["terminated", "truncated"])
    .default(timeLimit)
    .describe("terminated: the game is over after its steps; truncated: it would go on, the episode is cut"),
});

export type Duration = z.output<z.ZodObject<ReturnType<typeof durationParameters>>>;

/** The horizon of the game: none where a limit outside the game cuts its episodes. */
export function horizonOf({ steps, timeLimit }: Duration): number | null {
  return timeLimit === "terminated" ? steps : null;
}

export interface TabularInput {
  readonly id: string;
  readonly game: MarkovGame;
  readonly duration: Duration;
  /** "player": player_0, player_1, … */
  readonly agentName: string;
  /** what every player observes; the same features for all */
  readonly features: readonly FeatureInput[];
  /** Write what a player observes in a state over zeros: out[at … at + O). */
  observe(player: number, state: number, out: Float32Array, at: number): void;
  /** what the actions are called; by number if left out */
  readonly actionNames?: readonly string[];
  /** what a state is called, for pictures; "" for nothing */
  stateName(state: number): string;
  /** A table that is played once and has one state is a matrix game to solvers. */
  readonly isMatrix?: boolean;
}

function describeTabular({ id, game, duration, agentName, ...input }: TabularInput): EnvironmentSpec {
  const features = layout(input.features);
  const names = game.actions.map((_, i) => `${agentName}_${i}`);
  const group = (name: string, agents: readonly string[], actions: number): GroupSpec => ({
    name,
    agents,
    obsSize: sizeOfFeatures(features),
    features,
    action: { kind: "discrete", n: actions },
    hasActionMask: false,
    ...(input.actionNames?.length === actions ? { actionNames: input.actionNames } : {}),
  });
  const alike = game.actions.every((count) => count === game.actions[0]);
  return {
    id,
    groups: alike
      ? [group(`${agentName}s`, names, game.actions[0])]
      : names.map((name, i) => group(name, [name], game.actions[i])),
    stateSize: game.states,
    stateFeatures: layout([{ name: "state", size: game.states, kind: "one-hot", low: 0, high: 1 }]),
    maxSteps: duration.steps,
    turnBased: false,
    episodeMetrics: [],
    capabilities: { saveState: true, frames: true, exactModel: true },
  };
}

export class TabularEnvironment extends BatchedEnvironment {
  readonly #input: TabularInput;
  /** [E] */
  readonly #state: NdArray<"int32">;
  /** [E] number of the last joint action; −1 before the first: pictures only */
  readonly #last: NdArray<"int32">;
  /** per player: its group, its place in it, and the agents of the group */
  readonly #group: Int32Array;
  readonly #index: Int32Array;
  readonly #size: Int32Array;

  constructor(input: TabularInput, options: CreateOptions) {
    super(describeTabular(input), options);
    this.#input = input;
    this.#state = zeros("int32", [this.copies]);
    this.#last = zeros("int32", [this.copies]);
    const seats = this.spec.groups.flatMap(({ agents }, g) => agents.map((_, k) => [g, k, agents.length]));
    this.#group = Int32Array.from(seats, ([g]) => g);
    this.#index = Int32Array.from(seats, ([, k]) => k);
    this.#size = Int32Array.from(seats, ([, , size]) => size);
  }

  protected override startEpisode(e: number): void {
    const { initial } = this.#input.game;
    this.#state.data[e] = drawIndex(initial, 0, initial.length, this.streams[e].reset);
    this.#last.data[e] = -1;
  }

  /** Allocates nothing. */
  protected override advance(): void {
    const { game, duration } = this.#input;
    const { actions, rowStart, successor, probability, reward } = game;
    const players = actions.length;
    const state = this.#state.data;
    const last = this.#last.data;
    const rows = rowStart.length - 1;
    const joints = rows / game.states;
    const ends = duration.timeLimit === "terminated";
    for (let e = 0; e < this.copies; e++) {
      let joint = 0;
      for (let i = 0; i < players; i++) {
        const chosen = this.groups[this.#group[i]].action[e * this.#size[i] + this.#index[i]];
        joint = joint * actions[i] + chosen;
      }
      const row = state[e] * joints + joint;
      for (let i = 0; i < players; i++)
        this.groups[this.#group[i]].reward[e * this.#size[i] + this.#index[i]] = reward[i * rows + row];
      const k = drawIndex(probability, rowStart[row], rowStart[row + 1], this.streams[e].dynamics);
      state[e] = successor[k];
      last[e] = joint;
      if (ends && this.elapsed[e] === duration.steps) this.terminated[e] = 1;
    }
  }

  protected override observe(from: number, to: number): void {
    const { groups } = this.spec;
    const states = this.#input.game.states;
    const state = this.#state.data;
    this.state.fill(0, from * states, to * states);
    for (let e = from; e < to; e++) this.state[e * states + state[e]] = 1;
    for (let i = 0; i < this.#group.length; i++) {
      const { obs } = this.groups[this.#group[i]];
      const width = groups[this.#group[i]].obsSize;
      for (let e = from; e < to; e++) {
        const at = (e * this.#size[i] + this.#index[i]) * width;
        obs.fill(0, at, at + width);
        this.#input.observe(i, state[e], obs, at);
      }
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { state: this.#state, last: this.#last };
  }

  protected override buildModel(): ExactModel {
    const { game, isMatrix = false, duration } = this.#input;
    const observation = (player: number, state = 0) => {
      const out = new Float32Array(this.spec.groups[0].obsSize);
      this.#input.observe(player, state, out, 0);
      return out;
    };
    if (isMatrix && duration.steps === 1 && duration.timeLimit === "terminated")
      return { kind: "matrix", game: { actions: game.actions, payoff: game.reward }, observation };
    return { kind: "markov", game, observation };
  }

  protected override locate(e: number): number {
    return this.#state.data[e];
  }

  protected override draw(e: number): Frame {
    const { game, stateName, actionNames } = this.#input;
    const last = this.#last.data[e];
    const chosen = last < 0 ? null : jointAction(game.actions, last);
    const agents = this.spec.groups.flatMap((group) => group.agents);
    const labels = agents.map((_, i) => {
      if (chosen === null) return "";
      return actionNames?.length === game.actions[i] ? actionNames[chosen[i]] : `${chosen[i]}`;
    });
    return playersInARow(agents, labels, [stateName(this.#state.data[e])]);
  }
}

/** An index in [from, to) with the probabilities that stand there; a single one costs no random number. */
function drawIndex(p: Float64Array, from: number, to: number, stream: RandomStream): number {
  if (to - from === 1) return from;
  let left = stream.uniform();
  for (let k = from; k < to; k++) {
    left -= p[k];
    if (left < 0) return k;
  }
  // Rounding: the probabilities sum to a little less than 1. The last possible one takes the rest.
  let k = to - 1;
  while (p[k] === 0) k--;
  return k;
}
