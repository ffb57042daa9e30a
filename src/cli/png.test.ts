import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { rasterise, woffToSfnt } from "./png.js";

const font = createRequire(import.meta.url).resolve(
  "@fontsource/dejavu-sans/files/dejavu-sans-latin-400-normal.woff",
);
const picture = (content: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" width="40" height="20">${content}</svg>`;

describe("a picture", () => {
  it("is a PNG, three pixels to a unit", async () => {
    const png = Buffer.from(await rasterise(picture('<rect width="40" height="20"/>')));
    expect(png.subarray(0, 8)).toEqual(Buffer.from("\x89PNG\r\n\x1a\n", "latin1"));
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([120, 60]);
  });

  it("has letters on machines that have no fonts, signs and Greek included", async () => {
    const empty = await rasterise(picture(""));
    const written = await Promise.all(
      ["A", "B", "−", "ε"].map((text) =>
        rasterise(picture(`<text x="5" y="15" font-family="sans-serif">${text}</text>`)),
      ),
    );
    expect(new Set([empty, ...written].map((png) => Buffer.from(png).toString("base64"))).size).toBe(5);
  });
});

describe("a packed font", () => {
  it("is unpacked to tables that have the checksums that it states", () => {
    const sfnt = woffToSfnt(readFileSync(font));
    const view = new DataView(sfnt.buffer);
    const count = view.getUint16(4);
    expect(count).toBeGreaterThan(10);
    for (let i = 0; i < count; i++) {
      const [tag, checksum, offset, length] = [0, 4, 8, 12].map((at) => view.getUint32(12 + 16 * i + at)) as [
        number,
        number,
        number,
        number,
      ];
      // The sum of "head" is taken with its own checksum entry as 0.
      const isHead = tag === 0x68656164;
      let sum = isHead ? -view.getUint32(offset + 8) : 0;
      for (let at = offset; at < offset + length; at += 4) sum += view.getUint32(at);
      expect(((sum % 2 ** 32) + 2 ** 32) % 2 ** 32, `table ${i}`).toBe(checksum);
    }
  });
});
