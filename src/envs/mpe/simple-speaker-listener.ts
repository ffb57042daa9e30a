/**
 * Cooperative communication: the speaker sees which of three landmarks is the goal but cannot move; the listener
 * moves but does not know the goal.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_speaker_listener/simple_speaker_listener.py
 * (`simple_speaker_listener_v4`). Both receive −d(listener, goal)² on the state after the step. A word said at
 * step t is in the listener's observation when it chooses the action of step t + 1.
 * Page: docs/environments/simple_speaker_listener.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type {
  CreateOptions,
  EnvironmentSpec,
  Frame,
  FrameShape,
  GroupSpec,
  Script,
} from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import {
  decodeMovement,
  decodeSpeech,
  MOVES,
  movementSpace,
  speechNames,
  speechSpace,
  strongestWord,
} from "./actions.js";
import { episodeParameters, NO_CONTACTS, physicsParameters, pictureParameters } from "./common.js";
import { cssColor, discs, speechCaption } from "./pictures.js";
import { say, steer, strongest } from "./scripts.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_speaker_listener_v4";
const LANDMARKS = 3;
/** entities per copy: speaker, listener, landmarks */
const ENTITIES = 2 + LANDMARKS;
/** The goal is shown to the speaker as its landmark's colour: 0.65 at the goal's channel, 0.15 at the others. */
const BRIGHT = 0.65;
const DIM = 0.15;
const LABELS = ["A", "B", "C"];

const parameters = {
  ...episodeParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.075).describe("radius of both agents (nothing collides)"),
  landmarkSize: z.number().min(0).default(0.04).describe("radius of a landmark"),
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeSpeakerListener(p: Parameters): EnvironmentSpec {
  const speaker: GroupSpec = {
    name: "speaker",
    agents: ["speaker_0"],
    obsSize: LANDMARKS,
    features: layout([{ name: "goal", size: LANDMARKS, kind: "one-hot", low: DIM, high: BRIGHT }]),
    action: speechSpace(LANDMARKS, p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: speechNames(LANDMARKS) }),
  };
  const features = layout([
    { name: "velocity", size: 2 },
    { name: "landmarks", size: 2 * LANDMARKS },
    {
      name: "message",
      size: LANDMARKS,
      kind: p.continuousActions ? "continuous" : "one-hot",
      low: 0,
      high: 1,
    },
  ]);
  const listener: GroupSpec = {
    name: "listener",
    agents: ["listener_0"],
    obsSize: sizeOfFeatures(features),
    features,
    action: movementSpace(p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: MOVES }),
  };
  return {
    id: ID,
    groups: [speaker, listener],
    stateSize: speaker.obsSize + listener.obsSize,
    stateFeatures: concatenatedObsFeatures([speaker, listener]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["distance", "truthful"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleSpeakerListener extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  /** [E] index of the goal landmark */
  readonly #goal: NdArray<"int32">;
  /** [E, 3] the last utterance; zero before the first */
  readonly #message: NdArray<"float64">;
  /** [E] steps at which the strongest word was the goal's index */
  readonly #truths: NdArray<"float64">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeSpeakerListener(p), options);
    const body = {
      size: p.agentSize,
      collides: false,
      mass: p.mass,
      maxSpeed: p.maxSpeed ?? Number.POSITIVE_INFINITY,
    };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(
      this.copies,
      [
        { ...body, movable: false },
        { ...body, movable: true },
      ],
      Array(LANDMARKS).fill(landmark),
      { ...p, ...NO_CONTACTS },
    );
    this.#goal = zeros("int32", [this.copies]);
    this.#message = zeros("float64", [this.copies, LANDMARKS]);
    this.#truths = zeros("float64", [this.copies]);
  }

  protected override startEpisode(e: number): void {
    const stream = this.streams[e].reset;
    this.#goal.data[e] = stream.int(LANDMARKS);
    this.#world.scatter(e, stream);
    this.#message.data.fill(0, e * LANDMARKS, (e + 1) * LANDMARKS);
    this.#truths.data[e] = 0;
  }

  protected override advance(): void {
    const [speaker, listener] = this.groups;
    const { copies } = this;
    const message = this.#message.data;
    const truths = this.#truths.data;
    const goal = this.#goal.data;
    const p = this.#world.position.data;
    decodeMovement(listener.action, this.#world, 1, 1, this.#p.gain);
    decodeSpeech(speaker.action, message, copies, 0, 1, 1, LANDMARKS, false);
    this.#world.step();
    for (let e = 0; e < copies; e++) {
      const base = e * ENTITIES * 2;
      const target = base + (2 + goal[e]) * 2;
      const dx = p[base + 2] - p[target];
      const dy = p[base + 3] - p[target + 1];
      const d2 = dx * dx + dy * dy;
      speaker.reward[e] = -d2;
      listener.reward[e] = -d2;
      // One-hot messages hold the answer: 1 at the goal, or 0.
      truths[e] += this.#p.continuousActions
        ? Number(strongestWord(message, e * LANDMARKS, LANDMARKS) === goal[e])
        : message[e * LANDMARKS + goal[e]];
    }
  }

  protected override observe(from: number, to: number): void {
    const { obsSize } = this.spec.groups[1];
    const goal = this.#goal.data;
    const message = this.#message.data;
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const shown = this.groups[0].obs;
    const heard = this.groups[1].obs;
    for (let e = from; e < to; e++) {
      const m = e * LANDMARKS;
      for (let k = 0; k < LANDMARKS; k++) shown[m + k] = DIM;
      shown[m + goal[e]] = BRIGHT;
      const base = e * ENTITIES * 2;
      const x = p[base + 2];
      const y = p[base + 3];
      const o = e * obsSize;
      heard[o] = v[e * 4 + 2];
      heard[o + 1] = v[e * 4 + 3];
      for (let l = 0; l < LANDMARKS; l++) {
        heard[o + 2 + 2 * l] = p[base + 4 + 2 * l] - x;
        heard[o + 3 + 2 * l] = p[base + 5 + 2 * l] - y;
        heard[o + 2 + 2 * LANDMARKS + l] = message[m + l];
      }
    }
    this.concatenateObs(from, to);
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      velocity: this.#world.velocity,
      goal: this.#goal,
      message: this.#message,
      truths: this.#truths,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    const base = e * ENTITIES * 2;
    const target = base + (2 + this.#goal.data[e]) * 2;
    const p = this.#world.position.data;
    out[offset] = Math.sqrt((p[base + 2] - p[target]) ** 2 + (p[base + 3] - p[target + 1]) ** 2);
    out[offset + 1] = this.#truths.data[e] / this.elapsed[e];
  }

  protected override draw(e: number): Frame {
    const goal = this.#goal.data[e];
    const disc = discs(this.#world, e, this.#p.dynamicRescaling);
    const channel = (k: number, l: number) => (k === l ? BRIGHT : DIM);
    const shapes: FrameShape[] = LABELS.map((label, l) => ({
      ...disc(2 + l, this.#p.landmarkSize),
      label,
      color: cssColor(channel(0, l), channel(1, l), channel(2, l)),
      role: l === goal ? "goal" : "landmark",
    }));
    const light = (k: number) => channel(k, goal) + 0.45;
    const agent = (k: number, name: string, color: string): FrameShape => ({
      ...disc(k, this.#p.agentSize),
      agent: name,
      color,
      role: "agent",
    });
    shapes.push(agent(0, "speaker_0", cssColor(0.25, 0.25, 0.25)));
    shapes.push(agent(1, "listener_0", cssColor(light(0), light(1), light(2))));
    const word = strongestWord(this.#message.data, e * LANDMARKS, LANDMARKS);
    return { shapes, captions: [speechCaption("speaker_0", word)] };
  }
}

/** The speaker says the goal's own word, the listener believes it; until it hears something it stays. */
const plainWords: Script = {
  summary: "the speaker says the goal's own letter, the listener drives to that landmark",
  act({ group, obs }, action) {
    if (group.name === "speaker") return say(action, strongest(obs, 0, LANDMARKS));
    const word = strongest(obs, 2 + 2 * LANDMARKS, LANDMARKS);
    if (word >= 0) steer(action, obs[2 + 2 * word], obs[3 + 2 * word], obs[0], obs[1]);
  },
};

export const simpleSpeakerListener = defineEnvironment({
  id: ID,
  summary: "A speaker knows the goal but cannot move, a listener moves but does not know the goal.",
  source: "MPE2 1.1 simple_speaker_listener_v4; checked step by step against recordings of it",
  parameters,
  scripts: { "plain-words": plainWords },
  create: (p, options) => new SimpleSpeakerListener(p, options),
});
