import { UserError } from "../core/errors.js";
import { Registry } from "../core/registry.js";
import { adversarialTraining } from "./adversarial-training.js";
import type { DefenseDefinition } from "./defense.js";
import { plain } from "./plain.js";
import { twoTimescale } from "./two-timescale.js";

/** The definition, refusing at once a threat that does not fit it. */
function entry<Options>(definition: DefenseDefinition<Options>): DefenseDefinition {
  const { name, channels } = definition;
  return {
    ...(definition as DefenseDefinition),
    start: async (context, options) => {
      const channel = context.threat?.channel;
      if (channel === undefined ? channels.length > 0 : !channels.includes(channel)) {
        const expected = channels.length === 0 ? "none" : `one of channel ${channels.join(" or ")}`;
        throw new UserError(
          `defense "${name}": got ${channel === undefined ? "no threat" : `a ${channel} threat`}, expected ${expected}.`,
        );
      }
      return definition.start(context, options as Options);
    },
  };
}

/** Every defense by name; "plain" is what a team without one gets. */
export const defenses = new Registry<DefenseDefinition>("defense", {
  plain: entry(plain),
  "two-timescale": entry(twoTimescale),
  "adversarial-training": entry(adversarialTraining),
});
