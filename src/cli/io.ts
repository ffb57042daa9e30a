/** What commands share: values from the command line, tables, and how errors end the program. */
import { parse } from "yaml";
import { SystemError, UserError } from "../core/errors.js";

export const EXIT_FAILURE = 1;
export const EXIT_USER = 2;
/** 128 + SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130;

/** Thrown by a command that has said everything already. */
export class Exit extends Error {
  constructor(readonly code: number) {
    super(`exit ${code}`);
  }
}

/** Prints what went wrong to standard error. @returns the exit code */
export function reportError(error: unknown): number {
  if (error instanceof Exit) return error.code;
  if (error instanceof UserError) {
    process.stderr.write(`${error.message}\n`);
    return EXIT_USER;
  }
  if (error instanceof SystemError) {
    process.stderr.write(`${error.message}\n`);
    return EXIT_FAILURE;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`internal: ${text}\nThis is a bug in Phalanx; please report it.\n`);
  return EXIT_FAILURE;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** A YAML value of the command line. @param place for messages: "--threat" */
export function yamlValue(text: string, place: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new UserError(
      `${place}: got "${text}", which is not valid YAML (${(error as Error).message.split("\n")[0]}).`,
    );
  }
}

/** `name=value` arguments as a record; values are YAML. */
export function keyValues(args: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    args.map((arg) => {
      const at = arg.indexOf("=");
      if (at < 1)
        throw new UserError(`command line: got "${arg}", expected name=value (for example agents=3).`);
      return [arg.slice(0, at), yamlValue(arg.slice(at + 1), arg)];
    }),
  );
}

/** An option that must be a whole number. */
export function integerOption(name: string, minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text.replaceAll("_", ""));
    if (!Number.isSafeInteger(value) || value < minimum)
      throw new UserError(`${name}: got "${text}", expected an integer ≥ ${minimum}.`);
    return value;
  };
}

/** Left-aligned columns, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, c) => rows.reduce((w, row) => Math.max(w, row[c]!.length), 0)) ?? [];
  return rows
    .map((row) =>
      row
        .map((text, c) => text.padEnd(widths[c]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
