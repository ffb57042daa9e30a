/**
 * The colour scale of the matrix and the contrast of what is written on it. The scale runs in OKLCH (Ottosson 2020)
 * with lightness linear in the value, so equal differences look equal and the order survives any colour blindness.
 */

interface Ramp {
  readonly lightness: { readonly best: number; readonly worst: number };
  /** Chroma and hue (degrees) at equal distances from best to worst. */
  readonly tints: readonly (readonly [chroma: number, hue: number])[];
}

const RAMPS: Record<Theme, Ramp> = {
  light: {
    lightness: { best: 0.955, worst: 0.36 },
    tints: [
      [0.03, 95],
      [0.095, 68],
      [0.15, 38],
      [0.16, 12],
      [0.115, -20],
    ],
  },
  dark: {
    lightness: { best: 0.29, worst: 0.86 },
    tints: [
      [0.025, 270],
      [0.075, 335],
      [0.12, 370],
      [0.13, 402],
      [0.1, 435],
    ],
  },
};

export type Theme = "light" | "dark";

/**
 * Colour of a value.
 *
 * @param badness 0 = best, 1 = worst; clipped, NaN counts as the middle
 * @returns "#rrggbb". In the light theme bad is dark, in the dark theme bad is bright: what stands out is what broke.
 */
export function scaleColor(badness: number, theme: Theme): string {
  const t = Number.isNaN(badness) ? 0.5 : Math.min(1, Math.max(0, badness));
  const { lightness: ends, tints } = RAMPS[theme];
  const lightness = ends.best + (ends.worst - ends.best) * t;
  const index = Math.min(tints.length - 2, Math.floor(t * (tints.length - 1)));
  const share = t * (tints.length - 1) - index;
  const [fromChroma, fromHue] = tints[index]!;
  const [toChroma, toHue] = tints[index + 1]!;
  const chroma = fromChroma + (toChroma - fromChroma) * share;
  const hue = fromHue + (toHue - fromHue) * share;
  return oklchToHex(lightness, chroma, hue);
}

/** Black or white, whichever is easier to read on the colour; one of the two always reaches 4.58 : 1. */
export function textColor(background: string): "#000000" | "#ffffff" {
  return contrastRatio(background, "#000000") >= contrastRatio(background, "#ffffff") ? "#000000" : "#ffffff";
}

/** Contrast of two "#rrggbb" colours, WCAG 2.2: 1 to 21. */
export function contrastRatio(a: string, b: string): number {
  const [high, low] = [relativeLuminance(a), relativeLuminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** OKLab coordinates of "#rrggbb": lightness 0 to 1, and the two colour axes. */
export function hexToOklab(hex: string): [number, number, number] {
  const [r, g, b] = linearChannels(hex);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/**
 * `color-mix(in oklab, first share, second)` as "#rrggbb".
 * @param first "#rgb", "#rrggbb" or "rgb(…)" of three integers; any other colour counts as `second`
 * @param second "#rrggbb"
 * @param share of `first`, in [0, 1]
 */
export function mixColors(first: string, second: string, share: number): string {
  const hex = hexOf(first);
  if (hex === null) return second;
  const [a, b] = [hexToOklab(hex), hexToOklab(second)];
  const [l, green, blue] = a.map((x, i) => share * x + (1 - share) * b[i]!) as [number, number, number];
  return `#${oklabToLinear(l, green, blue).map(channelToHex).join("")}`;
}

function hexOf(color: string): string | null {
  if (/^#[0-9a-f]{6}$/i.test(color)) return color;
  if (/^#[0-9a-f]{3}$/i.test(color)) return `#${[...color.slice(1)].map((c) => c + c).join("")}`;
  const channels = /^rgb\((\d+)[ ,]+(\d+)[ ,]+(\d+)\)$/.exec(color)?.slice(1).map(Number);
  if (channels === undefined) return null;
  return `#${channels.map((c) => Math.min(255, c).toString(16).padStart(2, "0")).join("")}`;
}

/** OKLCH to "#rrggbb"; chroma shrinks until the colour fits sRGB, lightness and hue stay. */
function oklchToHex(lightness: number, chroma: number, hueDegrees: number): string {
  const hue = (hueDegrees * Math.PI) / 180;
  for (let c = chroma; ; c -= 0.004) {
    const rgb = oklabToLinear(lightness, c * Math.cos(hue), c * Math.sin(hue));
    if (c <= 0 || rgb.every((channel) => channel >= -1e-4 && channel <= 1.0001)) {
      return `#${rgb.map(channelToHex).join("")}`;
    }
  }
}

function oklabToLinear(lightness: number, a: number, b: number): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function channelToHex(linear: number): string {
  const clipped = Math.min(1, Math.max(0, linear));
  const encoded = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055;
  return Math.round(encoded * 255)
    .toString(16)
    .padStart(2, "0");
}

function linearChannels(hex: string): [number, number, number] {
  const channels = [1, 3, 5].map((at) => {
    const encoded = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
  });
  return channels as [number, number, number];
}

function relativeLuminance(hex: string): number {
  const [r, g, b] = linearChannels(hex);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
