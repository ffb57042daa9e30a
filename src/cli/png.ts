/** SVG to PNG without a browser: resvg, compiled to WebAssembly, with a font of its own, the same on every machine. */
import { createRequire } from "node:module";
import { inflateSync } from "node:zlib";
import { readBytes } from "../core/files.js";

const require = createRequire(import.meta.url);

/** Pixels per unit of the SVG: sharp on fine screens, and in print. */
const SCALE = 3;
const FONT = "DejaVu Sans";

let ready: Promise<typeof import("@resvg/resvg-wasm")> | undefined;

/** The module may be started once only. */
function loadResvg(): Promise<typeof import("@resvg/resvg-wasm")> {
  ready ??= import("@resvg/resvg-wasm").then(async (resvg) => {
    await resvg.initWasm(readBytes(require.resolve("@resvg/resvg-wasm/index_bg.wasm")) as BufferSource);
    return resvg;
  });
  return ready;
}

/** @param svg plain SVG, such as `renderStill` gives: no CSS variables */
export async function rasterise(svg: string): Promise<Uint8Array> {
  const { Resvg } = await loadResvg();
  const fonts = ["400", "700"].map((weight) =>
    woffToSfnt(
      readBytes(require.resolve(`@fontsource/dejavu-sans/files/dejavu-sans-latin-${weight}-normal.woff`)),
    ),
  );
  const image = new Resvg(svg, {
    fitTo: { mode: "zoom", value: SCALE },
    font: { fontBuffers: fonts, defaultFontFamily: FONT, sansSerifFamily: FONT },
  });
  return image.render().asPng();
}

/**
 * A WOFF font as the TrueType or OpenType font that is packed in it: the same tables, inflated.
 * Source: W3C, WOFF File Format 1.0, sections 3 to 5.
 */
export function woffToSfnt(woff: Uint8Array): Uint8Array {
  const view = new DataView(woff.buffer, woff.byteOffset, woff.byteLength);
  const count = view.getUint16(12);
  const tables = Array.from({ length: count }, (_, i) => {
    const [tag, offset, packed, length, checksum] = [0, 4, 8, 12, 16].map((at) =>
      view.getUint32(44 + 20 * i + at),
    ) as [number, number, number, number, number];
    const data = woff.subarray(offset, offset + packed);
    return { tag, checksum, data: packed < length ? inflateSync(data) : data };
  });
  const padded = (length: number) => Math.ceil(length / 4) * 4;
  const head = 12 + 16 * count;
  const sfnt = new Uint8Array(tables.reduce((size, { data }) => size + padded(data.length), head));
  const out = new DataView(sfnt.buffer);
  const power = 2 ** Math.floor(Math.log2(count));
  out.setUint32(0, view.getUint32(4));
  [count, 16 * power, Math.log2(power), 16 * (count - power)].forEach((value, i) => {
    out.setUint16(4 + 2 * i, value);
  });
  let at = head;
  tables.forEach(({ tag, checksum, data }, i) => {
    [tag, checksum, at, data.length].forEach((value, k) => {
      out.setUint32(12 + 16 * i + 4 * k, value);
    });
    sfnt.set(data, at);
    at += padded(data.length);
  });
  return sfnt;
}
