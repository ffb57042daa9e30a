/** The numbers that both sides of a comparison draw alike, in whatever language: see bench/peers/shared_numbers.py. */
import { f32, type NdArray, sizeOf } from "../src/core/array.js";
import type { ParamLayout } from "../src/nn/index.js";

/** Uniform numbers whose standard deviation is 1 lie between −√3 and √3. */
export const UNIT = Math.sqrt(3);

/** Arrays in the order in which they are drawn: entry k of array n is a hash of k and n. */
export class SharedNumbers {
  #drawn = 0;

  /** @returns uniform in ±scale */
  draw(shape: readonly number[], scale: number): NdArray<"float32"> {
    const seed = Math.imul(this.#drawn++, 0x9e3779b9);
    const data = new Float32Array(sizeOf(shape));
    for (let k = 0; k < data.length; k++) data[k] = ((mix(k + seed) + 0.5) / 2 ** 31 - 1) * scale;
    return f32(shape, data);
  }

  /** Integers from 0 to n − 1. */
  integers(size: number, n: number): Int32Array {
    return Int32Array.from(this.draw([size], 1).data, (u) => Math.min(n - 1, Math.floor(((u + 1) / 2) * n)));
  }

  /** Parameters in ±1/√(rows): each matrix by its own rows, vectors by the rows of the last matrix before them. */
  parameters(layout: ParamLayout): NdArray<"float32"> {
    const flat = new Float32Array(layout.size);
    let rows = 1;
    for (const { shape, offset } of layout.entries) {
      if (shape.length === 2) rows = shape[0]!;
      flat.set(this.draw(shape, 1 / Math.sqrt(rows)).data, offset);
    }
    return f32([layout.size], flat);
  }
}

/** The last step of MurmurHash3 (Appleby): 32 bits to 32 bits. */
function mix(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
