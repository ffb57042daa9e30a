import { describe, expect, it } from "vitest";
import { type NdArray, zeros } from "../../src/core/array.js";
import { mapTree } from "../../src/core/tree.js";
import { type DefenseDefinition, defenses, type TeamTraining } from "../../src/defenses/index.js";
import { checkDefense, type DefenseRule } from "./defenses.js";

/** Options under which everything that a defense does happens within a few iterations. */
const options: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "two-timescale": { warmup: 0.2, share: 0.5 },
  "adversarial-training": { attack: "pgd", iterations: 2, ramp: 0.3 },
};

describe("every registered defense keeps the contract", () => {
  for (const [name, definition] of defenses.entries()) {
    it(name, async () => {
      expect(await checkDefense({ definition, small: options[name] ?? {} })).toEqual([]);
    });
  }
});

type Mutable = { -readonly [K in keyof TeamTraining]: TeamTraining[K] };

/** Every call goes to the sound training, but for what `flaw` returns. */
function mutant(name: string, flaw: (sound: TeamTraining) => Partial<Mutable>): DefenseDefinition {
  const definition = defenses.get(name);
  return {
    ...definition,
    start: async (context, o) => {
      const sound = await definition.start(context, o);
      const own = flaw(sound);
      return new Proxy(sound, {
        get: (_, key) => {
          if (Object.hasOwn(own, key)) return Reflect.get(own, key);
          const value = Reflect.get(sound, key, sound);
          return typeof value === "function" ? value.bind(sound) : value;
        },
      });
    },
  };
}

type Arrays = Record<string, NdArray>;
const withArrays =
  (change: (arrays: Arrays) => Arrays) =>
  (sound: TeamTraining): Partial<Mutable> => ({
    loadState: (state) => {
      if (state.meta.iteration === undefined) return sound.loadState(state);
      sound.loadState({ ...state, arrays: change({ ...(state.arrays as Arrays) }) });
    },
  });

const mutants: readonly [what: string, rules: readonly DefenseRule[], name: string, DefenseDefinition][] = [
  [
    "trains against any threat",
    ["refuses"],
    "plain",
    {
      ...defenses.get("plain"),
      start: (context, o) => defenses.get("plain").start({ ...context, threat: null }, o),
    },
  ],
  [
    "counts its steps wrongly",
    ["steps"],
    "plain",
    mutant("plain", (sound) => ({
      get envSteps() {
        return sound.envSteps + 1;
      },
    })),
  ],
  [
    "stops one iteration early",
    ["steps"],
    "plain",
    mutant("plain", (sound) => ({ iterations: sound.iterations - 1 })),
  ],
  [
    "leaves an agent out of its team",
    ["team"],
    "two-timescale",
    mutant("two-timescale", (sound) => ({
      team: () => {
        const team = sound.team();
        return { ...team, members: team.members.map((m) => ({ ...m, agents: m.agents.slice(1) })) };
      },
    })),
  ],
  [
    "gives its team away untrained",
    ["team"],
    "plain",
    mutant("plain", (sound) => {
      const first = sound.team();
      return { team: () => first };
    }),
  ],
  [
    "forgets the adversary",
    ["resume", "failure"],
    "two-timescale",
    mutant("two-timescale", (sound) => {
      const fresh = (sound.saveState().arrays as unknown as { learners: Record<string, NdArray> }).learners[
        "1"
      ]!;
      return withArrays((arrays) => ({
        ...arrays,
        learners: { ...(arrays.learners as unknown as Arrays), "1": fresh } as never,
      }))(sound);
    }),
  ],
  [
    "forgets the running episodes",
    ["resume"],
    "plain",
    mutant("plain", (sound) =>
      withArrays((arrays) => ({ ...arrays, rollout: (sound.saveState().arrays as Arrays).rollout! }))(sound),
    ),
  ],
  [
    "forgets the running returns",
    ["resume"],
    "plain",
    mutant(
      "plain",
      withArrays((arrays) => ({ ...arrays, tally: zeros("float64", arrays.tally!.shape) })),
    ),
  ],
  [
    "forgets how far it was",
    ["resume"],
    "adversarial-training",
    mutant("adversarial-training", (sound) => ({
      loadState: (state) => {
        if (state.meta.iteration === undefined) return sound.loadState(state);
        sound.loadState({ ...state, meta: { ...state.meta, iteration: 0 } });
      },
    })),
  ],
  [
    "saves live arrays",
    ["saved-state", "resume", "failure", "deterministic"],
    "plain",
    mutant("plain", (sound) => {
      let live: Arrays | null = null;
      const copy = () => {
        const now = sound.saveState();
        const rollout = (now.arrays as unknown as { rollout: { episode: NdArray<"int32"> } }).rollout;
        live ??= { rollout: rollout as never };
        const kept = (live as unknown as { rollout: { episode: NdArray<"int32"> } }).rollout.episode;
        kept.data.set(rollout.episode.data);
        rollout.episode = kept;
        return now;
      };
      return {
        saveState: copy,
        step: () => {
          const metrics = sound.step();
          if (live !== null) copy();
          return metrics;
        },
      };
    }),
  ],
  ["accepts any state", ["resume"], "plain", mutant("plain", () => ({ loadState: () => undefined }))],
  [
    "draws without a seed",
    ["deterministic", "resume", "failure"],
    "plain",
    mutant("plain", (sound) => ({
      step: () => {
        const metrics = sound.step();
        const { arrays, meta } = sound.saveState();
        const { learners } = arrays as unknown as { learners: Arrays };
        const noise = () => 1e-3 * Math.random();
        const shaken = mapTree<NdArray, NdArray>(learners as never, (leaf, path) =>
          path.endsWith("/actor")
            ? ({ ...leaf, data: (leaf.data as Float32Array).map((x) => x + noise()) } as NdArray)
            : leaf,
        );
        sound.loadState({ arrays: { ...(arrays as Arrays), learners: shaken as never }, meta });
        return metrics;
      },
    })),
  ],
  [
    "keeps half a step that failed",
    ["failure"],
    "plain",
    mutant("plain", (sound) => ({
      step: () => {
        try {
          return sound.step();
        } catch (error) {
          const { arrays, meta } = sound.saveState();
          sound.loadState({
            arrays: { ...(arrays as Arrays), tally: zeros("float64", (arrays as Arrays).tally!.shape) },
            meta,
          });
          throw error;
        }
      },
    })),
  ],
  [
    "leaves out what it measured",
    ["metrics", "deterministic"],
    "plain",
    mutant("plain", (sound) => ({
      step: () => {
        const { return: _, ...rest } = sound.step();
        return rest;
      },
    })),
  ],
  ["does not close its environment", ["close"], "plain", mutant("plain", () => ({ close: () => undefined }))],
];

describe("the suite rejects a defense that", () => {
  for (const [what, rules, name, definition] of mutants) {
    it(what, async () => {
      const found = (await checkDefense({ definition, small: options[name] ?? {} })).map(({ rule }) => rule);
      expect(found).toContain(rules[0]);
      expect(found.filter((rule) => !rules.includes(rule))).toEqual([]);
    });
  }
});
