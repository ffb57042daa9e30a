/** One process at a time works on a folder of results; the second one hears who holds it. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { UserError } from "../core/errors.js";
import { exists, readJson, remove, writeFile } from "../core/files.js";

const LOCK_FILE = "lock.json";

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

/**
 * @returns releases the folder
 * @throws UserError naming the holder if a living process of this machine, or any of another one, holds it
 */
export function acquireLock(root: string): () => void {
  const file = path.join(root, LOCK_FILE);
  const own: Lock = { pid: process.pid, host: os.hostname(), since: new Date().toISOString() };
  for (let attempt = 0; ; attempt++) {
    try {
      fs.writeFileSync(file, JSON.stringify(own), { flag: "wx" });
      return () => remove(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || attempt > 0) {
        // Anything but "it exists" gets its sentence from the ordinary way of writing.
        if (!exists(file)) writeFile(file, JSON.stringify(own));
        else throw heldBy(root, file);
        return () => remove(file);
      }
      const holder = read(file);
      const gone =
        holder === null || (holder.host === own.host && (holder.pid === own.pid || !isAlive(holder.pid)));
      if (!gone) throw heldBy(root, file);
      // Left behind by a process that was killed.
      remove(file);
    }
  }
}

function read(file: string): Lock | null {
  try {
    return readJson(file) as Lock;
  } catch {
    return null;
  }
}

function heldBy(root: string, file: string): UserError {
  const holder = read(file);
  return new UserError(
    `${root}: process ${holder?.pid ?? "?"} on ${holder?.host ?? "?"} has been working here since ${holder?.since ?? "?"}. ` +
      `Wait for it, choose another --out, or remove ${file} if it is gone.`,
  );
}
