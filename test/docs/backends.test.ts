import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const page = readFileSync("docs/backends.md", "utf8");

test.each([
  ["nodeBackend", "src/runtime/node.ts", "NodeBackendOptions"],
  ["webBackend", "src/runtime/web.ts", "WebBackendOptions"],
])("the engines' page names every option of %s", (name, file, type) => {
  const [, body] = new RegExp(`interface ${type} \\{\\n([\\s\\S]*?)\\n\\}`).exec(readFileSync(file, "utf8"))!;
  const options = [...body!.matchAll(/^ {2}readonly (\w+)\?:/gm)].map((match) => match[1]!);
  expect(options.length).toBeGreaterThan(2);
  const table = page.slice(page.indexOf(`| option of \`${name}\``)).split("\n\n")[0]!;
  const shown = [...table.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!);
  expect(shown).toEqual(options);
});

test("the engines' page, the sources and the package agree on versions", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, Record<string, string>>;
  const web = manifest.peerDependencies!["onnxruntime-web"]!;
  const native = manifest.dependencies!["onnxruntime-node"]!;
  expect(manifest.devDependencies!["onnxruntime-web"]).toBe(web);
  expect(web).toBe(native);
  for (const file of ["src/runtime/node.ts", "src/runtime/web.ts"]) {
    expect(readFileSync(file, "utf8")).toContain(`const VERSION = "${native}";`);
  }
  const versions = new Set(page.match(/\b1\.\d+\.\d+\b/g));
  expect([...versions]).toEqual([native]);
});
