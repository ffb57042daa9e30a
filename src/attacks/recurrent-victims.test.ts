import { describe, expect, it } from "vitest";
import { chorus, couriers, foragers } from "../../test/games/index.js";
import { bytesOf, createEnvironment, observationThreat, runtime } from "../../test/support/rollouts.js";
import { randomTeam } from "../../test/support/teams.js";
import { type NdArray, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import type { EnvironmentDefinition } from "../env/contract.js";
import { type Actor, PolicyActor, type Team } from "../policy/index.js";
import {
  fixedCasting,
  type Perturber,
  type PerturbRequest,
  type Recorder,
  Rollout,
  seatTeam,
} from "../rollout/index.js";
import { grad, input, interpret, neg, sum, trace } from "../tensor/index.js";
import type { ObservationThreat } from "../threats/index.js";
import { attacks } from "./index.js";

const H = 8;
const STEPS = 40;

async function perturberOf(name: string, team: Team, threat: ObservationThreat): Promise<Perturber> {
  const attack = attacks.get(name);
  const createNone = () => Promise.reject(new Error());
  const context = { runtime, team, threat, seed: 3, steps: 1, createEnvironment: createNone };
  const adversary = (await attack.start(context, attack.options.parse({}))).adversary();
  if (adversary.kind !== "perturber") throw new Error("unreachable");
  return adversary.perturber;
}

interface Moment {
  readonly seen: Float32Array;
  readonly mask: Uint8Array | null;
  readonly action: number[];
  /** [E · n, H] what the team carried before it acted */
  readonly hidden: Float32Array;
  readonly starts: readonly number[];
  readonly changed: number;
}

/** What group 0 saw, carried and did, step by step. */
async function play(
  game: EnvironmentDefinition,
  team: Team,
  perturb: { threat: ObservationThreat; perturber: Perturber } | null,
): Promise<{ moments: Moment[]; saved: Record<string, string> }> {
  const environment = await createEnvironment(game, 3);
  const { actors, actorOfSeat } = seatTeam(runtime, team, environment.spec, "sample");
  const moments: Moment[] = [];
  const watch: Recorder = {
    onAct: ({ groups: [step], starts }) => {
      const { hidden } = step!.own.state[0] as { hidden: NdArray<"float32"> };
      moments.push({
        seen: step!.seen.slice(),
        mask: step!.actionMask?.slice() ?? null,
        action: [...step!.own.action],
        hidden: hidden.data.slice(),
        starts: [...starts!],
        changed: step!.perturbed.reduce((a, b) => a + b, 0),
      });
    },
  };
  const rollout = new Rollout({
    environment,
    actors,
    cast: fixedCasting(actorOfSeat),
    seed: 5,
    stream: "x",
    ...(perturb === null ? {} : { perturb }),
    recorders: [watch],
  });
  rollout.run(STEPS);
  return { moments, saved: bytesOf((rollout.saveState() as { own: Tree<NdArray> }).own) };
}

/** Asks another for its proposal and makes nothing of it; spoils what it was told. */
const harmless = (inner: Perturber): Perturber => ({
  name: "harmless",
  perturb: (request, delta) => {
    inner.perturb(request, delta);
    delta.fill(0);
    (request.state as { hidden: NdArray<"float32"> }).hidden.data.fill(7);
  },
});

const threat = observationThreat({ epsilon: 0.4, probability: 0.7, victimMode: "sample" });

describe("a recurrent victim", () => {
  for (const name of ["fgsm", "pgd", "random"]) {
    for (const game of [chorus, foragers, couriers]) {
      it(`carries the same, to the last bit, whether ${name} looks at it or not: ${game.id}`, async () => {
        const { spec } = await createEnvironment(game, 1);
        const team = randomTeam(spec, 1, { recurrent: H, outputGain: 2 });
        const alone = await play(game, team, null);
        const perturber = harmless(await perturberOf(name, team, threat));
        const watched = await play(game, team, { threat, perturber });
        expect(watched).toEqual(alone);
        expect(alone.moments.some(({ hidden }) => hidden.some((x) => x !== 0))).toBe(true);
        const gone = await play(game, team, { threat: { ...threat, epsilon: 0 }, perturber });
        expect(gone).toEqual(alone);
      });
    }

    it(`carries what it saw under ${name}, each step once, and nothing across episodes`, async () => {
      for (const game of [chorus, foragers]) {
        const { spec } = await createEnvironment(game, 1);
        const team = randomTeam(spec, 1, { recurrent: H, outputGain: 2 });
        const { moments } = await play(game, team, {
          threat,
          perturber: await perturberOf(name, team, threat),
        });
        const { policy, parameters } = team.members[0]!;
        const n = spec.groups[0]!.agents.length;
        const [O, rows] = [policy.obsSize, 3 * n];
        expect(moments.reduce((a, { changed }) => a + changed, 0)).toBeGreaterThan(STEPS);
        let expected = new Float32Array(rows * H);
        // One row at a time: a row does not depend on those beside it.
        const actor = new PolicyActor("again", runtime, policy, parameters, "greedy");
        const A = policy.space.kind === "multi-discrete" ? policy.space.sizes.length : 1;
        for (const { seen, mask, hidden, starts } of moments) {
          starts.forEach((start, e) => {
            if (start === 1) expected.fill(0, e * n * H, (e + 1) * n * H);
          });
          expect(hidden).toEqual(expected);
          expected = expected.slice();
          for (let r = 0; r < rows; r++) {
            const width = mask === null ? 0 : mask.length / rows;
            const state = expected.subarray(r * H, (r + 1) * H);
            actor.act({
              rows: 1,
              obs: seen.slice(r * O, (r + 1) * O),
              actionMask: mask?.slice(r * width, (r + 1) * width) ?? null,
              agent: Int32Array.of(r % n),
              streams: [],
              action: new Int32Array(A),
              logProb: new Float32Array(1),
              state: { hidden: ndarray("float32", [1, H], state) },
            });
          }
        }
        // Every copy began more than once.
        for (let e = 0; e < 3; e++) {
          expect(moments.reduce((sum, { starts }) => sum + starts[e]!, 0)).toBeGreaterThan(1);
        }
      }
    });
  }

  it("is attacked by FGSM along the gradient in the state that it carries", async () => {
    const { spec } = await createEnvironment(chorus, 1);
    const team = randomTeam(spec, 2, { recurrent: H, outputGain: 2 });
    const { policy, parameters } = team.members[0]!;
    const [O, rows] = [policy.obsSize, 5];
    const stream = RandomStream.from(8);
    const random = (count: number) => Float32Array.from({ length: count }, () => stream.normal());
    const clean = random(rows * O);
    const agent = Int32Array.from({ length: rows }, (_, r) => r % 4);
    const victim: Actor = new PolicyActor("victim", runtime, policy, parameters, "greedy");
    const perturber = await perturberOf("fgsm", team, threat);
    const [one, two] = [random(rows * H), random(rows * H)].map((data) => {
      const hidden = ndarray("float32", [rows, H], data);
      const request: PerturbRequest = {
        rows,
        victim,
        clean,
        actionMask: null,
        agent,
        epsilon: new Float32Array(rows).fill(0.25),
        scale: new Float64Array(O).fill(1),
        norm: "linf",
        state: { hidden },
        streams: [],
      };
      const delta = new Float32Array(rows * O);
      perturber.perturb(request, delta);
      expect(hidden.data).toEqual(data);
      const slope = trace(() => {
        const obs = input("obs", [rows, O]);
        const rest = { agent: input("agent", [rows], "int32") };
        const state = { hidden: input("hidden", [rows, H]) };
        const flat = input("parameters", [parameters.length]);
        const { distribution } = policy.forward(flat, { obs, ...rest }, state);
        return interpret(grad(neg(sum(distribution.logProb(distribution.mode()))), obs), {
          obs: ndarray("float32", [rows, O], clean),
          agent: ndarray("int32", [rows], agent),
          hidden,
          parameters: ndarray("float32", [parameters.length], parameters),
        });
      });
      const signs = Array.from(slope.data as Float64Array, (x) => (Math.abs(x) < 1e-6 ? 0 : Math.sign(x)));
      signs.forEach((sign, k) => {
        if (sign !== 0) expect(Math.sign(delta[k]!)).toBe(sign);
      });
      expect(signs.filter((sign) => sign !== 0).length).toBeGreaterThan(rows);
      return delta;
    });
    expect(one).not.toEqual(two);
  });
});
