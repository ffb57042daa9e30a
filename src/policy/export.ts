/**
 * Policy files: one ONNX per set of parameters that anyone can deploy. Inputs: `obs` [rows, O] in raw observation
 * units, `actionMask` [rows, A] bool and `agent` [rows] int32 where the policy wants them. Outputs: `probabilities`
 * [rows, A] (multi-discrete: the parts side by side), or `mean` and `std` [rows, D]. What a recurrent policy carries
 * comes in as `state/…` and goes out as `next/state/…`, [rows, …] each. Everything that the policy does to its input is
 * inside the graph.
 */
import { f32, type NdArray } from "../core/array.js";
import { flattenTree, mapTree, type Tree } from "../core/tree.js";
import { maskSize } from "../env/index.js";
import type { ArraySpec, Runtime, SpecTree } from "../runtime/index.js";
import { add, constant, exp, FREE, mul, type Tensor } from "../tensor/index.js";
import { policyInputs, policyState } from "./policy-actor.js";
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
  const initial = policy.initialState(1);
  const carried = flattenTree(initial);
  const program = runtime.program<Tree<NdArray>, Record<string, Tree<Tensor>>>(
    `policy/${member.name}`,
    (inputs) => {
      const rows = inputs as Record<string, Tree<Tensor>>;
      const { distribution, state } = policy.forward(
        constant(f32([parameters.length], parameters)),
        policyInputs(rows),
        policyState(rows),
      );
      const next: Record<string, Tree<Tensor>> = carried.length > 0 ? { state } : {};
      const { logProbs, mean, std } = distribution.parameters;
      if (logProbs !== undefined) return { probabilities: exp(logProbs), ...next };
      // A state-independent scale still comes as one row per observation.
      return { mean: mean!, std: add(mul(mean!, 0), std!), ...next };
    },
  );
  const inputs: Record<string, SpecTree> = {
    obs: { dtype: "float32", shape: [FREE, policy.obsSize] },
  };
  if (policy.usesActionMask) inputs.actionMask = { dtype: "bool", shape: [FREE, maskSize(policy.space)] };
  if (policy.usesAgentId) inputs.agent = { dtype: "int32", shape: [FREE] };
  if (carried.length > 0) {
    inputs.state = mapTree<NdArray, ArraySpec>(initial, ({ dtype, shape }) => ({
      dtype,
      shape: [FREE, ...shape.slice(1)],
    }));
  }
  return program.model(inputs, {
    metadata: {
      ...metadata,
      group: member.group,
      agents: member.agents.join(","),
      actionSpace: JSON.stringify(policy.space, (_, x) =>
        x === Infinity || x === -Infinity ? String(x) : x,
      ),
      observationSize: String(policy.obsSize),
      state: JSON.stringify(Object.fromEntries(carried.map(([path, { shape }]) => [path, shape.slice(1)]))),
    },
  });
}
