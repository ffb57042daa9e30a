import { type DescField, type DescMessage, fromBinary, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { UserError } from "../core/errors.js";
import { type ModelProto, ModelProtoSchema } from "./gen/onnx_pb.js";

/**
 * Bytes → protobuf objects, with bounded memory. Two bytes of a hostile file can become an object of 420 bytes, so
 * the parts are counted on the bytes before any object is made.
 */

/** Messages and elements of 64-bit integer lists in one file. A policy has some hundreds. */
export const MAX_PARTS = 1_000_000;

/** Messages inside messages; a graph inside a node's attribute takes three. */
export const MAX_DEPTH = 100;

/** @throws UserError if the bytes are no message of ONNX's schema, or one beyond the two limits */
export function decodeModel(bytes: Uint8Array, place: string): ModelProto {
  try {
    new PartCounter(bytes).count(ModelProtoSchema, bytes.length, 1);
    // Unknown fields are of no use here, and take more memory than in the file.
    if (bytes.length > 0) return fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (error) {
    if (error instanceof LimitError) throw new UserError(`${place}: ${error.message}`);
    // Said below: what exactly is wrong with the encoding helps nobody.
  }
  throw new UserError(
    `${place}: not an ONNX file, or a damaged one: its ${bytes.length} bytes cannot be decoded`,
  );
}

class LimitError extends Error {}

/**
 * Walks over the wire format as the decoder will, and makes nothing. Stricter than the decoder: a field has its own
 * wire type, and a message ends where its length says.
 */
class PartCounter {
  readonly #reader: BinaryReader;
  #parts = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = new BinaryReader(bytes);
  }

  /** @param end where the message's bytes end @param depth messages around it, itself included */
  count(message: DescMessage, end: number, depth: number): void {
    if (depth > MAX_DEPTH) {
      throw new LimitError(
        `got messages nested more than ${MAX_DEPTH} deep, expected graphs inside graphs at most ${Math.floor(MAX_DEPTH / 3)} deep`,
      );
    }
    const reader = this.#reader;
    const fields = fieldsOf(message);
    while (reader.pos < end) {
      const [number, wireType] = reader.tag();
      const field = fields.get(number);
      if (field === undefined) {
        reader.skip(wireType, number, MAX_DEPTH - depth);
        continue;
      }
      const own = wireTypeOf(field);
      const packed = field.fieldKind === "list" && wireType === WireType.LengthDelimited && own !== wireType;
      if (wireType !== own && !packed) throw new Error("a field of another wire type");
      if (field.message !== undefined) {
        this.#add();
        const length = reader.uint32();
        this.count(field.message, reader.pos + length, depth + 1);
      } else if (isLongList(field)) {
        const listEnd = packed ? reader.uint32() + reader.pos : reader.pos + 1;
        for (; reader.pos < listEnd; reader.int64()) this.#add();
      } else {
        reader.skip(wireType, number);
      }
    }
    if (reader.pos !== end) throw new Error("a message that does not end where it should");
  }

  #add(): void {
    if (++this.#parts > MAX_PARTS) {
      const limit = MAX_PARTS.toLocaleString("en");
      throw new LimitError(
        `got more than ${limit} nodes, attributes, names and integers, expected at most ${limit}`,
      );
    }
  }
}

/** A list whose elements become bigints. */
function isLongList(field: DescField): boolean {
  return (
    field.fieldKind === "list" &&
    field.listKind === "scalar" &&
    (field.scalar === ScalarType.INT64 || field.scalar === ScalarType.UINT64)
  );
}

/** The wire type of one element. */
function wireTypeOf(field: DescField): WireType {
  switch (field.message === undefined ? field.scalar : ScalarType.BYTES) {
    case ScalarType.BYTES:
    case ScalarType.STRING:
      return WireType.LengthDelimited;
    case ScalarType.DOUBLE:
      return WireType.Bit64;
    case ScalarType.FLOAT:
      return WireType.Bit32;
    default:
      return WireType.Varint;
  }
}

const known = new Map<DescMessage, ReadonlyMap<number, DescField>>();

function fieldsOf(message: DescMessage): ReadonlyMap<number, DescField> {
  let fields = known.get(message);
  if (fields === undefined) {
    fields = new Map(message.fields.map((field) => [field.number, field]));
    known.set(message, fields);
  }
  return fields;
}
