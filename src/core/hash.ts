/** Content hashes of plain data: two configurations are the same if their canonical JSON is. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/**
 * JSON with sorted keys and no spaces; keys whose value is undefined are left out, as in `JSON.stringify`.
 *
 * @throws TypeError for what JSON cannot carry exactly: NaN, infinities, functions, big integers
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value))
      throw new TypeError(`canonical JSON: got ${value}, expected a finite number`);
    return Object.is(value, -0) ? "0" : JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object") {
    const record = value as Record<string, unknown>;
    const parts: string[] = [];
    for (const key of Object.keys(record).sort()) {
      if (record[key] !== undefined) parts.push(`${JSON.stringify(key)}:${canonicalJson(record[key])}`);
    }
    return `{${parts.join(",")}}`;
  }
  throw new TypeError(`canonical JSON: got a ${typeof value}, expected plain data`);
}

/** SHA-256 of bytes or of a text's UTF-8, as 64 hexadecimal digits. */
export function sha256Hex(content: Uint8Array | string): string {
  return bytesToHex(sha256(typeof content === "string" ? utf8ToBytes(content) : content));
}

/** SHA-256 of the canonical JSON of plain data. */
export function hashOf(value: unknown): string {
  return sha256Hex(canonicalJson(value));
}
