import { describe, expect, it } from "vitest";
import { type AdversaryTraining, type AttackDefinition, attacks } from "../../src/attacks/index.js";
import { type NdArray, zeros } from "../../src/core/array.js";
import { mapTree } from "../../src/core/tree.js";
import { ConstantActor } from "../support/rollouts.js";
import { type AttackRule, checkAttack } from "./attacks.js";

/** Small options of attacks whose defaults are too large for a test. */
const options: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "best-response": { copies: 4, rolloutSteps: 8, hidden: [4], minibatches: 2, epochs: 2, learningRate: 0.01 },
};

describe("every registered attack keeps the contract", () => {
  for (const [name, definition] of attacks.entries()) {
    it.each([
      ["a feed-forward", {}],
      ["a recurrent", { recurrent: 8 }],
    ])(`${name}, against %s team`, async (_, team) => {
      expect(await checkAttack({ definition, small: options[name] ?? {}, team })).toEqual([]);
    });
  }

  it("pgd with restarts, momentum and adaptive steps", async () => {
    const small = { stepRule: "adaptive", restarts: 2, iterations: 6 };
    for (const team of [{}, { recurrent: 8 }])
      expect(await checkAttack({ definition: attacks.get("pgd"), small, team })).toEqual([]);
  });
});

type Mutable = { -readonly [K in keyof AdversaryTraining]: AdversaryTraining[K] };

/** The attack of that name with every training it starts changed by `flaw`. */
function mutant(
  name: string,
  flaw: (broken: Mutable, sound: AdversaryTraining) => void,
  change: Partial<AttackDefinition> = {},
): AttackDefinition {
  const definition = attacks.get(name);
  return {
    ...definition,
    start: async (context, o) => {
      const sound = await definition.start(context, o);
      const broken = Object.create(sound, {}) as Mutable;
      // Getters and private fields belong to the sound one.
      const proxy = new Proxy(broken, {
        get: (target, key) => {
          if (Object.hasOwn(target, key)) return Reflect.get(target, key);
          const value = Reflect.get(sound, key, sound);
          return typeof value === "function" ? value.bind(sound) : value;
        },
      });
      flaw(broken, sound);
      return proxy;
    },
    ...change,
  };
}

/** Own properties may be replaced on the broken one, whatever the sound one has. */
function put<K extends keyof Mutable>(broken: Mutable, key: K, value: Mutable[K]): void {
  Object.defineProperty(broken, key, { value, configurable: true });
}

const sound = (name: string) => attacks.get(name);

const mutants: readonly [what: string, rules: readonly AttackRule[], name: string, AttackDefinition][] = [
  [
    "takes any channel",
    ["refuses"],
    "fgsm",
    {
      ...sound("fgsm"),
      start: (context, o) =>
        sound("fgsm").start({ ...context, threat: { channel: "observation", norm: "linf" } as never }, o),
    },
  ],
  [
    "differentiates in the dark",
    ["refuses"],
    "pgd",
    {
      ...sound("pgd"),
      start: (context, o) =>
        sound("pgd").start({ ...context, threat: { ...context.threat, knowledge: "white-box" } as never }, o),
    },
  ],
  [
    "refuses what needs no gradient, too",
    ["refuses", "kind"],
    "random",
    {
      ...sound("random"),
      start: async (context, o) => {
        if ("knowledge" in context.threat && context.threat.knowledge === "black-box") throw new Error("no");
        return sound("random").start(context, o);
      },
    },
  ],
  [
    "gives a perturber for seats",
    ["kind"],
    "random",
    mutant("random", (b) => put(b, "adversary", () => ({ kind: "world" }))),
  ],
  [
    "draws without a seed",
    ["deterministic"],
    "random",
    mutant("random", (b, s) => {
      const inner = s.adversary();
      if (inner.kind !== "perturber") return;
      put(b, "adversary", () => ({
        kind: "perturber",
        perturber: {
          name: "x",
          perturb: (_, delta) => delta.forEach((_d, k) => void delta.fill(Math.random() - 0.5, k, k + 1)),
        },
      }));
    }),
  ],
  [
    "does nothing to observations",
    ["effective"],
    "fgsm",
    mutant("fgsm", (b) =>
      put(b, "adversary", () => ({ kind: "perturber", perturber: { name: "x", perturb: () => {} } })),
    ),
  ],
  [
    "plays agents it was not given",
    ["kind"],
    "random",
    mutant("random", (b, s) => {
      const inner = s.adversary();
      if (inner.kind !== "seats") return;
      put(b, "adversary", () => ({
        kind: "seats",
        actors: new Map([...inner.actors, ["singer_0", new ConstantActor("x", 0)]]),
      }));
    }),
  ],
  [
    "damages the team it attacks",
    ["team", "deterministic"],
    "fgsm",
    {
      ...sound("fgsm"),
      start: async (context, o) => {
        const training = await sound("fgsm").start(context, o);
        const adversary = () => {
          for (const member of context.team.members) member.parameters[0]! += 0.01;
          return training.adversary();
        };
        return { ...training, adversary };
      },
    },
  ],
  [
    "hides its gradients",
    ["effort"],
    "pgd",
    mutant("pgd", (b) => put(b, "effort", () => ({ envSteps: 0, gradientsPerDecision: 0 }))),
  ],
  [
    "counts its steps wrongly",
    ["effort"],
    "best-response",
    mutant("best-response", (b, s) => put(b, "effort", () => ({ ...s.effort(), envSteps: s.envSteps - 1 }))),
  ],
  ["says that it learns and does not", ["learns", "effort"], "fgsm", { ...sound("fgsm"), learns: true }],
  [
    "forgets the running episodes",
    ["resume"],
    "best-response",
    mutant("best-response", (b, s) => {
      put(b, "loadState", (state) => {
        // An empty state stays one.
        if (state.meta.iteration === undefined) return s.loadState(state);
        const { rollout } = s.saveState().arrays as Record<string, NdArray>;
        s.loadState({
          ...state,
          arrays: { ...(state.arrays as Record<string, NdArray>), rollout: rollout! },
        });
      });
    }),
  ],
  [
    "forgets the running returns",
    ["resume"],
    "best-response",
    mutant("best-response", (b, s) => {
      put(b, "loadState", (state) => {
        if (state.meta.iteration === undefined) return s.loadState(state);
        const { tally, ...rest } = state.arrays as Record<string, NdArray>;
        s.loadState({ ...state, arrays: { ...rest, tally: zeros(tally!.dtype, tally!.shape) } });
      });
    }),
  ],
  [
    "forgets what it learned",
    ["resume"],
    "best-response",
    mutant("best-response", (b, s) => {
      put(b, "saveState", () => {
        const { arrays, meta } = s.saveState();
        const { learners, ...rest } = arrays as Record<string, NdArray>;
        return {
          arrays: { ...rest, learners: mapTree<NdArray, NdArray>(learners!, (x) => zeros(x.dtype, x.shape)) },
          meta,
        };
      });
    }),
  ],
  [
    "starts counting again after loading",
    ["resume"],
    "best-response",
    mutant("best-response", (b, s) => {
      put(b, "loadState", (state) => {
        if (state.meta.iteration === undefined) return s.loadState(state);
        s.loadState({ ...state, meta: { ...state.meta, iteration: 0 } });
      });
    }),
  ],
  [
    "accepts any state",
    ["resume"],
    "best-response",
    mutant("best-response", (b) => put(b, "loadState", () => {})),
  ],
];

describe("the suite rejects an attack that", () => {
  for (const [what, rules, name, definition] of mutants) {
    it(what, async () => {
      const found = (await checkAttack({ definition, small: options[name] ?? {} })).map(({ rule }) => rule);
      expect(found).toContain(rules[0]);
      expect(found.filter((rule) => !rules.includes(rule))).toEqual([]);
    });
  }
});
