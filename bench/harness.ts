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

  private constructor(
    readonly side: Side,
    process: ChildProcessWithoutNullStreams,
  ) {
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
    process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-1000);
    });
    process.on("error", (error) => {
      this.#complaint = error.message;
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

  /** @throws Error naming side and case if there is no answer, or the answer is that it cannot */
  async ask(name: string): Promise<Line> {
    this.#process.stdin.write(`${JSON.stringify({ case: name })}\n`);
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
      const said = this.#complaint.trim().split("\n").pop();
      throw new Error(`${this.side.name}: the process ended without an answer${said ? ` (${said})` : ""}`);
    }
    return JSON.parse(value) as Line;
  }
}

/**
 * Ask all sides in turn, round after round.
 * @param peers each with its own name of the case
 * @param read the number to keep of an answer
 * @returns per side, in the order asked: one number per round
 */
export async function interleave(
  peers: readonly { readonly peer: Pick<Peer, "ask">; readonly side: string; readonly name: string }[],
  rounds: number,
  read: (answer: Line) => number,
): Promise<Readonly<Record<string, readonly number[]>>> {
  const out: Record<string, number[]> = {};
  // The first request prepares a case; it does not count.
  for (const { peer, name } of peers) await peer.ask(name);
  for (let round = 0; round < rounds; round++) {
    for (const { peer, side, name } of peers) {
      const value = read(await peer.ask(name));
      out[side] ??= [];
      out[side].push(value);
    }
  }
  return out;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What is quoted of one side. */
export interface Summary {
  readonly median: number;
  /** the fastest round */
  readonly best: number;
  readonly rounds: readonly number[];
}

/** What is quoted of a comparison; above 1: the first is faster. */
export interface Ratio {
  /** of the medians */
  readonly ratio: number;
  /** least and greatest of the rounds, each side's with the other's of the same round */
  readonly low: number;
  readonly high: number;
}

/** @param unit whether more is faster (steps per second) or slower (milliseconds) */
export function summarize(rounds: readonly number[], unit: "ms" | "steps/s"): Summary {
  return {
    median: median(rounds),
    best: unit === "ms" ? Math.min(...rounds) : Math.max(...rounds),
    rounds,
  };
}

export function compare(ours: readonly number[], theirs: readonly number[], unit: "ms" | "steps/s"): Ratio {
  const faster = (a: number, b: number) => (unit === "ms" ? b / a : a / b);
  const paired = ours.map((x, i) => faster(x, theirs[i]!));
  return {
    ratio: faster(median(ours), median(theirs)),
    low: Math.min(...paired),
    high: Math.max(...paired),
  };
}
