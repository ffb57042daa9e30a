import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { runtime } from "../../test/support/rollouts.js";
import { smallPolicy } from "../../test/support/teams.js";
import { RandomStream } from "../core/random.js";
import { categorical } from "../nn/index.js";
import { type Policy, PolicyActor } from "../policy/index.js";
import type { PerturbRequest } from "../rollout/index.js";
import {
  abs,
  add,
  concat,
  exp,
  filled,
  mul,
  neg,
  square,
  sub,
  type Tensor,
  zerosLike,
} from "../tensor/index.js";
import {
  AdaptiveSteps,
  type AscentOptions,
  checkpoints,
  GradientPerturber,
  PLAIN_ASCENT,
  pgd,
} from "./index.js";

const EPSILON = 0.5;

/** The perturbation of rows of one policy. */
function attack(
  policy: Policy,
  parameters: Float32Array,
  clean: Float32Array,
  options: Partial<AscentOptions>,
  given: Partial<PerturbRequest> = {},
): Float32Array {
  const O = policy.obsSize;
  const rows = clean.length / O;
  const perturber = new GradientPerturber("test", runtime, {
    ...PLAIN_ASCENT,
    steps: 10,
    stepSize: 0.25,
    ...options,
  });
  const delta = new Float32Array(rows * O);
  const request: PerturbRequest = {
    rows,
    victim: new PolicyActor("victim", runtime, policy, parameters, "greedy"),
    clean,
    actionMask: null,
    agent: new Int32Array(rows),
    epsilon: new Float32Array(rows).fill(EPSILON),
    scale: new Float64Array(O).fill(1),
    norm: "linf",
    state: {},
    streams: Array.from({ length: rows }, (_, r) => RandomStream.from(r, "attack")),
    ...given,
  };
  perturber.perturb(request, delta);
  return delta;
}

const normals = (count: number, ...key: (string | number)[]) => {
  const stream = RandomStream.from(3, ...key);
  return Float32Array.from({ length: count }, () => stream.normal());
};

/** −log π(the clean favourite | clean + δ) of a policy without hidden layers, from its weights. */
function linearObjective(parameters: Float32Array, clean: Float32Array, O: number, A: number) {
  const logitsAt = (x: ArrayLike<number>) =>
    Array.from({ length: A }, (_, a) => {
      let z = parameters[O * A + a]!;
      for (let i = 0; i < O; i++) z += x[i]! * parameters[i * A + a]!;
      return z;
    });
  return (r: number, delta: ArrayLike<number>) => {
    const row = Array.from(clean.subarray(r * O, (r + 1) * O));
    const before = logitsAt(row);
    const top = before.indexOf(Math.max(...before));
    const z = logitsAt(row.map((x, i) => x + delta[i]!));
    return Math.log(z.reduce((s, v) => s + Math.exp(v - z[top]!), 0));
  };
}

/** Every rule, with what it needs to come close. */
const searches: Readonly<Record<string, Partial<AscentOptions>>> = {
  constant: {},
  decay: { stepRule: "decay", stepSize: 0.5 },
  momentum: { momentum: 0.5 },
  "best point": { keep: "best" },
  adaptive: { stepRule: "adaptive", stepSize: 2, momentum: 0.25, keep: "best", steps: 30 },
  restarts: { restarts: 3 },
  margin: { objective: "margin" },
};

describe("against a linear policy with two actions, where the worst δ is known", () => {
  const [O, ROWS] = [5, 7];
  const policy = smallPolicy({ obsSize: O, space: { kind: "discrete", n: 2 }, hidden: [] });
  const parameters = policy.initialParameters(RandomStream.from(1, "victim"));
  const clean = normals(ROWS * O, "clean");
  const scale = Float64Array.of(1, 0.5, 2, 0, 1);
  /** Away from the favourite: w_other − w_favourite. */
  const directionOf = (r: number) => {
    const z = [0, 1].map((a) => {
      let s = parameters[2 * O + a]!;
      for (let i = 0; i < O; i++) s += clean[r * O + i]! * parameters[2 * i + a]!;
      return s;
    });
    const top = z[1]! > z[0]! ? 1 : 0;
    return Array.from({ length: O }, (_, i) => parameters[2 * i + 1 - top]! - parameters[2 * i + top]!);
  };

  for (const [name, options] of Object.entries(searches)) {
    it(`every row ends there: ${name}`, () => {
      for (const norm of ["linf", "l2"] as const) {
        const delta = attack(policy, parameters, clean, options, { norm, scale });
        for (let r = 0; r < ROWS; r++) {
          const own = directionOf(r).map((w, i) => w * scale[i]!);
          const length = Math.hypot(...own);
          const worst = own.map(
            (w, i) => EPSILON * scale[i]! * (norm === "linf" ? Math.sign(w) : w / length),
          );
          expect(delta.subarray(r * O, (r + 1) * O)).toBeAllclose(worst, { atol: 2e-3, rtol: 0 });
        }
      }
    });
  }
});

describe("against a linear policy with four actions", () => {
  const [O, A, ROWS] = [6, 4, 64];
  const policy = smallPolicy({ obsSize: O, space: { kind: "discrete", n: A }, hidden: [], outputGain: 3 });
  const parameters = policy.initialParameters(RandomStream.from(2, "victim"));
  const clean = normals(ROWS * O, "clean");
  const value = linearObjective(parameters, clean, O, A);
  // The objective is convex in δ: its maximum over the box is at one of the 64 corners.
  const best = Array.from({ length: ROWS }, (_, r) =>
    Math.max(
      ...Array.from({ length: 2 ** O }, (_, corner) =>
        value(
          r,
          Array.from({ length: O }, (_, i) => ((corner >> i) & 1 ? EPSILON : -EPSILON)),
        ),
      ),
    ),
  );
  const missed = (options: Partial<AscentOptions>) => {
    const delta = attack(policy, parameters, clean, options);
    return best.filter((b, r) => value(r, delta.subarray(r * O, (r + 1) * O)) < b - 1e-4).length;
  };

  it("restarts find the best corner of every row; one start misses some", () => {
    expect(missed({})).toBeGreaterThan(2);
    expect(missed({ restarts: 30 })).toBe(0);
    expect(missed({ restarts: 30, stepRule: "adaptive", stepSize: 2, momentum: 0.25, keep: "best" })).toBe(0);
  });

  it("more starts are never worse, for any row", () => {
    const [few, many] = [1, 6].map((restarts) => attack(policy, parameters, clean, { restarts }));
    for (let r = 0; r < ROWS; r++) {
      const [a, b] = [few!, many!].map((d) => value(r, d.subarray(r * O, (r + 1) * O)));
      expect(b!).toBeGreaterThanOrEqual(a! - 1e-5);
    }
  });
});

/**
 * Two actions, one number seen. The second action's logit over x is −3 with two hills: a low, narrow one at 0.2 (height
 * 1) and a high one at 0.7 (height 4). The favourite at 0 is the first action.
 */
const HILLS = [
  { at: 0.2, width: 0.05, height: 1 },
  { at: 0.7, width: 0.15, height: 4 },
] as const;
const hills = (x: number) =>
  HILLS.reduce((s, { at, width, height }) => s + height * Math.exp(-(((x - at) / width) ** 2)), -3);

/** A policy of two actions whose logits are 0 and a function of the one number it sees. */
const logitPolicy = (logit: (x: Tensor) => Tensor): Policy => ({
  ...smallPolicy({ obsSize: 1, space: { kind: "discrete", n: 2 } }),
  obsSize: 1,
  space: { kind: "discrete", n: 2 },
  usesAgentId: false,
  usesActionMask: false,
  initialState: () => ({}),
  forward: (_, { obs }) => {
    const other = logit(obs);
    return { distribution: categorical(concat([zerosLike(other), other], 1)), state: {}, aux: {} };
  },
});
const hilly = logitPolicy((x) =>
  HILLS.reduce(
    (z, { at, width, height }) => add(z, mul(exp(neg(square(mul(sub(x, at), 1 / width)))), height)),
    filled(-3, x.shape, x.dtype),
  ),
);

describe("on a landscape with a low hill before the high one", () => {
  const clean = new Float32Array(8);
  const run = (options: Partial<AscentOptions>) =>
    attack(
      hilly,
      new Float32Array(1),
      clean,
      { steps: 30, stepSize: 0.05, ...options },
      {
        epsilon: new Float32Array(8).fill(1),
      },
    );
  const heights = (delta: Float32Array) => Array.from(delta, hills);

  it("plain steps stay on the low hill; momentum carries over it", () => {
    expect(Math.max(...heights(run({})))).toBeLessThan(-1.9);
    expect(Math.min(...heights(run({ momentum: 0.9, keep: "best" })))).toBeGreaterThan(0.9);
  });

  it("restarts find the high hill, each row from its own stream", () => {
    const starts = run({ restarts: 8 });
    expect(Math.min(...heights(starts))).toBeGreaterThan(0.5);
    // Rows have the same observation, but other starts.
    expect(new Set(starts).size).toBeGreaterThan(1);
  });

  it("the best point on the way is kept where asked for", () => {
    // 0, 0.45, 0.9 and back to 0.45: the third point is the best.
    const jumps = { steps: 3, stepSize: 0.45 };
    const [last, best] = [run(jumps), run({ ...jumps, keep: "best" })];
    const visited = [0];
    for (let k = 0, x = 0; k < 3; k++) {
      x = Math.fround(x + 0.45 * Math.sign(hills(x + 1e-6) - hills(x - 1e-6)));
      visited.push(x);
    }
    expect(last[0]).toBeCloseTo(visited[3]!, 5);
    expect(hills(best[0]!)).toBeCloseTo(Math.max(...visited.map(hills)), 4);
    expect(hills(best[0]!)).toBeGreaterThan(hills(last[0]!) + 0.1);
  });

  it("decaying steps end closer to the top than constant ones", () => {
    const coarse = { steps: 10, stepSize: 0.08 };
    const far = (d: Float32Array) => Math.abs(d[0]! - 0.2);
    expect(far(run({ ...coarse, stepRule: "decay" }))).toBeLessThan(0.02);
    expect(far(run({ ...coarse, steps: 9 }))).toBeGreaterThan(0.03);
  });
});

describe("adaptive steps", () => {
  it("have the checkpoints of the paper", () => {
    expect(checkpoints(100)).toEqual([22, 41, 57, 70, 80, 87, 93, 99]);
    expect(checkpoints(30)).toEqual([7, 13, 18, 21, 24, 27, 28]);
    expect(checkpoints(10)).toEqual([3, 5, 6, 7, 8, 9]);
    expect(checkpoints(2)).toEqual([1]);
    expect(checkpoints(1)).toEqual([]);
  });

  it("halve where too few steps improve, or nothing has changed since the last look", () => {
    const rule = new AdaptiveSteps(10, 2, [0, 0]);
    /** What the two rows are told after each step: whether it was an improvement, and the best value. */
    const tell = (step: number, improved: [boolean, boolean], best: [number, number]) => {
      for (const r of [0, 1]) rule.saw(r, 0, improved[r] ? 1 : 0);
      return rule.look(step, best);
    };
    tell(1, [true, true], [1, 1]);
    tell(2, [true, false], [2, 1]);
    // Two of three are less than three quarters.
    expect(tell(3, [true, true], [3, 2])).toEqual([1]);
    expect([...rule.share]).toEqual([2, 1]);
    tell(4, [true, true], [3, 3]);
    // All are improvements, but of nothing that counts.
    expect(tell(5, [true, true], [3, 4])).toEqual([0]);
    expect([...rule.share]).toEqual([1, 1]);
    // A shorter step gets a chance first.
    expect(tell(6, [true, true], [3, 4])).toEqual([1]);
    expect(tell(7, [true, true], [3, 4])).toEqual([0]);
    expect([...rule.share]).toEqual([0.5, 0.5]);
  });

  it("go the way of algorithm 1, written down for one number", () => {
    const [K, epsilon, inertia] = [30, 1, 0.25];
    const at = new Set(checkpoints(K));
    // Pointed, so that no two points near the top are equal in float32.
    const roofs = (x: number) =>
      -3 - 2 * Math.abs(x - 0.37) + 3 * Math.abs(x - 0.11) - 2.3 * Math.abs(x + 0.52);
    const pointed = logitPolicy((x) =>
      sub(sub(mul(abs(sub(x, 0.11)), 3), mul(abs(sub(x, 0.37)), 2)), add(mul(abs(add(x, 0.52)), 2.3), 3)),
    );
    /** The paper's names: x, z, η, f_max. As in its code, a restart is decided before the next point is made. */
    const reference = (start: number) => {
      const slope = (x: number) => Math.sign(roofs(x + 1e-7) - roofs(x - 1e-7));
      const clip = (x: number) => Math.min(epsilon, Math.max(-epsilon, x));
      let [x, previous, eta] = [start, start, 2 * epsilon];
      let [top, topAt] = [roofs(x), x];
      let [improved, halved, topThen, since] = [0, false, roofs(x), 0];
      for (let k = 0; k < K; k++) {
        const z = clip(x + eta * slope(x));
        const next = k === 0 ? z : clip(x + (1 - inertia) * (z - x) + inertia * (x - previous));
        [previous, x] = [x, next];
        if (roofs(x) > roofs(previous)) improved++;
        if (roofs(x) > top) [top, topAt] = [roofs(x), x];
        if (!at.has(k + 1)) continue;
        const window = k + 1 - since;
        const halve = improved < 0.75 * window || (!halved && topThen === top);
        [since, improved, topThen, halved] = [k + 1, 0, top, halve];
        if (halve) [eta, x] = [eta / 2, topAt];
      }
      return topAt;
    };
    const starts = Float32Array.of(0, 0.5, 0.66, 0.9, 0.1, 0.3, -0.4, 0.75);
    const zero = new Float32Array(8);
    // Every row sees 0 and starts elsewhere: what is handed over is the first point.
    const perturber = new GradientPerturber("test", runtime, {
      ...PLAIN_ASCENT,
      ...searches.adaptive,
      steps: K,
      stepSize: 2,
    });
    const delta = starts.slice();
    perturber.perturb(
      {
        rows: 8,
        victim: new PolicyActor("pointed", runtime, pointed, new Float32Array(1), "greedy"),
        clean: zero,
        actionMask: null,
        agent: new Int32Array(8),
        epsilon: new Float32Array(8).fill(epsilon),
        scale: new Float64Array(1).fill(1),
        norm: "linf",
        state: {},
        streams: Array.from({ length: 8 }, (_, r) => RandomStream.from(r)),
      },
      delta,
    );
    starts.forEach((start, r) => {
      expect(delta[r]!).toBeCloseTo(reference(start), 4);
    });
  });
});

describe("every search", () => {
  const [O, ROWS] = [6, 9];
  const policy = smallPolicy({ obsSize: O, space: { kind: "discrete", n: 4 }, hidden: [12], outputGain: 3 });
  const parameters = policy.initialParameters(RandomStream.from(5, "victim"));
  const clean = normals(ROWS * O, "clean");
  const all: Readonly<Record<string, Partial<AscentOptions>>> = {
    ...searches,
    everything: { ...searches.adaptive, restarts: 3, objective: "margin", randomStart: true },
  };

  it("treats a row the same whatever is beside it, to the last bit", () => {
    for (const options of Object.values(all)) {
      for (const norm of ["linf", "l2"] as const) {
        const together = attack(policy, parameters, clean, options, { norm });
        for (const r of [0, 4, 8]) {
          const alone = attack(policy, parameters, clean.slice(r * O, (r + 1) * O), options, {
            norm,
            streams: [RandomStream.from(r, "attack")],
          });
          expect([...alone]).toEqual([...together.subarray(r * O, (r + 1) * O)]);
        }
      }
    }
  });

  it("stays within the ball by itself, and leaves entries of scale 0 alone", () => {
    const scale = Float64Array.of(1, 0.5, 0, 2, 1, 1);
    for (const options of Object.values(all)) {
      for (const norm of ["linf", "l2"] as const) {
        const delta = attack(policy, parameters, clean, { ...options, stepSize: 0.7 }, { norm, scale });
        for (let r = 0; r < ROWS; r++) {
          const units = [...delta.subarray(r * O, (r + 1) * O)].map((d, i) =>
            scale[i] === 0 ? d * 1e9 : d / scale[i]!,
          );
          const size = norm === "linf" ? Math.max(...units.map(Math.abs)) : Math.hypot(...units);
          expect(size).toBeLessThanOrEqual(EPSILON * (1 + 1e-5));
          expect(size).toBeGreaterThan(0.1);
        }
      }
    }
  });

  it("uses the state that a recurrent victim comes with, and leaves it as it was", () => {
    const H = 5;
    const victim = smallPolicy({ obsSize: O, space: policy.space, recurrent: H, outputGain: 3 });
    const weights = victim.initialParameters(RandomStream.from(6, "victim"));
    for (const options of Object.values(all)) {
      const [one, two] = ["one", "two"].map((key) => {
        const hidden = { dtype: "float32", shape: [ROWS, H], data: normals(ROWS * H, key) } as const;
        const before = hidden.data.slice();
        const delta = attack(victim, weights, clean, options, { state: { hidden } });
        expect(hidden.data).toEqual(before);
        const last = ROWS - 1;
        const alone = attack(victim, weights, clean.slice(last * O), options, {
          state: { hidden: { dtype: "float32", shape: [1, H], data: before.slice(last * H) } },
          streams: [RandomStream.from(last, "attack")],
        });
        expect([...alone]).toEqual([...delta.subarray(last * O)]);
        return delta;
      });
      expect(one).not.toEqual(two);
    }
  });
});

describe("the attack", () => {
  const start = (options: object, kind: "discrete" | "box" = "discrete", agents = ["a"]) => {
    const space = kind === "box" ? ({ kind, low: [-1], high: [1] } as const) : ({ kind, n: 2 } as const);
    const policy = smallPolicy({ obsSize: 2, space });
    const team = { environment: "test", members: [{ name: "drivers", agents: ["a", "b"], policy }] };
    const threat = { channel: "observation", agents, norm: "linf", knowledge: "white-box" };
    return pgd.start({ runtime, threat, team } as never, pgd.options.parse(options));
  };

  it("counts the gradients of all starts", async () => {
    expect((await start({})).effort().gradientsPerDecision).toBe(10);
    expect((await start({ iterations: 30, restarts: 5 })).effort().gradientsPerDecision).toBe(150);
  });

  it("fills in what the step rule implies", async () => {
    const optionsOf = async (o: object) => {
      const adversary = (await start(o)).adversary();
      if (adversary.kind !== "perturber") throw new Error("unreachable");
      return (adversary.perturber as GradientPerturber).options;
    };
    expect(await optionsOf({})).toEqual({ ...PLAIN_ASCENT, steps: 10, stepSize: 0.25 });
    expect(await optionsOf({ stepRule: "adaptive", iterations: 30 })).toMatchObject({
      stepSize: 2,
      momentum: 0.25,
      keep: "best",
    });
    expect(await optionsOf({ stepRule: "adaptive", momentum: 0, keep: "last", stepSize: 1 })).toMatchObject({
      stepSize: 1,
      momentum: 0,
      keep: "last",
    });
  });

  it("has no margin against continuous actions, and says so", async () => {
    await expect(start({ objective: "margin" }, "box")).rejects.toThrow(
      'attack "pgd": got the objective "margin" against "drivers", whose actions are continuous; expected discrete actions. Use "cross-entropy".',
    );
    await expect(start({ objective: "margin" })).resolves.toBeDefined();
    await expect(start({}, "box")).resolves.toBeDefined();
    // Others of the team may have continuous actions.
    await expect(start({ objective: "margin" }, "box", ["elsewhere"])).resolves.toBeDefined();
  });
});
