/**
 * The folder of one node. `run.json` is written last: it holds the key and the checksum of every artefact, so a folder
 * is complete exactly if `run.json` is there and everything matches it.
 */
import path from "node:path";
import { exists, readBytes, readJson, remove, writeFile, writeJson } from "../core/files.js";
import { sha256Hex } from "../core/hash.js";
import { decodeSafetensors, encodeSafetensors, type StoredState } from "../core/safetensors.js";
import type { SavedState } from "../learners/training.js";
import { FORMAT, type PlanNode } from "./plan.js";

export const RUN_FILE = "run.json";
export const STATE_FILE = "state.safetensors";
export const CHECKPOINT_FILE = "checkpoint.safetensors";
export const METRICS_FILE = "metrics.jsonl";
export const CELL_FILE = "cell.json";
export const TIMING_FILE = "timing.json";
export const ERROR_FILE = "error.json";

/** The record of a finished node. */
export interface RunRecord {
  readonly format: number;
  readonly key: string;
  /** Everything that the node was run from. */
  readonly node: PlanNode;
  /** In words: the threat, where there is one. */
  readonly threat: string | null;
  /** What was spent, where something was. */
  readonly effort: Readonly<Record<string, number>>;
  /** SHA-256 per artefact. */
  readonly artefacts: Readonly<Record<string, string>>;
}

/** Wall time and place: whatever may differ between two runs of the same key. */
export interface Timing {
  readonly wallSeconds: number;
  /** Times it was interrupted and continued. */
  readonly interruptions: number;
  readonly finished: string;
  readonly host: string;
  readonly platform: string;
  readonly versions: Readonly<Record<string, string>>;
}

export class NodeFolder {
  readonly directory: string;
  readonly #artefacts = new Map<string, string>();

  /** @param root the experiment's folder */
  constructor(root: string, node: Pick<PlanNode, "folder">) {
    this.directory = path.join(root, node.folder);
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  /** The record if the node is complete and its files are as they were written; null if it has to run. */
  completed(key: string): RunRecord | null {
    if (!exists(this.file(RUN_FILE))) return null;
    try {
      const record = readJson(this.file(RUN_FILE)) as RunRecord;
      if (record.format !== FORMAT || record.key !== key) return null;
      for (const [name, sum] of Object.entries(record.artefacts)) {
        if (sha256Hex(readBytes(this.file(name))) !== sum) return null;
      }
      return record;
    } catch {
      // Missing or damaged: it runs again and is overwritten.
      return null;
    }
  }

  /** Write an artefact and remember its checksum for `finish`. */
  write(name: string, content: string | Uint8Array): void {
    writeFile(this.file(name), content);
    this.#artefacts.set(name, sha256Hex(content));
  }

  writeState(name: string, state: SavedState): void {
    this.write(name, encodeSafetensors(state as StoredState));
  }

  readState(name: string): SavedState {
    const file = this.file(name);
    return decodeSafetensors(readBytes(file), file) as SavedState;
  }

  /** Include a file that grew by other means. */
  include(name: string): void {
    this.#artefacts.set(name, sha256Hex(readBytes(this.file(name))));
  }

  /** Declare the node complete. */
  finish(node: PlanNode, threat: string | null, effort: Readonly<Record<string, number>>): void {
    const record: RunRecord = {
      format: FORMAT,
      key: node.key,
      node,
      threat,
      effort,
      artefacts: Object.fromEntries([...this.#artefacts].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
    writeJson(this.file(RUN_FILE), record);
    this.tidy();
  }

  /** Remove what a complete run has no use for; also where it was killed between completing and tidying. */
  tidy(): void {
    remove(this.file(CHECKPOINT_FILE));
    remove(this.file(ERROR_FILE));
  }
}
