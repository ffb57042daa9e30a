import { describe, expect, it } from "vitest";
import { chorus, couriers, foragers, nim, remote, twoStep } from "../../test/games/index.js";
import {
  ConstantActor,
  CountingActor,
  createEnvironment,
  observationThreat,
  randomPolicyActor,
  runtime,
} from "../../test/support/rollouts.js";
import { ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import type { Environment } from "../env/contract.js";
import {
  EpisodeReplay,
  FilmRecorder,
  fixedCasting,
  globalSize,
  hijackCasting,
  meanOf,
  OnPolicyBuffer,
  type OnPolicyOptions,
  type Perturber,
  perturbCasting,
  type Recorder,
  Rollout,
  type StepView,
  seatTeam,
  Tally,
  TransitionReplay,
} from "./index.js";

const uniform = (environment: Environment, index = 0) =>
  new CountingActor(`team ${index}`, environment.spec.groups[index]!.action);

/** Hijacks seats 1 and 3 of the chorus in half of the episodes, half of the time. */
async function hijackedChorus(recorders: (environment: Environment) => readonly Recorder[]) {
  const environment = await createEnvironment(chorus, 8);
  const actors = [uniform(environment), new ConstantActor("thief", 2)];
  return new Rollout({
    environment,
    actors,
    cast: hijackCasting([0, 0, 0, 0], [-1, 1, -1, 1], () => 0.5),
    seed: 4,
    stream: "x",
    hijack: { epsilon: 0.5, coin: "set" },
    recorders: recorders(environment),
  });
}

const common: Omit<OnPolicyOptions, "environment" | "actor" | "role"> = {
  group: 0,
  agents: [0, 1, 2, 3],
  steps: 20,
  criticInput: "observation",
  rewardWeights: null,
};

describe("on-policy buffer", () => {
  it("masks hijacked rows for the team; the adversary's actor learns from controlled steps, its critic from all", async () => {
    const weights: { team: number[]; thief: number[]; critic: number[] } = {
      team: [],
      thief: [],
      critic: [],
    };
    let team!: OnPolicyBuffer;
    let thief!: OnPolicyBuffer;
    const expected: Recorder = {
      onAct: ({ groups: [step], casting: { hijacker } }) => {
        hijacker.forEach((who, row) => {
          weights.team.push(who < 0 ? 1 : 0);
          weights.thief.push(step!.controlled[row]!);
          weights.critic.push(who === 1 ? 1 : 0);
        });
      },
    };
    const rollout = await hijackedChorus((environment) => {
      team = new OnPolicyBuffer({ ...common, environment, actor: 0, role: "own" });
      thief = new OnPolicyBuffer({ ...common, environment, actor: 1, role: "hijack" });
      return [expected, team, thief];
    });
    rollout.run(20);
    expect([...team.actorWeight]).toEqual(weights.team);
    expect([...team.criticWeight]).toEqual(weights.team);
    expect([...thief.actorWeight]).toEqual(weights.thief);
    expect([...thief.criticWeight]).toEqual(weights.critic);
    for (const list of [weights.team, weights.thief, weights.critic]) expect(new Set(list).size).toBe(2);
    expect(weights.thief).not.toEqual(weights.critic);
    // Each keeps what its own actor chose, executed or not.
    for (let k = 0; k < thief.action.length; k++) {
      if (weights.critic[k] === 1) expect([thief.action[k], thief.logProb[k]]).toEqual([2, -2]);
      expect(team.logProb[k]).toBeGreaterThanOrEqual(0);
    }
    expect(() => rollout.run(1)).toThrow("full after 20 steps");
    team.clear();
    thief.clear();
    rollout.run(20);
    expect(team.t).toBe(20);
  });

  it("gives no weight to agents that wait or are dead, and keeps masks and multi-discrete actions", async () => {
    for (const game of [nim, foragers]) {
      const environment = await createEnvironment(game, 5);
      const n = environment.spec.groups[0]!.agents.length;
      const agents = Array.from({ length: n }, (_, i) => i);
      const buffer = new OnPolicyBuffer({ ...common, environment, agents, actor: 0, role: "own" });
      const expected = {
        acting: [] as number[],
        mask: [] as number[],
        action: [] as number[],
        obs: [] as number[],
      };
      const look: Recorder = {
        onAct: ({ groups: [step] }) => {
          expected.acting.push(...step!.acting);
          expected.mask.push(...step!.actionMask!);
          expected.action.push(...step!.own.action);
          expected.obs.push(...step!.obs);
        },
      };
      const actors = [uniform(environment)];
      const cast = fixedCasting(new Int32Array(n));
      new Rollout({ environment, actors, cast, seed: 4, stream: "x", recorders: [look, buffer] }).run(20);
      expect([...buffer.actorWeight]).toEqual(expected.acting);
      expect(new Set(expected.acting).size).toBe(2);
      expect(buffer.criticWeight.every((w) => w === 1)).toBe(true);
      expect([...buffer.actionMask!]).toEqual(expected.mask);
      expect([...buffer.action]).toEqual(expected.action);
      expect([...buffer.obs]).toEqual(expected.obs);
    }
  });

  it("keeps only its agents, in its order, and what their seats' rewards are worth to it", async () => {
    const environment = await createEnvironment(couriers, 3);
    const actors = [uniform(environment, 0), randomPolicyActor(environment, 1, 1)];
    const own = new OnPolicyBuffer({ ...common, environment, group: 1, agents: [1], actor: 1, role: "own" });
    const rewardWeights = Float64Array.of(-1, 0, 0.5);
    const shared = new OnPolicyBuffer({
      ...common,
      environment,
      group: 1,
      agents: [1, 0],
      actor: 1,
      role: "own",
      rewardWeights,
    });
    const expected = { own: [] as number[], shared: [] as number[], obs: [] as number[] };
    const look: Recorder = {
      onAct: ({ groups }) => {
        for (let e = 0; e < 3; e++) expected.obs.push(...groups[1]!.obs.subarray(14 * e + 7, 14 * e + 14));
      },
      onOutcome: ({ environment: { groups } }) => {
        for (let e = 0; e < 3; e++) {
          expected.own.push(groups[1]!.reward[2 * e + 1]!);
          const value = -groups[0]!.reward[e]! + 0.5 * groups[1]!.reward[2 * e + 1]!;
          expected.shared.push(value, value);
        }
      },
    };
    const cast = fixedCasting([0, 1, 1]);
    new Rollout({ environment, actors, cast, seed: 4, stream: "x", recorders: [look, own, shared] }).run(20);
    expect([...own.reward]).toEqual(expected.own);
    expect([...shared.reward]).toEqual(expected.shared);
    expect([...own.obs]).toEqual(expected.obs);
    for (let k = 0; k < 60; k++) {
      expect([...shared.obs.subarray(14 * k, 14 * k + 7)]).toEqual([...own.obs.subarray(7 * k, 7 * k + 7)]);
    }
  });

  it("bootstraps truncated episodes from their final observation, not from the next episode's first", async () => {
    for (const [game, critic] of [
      [couriers, "global"],
      [couriers, "observation"],
      [remote, "global"],
    ] as const) {
      const environment = await createEnvironment(game, 2);
      const G = environment.spec.groups.length;
      const group = G - 1;
      const actors = environment.spec.groups.map((_, g) => randomPolicyActor(environment, g, 1));
      const buffer = new OnPolicyBuffer({
        ...common,
        environment,
        group,
        agents: [0, 1],
        actor: group,
        role: "own",
        criticInput: critic,
      });
      const finals: { at: number; input: number[] }[] = [];
      const inputs: number[] = [];
      const { stateSize } = environment.spec;
      const size = environment.spec.groups.map((g) => g.agents.length * g.obsSize);
      let t = 0;
      const input = (state: Float32Array, obs: readonly Float32Array[], e: number) => {
        const part = (x: Float32Array, width: number) => [...x.subarray(e * width, (e + 1) * width)];
        if (critic === "observation") return part(obs[group]!, size[group]!);
        return stateSize > 0 ? part(state, stateSize) : obs.flatMap((x, g) => part(x, size[g]!));
      };
      const now = ({ environment: env }: StepView) => {
        for (let e = 0; e < 2; e++)
          inputs.push(
            ...input(
              env.state,
              env.groups.map((g) => g.obs),
              e,
            ),
          );
      };
      const look: Recorder = {
        onAct: now,
        onOutcome: (view) => {
          const { ended, truncated } = view.environment;
          for (let r = 0; r < ended.count; r++) {
            const e = ended.copies[r]!;
            if (truncated[e] === 1) finals.push({ at: 2 * t + e, input: input(ended.state, ended.obs, r) });
          }
          t++;
          if (t === 20) now(view);
        },
      };
      const cast = fixedCasting(G === 2 ? [0, 1, 1] : [0, 0]);
      new Rollout({ environment, actors, cast, seed: 4, stream: "x", recorders: [look, buffer] }).run(20);
      expect([...buffer.critic]).toEqual(inputs);
      expect(finals.length).toBeGreaterThan(3);
      expect([...buffer.cut.index.subarray(0, buffer.cut.count)]).toEqual(finals.map((f) => f.at));
      const width = finals[0]!.input.length;
      expect([...buffer.cut.critic.subarray(0, buffer.cut.count * width)]).toEqual(
        finals.flatMap((f) => f.input),
      );
      // And that is another state than the one the next step starts from.
      for (const { at, input: final } of finals) {
        expect(final).not.toEqual(inputs.slice((at + 2) * width, (at + 3) * width));
      }
      expect(buffer.criticSize).toBe(critic === "global" ? globalSize(environment) : 7);
    }
  });

  it("shows critics the truth where policies are deceived", async () => {
    const environment = await createEnvironment(remote, 2);
    const threat = observationThreat({ epsilon: 0.5 });
    const perturber: Perturber = { name: "up", perturb: (_, delta) => void delta.fill(1) };
    const buffer = new OnPolicyBuffer({
      ...common,
      environment,
      agents: [0, 1],
      steps: 5,
      actor: 0,
      role: "own",
    });
    const actors = [uniform(environment)];
    const cast = fixedCasting([0, 0]);
    const perturb = { threat, perturber };
    new Rollout({ environment, actors, cast, seed: 4, stream: "x", perturb, recorders: [buffer] }).run(5);
    for (let k = 0; k < buffer.obs.length; k++) expect(buffer.obs[k]).toBe(buffer.critic[k]! + 0.5);
  });
});

/** What a replay must hold: one record per copy and step, in order. */
interface Transition {
  copy: number;
  obs: number[];
  action: number[];
  acting: number[];
  controlled: number[];
  state: number[];
  reward: number[];
  nextObs: number[];
  nextState: number[];
  terminated: number;
  ends: boolean;
}

class Log implements Recorder {
  readonly all: Transition[] = [];
  #open: Transition[] = [];

  constructor(readonly group: number) {}

  onAct(view: StepView): void {
    const step = view.groups[this.group]!;
    const E = view.environment.copies;
    const part = (x: ArrayLike<number>, e: number) =>
      Array.from(x).slice((e * x.length) / E, ((e + 1) * x.length) / E);
    this.#open = Array.from({ length: E }, (_, e) => ({
      copy: e,
      obs: part(step.seen, e),
      action: part(step.action, e),
      acting: part(step.acting, e),
      controlled: part(step.controlled, e),
      state: part(view.environment.state, e),
      reward: [],
      nextObs: [],
      nextState: [],
      terminated: 0,
      ends: false,
    }));
  }

  onOutcome(view: StepView): void {
    const { groups, ended, state, terminated, copies: E } = view.environment;
    const { obs, reward } = groups[this.group]!;
    for (const open of this.#open) {
      const row = ended.copies.subarray(0, ended.count).indexOf(open.copy);
      const part = (x: ArrayLike<number>, e: number) =>
        Array.from(x).slice((e * x.length) / E, ((e + 1) * x.length) / E);
      open.reward = part(reward, open.copy);
      open.nextObs = row < 0 ? part(obs, open.copy) : part(ended.obs[this.group]!, row);
      open.nextState = row < 0 ? part(state, open.copy) : part(ended.state, row);
      open.terminated = terminated[open.copy]!;
      open.ends = row >= 0;
      this.all.push(open);
    }
  }
}

const FIELDS = ["obs", "action", "acting", "controlled", "state", "reward", "nextObs", "nextState"] as const;

function expectRow(arrays: TransitionReplay["arrays"], rows: number, row: number, wanted: Transition): void {
  for (const field of FIELDS) {
    const data = arrays[field];
    const width = data.length / rows;
    expect(Array.from(data.subarray(row * width, (row + 1) * width)), `${field} of row ${row}`).toEqual(
      wanted[field],
    );
  }
  expect(arrays.terminated[row]).toBe(wanted.terminated);
}

describe("transition replay", () => {
  it("holds the last transitions, oldest overwritten first", async () => {
    const log = new Log(0);
    let replay!: TransitionReplay;
    const rollout = await hijackedChorus((environment) => {
      replay = new TransitionReplay(environment, 0, 100);
      return [log, replay];
    });
    rollout.run(5);
    expect(replay.size).toBe(40);
    log.all.forEach((wanted, row) => {
      expectRow(replay.arrays, 100, row, wanted);
    });
    rollout.run(20);
    expect(replay.size).toBe(100);
    log.all.slice(-100).forEach((wanted, k) => {
      expectRow(replay.arrays, 100, (100 + k) % 100, wanted);
    });
    expect(log.all.some((x) => x.terminated === 1)).toBe(true);
    expect(log.all.some((x) => x.controlled.includes(1))).toBe(true);
  });

  it("keeps masks, those after the step too, and everything allowed after the end", async () => {
    const environment = await createEnvironment(nim, 3);
    const replay = new TransitionReplay(environment, 0, 60);
    const actors = [uniform(environment)];
    new Rollout({
      environment,
      actors,
      cast: fixedCasting([0, 0]),
      seed: 4,
      stream: "x",
      recorders: [replay],
    }).run(20);
    const { actionMask, nextActionMask, terminated } = replay.arrays;
    let ends = 0;
    for (let row = 0; row < 60; row++) {
      const next = [...nextActionMask!.subarray(8 * row, 8 * row + 8)];
      if (terminated[row] === 1) {
        ends++;
        expect(next).toEqual(Array(8).fill(1));
      } else if (row + 3 < 60) {
        expect(next).toEqual([...actionMask!.subarray(8 * (row + 3), 8 * (row + 3) + 8)]);
      }
    }
    expect(ends).toBeGreaterThan(5);
  });

  it("samples every row and no other", async () => {
    const environment = await createEnvironment(twoStep, 4);
    const replay = new TransitionReplay(environment, 0, 50);
    expect(() => new TransitionReplay(environment, 0, 3)).toThrow("got capacity 3, expected at least 4");
    const actors = [uniform(environment)];
    const rollout = new Rollout({
      environment,
      actors,
      cast: fixedCasting([0, 0]),
      seed: 4,
      stream: "x",
      recorders: [replay],
    });
    rollout.run(3);
    const rows = replay.sample(RandomStream.from(0, "sample"), new Int32Array(500));
    expect(new Set(rows)).toEqual(new Set(Array.from({ length: 12 }, (_, i) => i)));
  });

  it("refuses the state of a replay of another size, and keeps its own", async () => {
    const environment = await createEnvironment(twoStep, 4);
    const [a, b] = [new TransitionReplay(environment, 0, 50), new TransitionReplay(environment, 0, 40)];
    const actors = [uniform(environment)];
    new Rollout({
      environment,
      actors,
      cast: fixedCasting([0, 0]),
      seed: 4,
      stream: "x",
      recorders: [a],
    }).run(3);
    const before = JSON.stringify(a.saveState());
    expect(() => a.loadState(b.saveState())).toThrow(
      'transition replay state, "obs": got 400 numbers of float32, expected 500 numbers of float32.',
    );
    expect(() => a.loadState({})).toThrow('"counters": got nothing');
    expect(JSON.stringify(a.saveState())).toBe(before);
    const episodes = new EpisodeReplay(await createEnvironment(remote, 2), 0, 4);
    expect(() => episodes.loadState(a.saveState())).toThrow(/^episode replay state, "lengths": got nothing/);
  });
});

describe("episode replay", () => {
  it("holds the last whole episodes, each in its own block", async () => {
    const log = new Log(0);
    let replay!: EpisodeReplay;
    const rollout = await hijackedChorus((environment) => {
      replay = new EpisodeReplay(environment, 0, 5);
      return [log, replay];
    });
    rollout.run(30);
    const running: Transition[][] = Array.from({ length: 8 }, () => []);
    const finished: Transition[][] = [];
    for (const step of log.all) {
      running[step.copy]!.push(step);
      if (!step.ends) continue;
      finished.push(running[step.copy]!);
      running[step.copy] = [];
    }
    expect(replay.size).toBe(5);
    expect(replay.maxSteps).toBe(5);
    expect(new Set(finished.map((steps) => steps.length)).size).toBeGreaterThan(2);
    finished.forEach((steps, k) => {
      if (k < finished.length - 5) return;
      expect(replay.lengths[k % 5]).toBe(steps.length);
      steps.forEach((step, t) => {
        expectRow(replay.arrays, 25, (k % 5) * 5 + t, step);
      });
    });
    // A reset forgets what was running, not what is stored.
    rollout.reset();
    rollout.run(1);
    expect(replay.size).toBe(5);
  });

  it("refuses games whose episodes have no greatest length", async () => {
    const environment = await createEnvironment(nim, 1);
    expect(() => new EpisodeReplay(environment, 0, 5)).toThrow(
      "episodes of fixture/nim_v0 have no greatest length",
    );
  });
});

describe("tally", () => {
  it("counts returns, lengths, metrics and the budget spent", async () => {
    const log = new Log(0);
    const tally = new Tally();
    const casts: number[][] = [];
    const metrics: number[] = [];
    const look: Recorder = {
      onAct: ({ casting }) => void casts.push([...casting.hijacker]),
      onOutcome: ({ environment: { ended } }) => void metrics.push(...ended.metrics.subarray(0, ended.count)),
    };
    const rollout = await hijackedChorus(() => [log, look, tally]);
    rollout.run(30);
    const running: { steps: Transition[]; hijackable: number }[] = Array.from({ length: 8 }, () => ({
      steps: [],
      hijackable: 0,
    }));
    const expected: object[] = [];
    const counts = new Int32Array(8);
    log.all.forEach((step, k) => {
      const now = running[step.copy]!;
      now.steps.push(step);
      now.hijackable += casts[Math.floor(k / 8)]!.slice(4 * step.copy, 4 * step.copy + 4).filter(
        (h) => h >= 0,
      ).length;
      if (!step.ends) return;
      expected.push({
        copy: step.copy,
        episode: counts[step.copy]!++,
        returns: Float64Array.from([0, 1, 2, 3], (i) => now.steps.reduce((sum, s) => sum + s.reward[i]!, 0)),
        length: now.steps.length,
        metrics: Float64Array.of(metrics[expected.length]!),
        hijackable: now.hijackable,
        controlled: now.steps.reduce((sum, s) => sum + s.controlled.reduce((a, b) => a + b), 0),
        perturbed: 0,
        largestPerturbation: 0,
      });
      running[step.copy] = { steps: [], hijackable: 0 };
    });
    expect(tally.episodes).toEqual(expected);
    expect(expected.length).toBeGreaterThan(40);
    const mean = meanOf(Float64Array.from(tally.episodes, (e) => meanOf(e.returns)));
    expect(tally.takeMeanReturn()).toBeCloseTo(mean, 12);
    expect(tally.takeMeanReturn()).toBeNaN();
  });

  it("counts perturbed observations and their largest change", async () => {
    const environment = await createEnvironment(remote, 2);
    const threat = observationThreat({ epsilon: 0.5, agents: ["walker_1"], features: ["own"] });
    const perturber: Perturber = {
      name: "up",
      perturb: ({ epsilon }, delta) => void delta.fill(epsilon[0]! / 2),
    };
    const tally = new Tally();
    const cast = perturbCasting(
      [0, 0],
      () => 1,
      () => 0.5,
    );
    const actors = [uniform(environment)];
    new Rollout({
      environment,
      actors,
      cast,
      seed: 4,
      stream: "x",
      perturb: { threat, perturber },
      recorders: [tally],
    }).run(6);
    for (const episode of tally.episodes) {
      expect([episode.perturbed, episode.largestPerturbation, episode.hijackable]).toEqual([6, 0.125, 0]);
    }
    expect(tally.episodes).toHaveLength(2);
  });

  it("refuses a state of another number of copies", async () => {
    const rollout = await hijackedChorus(() => []);
    rollout.reset();
    const tally = new Tally();
    const state = (copies: number) => ndarray("float64", [copies, 9], new Float64Array(9 * copies));
    tally.loadState(state(8), rollout.view);
    expect(() => tally.loadState(state(7), rollout.view)).toThrow(
      "tally state: got 63 numbers, expected 72.",
    );
    expect(() => tally.loadState(undefined, rollout.view)).toThrow("got 0 numbers");
  });
});

describe("film", () => {
  it("shows whole first episodes: what was done, meant, controlled and seen", async () => {
    const environment = await createEnvironment(couriers, 4, {}, { keepFinalFrames: true });
    const film = new FilmRecorder(3, { team: "t", adversary: "a", seed: 9 });
    const log = new Log(1);
    const threat = observationThreat({ epsilon: 0.5, agents: ["courier_0"], features: ["call"] });
    const perturber: Perturber = { name: "up", perturb: (_, delta) => void delta.fill(0.25) };
    const actors = [
      uniform(environment),
      randomPolicyActor(environment, 1, 1),
      new ConstantActor("thief", 0.25),
    ];
    const rollout = new Rollout({
      environment,
      actors,
      cast: hijackCasting([0, 1, 1], [-1, -1, 2]),
      seed: 9,
      stream: "x",
      hijack: { epsilon: 0.5, coin: "set" },
      perturb: { threat, perturber },
      recorders: [log, film],
    });
    rollout.reset(1);
    rollout.run(20);
    // Copies 1 and 2 of the larger set are below 3; each is filmed once.
    expect(film.films.map((f) => f.copy).sort()).toEqual([1, 2]);
    for (const { steps, copy, agents, hijacked, episodeReturn, ...rest } of film.films) {
      const logged = log.all.filter((s) => s.copy === copy - 1);
      const length = logged.findIndex((s) => s.ends) + 1;
      expect(rest).toMatchObject({ environment: "fixture/couriers_v0", team: "t", adversary: "a", seed: 9 });
      expect([agents, hijacked]).toEqual([["dispatcher", "courier_0", "courier_1"], ["courier_1"]]);
      expect(steps).toHaveLength(length + 1);
      const last = steps.at(-1)!;
      expect([last.actions, last.reward, last.controlled]).toEqual([undefined, undefined, []]);
      expect(last.frame.shapes).toHaveLength(3);
      let sum = 0;
      for (const [t, step] of steps.slice(0, -1).entries()) {
        const truth = logged[t]!;
        expect(step.actions!.courier_0).toEqual(truth.action.slice(0, 2));
        expect(step.actions!.courier_1).toEqual(truth.action.slice(2));
        const isControlled = truth.controlled[1] === 1;
        expect(step.controlled).toEqual(isControlled ? ["courier_1"] : []);
        if (isControlled) expect(step.intended!.courier_1).not.toEqual(step.actions!.courier_1);
        else expect(step.intended).toBeUndefined();
        expect(step.perturbed).toEqual({ courier_0: { call: 0.25 } });
        const [position] = [step.frame.shapes[1]!].map((s) => (s.kind === "circle" ? [s.x, s.y] : []));
        expect(position!.map(Math.fround)).toEqual(truth.obs.slice(0, 2));
        const reward = truth.reward[0]! + truth.reward[1]!;
        expect(step.reward).toBeCloseTo((2 * reward) / 3, 10);
        sum += step.reward!;
      }
      expect(episodeReturn).toBeCloseTo(sum, 10);
    }
  });

  it("runs without pictures where an environment draws none", async () => {
    const environment = await createEnvironment(nim, 2);
    const film = new FilmRecorder(2, { team: "t", adversary: "a", seed: 0 });
    const { actors, actorOfSeat } = seatTeam(runtime, "uniform", environment.spec, "sample");
    new Rollout({
      environment,
      actors,
      cast: fixedCasting(actorOfSeat),
      seed: 0,
      stream: "x",
      recorders: [film],
    }).run(15);
    expect(film.films).toHaveLength(2);
    for (const { steps, actionNames } of film.films) {
      expect(actionNames!.player_1).toEqual(["wait", "take 1", "take 2", "take 3"]);
      // Only who moves has an action.
      expect(steps.slice(0, -1).map((s) => Object.keys(s.actions!)[0])).toEqual(
        steps.slice(0, -1).map((_, t) => `player_${t % 2}`),
      );
      expect(steps.at(-1)).toEqual({ frame: { shapes: [], captions: [] }, controlled: [], perturbed: {} });
    }
  });
});
