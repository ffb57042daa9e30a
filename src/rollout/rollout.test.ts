import { describe, expect, it } from "vitest";
import {
  chorus,
  couriers,
  decodeChorus,
  fixtureGames,
  foragers,
  nim,
  remote,
} from "../../test/games/index.js";
import {
  bytesOf,
  ConstantActor,
  CountingActor,
  createEnvironment,
  observationThreat,
  randomPolicyActor,
  Trace,
  unsaveable,
} from "../../test/support/rollouts.js";
import { RandomStream } from "../core/random.js";
import { decodeSafetensors, encodeSafetensors } from "../core/safetensors.js";
import type { Environment } from "../env/contract.js";
import type { Actor } from "../policy/index.js";
import {
  type CastFunction,
  EpisodeReplay,
  fixedCasting,
  hijackCasting,
  type Perturber,
  perturbCasting,
  type Recorder,
  Rollout,
  type RolloutOptions,
  type StepView,
  seatsOf,
  Tally,
  TransitionReplay,
} from "./index.js";

const SEED = 11;

/** Who sits where changes with every episode: actor and hijacker of each seat drawn among `actors`. */
function shuffling(actors: number, seats: number): CastFunction {
  return (copy, episode, stream, casting) => {
    for (let seat = 0; seat < seats; seat++) {
      casting.controller[copy * seats + seat] = stream.int(actors);
      casting.hijacker[copy * seats + seat] = (episode + seat) % 3 === 0 ? stream.int(actors) : -1;
    }
    casting.attackScale[copy] = stream.uniform();
  };
}

const nudge: Perturber = {
  name: "nudge",
  perturb: ({ rows, scale, epsilon, streams }, delta) => {
    for (let r = 0, k = 0; r < rows; r++) {
      for (let i = 0; i < scale.length; i++, k++) delta[k] = epsilon[r]! * (2 * streams[r]!.uniform() - 1);
    }
  },
};
const blur = observationThreat({ epsilon: 0.3, probability: 0.7 });
const perturb = { threat: blur, perturber: nudge };

/** Everything at once: two random policies per group, one of them recurrent, hijacked by others in the groups' own seats, and perturbed. */
function everything(environment: Environment, recorders: readonly Recorder[]): RolloutOptions {
  const { groups } = environment.spec;
  const actors = groups.flatMap((_, g) => [
    randomPolicyActor(environment, g, 1),
    randomPolicyActor(environment, g, 2, { recurrent: 6 }),
  ]);
  const seats = seatsOf(environment.spec);
  return {
    environment,
    actors,
    cast: (copy, episode, stream, casting) => {
      for (let seat = 0; seat < seats.count; seat++) {
        const first = 2 * seats.group[seat]!;
        casting.controller[copy * seats.count + seat] = first + stream.int(2);
        casting.hijacker[copy * seats.count + seat] = (seat + episode) % 2 === 0 ? first + stream.int(2) : -1;
      }
      casting.attackScale[copy] = stream.uniform();
    },
    seed: SEED,
    stream: "test",
    hijack: { epsilon: 0.5, coin: "set" },
    perturb,
    recorders,
  };
}

describe("casting", () => {
  it("sends every seat of every copy and episode to its actor, and hijackers to theirs", async () => {
    const copies = 7;
    const environment = await createEnvironment(chorus, copies);
    const actors = [0, 1, 2].map((note) => new ConstantActor(`sings ${note}`, note));
    const cast = shuffling(3, 4);
    let steps = 0;
    let mixed = 0;
    // The same castings, drawn by the test from the same streams.
    const expected = {
      controller: new Int32Array(copies * 4),
      hijacker: new Int32Array(copies * 4),
      attackScale: new Float64Array(copies),
      context: new Float32Array(0),
      contextSize: 0,
    };
    const streams = Array.from({ length: copies }, (_, e) => RandomStream.from(SEED, "test", "casting", e));
    const episode = new Int32Array(copies);
    const castCopy = (e: number) => cast(e, episode[e]!, streams[e]!, expected);
    for (let e = 0; e < copies; e++) castCopy(e);
    const check: Recorder = {
      onOutcome: ({ environment: { groups, ended }, groups: [step] }) => {
        for (let e = 0; e < copies; e++) {
          const sung = decodeChorus(groups[0]!.reward[4 * e]!, 4);
          const wanted = sung.map((_, i) => {
            const row = 4 * e + i;
            if (step!.controlled[row] === 1) mixed++;
            return (step!.controlled[row] === 1 ? expected.hijacker : expected.controller)[row]!;
          });
          expect(sung).toEqual(wanted);
        }
        for (let r = 0; r < ended.count; r++) {
          const e = ended.copies[r]!;
          episode[e]!++;
          castCopy(e);
        }
        steps++;
      },
    };
    const hijack = { epsilon: 0.5, coin: "agent" as const };
    const rollout = new Rollout({
      environment,
      actors,
      cast,
      seed: SEED,
      stream: "test",
      hijack,
      recorders: [check],
    });
    rollout.run(60);
    expect(steps).toBe(60);
    expect(mixed).toBeGreaterThan(50);
    expect(new Set(episode).size).toBeGreaterThan(1);
  });

  it("equals a loop over single seats that asks each actor for one row at a time", async () => {
    const copies = 5;
    const environment = await createEnvironment(couriers, copies);
    const actors = [
      randomPolicyActor(environment, 0, 1),
      randomPolicyActor(environment, 1, 2),
      randomPolicyActor(environment, 1, 3, { ids: false }),
    ];
    const cast: CastFunction = (copy, _episode, stream, casting) => {
      casting.controller.set([0, 1 + stream.int(2), 1 + stream.int(2)], 3 * copy);
      casting.hijacker.fill(-1, 3 * copy, 3 * copy + 3);
    };
    const trace = new Trace();
    new Rollout({ environment, actors, cast, seed: SEED, stream: "x", recorders: [trace] }).run(20);
    for (let e = 0; e < copies; e++) {
      const naive = await playAlone(e, actors, cast, 20);
      // The last five numbers of a row: three rewards, two flags.
      expect(trace.copies[e]!.map((row) => row.slice(-5, -2))).toEqual(naive);
    }

    /** The reward of each seat and step of copy e. */
    async function playAlone(e: number, who: readonly Actor[], assign: CastFunction, steps: number) {
      const alone = await createEnvironment(couriers, 1);
      alone.reset(SEED, e);
      const casting = {
        controller: new Int32Array(3),
        hijacker: new Int32Array(3),
        attackScale: new Float64Array(1),
        context: new Float32Array(0),
        contextSize: 0,
      };
      const castStream = RandomStream.from(SEED, "x", "casting", e);
      const streams = [0, 1, 2].map((seat) => RandomStream.from(SEED, "x", "action", e, seat));
      assign(0, 0, castStream, casting);
      const rewards: number[][] = [];
      for (let t = 0; t < steps; t++) {
        for (let seat = 0; seat < 3; seat++) {
          const g = seat === 0 ? 0 : 1;
          const i = seat === 0 ? 0 : seat - 1;
          const { obsSize, action } = alone.spec.groups[g]!;
          const size = action.kind === "box" ? 2 : 1;
          const out = action.kind === "box" ? new Float32Array(2) : new Int32Array(1);
          who[casting.controller[seat]!]!.act({
            rows: 1,
            obs: alone.groups[g]!.obs.slice(i * obsSize, (i + 1) * obsSize),
            actionMask: null,
            agent: Int32Array.of(i),
            streams: [streams[seat]!],
            action: out,
            logProb: new Float32Array(1),
            state: {},
          });
          for (let d = 0; d < size; d++) {
            const [low, high] = action.kind === "box" ? [action.low[d]!, action.high[d]!] : [0, 3];
            alone.groups[g]!.action[i * size + d] = Math.min(Math.max(out[d]!, low), high);
          }
        }
        alone.step();
        rewards.push([...alone.groups[0]!.reward, ...alone.groups[1]!.reward]);
        if (alone.ended.count > 0) assign(0, 0, castStream, casting);
      }
      return rewards;
    }
  });

  it("refuses an actor that does not exist, naming copy and seat", async () => {
    const environment = await createEnvironment(remote, 2);
    const actors = [new ConstantActor("one", 0)];
    const make = (cast: CastFunction) =>
      new Rollout({ environment, actors, cast, seed: 0, stream: "x", recorders: [] });
    expect(() => make(fixedCasting([0, 1])).reset()).toThrow(
      'copy 0, seat "walker_1": got actor 1, expected 0 … 0',
    );
    expect(() => make(hijackCasting([0, 0], [0, -1])).reset()).toThrow("hijacker 0 without hijack options");
  });
});

/** Runs the chorus with two seats of four hijacked and returns what was controlled, [step][copy][seat]. */
async function coins(
  hijack: { epsilon: number; coin: "set" | "agent" },
  steps: number,
): Promise<number[][][]> {
  const environment = await createEnvironment(chorus, 50);
  const actors = [new ConstantActor("team", 1), new ConstantActor("thief", 2)];
  const out: number[][][] = [];
  const recorder: Recorder = {
    onAct: ({ groups: [step] }) => {
      for (let k = 0; k < step!.action.length; k++) {
        expect(step!.own.action[k]).toBe(1);
        expect(step!.action[k]).toBe(step!.controlled[k] === 1 ? 2 : 1);
      }
      out.push(Array.from({ length: 50 }, (_, e) => [...step!.controlled.subarray(4 * e, 4 * e + 4)]));
    },
  };
  const cast = hijackCasting([0, 0, 0, 0], [-1, 1, -1, 1]);
  new Rollout({ environment, actors, cast, seed: 3, stream: "coins", hijack, recorders: [recorder] }).run(
    steps,
  );
  return out;
}

describe("coins", () => {
  it("never fall for ε = 0 and always for ε = 1", async () => {
    for (const coin of ["set", "agent"] as const) {
      expect((await coins({ epsilon: 0, coin }, 20)).flat(2).every((c) => c === 0)).toBe(true);
      for (const seats of (await coins({ epsilon: 1, coin }, 20)).flat()) expect(seats).toEqual([0, 1, 0, 1]);
    }
  });

  it("fall once for a whole set, with frequency ε", async () => {
    const sets = (await coins({ epsilon: 0.3, coin: "set" }, 200)).flat();
    for (const seats of sets)
      expect([
        [0, 0, 0, 0],
        [0, 1, 0, 1],
      ]).toContainEqual(seats);
    const share = sets.filter((seats) => seats[1] === 1).length / sets.length;
    // 10,000 coins: the standard deviation of the share is 0.0046.
    expect(Math.abs(share - 0.3)).toBeLessThan(0.02);
  });

  it("fall for each agent alone under an action threat", async () => {
    const sets = (await coins({ epsilon: 0.3, coin: "agent" }, 200)).flat();
    const share = (test: (seats: number[]) => boolean) => sets.filter(test).length / sets.length;
    expect(Math.abs(share((s) => s[1] === 1) - 0.3)).toBeLessThan(0.02);
    expect(Math.abs(share((s) => s[3] === 1) - 0.3)).toBeLessThan(0.02);
    // Independent: both in 0.09 of the steps, not in 0.3.
    expect(Math.abs(share((s) => s[1] === 1 && s[3] === 1) - 0.09)).toBeLessThan(0.015);
    expect(sets.every((s) => s[0] === 0 && s[2] === 0)).toBe(true);
  });

  it("do not change what the others draw: the spared copies play as without any hijacker", async () => {
    const play = async (epsilon: number) => {
      const environment = await createEnvironment(chorus, 3);
      const actors = [new CountingActor("team", environment.spec.groups[0]!.action)];
      const own: number[][] = [];
      const recorder: Recorder = { onAct: ({ groups: [step] }) => void own.push([...step!.own.action]) };
      const cast = hijackCasting([0, 0, 0, 0], [0, -1, -1, -1]);
      const hijack = { epsilon, coin: "set" as const };
      new Rollout({ environment, actors, cast, seed: 3, stream: "c", hijack, recorders: [recorder] }).run(30);
      return own;
    };
    // Lengths of chorus episodes do not depend on actions, nor do own draws on coins.
    expect(await play(0.8)).toEqual(await play(0));
  });

  it("do not fall for agents that wait or are dead", async () => {
    for (const game of [nim, foragers]) {
      const environment = await createEnvironment(game, 8);
      const actors = [0, 1].map((k) => new CountingActor(`${k}`, environment.spec.groups[0]!.action));
      const n = environment.spec.groups[0]!.agents.length;
      let idle = 0;
      const recorder: Recorder = {
        onAct: ({ groups: [step] }) => {
          for (let row = 0; row < step!.acting.length; row++) {
            expect(step!.controlled[row]).toBe(step!.acting[row]);
            idle += 1 - step!.acting[row]!;
          }
        },
      };
      const cast = hijackCasting(new Int32Array(n), new Int32Array(n).fill(1));
      const hijack = { epsilon: 1, coin: "set" as const };
      new Rollout({ environment, actors, cast, seed: 1, stream: "x", hijack, recorders: [recorder] }).run(40);
      expect(idle).toBeGreaterThan(0);
    }
  });
});

describe("box actions", () => {
  it("are clipped to their bounds where they are executed, not where they are recorded", async () => {
    const environment = await createEnvironment(couriers, 2);
    const actors = [new ConstantActor("call", 2), new ConstantActor("far", 5), new ConstantActor("back", -7)];
    const checks: Recorder = {
      onAct: ({ groups }) => {
        const { own, hijack, action, controlled } = groups[1]!;
        expect([...own.action]).toEqual(Array(8).fill(5));
        expect([...hijack!.action.subarray(2, 4)]).toEqual([-7, -7]);
        for (let row = 0; row < 4; row++) {
          expect([...action.subarray(2 * row, 2 * row + 2)]).toEqual(
            controlled[row] === 1 ? [-0.5, -1] : [1, 0.5],
          );
        }
        expect([...controlled]).toEqual([0, 1, 0, 1]);
      },
    };
    const cast = hijackCasting([0, 1, 1], [-1, -1, 2]);
    const hijack = { epsilon: 1, coin: "set" as const };
    new Rollout({ environment, actors, cast, seed: 0, stream: "x", hijack, recorders: [checks] }).run(9);
  });
});

describe("carried state", () => {
  it("is kept per row, starts anew with the episode, and is not advanced by attacks", async () => {
    for (const casting of ["whole group", "mixed"]) {
      const environment = await createEnvironment(chorus, 6);
      const actors = [0, 1, 2].map((k) => new CountingActor(`${k}`, environment.spec.groups[0]!.action));
      const elapsed = new Int32Array(6);
      let restarts = 0;
      let perturbed = 0;
      const checks: Recorder = {
        onReset: () => void elapsed.fill(0),
        onAct: ({ groups: [step], casting: { hijacker } }) => {
          for (let row = 0; row < 24; row++) {
            const e = Math.floor(row / 4);
            expect(step!.own.logProb[row]).toBe(elapsed[e]);
            if (hijacker[row]! >= 0) expect(step!.hijack!.logProb[row]).toBe(elapsed[e]);
            perturbed += step!.perturbed[row]!;
          }
        },
        onOutcome: ({ environment: { ended } }) => {
          for (let e = 0; e < 6; e++) elapsed[e]!++;
          for (let r = 0; r < ended.count; r++, restarts++) elapsed[ended.copies[r]!] = 0;
        },
      };
      const rollout = new Rollout({
        environment,
        actors,
        cast: casting === "mixed" ? shuffling(3, 4) : hijackCasting([0, 0, 0, 0], [1, 1, 1, 1]),
        seed: SEED,
        stream: "x",
        hijack: { epsilon: 0.5, coin: "set" },
        perturb,
        recorders: [checks],
      });
      rollout.run(25);
      rollout.reset(3);
      rollout.run(25);
      expect(restarts).toBeGreaterThan(20);
      expect(perturbed).toBeGreaterThan(20);
    }
  });
});

describe("what a copy does", () => {
  for (const { definition, parameters } of fixtureGames) {
    it(`depends on its seed alone, not on the others: ${definition.id} ${JSON.stringify(parameters)}`, async () => {
      const play = async (copies: number, first: number, seed = SEED) => {
        const environment = await createEnvironment(definition, copies, parameters);
        const trace = new Trace();
        const rollout = new Rollout({ ...everything(environment, [trace]), seed });
        rollout.reset(first);
        rollout.run(30);
        return trace.copies;
      };
      const many = await play(8, 0);
      expect(await play(8, 0)).toEqual(many);
      for (const e of [0, 5]) expect((await play(1, e))[0]).toEqual(many[e]);
      expect(await play(3, 4)).toEqual(many.slice(4, 7));
      expect((await play(1, 0, SEED + 1))[0]).not.toEqual(many[0]);
      expect(many[0]).not.toEqual(many[1]);
    });
  }
});

describe("saving", () => {
  for (const { definition, parameters } of fixtureGames) {
    it(`in the middle and going on gives the same bytes: ${definition.id} ${JSON.stringify(parameters)}`, async () => {
      const create = async () => {
        const environment = await createEnvironment(definition, 4, parameters);
        const trace = new Trace();
        const tally = new Tally();
        const transitions = new TransitionReplay(environment, 0, 10);
        const episodes = environment.spec.maxSteps === null ? [] : [new EpisodeReplay(environment, 0, 3)];
        const options = everything(environment, [trace, tally, transitions, ...episodes]);
        // Carried state, too: what holds the seats of group 0 counts its steps.
        const actors = options.actors.map((actor, i) =>
          i < 2 ? new CountingActor(`${i}`, environment.spec.groups[0]!.action) : actor,
        );
        const rollout = new Rollout({ ...options, actors });
        return { rollout, trace, tally, transitions, episodes };
      };
      const one = await create();
      one.rollout.run(13);
      const stored = decodeSafetensors(
        encodeSafetensors({
          arrays: {
            rollout: one.rollout.saveState(),
            tally: one.tally.saveState(),
            transitions: one.transitions.saveState(),
            ...(one.episodes[0] === undefined ? {} : { episodes: one.episodes[0].saveState() }),
          },
          meta: {},
        }),
        "memory",
      ).arrays as Record<string, never>;
      one.tally.episodes = [];
      const goOn = (from: number, { rollout, trace, tally, transitions, episodes }: typeof one) => {
        rollout.run(17);
        return {
          trace: trace.copies.map((steps) => steps.slice(from)),
          tally: tally.episodes,
          saved: [rollout.saveState(), tally.saveState(), transitions.saveState()].map(bytesOf),
          episodes: episodes.map((replay) => bytesOf(replay.saveState())),
        };
      };
      const two = await create();
      // Whatever the other did before must be forgotten.
      two.rollout.run(5);
      two.rollout.loadState(stored.rollout!);
      two.tally.loadState(stored.tally!, two.rollout.view);
      two.tally.episodes = [];
      two.transitions.loadState(stored.transitions!);
      two.episodes[0]?.loadState(stored.episodes!);
      expect(goOn(5, two)).toEqual(goOn(13, one));
    });
  }

  it("of an environment that cannot be saved begins other episodes, and says so to recorders", async () => {
    const create = async () => {
      const environment = await createEnvironment(unsaveable(chorus), 3);
      const actors = [new CountingActor("0", environment.spec.groups[0]!.action)];
      const trace = new Trace();
      const tally = new Tally();
      const cast = perturbCasting(
        [0, 0, 0, 0],
        () => 1,
        () => 1,
      );
      const recorders = [trace, tally];
      return {
        rollout: new Rollout({ environment, actors, cast, seed: 1, stream: "x", recorders }),
        trace,
        tally,
      };
    };
    const one = await create();
    one.rollout.run(6);
    expect(one.rollout.isResumable).toBe(false);
    const saved = one.rollout.saveState();
    const episode = [...one.rollout.view.episode];
    const goOn = async () => {
      const two = await create();
      two.rollout.loadState(saved);
      expect([...two.rollout.view.episode]).toEqual(episode.map((k) => k + 1));
      expect(two.rollout.view.step).toBe(6);
      two.rollout.run(8);
      return two;
    };
    const two = await goOn();
    expect((await goOn()).trace.copies).toEqual(two.trace.copies);
    // Whole episodes only: what was lost is not half counted.
    for (const { length, returns } of two.tally.episodes) {
      expect(length).toBeLessThanOrEqual(5);
      expect(returns.every((x) => x >= 0)).toBe(true);
    }
    const first = await create();
    first.rollout.run(8);
    expect(two.trace.copies.map((steps) => steps.map((row) => row.slice(1)))).not.toEqual(
      first.trace.copies.map((steps) => steps.map((row) => row.slice(1))),
    );
    // A step's own log-probability is its number within the episode: state began anew.
    expect(two.trace.copies[0]![0]!.includes(6)).toBe(false);
  });

  it("refuses a state of another shape, and changes nothing", async () => {
    const create = async (copies: number) => {
      const environment = await createEnvironment(chorus, copies);
      const actors = [0, 1].map((k) => new CountingActor(`${k}`, environment.spec.groups[0]!.action));
      const trace = new Trace();
      const hijack = { epsilon: 0.5, coin: "set" as const };
      const cast = hijackCasting([0, 0, 0, 0], [1, 1, 1, 1]);
      return {
        trace,
        rollout: new Rollout({ environment, actors, cast, seed: 1, stream: "x", hijack, recorders: [trace] }),
      };
    };
    const { rollout } = await create(3);
    rollout.run(4);
    const other = await create(2);
    other.rollout.run(3);
    const before = bytesOf(rollout.saveState());
    expect(() => rollout.loadState(other.rollout.saveState())).toThrow(
      'rollout state, "episode": got 2 numbers, expected 3 numbers.',
    );
    const saved = rollout.saveState() as Record<string, never>;
    for (const key of ["environment", "streams", "casting", "own", "hijack", "counters"]) {
      const { [key]: _, ...rest } = saved;
      expect(() => rollout.loadState(rest), key).toThrow(/^rollout state/);
    }
    expect(() => rollout.loadState(saved.counters!)).toThrow(/^rollout state/);
    expect(bytesOf(rollout.saveState())).toEqual(before);
  });
});

describe("a view", () => {
  it("tells the truth about steps, episodes and the place of its copies", async () => {
    const environment = await createEnvironment(chorus, 2);
    const seen: number[][] = [];
    const look = (view: StepView) => void seen.push([view.step, view.firstCopy, ...view.episode]);
    const actors = [new ConstantActor("one", 1)];
    const recorders = [{ onAct: look, onOutcome: look }];
    const rollout = new Rollout({
      environment,
      actors,
      cast: fixedCasting([0, 0, 0, 0]),
      seed: 0,
      stream: "x",
      recorders,
    });
    rollout.reset(5);
    rollout.run(12);
    // During an outcome the episode is still the one of the step taken.
    for (let t = 0; t < 12; t++) expect(seen[2 * t + 1]).toEqual(seen[2 * t]);
    expect(seen.map(([step]) => step)).toEqual(Array.from({ length: 24 }, (_, k) => Math.floor(k / 2)));
    expect(seen.every(([, first]) => first === 5)).toBe(true);
    expect(
      seen
        .at(-1)!
        .slice(2)
        .every((k) => k >= 2 && k <= 6),
    ).toBe(true);
  });
});
