import { Registry } from "../core/registry.js";
import { type AttackContext, type AttackDefinition, requireFit } from "./attack.js";
import { bestResponse } from "./best-response.js";
import { fgsm } from "./fgsm.js";
import { none } from "./none.js";
import { pgd } from "./pgd.js";
import { random } from "./random.js";

/** The definition, refusing at once what does not fit it. */
function entry<Options>(definition: AttackDefinition<Options>): AttackDefinition {
  const guarded = {
    ...(definition as AttackDefinition),
    start: async (context: AttackContext, options: unknown) => {
      requireFit(guarded, context.threat);
      return definition.start(context, options as Options);
    },
  };
  return guarded;
}

/** Every attack by name. */
export const attacks = new Registry<AttackDefinition>("attack", {
  random: entry(random),
  fgsm: entry(fgsm),
  pgd: entry(pgd),
  "best-response": entry(bestResponse),
  none: entry(none),
});
