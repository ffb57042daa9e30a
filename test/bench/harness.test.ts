import { expect, test } from "vitest";
import { compare, interleave, type Line, median, Peer, requireSame, summarize } from "../../bench/harness.js";
import { bench, table } from "../../bench/index.js";

test("sides are asked in turn, and the first answer of each does not count", async () => {
  const asked: string[] = [];
  const fake = (side: string, values: number[]) => ({
    side,
    name: `${side}-case`,
    peer: {
      ask: async (name: string): Promise<Line> => {
        asked.push(name);
        // The processor is busy for half of the time.
        return { per_call_ms: values.shift(), seconds: 2, cpu_seconds: 1, check: [7] };
      },
    },
  });
  const sides = [fake("us", [99, 1, 2, 3]), fake("them", [98, 10, 20, 30])];
  expect(await interleave(sides, 3, "ms")).toEqual({
    us: { wall: [1, 2, 3], cpu: [0.5, 1, 1.5], check: [7] },
    them: { wall: [10, 20, 30], cpu: [5, 10, 15], check: [7] },
  });
  expect(asked.slice(2, 6)).toEqual(["us-case", "them-case", "us-case", "them-case"]);
});

test("the median of an even number of values is the mean of the middle two", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});

const rounds = (...wall: number[]) => ({ wall, cpu: wall.map((x) => x / 2), check: [] });

test("the best round and the ratio follow the unit: above 1 is faster in both", () => {
  expect(summarize(rounds(3, 1, 2), "ms")).toEqual({ median: 2, best: 1, rounds: [3, 1, 2], cpu: 1 });
  expect(summarize(rounds(3, 1, 2), "steps/s")).toEqual({ median: 2, best: 3, rounds: [3, 1, 2], cpu: 1 });
  // Rounds are compared with the same round of the other side, the ratio with the medians of all.
  const expected = { ratio: 2, low: 1, high: 6, cpuRatio: 2 };
  expect(compare(rounds(1, 2, 4), rounds(6, 4, 4), "ms")).toEqual(expected);
  expect(compare(rounds(6, 4, 4), rounds(1, 2, 4), "steps/s")).toEqual(expected);
});

test("sides that come to other numbers are not compared", () => {
  requireSame("x", [1, 0.5], "torch", [1.0005, 0.5]);
  requireSame("x", [], "torch", [1]);
  expect(() => requireSame("x", [1, 0.5], "torch", [1, 0.51])).toThrow(
    'case "x": we come to 1, 0.5, torch to 1, 0.51',
  );
  expect(() => requireSame("x", [1], "torch", [1, 2])).toThrow(/torch to 1, 2/);
});

test("a result becomes a table, with what limits us, and what is missing and why", () => {
  const text = table({
    suite: "x",
    title: "(x) work",
    unit: "ms",
    rounds: 3,
    sides: { phalanx: { version: "1", node: "20", peak_gflops: 110 }, torch: { version: "2" } },
    missing: ["jax: set JAX"],
    rows: [
      {
        name: "small",
        ours: summarize(rounds(1, 2, 4), "ms"),
        peers: {
          torch: {
            ...summarize(rounds(6, 4, 4), "ms"),
            ...compare(rounds(1, 2, 4), rounds(6, 4, 4), "ms"),
            cpuRatio: 1.5,
          },
        },
        products: { ms: 0.5, gflop: 0.04, ofMs: 2 },
      },
      { name: "alone", ours: summarize(rounds(1234), "ms"), peers: {} },
    ],
    firstUpdate: { small: { phalanx: 0.5, torch: 3 } },
  });
  expect(text).toContain("| small | 2.00 (1.00) | 25 % | 80.0 | 4.00 (4.00) | **2.00** (1.00–6.00) | 1.50 |");
  expect(text).toContain("| alone | 1,234 (1,234) |  |  |  |  |  |");
  expect(text).toContain("on this core: 110 GFLOP/s.");
  expect(text).toContain("First update of small after the start of a process: phalanx 0.50 s, torch 3.00 s.");
  expect(text).toContain("phalanx: 1, node 20.\ntorch: 2.\nMissing: jax: set JAX.");
});

test("an unknown suite is refused before anything runs", async () => {
  await expect(bench(["updates", "speed"])).rejects.toThrow(
    'bench: got "speed", expected updates, env, train, recurrent, stackelberg, attacks or soak.',
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
