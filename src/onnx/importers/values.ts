import { type NdArray, sizeOf } from "../../core/array.js";
import { arrayFrom, FREE, type Tensor } from "../../tensor/index.js";

/** A multiple of the number of rows, where that is left free. */
export class Rows {
  constructor(readonly times: number) {}

  toString(): string {
    return this.times === 1 ? "N" : `${this.times}·N`;
  }
}

/** An integer known while importing. */
export type Item = number | Rows;

export const isRows = (item: Item | undefined): item is Rows => item instanceof Rows;

/**
 * What a name in the file stands for: a tensor of the trace, a literal, or integers of which at least one depends on the
 * free number of rows (a shape, for example).
 */
export type Value = TensorValue | LiteralValue | SizesValue;

export interface TensorValue {
  readonly kind: "tensor";
  readonly tensor: Tensor;
  /** if the file has the rows in one dimension with others: see `joined.ts` */
  readonly joined?: Joined | undefined;
}

export interface LiteralValue {
  readonly kind: "literal";
  readonly tensor?: undefined;
  readonly array: NdArray;
}

export interface SizesValue {
  readonly kind: "sizes";
  readonly tensor?: undefined;
  readonly shape: readonly number[];
  readonly items: readonly Item[];
}

/** The dimension of the file's value that is before · N · after elements, in this order. */
export interface Joined {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

/** Told what each name of the file stands for. */
export type Observer = (name: string, value: Value) => void;

export const tensorValue = (tensor: Tensor): Value => ({ kind: "tensor", tensor });
export const literalValue = (array: NdArray): Value => ({ kind: "literal", array });

/** Integers, as a literal unless the number of rows is among them. */
export function itemsValue(shape: readonly number[], items: readonly Item[]): Value {
  if (items.some(isRows)) return { kind: "sizes", shape, items };
  return literalValue(arrayFrom(shape, "int64", items as readonly number[]));
}

/** The integers of a literal; the largest int64, which stands for "to the end", as a float. */
export function itemsOf(value: Value): readonly Item[] | undefined {
  if (value.kind === "sizes") return value.items;
  if (value.kind === "tensor" || !value.array.dtype.startsWith("int")) return undefined;
  return Array.from(value.array.data as ArrayLike<number | bigint>, Number);
}

/** The shape of the file's value. */
export function dimsOf(value: Value): readonly Item[] {
  if (value.kind === "sizes") return value.shape;
  if (value.kind === "literal") return value.array.shape;
  const { tensor, joined } = value;
  const times = joined === undefined ? 1 : joined.before * joined.after;
  return tensor.shape.slice(joined === undefined ? 0 : 1).map((d) => (d === FREE ? new Rows(times) : d));
}

/** The number of elements of a literal or of sizes. */
export function countOf(value: LiteralValue | SizesValue): number {
  return value.kind === "literal" ? sizeOf(value.array.shape) : value.items.length;
}

/** A shape with rows, for messages. */
export const showItems = (items: readonly Item[]): string => `[${items.map(String).join(", ")}]`;
