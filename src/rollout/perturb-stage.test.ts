/** Hostile adversaries of the observation channel against the whole loop: nobody overspends. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { couriers, foragers } from "../../test/games/index.js";
import { createEnvironment, observationThreat, randomPolicyActor } from "../../test/support/rollouts.js";
import { RandomStream } from "../core/random.js";
import type { ObservationThreat } from "../threats/index.js";
import {
  fixedCasting,
  type Perturber,
  type PerturbRequest,
  perturbCasting,
  type Recorder,
  Rollout,
  type StepView,
} from "./index.js";

/** Proposes anything, and lies about everything it was told. */
function hostile(seed: number, kind: number): Perturber {
  const stream = RandomStream.from(seed, "hostile");
  const poison = [NaN, Infinity, -Infinity, 3e38, -3e38, 1e-45];
  return {
    name: "hostile",
    perturb: (request, delta) => {
      for (let k = 0; k < delta.length; k++) {
        const any = stream.int(3);
        delta[k] = any === 0 ? poison[stream.int(6)]! : any === 1 ? stream.normal() : 1e3 * stream.normal();
      }
      if (kind === 0) return;
      const { clean, epsilon, scale, actionMask, agent } = request as {
        -readonly [K in keyof PerturbRequest]: PerturbRequest[K];
      };
      clean.fill(1e6);
      epsilon.fill(1e6);
      scale.fill(1e6);
      agent.fill(0);
      actionMask?.fill(1);
    },
  };
}

async function attack(
  game: typeof couriers,
  threat: ObservationThreat,
  perturber: Perturber,
  look: (view: StepView) => void,
  scale = () => 1,
): Promise<void> {
  const environment = await createEnvironment(game, 4);
  const { groups } = environment.spec;
  const actors = groups.map((_, g) => randomPolicyActor(environment, g, 1));
  const seats = groups.flatMap((g, index) => g.agents.map(() => index));
  const check: Recorder = { onAct: look };
  new Rollout({
    environment,
    actors,
    cast: perturbCasting(seats, () => 1, scale),
    seed: 5,
    stream: "x",
    perturb: { threat, perturber },
    recorders: [check],
  }).run(10);
}

describe("the loop", () => {
  it("holds hostile perturbers to threats of all kinds", async () => {
    const threats = fc.record({
      norm: fc.constantFrom("linf" as const, "l2" as const),
      epsilon: fc.constantFrom(0, 1e-7, 0.1, 2),
      agents: fc.constantFrom<"all" | string[]>("all", ["courier_1"], ["dispatcher", "courier_0"]),
      features: fc.constantFrom<"perturbable" | string[]>("perturbable", ["call"], ["position", "number"]),
      scale: fc.constantFrom<Record<string, number>>({}, { position: 0.25 }, { call: 0, position: 3 }),
      keepRange: fc.boolean(),
      probability: fc.constantFrom(1, 0.5),
    });
    const property = fc.asyncProperty(
      threats,
      fc.nat(),
      fc.nat(1),
      fc.constantFrom(1, 0.5),
      async (given, seed, kind, share) => {
        const threat = observationThreat(given);
        await attack(
          couriers,
          threat,
          hostile(seed, kind),
          ({ spec, groups, environment }) => {
            groups.forEach((step, g) => {
              const { agents, features, obsSize } = spec.groups[g]!;
              expect(step.obs).toBe(environment.groups[g]!.obs);
              for (let row = 0; row < step.acting.length; row++) {
                const agent = agents[row % agents.length]!;
                const hit = threat.agents === "all" || threat.agents.includes(agent);
                let squared = 0;
                for (const feature of features) {
                  const chosen =
                    threat.features === "perturbable"
                      ? feature.perturbable
                      : threat.features.includes(feature.name);
                  const scale = hit && chosen ? (threat.scale[feature.name] ?? 1) : 0;
                  for (let i = feature.offset; i < feature.offset + feature.size; i++) {
                    const [seen, clean] = [step.seen[row * obsSize + i]!, step.obs[row * obsSize + i]!];
                    const change = Math.abs(seen - clean);
                    expect(Number.isFinite(seen)).toBe(true);
                    if (change === 0) continue;
                    expect(step.perturbed[row]).toBe(1);
                    expect(scale).toBeGreaterThan(0);
                    squared += (change / scale) ** 2;
                    if (threat.norm === "linf")
                      expect(change).toBeLessThanOrEqual(share * threat.epsilon * scale);
                    if (threat.keepRange) {
                      expect(seen).toBeGreaterThanOrEqual(feature.low);
                      expect(seen).toBeLessThanOrEqual(feature.high);
                    }
                  }
                }
                if (threat.norm === "l2")
                  expect(Math.sqrt(squared)).toBeLessThanOrEqual(share * threat.epsilon);
              }
            });
          },
          () => share,
        );
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it("draws Gaussian noise itself: a perturber has no say in it", async () => {
    const changes: number[] = [];
    const threat = observationThreat({
      norm: "gaussian",
      epsilon: 0.5,
      features: ["position"],
      scale: { position: 2 },
    });
    const spy: Perturber = {
      name: "spy",
      perturb: () => {
        throw new Error("asked");
      },
    };
    await attack(couriers, threat, spy, ({ groups }) => {
      const { seen, obs } = groups[1]!;
      for (let k = 0; k < seen.length; k++) {
        if (k % 7 < 2) changes.push(seen[k]! - obs[k]!);
        else expect(seen[k]).toBe(obs[k]);
      }
    });
    // 160 draws of σ = 1: standard errors 0.08 and 0.056.
    const mean = changes.reduce((a, b) => a + b) / changes.length;
    const std = Math.sqrt(changes.reduce((sum, x) => sum + (x - mean) ** 2, 0) / changes.length);
    expect(changes).toHaveLength(160);
    expect(Math.abs(mean)).toBeLessThan(0.3);
    expect(Math.abs(std - 1)).toBeLessThan(0.25);
  });

  it("perturbs in the given share of steps, with one coin per copy", async () => {
    let steps = 0;
    let hit = 0;
    const up: Perturber = { name: "up", perturb: (_, delta) => void delta.fill(1) };
    await attack(couriers, observationThreat({ epsilon: 0.5, probability: 0.3 }), up, ({ groups }) => {
      for (let e = 0; e < 4; e++) {
        const { perturbed } = groups[1]!;
        expect(perturbed[2 * e]).toBe(perturbed[2 * e + 1]);
        expect(perturbed[2 * e]).toBe(groups[0]!.perturbed[e]);
        steps++;
        hit += perturbed[2 * e]!;
      }
    });
    // 40 coins of 0.3: standard deviation 0.072.
    expect(Math.abs(hit / steps - 0.3)).toBeLessThan(0.29);
    expect(hit).toBeGreaterThan(0);
  });

  it("tells a perturber whom it faces, and spares the dead", async () => {
    const requests: PerturbRequest[] = [];
    const spy: Perturber = {
      name: "spy",
      perturb: (request) =>
        void requests.push({ ...request, clean: request.clean.slice(), agent: request.agent.slice() }),
    };
    const lived: number[] = [];
    const truth: number[][] = [];
    await attack(
      foragers,
      observationThreat({ epsilon: 0.25, agents: ["forager_1", "forager_2"] }),
      spy,
      ({ groups: [step] }) => {
        const rows = [...step!.acting.keys()].filter((row) => row % 3 > 0 && step!.acting[row] === 1);
        lived.push(rows.length);
        truth.push(rows.flatMap((row) => [...step!.obs.subarray(4 * row, 4 * row + 4)]));
      },
    );
    const shown = requests.map((r) => r.rows);
    expect(shown).toEqual(lived.filter((n) => n > 0));
    expect(new Set(lived).size).toBeGreaterThan(1);
    expect(requests.map((r) => [...r.clean])).toEqual(truth.filter((rows) => rows.length > 0));
    for (const request of requests) {
      expect(request.victim.policy).not.toBeNull();
      expect([...request.scale]).toEqual([1, 1, 1, 0]);
      expect([...request.agent].every((i) => i === 1 || i === 2)).toBe(true);
      expect([...request.epsilon].every((x) => x === 0.25)).toBe(true);
      expect(request.streams).toHaveLength(request.rows);
    }
  });

  it("takes a casting's scale for a share of the radius, never for more", async () => {
    const changes = new Set<number>();
    const up: Perturber = { name: "up", perturb: (_, delta) => void delta.fill(9) };
    const scales = [7, NaN, -1, 0.5];
    let next = 0;
    await attack(
      couriers,
      observationThreat({ epsilon: 0.5, features: ["call"] }),
      up,
      ({ groups }) => {
        const { seen, obs } = groups[1]!;
        for (let k = 0; k < seen.length; k++) changes.add(seen[k]! - obs[k]!);
      },
      () => scales[next++ % 4]!,
    );
    expect(changes).toEqual(new Set([0, 0.25, 0.5]));
    const environment = await createEnvironment(couriers, 1);
    const actors = [randomPolicyActor(environment, 0, 1), randomPolicyActor(environment, 1, 1)];
    const recorder: Recorder = { onAct: ({ groups }) => expect(groups[1]!.seen).toBe(groups[1]!.obs) };
    // Without a threat nothing is copied.
    new Rollout({
      environment,
      actors,
      cast: fixedCasting([0, 1, 1]),
      seed: 0,
      stream: "x",
      recorders: [recorder],
    }).run(2);
  });
});
