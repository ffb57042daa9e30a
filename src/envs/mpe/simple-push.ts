/**
 * Keep-away: the agent goes to its goal; the adversary, which does not know the goal, goes there before it and pushes
 * it away.
 *
 * Source: Farama-Foundation/MPE2, mpe2/simple_push/simple_push.py (`simple_push_v3`). On the state after the step, d
 * being the distance to the goal:
 *
 *   agent      −d(agent)
 *   adversary  d(agent) − d(adversary)
 *
 * Page: docs/environments/simple_push.md.
 */
import { z } from "zod";
import { type NdArray, zeros } from "../../core/array.js";
import { BatchedEnvironment } from "../../env/batch.js";
import type { CreateOptions, EnvironmentSpec, Frame, FrameShape, GroupSpec } from "../../env/contract.js";
import { defineEnvironment } from "../../env/definition.js";
import { concatenatedObsFeatures, type FeatureInput, layout, sizeOfFeatures } from "../../env/features.js";
import { decodeMovement, MOVES, movementSpace } from "./actions.js";
import { contactParameters, episodeParameters, physicsParameters, pictureParameters } from "./common.js";
import { cssColor, discs } from "./pictures.js";
import { ParticleWorld } from "./world.js";

const ID = "mpe/simple_push_v3";
/** entities per copy: adversary, agent, two landmarks */
const ENTITIES = 4;
/** sizes of the observations */
const ADVERSARY_OBS = 8;
const AGENT_OBS = 19;
/** Colours of the landmarks, as the agent sees them. */
const LANDMARK_COLORS = [0.1, 0.9, 0.1, 0.1, 0.1, 0.9] as const;
/** The agent's own colour: BRIGHT at channel goal + 1, DIM at the others. */
const BRIGHT = 0.75;
const DIM = 0.25;

const parameters = {
  ...episodeParameters,
  ...physicsParameters,
  agentSize: z.number().min(0).default(0.05).describe("radius of both agents"),
  landmarkSize: z.number().min(0).default(0.05).describe("radius of a landmark (landmarks do not collide)"),
  ...contactParameters,
  ...pictureParameters,
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

function describePush(p: Parameters): EnvironmentSpec {
  const group = (name: string, agent: string, inputs: readonly FeatureInput[]): GroupSpec => {
    const features = layout(inputs);
    return {
      name,
      agents: [agent],
      obsSize: sizeOfFeatures(features),
      features,
      action: movementSpace(p.continuousActions),
      hasActionMask: false,
      ...(p.continuousActions ? {} : { actionNames: MOVES }),
    };
  };
  const velocity = { name: "velocity", size: 2 };
  const landmarks = { name: "landmarks", size: 4 };
  const groups = [
    group("adversary", "adversary_0", [velocity, landmarks, { name: "agent", size: 2 }]),
    group("agent", "agent_0", [
      velocity,
      { name: "goal", size: 2 },
      { name: "color", size: 3, kind: "one-hot", low: DIM, high: BRIGHT },
      landmarks,
      { name: "landmarkColors", size: 6, kind: "id", low: 0.1, high: 0.9 },
      { name: "adversary", size: 2 },
    ]),
  ];
  return {
    id: ID,
    groups,
    stateSize: groups[0].obsSize + groups[1].obsSize,
    stateFeatures: concatenatedObsFeatures(groups),
    maxSteps: p.maxCycles,
    turnBased: false,
    episodeMetrics: ["agentDistance", "adversaryDistance", "collisions"],
    capabilities: { saveState: true, frames: true },
  };
}

class SimplePush extends BatchedEnvironment {
  readonly #p: Parameters;
  readonly #world: ParticleWorld;
  /** [E] index of the goal landmark */
  readonly #goal: NdArray<"int32">;
  /** [E] steps after which the two overlapped */
  readonly #collisions: NdArray<"float64">;

  constructor(p: Parameters, options: CreateOptions) {
    super(describePush(p), options);
    const maxSpeed = p.maxSpeed ?? Number.POSITIVE_INFINITY;
    const agent = { size: p.agentSize, collides: true, movable: true, mass: p.mass, maxSpeed };
    const landmark = { size: p.landmarkSize, collides: false };
    this.#p = p;
    this.#world = new ParticleWorld(this.copies, [agent, agent], [landmark, landmark], p);
    this.#goal = zeros("int32", [this.copies]);
    this.#collisions = zeros("float64", [this.copies]);
    // Written once: the landmarks' colours never change.
    const { obs } = this.groups[1];
    for (let e = 0; e < this.copies; e++) {
      obs.set(LANDMARK_COLORS, e * AGENT_OBS + 11);
      this.state.set(LANDMARK_COLORS, e * (ADVERSARY_OBS + AGENT_OBS) + ADVERSARY_OBS + 11);
    }
  }

  protected override startEpisode(e: number): void {
    const stream = this.streams[e].reset;
    this.#goal.data[e] = stream.int(2);
    this.#world.scatter(e, stream);
    this.#collisions.data[e] = 0;
  }

  protected override advance(): void {
    const { gain, agentSize } = this.#p;
    const [adversary, agent] = this.groups;
    decodeMovement(adversary.action, this.#world, 0, 1, gain);
    decodeMovement(agent.action, this.#world, 1, 1, gain);
    this.#world.step();
    const p = this.#world.position.data;
    const touch2 = 4 * agentSize * agentSize;
    for (let e = 0; e < this.copies; e++) {
      const distance = this.#distance(e, 1);
      agent.reward[e] = -distance;
      adversary.reward[e] = distance - this.#distance(e, 0);
      const k = e * ENTITIES * 2;
      const dx = p[k] - p[k + 2];
      const dy = p[k + 1] - p[k + 3];
      if (dx * dx + dy * dy < touch2) this.#collisions.data[e]++;
    }
  }

  /** Distance from agent i (0: the adversary) to the goal. */
  #distance(e: number, i: number): number {
    const p = this.#world.position.data;
    const k = (e * ENTITIES + i) * 2;
    const goal = (e * ENTITIES + 2 + this.#goal.data[e]) * 2;
    const dx = p[k] - p[goal];
    const dy = p[k + 1] - p[goal + 1];
    return Math.sqrt(dx * dx + dy * dy);
  }

  protected override observe(from: number, to: number): void {
    const p = this.#world.position.data;
    const v = this.#world.velocity.data;
    const goals = this.#goal.data;
    const { state } = this;
    const hunter = this.groups[0].obs;
    const agent = this.groups[1].obs;
    // The global state gets its entries on the way: copying so small rows afterwards would take a fifth of a step.
    for (let e = from; e < to; e++) {
      const k = e * ENTITIES * 2;
      let s = e * (ADVERSARY_OBS + AGENT_OBS);
      let o = e * ADVERSARY_OBS;
      let x = p[k];
      let y = p[k + 1];
      hunter[o] = state[s] = v[4 * e];
      hunter[o + 1] = state[s + 1] = v[4 * e + 1];
      hunter[o + 2] = state[s + 2] = p[k + 4] - x;
      hunter[o + 3] = state[s + 3] = p[k + 5] - y;
      hunter[o + 4] = state[s + 4] = p[k + 6] - x;
      hunter[o + 5] = state[s + 5] = p[k + 7] - y;
      hunter[o + 6] = state[s + 6] = p[k + 2] - x;
      hunter[o + 7] = state[s + 7] = p[k + 3] - y;
      s += ADVERSARY_OBS;
      o = e * AGENT_OBS;
      x = p[k + 2];
      y = p[k + 3];
      const goal = k + 2 * (2 + goals[e]);
      agent[o] = state[s] = v[4 * e + 2];
      agent[o + 1] = state[s + 1] = v[4 * e + 3];
      agent[o + 2] = state[s + 2] = p[goal] - x;
      agent[o + 3] = state[s + 3] = p[goal + 1] - y;
      agent[o + 4] = state[s + 4] = DIM;
      agent[o + 5] = state[s + 5] = DIM;
      agent[o + 6] = state[s + 6] = DIM;
      agent[o + 5 + goals[e]] = state[s + 5 + goals[e]] = BRIGHT;
      agent[o + 7] = state[s + 7] = p[k + 4] - x;
      agent[o + 8] = state[s + 8] = p[k + 5] - y;
      agent[o + 9] = state[s + 9] = p[k + 6] - x;
      agent[o + 10] = state[s + 10] = p[k + 7] - y;
      // The landmarks' colours stand between.
      agent[o + 17] = state[s + 17] = p[k] - x;
      agent[o + 18] = state[s + 18] = p[k + 1] - y;
    }
  }

  protected override hiddenState(): Record<string, NdArray> {
    return {
      position: this.#world.position,
      velocity: this.#world.velocity,
      goal: this.#goal,
      collisions: this.#collisions,
    };
  }

  protected override writeMetrics(e: number, out: Float64Array, offset: number): void {
    out[offset] = this.#distance(e, 1);
    out[offset + 1] = this.#distance(e, 0);
    out[offset + 2] = this.#collisions.data[e];
  }

  protected override draw(e: number): Frame {
    const { agentSize, landmarkSize, dynamicRescaling } = this.#p;
    const goal = this.#goal.data[e];
    const disc = discs(this.#world, e, dynamicRescaling);
    const shapes: FrameShape[] = [0, 1].map((l) => {
      const [red, green, blue] = LANDMARK_COLORS.slice(3 * l, 3 * l + 3);
      const role = l === goal ? "goal" : "landmark";
      return { ...disc(2 + l, landmarkSize), color: cssColor(red, green, blue), role };
    });
    const channel = (c: number) => (c === goal + 1 ? BRIGHT : DIM);
    const colors = [cssColor(0.75, 0.25, 0.25), cssColor(channel(0), channel(1), channel(2))];
    for (const [i, agent] of ["adversary_0", "agent_0"].entries()) {
      shapes.push({ ...disc(i, agentSize), color: colors[i], role: "agent", agent });
    }
    return { shapes, captions: [] };
  }
}

export const simplePush = defineEnvironment({
  id: ID,
  summary: "An adversary keeps an agent away from a goal that only the agent knows.",
  source: "MPE2 1.1 simple_push_v3; checked step by step against recordings of it",
  parameters,
  create: (p, options) => new SimplePush(p, options),
});
