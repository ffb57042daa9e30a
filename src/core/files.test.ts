import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppendOnlyFile, readJson, readJsonLines, readText, writeFile, writeJson } from "./files.js";
import { canonicalJson, hashOf, sha256Hex } from "./hash.js";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-files-"));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

describe("files", () => {
  it("writes with parents and reads back", () => {
    const file = path.join(dir, "a/b/c.json");
    writeJson(file, { x: 1 });
    expect(readJson(file)).toEqual({ x: 1 });
    expect(fs.readdirSync(path.dirname(file))).toEqual(["c.json"]);
  });

  it("names missing and damaged files in one sentence", () => {
    const file = path.join(dir, "none.json");
    expect(() => readText(file)).toThrow(`${file}: no such file or directory.`);
    writeFile(file, '{"x": ');
    expect(() => readJson(file)).toThrow(`${file}: is not valid JSON; it may be cut off or damaged.`);
    expect(() => readText(dir)).toThrow(`${dir}: is a directory, expected a file.`);
    expect(() => writeFile(path.join(file, "x"), "")).toThrow(/expected a directory|is a directory|file/);
  });

  it("cuts an append-only file back to a length, and drops a torn last line", () => {
    const file = path.join(dir, "metrics.jsonl");
    const first = new AppendOnlyFile(file, 0);
    first.append('{"i":1}\n');
    const kept = first.length;
    first.append('{"i":2}\n{"i":');
    first.close();
    expect(readJsonLines(file)).toEqual([{ i: 1 }, { i: 2 }]);
    const second = new AppendOnlyFile(file, kept);
    second.append('{"i":3}\n');
    second.close();
    expect(readText(file)).toBe('{"i":1}\n{"i":3}\n');
    expect(() => new AppendOnlyFile(file, 1000)).toThrow(/has 16 bytes, expected at least 1000/);
  });
});

describe("hashes", () => {
  it("do not depend on the order of keys, and do on everything else", () => {
    expect(canonicalJson({ b: [1, { d: null, c: "x" }], a: -0, u: undefined })).toBe(
      '{"a":0,"b":[1,{"c":"x","d":null}]}',
    );
    expect(hashOf({ a: 1, b: 2 })).toBe(hashOf({ b: 2, a: 1 }));
    expect(hashOf({ a: 1 })).not.toBe(hashOf({ a: "1" }));
    expect(() => canonicalJson({ a: Number.NaN })).toThrow("canonical JSON: got NaN");
  });

  it("is SHA-256", () => {
    // FIPS 180-2, appendix B.1
    expect(sha256Hex("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});
