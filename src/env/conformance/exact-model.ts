/** Whether an environment plays the game that it states: a random walk beside its exact model. */
import type { ExactModel } from "../../games/model.js";
import type { Environment } from "../contract.js";
import { maskSize } from "../spaces.js";
import type { Findings } from "./finding.js";
import type { Player } from "./trace.js";

/** Rewards may be summed in another order than in the tables. */
const SLACK = 1e-9;

type Model<K extends ExactModel["kind"]> = Extract<ExactModel, { kind: K }>;

/** One agent of an environment: player i of its model. */
interface Seat {
  readonly group: number;
  readonly index: number;
  readonly name: string;
}

/** Take `steps` random steps and note where environment and model part. The environment is already reset. */
export function checkExactModel(
  environment: Environment,
  player: Player,
  steps: number,
  findings: Findings,
): void {
  const seats = environment.spec.groups.flatMap(({ agents }, group) =>
    agents.map((name, index): Seat => ({ group, index, name })),
  );
  const model = environment.exactModel!();
  if (!fits(environment, seats, model, findings)) return;
  const walker = new Walker(environment, seats, findings);
  const elapsed = new Int32Array(environment.copies);
  for (let t = 1; t <= steps && !findings.has("exact-model"); t++) {
    const before = Array.from(elapsed, (_, e) => environment.modelState!(e));
    before.forEach((state, e) => {
      walker.compareView(model, state, e, t);
    });
    player.act(environment);
    environment.step();
    before.forEach((state, e) => {
      elapsed[e]++;
      if (model.kind === "tree") walker.compareMove(model, state, e, t);
      else walker.compareJointAction(model, state, e, t, elapsed[e]);
      if (environment.terminated[e] + environment.truncated[e] > 0) elapsed[e] = 0;
    });
  }
}

/** As many players as agents, as many actions as they have. */
function fits({ spec }: Environment, seats: readonly Seat[], model: ExactModel, findings: Findings): boolean {
  const players = model.kind === "tree" ? model.game.players : model.game.actions.length;
  if (players !== seats.length) {
    findings.add(
      "exact-model",
      `the model has ${players} players, the environment ${seats.length} agents. Make every agent a player.`,
    );
    return false;
  }
  for (const [i, { group, name }] of seats.entries()) {
    const { action } = spec.groups[group];
    const n = action.kind === "discrete" ? action.n : 0;
    const actions = model.kind === "tree" ? n : model.game.actions[i];
    if (n > 0 && actions === n) continue;
    findings.add(
      "exact-model",
      `agent "${name}" has ${n === 0 ? "no discrete actions" : `${n} actions`}, but ${actions} in the model. Let both agree.`,
    );
    return false;
  }
  return true;
}

class Walker {
  constructor(
    readonly environment: Environment,
    readonly seats: readonly Seat[],
    readonly findings: Findings,
  ) {}

  /** Observations and legal actions before the step. */
  compareView(model: ExactModel, state: number, e: number, t: number): void {
    const { seats, environment } = this;
    const at = `step ${t}, copy ${e}`;
    if (model.kind !== "tree") {
      for (const [i, seat] of seats.entries()) {
        this.#compareObs(seat, e, model.observation(i, state), `${at}, state ${state}`);
      }
      return;
    }
    const { mover, informationSet, informationSets } = model.game;
    const acting = seats.flatMap(({ group, index }, i) =>
      environment.groups[group].acting[e * this.#size(group) + index] === 1 ? [i] : [],
    );
    if (acting.length !== 1 || acting[0] !== mover[state]) {
      this.#add(
        `${at}: players [${acting.join(", ")}] act, at node ${state} of the tree player ${mover[state]} moves.`,
      );
      return;
    }
    const seat = seats[acting[0]];
    const set = informationSets[informationSet[state]];
    this.#compareObs(seat, e, model.observation(informationSet[state]), `${at}, node ${state}`);
    const { action, hasActionMask } = environment.spec.groups[seat.group];
    const width = maskSize(action);
    const start = (e * this.#size(seat.group) + seat.index) * width;
    const mask = environment.groups[seat.group].actionMask?.subarray(start, start + width);
    const legal = Array.from({ length: width }, (_, a) => a).filter((a) => !hasActionMask || mask![a] === 1);
    if (legal.join() !== set.actions.join()) {
      this.#add(
        `${at}: the mask allows [${legal.join(", ")}], information set "${set.key}" the actions [${set.actions.join(", ")}].`,
      );
    }
  }

  /** Rewards, successor and end of a simultaneous move. */
  compareJointAction(
    model: Model<"matrix" | "markov">,
    state: number,
    e: number,
    t: number,
    elapsed: number,
  ): void {
    const { terminated, truncated } = this.environment;
    const at = `step ${t}, copy ${e}, state ${state}`;
    const { actions } = model.game;
    const joint = this.seats.reduce((j, seat, i) => j * actions[i] + this.#actionOf(seat, e), 0);
    const joints = actions.reduce((product, n) => product * n, 1);
    const table = model.kind === "matrix" ? model.game.payoff : model.game.reward;
    const row = model.kind === "matrix" ? joint : state * joints + joint;
    this.#compareRewards(
      e,
      (i) => table[(i * table.length) / actions.length + row],
      `${at}, joint action ${joint}`,
    );
    const horizon = model.kind === "matrix" ? 1 : model.game.horizon;
    if ((terminated[e] === 1) !== (elapsed === horizon)) {
      this.#add(
        `${at}: ${terminated[e] === 1 ? "terminated" : "goes on"} after ${elapsed} steps, the model's horizon is ${horizon}.`,
      );
    }
    if (model.kind === "matrix" || terminated[e] + truncated[e] > 0) return;
    const { rowStart, successor, probability } = model.game;
    const reached = this.environment.modelState!(e);
    for (let k = rowStart[row]; k < rowStart[row + 1]; k++)
      if (successor[k] === reached && probability[k] > 0) return;
    this.#add(`${at}: joint action ${joint} leads to state ${reached}, which the model rules out.`);
  }

  /** Payoffs and successor of one player's move, chance behind it included. */
  compareMove({ game }: Model<"tree">, node: number, e: number, t: number): void {
    const { environment, seats } = this;
    const at = `step ${t}, copy ${e}, node ${node}`;
    const { firstEdge, edgeAction, edgeChild, mover, payoff, players } = game;
    const edges = (n: number) =>
      Array.from({ length: firstEdge[n + 1] - firstEdge[n] }, (_, k) => firstEdge[n] + k);
    const action = this.#actionOf(seats[mover[node]], e);
    const taken = edges(node).find((k) => edgeAction[k] === action);
    if (taken === undefined) {
      this.#add(`${at}: the tree has no action ${action} there.`);
      return;
    }
    const child = edgeChild[taken];
    this.#compareRewards(e, (i) => payoff[child * players + i], `${at}, action ${action}`);
    const over = edges(child).length === 0;
    if ((environment.terminated[e] === 1) !== over) {
      this.#add(
        `${at}: action ${action} ${over ? "ends" : "does not end"} the game in the tree, but not so here.`,
      );
    }
    if (environment.terminated[e] + environment.truncated[e] > 0) return;
    const reached = environment.modelState!(e);
    const open = [child];
    for (const next of open) {
      if (next === reached) return;
      if (mover[next] < 0) open.push(...edges(next).map((k) => edgeChild[k]));
    }
    this.#add(`${at}: action ${action} leads to node ${reached}, which the tree does not allow.`);
  }

  #size(group: number): number {
    return this.environment.spec.groups[group].agents.length;
  }

  #actionOf({ group, index }: Seat, e: number): number {
    return this.environment.groups[group].action[e * this.#size(group) + index];
  }

  #compareObs({ group, index, name }: Seat, e: number, expected: Float32Array, at: string): void {
    const { obsSize } = this.environment.spec.groups[group];
    const start = (e * this.#size(group) + index) * obsSize;
    const seen = this.environment.groups[group].obs.subarray(start, start + obsSize);
    const k = expected.length === obsSize ? seen.findIndex((x, d) => x !== expected[d]) : 0;
    if (k >= 0) {
      this.#add(`${at}, agent "${name}": observation entry ${k} is ${seen[k]}, in the model ${expected[k]}.`);
    }
  }

  #compareRewards(e: number, expected: (player: number) => number, at: string): void {
    for (const [i, { group, index, name }] of this.seats.entries()) {
      const paid = this.environment.groups[group].reward[e * this.#size(group) + index];
      const stated = expected(i);
      if (Math.abs(paid - stated) <= SLACK * Math.max(1, Math.abs(stated))) continue;
      this.#add(`${at}, agent "${name}": the reward is ${paid}, in the model ${stated}.`);
    }
  }

  #add(message: string): void {
    this.findings.add("exact-model", `${message} Build the model from the rules that advance() follows.`);
  }
}
