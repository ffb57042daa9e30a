/**
 * Policy files: one ONNX per set of parameters that anyone can deploy. Inputs: `obs` [rows, O] in raw observation
 * units, `actionMask` [rows, A] bool and `agent` [rows] int32 where the policy wants them. Outputs: `probabilities`
 * [rows, A] (multi-discrete: the parts side by side), or `mean` and `std` [rows, D]. Everything that the policy does
 * to its input is inside the graph.
 */
import { f32, type NdArray } from "../core/array.js";
import type { Tree } from "../core/tree.js";
import { maskSize } from "../env/index.js";
import type { Runtime } from "../runtime/index.js";
import { add, constant, exp, FREE, mul, type Tensor } from "../tensor/index.js";
import { policyInputs } from "./policy-actor.js";
import type { Team, TeamMember } from "./team.js";

export interface PolicyFile {
  /** "policy.onnx", or "policy.<member>.onnx" where a team has several */
  readonly fileName: string;
  readonly bytes: Uint8Array;
}

/** @param metadata further facts for the file (the training run, its seed, …) */
export function exportPolicies(
  runtime: Runtime,
  team: Team,
  metadata: Readonly<Record<string, string>>,
): PolicyFile[] {
  const single = team.members.length === 1;
  return team.members.map((member) => ({
    fileName: single ? "policy.onnx" : `policy.${member.name}.onnx`,
    bytes: exportMember(runtime, member, { environment: team.environment, ...metadata }),
  }));
}

function exportMember(
  runtime: Runtime,
  member: TeamMember,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const { policy, parameters } = member;
  const program = runtime.program<Tree<NdArray>, Record<string, Tensor>>(
    `policy/${member.name}`,
    (inputs) => {
      const rows = inputs as Record<string, Tensor>;
      const { distribution } = policy.forward(
        constant(f32([parameters.length], parameters)),
        policyInputs(rows),
        {},
      );
      const { logProbs, mean, std } = distribution.parameters;
      if (logProbs !== undefined) return { probabilities: exp(logProbs) } as Record<string, Tensor>;
      // A state-independent scale still comes as one row per observation.
      return { mean: mean!, std: add(mul(mean!, 0), std!) };
    },
  );
  const inputs: Record<string, { dtype: "float32" | "bool" | "int32"; shape: number[] }> = {
    obs: { dtype: "float32", shape: [FREE, policy.obsSize] },
  };
  if (policy.usesActionMask) inputs.actionMask = { dtype: "bool", shape: [FREE, maskSize(policy.space)] };
  if (policy.usesAgentId) inputs.agent = { dtype: "int32", shape: [FREE] };
  return program.model(inputs, {
    metadata: {
      ...metadata,
      group: member.group,
      agents: member.agents.join(","),
      actionSpace: JSON.stringify(policy.space, (_, x) =>
        x === Infinity || x === -Infinity ? String(x) : x,
      ),
      observationSize: String(policy.obsSize),
      state: "{}",
    },
  });
}
