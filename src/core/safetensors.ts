/**
 * The safetensors format (huggingface/safetensors, README "Format"): eight bytes of header length, a JSON header with
 * name → { dtype, shape, data_offsets }, then the arrays' bytes, little-endian, without gaps.
 *
 * A tree of arrays and its plain data become one file; the plain data is JSON under the metadata key "phalanx". The
 * same state always gives the same bytes.
 */
import { type DType, type NdArray, sizeOf } from "./array.js";
import { formatShape, UserError } from "./errors.js";
import { flattenTree, type Tree, unflattenTree } from "./tree.js";

const CODE: Readonly<Record<DType, string>> = {
  float64: "F64",
  int64: "I64",
  float32: "F32",
  int32: "I32",
  bool: "BOOL",
};
const DTYPE = new Map(Object.entries(CODE).map(([dtype, code]) => [code, dtype as DType]));
const BYTES: Readonly<Record<DType, number>> = { float64: 8, int64: 8, float32: 4, int32: 4, bool: 1 };
const METADATA_KEY = "phalanx";
/** The reference implementation's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

export interface StoredState {
  readonly arrays: Tree<NdArray>;
  /** plain JSON data */
  readonly meta: Readonly<Record<string, unknown>>;
}

/** Name of the only leaf of a tree that is itself a leaf. */
const ROOT = "/";

/** The bytes of a state: arrays sorted by element size, then name, so that every one is aligned. */
export function encodeSafetensors(state: StoredState): Uint8Array {
  const leaves = flattenTree(state.arrays)
    .map(([name, array]) => ({ name: name === "" ? ROOT : name, array, size: BYTES[array.dtype] }))
    .sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1));
  const header: Record<string, unknown> = { __metadata__: { [METADATA_KEY]: JSON.stringify(state.meta) } };
  let offset = 0;
  for (const { name, array, size } of leaves) {
    const end = offset + sizeOf(array.shape) * size;
    header[name] = { dtype: CODE[array.dtype], shape: array.shape, data_offsets: [offset, end] };
    offset = end;
  }
  let text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  if (padded !== text.length) {
    const withSpaces = new Uint8Array(padded).fill(0x20);
    withSpaces.set(text);
    text = withSpaces;
  }
  const out = new Uint8Array(8 + text.length + offset);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  let at = 8 + text.length;
  for (const { array } of leaves) {
    const { buffer, byteOffset, byteLength } = array.data;
    out.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return out;
}

/**
 * The state in a file's bytes. Arrays are fresh copies. A safetensors file made elsewhere is read too; its metadata
 * is then empty.
 *
 * @param place the file, for messages
 * @throws UserError in one sentence if the bytes are truncated, damaged or of an unknown element type
 */
export function decodeSafetensors(bytes: Uint8Array, place: string): StoredState {
  const { header, dataStart } = readHeader(bytes, place);
  const dataLength = bytes.length - dataStart;
  const entries = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => ({ name, ...checkEntry(name, entry, dataLength, place) }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let next = 0;
  const leaves: [string, NdArray][] = [];
  for (const { name, dtype, shape, begin, end } of entries) {
    if (begin !== next)
      throw damaged(
        place,
        `array "${name}" starts at byte ${begin}, expected ${next} (no gaps, no overlaps)`,
      );
    next = end;
    // Not `bytes.slice`: of a Node Buffer that is a view into its pool, not a copy.
    const buffer = Uint8Array.from(bytes.subarray(dataStart + begin, dataStart + end)).buffer;
    leaves.push([name === ROOT ? "" : name, { dtype, shape, data: view(dtype, buffer) } as NdArray]);
  }
  if (next !== dataLength) {
    throw damaged(place, `holds ${dataLength} bytes of data, expected ${next}`);
  }
  return { arrays: toTree(leaves, place), meta: readMeta(header, place) };
}

interface Entry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function damaged(place: string, what: string): UserError {
  return new UserError(`${place}: not a valid safetensors file: ${what}.`);
}

function readHeader(
  bytes: Uint8Array,
  place: string,
): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) throw damaged(place, `has ${bytes.length} bytes, expected at least 8`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) throw damaged(place, "the first eight bytes are no header length");
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length)
    throw damaged(place, `has ${bytes.length} bytes, expected at least ${dataStart}; it may be cut off`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, dataStart)));
  } catch {
    throw damaged(place, "the header is no JSON");
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    throw damaged(place, "the header is no JSON object");
  return { header: header as Record<string, unknown>, dataStart };
}

function isCount(x: unknown): x is number {
  return Number.isSafeInteger(x) && (x as number) >= 0;
}

function checkEntry(name: string, entry: unknown, dataLength: number, place: string): Entry {
  const { dtype: code, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const dtype = typeof code === "string" ? DTYPE.get(code) : undefined;
  if (dtype === undefined) {
    throw damaged(
      place,
      `array "${name}" has element type ${JSON.stringify(code)}, expected one of ${[...DTYPE.keys()].join(", ")}`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw damaged(place, `array "${name}" has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw damaged(place, `array "${name}" has no valid offsets`);
  const [begin, end] = offsets as [number, number];
  if (end > dataLength)
    throw damaged(place, `array "${name}" ends at byte ${end} of ${dataLength}; the file may be cut off`);
  if (end - begin !== sizeOf(shape) * BYTES[dtype])
    throw damaged(place, `array "${name}" of shape ${formatShape(shape)} has ${end - begin} bytes`);
  return { dtype, shape, begin, end };
}

function view(dtype: DType, buffer: ArrayBufferLike): NdArray["data"] {
  switch (dtype) {
    case "float32":
      return new Float32Array(buffer as ArrayBuffer);
    case "float64":
      return new Float64Array(buffer as ArrayBuffer);
    case "int32":
      return new Int32Array(buffer as ArrayBuffer);
    case "int64":
      return new BigInt64Array(buffer as ArrayBuffer);
    case "bool":
      return new Uint8Array(buffer as ArrayBuffer);
  }
}

/** Names such as "a" and "a/b" cannot live in one tree; "__proto__" must not. */
function toTree(leaves: readonly [string, NdArray][], place: string): Tree<NdArray> {
  const names = new Set(leaves.map(([name]) => name));
  for (const name of names) {
    const parts = name.split("/");
    if (parts.some((p) => p === "__proto__" || (p === "" && name !== "")))
      throw damaged(place, `"${name}" is no name for an array`);
    if (
      parts.some((_, i) => i > 0 && names.has(parts.slice(0, i).join("/"))) ||
      (name !== "" && names.has(""))
    )
      throw damaged(place, `"${name}" lies inside another array`);
  }
  return unflattenTree(leaves);
}

function readMeta(header: Record<string, unknown>, place: string): Record<string, unknown> {
  const metadata = header.__metadata__ as Record<string, unknown> | undefined;
  const text = metadata?.[METADATA_KEY];
  if (text === undefined) return {};
  try {
    const meta: unknown = JSON.parse(text as string);
    if (typeof meta === "object" && meta !== null && !Array.isArray(meta))
      return meta as Record<string, unknown>;
  } catch {
    // falls through to the sentence below
  }
  throw damaged(place, `the metadata "${METADATA_KEY}" is no JSON object`);
}
