/**
 * Covert communication: Alice tells Bob a bit over a channel that Eve hears; Alice and Bob share a key.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_crypto/simple_crypto.py (`simple_crypto_v3`). The bit g and the key are
 * one of two unit vectors of R⁴. With q(c) = ‖c − g‖², and 0 where nothing is said (c = 0), of what was said in the
 * step:
 *
 *   eve  −q(eve's guess)        bob, alice  q(eve's guess) − q(bob's guess)
 *
 * Page: docs/environments/simple_crypto.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, type FeatureInput, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeSpeech, speechNames, speechSpace, strongestWord, WORDS } from "./actions.js";
import { episodeParameters, NO_CONTACTS, pictureParameters } from "./common.js";
import { cssColor, discs, speechCaption } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_crypto_v3";
const AGENTS = ["eve_0", "bob_0", "alice_0"] as const;
const [EVE, BOB, ALICE] = [0, 1, 2] as const;
const SYMBOLS = 2;
/** size of an utterance, of the goal and of the key */
const WIDTH = 4;

const parameters = {
  ...episodeParameters,
  agentSize: z.number().min(0).default(0.05).describe("radius of an agent in pictures; nobody moves"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of a landmark in pictures"),
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeCrypto(p: Parameters): EnvironmentSpec {
  const symbol = (name: string): FeatureInput => ({ name, size: WIDTH, kind: "one-hot", low: 0, high: 1 });
  const message: FeatureInput = p.continuousActions
    ? { name: "message", size: WIDTH, low: 0, high: 1 }
    : symbol("message");
  const group = (name: string, agent: string, inputs: readonly FeatureInput[]): GroupSpec => {
    const features = layout(inputs);
    return {
      name,
      agents: [agent],
      obsSize: sizeOfFeatures(features),
      features,
      action: speechSpace(WIDTH, p.continuousActions),
      hasActionMask: false,
      ...(p.continuousActions ? {} : { actionNames: speechNames(WIDTH) }),
    };
  };
  const groups = [
    group("eve", AGENTS[EVE], [message]),
    group("bob", AGENTS[BOB], [symbol("key"), message]),
    group("alice", AGENTS[ALICE], [symbol("goal"), symbol("key")]),
  ];
  return {
    id: ID,
    groups,
    stateSize: groups.reduce((sum, g) => sum + g.obsSize, 0),
    stateFeatures: concatenatedObsFeatures(groups),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["bobCorrect", "eveCorrect"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleCrypto extends BatchedEnvironment {
  readonly #p: Parameters;
  /** places of pictures; nothing else depends on them */
  readonly #world: ParticleWorld;
  /** [E] index of the bit that Alice has to tell */
  readonly #goal: NdArray<"int32">;
  /** [E] index of the key */
  readonly #key: NdArray<"int32">;
  /** [E, 3, 4] what Eve, Bob and Alice said last; zero before the first step */
  readonly #message: NdArray<"float64">;
  /** [E, 2] steps at which Bob's, and Eve's, strongest word was the goal's index */
  readonly #correct: NdArray<"float64">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeCrypto(p), options);
    const body = { collides: false, movable: false, mass: 1, maxSpeed: Number.POSITIVE_INFINITY };
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      AGENTS.map(() => ({ ...body, size: p.agentSize })),
      Array(SYMBOLS).fill({ size: p.landmarkSize, collides: false }),
      { dt: 0.1, damping: 0.25, ...NO_CONTACTS },
    );
    this.#goal = zeros("int32", [this.copies]);
    this.#key = zeros("int32", [this.copies]);
    this.#message = zeros("float64", [this.copies, AGENTS.length, WIDTH]);
    this.#correct = zeros("float64", [this.copies, 2]);
  }

  protected override startEpisode(e: number): void {
    const stream = this.streams[e].reset;
    this.#goal.data[e] = stream.int(SYMBOLS);
    this.#key.data[e] = stream.int(SYMBOLS);
    this.#world.scatter(e, stream);
    const width = AGENTS.length * WIDTH;
    this.#message.data.fill(0, e * width, (e + 1) * width);
    this.#correct.data.fill(0, 2 * e, 2 * e + 2);
  }

  protected override advance(): void {
    const message = this.#message.data;
    const goal = this.#goal.data;
    const correct = this.#correct.data;
    for (let i = 0; i < AGENTS.length; i++) {
      decodeSpeech(this.groups[i].action, message, this.copies, i, 1, AGENTS.length, WIDTH, false);
    }
    const [eve, bob, alice] = this.groups;
    for (let e = 0; e < this.copies; e++) {
      const said = e * AGENTS.length * WIDTH;
      const qEve = this.#error(said + EVE * WIDTH, goal[e]);
      const shared = qEve - this.#error(said + BOB * WIDTH, goal[e]);
      eve.reward[e] = 0 - qEve;
      bob.reward[e] = shared;
      alice.reward[e] = shared;
      if (this.#p.continuousActions) {
        if (strongestWord(message, said + BOB * WIDTH, WIDTH) === goal[e]) correct[2 * e]++;
        if (strongestWord(message, said + EVE * WIDTH, WIDTH) === goal[e]) correct[2 * e + 1]++;
      } else {
        // One-hot messages hold the answer: 1 at the goal, or 0.
        correct[2 * e] += message[said + BOB * WIDTH + goal[e]];
        correct[2 * e + 1] += message[said + EVE * WIDTH + goal[e]];
      }
    }
  }

  /** q: squared distance of the utterance at `offset` from the goal; 0 if nothing was said. */
  #error(offset: number, goal: number): number {
    const message = this.#message.data;
    let silent = true;
    let sum = 0;
    for (let k = 0; k < WIDTH; k++) {
      const x = message[offset + k];
      if (x !== 0) silent = false;
      const off = k === goal ? x - 1 : x;
      sum += off * off;
    }
    return silent ? 0 : sum;
  }

  protected override observe(from: number, to: number): void {
    const message = this.#message.data;
    const [eve, bob, alice] = this.groups;
    for (let e = from; e < to; e++) {
      const said = (e * AGENTS.length + ALICE) * WIDTH;
      const o = e * 2 * WIDTH;
      for (let k = 0; k < WIDTH; k++) {
        eve.obs[e * WIDTH + k] = message[said + k];
        bob.obs[o + k] = 0;
        bob.obs[o + WIDTH + k] = message[said + k];
        alice.obs[o + k] = 0;
        alice.obs[o + WIDTH + k] = 0;
      }
      bob.obs[o + this.#key.data[e]] = 1;
      alice.obs[o + this.#goal.data[e]] = 1;
      alice.obs[o + WIDTH + this.#key.data[e]] = 1;
    }
    this.concatenateObs(from, to);
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      goal: this.#goal,
      key: this.#key,
      message: this.#message,
      correct: this.#correct,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#correct.data[2 * e] / this.elapsed[e];
    out[offset + 1] = this.#correct.data[2 * e + 1] / this.elapsed[e];
  }

  protected override draw(e: number): Frame {
    const { agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const goal = this.#goal.data[e];
    const disc = discs(this.#world, e, dynamicRescaling);
    const symbolColor = (s: number) => cssColor(s === 0 ? 1 : 0, s === 1 ? 1 : 0, 0);
    const shapes: FrameShape[] = Array.from({ length: SYMBOLS }, (_, s) => ({
      ...disc(AGENTS.length + s, landmarkSize),
      label: WORDS[s],
      color: symbolColor(s),
      role: s === goal ? "goal" : "landmark",
    }));
    const colors = [cssColor(0.75, 0.25, 0.25), symbolColor(goal), cssColor(0.25, 0.25, 0.25)];
    for (const [i, agent] of AGENTS.entries()) {
      shapes.push({ ...disc(i, agentSize), color: colors[i], role: "agent", agent });
    }
    const captions = AGENTS.map((agent, i) =>
      speechCaption(agent, strongestWord(this.#message.data, (e * AGENTS.length + i) * WIDTH, WIDTH)),
    );
    return { shapes, captions };
  }
}

export const simpleCrypto = defineEnvironment({
  id: ID,
  summary: "Alice tells Bob a secret over a channel that Eve hears; a shared key helps.",
  source: "MPE2 1.1 simple_crypto_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new SimpleCrypto(p, options),
});
