/** Teams that were made elsewhere: their policy files, read, checked against their hashes, and imported. */
import path from "node:path";
import { UserError } from "../core/errors.js";
import { readBytes } from "../core/files.js";
import { sha256Hex } from "../core/hash.js";
import type { EnvironmentSpec } from "../env/contract.js";
import { importTeam, type PolicyFileOptions, type Team } from "../policy/index.js";
import type { GivenPolicy } from "./experiment.js";

/**
 * A policy file as it is now.
 * @param file relative to the working directory
 * @throws UserError if there is none
 */
export function givenPolicy(
  file: string,
  { file: _, plays, ...options }: PolicyFileOptions,
): { readonly policy: GivenPolicy; readonly bytes: Uint8Array } {
  const bytes = readBytes(file);
  return { policy: { file, sha256: sha256Hex(bytes), plays, options }, bytes };
}

/** @throws UserError if a file is gone, or is not the one that the experiment was made with */
export function readGivenPolicies(policies: readonly GivenPolicy[]): Uint8Array[] {
  return policies.map(({ file, sha256 }) => {
    const bytes = readBytes(file);
    if (sha256Hex(bytes) !== sha256)
      throw new UserError(`${file}: the file has changed since the experiment began; run the command again.`);
    return bytes;
  });
}

/**
 * @param bytes of every file
 * @throws UserError in one sentence where a file does not fit whom it plays, or agents are left over
 */
export function importGiven(
  policies: readonly GivenPolicy[],
  bytes: readonly Uint8Array[],
  spec: EnvironmentSpec,
): Team {
  return importTeam(
    spec,
    policies.map(({ file, plays, options }, i) => ({ bytes: bytes[i]!, place: file, plays, options })),
  );
}

/** "policy.onnx, 24,325 weights, logits, sampled" */
export function describeGiven(team: Team): string {
  const parts = team.members.map(({ policy }) => {
    const { config } = policy;
    if (config.kind !== "onnx") return policy.config.kind;
    const { head, mode } = config.binding;
    const memory = config.binding.state.length > 0 ? ", recurrent" : "";
    return `${path.basename(config.file)}: ${policy.layout.size.toLocaleString("en-US")} weights, ${head.kind}${memory}, ${mode === "greedy" ? "greedy" : "sampled"}`;
  });
  return [...new Set(parts)].join("; ");
}
