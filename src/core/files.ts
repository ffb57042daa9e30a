/**
 * Files on disk, written whole or not at all. The only module of core that needs Node: experiment, report, server,
 * cli and tests import it.
 */
import fs from "node:fs";
import path from "node:path";
import writeFileAtomic from "write-file-atomic";
import { SystemError, UserError } from "./errors.js";

type Doing = "read" | "written" | "created" | "removed";

/** One sentence for what the operating system refused. */
function fileError(error: unknown, file: string, doing: Doing): Error {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  switch (code) {
    case "ENOENT":
      return new UserError(`${file}: no such file or directory.`);
    case "EISDIR":
      return new UserError(`${file}: is a directory, expected a file.`);
    case "ENOTDIR":
      return new UserError(`${file}: a part of this path is a file, expected a directory.`);
    case "EACCES":
    case "EPERM":
      return new SystemError(`${file}: cannot be ${doing}: permission denied.`);
    case "EROFS":
      return new SystemError(`${file}: cannot be ${doing}: the file system is read-only.`);
    case "ENOSPC":
    case "EDQUOT":
      return new SystemError(
        `${file}: cannot be ${doing}: the disk is full. What was there before is intact.`,
      );
    case "EMFILE":
    case "ENFILE":
      return new SystemError(`${file}: cannot be ${doing}: too many open files.`);
    case undefined:
      return error as Error;
    default:
      return new SystemError(`${file}: cannot be ${doing} (${code}).`);
  }
}

function attempt<T>(file: string, doing: Doing, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw fileError(error, file, doing);
  }
}

/**
 * Create a directory and its parents; no error if it exists.
 * @throws SystemError, UserError in one sentence
 */
export function ensureDirectory(directory: string): void {
  attempt(directory, "created", () => fs.mkdirSync(directory, { recursive: true }));
}

/**
 * Write a file atomically (temporary file beside it, flush, rename): a reader, or a process killed at any moment,
 * finds the old content or the new one. Parent directories are created.
 * @throws SystemError, UserError in one sentence
 */
export function writeFile(file: string, content: string | Uint8Array): void {
  ensureDirectory(path.dirname(file));
  attempt(file, "written", () =>
    writeFileAtomic.sync(
      file,
      typeof content === "string"
        ? content
        : Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    ),
  );
}

/** Write plain data as indented JSON, atomically. Key order is the caller's. */
export function writeJson(file: string, value: unknown): void {
  writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** @throws UserError if the file is missing; SystemError if it cannot be read */
export function readBytes(file: string): Uint8Array {
  return attempt(file, "read", () => fs.readFileSync(file));
}

/** @throws UserError if the file is missing; SystemError if it cannot be read */
export function readText(file: string): string {
  return attempt(file, "read", () => fs.readFileSync(file, "utf8"));
}

/** @throws UserError if the file is missing or is no JSON */
export function readJson(file: string): unknown {
  const text = readText(file);
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(`${file}: is not valid JSON; it may be cut off or damaged.`);
  }
}

/** The rows of a JSON-lines file. A last line without line end (a crash while appending) is left out. */
export function readJsonLines(file: string): unknown[] {
  const text = readText(file);
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  return complete
    .split("\n")
    .filter((line) => line !== "")
    .map((line, i) => {
      try {
        return JSON.parse(line);
      } catch {
        throw new UserError(`${file}:${i + 1}: is not valid JSON; the file is damaged.`);
      }
    });
}

export function exists(file: string): boolean {
  return fs.existsSync(file);
}

/** Size in bytes; null if there is no such file. */
export function fileSize(file: string): number | null {
  return fs.statSync(file, { throwIfNoEntry: false })?.size ?? null;
}

/** Names in a directory, sorted; empty if there is none. */
export function listDirectory(directory: string): string[] {
  if (!fs.existsSync(directory)) return [];
  return attempt(directory, "read", () => fs.readdirSync(directory)).sort();
}

/** Remove a file or a whole directory; no error if there is none. */
export function remove(target: string): void {
  attempt(target, "removed", () => fs.rmSync(target, { recursive: true, force: true }));
}

/**
 * Remove what atomic writes left behind when the process was killed: "state.json.1234567890".
 * @param depth how many levels of folders below are searched too
 */
export function removeTemporary(directory: string, depth = 0): void {
  if (!fs.existsSync(directory)) return;
  const entries = attempt(directory, "read", () => fs.readdirSync(directory, { withFileTypes: true }));
  for (const entry of entries) {
    const file = path.join(directory, entry.name);
    if (entry.isDirectory() && depth > 0) removeTemporary(file, depth - 1);
    else if (entry.isFile() && /\.[a-z]+\.\d{6,}$/.test(entry.name)) remove(file);
  }
}

/** A text file that grows line by line and can be cut back to an earlier length. */
export class AppendOnlyFile {
  readonly #file: string;
  readonly #descriptor: number;
  #length: number;

  /**
   * @param length bytes to keep of what is there; the rest is cut off
   * @throws UserError if the file is shorter than that
   */
  constructor(file: string, length: number) {
    this.#file = file;
    const present = fileSize(file) ?? 0;
    if (present < length) {
      throw new UserError(`${file}: has ${present} bytes, expected at least ${length}; the file is damaged.`);
    }
    ensureDirectory(path.dirname(file));
    this.#descriptor = attempt(file, "written", () => {
      const descriptor = fs.openSync(file, "a");
      fs.ftruncateSync(descriptor, length);
      return descriptor;
    });
    this.#length = length;
  }

  /** Bytes written so far, the kept ones included. */
  get length(): number {
    return this.#length;
  }

  append(text: string): void {
    const bytes = Buffer.from(text, "utf8");
    attempt(this.#file, "written", () => {
      for (let done = 0; done < bytes.length; ) done += fs.writeSync(this.#descriptor, bytes, done);
    });
    this.#length += bytes.length;
  }

  /** Returns when everything appended has reached the disk. */
  flush(): void {
    attempt(this.#file, "written", () => fs.fsyncSync(this.#descriptor));
  }

  close(): void {
    fs.closeSync(this.#descriptor);
  }
}
