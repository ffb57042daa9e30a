/**
 * What a run needs from the rest of Phalanx. The built-in one is in `builtin.ts`; tests hand in a tiny world of their
 * own, and worker processes load either as a module that exports `toolbox`.
 */
import type { Evaluation, EvaluationOptions } from "../attacks/evaluate.js";
import type { EnvironmentSpec } from "../env/contract.js";
import type { SavedState } from "../learners/training.js";
import type { Team } from "../policy/team.js";
import type { Runtime } from "../runtime/index.js";
import type { Registries } from "./registries.js";

export interface Toolbox {
  readonly registries: Registries;
  createRuntime(): Promise<Runtime>;
  evaluate(options: EvaluationOptions): Promise<Evaluation>;
  saveTeam(team: Team): SavedState;
  /** @throws UserError if the state belongs to another network or environment */
  loadTeam(saved: SavedState, spec: EnvironmentSpec, place: string): Team;
  exportPolicies(
    runtime: Runtime,
    team: Team,
    metadata: Readonly<Record<string, string>>,
  ): readonly { readonly fileName: string; readonly bytes: Uint8Array }[];
}
