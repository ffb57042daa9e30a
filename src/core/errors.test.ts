import { expect, it, vi } from "vitest";
import { NonFiniteError, SystemError, UserError } from "./errors.js";

it("knows the user's mistakes of another installation of this package, and those alone", async () => {
  vi.resetModules();
  const other = (await import("./errors.js")) as typeof import("./errors.js");
  expect(other.UserError).not.toBe(UserError);
  expect(new other.UserError("x")).toBeInstanceOf(UserError);
  expect(new other.NonFiniteError("x")).toBeInstanceOf(UserError);
  for (const error of [
    new other.SystemError("x"),
    new SystemError("x"),
    new Error("x"),
    "x",
    null,
    undefined,
  ])
    expect(error instanceof UserError).toBe(false);
});

it("tells its kinds apart", () => {
  expect(new NonFiniteError("x")).toBeInstanceOf(UserError);
  expect(new NonFiniteError("x")).toBeInstanceOf(NonFiniteError);
  expect(new UserError("x") instanceof NonFiniteError).toBe(false);
});
