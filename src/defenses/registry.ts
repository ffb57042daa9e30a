import { Registry } from "../core/registry.js";
import { adversarialTraining } from "./adversarial-training.js";
import type { DefenseDefinition } from "./defense.js";
import { plain } from "./plain.js";
import { twoTimescale } from "./two-timescale.js";

/** Every defense by name; "plain" is what a team without one gets. */
export const defenses = new Registry<DefenseDefinition>("defense", {
  plain: plain as DefenseDefinition,
  "two-timescale": twoTimescale as DefenseDefinition,
  "adversarial-training": adversarialTraining as DefenseDefinition,
});
