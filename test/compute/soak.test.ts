import { expect, it } from "vitest";
import { soak } from "../../bench/soak.js";

it("thousands of runs of programs of all kinds leave memory flat, and come out the same however many sessions are open", async () => {
  const [few, all] = [await soak(8000, 6), await soak(8000, 128)];
  expect(few.sha256).toBe(all.sha256);
  expect(few.mostOpen).toBe(6);
  expect(few.opened).toBeGreaterThan(2 * all.opened);
  // What comes out of 8,000 runs is about 100 MB; a session that is not closed keeps half a megabyte, of over a hundred.
  const [early, , late] = few.memory;
  expect(late!.MiB - early!.MiB).toBeLessThan(50);
});
