import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Ball,
  checkThreat,
  describeThreat,
  projectRow,
  type ThreatInput,
  threatSchema,
} from "./index.js";

const parse = (input: ThreatInput) => threatSchema.parse(input);

/** Anything a float32 can be. */
const hostile = fc.oneof(
  fc.float(),
  fc.float({ min: -2, max: 2, noNaN: true }),
  fc.constantFrom(
    NaN,
    Infinity,
    -Infinity,
    3.4028234663852886e38,
    -3.4028234663852886e38,
    1e-45,
    -1e-45,
    0,
    -0,
  ),
);
const finite = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: -3, max: 3, noNaN: true }),
  fc.constantFrom(0, -0, 1e-45, 1, 16777216, 3.4028234663852886e38),
);
const radius = fc.oneof(
  fc.double({ min: 0, max: 2, noNaN: true }),
  fc.constantFrom(0, 1e-46, 1e-45, 1e-9, 0.1, 0.3, 1e6, 1e39, 1e300),
);
const factor = fc.oneof(fc.constantFrom(0, 1, 0.5, 3), fc.double({ min: 0, max: 10, noNaN: true }));

interface Row {
  readonly ball: Ball;
  readonly epsilon: number;
  readonly delta: Float32Array;
  readonly clean: Float32Array;
}

const rows = (norm: Ball["norm"]) =>
  fc
    .record({
      epsilon: radius,
      entries: fc.array(
        fc.record({
          delta: hostile,
          clean: finite,
          scale: factor,
          range: fc.option(fc.tuple(finite, finite)),
        }),
        { minLength: 1, maxLength: 6 },
      ),
    })
    .map(
      ({ epsilon, entries }): Row => ({
        epsilon,
        delta: Float32Array.from(entries, (x) => x.delta),
        clean: Float32Array.from(entries, (x) => x.clean),
        ball: {
          norm,
          scale: Float64Array.from(entries, (x) => x.scale),
          low: Float64Array.from(entries, ({ range }) => (range === null ? -Infinity : Math.min(...range))),
          high: Float64Array.from(entries, ({ range }) => (range === null ? Infinity : Math.max(...range))),
        },
      }),
    );

function project({ ball, epsilon, delta, clean }: Row) {
  const effect = delta.slice();
  const seen = new Float32Array(clean.length).fill(NaN);
  projectRow(ball, epsilon, effect, clean, seen, 0);
  return { effect, seen };
}

/** What holds under every norm. */
function checkCommon(row: Row): void {
  const { ball, clean } = row;
  const { effect, seen } = project(row);
  for (let i = 0; i < clean.length; i++) {
    expect(Number.isFinite(seen[i])).toBe(true);
    // The record of the effect is what was done (float32 cannot hold every difference: then the nearest one).
    expect(effect[i]).toBe(Math.fround(seen[i]! - clean[i]!));
    if (ball.scale[i] === 0) expect(seen[i]).toBe(clean[i]);
    // Within the range, or not further out than the truth.
    const low = Math.fround(Math.min(ball.low[i]!, clean[i]!));
    const high = Math.fround(Math.max(ball.high[i]!, clean[i]!));
    expect(seen[i]! >= low && seen[i]! <= high).toBe(true);
  }
}

describe("projection", () => {
  it("ℓ∞: no entry moves by more than ε times its scale, whatever is proposed", () => {
    fc.assert(
      fc.property(rows("linf"), (row) => {
        checkCommon(row);
        const { seen } = project(row);
        for (let i = 0; i < seen.length; i++) {
          expect(Math.abs(seen[i]! - row.clean[i]!)).toBeLessThanOrEqual(row.epsilon * row.ball.scale[i]!);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("ℓ2: the entries over their scales have length ε at most, whatever is proposed", () => {
    fc.assert(
      fc.property(rows("l2"), (row) => {
        checkCommon(row);
        const { seen } = project(row);
        let squared = 0;
        for (let i = 0; i < seen.length; i++) {
          if (seen[i] !== row.clean[i]) squared += ((seen[i]! - row.clean[i]!) / row.ball.scale[i]!) ** 2;
        }
        expect(Math.sqrt(squared)).toBeLessThanOrEqual(row.epsilon);
      }),
      { numRuns: 2000 },
    );
  });

  it("Gaussian: only range and untouchable entries are enforced", () => {
    fc.assert(fc.property(rows("gaussian"), checkCommon), { numRuns: 500 });
  });

  const free = (size: number): Pick<Ball, "low" | "high"> => ({
    low: new Float64Array(size).fill(-Infinity),
    high: new Float64Array(size).fill(Infinity),
  });

  it("leaves proposals within the budget as they are, and uses all of it where they are larger", () => {
    const clean = Float32Array.of(0.5, -2, 0, 4);
    const ball: Ball = { norm: "linf", scale: Float64Array.of(1, 2, 1, 0), ...free(4) };
    const { effect, seen } = project({
      ball,
      epsilon: 0.25,
      delta: Float32Array.of(0.125, -9, Infinity, 1),
      clean,
    });
    expect([...seen]).toEqual([0.625, -2.5, 0.25, 4]);
    expect([...effect]).toEqual([0.125, -0.5, 0.25, 0]);
    const l2: Ball = { norm: "l2", scale: Float64Array.of(1, 2, 1, 0), ...free(4) };
    const inside = project({ ball: l2, epsilon: 1, delta: Float32Array.of(0.25, 0.5, -0.25, 7), clean });
    expect([...inside.effect]).toEqual([0.25, 0.5, -0.25, 0]);
    // (3, 4·2, 0): length 5 in units of scale, shrunk to 1.
    const outside = project({ ball: l2, epsilon: 1, delta: Float32Array.of(3, 8, NaN, -Infinity), clean });
    expect(outside.effect[0]).toBeCloseTo(0.6, 5);
    expect(outside.effect[1]).toBeCloseTo(1.6, 5);
    expect([...outside.effect.subarray(2)]).toEqual([0, 0]);
  });

  it("keeps the range where asked to, and does not push a value that lies outside further out", () => {
    const ball: Ball = {
      norm: "linf",
      scale: Float64Array.of(1, 1, 1),
      low: Float64Array.of(0, 0, 0),
      high: Float64Array.of(1, 1, 1),
    };
    const clean = Float32Array.of(0.75, 1.5, 1.5);
    const { seen } = project({ ball, epsilon: 0.5, delta: Float32Array.of(0.5, 0.5, -0.25), clean });
    expect([...seen]).toEqual([1, 1.5, 1.25]);
  });
});

describe("schema", () => {
  it("fills in defaults", () => {
    expect(parse({ channel: "control", agents: ["a"] })).toEqual({
      channel: "control",
      agents: ["a"],
      epsilon: 1,
      benign: "own",
      victimMode: "sample",
      knowledge: "white-box",
      objective: "team",
    });
    expect(parse({ channel: "observation", epsilon: 0.1 })).toMatchObject({
      agents: "all",
      norm: "linf",
      features: "perturbable",
      scale: {},
      keepRange: false,
      probability: 1,
    });
  });

  it.each([
    ["an unknown channel", { channel: "telepathy" }],
    ["an unknown key", { channel: "action", probability: 1, epsilon: 1 }],
    ["a probability above 1", { channel: "control", agents: "all", epsilon: 1.1 }],
    ["a negative radius", { channel: "observation", epsilon: -0.1 }],
    ["an infinite radius", { channel: "observation", epsilon: Infinity }],
    ["no radius", { channel: "observation" }],
    ["NaN", { channel: "action", probability: NaN }],
    ["nobody", { channel: "control", agents: [] }],
    ["no hijacked set", { channel: "control" }],
    ["an unknown norm", { channel: "observation", epsilon: 1, norm: "l1" }],
    ["a negative scale", { channel: "observation", epsilon: 1, scale: { x: -1 } }],
    ["no parameters", { channel: "dynamics", parameters: {} }],
  ])("refuses %s", (_, input) => {
    expect(threatSchema.safeParse(input).success).toBe(false);
  });
});

const target = {
  id: "fake/world_v0",
  groups: [
    {
      name: "speakers",
      agents: ["speaker_0"],
      features: [{ name: "goal", perturbable: true }],
    },
    {
      name: "listeners",
      agents: ["listener_0", "listener_1"],
      features: [
        { name: "velocity", perturbable: true },
        { name: "message", perturbable: true },
        { name: "id", perturbable: false },
      ],
    },
  ],
};

describe("checkThreat", () => {
  const message = (input: ThreatInput) => {
    try {
      checkThreat(parse(input), target, "threats.liar");
    } catch (error) {
      return (error as Error).message;
    }
    return null;
  };

  it("accepts what the environment has", () => {
    expect(message({ channel: "control", agents: ["speaker_0"], objective: ["listener_1"] })).toBeNull();
    expect(message({ channel: "control", agents: "all" })).toBeNull();
    expect(
      message({ channel: "observation", epsilon: 1, features: ["id", "goal"], scale: { velocity: 2 } }),
    ).toBeNull();
    expect(message({ channel: "dynamics", parameters: { anything: 1 } })).toBeNull();
  });

  it.each<[string, ThreatInput, string]>([
    [
      "agents",
      { channel: "control", agents: ["listener_0", "speaker_1"] },
      'threats.liar.agents: got "speaker_1", expected an agent of fake/world_v0. Did you mean "speaker_0"?',
    ],
    [
      "the agents whose return counts",
      { channel: "action", probability: 1, objective: ["listner_0"] },
      'threats.liar.objective: got "listner_0", expected an agent of fake/world_v0. Did you mean "listener_0"?',
    ],
    [
      "agents named twice",
      { channel: "control", agents: ["speaker_0", "speaker_0"] },
      'threats.liar.agents: "speaker_0" is named twice.',
    ],
    [
      "features",
      { channel: "observation", epsilon: 1, features: ["mesage"] },
      'threats.liar: got feature "mesage", expected an observation feature of the agents it names. Did you mean "message"?',
    ],
    [
      "features of other agents than those it names",
      { channel: "observation", epsilon: 1, agents: ["listener_0"], features: ["goal"] },
      'threats.liar: got feature "goal", expected an observation feature of the agents it names. Known: velocity, message, id.',
    ],
    [
      "features that are only scaled",
      { channel: "observation", epsilon: 1, scale: { velocty: 1 } },
      'threats.liar: got feature "velocty", expected an observation feature of the agents it names. Did you mean "velocity"?',
    ],
  ])("names the nearest of unknown %s", (_, input, expected) => {
    expect(message(input)).toBe(expected);
  });
});

describe("describeThreat", () => {
  it.each<[ThreatInput, string]>([
    [{ channel: "control", agents: ["speaker_0"] }, "control of speaker_0, ε = 1"],
    [
      { channel: "control", agents: "all", epsilon: 0.2, victimMode: "greedy", objective: ["a", "b"] },
      "control of every agent, ε = 0.2, against the return of a, b, greedy team",
    ],
    [{ channel: "action", agents: ["a"], probability: 0.5 }, "actions of a replaced with p = 0.5"],
    [{ channel: "observation", epsilon: 0.1 }, "observations of every agent, ℓ∞ ≤ 0.1"],
    [
      { channel: "observation", epsilon: 0.1, norm: "gaussian" },
      "observations of every agent, Gaussian σ = 0.1",
    ],
    [
      {
        channel: "observation",
        epsilon: 2,
        norm: "l2",
        agents: ["a"],
        features: ["x", "y"],
        scale: { x: 0.5 },
        keepRange: true,
        probability: 0.3,
        knowledge: "black-box",
      },
      "observations of a (x, y), ℓ₂ ≤ 2, ×0.5 for x, within range, p = 0.3 a step, black box",
    ],
    [
      { channel: "dynamics", parameters: { mass: 2, wind: [1, 0] }, victimMode: "greedy" },
      "dynamics: mass = 2, wind = [1,0], greedy team",
    ],
  ])("%j", (input, expected) => {
    expect(describeThreat(parse(input))).toBe(expected);
  });
});
