/** Pictures of particle worlds. */
import { WORDS } from "./actions.js";
import type { ParticleWorld } from "./world.js";

/** CSS colour of an MPE colour triple: the originals draw 200 times each channel. */
export function cssColor(red: number, green: number, blue: number): string {
  const channel = (x: number) => Math.min(255, Math.floor(200 * x));
  return `rgb(${channel(red)}, ${channel(green)}, ${channel(blue)})`;
}

/** Where a body is, and how large it is drawn. */
export interface Disc {
  readonly kind: "circle";
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/**
 * Draws the entities of one copy as discs.
 *
 * @param dynamicRescaling true: radii as they are. false: the radius that MPE2 gives a body in a picture that is fitted
 *   to the farthest coordinate, with a tenth as margin; so a body looks equally large in every picture.
 */
export function discs(
  world: ParticleWorld,
  e: number,
  dynamicRescaling: boolean,
): (entity: number, size: number) => Disc {
  const entities = world.agentCount + world.landmarkCount;
  const start = e * entities * 2;
  const p = world.position.data;
  let scale = 1;
  if (!dynamicRescaling) {
    let far = 0;
    for (let k = start; k < start + entities * 2; k++) far = Math.max(far, Math.abs(p[k]));
    scale = far / 0.9;
  }
  return (entity, size) => ({
    kind: "circle",
    x: p[start + 2 * entity],
    y: p[start + 2 * entity + 1],
    radius: size * scale,
  });
}

/** What a picture says about a speaker. */
export function speechCaption(agent: string, word: number): string {
  return word < 0 ? `${agent} has said nothing yet` : `${agent} says ${WORDS[word]}`;
}
