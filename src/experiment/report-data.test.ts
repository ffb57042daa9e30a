import { describe, expect, it } from "vitest";
import { registries } from "../../test/experiment/fakes.mjs";
import { type CellRecord, cellRecord } from "./cell.js";
import { healthFlags } from "./health.js";
import { parseExperiment } from "./load.js";
import { comparisonsOf, matrixOf } from "./matrix.js";
import { type CellNode, planExperiment } from "./plan.js";
import type { Results, TrainingCurve } from "./results.js";
import { summaryOf } from "./summary.js";

const TEXT = `name: trial
environment: fake/line_v1
seeds: [0, 1, 2]
threats: { liar: { channel: control, agents: [speaker_0] }, sensors: { channel: observation, epsilon: 0.1 } }
training: { steps: 4_000, learner: fake }
teams:
  plain: {}
  hardened: { defense: { name: hardening, threat: liar } }
  ignoring: { ignore: { listener_0: [message] } }
adversaries:
  random speaker: { attack: random, threat: liar }
  search: { attack: search, threat: liar, steps: 4_000 }
  gradient: { attack: gradient, threat: sensors }
report:
  comparisons:
    - { team: hardened, against: plain }
    - { team: hardened, against: ignoring, adversaries: [clean, search] }
`;

type Row = Readonly<Record<string, number>>;
/** The means of the prototype in `specs/quickstart.md`, rounded. */
const MEANS: Readonly<Record<string, Row>> = {
  uniform: { clean: -40 },
  plain: { clean: -8, "random speaker": -18, search: -28, gradient: -13 },
  hardened: { clean: -14, "random speaker": -16, search: -18, gradient: -16 },
  ignoring: { clean: -15, "random speaker": -15, search: -15, gradient: -17 },
};

interface Plant {
  /** mean return instead of the table's, per seed */
  readonly mean?: (node: CellNode) => number | undefined;
  readonly effect?: Partial<CellRecord["effect"]>;
  /** learning curve of the attack */
  readonly attackCurve?: TrainingCurve;
  readonly seeds?: string;
}

const curveFrom = (values: (i: number) => number): TrainingCurve => ({
  envSteps: Array.from({ length: 40 }, (_, i) => 100 * (i + 1)),
  returns: Array.from({ length: 40 }, (_, i) => values(i)),
});
/** Falls and levels off, a little noise on it. */
const settled = curveFrom((i) => -28 + 20 * Math.exp(-i / 3) + 0.2 * Math.sin(7 * i));

/** Finished results with these numbers: each seed a little off, episodes spread around. */
async function resultsOf(plant: Plant = {}): Promise<Results> {
  const overrides = plant.seeds === undefined ? [] : [`seeds=${plant.seeds}`];
  const experiment = await parseExperiment("t.yaml", TEXT, overrides, registries);
  const plan = planExperiment(experiment, registries);
  const cells = plan.nodes.flatMap((node) => {
    if (node.kind !== "cell") return [];
    const column = node.hidden ? "clean" : node.adversary;
    const seedOffset = 0.3 * (node.seed - 1);
    const center = plant.mean?.(node) ?? MEANS[node.team]![column]! + seedOffset;
    const returns = Float64Array.from({ length: 200 }, (_, i) => center + Math.sin(i) * 2);
    const { threat } = node;
    const effect = {
      controlledShare: threat?.channel === "control" ? threat.epsilon : 0,
      perturbedShare: threat?.channel === "observation" ? 1 : 0,
      largestPerturbation: threat?.channel === "observation" ? threat.epsilon : 0,
    };
    const record = cellRecord(
      node,
      {
        returns,
        agentReturns: {},
        lengths: new Int32Array(200).fill(5),
        metrics: {},
        ...effect,
        envSteps: 1000,
        films: [],
      },
      { envSteps: 0, gradientsPerDecision: 0 },
    );
    return [
      {
        node,
        record: {
          ...record,
          effect: { ...record.effect, ...(node.adversary === "clean" ? {} : plant.effect) },
        },
      },
    ];
  });
  return {
    root: "",
    plan,
    experiment,
    cells,
    planned: plan.nodes.length,
    complete: plan.nodes.length,
    curve: (node) =>
      node.kind === "adversary"
        ? (plant.attackCurve ?? settled)
        : curveFrom(
            (i) =>
              MEANS[node.team]!.clean! + 0.3 * (node.seed - 1) - 20 * Math.exp(-i / 2) + 0.2 * Math.sin(i),
          ),
    films: () => [],
  };
}

describe("health flags", () => {
  const flags = async (plant: Plant, adversary: string, team = "plain") =>
    healthFlags(await resultsOf(plant), registries, team, adversary);

  it("a healthy experiment raises none", async () => {
    for (const adversary of ["clean", "random speaker", "search", "gradient"])
      expect(await flags({}, adversary)).toEqual([]);
  });

  const planted: [fault: string, plant: Plant, adversary: string, flag: RegExp][] = [
    [
      "an attack that does less than noise",
      { mean: (n) => (n.adversary === "search" ? -10 : undefined) },
      "search",
      /^weaker than random behaviour/,
    ],
    ["a hijacker that rarely acts", { effect: { controlledShare: 0.1 } }, "search", /^budget unspent/],
    [
      "perturbations far inside the radius",
      { effect: { largestPerturbation: 0.01 } },
      "gradient",
      /^budget unspent/,
    ],
    [
      "an attack cut off on its way down",
      { attackCurve: curveFrom((i) => -8 - 0.5 * i + 0.2 * Math.sin(7 * i)) },
      "search",
      /^still improving at the end/,
    ],
    [
      "an attack that works for one seed of three",
      {
        mean: (n) =>
          n.adversary === "search"
            ? [-8, -8, -60][n.seed]!
            : n.adversary === "random speaker"
              ? -8
              : undefined,
      },
      "search",
      /^seeds disagree widely/,
    ],
    [
      "a clean evaluation that is not what was trained",
      { mean: (n) => (n.adversary === "clean" ? -16 : undefined) },
      "clean",
      /unlike/,
    ],
  ];
  it.each(planted)("%s raises exactly its flag", async (_, plant, adversary, flag) => {
    expect(await flags(plant, adversary)).toEqual([expect.stringMatching(flag)]);
  });
});

describe("the summary says what the numbers support", () => {
  const sentences = async (plant: Plant = {}) => {
    const results = await resultsOf(plant);
    return summaryOf(results, matrixOf(results, registries), comparisonsOf(results)).map((s) => s.text);
  };

  it("names gain, cost, the other channel and what silence would do", async () => {
    expect(await sentences()).toEqual([
      "Undisturbed, the plain team plays far above random play.",
      "The strongest attack, search, costs the plain team 20.0, far more than random behaviour in the same threat does.",
      "Under search, the hardened team is better by 10.0 than the plain team; undisturbed, it pays 6.0 for it.",
      "Hardening the control channel buys nothing on the observation channel: under gradient the hardened team is worse by 3.0 than the plain team.",
      "A team that ignores listener_0's message cannot be deceived through it. Under search, the hardened team is worse by 3.0 than that team; undisturbed, the hardened team is better by 1.0 than it. For the pure worst case, not listening is the better choice.",
    ]);
  });

  it("claims no gain where seeds disagree about its sign", async () => {
    const text = await sentences({
      mean: (n) => (n.team === "hardened" && n.adversary === "search" ? [-20, -34, -29][n.seed] : undefined),
    });
    expect(text[2]).toMatch(
      /^Under search, the hardened team is not distinguishable \(\+0\.33\) from the plain team; /,
    );
  });

  it("says so where attacks do nothing, and where there are too few seeds", async () => {
    const harmless = await sentences({
      mean: (n) =>
        n.team === "plain" && n.threat !== null ? MEANS.plain!.clean! + 0.3 * (n.seed - 1) : undefined,
    });
    expect(harmless[1]).toBe("No attack here lowers the return of the plain team beyond what seeds explain.");
    expect((await sentences({ seeds: "[0]" })).at(-1)).toMatch(
      /^With 1 seed there is no interval and no test/,
    );
  });

  it("corrects over all comparisons as one family", async () => {
    const comparisons = comparisonsOf(await resultsOf());
    expect(comparisons).toHaveLength(6);
    for (const c of comparisons) expect(c.pHolm!).toBeGreaterThanOrEqual(c.p!);
    expect(comparisons.map((c) => [c.team, c.baseline, c.adversary])[4]).toEqual([
      "hardened",
      "ignoring",
      "clean",
    ]);
  });
});
