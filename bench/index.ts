/** `phalanx bench [NAME] [--json]`: the suites, our side beside its peers, as tables or JSON. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UserError } from "../src/core/errors.js";
import {
  compare,
  interleave,
  type Line,
  median,
  Peer,
  type Ratio,
  requireSame,
  type Side,
  type Summary,
  summarize,
  type Unit,
} from "./harness.js";
import type { Products } from "./profile.js";
import { runSoak } from "./soak.js";
import { type Suite, suites } from "./suites.js";

export interface BenchOptions {
  /** measurements per side and case; default 7 */
  readonly rounds?: number;
  /** called with each suite's result as it is there */
  readonly onResult?: (result: SuiteResult) => void;
}

export interface SuiteResult {
  readonly suite: string;
  readonly title: string;
  readonly unit: Unit;
  readonly rounds: number;
  /** what each side said when it was ready: versions, cases */
  readonly sides: Readonly<Record<string, Line>>;
  /** sides that could not take part, and why */
  readonly missing: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly ours: Summary;
    readonly peers: Readonly<Record<string, Summary & Ratio>>;
    /** our matrix products, and the time of the calls that they were measured beside */
    readonly products?: Products & { readonly ofMs: number };
  }[];
  /** seconds from the start of a process of its own to its first update, per side and case */
  readonly firstUpdate: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/**
 * Run suites, one after the other.
 * @param names of suites; none: all
 * @throws UserError for an unknown name
 */
export async function bench(names: readonly string[], options: BenchOptions = {}): Promise<SuiteResult[]> {
  const { rounds = 7, onResult } = options;
  const unknown = names.find((name) => suites[name] === undefined);
  if (unknown !== undefined)
    throw new UserError(`bench: got "${unknown}", expected ${Object.keys(suites).join(", ")} or soak.`);
  const results: SuiteResult[] = [];
  for (const [key, suite] of Object.entries(suites)) {
    if (names.length > 0 && !names.includes(key)) continue;
    const result = await runSuite(key, suite, rounds);
    results.push(result);
    onResult?.(result);
  }
  return results;
}

export interface CommandOptions {
  readonly json: boolean;
  /** measurements per side and case; undefined: 7 */
  readonly rounds?: number;
  /** of `soak`; undefined: 10⁶ */
  readonly runs?: number;
}

/**
 * The command: `bench`, printed.
 * @param name one suite, or "soak"; undefined: all suites
 */
export async function runBenchmarks(
  name: string | undefined,
  { json, rounds, runs = 1_000_000 }: CommandOptions,
): Promise<void> {
  if (name === "soak") {
    await runSoak(runs, { json });
    return;
  }
  const results = await bench(name === undefined ? [] : [name], {
    ...(rounds === undefined ? {} : { rounds }),
    ...(json ? {} : { onResult: (result) => console.log(table(result)) }),
  });
  if (json) console.log(JSON.stringify(results, null, 1));
}

const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));

async function runSuite(key: string, suite: Suite, rounds: number): Promise<SuiteResult> {
  const sides: Side[] = [{ name: "phalanx", command: process.execPath, args: [WORKER, key] }];
  const missing: string[] = [];
  for (const [name, { script, python }] of Object.entries(suite.scripts)) {
    const command = process.env[python];
    const file = fileURLToPath(new URL(`../../bench/peers/${script}`, import.meta.url));
    if (command === undefined) {
      missing.push(`${name}: set ${python} to a Python that has the packages of bench/peers`);
    } else if (!existsSync(command)) {
      missing.push(`${name}: ${python} is "${command}", which does not exist`);
    } else sides.push({ name, command, args: [file] });
  }
  const peers = new Map<string, Peer>();
  const ready: Record<string, Line> = {};
  const firstUpdate: Record<string, Record<string, number>> = {};
  try {
    for (const side of sides) {
      try {
        const [peer, line] = await Peer.start(side);
        peers.set(side.name, peer);
        ready[side.name] = line;
      } catch (error) {
        // Without a peer our own numbers are still worth having; without us there is nothing to say.
        if (side.name === "phalanx") throw error;
        missing.push((error as Error).message);
      }
    }
    const rows = [];
    for (const row of suite.rows) {
      const asked = [
        { peer: peers.get("phalanx")!, side: "phalanx", name: row.name },
        ...Object.entries(row.peers).flatMap(([side, name]) => {
          const peer = peers.get(side);
          return peer === undefined ? [] : [{ peer, side, name }];
        }),
      ];
      const { phalanx, ...others } = await interleave(asked, rounds, suite.unit);
      const ours = phalanx!;
      for (const [side, theirs] of Object.entries(others)) {
        requireSame(row.name, ours.check, side, theirs.check);
      }
      rows.push({
        name: row.name,
        ours: summarize(ours, suite.unit),
        peers: Object.fromEntries(
          Object.entries(others).map(([side, theirs]) => [
            side,
            { ...summarize(theirs, suite.unit), ...compare(ours, theirs, suite.unit) },
          ]),
        ),
        ...(suite.products ? { products: await ourProducts(peers.get("phalanx")!, row.name) } : {}),
      });
      if (!row.firstUpdate) continue;
      const first: Record<string, number> = { phalanx: await ourFirstUpdate(row.name, rounds) };
      for (const side of Object.keys(row.peers)) {
        const seconds = ready[side]?.first_update_seconds;
        if (typeof seconds === "number") first[side] = seconds;
      }
      firstUpdate[row.name] = first;
    }
    return {
      suite: key,
      title: suite.title,
      unit: suite.unit,
      rounds,
      sides: ready,
      missing,
      rows,
      firstUpdate,
    };
  } finally {
    for (const peer of peers.values()) peer.stop();
  }
}

async function ourProducts(us: Peer, name: string): Promise<Products & { ofMs: number }> {
  const { products, per_call_ms } = await us.ask(name, { profile: true });
  return { ...(products as Products), ofMs: Number(per_call_ms) };
}

/** Median of fresh processes; the peers, which take longer, are started once. */
async function ourFirstUpdate(name: string, rounds: number): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const [peer, line] = await Peer.start({
      name: "phalanx",
      command: process.execPath,
      args: [WORKER, "train", name],
    });
    peer.stop();
    seconds.push(Number(line.first_update_seconds));
  }
  return median(seconds);
}

function show(x: number): string {
  return x >= 1000 ? Math.round(x).toLocaleString("en") : x.toPrecision(3);
}

/** A suite's result as Markdown: median (best round), ratios of medians (their spread), and what limits us. */
export function table(result: SuiteResult): string {
  const peers = Object.keys(result.sides).filter((side) => side !== "phalanx");
  const peak = Number(result.sides.phalanx?.peak_gflops);
  const quoted = ({ median, best }: Summary) => `${show(median)} (${show(best)})`;
  const columns = [
    "case",
    "phalanx",
    ...(Number.isNaN(peak) ? [] : ["in products", "GFLOP/s there"]),
    ...peers.flatMap((p) => [p, `ratio to ${p}`, "by processor time"]),
  ];
  const lines = [
    `## ${result.title}`,
    "",
    `${result.unit}: median (best) of ${result.rounds} interleaved rounds on one core; ratio of medians, above 1 where Phalanx is faster (least and greatest of the rounds).`,
    "",
    `| ${columns.join(" | ")} |`,
    `|${"---|".repeat(columns.length)}`,
    ...result.rows.map((row) => {
      const cells = peers.flatMap((p) => {
        const peer = row.peers[p];
        if (peer === undefined) return ["", "", ""];
        return [
          quoted(peer),
          `**${peer.ratio.toFixed(2)}** (${peer.low.toFixed(2)}–${peer.high.toFixed(2)})`,
          peer.cpuRatio.toFixed(2),
        ];
      });
      const { products } = row;
      const limits = Number.isNaN(peak)
        ? []
        : products === undefined
          ? ["", ""]
          : [
              `${Math.round((100 * products.ms) / products.ofMs)} %`,
              show((1000 * products.gflop) / products.ms),
            ];
      return `| ${[row.name, quoted(row.ours), ...limits, ...cells].join(" | ")} |`;
    }),
    "",
    ...(Number.isNaN(peak)
      ? []
      : [
          `In products: the share of our time that the engine's profile finds inside matrix products, and their speed. The fastest product of square matrices (256 to 1024) on this core: ${show(peak)} GFLOP/s.`,
        ]),
    ...Object.entries(result.firstUpdate).map(([name, first]) => {
      const each = Object.entries(first).map(([side, seconds]) => `${side} ${seconds.toFixed(2)} s`);
      return `First update of ${name} after the start of a process: ${each.join(", ")}.`;
    }),
    ...Object.entries(result.sides).map(([side, line]) => {
      const more = ["node", "jax"].flatMap((key) =>
        line[key] === undefined ? [] : [`${key} ${String(line[key])}`],
      );
      return `${side}: ${[String(line.version), ...more].join(", ")}.`;
    }),
    ...result.missing.map((m) => `Missing: ${m}.`),
    "",
  ];
  return lines.join("\n");
}
