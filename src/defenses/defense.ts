/**
 * A defense is how a team is trained against threats: a training loop over learners, adversaries and castings. Plain
 * training is one of them. One file per defense, one line in the registry.
 */
import type { z } from "zod";
import type { Training, TrainingContext } from "../learners/training.js";
import type { Team } from "../policy/team.js";
import type { Channel, Threat } from "../threats/index.js";

export interface TeamTraining extends Training {
  /** The team as it stands. */
  team(): Team;
}

export interface DefenseContext extends TrainingContext {
  /** Name and validated options of the learner in `learners/registry`. */
  readonly learner: { readonly name: string; readonly options: unknown };
  /** The threat trained against; null for defenses that take none. */
  readonly threat: Threat | null;
  /** Observation features that the named agent's policy never sees. */
  readonly ignore: Readonly<Record<string, readonly string[]>>;
}

export interface DefenseDefinition<Options = unknown> {
  readonly name: string;
  readonly summary: string;
  /** strict object: every option with its default, range and description */
  readonly options: z.ZodType<Options>;
  /** Channels of the threats it trains against; empty: it takes no threat. */
  readonly channels: readonly Channel[];
  start(context: DefenseContext, options: Options): Promise<TeamTraining>;
}
