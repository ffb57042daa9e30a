/**
 * What a run needs from the rest of Phalanx. The built-in one is in `builtin.ts`; tests hand in a tiny world of their
 * own, and worker processes load either as a module that exports `toolbox`.
 */
import type { Adversary } from "../attacks/attack.js";
import type { Film } from "../core/film.js";
import type { Environment, EnvironmentSpec } from "../env/contract.js";
import type { SavedState } from "../learners/training.js";
import type { Team } from "../policy/team.js";
import type { Runtime } from "../runtime/index.js";
import type { Threat } from "../threats/index.js";
import type { Registries } from "./registries.js";

export interface EvaluationOptions {
  readonly runtime: Runtime;
  createEnvironment(copies: number, options?: { keepFinalFrames?: boolean }): Promise<Environment>;
  readonly team: Team | "uniform";
  readonly adversary: Adversary | null;
  readonly threat: Threat | null;
  readonly episodes: number;
  readonly seed: number;
  readonly copies?: number;
  readonly films?: number;
  readonly labels: { readonly team: string; readonly adversary: string };
}

export interface Evaluation {
  /** [episodes] sum over steps of the mean reward of the agents */
  readonly returns: Float64Array;
  /** per agent [episodes] */
  readonly agentReturns: Readonly<Record<string, Float64Array>>;
  readonly lengths: Int32Array;
  /** the environment's episode metrics, [episodes] */
  readonly metrics: Readonly<Record<string, Float64Array>>;
  readonly controlledShare: number;
  readonly perturbedShare: number;
  readonly largestPerturbation: number;
  readonly envSteps: number;
  readonly films: readonly Film[];
}

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
    spec: EnvironmentSpec,
    metadata: Readonly<Record<string, string>>,
  ): readonly { readonly fileName: string; readonly bytes: Uint8Array }[];
}
