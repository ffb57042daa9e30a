import { Registry } from "../core/registry.js";
import type { LearnerDefinition } from "./learner.js";
import { ppo } from "./ppo.js";

/** Every learner by name. */
export const learners = new Registry<LearnerDefinition>("learner", {
  ppo: ppo as LearnerDefinition,
});
