import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { f32, ndarray } from "./array.js";
import { UserError } from "./errors.js";
import { decodeSafetensors, encodeSafetensors, type StoredState } from "./safetensors.js";

const state: StoredState = {
  arrays: {
    actor: { w: f32([2, 3], [1, 2, 3, 4, 5, Number.NaN]), b: f32([3], [0, -0, 1e-40]) },
    coin: ndarray("bool", [3], Uint8Array.of(1, 0, 1)),
    count: ndarray("int64", [], BigInt64Array.of(-(2n ** 60n))),
    empty: f32([0, 4], []),
    moments: ndarray("float64", [2], Float64Array.of(Math.PI, 1e300)),
    stream: ndarray("int32", [4], Int32Array.of(1, -2, 3, -4)),
  },
  meta: { iteration: 7, name: "ü" },
};

describe("safetensors", () => {
  it("reads back what it wrote, bit for bit", () => {
    const bytes = encodeSafetensors(state);
    const back = decodeSafetensors(bytes, "state.safetensors");
    expect(back).toEqual(state);
    expect(encodeSafetensors(back)).toEqual(bytes);
  });

  it("gives the same bytes whatever the order of keys", () => {
    const { stream, ...rest } = state.arrays as Record<string, never>;
    expect(encodeSafetensors({ arrays: { stream, ...rest }, meta: state.meta })).toEqual(
      encodeSafetensors(state),
    );
  });

  it("reads from bytes at an odd offset", () => {
    const bytes = encodeSafetensors(state);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeSafetensors(shifted.subarray(3), "x")).toEqual(state);
  });

  it("has the layout of the format's README: length, padded JSON header, data without gaps", () => {
    const bytes = encodeSafetensors({
      arrays: { b: f32([1], [1]), a: ndarray("float64", [1, 1], Float64Array.of(2)) },
      meta: {},
    });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + length)).trimEnd()).toBe(
      '{"__metadata__":{"phalanx":"{}"},"a":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]},' +
        '"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}',
    );
    expect(bytes.length).toBe(8 + length + 12);
  });

  it("reads from a Node Buffer, whose slice is no copy", () => {
    const buffer = Buffer.concat([Buffer.of(1, 2, 3), encodeSafetensors(state)]).subarray(3);
    expect(decodeSafetensors(buffer, "x")).toEqual(state);
    buffer.fill(0);
  });

  it("refuses every truncation in one sentence", () => {
    const bytes = encodeSafetensors(state);
    for (let n = 0; n < bytes.length; n += 3) {
      expect(() => decodeSafetensors(bytes.subarray(0, n), "s.safetensors")).toThrow(
        /^s\.safetensors: not a valid safetensors file: [^\n]*\.$/,
      );
    }
  });

  it("refuses random bytes, and never throws anything but a UserError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(() => decodeSafetensors(bytes, "x")).toThrow(UserError);
      }),
    );
    const good = encodeSafetensors(state);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const bad = good.slice();
        bad[at] = value;
        try {
          decodeSafetensors(bad, "x");
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses names that would collide in a tree", () => {
    const header = JSON.stringify({
      a: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      "a/b": { dtype: "F32", shape: [1], data_offsets: [4, 8] },
    });
    const bytes = new Uint8Array(8 + header.length + 8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    expect(() => decodeSafetensors(bytes, "x")).toThrow(
      'x: not a valid safetensors file: "a/b" lies inside another array.',
    );
  });
});
