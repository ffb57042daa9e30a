/** Every rule of the conformance suite must catch an environment that breaks it, and that rule alone must. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { NdArray } from "../../src/core/array.js";
import { checkEnvironment, type Rule } from "../../src/env/conformance.js";
import type {
  CreateOptions,
  Environment,
  EnvironmentDefinition,
  EnvironmentSpec,
  GroupArrays,
} from "../../src/env/contract.js";
import { batchScalar } from "../../src/env/scalar.js";
import { kuhnPoker } from "../../src/envs/games/kuhn-poker.js";
import { twoStateCoordination } from "../../src/envs/games/two-state-coordination.js";
import { foraging } from "../../src/envs/lbf/index.js";
import type { ExactModel, GameTree, MarkovGame } from "../../src/games/index.js";
import { chorus, couriers, foragers, nim } from "./index.js";

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Mutable = Writable<Omit<Environment, "groups">> & { groups: Writable<GroupArrays>[] };
type SavedState = Record<string, NdArray<"float64">>;

/** An environment whose every part can be replaced; by default it passes all calls on to the sound one. */
function open(sound: Environment): Mutable {
  return {
    spec: sound.spec,
    copies: sound.copies,
    groups: sound.groups.map((group) => ({ ...group })),
    state: sound.state,
    terminated: sound.terminated,
    truncated: sound.truncated,
    ended: sound.ended,
    reset: (seed, first) => sound.reset(seed, first),
    step: () => sound.step(),
    saveState: sound.saveState,
    loadState: sound.loadState,
    frame: sound.frame,
    exactModel: sound.exactModel,
    modelState: sound.modelState,
    close: () => sound.close(),
  };
}

/** The definition with `flaw` applied to every environment it creates. */
function mutant(
  definition: EnvironmentDefinition,
  flaw: (broken: Mutable, sound: Environment, options: CreateOptions) => void,
): EnvironmentDefinition {
  return {
    ...definition,
    create: async (parameters, options) => {
      const sound = await definition.create(parameters, options);
      const broken = open(sound);
      flaw(broken, sound, options);
      return broken;
    },
  };
}

/** `flaw` runs after every step. */
function afterStep(
  definition: EnvironmentDefinition,
  flaw: (broken: Mutable, sound: Environment) => void,
): EnvironmentDefinition {
  return mutant(definition, (broken, sound) => {
    broken.step = () => {
      sound.step();
      flaw(broken, sound);
    };
  });
}

function withSpec(
  definition: EnvironmentDefinition,
  change: (spec: EnvironmentSpec) => Partial<EnvironmentSpec>,
) {
  return mutant(definition, (broken, sound) => {
    broken.spec = { ...sound.spec, ...change(sound.spec) };
  });
}

type Model<K extends ExactModel["kind"]> = Extract<ExactModel, { kind: K }>;

/** The definition with another exact model. */
function withModel(
  definition: EnvironmentDefinition,
  change: (model: Model<"markov">) => ExactModel,
): EnvironmentDefinition {
  return mutant(definition, (broken, sound) => {
    broken.exactModel = () => change(sound.exactModel!() as Model<"markov">);
  });
}

/** Kuhn poker with another tree as its exact model. */
function withTree(change: (tree: GameTree) => Partial<GameTree>): EnvironmentDefinition {
  return mutant(kuhnPoker, (broken, sound) => {
    const model = sound.exactModel!() as Model<"tree">;
    const game = { ...model.game, ...change(model.game) };
    broken.exactModel = () => ({ ...model, game });
  });
}

/** Two-state coordination with other tables in its exact model. */
function withGame(change: (game: MarkovGame) => Partial<MarkovGame>): EnvironmentDefinition {
  return withModel(twoStateCoordination, (model) => ({
    ...model,
    game: { ...model.game, ...change(model.game) },
  }));
}

/** Two players in turn without masks: who waits may send anything. With `leak` it is paid for. */
function turns(leak: boolean): EnvironmentDefinition {
  return batchScalar({
    id: "fixture/turns_v0",
    summary: "In turn.",
    source: "own",
    parameters: {},
    describe: () => ({
      groups: [
        {
          name: "players",
          agents: ["a", "b"],
          features: [{ name: "turn", size: 1, low: 0, high: 1 }],
          action: { kind: "discrete", n: 4 },
        },
      ],
      maxSteps: 6,
      turnBased: true,
    }),
    create: () => {
      let mover = 0;
      const view = () => ({
        obs: { a: [mover], b: [1 - mover] },
        acting: { a: mover === 0, b: mover === 1 },
      });
      return {
        reset: () => {
          mover = 0;
          return view();
        },
        step: ({ a, b }) => {
          const [acts, waits] = mover === 0 ? [a, b] : [b, a];
          const pay = acts + (leak ? waits : 0);
          mover = 1 - mover;
          return { ...view(), reward: { a: pay, b: pay } };
        },
      };
    },
  });
}

/** A mask of its own, rewritten by `change` after every reset and step. */
function withMask(
  definition: EnvironmentDefinition,
  change: (mask: Uint8Array, sound: Environment) => void,
): EnvironmentDefinition {
  return mutant(definition, (broken, sound) => {
    const { actionMask } = sound.groups[0];
    const mask = actionMask!.slice();
    const update = () => {
      mask.set(actionMask!);
      change(mask, sound);
    };
    broken.groups[0].actionMask = mask;
    broken.reset = (seed, first) => {
      sound.reset(seed, first);
      update();
    };
    broken.step = () => {
      sound.step();
      update();
    };
    broken.loadState = (state) => {
      sound.loadState!(state);
      update();
    };
  });
}

/** Module-level state: two instances disturb each other. */
let shared = 0;

const mutants: Readonly<Record<Rule, Readonly<Record<string, EnvironmentDefinition>>>> = {
  parameters: {
    "an id without version": { ...chorus, id: "fixture/chorus" },
    "a schema that swallows unknown keys": {
      ...chorus,
      parameters: z.looseObject({}).transform(() => ({ agents: 4, longest: 5 })),
    },
    "a parameter without default": {
      ...couriers,
      parameters: z.strictObject({ name: z.string().optional() }).refine((p) => p.name !== undefined),
    },
  },
  runs: {
    "a step that fails": afterStep(chorus, () => {
      throw new RangeError("out of range");
    }),
  },
  "agent-names": {
    "two agents of one name": withSpec(couriers, ({ groups }) => ({
      groups: groups.map((g) => ({ ...g, agents: g.agents.map((name) => name.replace("_1", "_0")) })),
    })),
    "two groups of one name": withSpec(couriers, ({ groups }) => ({
      groups: groups.map((g) => ({ ...g, name: "all" })),
    })),
    "two metrics of one name": mutant(couriers, (broken, sound) => {
      broken.spec = { ...sound.spec, episodeMetrics: ["distance", "distance"] };
      broken.ended = { ...sound.ended, metrics: new Float64Array(2 * sound.copies) };
    }),
  },
  features: {
    "a gap": withSpec(couriers, ({ groups }) => ({
      groups: groups.map((g) => ({ ...g, features: g.features.filter((f) => f.name !== "call") })),
    })),
    "an overlap in the state": withSpec(couriers, ({ stateFeatures }) => ({
      stateFeatures: stateFeatures.map((f) => ({ ...f, offset: Math.max(0, f.offset - 1) })),
    })),
  },
  shapes: {
    "a reward array too short": mutant(chorus, (broken, sound) => {
      broken.groups[0].reward = new Float64Array(sound.copies);
    }),
    "an action mask that was not declared": mutant(chorus, (broken, sound) => {
      broken.groups[0].actionMask = new Uint8Array(sound.copies * 12).fill(1);
    }),
    "integer actions as floats": mutant(chorus, (broken, sound) => {
      broken.groups[0].action = new Float32Array(sound.copies * 4);
    }),
    "a name too few": withSpec(chorus, ({ groups }) => ({
      groups: groups.map((g) => ({ ...g, actionNames: ["low"] })),
    })),
  },
  capabilities: {
    "saveState declared, not there": mutant(chorus, (broken) => {
      broken.saveState = undefined;
    }),
    "exactModel declared, not there": withSpec(couriers, ({ capabilities }) => ({
      capabilities: { ...capabilities, exactModel: true },
    })),
    "frame there, not declared": withSpec(couriers, ({ capabilities }) => ({
      capabilities: { ...capabilities, frames: false },
    })),
  },
  "reset-first": {
    "a step before the reset is ignored": mutant(chorus, (broken, sound) => {
      let started = false;
      broken.reset = (seed, first) => {
        started = true;
        sound.reset(seed, first);
      };
      broken.loadState = (state) => {
        started = true;
        sound.loadState!(state);
      };
      broken.step = () => {
        if (started) sound.step();
      };
    }),
  },
  "action-validation": {
    "integers are clipped": mutant(chorus, (broken, sound) => {
      broken.step = () => {
        const { action } = sound.groups[0];
        for (let k = 0; k < action.length; k++) action[k] = Math.min(Math.max(action[k], 0), 2);
        sound.step();
      };
    }),
    "NaN becomes 0": mutant(couriers, (broken, sound) => {
      broken.step = () => {
        const { action } = sound.groups[1];
        for (let k = 0; k < action.length; k++) if (Number.isNaN(action[k])) action[k] = 0;
        sound.step();
      };
    }),
    "masked actions become legal ones": mutant(nim, (broken, sound) => {
      broken.step = () => {
        const { action, actionMask } = sound.groups[0];
        for (let k = 0; k < action.length; k++) {
          const row = actionMask!.subarray(4 * k, 4 * k + 4);
          if (action[k] >= 0 && action[k] < 4 && row[action[k]] === 0) action[k] = row.indexOf(1);
        }
        sound.step();
      };
    }),
    "a message without the agent": mutant(chorus, (broken, sound) => {
      broken.step = () => {
        try {
          sound.step();
        } catch (error) {
          (error as Error).message = (error as Error).message.replace(/singer_\d/, "somebody");
          throw error;
        }
      };
    }),
  },
  close: {
    "the second close throws": mutant(chorus, (broken) => {
      let closed = 0;
      broken.close = () => {
        // The suite closes once more at the end.
        if (++closed === 2) throw new Error("already closed");
      };
    }),
  },
  "array-identity": {
    "new observations every step": afterStep(chorus, (broken, sound) => {
      broken.groups[0].obs = sound.groups[0].obs.slice();
    }),
    "a new reward array every step": afterStep(couriers, (broken, sound) => {
      broken.groups[1].reward = sound.groups[1].reward.slice();
    }),
  },
  finite: {
    "a reward of NaN": afterStep(chorus, (_, sound) => {
      const { reward } = sound.groups[0];
      for (let k = 0; k < reward.length; k++) if (reward[k] === 7) reward[k] = Number.NaN;
    }),
    "an infinite metric": afterStep(couriers, (_, sound) => {
      for (let r = 0; r < sound.ended.count; r++) sound.ended.metrics[r] = Number.POSITIVE_INFINITY;
    }),
  },
  ranges: {
    "a range too narrow": withSpec(couriers, ({ groups }) => ({
      groups: groups.map((g) => ({
        ...g,
        features: g.features.map((f) => (f.name === "position" ? { ...f, low: -1.5, high: 1.5 } : f)),
      })),
    })),
    "positions declared one-hot": withSpec(couriers, ({ groups }) => ({
      groups: groups.map((g) => ({
        ...g,
        features: g.features.map((f) => (f.name === "position" ? { ...f, kind: "one-hot" as const } : f)),
      })),
    })),
  },
  flags: {
    "both flags at the limit": afterStep(couriers, ({ terminated, truncated }) => {
      for (let e = 0; e < truncated.length; e++) if (truncated[e] === 1) terminated[e] = 1;
    }),
  },
  "ended-list": {
    "nobody is listed": afterStep(couriers, ({ ended }) => {
      ended.count = 0;
    }),
    "descending order": afterStep(chorus, ({ ended }) => {
      ended.copies.subarray(0, ended.count).reverse();
    }),
  },
  "same-step-reset": {
    "ended.obs shows the new episode": afterStep(couriers, (_, { ended, groups }) => {
      for (const [g, obs] of ended.obs.entries()) {
        const width = obs.length / ended.copies.length;
        for (let r = 0; r < ended.count; r++) {
          obs.set(groups[g].obs.subarray(ended.copies[r] * width, (ended.copies[r] + 1) * width), r * width);
        }
      }
    }),
    "obs still shows the old episode": afterStep(couriers, (_, { ended, groups }) => {
      for (const [g, obs] of ended.obs.entries()) {
        const width = obs.length / ended.copies.length;
        for (let r = 0; r < ended.count; r++) {
          groups[g].obs.set(obs.subarray(r * width, (r + 1) * width), ended.copies[r] * width);
        }
      }
    }),
    "ended.obs is one step late": mutant(couriers, (broken, sound) => {
      broken.step = () => {
        const before = sound.groups.map((g) => g.obs.slice());
        sound.step();
        for (const [g, obs] of sound.ended.obs.entries()) {
          const width = obs.length / sound.copies;
          for (let r = 0; r < sound.ended.count; r++) {
            const e = sound.ended.copies[r];
            obs.set(before[g].subarray(e * width, (e + 1) * width), r * width);
          }
        }
      };
    }),
  },
  limit: {
    "episodes longer than declared": withSpec(couriers, () => ({ maxSteps: 5 })),
    "episodes cut before the limit": withSpec(couriers, () => ({ maxSteps: 9 })),
  },
  mask: {
    "a masked action does something else than declared": mutant(foraging, (broken, sound) => {
      broken.step = () => {
        const { action, actionMask } = sound.groups[0];
        for (let k = 0; k < action.length; k++) {
          const row = actionMask!.subarray(6 * k, 6 * k + 6);
          if (row[action[k]] === 0) action[k] = row.lastIndexOf(1);
        }
        sound.step();
      };
    }),
    "masked actions become one that does not exist": withSpec(foraging, ({ groups }) => ({
      groups: groups.map((group) => ({ ...group, maskedAction: 6 })),
    })),
    "an empty mask": withMask(foragers, (mask, { copies, groups }) => {
      // The second dimension's part, when somebody else has died; entry 0 is what an empty mask is sampled as.
      for (let e = 0; e < copies; e++) {
        const living = groups[0].alive.subarray(3 * e, 3 * e + 3);
        if (living[0] === 1 && living.includes(0)) mask.fill(0, 15 * e + 3, 15 * e + 5);
      }
    }),
  },
  dead: {
    "the dead are paid": mutant(foragers, (broken, sound) => {
      broken.step = () => {
        const { reward, alive } = sound.groups[0];
        const before = alive.slice();
        sound.step();
        for (let k = 0; k < before.length; k++) if (before[k] === 0) reward[k] = 0.5;
      };
    }),
    "the dead observe": afterStep(foragers, (_, sound) => {
      const { obs, alive } = sound.groups[0];
      for (let k = 0; k < alive.length; k++) if (alive[k] === 0) obs[4 * k + 3] = 1;
    }),
    "the dead may act": withMask(foragers, (mask, { groups }) => {
      const { alive } = groups[0];
      for (let k = 0; k < alive.length; k++) if (alive[k] === 0) mask[5 * k + 2] = 1;
    }),
  },
  acting: {
    "a waiting agent's action counts": turns(true),
    "somebody waits although nobody takes turns": withSpec(turns(false), () => ({ turnBased: false })),
    "the waiting player may do more than wait": withMask(nim, (mask, { groups }) => {
      const { acting } = groups[0];
      for (let k = 0; k < acting.length; k++) if (acting[k] === 0) mask[4 * k + 1] = 1;
    }),
  },
  determinism: {
    "chance that is not seeded": afterStep(chorus, (_, sound) => {
      sound.groups[0].reward[0] += Math.random();
    }),
    "a counter that reset forgets": mutant(chorus, (broken, sound) => {
      let steps = 0;
      broken.step = () => {
        sound.step();
        sound.groups[0].reward[0] += ++steps / 1000;
      };
    }),
  },
  "copy-independence": {
    "the place in the batch matters": afterStep(chorus, (_, { groups: [{ reward }] }) => {
      for (let k = 0; k < reward.length; k++) reward[k] += Math.floor(k / 4);
    }),
    "a copy sees its neighbour": afterStep(couriers, (_, { groups: [{ reward }] }) => {
      for (let e = reward.length - 1; e > 0; e--) reward[e] += reward[e - 1];
    }),
    "the number of copies matters": afterStep(chorus, (_, { copies, groups: [{ reward }] }) => {
      for (let k = 0; k < reward.length; k++) reward[k] /= copies;
    }),
  },
  isolation: {
    "state in the module": mutant(chorus, (broken, sound) => {
      broken.spec = { ...sound.spec, capabilities: { saveState: false, frames: false } };
      broken.saveState = undefined;
      broken.loadState = undefined;
      broken.reset = (seed, first) => {
        shared = 0;
        sound.reset(seed, first);
      };
      broken.step = () => {
        sound.step();
        shared++;
        const { reward } = sound.groups[0];
        for (let k = 0; k < reward.length; k++) reward[k] += shared;
      };
    }),
  },
  "save-state": {
    "streams are not restored": mutant(foragers, (broken, sound) => {
      let saved: SavedState | undefined;
      broken.saveState = () => {
        saved = sound.saveState!() as SavedState;
        return saved;
      };
      broken.loadState = (state) => {
        const streams = structuredClone((state as SavedState)["environment.streams"]);
        streams.data[1]++;
        sound.loadState!({ ...(state as SavedState), "environment.streams": streams });
      };
    }),
    "one array is left out": mutant(couriers, (broken, sound) => {
      broken.loadState = (state) => {
        const position = structuredClone((state as SavedState).position);
        position.data.fill(0);
        sound.loadState!({ ...(state as SavedState), position });
      };
    }),
    "the live arrays are handed out": mutant(couriers, (broken, sound) => {
      let given: SavedState = {};
      broken.saveState = () => {
        given = sound.saveState!() as SavedState;
        return given;
      };
      broken.step = () => {
        sound.step();
        given.position?.data.set((sound.saveState!() as SavedState).position.data);
      };
    }),
    "a state of another size is ignored": mutant(couriers, (broken, sound) => {
      broken.loadState = (state) => {
        try {
          sound.loadState!(state);
        } catch {
          // silently keeps the old state
        }
      };
    }),
  },
  frames: {
    "a shape at NaN": mutant(couriers, (broken, sound) => {
      broken.frame = (copy) => ({
        shapes: sound.frame!(copy).shapes.map((shape) => ({ ...shape, x: Number.NaN, y: 0 })),
        captions: [],
      });
    }),
    "a shape of an unknown agent": mutant(couriers, (broken, sound) => {
      broken.frame = (copy) => ({
        shapes: sound.frame!(copy).shapes.map((shape) => ({ ...shape, agent: "nobody" })),
        captions: [],
      });
    }),
    "no last frames": afterStep(couriers, (_, { ended }) => {
      ended.frames.fill(null);
    }),
  },
  "exact-model": {
    "another reward": withGame(({ reward }) => ({
      reward: reward.map((x, k) => (k === 5 ? x + 0.01 : x)),
    })),
    "a transition to another state": withGame(({ successor }) => ({
      successor: successor.map((s, k) => (k === 6 ? (s + 1) % 10 : s)),
    })),
    "a transition that is impossible": withGame(({ probability }) => ({
      probability: probability.map((p, k) => (k === 6 ? 0 : p)),
    })),
    "a shorter horizon": withGame(() => ({ horizon: 49 })),
    "no horizon": withGame(() => ({ horizon: null })),
    "an action less": withGame(() => ({ actions: [2, 1] })),
    "a player more": withGame(() => ({ actions: [2, 2, 1] })),
    "observations of another state": withModel(twoStateCoordination, (model) => ({
      ...model,
      observation: (player: number, state: number) => model.observation(player, state === 3 ? 4 : state),
    })),
    "payoffs exchanged in the tree": withTree(({ payoff }) => ({ payoff: payoff.map((x) => 0 - x) })),
    "an action that the information set lacks": withTree(({ informationSets }) => ({
      informationSets: informationSets.map((set) => ({ ...set, actions: [0] })),
    })),
    "another player moves in the tree": withTree(({ mover }) => ({
      mover: mover.map((m) => (m < 0 ? m : 1 - m)),
    })),
    "a tree that goes elsewhere": withTree(({ edgeChild }) => ({
      edgeChild: edgeChild.map((child, k) => (k % 2 === 1 ? edgeChild[k - 1] : child)),
    })),
    "observations of another information set": mutant(kuhnPoker, (broken, sound) => {
      const model = sound.exactModel!() as Model<"tree">;
      broken.exactModel = () => ({ ...model, observation: () => model.observation(0) });
    }),
    "a copy is looked for in another state": mutant(twoStateCoordination, (broken, sound) => {
      broken.modelState = (copy) => (sound.modelState!(copy) === 7 ? 8 : sound.modelState!(copy));
    }),
  },
};

describe("the conformance suite catches, by exactly the rule that is broken,", () => {
  for (const [rule, flaws] of Object.entries(mutants)) {
    for (const [name, definition] of Object.entries(flaws)) {
      it(`${rule}: ${name}`, async () => {
        const findings = await checkEnvironment(definition);
        expect(
          findings.map((f) => f.rule),
          findings.map((f) => f.message).join("\n"),
        ).toEqual([rule]);
        expect(findings[0].message.length).toBeGreaterThan(20);
      });
    }
  }

  it("and nothing in the sound ones they were made from", async () => {
    for (const definition of [chorus, couriers, foragers, nim, turns(false), twoStateCoordination]) {
      expect(await checkEnvironment(definition)).toEqual([]);
    }
  });
});
