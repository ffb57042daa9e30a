import { expect, test } from "vitest";
import { interleave, type Line, median, Peer } from "../../bench/harness.js";

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

test("a peer answers line by line; one that ends early is named", async () => {
  const script = `
    console.log(JSON.stringify({ ready: true, cases: ["x"] }));
    require("readline").createInterface({ input: process.stdin }).once("line", (line) => {
      console.log(JSON.stringify({ case: JSON.parse(line).case, seconds: 1 }));
      process.exit(0);
    });`;
  const [peer, ready] = await Peer.start({ name: "fake", command: process.execPath, args: ["-e", script] });
  expect(ready.cases).toEqual(["x"]);
  expect(await peer.ask("x")).toEqual({ case: "x", seconds: 1 });
  await expect(peer.ask("x")).rejects.toThrow(/^fake: the process ended without an answer/);
  peer.stop();
});
