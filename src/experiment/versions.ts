/** Versions that a result may depend on, for people who compare two of them. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { exists, readJson } from "../core/files.js";

const require = createRequire(import.meta.url);

/** Phalanx's own package.json: one level up from src/, two from dist/src/. */
function ownPackage(): { version: string } {
  for (const up of ["../../package.json", "../../../package.json"]) {
    const file = fileURLToPath(new URL(up, import.meta.url));
    if (exists(file)) return readJson(file) as { version: string };
  }
  return { version: "unknown" };
}

let cached: Readonly<Record<string, string>> | undefined;

/** name → version: phalanx, node, the engine. */
export function versions(): Readonly<Record<string, string>> {
  cached ??= {
    phalanx: ownPackage().version,
    node: process.versions.node,
    "onnxruntime-node": engineVersion(),
  };
  return cached;
}

function engineVersion(): string {
  try {
    return (require("onnxruntime-node/package.json") as { version: string }).version;
  } catch {
    return "not installed";
  }
}
