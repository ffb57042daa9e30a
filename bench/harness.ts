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

  private constructor(
    readonly side: Side,
    process: ChildProcessWithoutNullStreams,
  ) {
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  }

  /** @throws Error naming the side if it ends before it is ready */
  static async start(side: Side): Promise<[peer: Peer, ready: Line]> {
    // One core for everybody, where the system can say so.
    const pinned = spawnSync("taskset", ["--version"]).status === 0;
    const child = pinned
      ? spawn("taskset", ["-c", "0", side.command, ...side.args])
      : spawn(side.command, side.args);
    child.stderr.resume();
    child.on("error", () => {});
    const peer = new Peer(side, child);
    return [peer, await peer.#next()];
  }

  async ask(name: string): Promise<Line> {
    this.#process.stdin.write(`${JSON.stringify({ case: name })}\n`);
    return this.#next();
  }

  stop(): void {
    this.#process.stdin.end();
    this.#process.kill();
  }

  async #next(): Promise<Line> {
    const { value, done } = await this.#lines.next();
    if (done)
      throw new Error(
        `${this.side.name}: the process ended without an answer (${this.side.command} ${this.side.args.join(" ")})`,
      );
    return JSON.parse(value) as Line;
  }
}

export interface Result {
  readonly case: string;
  /** per side, in the order asked: one number per round */
  readonly rounds: Readonly<Record<string, readonly number[]>>;
}

/**
 * Ask all sides in turn, round after round.
 * @param names per side: what it calls the case; sides without a name are left out
 * @param read the number to keep of an answer
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
