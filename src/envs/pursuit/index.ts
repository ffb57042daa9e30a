/** Pursuit with every parameter, and with those of a paper. */
import { defineEnvironment, withDefaults } from "../../env/definition.js";
import { shape } from "./parameters.js";
import { Pursuit } from "./pursuit.js";
import { hunt } from "./scripts.js";

export const pursuit = defineEnvironment({
  id: "pursuit/pursuit_v5",
  summary: "Pursuers surround evaders that move at random around a building.",
  source: "PettingZoo 1.27 pursuit_v5; checked step by step against recordings of it",
  parameters: shape,
  scripts: { hunt },
  create: (p, options) => new Pursuit("pursuit/pursuit_v5", p, options),
});

/**
 * Appendix C.3 of Nika et al. 2025. What it does not say is as in PettingZoo, but that it lists no reward for tagging,
 * which is 0 here.
 */
export const artPursuit = defineEnvironment({
  id: "pursuit/art_v0",
  summary: "Pursuit as in ART: no reward for tagging.",
  presetOf: pursuit.id,
  source: "Nika et al. 2025 (ART), appendix C.3; PettingZoo 1.27 pursuit_v5",
  parameters: withDefaults(shape, { tagReward: 0 }),
  scripts: { hunt },
  create: (p, options) => new Pursuit("pursuit/art_v0", p, options),
});
