import { expect, it } from "vitest";
import { soak } from "../../bench/soak.js";

it("ten thousand program runs leave memory flat, and come out the same twice", () => {
  const first = soak(10_000);
  const second = soak(10_000);
  expect(second.sha256).toBe(first.sha256);
  // 10,000 runs return about 400 MB in all; what the garbage collector has not yet freed is far below that.
  expect(second.lateMiB - first.earlyMiB).toBeLessThan(100);
});
