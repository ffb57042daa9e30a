/** Tests that start processes run what users run: the compiled program. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
export const dist = path.join(repository, "dist", "src");

function newestSource(): number {
  let time = 0;
  for (const entry of fs.readdirSync(path.join(repository, "src"), {
    withFileTypes: true,
    recursive: true,
  })) {
    if (entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"))
      time = Math.max(time, fs.statSync(path.join(entry.parentPath, entry.name)).mtimeMs);
  }
  // Compiled too, for pages and processes of their own.
  return Math.max(time, fs.statSync(path.join(repository, "test/support/small-run.ts")).mtimeMs);
}

/** Compile if the sources are newer than what is there; one test process at a time. */
export function ensureBuilt(): void {
  const stamp = path.join(repository, "dist", ".built");
  const lock = path.join(repository, "dist", ".building");
  const upToDate = () => (fs.statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= newestSource();
  fs.mkdirSync(path.dirname(stamp), { recursive: true });
  while (!upToDate()) {
    try {
      fs.mkdirSync(lock);
    } catch {
      const since = fs.statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - since > 90_000) fs.rmdirSync(lock);
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      continue;
    }
    try {
      const started = new Date();
      const tsc = path.join(repository, "node_modules/typescript/bin/tsc");
      const result = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
        cwd: repository,
        encoding: "utf8",
      });
      if (result.status !== 0) process.stderr.write(`tsc: ${result.stdout}\n`);
      fs.writeFileSync(stamp, "");
      fs.utimesSync(stamp, started, started);
    } finally {
      fs.rmdirSync(lock);
    }
    return;
  }
}
