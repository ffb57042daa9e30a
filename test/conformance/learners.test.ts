import { describe, expect, it } from "vitest";
import { type NdArray, ndarray } from "../../src/core/array.js";
import { NonFiniteError } from "../../src/core/errors.js";
import type { Learner, LearnerContext, LearnerDefinition, SavedState } from "../../src/learners/index.js";
import { learners } from "../../src/learners/index.js";
import { OnPolicyBuffer } from "../../src/rollout/index.js";
import { COPIES, checkLearner, type LearnerRule, type LearnerSubject } from "./learners.js";

const ppoOptions = {
  copies: COPIES,
  rolloutSteps: 6,
  epochs: 2,
  minibatches: 2,
  hidden: [4],
  learningRate: 0.01,
};

type Subject = Omit<LearnerSubject, "definition">;

const subject = (small: typeof ppoOptions & Record<string, unknown>): Subject => ({
  small,
  oneStep: { ...small, rolloutSteps: 1, chunk: 1 },
  otherNetwork: { ...small, hidden: [5] },
});

/** A learner without an entry runs with its defaults cut down by nothing: give it one, in each of its forms. */
const options: Readonly<Record<string, Readonly<Record<string, Subject>>>> = {
  ppo: { "feed-forward": subject(ppoOptions), recurrent: subject({ ...ppoOptions, recurrent: 3, chunk: 2 }) },
};

describe("every registered learner keeps the contract", () => {
  it("and has small options in this test", () => {
    expect(Object.keys(options)).toEqual(learners.names());
  });

  for (const [name, definition] of learners.entries()) {
    for (const [form, given] of Object.entries(options[name] ?? {})) {
      it(`${name}, ${form}`, async () => {
        expect(await checkLearner({ definition, ...given })).toEqual([]);
      });
    }
  }
});

/** A learner whose every part can be replaced; by default it passes all calls on to the sound one. */
type Mutable = { -readonly [K in keyof Learner]: Learner[K] };

function mutant(flaw: (broken: Mutable, sound: Learner, context: LearnerContext) => void): LearnerDefinition {
  const definition = learners.get("ppo");
  return {
    ...definition,
    create: (context, o) => {
      const sound = definition.create(context, o);
      const broken: Mutable = {
        actors: sound.actors,
        actorOfSeat: sound.actorOfSeat,
        recorders: sound.recorders,
        update: (progress) => sound.update(progress),
        members: () => sound.members(),
        saveState: () => sound.saveState(),
        loadState: (state, place) => sound.loadState(state, place),
      };
      flaw(broken, sound, context);
      return broken;
    },
  };
}

/** `flaw` has a hand on the recorders before every update. */
const beforeUpdate = (flaw: (buffer: OnPolicyBuffer) => void) =>
  mutant((broken, sound) => {
    broken.update = (progress) => {
      for (const recorder of sound.recorders) if (recorder instanceof OnPolicyBuffer) flaw(recorder);
      return sound.update(progress);
    };
  });

/** `flaw` acts where an update has failed. */
const afterFailure = (flaw: (sound: Learner) => void) =>
  mutant((broken, sound) => {
    broken.update = (progress) => {
      try {
        return sound.update(progress);
      } catch (error) {
        flaw(sound);
        throw error;
      }
    };
  });

function nudge(sound: Learner, by: number): void {
  const { arrays, meta } = sound.saveState();
  const units = arrays as unknown as Record<string, { actor: NdArray<"float32"> }>;
  for (const { actor } of Object.values(units)) actor.data[0]! += by;
  sound.loadState({ arrays, meta }, "mutant");
}

const mutants: readonly [what: string, rules: readonly LearnerRule[], LearnerDefinition][] = [
  [
    "ignores weights",
    ["weights", "idle"],
    beforeUpdate(({ actorWeight, criticWeight }) => {
      actorWeight.fill(1);
      criticWeight.fill(1);
    }),
  ],
  [
    "learns from steps that the coin gave to others",
    ["weights"],
    beforeUpdate(({ actorWeight, criticWeight }) => actorWeight.set(criticWeight)),
  ],
  [
    "does not restore its shuffle stream after a failure",
    ["failed-update"],
    afterFailure((sound) => {
      const { arrays, meta } = sound.saveState();
      const moved = Object.fromEntries(
        Object.entries(meta).map(([unit, m]) => [unit, { ...(m as object), shuffle: [1, 2, 3, 4] }]),
      );
      sound.loadState({ arrays, meta: moved } as SavedState, "mutant");
    }),
  ],
  [
    "changes parameters in place during a failed update",
    ["failed-update"],
    afterFailure((sound) => {
      sound.actors[0]!.policy!.parameters[0]! += 1;
    }),
  ],
  ["keeps half an update", ["failed-update"], afterFailure((sound) => nudge(sound, 0.01))],
  [
    "learns from NaN",
    ["failed-update"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        for (const recorder of sound.recorders) {
          if (!(recorder instanceof OnPolicyBuffer)) continue;
          recorder.reward.forEach((x, k) => {
            if (Number.isNaN(x)) recorder.reward[k] = 0;
          });
        }
        return sound.update(progress);
      };
    }),
  ],
  [
    "reports NaN without a name",
    ["failed-update"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        try {
          return sound.update(progress);
        } catch (error) {
          throw error instanceof NonFiniteError ? new NonFiniteError("something is NaN") : error;
        }
      };
    }),
  ],
  [
    "forgets to clear its buffer",
    ["clears", "games", "deterministic", "resume", "weights", "idle", "failed-update"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        const full = sound.recorders.map((r) => (r as OnPolicyBuffer).t);
        const metrics = sound.update(progress);
        sound.recorders.forEach((r, i) => {
          (r as OnPolicyBuffer).t = full[i]!;
        });
        return metrics;
      };
    }),
  ],
  [
    "counts truncated steps of earlier rollouts",
    ["clears", "resume", "failed-update"],
    mutant((broken, sound) => {
      let seen = 0;
      broken.update = (progress) => {
        for (const recorder of sound.recorders) {
          const { cut, reward } = recorder as OnPolicyBuffer;
          reward[0]! += seen;
          seen += cut.count;
        }
        return sound.update(progress);
      };
    }),
  ],
  [
    "bootstraps through termination",
    ["termination", "truncation"],
    beforeUpdate(({ terminated }) => terminated.fill(0)),
  ],
  [
    "bootstraps a truncated episode from the next",
    ["truncation"],
    beforeUpdate(({ truncated }) => truncated.fill(0)),
  ],
  [
    "takes truncation for termination",
    ["truncation"],
    beforeUpdate(({ terminated, truncated }) => {
      truncated.forEach((x, k) => {
        if (x === 1) terminated[k] = 1;
      });
    }),
  ],
  [
    "draws from a source without a seed",
    ["deterministic", "resume", "clears", "weights", "idle", "failed-update", "termination", "truncation"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        const metrics = sound.update(progress);
        nudge(sound, 1e-3 * Math.random());
        return metrics;
      };
    }),
  ],
  [
    "starts the same whatever the seed",
    ["deterministic"],
    {
      ...learners.get("ppo"),
      create: (context, o) => learners.get("ppo").create({ ...context, seed: 1 }, o),
    },
  ],
  [
    "saves live arrays",
    ["saved-state", "clears"],
    mutant((broken, sound) => {
      const live = new Map<string, NdArray>();
      broken.saveState = () => {
        const { arrays, meta } = sound.saveState();
        const units = arrays as unknown as Record<string, Record<string, NdArray>>;
        for (const [name, unit] of Object.entries(units)) {
          const kept = live.get(name) ?? unit.actor!;
          (kept.data as Float32Array).set(unit.actor!.data as Float32Array);
          live.set(name, kept);
          unit.actor = kept;
        }
        return { arrays, meta };
      };
      broken.update = (progress) => {
        const metrics = sound.update(progress);
        if (live.size > 0) broken.saveState();
        return metrics;
      };
    }),
  ],
  [
    "forgets the optimiser's moments",
    ["resume", "clears"],
    mutant((broken, sound) => {
      broken.loadState = (state, place) => {
        const { arrays, meta } = sound.saveState();
        sound.loadState(state, place);
        const fresh = arrays as unknown as Record<string, { actorAdam: Record<string, NdArray> }>;
        const loaded = sound.saveState().arrays as unknown as typeof fresh;
        for (const [name, unit] of Object.entries(loaded)) {
          for (const [key, a] of Object.entries(unit.actorAdam)) {
            unit.actorAdam[key] = ndarray("float32", a.shape, new Float32Array(a.data.length));
          }
          fresh[name] = unit;
        }
        sound.loadState({ arrays: fresh as never, meta: state.meta ?? meta }, place);
      };
    }),
  ],
  [
    "forgets its shuffle stream",
    ["resume", "clears"],
    mutant((broken, sound) => {
      broken.loadState = (state, place) => {
        const { meta } = sound.saveState();
        sound.loadState(state, place);
        sound.loadState({ arrays: state.arrays, meta }, place);
      };
    }),
  ],
  [
    "accepts the state of another network",
    ["other-network"],
    mutant((broken, sound) => {
      broken.loadState = (state, place) => {
        try {
          sound.loadState(state, place);
        } catch {
          // as if nothing were wrong
        }
      };
    }),
  ],
  [
    "loads half of what does not fit",
    ["other-network"],
    mutant((broken, sound) => {
      broken.loadState = (state, place) => {
        try {
          sound.loadState(state, place);
        } catch (error) {
          nudge(sound, 1);
          throw error;
        }
      };
    }),
  ],
  [
    "moves without a step of its own",
    ["idle"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        const idle = sound.recorders.every(
          (r) => r instanceof OnPolicyBuffer && r.criticWeight.every((w) => w === 0),
        );
        const metrics = sound.update(progress);
        if (idle) nudge(sound, 1e-3);
        return metrics;
      };
    }),
  ],
  [
    "leaves metrics out where it has nothing to say",
    ["metrics"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        const metrics = sound.update(progress);
        return Object.values(metrics).every((x) => x === 0) ? {} : metrics;
      };
    }),
  ],
  [
    "reports numbers that are not finite",
    ["metrics"],
    mutant((broken, sound) => {
      broken.update = (progress) => ({ ...sound.update(progress), ratio: 0 / 0 });
    }),
  ],
  [
    "counts its actors from 0",
    ["actors", "weights", "idle"],
    mutant((broken, sound, { firstActor }) => {
      broken.actorOfSeat = sound.actorOfSeat.map((index) => (index < 0 ? index : index - firstActor));
    }),
  ],
  [
    "cannot do what it says",
    ["games"],
    mutant((broken, _, { environment }) => {
      if (environment.spec.turnBased) {
        broken.update = () => {
          throw new Error("turns");
        };
      }
    }),
  ],
  [
    "learns nothing",
    ["games", "deterministic", "failed-update", "truncation"],
    mutant((broken, sound) => {
      broken.update = (progress) => {
        const before = sound.saveState();
        const metrics = sound.update(progress);
        sound.loadState(before, "mutant");
        return metrics;
      };
    }),
  ],
];

describe("the suite rejects a learner that", () => {
  for (const [what, rules, definition] of mutants) {
    it(what, async () => {
      const found = (await checkLearner({ definition, ...options.ppo!["feed-forward"]! })).map(
        ({ rule }) => rule,
      );
      // The first rule is the one it was made to break; the others may show it, too.
      expect(found).toContain(rules[0]);
      expect(found.filter((rule) => !rules.includes(rule))).toEqual([]);
    });
  }
});
