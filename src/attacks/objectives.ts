/** What gradient attacks on observations raise: how far a policy is from the action it likes best on the truth. */
import { UserError } from "../core/errors.js";
import type { Space } from "../env/contract.js";
import type { PolicyDistribution, Team } from "../policy/index.js";
import {
  add,
  argMax,
  div,
  greater,
  max,
  maximum,
  neg,
  oneHot,
  reshape,
  split,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.js";
import type { ObservationThreat } from "../threats/index.js";

export type AttackObjective = "cross-entropy" | "margin";

/**
 * The objective of each row, [R]; positive under `margin` exactly where another action is liked best.
 *
 * `cross-entropy`: −log π(a* | seen), summed over the parts of a multi-discrete action. `margin`: the difference of
 * logits ratio of Croce & Hein 2020 (eq. 6), (max_{a≠a*} z_a − z_a*) / (z_(1) − z_(3)), which does not change when all
 * logits are scaled, so that a policy that is very sure still has a gradient; without a third available action the
 * difference alone.
 *
 * @param favourite a*, the mode of the distribution on the clean observation: int32 [R] or [R, D]
 */
export function objectiveOf(
  objective: AttackObjective,
  space: Space,
  seen: PolicyDistribution,
  favourite: Tensor,
): Tensor {
  if (objective === "cross-entropy" || space.kind === "box") return neg(seen.logProb(favourite));
  const sizes = space.kind === "discrete" ? [space.n] : space.sizes;
  const logits = split(seen.parameters.logProbs!, sizes, -1);
  const actions = space.kind === "discrete" ? [favourite] : columnsOf(favourite, sizes.length);
  return logits.map((z, d) => marginRatio(z, actions[d]!)).reduce((a, b) => add(a, b));
}

/** @throws UserError if the objective needs discrete actions and an agent that the threat names has none */
export function requireActions(
  attack: string,
  objective: AttackObjective,
  team: Team,
  threat: ObservationThreat,
): void {
  if (objective !== "margin") return;
  const isHit = (agent: string) => threat.agents === "all" || threat.agents.includes(agent);
  const box = team.members.find((m) => m.policy.space.kind === "box" && m.agents.some(isHit));
  if (box === undefined) return;
  throw new UserError(
    `attack "${attack}": got the objective "margin" against "${box.name}", whose actions are continuous; expected discrete actions. Use "cross-entropy".`,
  );
}

function columnsOf(action: Tensor, count: number): Tensor[] {
  const ones = Array.from({ length: count }, () => 1);
  return split(action, ones, -1).map((x) => reshape(x, x.shape.slice(0, -1)));
}

/** Below every logit, those of unavailable actions included. */
const NOWHERE = -1e30;
/** Unavailable actions have logits of −1e9. */
const UNAVAILABLE = -1e8;

/** @param z [R, A] logits up to a constant per row; @param action int32 [R] */
function marginRatio(z: Tensor, action: Tensor): Tensor {
  const A = z.shape[z.shape.length - 1]!;
  const without = (x: Tensor, a: Tensor) => where(oneHot(a, A, "bool"), NOWHERE, x);
  const own = sum(where(oneHot(action, A, "bool"), z, 0), -1);
  // Of a single action there is nothing to say: its log-probability is 0.
  if (A === 1) return own;
  const margin = sub(max(without(z, action), -1), own);
  if (A === 2) return margin;
  const second = without(z, argMax(z));
  const third = max(without(second, argMax(second)), -1);
  const spread = maximum(sub(max(z, -1), third), 1e-12);
  return div(margin, where(greater(third, UNAVAILABLE), spread, 1));
}
