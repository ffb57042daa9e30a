/**
 * An attack is how an adversary is found: fixed team + threat + effort → adversary. One file per attack, one line in
 * the registry.
 */
import type { z } from "zod";
import { UserError } from "../core/errors.js";
import type { Training, TrainingContext } from "../learners/training.js";
import type { Actor } from "../policy/actor.js";
import type { Team } from "../policy/team.js";
import type { Perturber } from "../rollout/types.js";
import type { Channel, Threat } from "../threats/index.js";

/** The executable part. Which form fits is decided by the threat's channel. */
export type Adversary =
  /** control and action: who proposes for each hijacked agent, by agent name */
  | { readonly kind: "seats"; readonly actors: ReadonlyMap<string, Actor> }
  /** observation */
  | { readonly kind: "perturber"; readonly perturber: Perturber }
  /** dynamics: the world differs, nobody acts */
  | { readonly kind: "world" };

/** What an attack cost, printed beside its number. */
export interface Effort {
  readonly envSteps: number;
  /** Gradients through the team's policy per attacked decision. */
  readonly gradientsPerDecision: number;
}

/** For attacks that learn nothing `iterations` is 0 and `adversary()` is ready at once. */
export interface AdversaryTraining extends Training {
  adversary(): Adversary;
  effort(): Effort;
}

export interface AttackContext extends TrainingContext {
  readonly team: Team;
  readonly threat: Threat;
}

export interface AttackDefinition<Options = unknown> {
  readonly name: string;
  readonly summary: string;
  /** strict object: every option with its default, range and description */
  readonly options: z.ZodType<Options>;
  readonly channels: readonly Channel[];
  /** Whether it differentiates the team's policies (refused under a black-box threat). */
  readonly whiteBox: boolean;
  /** Whether it spends environment steps before it can act: such an adversary is a run of its own. */
  readonly learns: boolean;
  start(context: AttackContext, options: Options): Promise<AdversaryTraining>;
}

/**
 * @throws UserError if the attack does not work on the threat's channel, or knows more than the threat allows
 */
export function requireFit(attack: AttackDefinition, threat: Threat): void {
  if (!attack.channels.includes(threat.channel)) {
    throw new UserError(
      `attack "${attack.name}": got a ${threat.channel} threat, expected ${attack.channels.join(" or ")}.`,
    );
  }
  if (attack.whiteBox && threat.channel !== "dynamics" && threat.knowledge === "black-box") {
    throw new UserError(
      `attack "${attack.name}": it differentiates the team's policies, but the threat says knowledge "black-box".`,
    );
  }
}
