import { expect, test } from "vitest";
import { compare, interleave, type Line, median, Peer, summarize } from "../../bench/harness.js";
import { bench, table } from "../../bench/index.js";

test("sides are asked in turn, and the first answer of each does not count", async () => {
  const asked: string[] = [];
  const fake = (side: string, values: number[]) => ({
    side,
    name: `${side}-case`,
    peer: {
      ask: async (name: string): Promise<Line> => {
        asked.push(name);
        return { per_call_ms: values.shift() };
      },
    },
  });
  const result = await interleave([fake("us", [99, 1, 2, 3]), fake("them", [98, 10, 20, 30])], 3, (line) =>
    Number(line.per_call_ms),
  );
  expect(result).toEqual({ us: [1, 2, 3], them: [10, 20, 30] });
  expect(asked.slice(2, 6)).toEqual(["us-case", "them-case", "us-case", "them-case"]);
});

test("the median of an even number of values is the mean of the middle two", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});

test("the best round and the ratio follow the unit: above 1 is faster in both", () => {
  expect(summarize([3, 1, 2], "ms")).toEqual({ median: 2, best: 1, rounds: [3, 1, 2] });
  expect(summarize([3, 1, 2], "steps/s")).toEqual({ median: 2, best: 3, rounds: [3, 1, 2] });
  // Rounds are compared with the same round of the other side, the ratio with the medians of all.
  expect(compare([1, 2, 4], [6, 4, 4], "ms")).toEqual({ ratio: 2, low: 1, high: 6 });
  expect(compare([6, 4, 4], [1, 2, 4], "steps/s")).toEqual({ ratio: 2, low: 1, high: 6 });
});

test("a result becomes a table, with what is missing and why", () => {
  const text = table({
    suite: "x",
    title: "(x) work",
    unit: "ms",
    rounds: 3,
    sides: { phalanx: { version: "1", node: "20" }, torch: { version: "2" } },
    missing: ["jax: set JAX"],
    rows: [
      {
        name: "small",
        ours: summarize([1, 2, 4], "ms"),
        peers: { torch: { ...summarize([6, 4, 4], "ms"), ...compare([1, 2, 4], [6, 4, 4], "ms") } },
      },
      { name: "alone", ours: summarize([1234], "ms"), peers: {} },
    ],
    firstUpdate: { small: { phalanx: 0.5, torch: 3 } },
  });
  expect(text).toContain("| small | 2.00 (1.00) | 4.00 (4.00) | **2.00** (1.00–6.00) |");
  expect(text).toContain("| alone | 1,234 (1,234) |  |  |");
  expect(text).toContain("First update of small after the start of a process: phalanx 0.50 s, torch 3.00 s.");
  expect(text).toContain("phalanx: 1, node 20.\ntorch: 2.\nMissing: jax: set JAX.");
});

test("an unknown suite is refused before anything runs", async () => {
  await expect(bench(["updates", "speed"])).rejects.toThrow(
    'bench: got "speed", expected updates, env, train.',
  );
});

test("a peer answers line by line; one that ends early is named", async () => {
  const script = `
    console.log(JSON.stringify({ ready: true, cases: ["x"] }));
    require("readline").createInterface({ input: process.stdin }).once("line", (line) => {
      console.log(JSON.stringify({ case: JSON.parse(line).case, seconds: 1 }));
      console.error("out of luck");
      process.exit(0);
    });`;
  const [peer, ready] = await Peer.start({ name: "fake", command: process.execPath, args: ["-e", script] });
  expect(ready.cases).toEqual(["x"]);
  expect(await peer.ask("x")).toEqual({ case: "x", seconds: 1 });
  await expect(peer.ask("x")).rejects.toThrow(/^fake: the process ended without an answer \(out of luck\)$/);
  peer.stop();
});

test("a peer that cannot do a case says so; one that does not exist is named", async () => {
  const script = `
    console.log("{}");
    require("readline").createInterface({ input: process.stdin }).on("line", () => {
      console.log(JSON.stringify({ case: "x", error: "unknown case" }));
    });`;
  const [peer] = await Peer.start({ name: "fake", command: process.execPath, args: ["-e", script] });
  await expect(peer.ask("x")).rejects.toThrow('fake, case "x": unknown case');
  peer.stop();
  await expect(Peer.start({ name: "none", command: "/nowhere/python", args: [] })).rejects.toThrow(
    /^none: the process ended without an answer/,
  );
});
