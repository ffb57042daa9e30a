/** From a description to the policy. */
import { UserError } from "../core/errors.js";
import { OnnxPolicy } from "./foreign.js";
import { GruPolicy } from "./gru.js";
import { MlpPolicy } from "./mlp.js";
import type { Policy, PolicyConfig } from "./policy.js";

/**
 * Build the policy that a configuration describes.
 * @throws UserError if the description makes no sense (a size below 1, an ignored range outside the observation, a
 *   policy file that does not fit it)
 */
export function createPolicy(config: PolicyConfig): Policy {
  if (!(config.obsSize >= 1))
    throw new UserError(`policy: got observation size ${config.obsSize}, expected ≥ 1.`);
  if (config.kind === "onnx") return new OnnxPolicy(config);
  for (const [offset, size] of config.ignored) {
    if (!(offset >= 0 && size >= 1 && offset + size <= config.obsSize)) {
      throw new UserError(
        `policy: ignored entries ${offset} … ${offset + size - 1} lie outside the observation of ${config.obsSize}.`,
      );
    }
  }
  switch (config.kind) {
    case "mlp":
      return new MlpPolicy(config);
    case "gru":
      return new GruPolicy(config);
  }
}
