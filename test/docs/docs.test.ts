import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { attacks } from "../../src/attacks/registry.js";
import { defenses } from "../../src/defenses/registry.js";
import { toolbox } from "../../src/experiment/builtin.js";
import { parseExperiment } from "../../src/experiment/load.js";
import { learners } from "../../src/learners/registry.js";

const read = (file: string) => readFileSync(file, "utf8");

/** The table rows of a page, or of one of its sections: first cell → the line. */
function rows(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^\| `(\w+)` \|.*$/gm)].map((match) => [match[1]!, match[0]]));
}

/** The part of a page under "## name". */
function section(page: string, name: string): string {
  const start = page.indexOf(`\n## ${name}\n`);
  expect(start, `a section "${name}"`).toBeGreaterThan(-1);
  const end = page.indexOf("\n## ", start + 1);
  return page.slice(start, end < 0 ? undefined : end);
}

/** Options with their defaults, from the schema itself. */
function optionsOf(schema: z.ZodType): [name: string, value: unknown][] {
  return Object.entries(schema.parse({}) as Record<string, unknown>);
}

function expectTable(text: string, schema: z.ZodType, place: string): void {
  const table = rows(text);
  const options = optionsOf(schema);
  for (const [name, value] of options) {
    const shown = Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
    expect(table.get(name), `${place}: option ${name}`).toBeDefined();
    const cell = table.get(name)!.split("|")[2]!.trim();
    expect(typeof value === "number" ? Number(cell) : cell, `${place}: default of ${name}`).toEqual(
      typeof value === "number" ? value : shown,
    );
  }
  expect([...table.keys()].sort(), `${place}: no option that does not exist`).toEqual(
    options.map(([n]) => n).sort(),
  );
}

describe("the pages", () => {
  test.each(learners.names())("of learner %s names every option with its default", (name) => {
    expectTable(section(read(`docs/learners/${name}.md`), "Options"), learners.get(name).options, name);
  });

  test.each(attacks.names())("of attack %s names every option with its default", (name) => {
    const text = section(read("docs/attacks.md"), name);
    if (name === "best-response") expect(text).toContain("(learners/ppo.md)");
    else expectTable(text, attacks.get(name).options, name);
  });

  test.each(defenses.names())("of defense %s names every option with its default", (name) => {
    expectTable(section(read("docs/defenses.md"), name), defenses.get(name).options, name);
  });

  test("link only to files that exist", () => {
    const pages = ["README.md", "CONTRIBUTING.md"];
    for (const entry of readdirSync("docs", { recursive: true }) as string[]) {
      if (entry.endsWith(".md")) pages.push(path.join("docs", entry));
    }
    for (const page of pages) {
      for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
        const file = path.join(path.dirname(page), target!);
        expect(existsSync(file), `${page} → ${target}`).toBe(true);
      }
    }
  });

  test("name only source and test files that exist", () => {
    for (const page of [
      "README.md",
      "CONTRIBUTING.md",
      "docs/house.md",
      "docs/equations.md",
      "docs/attacks.md",
      "docs/threats.md",
    ]) {
      for (const [, file] of read(page).matchAll(/`((?:src|test|experiments|docs)\/[\w./-]+)`/g)) {
        if (!file!.includes("NAME")) expect(existsSync(file!), `${page}: ${file}`).toBe(true);
      }
    }
  });
});

describe("the README", () => {
  const blocks = [...read("README.md").matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, kind, text]) => ({
    kind,
    text: text!,
  }));

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
    expect(tested).toContain(squeeze(`const runtime${body}`.trim()));
  });
});
