/** Films whole episodes of chosen copies: frames, actions, who was controlled, what was perturbed. */
import type { Film, FilmStep, Frame } from "../core/film.js";
import { actionSize } from "../env/index.js";
import { type Seats, seatsOf } from "./seats.js";
import type { Recorder, StepView } from "./types.js";

/** The picture of an environment that draws none. */
const BLANK: Frame = { shapes: [], captions: [] };

interface Reel {
  steps: FilmStep[];
  hijacked: string[];
  episodeReturn: number;
}

export class FilmRecorder implements Recorder {
  /** Finished films, in order of ending. */
  readonly films: Film[] = [];
  readonly #reels = new Map<number, Reel>();
  #seats: Seats | null = null;

  /**
   * Films the first episode of each copy below `copies` (counted in the larger set that shares the seed). For the
   * last picture the environment must have been created with `keepFinalFrames`.
   */
  constructor(
    readonly copies: number,
    readonly labels: { readonly team: string; readonly adversary: string; readonly seed: number },
  ) {}

  onReset(): void {
    this.#reels.clear();
  }

  onAct(view: StepView): void {
    const { environment, spec, casting } = view;
    this.#seats ??= seatsOf(spec);
    const seats = this.#seats;
    const last = Math.min(environment.copies, this.copies - view.firstCopy);
    for (let e = 0; e < last; e++) {
      if (view.episode[e] !== 0) continue;
      let reel = this.#reels.get(e);
      if (reel === undefined) {
        const hijacked = seats.names.filter((_, seat) => casting.hijacker[e * seats.count + seat]! >= 0);
        reel = { steps: [], hijacked, episodeReturn: 0 };
        this.#reels.set(e, reel);
      }
      reel.steps.push(this.#step(view, e, seats));
    }
  }

  onOutcome(view: StepView): void {
    const { environment, spec } = view;
    const seats = this.#seats!;
    for (const [e, reel] of this.#reels) {
      let reward = 0;
      for (let seat = 0; seat < seats.count; seat++) {
        const g = seats.group[seat]!;
        reward +=
          environment.groups[g]!.reward[e * spec.groups[g]!.agents.length + seats.indexInGroup[seat]!]!;
      }
      reward /= seats.count;
      reel.episodeReturn += reward;
      const last = reel.steps.length - 1;
      reel.steps[last] = { ...reel.steps[last]!, reward };
    }
    const { ended } = environment;
    for (let r = 0; r < ended.count; r++) {
      const e = ended.copies[r]!;
      const reel = this.#reels.get(e);
      if (reel === undefined) continue;
      reel.steps.push({ frame: ended.frames[r] ?? BLANK, controlled: [], perturbed: {} });
      this.films.push({
        environment: spec.id,
        team: this.labels.team,
        adversary: this.labels.adversary,
        seed: this.labels.seed,
        copy: view.firstCopy + e,
        agents: seats.names,
        ...actionNames(spec),
        hijacked: reel.hijacked,
        episodeReturn: reel.episodeReturn,
        steps: reel.steps,
      });
      this.#reels.delete(e);
    }
  }

  #step(view: StepView, e: number, seats: Seats): FilmStep {
    const actions: Record<string, number | number[]> = {};
    const intended: Record<string, number | number[]> = {};
    const perturbed: Record<string, Record<string, number>> = {};
    const controlled: string[] = [];
    for (let seat = 0; seat < seats.count; seat++) {
      const group = view.spec.groups[seats.group[seat]!]!;
      const step = view.groups[seats.group[seat]!]!;
      const row = e * group.agents.length + seats.indexInGroup[seat]!;
      const name = seats.names[seat]!;
      if (step.acting[row] === 0) continue;
      const D = actionSize(group.action);
      const read = (from: Int32Array | Float32Array) =>
        group.action.kind === "discrete" ? from[row]! : Array.from(from.subarray(row * D, (row + 1) * D));
      actions[name] = read(step.action);
      if (step.controlled[row] === 1) {
        controlled.push(name);
        intended[name] = read(step.own.action);
      }
      if (step.perturbed[row] === 1) {
        const changes: Record<string, number> = {};
        for (const feature of group.features) {
          let largest = 0;
          for (let i = 0; i < feature.size; i++) {
            const k = row * group.obsSize + feature.offset + i;
            largest = Math.max(largest, Math.abs(step.seen[k]! - step.obs[k]!));
          }
          if (largest > 0) changes[feature.name] = largest;
        }
        perturbed[name] = changes;
      }
    }
    return {
      frame: view.environment.frame?.(e) ?? BLANK,
      actions,
      controlled,
      ...(controlled.length > 0 ? { intended } : {}),
      perturbed,
    };
  }
}

/** Names of discrete actions by agent, where the environment gives them. */
function actionNames(spec: StepView["spec"]): Pick<Film, "actionNames"> {
  const entries = spec.groups.flatMap((g) =>
    g.actionNames === undefined ? [] : g.agents.map((a) => [a, g.actionNames!] as const),
  );
  return entries.length === 0 ? {} : { actionNames: Object.fromEntries(entries) };
}
