/** One process at a time works on a folder of results; the second one hears who holds it. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { UserError } from "../core/errors.js";
import { ensureDirectory, readJson, remove, writeFile } from "../core/files.js";

/** Locks live in their own folder, so that results contain none of them. */
const LOCK_FOLDER = ".locks";

interface Lock {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Takes the lock; or the file's content if somebody alive has it. */
function tryLock(file: string): Lock | null {
  const own: Lock = { pid: process.pid, host: os.hostname(), since: new Date().toISOString() };
  ensureDirectory(path.dirname(file));
  for (;;) {
    try {
      fs.writeFileSync(file, JSON.stringify(own), { flag: "wx" });
      return null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        // Disk full, read-only: the ordinary way of writing has the sentence.
        writeFile(file, JSON.stringify(own));
        return null;
      }
    }
    const holder = read(file);
    const gone =
      holder === null || (holder.host === own.host && (holder.pid === own.pid || !isAlive(holder.pid)));
    if (!gone) return holder;
    // Left behind by a process that was killed.
    remove(file);
  }
}

/**
 * The whole folder of an experiment.
 * @returns releases it
 * @throws UserError naming the holder if a living process of this machine, or any of another one, has it
 */
export function lockExperiment(root: string): () => void {
  const file = path.join(root, LOCK_FOLDER, "experiment.json");
  const holder = tryLock(file);
  if (holder !== null) {
    throw new UserError(
      `${root}: process ${holder.pid} on ${holder.host} has been working here since ${holder.since}. ` +
        `Wait for it, choose another --out, or remove ${file} if it is gone.`,
    );
  }
  return () => remove(path.join(root, LOCK_FOLDER));
}

/**
 * One node, by its key; waits until a worker that an earlier, killed program left behind has saved and ended.
 * @returns releases it
 */
export async function lockNode(root: string, key: string): Promise<() => void> {
  const file = path.join(root, LOCK_FOLDER, `${key}.json`);
  while (tryLock(file) !== null) await new Promise((resolve) => setTimeout(resolve, 50));
  return () => remove(file);
}

function read(file: string): Lock | null {
  try {
    return readJson(file) as Lock;
  } catch {
    return null;
  }
}
