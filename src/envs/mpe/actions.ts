/** Actions of particle agents: movement, speech, or both at once. */
import type { Space } from "../../env/contract.js";
import { box } from "../../env/spaces.js";
import type { ParticleWorld } from "./world.js";

/** The five movement actions, in order. */
export const MOVES = ["stay", "left", "right", "down", "up"] as const;

/** Direction of each movement action, looked up: no processor predicts random actions. */
const MOVE_X = Float64Array.of(0, -1, 1, 0, 0);
const MOVE_Y = Float64Array.of(0, 0, 0, -1, 1);

/** What the words of discrete speakers are called. */
export const WORDS = "ABCDEFGHIJ";

/** Movement: stay, left, right, down, up; as a box, how strongly each (the first has no effect). */
export function movementSpace(continuous: boolean): Space {
  return continuous ? box(5, 0, 1) : { kind: "discrete", n: 5 };
}

/** Speech of an agent that cannot move: one of so many words; as a box, that many numbers. */
export function speechSpace(words: number, continuous: boolean): Space {
  return continuous ? box(words, 0, 1) : { kind: "discrete", n: words };
}

/** Names of the actions of `speechSpace`. */
export function speechNames(words: number): string[] {
  return Array.from({ length: words }, (_, w) => `says ${WORDS[w]}`);
}

/** Movement and speech at once: action 5·word + move; as a box, five movement entries, then the utterance. */
export function movingSpeechSpace(words: number, continuous: boolean): Space {
  return continuous ? box(5 + words, 0, 1) : { kind: "discrete", n: 5 * words };
}

/** Names of the actions of `movingSpeechSpace`: "left and says B". */
export function movingSpeechNames(words: number): string[] {
  return speechNames(words).flatMap((says) => MOVES.map((move) => `${move} and ${says}`));
}

/**
 * Turn movement actions of one group into controls of a world.
 *
 * @param action discrete [E, n] (5·word + move where the agents speak, too), box [E, n, 5 + words]
 * @param first index of the group's first agent in the world
 * @param n agents of the group
 * @param gain force per unit of action
 * @param words size of the utterance that the same action holds; 0: none
 */
export function decodeMovement(
  action: Int32Array | Float32Array,
  world: ParticleWorld,
  first: number,
  n: number,
  gain: number,
  words = 0,
): void {
  const { control, copies, agentCount } = world;
  // Two loops, so that each stays specialised for one kind of array.
  if (action instanceof Int32Array) decodeMoves(action, control, copies, n, agentCount, first, gain);
  else decodeForces(action, control, copies, n, agentCount, first, gain, 5 + words);
}

function decodeMoves(
  action: Int32Array,
  control: Float64Array,
  copies: number,
  n: number,
  agents: number,
  first: number,
  gain: number,
): void {
  for (let e = 0, row = 0; e < copies; e++) {
    let k = (e * agents + first) * 2;
    for (let i = 0; i < n; i++, row++, k += 2) {
      const move = action[row] % 5;
      control[k] = MOVE_X[move] * gain;
      control[k + 1] = MOVE_Y[move] * gain;
    }
  }
}

function decodeForces(
  action: Float32Array,
  control: Float64Array,
  copies: number,
  n: number,
  agents: number,
  first: number,
  gain: number,
  width: number,
): void {
  for (let e = 0, a = 0; e < copies; e++) {
    let k = (e * agents + first) * 2;
    for (let i = 0; i < n; i++, a += width, k += 2) {
      // MPE2 subtracts float32 action entries in float32.
      control[k] = Math.fround(action[a + 2] - action[a + 1]) * gain;
      control[k + 1] = Math.fround(action[a + 4] - action[a + 3]) * gain;
    }
  }
}

/**
 * Turn what one group says into messages: a word becomes one-hot, numbers are said as they are.
 *
 * @param action discrete [E, n], box [E, n, width]
 * @param message [E, speakers, words]; speakers first … first + n − 1 of every copy are written. The group that holds
 *   speaker 0 is decoded first: what was said before is cleared then.
 * @param moves whether the same action also moves the agent
 */
export function decodeSpeech(
  action: Int32Array | Float32Array,
  message: Float64Array,
  copies: number,
  first: number,
  n: number,
  speakers: number,
  words: number,
  moves: boolean,
): void {
  if (action instanceof Int32Array) {
    // At once: the processor clears a block faster than many short rows.
    if (first === 0) message.fill(0);
    decodeWords(action, message, copies, first, n, speakers, words, moves);
  } else {
    decodeUtterances(action, message, copies, first, n, speakers, words, moves ? 5 : 0);
  }
}

function decodeWords(
  action: Int32Array,
  message: Float64Array,
  copies: number,
  first: number,
  n: number,
  speakers: number,
  words: number,
  moves: boolean,
): void {
  for (let e = 0, row = 0; e < copies; e++) {
    let m = (e * speakers + first) * words;
    for (let i = 0; i < n; i++, row++, m += words) {
      const a = action[row];
      // Truncated to an integer at once, which makes the division one of integers.
      message[m + (moves ? (a / 5) | 0 : a)] = 1;
    }
  }
}

function decodeUtterances(
  action: Float32Array,
  message: Float64Array,
  copies: number,
  first: number,
  n: number,
  speakers: number,
  words: number,
  moves: number,
): void {
  for (let e = 0, a = moves; e < copies; e++) {
    let m = (e * speakers + first) * words;
    for (let i = 0; i < n; i++, a += moves) {
      for (let k = 0; k < words; k++) message[m++] = action[a++];
    }
  }
}

/** Show an utterance of `words` entries to a listener: out[at …] = message[from …]. */
export function hear(
  message: Float64Array,
  from: number,
  words: number,
  out: Float32Array,
  at: number,
): void {
  let k = 0;
  // Two at a time: loops over a handful of numbers are mostly counting.
  for (; k + 2 <= words; k += 2) {
    out[at + k] = message[from + k];
    out[at + k + 1] = message[from + k + 1];
  }
  if (k < words) out[at + k] = message[from + k];
}

/** Index of the strongest of `words` entries (the lowest if tied); −1 if none is above 0: nothing was said. */
export function strongestWord(message: Float64Array, offset: number, words: number): number {
  let word = -1;
  let best = 0;
  for (let k = 0; k < words; k++) {
    const strength = message[offset + k];
    if (strength > best) {
      best = strength;
      word = k;
    }
  }
  return word;
}
