/**
 * A share of the fuzzing; `PHALANX_FUZZ=100000 npx vitest run test/onnx/fuzz.test.ts` does as many files as it says,
 * and prints a report.
 */
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/core/errors.js";
import { RandomStream } from "../../src/core/random.js";
import { readModel } from "../../src/onnx/index.js";
import { fuzz, fuzzFile, fuzzSeeds, probe } from "./fuzz.js";
import { KINDS } from "./mutations.js";

const SHARE = 3000;

describe("damaged files", async () => {
  const seeds = await fuzzSeeds();

  it("start from files that are all imported and differentiated", () => {
    for (const { name, bytes } of seeds) {
      const outcome = probe(bytes, "fixed");
      expect(["imported", "differentiated"], name).toContain(outcome);
    }
  });

  it("are a model, or refused in one line, and nothing else", { timeout: 3_600_000 }, () => {
    const { PHALANX_FUZZ } = process.env;
    const files = PHALANX_FUZZ === undefined ? SHARE : Number(PHALANX_FUZZ);
    const report = fuzz(seeds, 0, files);
    if (PHALANX_FUZZ !== undefined) console.log(report);
    expect(report.findings).toEqual([]);
    // All happen, or the damage is too mild or too wild to mean anything.
    const { imported, differentiated, ...refused } = report.outcomes;
    expect(imported + differentiated).toBeGreaterThan(files / 20);
    for (const [outcome, count] of Object.entries(refused))
      expect(count, outcome).toBeGreaterThan(files / 20);
  });

  it("are the same on every machine", () => {
    for (let i = 0; i < KINDS.length; i++) expect(fuzzFile(seeds, i)).toEqual(fuzzFile(seeds, i));
  });

  it("random bytes are no model", () => {
    const stream = RandomStream.from(1, "noise");
    for (let i = 0; i < 2000; i++) {
      const noise = Uint8Array.from({ length: stream.int(300) }, () => stream.int(256));
      expect(() => readModel(noise)).toThrow(UserError);
    }
  });
});
