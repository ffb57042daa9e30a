import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
}
const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

describe("the package's exports", () => {
  test("every folder with an index is one import away", () => {
    const folders = readdirSync("src").filter((folder) => existsSync(`src/${folder}/index.ts`));
    expect(folders.length).toBeGreaterThan(10);
    for (const folder of folders) {
      expect(manifest.exports[`./${folder}`], folder).toEqual({
        types: `./dist/src/${folder}/index.d.ts`,
        default: `./dist/src/${folder}/index.js`,
      });
    }
  });

  test("every export has its source", () => {
    for (const [name, { types, default: code }] of Object.entries(manifest.exports)) {
      const source = code.replace(/^\.\/dist\//, "").replace(/\.js$/, ".ts");
      expect(existsSync(source), `${name} → ${source}`).toBe(true);
      expect(types).toBe(code.replace(/\.js$/, ".d.ts"));
    }
  });

  test("an import of every entry point works from the built package", async () => {
    for (const name of Object.keys(manifest.exports)) {
      const entry: string = `phalanx${name.slice(1)}`;
      const module = (await import(/* @vite-ignore */ entry)) as object;
      expect(Object.keys(module).length, entry).toBeGreaterThan(0);
    }
  });
});
