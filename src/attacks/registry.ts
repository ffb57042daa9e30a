import { Registry } from "../core/registry.js";
import type { AttackDefinition } from "./attack.js";
import { bestResponse } from "./best-response.js";
import { fgsm } from "./fgsm.js";
import { none } from "./none.js";
import { pgd } from "./pgd.js";
import { random } from "./random.js";

/** Every attack by name. */
export const attacks = new Registry<AttackDefinition>("attack", {
  random: random as AttackDefinition,
  fgsm: fgsm as AttackDefinition,
  pgd: pgd as AttackDefinition,
  "best-response": bestResponse as AttackDefinition,
  none: none as AttackDefinition,
});
