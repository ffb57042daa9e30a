import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { dist, ensureBuilt } from "../cli/built.js";

/** A process of its own: the engine looks at the variable once. */

let home: string;
beforeAll(ensureBuilt);
beforeEach(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-home-"));
});
afterEach(() => fs.rmSync(home, { recursive: true }));

/** Files that a process leaves in an empty home when it has run a program. */
function leftBehind(): string[] {
  const module = (name: string) => pathToFileURL(path.join(dist, name)).href;
  const script = `
    import { f32 } from "${module("core/array.js")}";
    import { Runtime } from "${module("runtime/index.js")}";
    import { nodeBackend } from "${module("runtime/node.js")}";
    import { exp } from "${module("tensor/index.js")}";
    const runtime = new Runtime(nodeBackend());
    const y = runtime.program("p", ({ x }) => ({ y: exp(x) })).run({ x: f32([1], [0]) }).y;
    runtime.dispose();
    process.exitCode = y.data[0] === 1 ? 0 : 1;`;
  // Nothing else of the environment: under CI=true, for one, the engine records nothing anyway.
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    env: { PATH: process.env.PATH, HOME: home },
    encoding: "utf8",
  });
  expect(result.stderr).toBe("");
  expect(result.status).toBe(0);
  return (fs.readdirSync(home, { recursive: true }) as string[]).map((file) => path.basename(file));
}

it("the engine records nothing about this machine or its sessions", () => {
  expect(leftBehind()).toEqual([]);
});
