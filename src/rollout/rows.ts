/** Moving rows of `width` numbers between flat arrays. */

export type Numbers = Float32Array | Float64Array | Int32Array | Uint8Array;

/** to[toRow] = from[fromRow] */
export function copyRow(from: Numbers, fromRow: number, to: Numbers, toRow: number, width: number): void {
  for (let k = 0, a = fromRow * width, b = toRow * width; k < width; k++) to[b + k] = from[a + k]!;
}

/** to[r] = from[rows[r]] */
export function gather(from: Numbers, to: Numbers, rows: Int32Array, count: number, width: number): void {
  for (let r = 0; r < count; r++) copyRow(from, rows[r]!, to, r, width);
}

/** to[rows[r]] = from[r] */
export function scatter(from: Numbers, to: Numbers, rows: Int32Array, count: number, width: number): void {
  for (let r = 0; r < count; r++) copyRow(from, r, to, rows[r]!, width);
}
