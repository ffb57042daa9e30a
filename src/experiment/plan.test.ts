import { describe, expect, it } from "vitest";
import { registries } from "../../test/experiment/fakes.mjs";
import { parseExperiment } from "./load.js";
import { type Plan, planExperiment } from "./plan.js";

const TEXT = `name: trial
environment: fake/line_v1
seeds: [0, 1]
threats: { liar: { channel: control, agents: [speaker_0] }, sensors: { channel: observation, epsilon: 0.1 } }
training: { steps: 1_000, learner: fake }
teams:
  plain: {}
  hardened: { defense: { name: hardening, threat: liar } }
adversaries:
  search: { attack: search, threat: liar, steps: 500 }
  random: { attack: random, threat: liar }
  gradient: { attack: gradient, threat: sensors }
`;

const plan = async (overrides: string[] = []): Promise<Plan> =>
  planExperiment(await parseExperiment("t.yaml", TEXT, overrides, registries), registries);

/** Labels of the nodes whose keys differ between two plans (or that only the second one has). */
async function rekeyed(overrides: string[]): Promise<string[]> {
  const before = new Set((await plan()).nodes.map((n) => n.key));
  return (await plan(overrides)).nodes.filter((n) => !before.has(n.key)).map((n) => n.label);
}

describe("the plan of an experiment", () => {
  it("has teams, adversaries that learn, cells, random play and hidden references, per seed", async () => {
    const { nodes } = await plan();
    expect(nodes.filter((n) => n.seed === 0).map((n) => `${n.kind}: ${n.label}`)).toEqual([
      "team: plain, seed 0",
      "adversary: search against plain, seed 0",
      "team: hardened, seed 0",
      "adversary: search against hardened, seed 0",
      "cell: uniform under clean, seed 0",
      "cell: plain under clean, seed 0",
      "cell: plain under search, seed 0",
      "cell: plain under random, seed 0",
      "cell: plain under gradient, seed 0",
      "cell: plain under random behaviour under sensors, seed 0",
      "cell: hardened under clean, seed 0",
      "cell: hardened under search, seed 0",
      "cell: hardened under random, seed 0",
      "cell: hardened under gradient, seed 0",
      "cell: hardened under random behaviour under sensors, seed 0",
    ]);
    expect(nodes).toHaveLength(30);
    expect(new Set(nodes.map((n) => n.key)).size).toBe(30);
    expect(new Set(nodes.map((n) => n.folder)).size).toBe(30);
  });

  it("comes in an order in which everything follows what it needs", async () => {
    const seen = new Set<string>();
    for (const node of (await plan()).nodes) {
      for (const key of node.needs) expect(seen.has(key), node.label).toBe(true);
      seen.add(node.key);
    }
  });

  it("gives folders readable names that end in the key", async () => {
    const node = (await plan()).nodes.find((n) => n.label === "hardened under search, seed 1")!;
    expect(node.folder).toBe(`cells/hardened-vs-search-s1-${node.key.slice(0, 8)}`);
  });

  it("shares evaluation seeds over teams and columns, and with no training", async () => {
    const { nodes } = await plan();
    const cells = nodes.filter((n) => n.kind === "cell");
    expect(new Set(cells.filter((n) => n.seed === 1).map((n) => n.evaluationSeed)).size).toBe(1);
    expect(new Set(cells.map((n) => n.evaluationSeed)).size).toBe(2);
    for (const n of cells) expect(n.evaluationSeed).toBeGreaterThanOrEqual(2 ** 33);
  });

  it("keys are the same for the same file", async () => {
    expect(await rekeyed([])).toEqual([]);
    expect(await rekeyed(["question=Why?", "report.replay=Look!"])).toEqual([]);
  });

  it("a changed attack option touches only that attack's runs and cells", async () => {
    expect(await rekeyed(["adversaries.search.attack.power=2", "seeds=[0]"])).toEqual([
      "search against plain, seed 0",
      "search against hardened, seed 0",
      "plain under search, seed 0",
      "hardened under search, seed 0",
    ]);
  });

  it("a changed defense option touches that team and all that follows from it", async () => {
    expect(await rekeyed(["teams.hardened.defense.share=0.25", "seeds=[0]"])).toEqual([
      "hardened, seed 0",
      "search against hardened, seed 0",
      "hardened under clean, seed 0",
      "hardened under search, seed 0",
      "hardened under random, seed 0",
      "hardened under gradient, seed 0",
      "hardened under random behaviour under sensors, seed 0",
    ]);
  });

  it("more evaluation episodes touch cells only; another seed adds its own nodes only", async () => {
    const cells = await rekeyed(["evaluation.episodes=300"]);
    expect(cells).toHaveLength(22);
    expect(cells.every((l) => l.includes(" under "))).toBe(true);
    const added = await rekeyed(["seeds=[0, 1, 2]"]);
    expect(added).toHaveLength(15);
    expect(added.every((l) => l.endsWith("seed 2"))).toBe(true);
  });

  it("an environment parameter, the steps or the learner's options touch everything they should", async () => {
    expect(await rekeyed(["environment.length=4"])).toHaveLength(30);
    expect(await rekeyed(["training.learner.rate=0.3"])).toHaveLength(28);
    expect(await rekeyed(["teams.plain.steps=2_000", "seeds=[0]"])).toHaveLength(7);
  });
});
