/** What a team is worth against an adversary: whole episodes, no learning. */
import { UserError } from "../core/errors.js";
import type { Film } from "../core/film.js";
import type { Environment } from "../env/contract.js";
import type { ActionMode } from "../policy/index.js";
import {
  FilmRecorder,
  fixedCasting,
  hijackCasting,
  meanOf,
  type Players,
  Rollout,
  seatsOf,
  seatTeam,
  type TalliedEpisode,
  Tally,
} from "../rollout/index.js";
import type { Runtime } from "../runtime/index.js";
import { actsThroughSeats, checkThreat, type Threat } from "../threats/index.js";
import type { Adversary } from "./attack.js";
import { hijackOptions } from "./best-response.js";

export interface EvaluationOptions {
  readonly runtime: Runtime;
  /** The environment of the evaluation; for a dynamics threat with the threat's parameters in it. */
  createEnvironment(copies: number, options?: { readonly keepFinalFrames?: boolean }): Promise<Environment>;
  /** "uniform": random legal actions everywhere, the floor. */
  readonly team: Players;
  /** How the team chooses actions where no threat says it (default "sample"). */
  readonly mode?: ActionMode;
  readonly adversary: Adversary | null;
  readonly threat: Threat | null;
  /** Episode i is the first episode of copy i of the seed: the result does not depend on `copies`. */
  readonly episodes: number;
  /** Common to all teams and adversaries that are compared. */
  readonly seed: number;
  /** Width of a batch (default 64). */
  readonly copies?: number;
  /** Film the first so many episodes. */
  readonly films?: number;
  readonly labels: { readonly team: string; readonly adversary: string };
}

export interface Evaluation {
  /** [episodes] sum over steps of the mean reward of the agents */
  readonly returns: Float64Array;
  /** per agent [episodes] */
  readonly agentReturns: Readonly<Record<string, Float64Array>>;
  /** [episodes] */
  readonly lengths: Int32Array;
  /** the environment's episode metrics, each [episodes] */
  readonly metrics: Readonly<Record<string, Float64Array>>;
  /** share of the hijackable decisions that the adversary made */
  readonly controlledShare: number;
  /** share of all decisions that were made on perturbed observations */
  readonly perturbedShare: number;
  /** largest change of one observation entry, in raw units */
  readonly largestPerturbation: number;
  readonly envSteps: number;
  readonly films: readonly Film[];
}

/** A copy that has not ended by then never will. */
const MAX_EPISODE_STEPS = 100_000;

/** @throws UserError if adversary and threat do not fit, or an episode does not end */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { runtime, team, adversary, threat, episodes, seed } = options;
  const films = Math.min(options.films ?? 0, episodes);
  const copies = Math.min(options.copies ?? 64, episodes);
  const environment = await options.createEnvironment(copies, { keepFinalFrames: films > 0 });
  try {
    const { spec } = environment;
    if (threat !== null) checkThreat(threat, spec, "evaluation, threat");
    const seats = seatsOf(spec);
    const mode = threat?.victimMode ?? options.mode ?? "sample";
    const seated = seatTeam(runtime, team, spec, mode);
    const actors = [...seated.actors];
    const hijackers = new Int32Array(seats.count).fill(-1);
    const throughSeats = threat !== null && actsThroughSeats(threat);
    requireAdversary(adversary, threat, seats.names);
    if (adversary?.kind === "seats") {
      for (const [agent, actor] of adversary.actors) {
        let index = actors.indexOf(actor);
        if (index < 0) index = actors.push(actor) - 1;
        hijackers[seats.names.indexOf(agent)] = index;
      }
    }
    const tally = new Tally();
    const camera = new FilmRecorder(films, { ...options.labels, seed });
    const rollout = new Rollout({
      environment,
      actors,
      cast: throughSeats ? hijackCasting(seated.actorOfSeat, hijackers) : fixedCasting(seated.actorOfSeat),
      seed,
      stream: "evaluation",
      ...(throughSeats ? { hijack: hijackOptions(threat) } : {}),
      ...(adversary?.kind === "perturber" && threat?.channel === "observation"
        ? { perturb: { threat, perturber: adversary.perturber } }
        : {}),
      recorders: films > 0 ? [tally, camera] : [tally],
    });
    const done: TalliedEpisode[] = [];
    let envSteps = 0;
    for (let first = 0; first < episodes; first += copies) {
      rollout.reset(first);
      tally.episodes = [];
      const wanted = Math.min(copies, episodes - first);
      let finished = 0;
      for (let t = 0; finished < wanted; t++) {
        if (t === MAX_EPISODE_STEPS)
          throw new UserError(
            `${spec.id}: an episode did not end within ${MAX_EPISODE_STEPS} steps of evaluation.`,
          );
        rollout.step();
        envSteps += copies;
        for (const episode of tally.episodes) {
          if (episode.episode !== 0 || episode.copy >= episodes) continue;
          done.push(episode);
          finished++;
        }
        tally.episodes = [];
      }
    }
    return summarise(done, environment, envSteps, camera.films);
  } finally {
    environment.close();
  }
}

const KINDS = { control: "seats", action: "seats", observation: "perturber", dynamics: "world" } as const;

/** @throws UserError unless the adversary is of the threat's channel and plays exactly the agents that it names */
function requireAdversary(
  adversary: Adversary | null,
  threat: Threat | null,
  names: readonly string[],
): void {
  const expected = threat === null ? "none" : KINDS[threat.channel];
  const got = adversary?.kind ?? "none";
  // The changed world is the whole attack: nobody need be there.
  if (got !== expected && !(expected === "world" && got === "none")) {
    throw new UserError(
      `evaluation: an adversary of kind "${got}" does not fit a ${threat?.channel ?? "missing"} threat.`,
    );
  }
  if (adversary?.kind !== "seats" || threat === null || !actsThroughSeats(threat)) return;
  const wanted = names.filter((name) => threat.agents === "all" || threat.agents.includes(name));
  const played = names.filter((name) => adversary.actors.has(name));
  if (played.join() !== wanted.join() || adversary.actors.size !== wanted.length) {
    throw new UserError(
      `evaluation: the adversary plays ${[...adversary.actors.keys()].join(", ")}, expected ${wanted.join(", ")}.`,
    );
  }
}

function summarise(
  done: TalliedEpisode[],
  environment: Environment,
  envSteps: number,
  films: readonly Film[],
): Evaluation {
  done.sort((a, b) => a.copy - b.copy);
  const { spec } = environment;
  const names = seatsOf(spec).names;
  const column = (value: (e: TalliedEpisode) => number) => Float64Array.from(done, value);
  const total = (value: (e: TalliedEpisode) => number) => done.reduce((sum, e) => sum + value(e), 0);
  const hijackable = total((e) => e.hijackable);
  return {
    returns: column((e) => meanOf(e.returns)),
    agentReturns: Object.fromEntries(names.map((name, seat) => [name, column((e) => e.returns[seat]!)])),
    lengths: Int32Array.from(done, (e) => e.length),
    metrics: Object.fromEntries(spec.episodeMetrics.map((name, m) => [name, column((e) => e.metrics[m]!)])),
    controlledShare: hijackable === 0 ? 0 : total((e) => e.controlled) / hijackable,
    perturbedShare: total((e) => e.perturbed) / total((e) => e.length * names.length),
    largestPerturbation: done.reduce((most, e) => Math.max(most, e.largestPerturbation), 0),
    envSteps,
    films: [...films].sort((a, b) => a.copy - b.copy),
  };
}
