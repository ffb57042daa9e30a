import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { attacks } from "../../src/attacks/registry.js";
import { attackCommand } from "../../src/cli/attack.js";
import { benchCommand } from "../../src/cli/bench.js";
import { envCommand } from "../../src/cli/env.js";
import { evaluateCommand } from "../../src/cli/evaluate.js";
import { inspectCommand } from "../../src/cli/inspect.js";
import { reportCommand } from "../../src/cli/report.js";
import { runCommand } from "../../src/cli/run.js";
import { defenses } from "../../src/defenses/registry.js";
import { createEnvironment } from "../../src/envs/index.js";
import { environments } from "../../src/envs/registry.js";
import { toolbox } from "../../src/experiment/builtin.js";
import { parseExperiment } from "../../src/experiment/load.js";
import {
  adversarySchema,
  comparisonSchema,
  evaluationSchema,
  experimentSchema,
  reportSchema,
  teamSchema,
  trainingSchema,
} from "../../src/experiment/schema.js";
import { ppoOptions } from "../../src/learners/index.js";
import { REPORTS } from "../../src/learners/ppo-graph.js";
import { learners } from "../../src/learners/registry.js";
import { importers } from "../../src/onnx/importers/index.js";
import { readModel } from "../../src/onnx/index.js";
import { importSupport, SUPPORTED_OPSETS } from "../../src/onnx/support.js";
import { exportPolicies, policyFileSchema } from "../../src/policy/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { threatSchema } from "../../src/threats/index.js";

const read = (file: string) => readFileSync(file, "utf8");

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...(readdirSync("docs", { recursive: true }) as string[])
    .filter((entry) => entry.endsWith(".md"))
    .map((entry) => path.join("docs", entry)),
];

/** The rows of the tables in a text: `name` in the first cell → the second cell. */
function rows(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^\| `([\w.]+)` \| ([^|]*) \|/gm)].map((match) => [match[1]!, match[2]!.trim()]),
  );
}

/** The part of a page under "## name". */
function section(page: string, name: string): string {
  const start = page.indexOf(`\n## ${name}\n`);
  expect(start, `a section "${name}"`).toBeGreaterThan(-1);
  const end = page.indexOf("\n## ", start + 1);
  return page.slice(start, end < 0 ? undefined : end);
}

type Shape = Readonly<Record<string, z.ZodType>>;

/** Keys of an object schema with their defaults, from the schema itself; undefined where there is none. */
function defaultsOf(schema: unknown): Map<string, unknown> {
  const { shape } = schema as { readonly shape: Shape };
  return new Map(Object.entries(shape).map(([key, field]) => [key, field.safeParse(undefined).data]));
}

/** Every key once, no other, and each default as it is. */
function expectTable(text: string, schema: unknown, place: string): void {
  const table = rows(text);
  const defaults = defaultsOf(schema);
  for (const [name, value] of defaults) {
    const cell = table.get(name);
    expect(cell, `${place}: ${name}`).toBeDefined();
    if (value === undefined) continue;
    if (typeof value === "number") expect(Number(cell), `${place}: default of ${name}`).toBe(value);
    else {
      const shown =
        typeof value === "string" && value !== "" ? value : JSON.stringify(value).replaceAll(",", ", ");
      expect(cell, `${place}: default of ${name}`).toBe(shown);
    }
  }
  expect([...table.keys()].sort(), `${place}: nothing that does not exist`).toEqual(
    [...defaults.keys()].sort(),
  );
}

function expectOptions(page: string, schema: unknown, place: string): void {
  const text = section(page, "Options");
  if (defaultsOf(schema).size === 0) expect(text, place).toContain("None.");
  expectTable(text, schema, place);
}

describe("the page", () => {
  test.each(learners.names())("of learner %s names every option with its default", (name) => {
    expectOptions(read(`docs/learners/${name}.md`), learners.get(name).options, name);
  });

  test("of ppo names every metric", () => {
    const text = section(read("docs/learners/ppo.md"), "Metrics");
    expect([...rows(text).keys()].sort()).toEqual(["envSteps", "iteration", "return", ...REPORTS].sort());
  });

  test.each(attacks.names())(
    "of attack %s names every option with its default, its channels and its file",
    (name) => {
      const page = read(`docs/attacks/${name}.md`);
      const { options, channels } = attacks.get(name);
      if (options === ppoOptions) expect(section(page, "Options")).toContain("(../learners/ppo.md)");
      else expectOptions(page, options, name);
      expect(/^\| channels \| ([a-z, ]+)/m.exec(page)?.[1]?.trim().split(", ").sort()).toEqual(
        [...channels].sort(),
      );
      expect(page).toContain(`src/attacks/${name}.ts`);
    },
  );

  test.each(defenses.names())(
    "of defense %s names every option with its default, its channels and its file",
    (name) => {
      const page = read(`docs/defenses/${name}.md`);
      const { options, channels } = defenses.get(name);
      expectOptions(page, options, name);
      const shown = /^\| channels \| ([a-z, ]+)/m.exec(page)?.[1]?.trim();
      expect(shown).toContain(channels.length === 0 ? "takes no threat" : channels.join(", "));
      expect(page).toContain(`src/defenses/${name}.ts`);
    },
  );

  test.each(threatSchema.options)(
    "of threats names every field of its channel with its default",
    (schema) => {
      const { channel, ...shape } = schema.shape;
      expectTable(section(read("docs/threats.md"), channel.value), { shape }, channel.value);
    },
  );

  test.each([
    ["The top level", experimentSchema],
    ["training", trainingSchema],
    ["teams.NAME", teamSchema],
    ["teams.NAME.policies[]", policyFileSchema],
    ["adversaries.NAME", adversarySchema],
    ["evaluation", evaluationSchema],
    ["report", reportSchema],
    ["report.comparisons", comparisonSchema],
  ] as const)("of the experiment file names every key with its default: %s", (name, schema) => {
    expectTable(section(read("docs/experiment-file.md"), name), schema, name);
  });

  test("of policy files names inputs, outputs and metadata", async () => {
    const page = read("docs/policy-files.md");
    const runtime = new Runtime(nodeBackend());
    const training = await defenses.get("plain").start(
      {
        runtime,
        createEnvironment: (copies) => createEnvironment("mpe/simple_spread", {}, { copies }),
        seed: 0,
        steps: 1,
        learner: { name: "ppo", options: ppoOptions.parse({ copies: 1, rolloutSteps: 1 }) },
        threat: null,
        ignore: {},
      },
      {},
    );
    // What run-node.ts adds.
    const ofTheRun = { phalanxRun: "key", seed: "0", environmentParameters: "{}" };
    const [file] = exportPolicies(runtime, training.team(), ofTheRun);
    training.close();
    const model = readModel(file!.bytes, "policy.onnx");
    expect([...rows(section(page, "Metadata")).keys()].sort()).toEqual(Object.keys(model.metadata).sort());
    const inputs = rows(section(page, "Inputs"));
    for (const { name } of model.inputs) expect(inputs.has(name), name).toBe(true);
    for (const { name } of model.outputs) expect(section(page, "Outputs")).toContain(`\`${name}\``);
  });
});

describe("the page of foreign policies", () => {
  const page = read("docs/foreign-policies.md");
  const groups = [...section(page, "Operators").matchAll(/^\| ([a-z ]+) \| (.*) \|$/gm)].map(
    ([, group, cell]) => [group!, [...cell!.matchAll(/`(\w+)`/g)].map((match) => match[1]!)] as const,
  );

  test("lists every operator that can be imported, once", () => {
    expect(groups.flatMap(([, names]) => names).sort()).toEqual(Object.keys(importers).sort());
  });

  test("says which of them have no gradient", () => {
    const without = Object.keys(importers).filter(
      (opType) => importSupport({ domain: "", opType }) === "no gradient",
    );
    expect(groups.find(([group]) => group === "without gradient")![1].toSorted()).toEqual(without.sort());
  });

  test("says which operator sets", () => {
    const { oldest, newest } = SUPPORTED_OPSETS;
    expect(section(page, "Operators")).toContain(`Operator sets ${oldest} to ${newest}.`);
    expect(section(page, "What is refused")).toContain(`operator sets before ${oldest} and after ${newest}`);
  });
});

describe("the page of environments", () => {
  const page = read("docs/environments/README.md");

  test("names every option of play with its default", () => {
    const play = envCommand().commands.find((command) => command.name() === "play")!;
    const table = new Map(
      [...section(page, "What it looks like").matchAll(/^\| `(--\w+)` \|([^|]*)\|/gm)].map(
        ([, option, cell]) => [option!, cell!.trim()],
      ),
    );
    expect([...table.keys()].sort()).toEqual(play.options.map((option) => option.long!).sort());
    for (const { long, defaultValue } of play.options) {
      if (defaultValue === undefined || Array.isArray(defaultValue)) continue;
      expect(table.get(long!), long!).toBe(String(defaultValue));
    }
  });

  test("lists every scripted policy", () => {
    const rows = [...section(page, "Scripted policies").matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)];
    const expected = [...environments.entries()].flatMap(([id, { scripts = {} }]) =>
      Object.keys(scripts).length === 0
        ? []
        : [
            `${id}: ${Object.keys(scripts)
              .map((name) => `\`${name}\``)
              .join(", ")}`,
          ],
    );
    expect(rows.map(([, id, cell]) => `${id}: ${cell}`).sort()).toEqual(expected.sort());
  });
});

describe("pages", () => {
  test("link only to files that exist", () => {
    for (const page of pages) {
      for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
        const file = path.join(path.dirname(page), target!);
        expect(existsSync(file), `${page} → ${target}`).toBe(true);
      }
    }
  });

  test("name only files that exist, and functions that are in them", () => {
    for (const page of pages) {
      const text = read(page);
      for (const [, file] of text.matchAll(/`((?:src|test|experiments|docs|bench)\/[\w./-]+)`/g)) {
        if (!file!.includes("NAME")) expect(existsSync(file!), `${page}: ${file}`).toBe(true);
      }
      for (const [, file, name] of text.matchAll(/`(src\/[\w./-]+\.ts)`,\s+`(\w+)`/g)) {
        expect(read(file!), `${page}: ${file} has ${name}`).toMatch(new RegExp(`\\b${name}\\b`));
      }
    }
  });

  test("quote only numbers that the results have", () => {
    const results = read("docs/results.md");
    const known = new Set(results.match(/[−+]?\d+\.\d+/g));
    for (const page of pages) {
      const text = read(page);
      if (!text.includes("\n## Measured\n")) continue;
      for (const [number] of section(text, "Measured").matchAll(/[−+]\d+\.\d+/g)) {
        expect(known.has(number), `${page}: ${number} is in docs/results.md`).toBe(true);
      }
    }
  });

  test("name only commands and options that there are", () => {
    const commands = [
      runCommand(),
      attackCommand(),
      evaluateCommand(),
      reportCommand(),
      envCommand(),
      inspectCommand(),
      benchCommand(),
    ];
    const known = commands
      .flatMap((command) => [command, ...command.commands])
      .flatMap((command) => command.options.map((option) => option.long));
    for (const page of pages) {
      const code = [...read(page).matchAll(/`phalanx (\w+)([^`]*)`|^phalanx (\w+)(.*)$/gm)];
      for (const [, name, rest, lineName, lineRest] of code) {
        const command = commands.find((c) => c.name() === (name ?? lineName));
        expect(command, `${page}: phalanx ${name ?? lineName}`).toBeDefined();
        for (const [option] of (rest ?? lineRest ?? "").matchAll(/--\w+/g)) {
          expect(known, `${page}: ${option} of phalanx ${command!.name()}`).toContain(option);
        }
      }
    }
  });

  test("are all reached from the README, over one page at most", () => {
    const linked = (page: string) =>
      [...read(page).matchAll(/\]\((?!https?:)([^)#]+\.md)(?:#[^)]*)?\)/g)].map(([, target]) =>
        path.join(path.dirname(page), target!),
      );
    const first = linked("README.md");
    const reached = new Set(["README.md", ...first, ...first.flatMap(linked)]);
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
  });

  test("hold experiments that are valid", async () => {
    // Whole experiments only; parts of files are shown without a name.
    for (const page of pages) {
      for (const [, text] of read(page).matchAll(/```yaml\n(name: [\s\S]*?)```/g)) {
        const experiment = await parseExperiment(page, text!, [], toolbox.registries);
        expect(experiment.teams.length, page).toBeGreaterThan(0);
      }
    }
  });
});

describe("the README", () => {
  const readme = read("README.md");
  const blocks = [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, kind, text]) => ({
    kind,
    text: text!,
  }));

  test("lists every learner, attack, defense and environment", () => {
    const table = section(readme, "What is there");
    for (const name of [
      ...learners.names(),
      ...attacks.names(),
      ...defenses.names(),
      ...environments.names(),
    ]) {
      expect(table, name).toContain(`[\`${name}\`]`);
    }
  });

  test("holds an experiment file of ten lines that is valid", async () => {
    const { text } = blocks.find((b) => b.kind === "yaml")!;
    expect(text.trim().split("\n").length).toBeLessThanOrEqual(10);
    const experiment = await parseExperiment("README.md", text, [], toolbox.registries);
    expect(experiment.teams.map((t) => t.name)).toEqual(["plain", "hardened"]);
  });

  test("holds the program that library-example.test.ts runs, word for word", () => {
    const { text } = blocks.find((b) => b.kind === "ts")!;
    const program = text.replace(/from "phalanx\/([\w/]+)"/g, (_, name: string) =>
      name === "runtime/node" ? 'from "../../src/runtime/node.js"' : `from "../../src/${name}/index.js"`,
    );
    const squeeze = (s: string) =>
      s
        .replace(/\s+/g, " ")
        .replace(/, ([}\])])/g, " $1")
        .replace(/([{([]) /g, "$1")
        .replace(/ ([})\]])/g, "$1");
    const tested = squeeze(read("test/docs/library-example.test.ts"));
    const [imports, body] = program.split("\n\nconst runtime");
    for (const line of imports!.split("\n")) expect(tested).toContain(squeeze(line));
    // The last line prints what the test checks.
    const [work, ...rest] = `const runtime${body}`.split("console.log(");
    expect(rest.length).toBe(1);
    expect(tested).toContain(squeeze(work!.trim()));
  });
});
