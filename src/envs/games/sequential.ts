/**
 * Turn-based games with hidden information on the loop's one time grid. A game supplies its rules
 * (`SequentialRules`: positions are records of integers, changed in place); from them come both the environment,
 * which applies them to all copies without allocating, and the exact tree.
 *
 * One step is one action of one player. Chance moves by itself: before the first action in the reset, later in the
 * step that leads to it. Who waits has action 0 as its no-op.
 */
import { type NdArray, zeros } from "../../core/array.js";
import type { RandomStream } from "../../core/random.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, Feature, Frame, GroupSpec } from "../../env/contract.js";
import { concatenatedObsFeatures, sizeOfFeatures } from "../../env/features.js";
import type { ExactModel } from "../../games/model.js";
import { buildTree, CHANCE, type SequentialRules, TERMINAL } from "../../games/tree.js";
import { playersInARow } from "./picture.js";

/** Rules with what players see and what spectators are shown. */
export interface PlayableRules extends SequentialRules {
  /** of every player's observation */
  readonly features: readonly Feature[];
  /** [A] */
  readonly actionNames: readonly string[];
  /** most actions of all players together */
  readonly longest: number;
  /** names of the numbers that `metric` returns */
  readonly metrics: readonly string[];
  /** Write what a player sees over zeros: out[outAt … outAt + O). */
  observe(state: Int32Array, at: number, player: number, out: Float32Array, outAt: number): void;
  /** Of a terminal position, the m-th number. */
  metric(state: Int32Array, at: number, m: number): number;
  /** What a player holds, for pictures ("K"); "" if nothing yet. */
  hand(state: Int32Array, at: number, player: number): string;
  /** The table and the betting, for pictures. */
  captions(state: Int32Array, at: number, names: readonly string[]): string[];
}

/** Trees with more nodes are neither declared nor built. */
export const TREE_NODES = 2_000_000;

export class SequentialEnvironment extends BatchedEnvironment {
  readonly #rules: PlayableRules;
  /** [E, W] */
  readonly #state: NdArray<"int32">;
  /** scratch: probability of every outcome of chance */
  readonly #chance: Float64Array;
  /** record → node, once the tree exists */
  #nodes: ReadonlyMap<string, number> | null = null;

  /** @param hasTree whether the game is small enough for its tree to be built */
  constructor(id: string, rules: PlayableRules, hasTree: boolean, options: CreateOptions) {
    const group: GroupSpec = {
      name: "players",
      agents: Array.from({ length: rules.players }, (_, i) => `player_${i}`),
      obsSize: sizeOfFeatures(rules.features),
      features: rules.features,
      action: { kind: "discrete", n: rules.actions },
      hasActionMask: true,
      actionNames: rules.actionNames,
    };
    const spec = {
      id,
      groups: [group],
      stateSize: rules.players * group.obsSize,
      stateFeatures: concatenatedObsFeatures([group]),
      maxSteps: rules.longest,
      turnBased: true,
      episodeMetrics: rules.metrics,
      capabilities: { saveState: true, frames: true, exactModel: hasTree },
    };
    super(spec, options, true);
    this.#rules = rules;
    this.#state = zeros("int32", [this.copies, rules.width]);
    this.#chance = new Float64Array(rules.outcomes);
  }

  protected override startEpisode(e: number): void {
    const rules = this.#rules;
    const state = this.#state.data;
    const at = e * rules.width;
    rules.start(state, at);
    this.#letChanceMove(at, this.streams[e].reset);
    this.#markTurn(e, rules.mover(state, at));
  }

  /** Allocates nothing. */
  protected override advance(): void {
    const rules = this.#rules;
    const { players, width } = rules;
    const state = this.#state.data;
    const { action, reward } = this.groups[0];
    reward.fill(0);
    for (let e = 0; e < this.copies; e++) {
      const at = e * width;
      rules.apply(state, at, action[e * players + rules.mover(state, at)]);
      this.#letChanceMove(at, this.streams[e].dynamics);
      const mover = rules.mover(state, at);
      if (mover === TERMINAL) {
        this.terminated[e] = 1;
        for (let i = 0; i < players; i++) reward[e * players + i] = rules.payoff(state, at, i);
      } else {
        this.#markTurn(e, mover);
      }
    }
  }

  #letChanceMove(at: number, stream: RandomStream): void {
    const rules = this.#rules;
    const state = this.#state.data;
    while (rules.mover(state, at) === CHANCE) {
      rules.chance(state, at, this.#chance);
      let left = stream.uniform();
      let outcome = -1;
      for (let k = 0; k < rules.outcomes && left >= 0; k++) {
        if (this.#chance[k] === 0) continue;
        // The last possible outcome stays where rounding leaves a rest.
        outcome = k;
        left -= this.#chance[k];
      }
      rules.apply(state, at, outcome);
    }
  }

  #markTurn(e: number, mover: number): void {
    const { players } = this.#rules;
    const { acting } = this.groups[0];
    for (let i = 0; i < players; i++) acting[e * players + i] = i === mover ? 1 : 0;
  }

  protected override observe(from: number, to: number): void {
    const rules = this.#rules;
    const { players, actions, width } = rules;
    const state = this.#state.data;
    const { obs } = this.groups[0];
    const actionMask = this.groups[0].actionMask!;
    const { obsSize } = this.spec.groups[0];
    obs.fill(0, from * players * obsSize, to * players * obsSize);
    for (let e = from; e < to; e++) {
      const mover = rules.mover(state, e * width);
      for (let i = 0; i < players; i++) {
        const row = e * players + i;
        rules.observe(state, e * width, i, obs, row * obsSize);
        if (i === mover) rules.legal(state, e * width, actionMask, row * actions);
        else {
          actionMask.fill(0, row * actions, (row + 1) * actions);
          actionMask[row * actions] = 1;
        }
      }
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return { position: this.#state };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const rules = this.#rules;
    for (let m = 0; m < rules.metrics.length; m++)
      out[offset + m] = rules.metric(this.#state.data, e * rules.width, m);
  }

  protected override buildModel(): ExactModel {
    const rules = this.#rules;
    const { tree, records } = buildTree(rules, TREE_NODES, this.spec.id);
    const { width } = rules;
    const nodes = new Map<string, number>();
    const first = new Int32Array(tree.informationSets.length).fill(-1);
    for (let node = 0; node < tree.mover.length; node++) {
      nodes.set(records.subarray(node * width, (node + 1) * width).join(), node);
      const set = tree.informationSet[node];
      if (set >= 0 && first[set] < 0) first[set] = node;
    }
    this.#nodes = nodes;
    const observation = (set: number) => {
      const out = new Float32Array(this.spec.groups[0].obsSize);
      rules.observe(records, first[set] * width, tree.informationSets[set].player, out, 0);
      return out;
    };
    return { kind: "tree", game: tree, observation };
  }

  protected override locate(e: number): number {
    this.exactModel!();
    const { width } = this.#rules;
    return this.#nodes!.get(this.#state.data.subarray(e * width, (e + 1) * width).join())!;
  }

  protected override draw(e: number): Frame {
    const rules = this.#rules;
    const state = this.#state.data;
    const at = e * rules.width;
    const { agents } = this.spec.groups[0];
    const hands = agents.map((_, i) => rules.hand(state, at, i));
    return playersInARow(agents, hands, rules.captions(state, at, agents), rules.mover(state, at));
  }
}
