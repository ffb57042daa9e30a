/** Finite games in extensive form: a tree of chance, decision and terminal nodes, with information sets. */
import { UserError } from "../core/errors.js";
import { nearestName } from "../core/suggest.js";

/** Who moves at a node, beside the players 0 … n−1. */
export const CHANCE = -1;
export const TERMINAL = -2;

/** The nodes that a player cannot tell apart. */
export interface InformationSet {
  readonly player: number;
  /** what the player knows, as text; unique among all players */
  readonly key: string;
  /** legal actions, in ascending order */
  readonly actions: readonly number[];
  /** where its probabilities begin in a `TreePolicy` */
  readonly offset: number;
}

/** Nodes are numbered in depth-first order, edges by ascending action; node 0 is the root. */
export interface GameTree {
  /** n */
  readonly players: number;
  /** [N] a player, CHANCE or TERMINAL */
  readonly mover: Int32Array;
  /** [N + 1] the edges of node k are firstEdge[k] … firstEdge[k + 1] − 1 */
  readonly firstEdge: Int32Array;
  /** [edges] the action, or the outcome of chance */
  readonly edgeAction: Int32Array;
  /** [edges] the node it leads to; greater than the node it leaves */
  readonly edgeChild: Int32Array;
  /** [edges] probability of an outcome of chance; 1 at decisions */
  readonly edgeChance: Float64Array;
  /** [N] index into `informationSets`; −1 where no player moves */
  readonly informationSet: Int32Array;
  readonly informationSets: readonly InformationSet[];
  /** [N, n] what the players are paid at terminal nodes; 0 elsewhere */
  readonly payoff: Float64Array;
  /** entries of a `TreePolicy` */
  readonly policySize: number;
}

/**
 * Behaviour strategies of all players: the probability of action `set.actions[k]` stands at `set.offset + k`.
 * Probabilities of an information set sum to 1.
 */
export type TreePolicy = Float64Array;

/**
 * The rules of a turn-based game with chance, over records of W integers: `state[at … at + W)` is one position with
 * all that happened before, so that two different histories are two different records. No function allocates, except
 * `key`.
 */
export interface SequentialRules {
  readonly players: number;
  /** W */
  readonly width: number;
  /** A: player's actions are integers in [0, A) */
  readonly actions: number;
  /** outcomes of chance are integers in [0, outcomes) */
  readonly outcomes: number;
  /** Write the position before the first move. */
  start(state: Int32Array, at: number): void;
  /** A player, CHANCE or TERMINAL. */
  mover(state: Int32Array, at: number): number;
  /** Where chance moves: write the probability of every outcome, 0 where impossible. */
  chance(state: Int32Array, at: number, probability: Float64Array): void;
  /** Where a player moves: write 1 for legal actions, 0 for the others, to mask[maskAt … maskAt + A). */
  legal(state: Int32Array, at: number, mask: Uint8Array, maskAt: number): void;
  /** Make a legal action or a possible outcome happen. */
  apply(state: Int32Array, at: number, move: number): void;
  /** What a player is paid; 0 unless the position is terminal. */
  payoff(state: Int32Array, at: number, player: number): number;
  /** The information set of the player who moves: equal exactly where that player cannot tell. */
  key(state: Int32Array, at: number): string;
}

/** A tree with the record of every node: [N, W]. */
export interface BuiltTree {
  readonly tree: GameTree;
  readonly records: Int32Array;
}

/**
 * Play every line of a game.
 *
 * @param limit most nodes to build
 * @throws UserError if the tree has more nodes than `limit`
 * @throws RangeError if the rules contradict themselves: one information set with two movers or two sets of actions,
 *   outcomes that do not sum to 1, lines that never end
 */
export function buildTree(rules: SequentialRules, limit = 5_000_000, place = "game tree"): BuiltTree {
  return new TreeBuilder(rules, limit, place).build();
}

/** Most moves in a line; rules that never end are stopped there. */
const LONGEST = 1000;

class TreeBuilder {
  readonly #mover: number[] = [];
  readonly #informationSet: number[] = [];
  readonly #payoff: number[] = [];
  readonly #records: number[] = [];
  /** edges of every node, as they are found */
  readonly #edges: { action: number; chance: number; child: number }[][] = [];
  readonly #sets = new Map<string, number>();
  readonly #informationSets: InformationSet[] = [];
  #policySize = 0;

  constructor(
    readonly rules: SequentialRules,
    readonly limit: number,
    readonly place: string,
  ) {}

  build(): BuiltTree {
    const { rules } = this;
    const root = new Int32Array(rules.width);
    rules.start(root, 0);
    this.#visit(root, 0);
    const nodes = this.#mover.length;
    const firstEdge = new Int32Array(nodes + 1);
    for (let k = 0; k < nodes; k++) firstEdge[k + 1] = firstEdge[k] + this.#edges[k].length;
    const edges = this.#edges.flat();
    return {
      tree: {
        players: rules.players,
        mover: Int32Array.from(this.#mover),
        firstEdge,
        edgeAction: Int32Array.from(edges, (edge) => edge.action),
        edgeChild: Int32Array.from(edges, (edge) => edge.child),
        edgeChance: Float64Array.from(edges, (edge) => edge.chance),
        informationSet: Int32Array.from(this.#informationSet),
        informationSets: this.#informationSets,
        payoff: Float64Array.from(this.#payoff),
        policySize: this.#policySize,
      },
      records: Int32Array.from(this.#records),
    };
  }

  /** Number the position and everything after it. */
  #visit(state: Int32Array, depth: number): number {
    const { rules } = this;
    if (depth > LONGEST) throw new RangeError(`${this.place}: a line of more than ${LONGEST} moves`);
    const node = this.#mover.length;
    if (node >= this.limit)
      throw new UserError(`${this.place}: more than ${this.limit} nodes. Choose a smaller game.`);
    const mover = rules.mover(state, 0);
    this.#mover.push(mover);
    for (const x of state) this.#records.push(x);
    for (let i = 0; i < rules.players; i++)
      this.#payoff.push(mover === TERMINAL ? rules.payoff(state, 0, i) : 0);
    this.#informationSet.push(mover >= 0 ? this.#setOf(state, mover) : -1);
    const edges: { action: number; chance: number; child: number }[] = [];
    this.#edges.push(edges);
    if (mover === TERMINAL) return node;
    for (const [action, chance] of mover === CHANCE ? this.#outcomes(state) : this.#actions(state)) {
      const after = state.slice();
      rules.apply(after, 0, action);
      edges.push({ action, chance, child: this.#visit(after, depth + 1) });
    }
    return node;
  }

  #outcomes(state: Int32Array): [number, number][] {
    const probability = new Float64Array(this.rules.outcomes);
    this.rules.chance(state, 0, probability);
    const sum = probability.reduce((a, b) => a + b, 0);
    if (Math.abs(sum - 1) > 1e-12) throw new RangeError(`${this.place}: outcomes sum to ${sum}, expected 1`);
    return [...probability].flatMap((p, outcome): [number, number][] => (p > 0 ? [[outcome, p]] : []));
  }

  #actions(state: Int32Array): [number, number][] {
    return legalActions(this.rules, state).map((action) => [action, 1]);
  }

  #setOf(state: Int32Array, player: number): number {
    const key = this.rules.key(state, 0);
    const actions = legalActions(this.rules, state);
    const known = this.#sets.get(key);
    if (known !== undefined) {
      const set = this.#informationSets[known];
      if (set.player !== player || set.actions.join() !== actions.join())
        throw new RangeError(`${this.place}: information set "${key}" has two movers or two sets of actions`);
      return known;
    }
    const index = this.#informationSets.length;
    this.#sets.set(key, index);
    this.#informationSets.push({ player, key, actions, offset: this.#policySize });
    this.#policySize += actions.length;
    return index;
  }
}

function legalActions(rules: SequentialRules, state: Int32Array): number[] {
  const mask = new Uint8Array(rules.actions);
  rules.legal(state, 0, mask, 0);
  return [...mask.keys()].filter((action) => mask[action] === 1);
}

/** Every legal action equally likely. */
export function uniformTreePolicy(tree: GameTree): TreePolicy {
  return treePolicy(tree, ({ actions }) => actions.map(() => 1 / actions.length));
}

/** The policy in which every information set has the probabilities that `choose` returns, one per legal action. */
export function treePolicy(tree: GameTree, choose: (set: InformationSet) => readonly number[]): TreePolicy {
  const policy = new Float64Array(tree.policySize);
  for (const set of tree.informationSets) policy.set(choose(set), set.offset);
  return policy;
}

/**
 * A policy from a table as people write it: information set → probability of every legal action, in ascending order
 * of the actions.
 *
 * @throws UserError naming the information set that is missing, unknown, of another length, or whose probabilities
 *   are negative or do not sum to 1
 */
export function treePolicyFromTable(
  tree: GameTree,
  table: Readonly<Record<string, readonly number[]>>,
  place = "policy",
): TreePolicy {
  const keys = new Set(tree.informationSets.map((set) => set.key));
  for (const key of Object.keys(table)) {
    if (keys.has(key)) continue;
    const near = nearestName(key, keys) ?? tree.informationSets[0].key;
    throw new UserError(`${place}, "${key}": unknown information set. There is, for example, "${near}".`);
  }
  return treePolicy(tree, ({ key, actions }) => {
    const given = Object.hasOwn(table, key) ? table[key] : undefined;
    if (given === undefined)
      throw new UserError(
        `${place}: no entry for the information set "${key}", expected ${actions.length} numbers.`,
      );
    if (given.length !== actions.length) {
      throw new UserError(
        `${place}, "${key}": got ${given.length} numbers, expected ${actions.length}, one for each of the actions ${actions.join(", ")}.`,
      );
    }
    const sum = given.reduce((a, b) => a + b, 0);
    if (!(Math.abs(sum - 1) <= 1e-9 && given.every((p) => p >= 0))) {
      throw new UserError(
        `${place}, "${key}": got the probabilities ${given.join(", ")}, which sum to ${sum}; expected numbers ≥ 0 that sum to 1.`,
      );
    }
    return given;
  });
}

/** One way in which a game can go, from its start to its end. */
export interface TerminalHistory {
  readonly node: number;
  /** actions and outcomes of chance, in order */
  readonly moves: readonly number[];
  /** product of the probabilities of chance */
  readonly chance: number;
  /** [n] */
  readonly payoff: readonly number[];
}

/** Every terminal history, in depth-first order. */
export function terminalHistories(tree: GameTree): TerminalHistory[] {
  const out: TerminalHistory[] = [];
  const visit = (node: number, moves: readonly number[], chance: number) => {
    if (tree.mover[node] === TERMINAL) {
      const payoff = [...tree.payoff.subarray(node * tree.players, (node + 1) * tree.players)];
      out.push({ node, moves, chance, payoff });
      return;
    }
    for (let k = tree.firstEdge[node]; k < tree.firstEdge[node + 1]; k++)
      visit(tree.edgeChild[k], [...moves, tree.edgeAction[k]], chance * tree.edgeChance[k]);
  };
  visit(0, [], 1);
  return out;
}

/**
 * What every player expects when all follow `policy`: Σ_z P(z) · u_i(z). Children have greater numbers than their
 * parents, so one pass over the nodes carries the reach probabilities down.
 *
 * @returns [n]
 */
export function treeValues(tree: GameTree, policy: TreePolicy): Float64Array {
  const { players, mover, firstEdge, edgeChild, edgeChance, informationSet, informationSets, payoff } = tree;
  const reach = new Float64Array(mover.length);
  const value = new Float64Array(players);
  reach[0] = 1;
  for (let node = 0; node < mover.length; node++) {
    const first = firstEdge[node];
    const decides = mover[node] >= 0;
    const offset = decides ? informationSets[informationSet[node]].offset : 0;
    for (let k = first; k < firstEdge[node + 1]; k++) {
      const p = decides ? policy[offset + k - first] : edgeChance[k];
      reach[edgeChild[k]] = reach[node] * p;
    }
    if (mover[node] === TERMINAL)
      for (let i = 0; i < players; i++) value[i] += reach[node] * payoff[node * players + i];
  }
  return value;
}
