/**
 * Fair timing: every side is a process of its own on the same core, and they are asked in turn, us, peer, us, peer, …,
 * so that all get the same share of the machine's moods. Medians and ratios are quoted, never single times.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";

/** One line of the protocol of bench/peers/README.md. */
export type Line = Readonly<Record<string, unknown>>;

export interface Side {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** A running side: ask it for a case, wait for the answer. */
export class Peer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  /** the end of what it wrote to standard error: why it failed, if it does */
  #complaint = "";
  /** all that it wrote has arrived */
  readonly #closed: Promise<unknown>;

  private constructor(
    readonly side: Side,
    process: ChildProcessWithoutNullStreams,
  ) {
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
    process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-1000);
    });
    this.#closed = new Promise((resolve) => {
      process.on("close", resolve);
      process.on("error", (error) => {
        this.#complaint = error.message;
        resolve(error);
      });
    });
    // Writing to a process that has ended: its end is reported by `ask`.
    process.stdin.on("error", () => {});
  }

  /** @throws Error naming the side if it ends before it is ready */
  static async start(side: Side): Promise<[peer: Peer, ready: Line]> {
    // One core for everybody, where the system can say so.
    const pinned = spawnSync("taskset", ["--version"]).status === 0;
    const child = pinned
      ? spawn("taskset", ["-c", "0", side.command, ...side.args])
      : spawn(side.command, side.args);
    const peer = new Peer(side, child);
    return [peer, await peer.#next()];
  }

  /**
   * @param more further fields of the request
   * @throws Error naming side and case if there is no answer, or the answer is that it cannot
   */
  async ask(name: string, more: Line = {}): Promise<Line> {
    this.#process.stdin.write(`${JSON.stringify({ case: name, ...more })}\n`);
    const answer = await this.#next();
    if (answer.error !== undefined) throw new Error(`${this.side.name}, case "${name}": ${answer.error}`);
    return answer;
  }

  stop(): void {
    this.#process.stdin.end();
    this.#process.kill();
  }

  async #next(): Promise<Line> {
    const { value, done } = await this.#lines.next();
    if (done) {
      await this.#closed;
      const said = this.#complaint.trim().split("\n").pop();
      throw new Error(`${this.side.name}: the process ended without an answer${said ? ` (${said})` : ""}`);
    }
    return JSON.parse(value) as Line;
  }
}

/** What one side answered: a number per round by the wall clock, and by the processor's time. */
export interface Rounds {
  readonly wall: readonly number[];
  readonly cpu: readonly number[];
  /** numbers that all sides must come to; [] where there are none */
  readonly check: readonly number[];
}

/**
 * Ask all sides in turn, round after round.
 * @param peers each with its own name of the case
 * @returns per side, in the order asked
 */
export async function interleave(
  peers: readonly { readonly peer: Pick<Peer, "ask">; readonly side: string; readonly name: string }[],
  rounds: number,
  unit: Unit,
): Promise<Readonly<Record<string, Rounds>>> {
  const out: Record<string, { wall: number[]; cpu: number[]; check: readonly number[] }> = {};
  // The first request prepares a case; it does not count.
  for (const { peer, side, name } of peers) {
    const { check = [] } = (await peer.ask(name)) as { check?: readonly number[] };
    out[side] = { wall: [], cpu: [], check };
  }
  for (let round = 0; round < rounds; round++) {
    for (const { peer, side, name } of peers) {
      const answer = (await peer.ask(name)) as Record<string, number>;
      const { seconds = NaN, cpu_seconds = NaN } = answer;
      const wall = unit === "ms" ? answer.per_call_ms! : answer.steps_per_second!;
      out[side]!.wall.push(wall);
      out[side]!.cpu.push(unit === "ms" ? (wall * cpu_seconds) / seconds : (wall * seconds) / cpu_seconds);
    }
  }
  return out;
}

/** The numbers come from the same inputs in float32, summed in other orders. */
const TOLERANCE = 1e-3;

/**
 * Two sides that do not come to the same numbers do not do the same work.
 * @throws Error naming case and peer
 */
export function requireSame(
  name: string,
  ours: readonly number[],
  peer: string,
  theirs: readonly number[],
): void {
  if (ours.length === 0 || theirs.length === 0) return;
  const same = (a: number, b: number) =>
    Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b), 1e-3);
  if (ours.length === theirs.length && ours.every((x, i) => same(x, theirs[i]!))) return;
  throw new Error(`case "${name}": we come to ${ours.join(", ")}, ${peer} to ${theirs.join(", ")}`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export type Unit = "ms" | "steps/s";

/** What is quoted of one side. */
export interface Summary {
  readonly median: number;
  /** the fastest round */
  readonly best: number;
  readonly rounds: readonly number[];
  /** median by the processor's time, which other work on the machine disturbs less */
  readonly cpu: number;
}

/** What is quoted of a comparison; above 1: the first is faster. */
export interface Ratio {
  /** of the medians */
  readonly ratio: number;
  /** least and greatest of the rounds, each side's with the other's of the same round */
  readonly low: number;
  readonly high: number;
  /** of the medians by the processor's time */
  readonly cpuRatio: number;
}

/** @param unit whether more is faster (steps per second) or slower (milliseconds) */
export function summarize({ wall, cpu }: Rounds, unit: Unit): Summary {
  return {
    median: median(wall),
    best: unit === "ms" ? Math.min(...wall) : Math.max(...wall),
    rounds: wall,
    cpu: median(cpu),
  };
}

export function compare(ours: Rounds, theirs: Rounds, unit: Unit): Ratio {
  const faster = (a: number, b: number) => (unit === "ms" ? b / a : a / b);
  const paired = ours.wall.map((x, i) => faster(x, theirs.wall[i]!));
  return {
    ratio: faster(median(ours.wall), median(theirs.wall)),
    low: Math.min(...paired),
    high: Math.max(...paired),
    cpuRatio: faster(median(ours.cpu), median(theirs.cpu)),
  };
}
