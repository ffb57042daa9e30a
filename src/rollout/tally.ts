/** Counts whole episodes: returns, lengths, the environment's own metrics, and how much of a budget was spent. */
import { type NdArray, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { type Seats, seatsOf } from "./seats.js";
import type { Recorder, StepView } from "./types.js";

export interface TalliedEpisode {
  /** Copy in the larger set of copies that share the seed. */
  readonly copy: number;
  readonly episode: number;
  /** Per seat: sum of rewards. */
  readonly returns: Float64Array;
  readonly length: number;
  /** In the order of `spec.episodeMetrics`. */
  readonly metrics: Float64Array;
  /** Steps × seats in which a hijacker could act, and in which its action was executed. */
  readonly hijackable: number;
  readonly controlled: number;
  /** Observations perturbed, and the largest change of one entry (raw units). */
  readonly perturbed: number;
  readonly largestPerturbation: number;
}

interface Running {
  returns: Float64Array;
  length: number;
  hijackable: number;
  controlled: number;
  perturbed: number;
  largest: number;
}

export class Tally implements Recorder {
  /** Finished episodes in order of ending; the owner may empty the list. */
  episodes: TalliedEpisode[] = [];
  #running: Running[] = [];
  #seats: Seats | null = null;

  onReset(view: StepView): void {
    const seats = seatsOf(view.spec);
    this.#seats = seats;
    this.#running = Array.from({ length: view.environment.copies }, () => fresh(seats.count));
  }

  onAct(view: StepView): void {
    if (this.#seats === null) this.onReset(view);
    const seats = this.#seats!;
    const { hijacker } = view.casting;
    for (let e = 0; e < this.#running.length; e++) {
      const running = this.#running[e]!;
      for (let seat = 0; seat < seats.count; seat++) {
        const step = view.groups[seats.group[seat]!]!;
        const n = view.spec.groups[seats.group[seat]!]!.agents.length;
        const row = e * n + seats.indexInGroup[seat]!;
        if (hijacker[e * seats.count + seat]! >= 0 && step.acting[row] === 1) {
          running.hijackable++;
          running.controlled += step.controlled[row]!;
        }
        if (step.perturbed[row] === 1) {
          running.perturbed++;
          const size = view.spec.groups[seats.group[seat]!]!.obsSize;
          running.largest = Math.max(running.largest, largestChange(step.seen, step.obs, row * size, size));
        }
      }
    }
  }

  onOutcome(view: StepView): void {
    const seats = this.#seats!;
    const { environment } = view;
    for (let e = 0; e < this.#running.length; e++) {
      const running = this.#running[e]!;
      running.length++;
      for (let seat = 0; seat < seats.count; seat++) {
        const g = seats.group[seat]!;
        const n = view.spec.groups[g]!.agents.length;
        running.returns[seat]! += environment.groups[g]!.reward[e * n + seats.indexInGroup[seat]!]!;
      }
    }
    const { ended } = environment;
    const M = view.spec.episodeMetrics.length;
    for (let r = 0; r < ended.count; r++) {
      const e = ended.copies[r]!;
      const done = this.#running[e]!;
      this.episodes.push({
        copy: view.firstCopy + e,
        episode: view.episode[e]!,
        returns: done.returns,
        length: done.length,
        metrics: ended.metrics.slice(r * M, (r + 1) * M),
        hijackable: done.hijackable,
        controlled: done.controlled,
        perturbed: done.perturbed,
        largestPerturbation: done.largest,
      });
      this.#running[e] = fresh(seats.count);
    }
  }

  /** The running episodes, as [E, N + 5] numbers; finished ones belong to the owner. */
  saveState(): NdArray {
    const width = (this.#running[0]?.returns.length ?? 0) + 5;
    const data = new Float64Array(this.#running.length * width);
    this.#running.forEach((r, e) => {
      data.set([...r.returns, r.length, r.hijackable, r.controlled, r.perturbed, r.largest], e * width);
    });
    return ndarray("float64", [this.#running.length, width], data);
  }

  /** @throws UserError if the array is not of `saveState`'s form */
  loadState(saved: NdArray | undefined, view: StepView): void {
    this.onReset(view);
    const N = this.#seats!.count;
    const width = N + 5;
    if (
      saved === undefined ||
      saved.dtype !== "float64" ||
      saved.data.length !== this.#running.length * width
    ) {
      throw new UserError(
        `tally state: got ${saved?.data.length ?? 0} numbers, expected ${this.#running.length * width}.`,
      );
    }
    const data = saved.data as Float64Array;
    this.#running = this.#running.map((_, e) => {
      const row = data.subarray(e * width, (e + 1) * width);
      return {
        returns: row.slice(0, N),
        length: row[N]!,
        hijackable: row[N + 1]!,
        controlled: row[N + 2]!,
        perturbed: row[N + 3]!,
        largest: row[N + 4]!,
      };
    });
  }

  /**
   * Mean over the finished episodes of the mean return of the agents, NaN if none has finished; forgets them.
   */
  takeMeanReturn(): number {
    let sum = 0;
    for (const { returns } of this.episodes) sum += meanOf(returns);
    const mean = sum / this.episodes.length;
    this.episodes = [];
    return mean;
  }
}

function fresh(seats: number): Running {
  return {
    returns: new Float64Array(seats),
    length: 0,
    hijackable: 0,
    controlled: 0,
    perturbed: 0,
    largest: 0,
  };
}

/** Arithmetic mean; NaN of nothing. */
export function meanOf(x: Float64Array): number {
  let sum = 0;
  for (const v of x) sum += v;
  return sum / x.length;
}

/** max |a − b| over `size` entries from `offset`. */
function largestChange(a: Float32Array, b: Float32Array, offset: number, size: number): number {
  let largest = 0;
  for (let i = offset; i < offset + size; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}
