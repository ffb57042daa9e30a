import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { envCommand } from "../../src/cli/env.js";
import { describeEnvironment, environmentPage, readPage } from "../../src/cli/env-page.js";
import type { Environment, EnvironmentSpec } from "../../src/env/contract.js";
import { defineEnvironment, parameterNames } from "../../src/env/definition.js";
import { describeParameters } from "../../src/env/index.js";
import { createEnvironment, environments } from "../../src/envs/index.js";

/** What `phalanx env show` prints. */
async function show(...args: string[]): Promise<string> {
  const written: string[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  try {
    await envCommand().parseAsync(["show", ...args], { from: "user" });
  } finally {
    spy.mockRestore();
  }
  return written.join("");
}

describe("every registered environment", () => {
  it.each([...environments.entries()])("%s is shown whole", async (id, definition) => {
    const text = await show(id);
    const { spec } = await createEnvironment(id, {}, { copies: 1 });
    const words = [
      definition.summary,
      definition.source,
      ...spec.groups.flatMap((group) => [group.name, ...group.features.map((feature) => feature.name)]),
      ...spec.episodeMetrics,
      ...parameterNames(definition),
      ...Object.keys(definition.scripts ?? {}),
    ];
    expect(words.filter((word) => !text.includes(word))).toEqual([]);
    for (const { name, range } of describeParameters(definition))
      expect(range, name).not.toMatch(/any value|undefined|NaN/);
    const page = environmentPage(definition)!;
    expect(page.rewards.length).toBeGreaterThan(20);
    expect(page.parity.length).toBeGreaterThan(20);
    expect(text).toMatch(/^rewards:\n {2}\S/m);
    expect(text).toMatch(/^parity:\n {2}\S/m);
  });
});

describe("phalanx env show", () => {
  it("shows what other parameters make of it, beside the default", async () => {
    const text = await show("mpe/simple_spread", "agents=2");
    expect(text).toContain("group agents: agent_0, agent_1; 5 actions; observation of 12 numbers:");
    expect(text).toMatch(/^ {2}agents +2 \(default 3\) +integer ≥ 1 +number of agents/m);
    expect(text).toMatch(/^ {2}dt +0\.1 +number in \(0, 1\] /m);
    expect(text).toContain("actions: 0 stay, 1 left, 2 right, 3 down, 4 up");
  });

  it("tells programs the same", async () => {
    const data = JSON.parse(await show("mpe/simple_spread", "agents=2", "--json"));
    expect(data.parameters.agents).toBe(2);
    expect(data.spec.groups[0].obsSize).toBe(12);
    expect(data.parameterRanges[0]).toEqual({
      name: "agents",
      default: 3,
      range: "integer ≥ 1",
      description: "number of agents, and of landmarks",
    });
    expect(data.rewards).toContain("localRatio");
    expect(data.parity).toContain("MPE2");
    expect(Object.keys(data.scripts)).toEqual(["share-out"]);
  });
});

describe("the description of an environment", () => {
  const spec: EnvironmentSpec = {
    id: "x/y_v0",
    groups: [
      {
        name: "crowd",
        agents: Array.from({ length: 20 }, (_, i) => `a${i}`),
        obsSize: 3,
        features: [
          {
            name: "where",
            offset: 0,
            size: 2,
            kind: "continuous",
            low: -1,
            high: Infinity,
            perturbable: true,
          },
          { name: "who", offset: 2, size: 1, kind: "id", low: 0, high: 19, perturbable: false },
        ],
        action: { kind: "discrete", n: 20 },
        hasActionMask: true,
        maskedAction: 0,
        actionNames: Array.from({ length: 20 }, (_, i) => `go${i}`),
      },
      {
        name: "solo",
        agents: ["s"],
        obsSize: 0,
        features: [],
        action: { kind: "box", low: [-1, -2], high: [1, Infinity] },
        hasActionMask: false,
      },
    ],
    stateSize: 0,
    stateFeatures: [],
    maxSteps: null,
    turnBased: true,
    episodeMetrics: [],
    capabilities: { saveState: false, frames: false },
  };
  const definition = defineEnvironment({
    id: "x/y_v0",
    summary: "An example.",
    source: "made up",
    parameters: { n: z.int().min(1).default(2).describe("how many") },
    create: () => null as unknown as Environment,
  });

  it("is short where there are many, and says what there is not", () => {
    expect(describeEnvironment(definition, spec, { n: 2 }, null)).toBe(`x/y_v0: An example.

steps:            no limit
global state:     none
episode metrics:  none
                  agents take turns; draws no pictures; a resumed run repeats its episodes

group crowd: a0, a1, a2 … a19 (20); 20 actions; observation of 3 numbers:
  0–1  where  continuous  [−1, ∞)  perturbable
  2    who    id          [0, 19]
  actions: 0 go0, 1 go1, 2 go2 … 19 go19 (20)
  a mask says which actions are allowed; a masked one becomes go0

group solo: s; actions of 2 numbers in [−2, ∞); observation of 0 numbers:

parameters:
  name  value  range
  n     2      integer ≥ 1  how many

source:
  made up`);
  });

  it("takes rewards and parity from the page, as far as the next heading", () => {
    const page = "# x\n\n## Rewards\n\nOne per\nstep.\n\n## Episode end\n\nNever.\n\n## Parity\n\nNone.\n";
    expect(readPage(page)).toEqual({ rewards: "One per\nstep.", parity: "None." });
    const text = describeEnvironment(definition, spec, { n: 2 }, readPage(page));
    expect(text).toContain("\n\nrewards:\n  One per\n  step.\n\nparameters:");
    expect(text.endsWith("\n\nparity:\n  None.")).toBe(true);
  });
});
