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
  type Side,
  type Summary,
  summarize,
} from "./harness.js";

interface Row {
  /** our name of the case */
  readonly name: string;
  /** peer → its name of the same case */
  readonly peers: Readonly<Record<string, string>>;
}

interface Suite {
  readonly title: string;
  /** peer → script in bench/peers, and the environment variable that names its Python */
  readonly scripts: Readonly<Record<string, { readonly script: string; readonly python: string }>>;
  readonly unit: "ms" | "steps/s";
  readonly rows: readonly Row[];
  /** whether the time from the start of a process to its first update is measured too */
  readonly firstUpdate?: true;
}

const TORCH = "PHALANX_TORCH_PYTHON";
const JAX = "PHALANX_JAX_PYTHON";
const both = (name: string): Row => ({ name, peers: { torch: name, jax: name } });

const suites: Readonly<Record<string, Suite>> = {
  updates: {
    title: "(a) update steps and inference",
    scripts: {
      torch: { script: "torch_updates.py", python: TORCH },
      jax: { script: "jax_updates.py", python: JAX },
    },
    unit: "ms",
    rows: [
      ...["mlp64-b16", "mlp64-b128", "mlp64-b1024", "mlp64-b4096", "mlp256-b512", "ppo-750x10"].map(both),
      ...["infer-1", "infer-30", "infer-768"].map(both),
    ],
  },
  env: {
    title: "(b) environment steps, 256 copies, random actions",
    scripts: {
      mpe2: { script: "mpe2_steps.py", python: TORCH },
      jaxmarl: { script: "jaxmarl_steps.py", python: JAX },
    },
    unit: "steps/s",
    rows: [
      { name: "simple_spread N=3", peers: { mpe2: "spread-n3", jaxmarl: "spread-n3" } },
      { name: "simple_spread N=30", peers: { mpe2: "spread-n30", jaxmarl: "spread-n30" } },
      { name: "simple_spread N=100", peers: { mpe2: "spread-n100" } },
      { name: "simple_speaker_listener", peers: { mpe2: "speaker-listener" } },
    ],
  },
  train: {
    title: "(c) training, rollout, update and all",
    firstUpdate: true,
    scripts: {
      torch: { script: "torch_mappo.py", python: TORCH },
      "torch lean": { script: "torch_mappo.py", python: TORCH },
      jaxmarl: { script: "jaxmarl_ippo.py", python: JAX },
    },
    unit: "steps/s",
    rows: [
      { name: "mappo", peers: { torch: "mappo", "torch lean": "mappo:lean" } },
      { name: "ippo", peers: { jaxmarl: "ippo" } },
    ],
  },
};

export interface BenchOptions {
  /** measurements per side and case; default 7 */
  readonly rounds?: number;
  /** called with each suite's result as it is there */
  readonly onResult?: (result: SuiteResult) => void;
}

export interface SuiteResult {
  readonly suite: string;
  readonly title: string;
  readonly unit: "ms" | "steps/s";
  readonly rounds: number;
  /** what each side said when it was ready: versions, cases */
  readonly sides: Readonly<Record<string, Line>>;
  /** sides that could not take part, and why */
  readonly missing: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly ours: Summary;
    readonly peers: Readonly<Record<string, Summary & Ratio>>;
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
    throw new UserError(`bench: got "${unknown}", expected ${Object.keys(suites).join(", ")}.`);
  const results: SuiteResult[] = [];
  for (const [key, suite] of Object.entries(suites)) {
    if (names.length > 0 && !names.includes(key)) continue;
    const result = await runSuite(key, suite, rounds);
    results.push(result);
    onResult?.(result);
  }
  return results;
}

/**
 * The command: `bench`, printed.
 * @param name one suite; undefined: all
 */
export async function runBenchmarks(
  name: string | undefined,
  { json, rounds }: { readonly json: boolean; readonly rounds?: number },
): Promise<void> {
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
    const read = (line: Line) => Number(suite.unit === "ms" ? line.per_call_ms : line.steps_per_second);
    const rows = [];
    for (const row of suite.rows) {
      const asked = [
        { peer: peers.get("phalanx")!, side: "phalanx", name: row.name },
        ...Object.entries(row.peers).flatMap(([side, name]) => {
          const peer = peers.get(side);
          return peer === undefined ? [] : [{ peer, side, name }];
        }),
      ];
      const { phalanx: ours = [], ...others } = await interleave(asked, rounds, read);
      rows.push({
        name: row.name,
        ours: summarize(ours, suite.unit),
        peers: Object.fromEntries(
          Object.entries(others).map(([side, theirs]) => [
            side,
            { ...summarize(theirs, suite.unit), ...compare(ours, theirs, suite.unit) },
          ]),
        ),
      });
      if (!suite.firstUpdate) continue;
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

/** A suite's result as Markdown: median (best round), and ratios of medians (their spread). */
export function table(result: SuiteResult): string {
  const peers = Object.keys(result.sides).filter((side) => side !== "phalanx");
  const quoted = ({ median, best }: Summary) => `${show(median)} (${show(best)})`;
  const lines = [
    `## ${result.title}`,
    "",
    `${result.unit}: median (best) of ${result.rounds} interleaved rounds on one core; ratio of medians, above 1 where Phalanx is faster (least and greatest of the rounds).`,
    "",
    `| ${["case", "phalanx", ...peers.flatMap((p) => [p, `ratio to ${p}`])].join(" | ")} |`,
    `|${"---|".repeat(2 + 2 * peers.length)}`,
    ...result.rows.map((row) => {
      const cells = peers.flatMap((p) => {
        const peer = row.peers[p];
        if (peer === undefined) return ["", ""];
        return [
          quoted(peer),
          `**${peer.ratio.toFixed(2)}** (${peer.low.toFixed(2)}–${peer.high.toFixed(2)})`,
        ];
      });
      return `| ${[row.name, quoted(row.ours), ...cells].join(" | ")} |`;
    }),
    "",
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
