/** What an experiment may name. Tests and programs hand in their own; the command line hands in all that is built in. */
import type { z } from "zod";
import type { AttackDefinition } from "../attacks/attack.js";
import type { Registry } from "../core/registry.js";
import type { DefenseDefinition } from "../defenses/defense.js";
import type { EnvironmentDefinition } from "../env/contract.js";

/** The part of a learner's definition that an experiment needs; the rest is between learners and defenses. */
export interface LearnerEntry {
  readonly name: string;
  readonly summary: string;
  /** strict object: every option with its default, range and description */
  readonly options: z.ZodType<unknown>;
}

export interface Registries {
  readonly environments: Registry<EnvironmentDefinition>;
  readonly learners: Registry<LearnerEntry>;
  // biome-ignore lint/suspicious/noExplicitAny: every entry validates its own options.
  readonly attacks: Registry<AttackDefinition<any>>;
  // biome-ignore lint/suspicious/noExplicitAny: every entry validates its own options.
  readonly defenses: Registry<DefenseDefinition<any>>;
}
