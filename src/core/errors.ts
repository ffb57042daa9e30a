/** Who is to blame decides what a caller may do: fix the input, fix the machine, or report a bug. */

/** Shared by all installations of this package in a process. */
const USER_ERROR: unique symbol = Symbol.for("phalanx.UserError") as never;

/**
 * The user's mistake: bad configuration, file, checkpoint or argument. One sentence names the place,
 * the value and what is expected. The command line prints it and exits with code 2.
 */
export class UserError extends Error {
  override readonly name: string = "UserError";

  get [USER_ERROR](): true {
    return true;
  }

  /** An environment of one's own may import another installation of Phalanx: its errors are the user's mistakes too. */
  static override [Symbol.hasInstance](value: unknown): value is UserError {
    // biome-ignore lint/complexity/noThisInStatic: subclasses inherit this, and mean themselves.
    if (this !== UserError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && USER_ERROR in value;
  }
}

/** The world's fault: file system, memory, a missing engine. The command line exits with code 1. */
export class SystemError extends Error {
  override readonly name: string = "SystemError";
}

/** NaN or Inf in a training step: the run stops, names the step, the program and the first bad tensor. */
export class NonFiniteError extends UserError {
  override readonly name = "NonFiniteError";
}

/** A broken invariant of ours; the message asks for a report. */
export function internalError(message: string): Error {
  return new Error(`internal: ${message} (this is a bug in Phalanx; please report it)`);
}

/** `[3, 12]`, the way every shape is written in messages. */
export function formatShape(shape: readonly (number | string)[]): string {
  return `[${shape.join(", ")}]`;
}
