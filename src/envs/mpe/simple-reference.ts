/**
 * Reference game: each of two agents knows where the other one has to go, and both move and speak.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_reference/simple_reference.py (`simple_reference_v3`).
 *
 *   local_i = −d(the other agent, the landmark that i knows)        global = mean of both locals
 *   reward_i = localRatio · local_i + (1 − localRatio) · global
 *
 * on the state after the step. What is said at step t is observed when the action of step t + 1 is chosen.
 * Page: docs/environments/simple_reference.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, layout, sizeOfFeatures } from "../../env/features.js";
import {
  decodeMovement,
  decodeSpeech,
  hear,
  movingSpeechNames,
  movingSpeechSpace,
  strongestWord,
  WORDS,
} from "./actions.js";
import { episodeParameters, NO_CONTACTS, physicsParameters, pictureParameters } from "./common.js";
import { cssColor, discs, speechCaption } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_reference_v3";
const LANDMARKS = 3;
const VOCABULARY = 10;
/** entities per copy */
const ENTITIES = 2 + LANDMARKS;
/** The other's goal is shown as its landmark's colour: 0.75 at the goal's channel, 0.25 at the others. */
const BRIGHT = 0.75;
const DIM = 0.25;

const parameters = {
  localRatio: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("weight of how near the other is to the landmark one knows; the rest is the mean of both"),
  ...episodeParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.05).describe("radius of both agents (nothing collides)"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of a landmark"),
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describeReference(p: Parameters): EnvironmentSpec {
  const speech = p.continuousActions ? "continuous" : "one-hot";
  const features = layout([
    { name: "velocity", size: 2 },
    { name: "landmarks", size: 2 * LANDMARKS },
    { name: "goal", size: LANDMARKS, kind: "one-hot", low: DIM, high: BRIGHT },
    { name: "message", size: VOCABULARY, kind: speech, low: 0, high: 1 },
  ]);
  const group: GroupSpec = {
    name: "agents",
    agents: ["agent_0", "agent_1"],
    obsSize: sizeOfFeatures(features),
    features,
    action: movingSpeechSpace(VOCABULARY, p.continuousActions),
    hasActionMask: false,
    ...(p.continuousActions ? {} : { actionNames: movingSpeechNames(VOCABULARY) }),
  };
  return {
    id: ID,
    groups: [group],
    stateSize: 2 * group.obsSize,
    stateFeatures: concatenatedObsFeatures([group]),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["distance", "truthful"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimpleReference extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  /** [E, 2] index of the landmark that agent i knows, the goal of the other one */
  readonly #goal: NdArray<"int32">;
  /** [E, 2, 10] what each agent said last; zero before the first step */
  readonly #message: NdArray<"float64">;
  /** [E] how often the strongest word was the index of the landmark that its speaker knew */
  readonly #truths: NdArray<"float64">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describeReference(p), options, true);
    const maxSpeed = p.maxSpeed ?? Number.POSITIVE_INFINITY;
    const agent = { size: p.agentSize, collides: false, movable: true, mass: p.mass, maxSpeed };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(this.copies, [agent, agent], Array(LANDMARKS).fill(landmark), {
      ...p,
      ...NO_CONTACTS,
    });
    this.#goal = zeros("int32", [this.copies, 2]);
    this.#message = zeros("float64", [this.copies, 2, VOCABULARY]);
    this.#truths = zeros("float64", [this.copies]);
  }

  protected override startEpisode(e: number): void {
    const stream = this.streams[e].reset;
    this.#goal.data[2 * e] = stream.int(LANDMARKS);
    this.#goal.data[2 * e + 1] = stream.int(LANDMARKS);
    this.#world.scatter(e, stream);
    this.#message.data.fill(0, 2 * e * VOCABULARY, 2 * (e + 1) * VOCABULARY);
    this.#truths.data[e] = 0;
  }

  protected override advance(): void {
    const { localRatio, gain, continuousActions } = this.#p;
    const { action, reward } = this.groups[0];
    const goal = this.#goal.data;
    const message = this.#message.data;
    const truths = this.#truths.data;
    decodeMovement(action, this.#world, 0, 2, gain, VOCABULARY);
    decodeSpeech(action, message, this.copies, 0, 2, 2, VOCABULARY, true);
    this.#world.step();
    for (let e = 0; e < this.copies; e++) {
      const locals0 = -this.#distance(e, 0);
      const locals1 = -this.#distance(e, 1);
      const shared = ((locals0 + locals1) / 2) * (1 - localRatio);
      reward[2 * e] = shared + locals0 * localRatio;
      reward[2 * e + 1] = shared + locals1 * localRatio;
      for (let i = 2 * e; i < 2 * e + 2; i++) {
        // One-hot messages hold the answer: 1 at the goal, or 0.
        truths[e] += continuousActions
          ? Number(strongestWord(message, i * VOCABULARY, VOCABULARY) === goal[i])
          : message[i * VOCABULARY + goal[i]];
      }
    }
  }

  /** Distance from the other agent to the landmark that agent i knows. */
  #distance(e: number, i: number): number {
    const p = this.#world.position.data;
    const base = e * ENTITIES * 2;
    const other = base + 2 * (1 - i);
    const goal = base + 2 * (2 + this.#goal.data[2 * e + i]);
    const dx = p[other] - p[goal];
    const dy = p[other + 1] - p[goal + 1];
    return Math.sqrt(dx * dx + dy * dy);
  }

  protected override observe(from: number, to: number): void {
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const { obs } = this.groups[0];
    const { obsSize } = this.spec.groups[0];
    const message = this.#message.data;
    const goals = this.#goal.data;
    for (let e = from; e < to; e++) {
      const base = e * ENTITIES * 2;
      for (let i = 0; i < 2; i++) {
        const row = 2 * e + i;
        const x = p[base + 2 * i];
        const y = p[base + 2 * i + 1];
        let o = row * obsSize;
        obs[o++] = v[2 * row];
        obs[o++] = v[2 * row + 1];
        for (let k = base + 4; k < base + 2 * ENTITIES; k += 2) {
          obs[o++] = p[k] - x;
          obs[o++] = p[k + 1] - y;
        }
        for (let l = 0; l < LANDMARKS; l++) obs[o + l] = DIM;
        obs[o + goals[row]] = BRIGHT;
        o += LANDMARKS;
        hear(message, (2 * e + 1 - i) * VOCABULARY, VOCABULARY, obs, o);
      }
    }
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
    out[offset] = (this.#distance(e, 0) + this.#distance(e, 1)) / 2;
    out[offset + 1] = this.#truths.data[e] / (2 * this.elapsed[e]);
  }

  protected override draw(e: number): Frame {
    const { agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const disc = discs(this.#world, e, dynamicRescaling);
    const color = (l: number) => {
      const channel = (c: number) => (c === l ? BRIGHT : DIM);
      return cssColor(channel(0), channel(1), channel(2));
    };
    const goals = this.#goal.data.subarray(2 * e, 2 * e + 2);
    const shapes: FrameShape[] = Array.from({ length: LANDMARKS }, (_, l) => ({
      ...disc(2 + l, landmarkSize),
      label: WORDS[l],
      color: color(l),
      role: goals.includes(l) ? "goal" : "landmark",
    }));
    const { agents } = this.spec.groups[0];
    for (const [i, agent] of agents.entries()) {
      // In the colour of the landmark that it has to reach.
      shapes.push({ ...disc(i, agentSize), color: color(goals[1 - i]), role: "agent", agent });
    }
    const captions = agents.map((agent, i) =>
      speechCaption(agent, strongestWord(this.#message.data, (2 * e + i) * VOCABULARY, VOCABULARY)),
    );
    return { shapes, captions };
  }
}

export const simpleReference = defineEnvironment({
  id: ID,
  summary: "Two agents move and speak; each knows only where the other has to go.",
  source: "MPE2 1.1 simple_reference_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new SimpleReference(p, options),
});
