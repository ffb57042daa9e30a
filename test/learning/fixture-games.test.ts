/** The environment contract carries learning and recording: IPPO and replays run on every fixture game. */
import { describe, expect, it } from "vitest";
import { ppo, ppoOptions } from "../../src/learners/index.js";
import {
  EpisodeReplay,
  FilmRecorder,
  fixedCasting,
  meanOf,
  Rollout,
  Tally,
  TransitionReplay,
} from "../../src/rollout/index.js";
import { fixtureGames } from "../games/index.js";
import { createEnvironment, runtime } from "../support/rollouts.js";

const [COPIES, STEPS, ITERATIONS] = [6, 20, 5];

describe("IPPO and the replay recorders run on", () => {
  for (const { definition, parameters } of fixtureGames) {
    it(`${definition.id} ${JSON.stringify(parameters)}`, async () => {
      const environment = await createEnvironment(definition, COPIES, parameters, { keepFinalFrames: true });
      const { spec } = environment;
      const learner = ppo.create(
        {
          runtime,
          environment,
          seed: 1,
          name: "team",
          agents: spec.groups.flatMap((g) => g.agents),
          role: "own",
          firstActor: 0,
          rewardWeights: null,
          ignore: {},
        },
        ppoOptions.parse({
          critic: "independent",
          copies: COPIES,
          rolloutSteps: STEPS,
          hidden: [8],
          epochs: 2,
        }),
      );
      const film = new FilmRecorder(2, { team: "t", adversary: "", seed: 1 });
      const tally = new Tally();
      const transitions = spec.groups.map((_, g) => new TransitionReplay(environment, g, 50));
      const episodes =
        spec.maxSteps === null ? [] : spec.groups.map((_, g) => new EpisodeReplay(environment, g, 4));
      const rollout = new Rollout({
        environment,
        actors: learner.actors,
        cast: fixedCasting(learner.actorOfSeat),
        seed: 1,
        stream: "training",
        recorders: [...learner.recorders, film, tally, ...transitions, ...episodes],
      });
      const before = learner.members().map((m) => m.parameters);
      for (let k = 0; k < ITERATIONS; k++) {
        rollout.run(STEPS);
        const metrics = learner.update(k / ITERATIONS);
        expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
      }
      learner.members().forEach((member, i) => {
        expect(member.parameters).not.toEqual(before[i]);
      });
      // Films are of the first episodes, which the tally counted, too.
      expect(film.films.map((f) => f.copy).sort()).toEqual([0, 1]);
      for (const { copy, episodeReturn, steps, agents } of film.films) {
        const counted = tally.episodes.find((x) => x.copy === copy && x.episode === 0)!;
        expect(steps).toHaveLength(counted.length + 1);
        expect(episodeReturn).toBeCloseTo(meanOf(counted.returns), 9);
        expect(agents).toEqual(spec.groups.flatMap((g) => g.agents));
        expect(steps[0]!.frame.shapes.length > 0).toBe(spec.capabilities.frames);
      }
      for (const replay of transitions) expect(replay.size).toBe(50);
      for (const [g, replay] of episodes.entries()) {
        expect(replay.size).toBe(4);
        // The four that ended last, though not in this order.
        const last = tally.episodes.slice(-4).map((x) => x.length);
        expect([...replay.lengths].sort()).toEqual(last.sort());
        const n = spec.groups[g]!.agents.length;
        const rewards = [...replay.lengths].map((length, slot) => {
          const start = slot * replay.maxSteps * n;
          return replay.arrays.reward.subarray(start, start + length * n).reduce((a, b) => a + b, 0);
        });
        const first = spec.groups.slice(0, g).reduce((sum, x) => sum + x.agents.length, 0);
        const returns = tally.episodes
          .slice(-4)
          .map((x) => x.returns.subarray(first, first + n).reduce((a, b) => a + b, 0));
        const sorted = (x: number[]) => x.map((v) => v.toFixed(9)).sort();
        expect(sorted(rewards)).toEqual(sorted(returns));
      }
    });
  }
});
