import { describe, expect, it } from "vitest";
import { farthest } from "../../test/support/allclose.js";
import { runtime } from "../../test/support/rollouts.js";
import { type NetworkChoice, smallPolicy } from "../../test/support/teams.js";
import { ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import type { Space } from "../env/contract.js";
import { PolicyActor, UniformActor } from "../policy/index.js";
import type { PerturbRequest } from "../rollout/index.js";
import { interpret, neg, trace } from "../tensor/index.js";
import { type AscentOptions, attacks, GradientPerturber, PLAIN_ASCENT } from "./index.js";

const O = 6;
const ROWS = 16;
const FGSM: AscentOptions = { ...PLAIN_ASCENT, steps: 1, stepSize: 1 };

function make(seed: number, space: Space, choice: NetworkChoice = {}) {
  const policy = smallPolicy({ obsSize: O, space, hidden: [12], outputGain: 2, ...choice });
  const parameters = policy.initialParameters(RandomStream.from(seed, "victim"));
  const actor = new PolicyActor("victim", runtime, policy, parameters, "greedy");
  const stream = RandomStream.from(seed, "observations");
  const clean = Float32Array.from({ length: ROWS * O }, () => stream.normal());
  return { policy, parameters, actor, clean };
}

type Victim = ReturnType<typeof make>;

function request(victim: Victim, given: Partial<PerturbRequest> = {}): PerturbRequest {
  const rows = given.rows ?? ROWS;
  return {
    rows,
    victim: victim.actor,
    clean: victim.clean,
    actionMask: null,
    agent: new Int32Array(rows),
    epsilon: new Float32Array(rows).fill(0.25),
    scale: new Float64Array(O).fill(1),
    norm: "linf",
    state: {},
    streams: Array.from({ length: rows }, (_, r) => RandomStream.from(r, "attack")),
    ...given,
  };
}

function attack(victim: Victim, options: AscentOptions, given: Partial<PerturbRequest> = {}): Float32Array {
  const asked = request(victim, given);
  const delta = new Float32Array(asked.rows * O);
  new GradientPerturber("test", runtime, options).perturb(asked, delta);
  return delta;
}

/** −log π(the clean favourite | clean + δ) of each row, in float64. */
function objective(
  { policy, parameters, clean }: Victim,
  delta: ArrayLike<number>,
  mask?: Uint8Array,
): number[] {
  const rows = clean.length / O;
  const A = policy.space.kind === "box" ? 0 : mask === undefined ? 0 : mask.length / rows;
  return trace((graph) => {
    const input = (name: string) => graph.input(name, [rows, O], "float64");
    const p = graph.input("p", [parameters.length], "float64");
    const actionMask = mask === undefined ? undefined : graph.input("mask", [rows, A], "bool");
    const favourite = policy.forward(p, { obs: input("clean"), actionMask }, {}).distribution.mode();
    const out = neg(
      policy.forward(p, { obs: input("seen"), actionMask }, {}).distribution.logProb(favourite),
    );
    const feeds = {
      p: ndarray("float64", [parameters.length], Float64Array.from(parameters)),
      clean: ndarray("float64", [rows, O], Float64Array.from(clean)),
      seen: ndarray(
        "float64",
        [rows, O],
        Float64Array.from(clean, (x, k) => x + delta[k]!),
      ),
      ...(mask === undefined ? {} : { mask: ndarray("bool", [rows, A], mask) }),
    };
    return [...(interpret(out, feeds).data as Float64Array)];
  });
}

const mean = (x: readonly number[]) => x.reduce((a, b) => a + b) / x.length;
const discrete: Space = { kind: "discrete", n: 4 };
const box: Space = { kind: "box", low: [-1, -1], high: [1, 1] };

describe("FGSM", () => {
  it("is ε times the sign of the analytic gradient on a linear policy", () => {
    const victim = make(1, discrete, { hidden: [] });
    const { clean, parameters } = victim;
    const scale = Float64Array.of(1, 1, 0.5, 2, 0, 1);
    const delta = attack(victim, FGSM, { scale });
    for (let r = 0; r < ROWS; r++) {
      const logits = [0, 1, 2, 3].map((a) => {
        let z = parameters[O * 4 + a]!;
        for (let i = 0; i < O; i++) z += clean[r * O + i]! * parameters[i * 4 + a]!;
        return z;
      });
      const top = logits.indexOf(Math.max(...logits));
      const total = logits.reduce((s, z) => s + Math.exp(z), 0);
      for (let i = 0; i < O; i++) {
        // ∂(−log p_top)/∂x_i = Σ_a p_a w_ia − w_i,top
        let slope = -parameters[i * 4 + top]!;
        for (let a = 0; a < 4; a++) slope += (Math.exp(logits[a]!) / total) * parameters[i * 4 + a]!;
        expect(delta[r * O + i]! + 0).toBe(0.25 * scale[i]! * Math.sign(slope) + 0);
      }
    }
  });

  it("raises the objective, for all kinds of actions, and masks are respected", () => {
    const multi: Space = { kind: "multi-discrete", sizes: [3, 2] };
    for (const [space, config] of [
      [discrete, {}],
      [multi, {}],
      [box, {}],
      [discrete, { actionMask: true }],
    ] as const) {
      const victim = make(2, space, config);
      const masked = "actionMask" in config;
      const mask = masked
        ? Uint8Array.from({ length: ROWS * 4 }, (_, k) => (k % 4 === k % 3 ? 0 : 1))
        : undefined;
      const delta = attack(victim, FGSM, { actionMask: mask ?? null });
      expect(mean(objective(victim, delta, mask))).toBeGreaterThan(
        mean(objective(victim, new Float32Array(ROWS * O), mask)) + 0.05,
      );
      if (mask !== undefined) {
        const blind = attack(victim, FGSM, { actionMask: new Uint8Array(ROWS * 4).fill(1) });
        expect(blind).not.toEqual(delta);
      }
    }
  });

  it("moves Gaussian policies at full strength, though their gradient vanishes at the start", () => {
    const victim = make(3, box);
    const delta = attack(victim, FGSM);
    // From a start of at most a hundredth of ε.
    expect(delta.every((d) => Math.abs(d) <= 0.25 && Math.abs(d) >= 0.2474)).toBe(true);
    const l2 = attack(victim, FGSM, { norm: "l2" });
    for (let r = 0; r < ROWS; r++) {
      expect(Math.hypot(...l2.subarray(r * O, (r + 1) * O))).toBeGreaterThan(0.2474);
    }
    expect(mean(objective(victim, delta))).toBeGreaterThan(
      mean(objective(victim, new Float32Array(ROWS * O))) + 0.1,
    );
  });
});

describe("PGD", () => {
  it("with ten steps is no weaker than FGSM, on average over random policies, in both norms", () => {
    for (const norm of ["linf", "l2"] as const) {
      const gains: number[] = [];
      for (let seed = 0; seed < 12; seed++) {
        const victim = make(seed, seed % 3 === 0 ? box : discrete, { hidden: [16, 16], outputGain: 4 });
        const epsilon = new Float32Array(ROWS).fill(0.5);
        const weak = objective(victim, attack(victim, FGSM, { norm, epsilon }));
        const strong = objective(
          victim,
          attack(victim, { ...FGSM, steps: 10, stepSize: 0.25 }, { norm, epsilon }),
        );
        gains.push(mean(strong) - mean(weak));
      }
      expect(mean(gains)).toBeGreaterThan(0.01);
      expect(gains.filter((g) => g >= 0).length).toBeGreaterThanOrEqual(9);
    }
  });

  it("takes any number of steps, one after the other", () => {
    const victim = make(5, discrete);
    for (const norm of ["linf", "l2"] as const) {
      for (const steps of [3, 12, 13]) {
        const once = attack(victim, { ...FGSM, steps, stepSize: 0.3 }, { norm });
        const single = new GradientPerturber("one", runtime, { ...FGSM, stepSize: 0.3 });
        const delta = new Float32Array(ROWS * O);
        for (let k = 0; k < steps; k++) single.perturb(request(victim, { norm }), delta);
        expect(farthest(once, delta, { atol: 1e-5 })).toBeUndefined();
      }
    }
  });

  it("stays within the ball by itself, from random starts too", () => {
    const victim = make(6, discrete);
    const scale = Float64Array.of(1, 0.5, 0, 2, 1, 1);
    for (const norm of ["linf", "l2"] as const) {
      for (const randomStart of [false, true]) {
        const delta = attack(victim, { ...FGSM, steps: 7, stepSize: 0.7, randomStart }, { norm, scale });
        for (let r = 0; r < ROWS; r++) {
          const units = [...delta.subarray(r * O, (r + 1) * O)].map((d, i) =>
            scale[i] === 0 ? d * 1e9 : d / scale[i]!,
          );
          const size = norm === "linf" ? Math.max(...units.map(Math.abs)) : Math.hypot(...units);
          expect(size).toBeLessThanOrEqual(0.25 * (1 + 1e-5));
          expect(size).toBeGreaterThan(0.1);
        }
      }
    }
    const [a, b] = [false, true].map((randomStart) =>
      attack(victim, { ...FGSM, stepSize: 0.1, randomStart }),
    );
    expect(a).not.toEqual(b);
  });
});

describe("the gradient", () => {
  it("agrees with finite differences in float64", () => {
    for (const space of [discrete, { kind: "multi-discrete", sizes: [3, 2] } as const]) {
      const victim = make(7, space);
      // One short ℓ2 step from the clean observation points along the gradient.
      const delta = attack(victim, FGSM, { norm: "l2" });
      for (let r = 0; r < ROWS; r++) {
        const slope = Array.from({ length: O }, (_, i) => {
          const [up, down] = [1e-5, -1e-5].map((h) => {
            const moved = new Float64Array(ROWS * O);
            moved[r * O + i] = h;
            return objective(victim, moved)[r]!;
          });
          return (up! - down!) / 2e-5;
        });
        const length = Math.hypot(...slope);
        const expected = slope.map((s) => (0.25 * s) / length);
        expect(
          farthest(delta.subarray(r * O, (r + 1) * O), expected, { atol: 1e-4, rtol: 1e-3 }),
        ).toBeUndefined();
      }
    }
  });

  it("of a row does not depend on the rows beside it", () => {
    const victim = make(8, { kind: "box", low: [-1], high: [1] });
    const all = attack(victim, { ...FGSM, steps: 4, stepSize: 0.4 }, { norm: "l2" });
    for (const r of [0, 5, 15]) {
      const alone = attack(
        victim,
        { ...FGSM, steps: 4, stepSize: 0.4 },
        {
          norm: "l2",
          rows: 1,
          clean: victim.clean.slice(r * O, (r + 1) * O),
          streams: [RandomStream.from(r, "attack")],
        },
      );
      expect([...alone]).toEqual([...all.subarray(r * O, (r + 1) * O)]);
    }
  });

  it("needs a policy, and says whose is missing", () => {
    const victim = make(9, discrete);
    const blind = request(victim, { victim: new UniformActor("dice", discrete) });
    const perturber = new GradientPerturber("fgsm", runtime, FGSM);
    expect(() => perturber.perturb(blind, new Float32Array(ROWS * O))).toThrow(
      'fgsm: "dice" has no differentiable policy; a gradient attack needs one.',
    );
  });

  it("follows the policy's parameters as they are replaced, and keeps policies apart", () => {
    const perturber = new GradientPerturber("fgsm", runtime, FGSM);
    const run = (victim: Victim, norm: "linf" | "l2" = "linf") => {
      const delta = new Float32Array(ROWS * O);
      perturber.perturb(request(victim, { norm }), delta);
      return delta;
    };
    const [a, b] = [make(10, discrete), make(11, box)];
    const [first, other, round] = [run(a), run(b), run(a, "l2")];
    expect(other).not.toEqual(first);
    expect(round).not.toEqual(first);
    expect(run(a)).toEqual(first);
    a.actor.policy.parameters = make(12, discrete).parameters;
    expect(run(a)).not.toEqual(first);
  });
});

describe("random noise", () => {
  const noise = async (given: Partial<PerturbRequest>, options: object = {}) => {
    const random = attacks.get("random");
    const threat = { channel: "observation", norm: given.norm ?? "linf", knowledge: "black-box" };
    const started = await random.start({ threat } as never, random.options.parse(options));
    const adversary = started.adversary();
    if (adversary.kind !== "perturber") throw new Error("unreachable");
    const asked = request(make(1, discrete), given);
    const delta = new Float32Array(asked.rows * O);
    adversary.perturber.perturb(asked, delta);
    return delta;
  };
  const scale = Float64Array.of(1, 2, 0, 0.5, 1, 1);

  it("has the full norm", async () => {
    const linf = await noise({ scale });
    linf.forEach((d, k) => {
      expect(Math.abs(d)).toBe(0.25 * scale[k % O]!);
    });
    expect(new Set([...linf].map(Math.sign)).size).toBe(3);
    const l2 = await noise({ scale, norm: "l2" });
    for (let r = 0; r < ROWS; r++) {
      const units = [...l2.subarray(r * O, (r + 1) * O)].map((d, i) => (scale[i] === 0 ? d : d / scale[i]!));
      expect(Math.hypot(...units)).toBeCloseTo(0.25, 6);
    }
  });

  it("is uniform in the ball where asked to", async () => {
    const delta = await noise({}, { noise: "uniform" });
    expect(delta.every((d) => Math.abs(d) <= 0.25)).toBe(true);
    // 96 uniform draws: the mean of |δ| is ε/2 with a standard error of 0.0074.
    expect(Math.abs(mean([...delta].map(Math.abs)) - 0.125)).toBeLessThan(0.03);
  });
});
