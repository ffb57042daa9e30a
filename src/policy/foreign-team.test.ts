import { describe, expect, it } from "vitest";
import { couriers, foragers, twoStep } from "../../test/games/index.js";
import { nodeModel } from "../../test/onnx/node-model.js";
import { F, optionsOf, playedBy } from "../../test/support/policy-models.js";
import { createEnvironment, runtime } from "../../test/support/rollouts.js";
import { randomTeam } from "../../test/support/teams.js";
import { f32, ndarray } from "../core/array.js";
import { UserError } from "../core/errors.js";
import { decodeSafetensors, encodeSafetensors } from "../core/safetensors.js";
import type { SavedState } from "../core/saved-state.js";
import type { Space } from "../env/contract.js";
import { exportPolicies, importTeam, loadTeam, requireGradients, saveTeam } from "./index.js";

describe("a team of files", () => {
  const file = (place: string, bytes: Uint8Array, plays: string | string[] | null = null) => ({
    bytes,
    place,
    plays,
    options: optionsOf(),
  });

  it("is put together by groups, agents, or one file for all", async () => {
    const { spec } = await createEnvironment(foragers, 1, { agents: 3 });
    const [own] = exportPolicies(runtime, randomTeam(spec, 0, { agentIds: 0 }), {});
    const { name, agents } = spec.groups[0]!;
    const members = (...files: Parameters<typeof importTeam>[1]) =>
      importTeam(spec, files).members.map((m) => [m.name, m.agents]);
    expect(members(file("a", own!.bytes))).toEqual([[name, agents]]);
    expect(members(file("a", own!.bytes, name))).toEqual([[name, agents]]);
    expect(members(file("a", own!.bytes, "all"))).toEqual([[name, agents]]);
    expect(members(file("a", own!.bytes, agents[0]!), file("b", own!.bytes, agents.slice(1)))).toEqual([
      [agents[0], [agents[0]]],
      [agents.slice(1).join("+"), agents.slice(1)],
    ]);
  });

  it("leaves no agent out, and gives none twice", async () => {
    const { spec } = await createEnvironment(couriers, 1);
    const [dispatch, other] = exportPolicies(runtime, randomTeam(spec, 0), {});
    const team =
      (...files: Parameters<typeof importTeam>[1]) =>
      () =>
        importTeam(spec, files);
    expect(team(file("d.onnx", dispatch!.bytes))).toThrow(
      'agent "courier_0" of fixture/couriers_v0 is played by no file; give one that plays it, as courier_0=FILE.',
    );
    expect(
      team(
        file("d.onnx", dispatch!.bytes),
        file("c.onnx", other!.bytes),
        file("e.onnx", other!.bytes, "courier_1"),
      ),
    ).toThrow('agent "courier_1" of fixture/couriers_v0 is played by c.onnx and e.onnx, expected one file.');
    expect(team(file("d.onnx", dispatch!.bytes, "curriers"))).toThrow(
      'd.onnx: got "curriers", expected an agent or a group of fixture/couriers_v0. Did you mean "couriers"?',
    );
    expect(team(file("d.onnx", dispatch!.bytes, "all"))).toThrow(
      'd.onnx, input "obs": got float32 [N, 4], expected [rows, 7] for the observation of group "couriers" of fixture/couriers_v0; dimension 1 is 4.',
    );
  });

  it("comes back from its saved state, with changed weights too", async () => {
    const { spec } = await createEnvironment(couriers, 1);
    const game = { definition: couriers, parameters: {} };
    const files = exportPolicies(runtime, randomTeam(spec, 0), {}).map((f) => file(f.fileName, f.bytes));
    const team = importTeam(spec, files);
    for (const { parameters } of team.members)
      for (let i = 0; i < parameters.length; i++) parameters[i]! *= 0.5;
    const bytes = encodeSafetensors(saveTeam(team) as Parameters<typeof encodeSafetensors>[0]);
    const again = loadTeam(decodeSafetensors(bytes, "memory") as SavedState, spec, "team.safetensors");
    expect(await playedBy(again, game, "sample")).toEqual(await playedBy(team, game, "sample"));
    expect(again.members.map((m) => m.policy.config)).toEqual(team.members.map((m) => m.policy.config));
  });

  it("is refused where its saved model is damaged", async () => {
    const { spec } = await createEnvironment(twoStep, 1);
    const [own] = exportPolicies(runtime, randomTeam(spec, 0), {});
    const saved = structuredClone(saveTeam(importTeam(spec, [file("p.onnx", own!.bytes)]))) as unknown as {
      meta: { members: { policy: { model: string } }[] };
    };
    saved.meta.members[0]!.policy.model = "*";
    expect(() => loadTeam(saved as unknown as SavedState, spec, "x")).toThrow(
      "p.onnx: the saved model is damaged: it is no base64.",
    );
    saved.meta.members[0]!.policy.model = "AAAA";
    expect(() => loadTeam(saved as unknown as SavedState, spec, "x")).toThrow(UserError);
  });

  it("no gradient between actions and observation, asked for", async () => {
    const { spec } = await createEnvironment(twoStep, 1);
    const group = spec.groups[0]!;
    const n = (group.action as Space & { kind: "discrete" }).n;
    const bytes = nodeModel({
      opset: 18,
      inputs: { obs: F("rows", group.obsSize) },
      nodes: [
        { op: "ArgMax", in: ["obs"], out: ["best"], attrs: { axis: 1, keepdims: 0 } },
        { op: "OneHot", in: ["best", "depth", "values"], out: ["logits"] },
      ],
      constants: { depth: ndarray("int64", [], BigInt64Array.of(BigInt(n))), values: f32([2], [0, 9]) },
      outputs: { logits: F("rows", n) },
    });
    const files = [{ bytes, place: "p.onnx", plays: null, options: optionsOf() }];
    expect(() => requireGradients(importTeam(spec, files))).toThrow(
      "p.onnx: no gradient flows from its actions to its observation",
    );
    const own = exportPolicies(runtime, randomTeam(spec, 0), {})[0]!;
    requireGradients(importTeam(spec, [{ ...files[0]!, bytes: own.bytes }]));
  });
});
