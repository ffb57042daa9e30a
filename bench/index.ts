/** `phalanx bench [NAME] [--json]`: the suites, our side beside its peers, as tables or JSON. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { interleave, type Line, median, Peer, type Side } from "./harness.js";

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
    scripts: {
      torch: { script: "torch_mappo.py", python: TORCH },
      jaxmarl: { script: "jaxmarl_ippo.py", python: JAX },
    },
    unit: "steps/s",
    rows: [
      { name: "mappo", peers: { torch: "mappo" } },
      { name: "ippo", peers: { jaxmarl: "ippo" } },
    ],
  },
};

export interface BenchOptions {
  readonly json: boolean;
  /** measurements per side and case; default 7 */
  readonly rounds?: number;
}

/** @param name one suite; undefined: all */
export async function runBenchmarks(
  name: string | undefined,
  { json, rounds = 7 }: BenchOptions,
): Promise<void> {
  if (name !== undefined && suites[name] === undefined) {
    throw new Error(`bench: got "${name}", expected ${Object.keys(suites).join(", ")}`);
  }
  const chosen = Object.entries(suites).filter(([key]) => name === undefined || key === name);
  const all = [];
  for (const [key, suite] of chosen) {
    const result = await runSuite(key, suite, rounds);
    all.push(result);
    if (!json) console.log(table(result));
  }
  if (json) console.log(JSON.stringify(all, null, 1));
}

interface SuiteResult {
  readonly suite: string;
  readonly title: string;
  readonly unit: string;
  readonly rounds: number;
  /** what each side said when it was ready */
  readonly sides: Readonly<Record<string, Line>>;
  /** sides that could not take part, and why */
  readonly missing: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly ours: number;
    readonly peers: Readonly<
      Record<
        string,
        { readonly median: number; readonly ratio: number; readonly low: number; readonly high: number }
      >
    >;
  }[];
}

async function runSuite(key: string, suite: Suite, rounds: number): Promise<SuiteResult> {
  const worker = fileURLToPath(new URL("./worker.js", import.meta.url));
  const sides: Side[] = [{ name: "phalanx", command: process.execPath, args: [worker, key] }];
  const missing: string[] = [];
  for (const [name, { script, python }] of Object.entries(suite.scripts)) {
    const command = process.env[python];
    const file = fileURLToPath(new URL(`../../bench/peers/${script}`, import.meta.url));
    if (command === undefined || !existsSync(command)) {
      missing.push(`${name}: set ${python} to a Python with bench/peers/requirements installed`);
    } else sides.push({ name, command, args: [file] });
  }
  const peers = new Map<string, Peer>();
  const ready: Record<string, Line> = {};
  try {
    for (const side of sides) {
      const [peer, line] = await Peer.start(side);
      peers.set(side.name, peer);
      ready[side.name] = line;
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
      const values = await interleave(asked, rounds, read);
      const ours = values.phalanx!;
      const compared = Object.entries(values).filter(([side]) => side !== "phalanx");
      rows.push({
        name: row.name,
        ours: median(ours),
        peers: Object.fromEntries(
          compared.map(([side, theirs]) => {
            // Above 1: we are faster, whichever way the unit counts.
            const ratio = (a: number, b: number) => (suite.unit === "ms" ? b / a : a / b);
            const paired = ours.map((v, i) => ratio(v, theirs[i]!));
            return [
              side,
              {
                median: median(theirs),
                ratio: ratio(median(ours), median(theirs)),
                low: Math.min(...paired),
                high: Math.max(...paired),
              },
            ];
          }),
        ),
      });
    }
    return { suite: key, title: suite.title, unit: suite.unit, rounds, sides: ready, missing, rows };
  } finally {
    for (const peer of peers.values()) peer.stop();
  }
}

function table(result: SuiteResult): string {
  const peers = Object.keys(result.sides).filter((side) => side !== "phalanx");
  const show = (x: number | undefined) =>
    x === undefined ? "" : x >= 1000 ? Math.round(x).toLocaleString("en") : x.toPrecision(3);
  const lines = [
    `## ${result.title}`,
    "",
    `${result.unit}; medians of ${result.rounds} interleaved rounds on one core; ratio above 1: Phalanx is faster (least and greatest of the rounds).`,
    "",
    `| ${["case", "phalanx", ...peers.flatMap((p) => [p, `ratio to ${p}`])].join(" | ")} |`,
    `|${"---|".repeat(2 + 2 * peers.length)}`,
    ...result.rows.map((row) => {
      const cells = peers.flatMap((p) => {
        const peer = row.peers[p];
        if (peer === undefined) return ["", ""];
        const range = `${peer.low.toFixed(2)}–${peer.high.toFixed(2)}`;
        return [show(peer.median), `**${peer.ratio.toFixed(2)}** (${range})`];
      });
      return `| ${[row.name, show(row.ours), ...cells].join(" | ")} |`;
    }),
    "",
  ];
  const first = Object.entries(result.sides).filter(([, line]) => line.first_update_seconds !== undefined);
  if (first.length > 0) {
    lines.push(
      `First update after the start of the process: ${first.map(([side, line]) => `${side} ${Number(line.first_update_seconds).toFixed(2)} s`).join(", ")}.`,
      "",
    );
  }
  lines.push(
    ...Object.entries(result.sides).map(([side, line]) => `${side}: ${String(line.version)}`),
    ...result.missing.map((m) => `Missing: ${m}.`),
    "",
  );
  return lines.join("\n");
}
