import { describe, expect, it } from "vitest";
import { couriers, foragers, nim, remote } from "../../test/games/index.js";
import { farthest } from "../../test/support/allclose.js";
import { createEnvironment, runtime } from "../../test/support/rollouts.js";
import { randomTeam } from "../../test/support/teams.js";
import { type NdArray, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { decodeSafetensors, encodeSafetensors } from "../core/safetensors.js";
import type { SavedState } from "../core/saved-state.js";
import type { EnvironmentSpec } from "../env/contract.js";
import { importModel } from "../onnx/index.js";
import { nodeBackend } from "../runtime/node.js";
import { interpret, trace } from "../tensor/index.js";
import {
  createPolicy,
  exportPolicies,
  loadTeam,
  PolicyActor,
  saveTeam,
  type Team,
  UniformActor,
} from "./index.js";

const specOf = async (game: typeof nim) => (await createEnvironment(game, 1)).spec;

/** A deep copy that may be broken at will. */
type Loose = {
  arrays: Record<string, NdArray>;
  meta: { environment: string; members: Record<string, unknown>[] };
};
const loose = (saved: SavedState) => structuredClone(saved) as unknown as Loose;
const asSaved = (state: Loose) => state as unknown as SavedState;

describe("a saved team", () => {
  it("comes back from its file as it was, unbounded boxes too", async () => {
    for (const [game, choice] of [nim, couriers, foragers, remote].flatMap((g) => [
      [g, {}] as const,
      [g, { recurrent: 6 }] as const,
    ])) {
      const spec = await specOf(game);
      const team = randomTeam(spec, 1, { ignored: [[1, 1]], layerNorm: true, ...choice });
      const bytes = encodeSafetensors(saveTeam(team) as Parameters<typeof encodeSafetensors>[0]);
      const again = loadTeam(decodeSafetensors(bytes, "memory") as SavedState, spec, "team.safetensors");
      expect(again.environment).toBe(spec.id);
      again.members.forEach((member, i) => {
        const { policy, ...rest } = team.members[i]!;
        expect(member).toMatchObject(rest);
        expect(member.policy.config).toEqual(policy.config);
      });
    }
    const spec = await specOf(couriers);
    const groups = spec.groups.map((g) => ({
      ...g,
      action: { kind: "box" as const, low: [-Infinity, 0], high: [Infinity, 1] },
    }));
    const open: EnvironmentSpec = { ...spec, groups };
    const bytes = encodeSafetensors(saveTeam(randomTeam(open, 1)) as Parameters<typeof encodeSafetensors>[0]);
    const again = loadTeam(decodeSafetensors(bytes, "memory") as SavedState, open, "x");
    expect(again.members[0]!.policy.space).toEqual(groups[0]!.action);
  });

  it("holds copies of the parameters", async () => {
    const team = randomTeam(await specOf(nim), 1);
    const saved = saveTeam(team) as unknown as Loose;
    team.members[0]!.parameters.fill(0);
    expect((saved.arrays.players!.data as Float32Array).some((x) => x !== 0)).toBe(true);
  });

  it("is refused in one sentence where it does not fit", async () => {
    const spec = await specOf(couriers);
    const sound = saveTeam(randomTeam(spec, 1));
    const broken = (change: (state: Loose) => unknown): SavedState => {
      const state = loose(sound);
      change(state);
      return asSaved(state);
    };
    const member = (state: Loose, i = 1) => state.meta.members[i]!;
    const policy = (state: Loose) => member(state).policy as Record<string, unknown>;
    const cases: [SavedState, RegExp][] = [
      [{ arrays: {}, meta: {} }, /^run\/team: holds no team \(members: .+\)\.$/],
      [broken((s) => Object.assign(s.meta, { members: [{}] })), /holds no team \(members\.0\.name: /],
      [
        broken((s) => Object.assign(member(s), { agents: "courier_0" })),
        /holds no team \(members\.1\.agents: /,
      ],
      [
        broken((s) => Object.assign(policy(s), { hidden: [0] })),
        /holds no team \(members\.1\.policy\.hidden\.0: /,
      ],
      [
        broken((s) => Object.assign(policy(s), { kind: "gru" })),
        /holds no team \(members\.1\.policy\.recurrent: /,
      ],
      [
        broken((s) => Object.assign(policy(s), { recurrent: 6 })),
        /holds no team \(members\.1\.policy: Unrecognized key/,
      ],
      [
        broken((s) => Object.assign(policy(s), { kind: "gru", recurrent: 6 })),
        /member "couriers": got \d+ float32 parameters, expected \d+ float32/,
      ],
      [
        broken((s) => Object.assign(policy(s), { space: { kind: "torus" } })),
        /holds no team \(members\.1\.policy\.space/,
      ],
      [
        broken((s) => Object.assign(member(s), { group: "drivers" })),
        /plays courier_0, courier_1 of group "drivers" \(trained on fixture\/couriers_v0\), which fixture\/couriers_v0 does not have/,
      ],
      [
        broken((s) => Object.assign(policy(s), { obsSize: 9 })),
        /member "couriers": got observations of 9 numbers, expected 7/,
      ],
      [
        broken((s) => Object.assign(policy(s), { space: { kind: "box", low: [0, 0], high: [1, 1] } })),
        /member "couriers": its actions are not those/,
      ],
      [
        broken((s) => Object.assign(policy(s), { actionMask: true })),
        /member "couriers": its actions are not those/,
      ],
      [broken((s) => Object.assign(policy(s), { agentIds: 3 })), /got ids for 3 agents, expected 2/],
      [
        broken((s) => Object.assign(policy(s), { ignored: [[6, 2]] })),
        /ignored entries 6 … 7 lie outside the observation of 7/,
      ],
      [
        broken((s) => Object.assign(policy(s), { hidden: [9] })),
        /member "couriers": got \d+ float32 parameters, expected \d+ float32/,
      ],
      [broken((s) => void delete s.arrays.couriers), /member "couriers": got no parameters/],
      [
        broken((s) => {
          const { shape, data } = s.arrays.couriers!;
          s.arrays.couriers = ndarray("float64", shape, Float64Array.from(data as Float32Array));
        }),
        /got \d+ float64 parameters/,
      ],
      [
        broken((s) => (s.arrays.couriers!.data as Float32Array).fill(NaN, 4, 5)),
        /parameter 4 is NaN, expected a finite number/,
      ],
      [broken((s) => void s.meta.members.pop()), /agent "courier_0" is played 0 times, expected once/],
      [
        broken((s) => void s.meta.members.push(member(s))),
        /agent "courier_0" is played 2 times, expected once/,
      ],
    ];
    for (const [saved, message] of cases) {
      const attempt = () => loadTeam(saved, spec, "run/team");
      expect(attempt).toThrow(message);
      expect(attempt).toThrow(UserError);
      expect(attempt).toThrow(/^(run\/team|policy)/);
    }
    expect(() => loadTeam(sound, spec, "run/team")).not.toThrow();
  });
});

/** Rows of random observations and masks of a group, as an actor would get them. */
function rowsOf(spec: EnvironmentSpec, g: number, count: number) {
  const { obsSize, action, hasActionMask, agents } = spec.groups[g]!;
  const stream = RandomStream.from(5, "rows", count);
  const width =
    action.kind === "discrete" ? action.n : action.kind === "box" ? 0 : action.sizes.reduce((a, b) => a + b);
  return {
    count,
    obs: Float32Array.from({ length: count * obsSize }, () => stream.normal()),
    actionMask: hasActionMask
      ? Uint8Array.from({ length: count * width }, (_, k) =>
          k % width === 0 || k % width === 3 ? 1 : stream.int(2),
        )
      : null,
    agent: Int32Array.from({ length: count }, () => stream.int(agents.length)),
    width,
  };
}

describe("a policy file", () => {
  const metadata = { phalanxRun: "abc", seed: "3" };

  it.each([
    ["feed-forward", {}],
    ["recurrent", { recurrent: 6 }],
  ])(
    "gives the actor's probabilities for any number of rows, in the engine and read back: %s",
    async (_, choice) => {
      for (const game of [nim, foragers, couriers, remote]) {
        const spec = await specOf(game);
        const team = randomTeam(spec, 2, choice);
        const files = exportPolicies(runtime, team, metadata);
        expect(files.map((f) => f.fileName)).toEqual(
          spec.groups.length === 1 ? ["policy.onnx"] : spec.groups.map((g) => `policy.${g.name}.onnx`),
        );
        files.forEach(({ bytes, fileName }, g) => {
          const { policy, parameters } = team.members[g]!;
          const loaded = nodeBackend().load(bytes as Uint8Array<ArrayBuffer>);
          const model = importModel(bytes, fileName);
          for (const count of [1, 2, 5, 33]) {
            const { obs, actionMask, agent, width } = rowsOf(spec, g, count);
            const feeds: Record<string, NdArray> = { obs: ndarray("float32", [count, policy.obsSize], obs) };
            if (actionMask !== null) feeds.actionMask = ndarray("bool", [count, width], actionMask);
            if (policy.usesAgentId) feeds.agent = ndarray("int32", [count], agent);
            const hidden = Float32Array.from({ length: count * 6 }, (_, k) => Math.sin(k));
            if ("recurrent" in choice) feeds["state/hidden"] = ndarray("float32", [count, 6], hidden);
            expect(model.inputs.map((x) => x.name).sort()).toEqual(Object.keys(feeds).sort());
            const inEngine = loaded.run(feeds);
            const readBack = trace((graph) => {
              const inputs = Object.entries(feeds).map(
                ([name, x]) => [name, graph.input(name, x.shape, x.dtype)] as const,
              );
              return interpret(model.apply(Object.fromEntries(inputs)), feeds);
            });
            for (const name of model.outputs.map((x) => x.name)) {
              expect(farthest(inEngine[name]!, readBack[name]!, { atol: 1e-6, rtol: 1e-5 })).toBeUndefined();
            }
            // What the actor does with these rows has the probability that the file says.
            const D =
              policy.space.kind === "discrete"
                ? 1
                : policy.space.kind === "box"
                  ? 2
                  : policy.space.sizes.length;
            const box = policy.space.kind === "box";
            const state: Record<string, NdArray> =
              "recurrent" in choice ? { hidden: ndarray("float32", [count, 6], hidden.slice()) } : {};
            const batch = {
              rows: count,
              obs,
              actionMask,
              agent,
              streams: Array.from({ length: count }, (_, r) => RandomStream.from(r, "act")),
              action: box ? new Float32Array(count * D) : new Int32Array(count * D),
              logProb: new Float32Array(count),
              state,
            };
            new PolicyActor("a", runtime, policy, parameters, "sample").act(batch);
            if ("recurrent" in choice) {
              const next = inEngine["next/state/hidden"]!;
              expect(next.shape).toEqual([count, 6]);
              expect(farthest(state.hidden!, next, { atol: 1e-6, rtol: 1e-5 })).toBeUndefined();
              expect(farthest(hidden, next, { atol: 1e-3 })).toBeDefined();
            }
            const expected = Array.from({ length: count }, (_, r) => {
              if (box) {
                expect(inEngine.std!.shape).toEqual([count, D]);
                const [mean, std] = [inEngine.mean!.data, inEngine.std!.data] as Float32Array[];
                let sum = 0;
                for (let d = 0, k = r * D; d < D; d++, k++) {
                  sum -=
                    0.5 * ((batch.action[k]! - mean![k]!) / std![k]!) ** 2 +
                    Math.log(std![k]! * Math.sqrt(2 * Math.PI));
                }
                return sum;
              }
              const p = inEngine.probabilities!.data as Float32Array;
              const sizes = policy.space.kind === "multi-discrete" ? policy.space.sizes : [p.length / count];
              let [sum, offset] = [0, (r * p.length) / count];
              sizes.forEach((n, d) => {
                const part = p.subarray(offset, offset + n);
                expect(part.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
                if (actionMask !== null) {
                  for (let a = 0; a < n; a++) if (actionMask[offset + a] === 0) expect(part[a]).toBe(0);
                }
                sum += Math.log(part[batch.action[r * D + d]!]!);
                offset += n;
              });
              return sum;
            });
            expect(farthest(batch.logProb, expected, { atol: 1e-5, rtol: 1e-4 })).toBeUndefined();
          }
        });
      }
    },
  );

  it("says what it is", async () => {
    const spec = await specOf(couriers);
    const team: Team = randomTeam(spec, 2);
    const [, file] = exportPolicies(runtime, team, metadata);
    expect(importModel(file!.bytes).metadata).toMatchObject({
      phalanxRun: "abc",
      seed: "3",
      environment: "fixture/couriers_v0",
      group: "couriers",
      agents: "courier_0,courier_1",
      observationSize: "7",
      state: "{}",
      actionSpace: JSON.stringify(spec.groups[1]!.action),
    });
    expect(
      importModel(file!.bytes)
        .outputs.map((x) => x.name)
        .sort(),
    ).toEqual(["mean", "std"]);
    const [recurrent] = exportPolicies(runtime, randomTeam(spec, 2, { recurrent: 6 }), metadata);
    const model = importModel(recurrent!.bytes);
    expect(model.metadata.state).toBe('{"hidden":[6]}');
    expect(model.outputs.map((x) => x.name).sort()).toEqual(["next/state/hidden", "probabilities"]);
  });
});

describe("actors", () => {
  it("give a row the same numbers to the last bit whatever is beside it", () => {
    for (const n of [1, 2, 3]) {
      const space = { kind: "box" as const, low: Array<number>(n).fill(-1), high: Array<number>(n).fill(1) };
      const policy = createPolicy({
        kind: "mlp",
        obsSize: 5,
        space,
        hidden: [16, 3, 7],
        activation: "relu",
        layerNorm: true,
        agentIds: 0,
        actionMask: false,
        ignored: [],
        outputGain: 1,
      });
      const actor = new PolicyActor(
        "a",
        runtime,
        policy,
        policy.initialParameters(RandomStream.from(1)),
        "greedy",
      );
      const stream = RandomStream.from(2);
      const obs = Float32Array.from({ length: 5 * 37 }, () => stream.normal());
      const act = (from: number, rows: number) => {
        const batch = {
          rows,
          obs: obs.slice(5 * from, 5 * (from + rows)),
          actionMask: null,
          agent: new Int32Array(rows),
          streams: [],
          action: new Float32Array(rows * n),
          logProb: new Float32Array(rows),
          state: {},
        };
        actor.act(batch);
        return [...batch.action];
      };
      const all = act(0, 37);
      for (const width of [1, 2, 3, 5, 16]) {
        for (let from = 0; from + width <= 37; from += width)
          expect(act(from, width)).toEqual(all.slice(n * from, n * (from + width)));
      }
    }
  });

  it("sample with the policy's frequencies, and greedily take its mode", () => {
    const policy = createPolicy({
      kind: "mlp",
      obsSize: 1,
      space: { kind: "discrete", n: 3 },
      hidden: [],
      activation: "tanh",
      layerNorm: false,
      agentIds: 0,
      actionMask: false,
      ignored: [],
      outputGain: 1,
    });
    const logits = [Math.log(0.2), Math.log(0.5), Math.log(0.3)];
    const parameters = Float32Array.of(0, 0, 0, ...logits);
    const rows = 4000;
    const run = (mode: "sample" | "greedy") => {
      const streams = Array.from({ length: rows }, (_, r) => RandomStream.from(r, "act"));
      const batch = {
        rows,
        obs: new Float32Array(rows),
        actionMask: null,
        agent: new Int32Array(rows),
        streams,
        action: new Int32Array(rows),
        logProb: new Float32Array(rows),
        state: {},
      };
      new PolicyActor("a", runtime, policy, parameters, mode).act(batch);
      return batch;
    };
    const { action, logProb } = run("sample");
    [0.2, 0.5, 0.3].forEach((p, a) => {
      // Standard error below 0.008.
      expect(Math.abs(action.filter((x) => x === a).length / rows - p)).toBeLessThan(0.03);
    });
    action.forEach((a, r) => {
      expect(logProb[r]).toBeCloseTo(logits[a]!, 5);
    });
    expect(new Set(run("greedy").action)).toEqual(new Set([1]));
  });

  it("at random take legal actions evenly, and need bounds to draw between", () => {
    const rows = 3000;
    const streams = Array.from({ length: rows }, (_, r) => RandomStream.from(r, "act"));
    const mask = Uint8Array.from({ length: rows * 5 }, (_, k) => [1, 0, 1, 0, 1][k % 5]!);
    const batch = {
      rows,
      obs: new Float32Array(0),
      actionMask: mask,
      agent: new Int32Array(rows),
      streams,
      action: new Int32Array(2 * rows),
      logProb: new Float32Array(rows),
      state: {},
    };
    new UniformActor("dice", { kind: "multi-discrete", sizes: [3, 2] }).act(batch);
    const counts = [0, 0, 0];
    for (let r = 0; r < rows; r++) {
      counts[batch.action[2 * r]!]!++;
      expect(batch.action[2 * r + 1]).toBe(1);
      expect(batch.logProb[r]).toBeCloseTo(-Math.log(2), 6);
    }
    expect(counts[1]).toBe(0);
    expect(Math.abs(counts[0]! / rows - 0.5)).toBeLessThan(0.05);
    expect(() => new UniformActor("dice", { kind: "box", low: [0], high: [Infinity] })).toThrow(UserError);
  });
});
