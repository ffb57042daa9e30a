/**
 * The physics of multi-particle worlds, for E copies at once: discs in a plane without walls, pushed by controls
 * and by soft contacts, slowed by damping.
 *
 * Source: Farama-Foundation/MPE2, mpe2/_mpe_utils/core.py (`World.step`). Per world step, with pre-step positions:
 *
 *   F_i  = control_i + Σ_j 100 · (δ/d) · k · softplus((d_min − d)/k)     δ = p_i − p_j, d = ‖δ‖, d_min = r_i + r_j
 *   p   ← p + v·dt                                                       (with the velocity before the step)
 *   v   ← v·(1 − damping) + (F/mass)·dt, scaled down to maxSpeed
 *
 * or, with "velocityFirst", v first and then p with the new v, as in openai/multiagent-particle-envs and in what was
 * built on it.
 *
 * Differs from MPE2 where two centres coincide (d < 1e-12): no force instead of NaN.
 */
import { type NdArray, zeros } from "../../core/array.js";
import type { RandomStream } from "../../core/random.js";
import { PointGrid } from "./point-grid.js";

/** What is the same for all bodies. Defaults are MPE2's. */
export interface WorldConstants {
  /** seconds per step (0.1) */
  readonly dt: number;
  /** share of the velocity lost per step (0.25) */
  readonly damping: number;
  /** stiffness of contacts (100) */
  readonly contactForce: number;
  /** k: width of the zone in which contact sets in (0.001) */
  readonly contactMargin: number;
  /** whether an agent moves with its velocity before or after the step; default "positionFirst" */
  readonly integration?: Integration;
}

export type Integration = "positionFirst" | "velocityFirst";

export interface Body {
  /** radius */
  readonly size: number;
  /** whether contacts act on it and it acts on others */
  readonly collides: boolean;
}

export interface AgentBody extends Body {
  readonly movable: boolean;
  readonly mass: number;
  /** Infinity: none */
  readonly maxSpeed: number;
}

/**
 * Beyond this many margins the contact force is not computed. softplus(−x) < e^(−x), so the force left out is below
 * contactForce · k · e^(−40) = 4·10⁻¹⁹ with the default constants: under the rounding of any velocity above 10⁻⁴,
 * and a velocity smaller than that is wrong by less than 10⁻¹⁹ per step. Within 40 margins of the other side
 * (deep overlap) softplus(x) = x to double precision, since log1p(e^(−x)) < 5·10⁻¹⁸.
 */
const SATURATION = 40;
/** From so many colliding agents on, pairs are looked up in a grid where that spares most of them. */
const MANY = 50;
/** Share of the plane that a look-up may cover before all pairs are cheaper. */
const CROWDED = 0.25;

/** State and dynamics of E copies of one world; entities are agents in index order, then landmarks. */
export class ParticleWorld {
  readonly copies: number;
  readonly agentCount: number;
  readonly landmarkCount: number;
  /** [E, agents + landmarks, 2] */
  readonly position: NdArray<"float64">;
  /** [E, agents, 2] */
  readonly velocity: NdArray<"float64">;
  /** [E, agents, 2] force of each agent's own drive, gain included; written by the scenario before `step` */
  readonly control: Float64Array;

  readonly #constants: Required<WorldConstants>;
  /** [agents] */
  readonly #movable: Uint8Array;
  readonly #mass: Float64Array;
  readonly #maxSpeed: Float64Array;
  /** entity indices and radii of the bodies that take part in contacts, in entity order */
  readonly #colliders: Int32Array;
  readonly #radii: Float64Array;
  /** how many of the colliders are agents: landmarks push nothing but them */
  readonly #collidingAgents: number;
  /** [agents + landmarks, 2] force on each entity of the copy at hand; landmarks' entries are never read */
  readonly #force: Float64Array;
  readonly #reach: number;
  /** of the agents, where there are many and nothing else collides; else null */
  readonly #grid: PointGrid | null;
  readonly #largest: number;

  constructor(
    copies: number,
    agents: readonly AgentBody[],
    landmarks: readonly Body[],
    constants: WorldConstants,
  ) {
    const bodies: readonly Body[] = [...agents, ...landmarks];
    this.copies = copies;
    this.agentCount = agents.length;
    this.landmarkCount = landmarks.length;
    this.position = zeros("float64", [copies, bodies.length, 2]);
    this.velocity = zeros("float64", [copies, agents.length, 2]);
    this.control = new Float64Array(copies * agents.length * 2);
    // One shape whatever scenario's parameters these are: reading them in the loops stays fast, and boxes no number.
    const { dt, damping, contactForce, contactMargin, integration = "positionFirst" } = constants;
    this.#constants = { dt, damping, contactForce, contactMargin, integration };
    this.#movable = Uint8Array.from(agents, (a) => (a.movable ? 1 : 0));
    this.#mass = Float64Array.from(agents, (a) => a.mass);
    this.#maxSpeed = Float64Array.from(agents, (a) => a.maxSpeed);
    this.#colliders = Int32Array.from(bodies.flatMap((b, i) => (b.collides ? [i] : [])));
    this.#radii = Float64Array.from(this.#colliders, (i) => bodies[i].size);
    this.#collidingAgents = agents.filter((a) => a.collides).length;
    this.#force = new Float64Array(bodies.length * 2);
    // The bound above scales with the constants: keep the neglected force below 4.3·10⁻¹⁹ whatever they are.
    const scale = (constants.contactForce * constants.contactMargin) / 0.1;
    this.#reach = constants.contactMargin * (SATURATION + Math.max(0, Math.log(scale)));
    const agentsAlone = this.#colliders.length === agents.length && this.#collidingAgents === agents.length;
    this.#largest = Math.max(0, ...this.#radii);
    this.#grid = agentsAlone && agents.length >= MANY ? new PointGrid(agents.length) : null;
  }

  /** One step of every copy. Allocates nothing. */
  step(): void {
    const contacts = this.#collidingAgents > 0 && this.#constants.contactForce > 0;
    const n2 = this.agentCount * 2;
    const force = this.#force;
    const { control } = this;
    for (let e = 0; e < this.copies; e++) {
      const base = e * n2;
      for (let k = 0; k < n2; k++) force[k] = control[base + k];
      if (contacts) this.#addContacts(e);
      this.#integrate(e);
    }
  }

  #addContacts(e: number): void {
    if (this.#grid !== null && this.#addContactsNearby(e, this.#grid)) return;
    const colliders = this.#colliders;
    const radii = this.#radii;
    const p = this.position.data;
    const base = e * (this.agentCount + this.landmarkCount) * 2;
    const reach = this.#reach;
    const count = colliders.length;
    const agents = this.#collidingAgents;
    for (let i = 0; i < agents; i++) {
      const a = colliders[i] * 2;
      const ax = p[base + a];
      const ay = p[base + a + 1];
      const radius = radii[i];
      for (let j = i + 1; j < count; j++) {
        const b = colliders[j] * 2;
        const dx = ax - p[base + b];
        const dy = ay - p[base + b + 1];
        const touch = radius + radii[j];
        const d2 = dx * dx + dy * dy;
        // Almost all pairs end here, without a root or an exponential.
        if (d2 <= (touch + reach) * (touch + reach)) this.#push(a, b, dx, dy, d2, touch);
      }
    }
  }

  /**
   * The same pairs in the same order, so that sums come out the same to the last bit, without looking at most of the
   * others.
   * @returns false, and nothing is done, where that would spare little
   */
  #addContactsNearby(e: number, grid: PointGrid): boolean {
    const radii = this.#radii;
    const p = this.position.data;
    const base = e * (this.agentCount + this.landmarkCount) * 2;
    const reach = this.#reach;
    const far = (2 * this.#largest + reach) * (1 + 1e-12);
    grid.build(p, base, this.agentCount);
    if (grid.share(far) > CROWDED) return false;
    for (let i = 0; i < this.agentCount; i++) {
      const ax = p[base + 2 * i];
      const ay = p[base + 2 * i + 1];
      const found = grid.within(p, base + 2 * i, far, i);
      for (let k = 0; k < found; k++) {
        const j = grid.order[k];
        const dx = ax - p[base + 2 * j];
        const dy = ay - p[base + 2 * j + 1];
        const touch = radii[i] + radii[j];
        const d2 = dx * dx + dy * dy;
        if (d2 <= (touch + reach) * (touch + reach)) this.#push(2 * i, 2 * j, dx, dy, d2, touch);
      }
    }
    return true;
  }

  /** Contact force between the entities at offsets a and b, whose centres are (dx, dy), d² = d2, apart. */
  #push(a: number, b: number, dx: number, dy: number, d2: number, touch: number): void {
    const { contactForce, contactMargin } = this.#constants;
    const force = this.#force;
    const d = Math.sqrt(d2);
    if (d < 1e-12) return;
    const x = (touch - d) / contactMargin;
    const softplus = x > SATURATION ? x : Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
    const depth = softplus * contactMargin;
    const fx = ((contactForce * dx) / d) * depth;
    const fy = ((contactForce * dy) / d) * depth;
    force[a] += fx;
    force[a + 1] += fy;
    force[b] -= fx;
    force[b + 1] -= fy;
  }

  #integrate(e: number): void {
    const { dt, damping, integration } = this.#constants;
    const velocityFirst = integration === "velocityFirst";
    const keep = 1 - damping;
    const movable = this.#movable;
    const mass = this.#mass;
    const maxSpeed = this.#maxSpeed;
    const n = this.agentCount;
    const force = this.#force;
    const p = this.position.data;
    const v = this.velocity.data;
    let q = e * (n + this.landmarkCount) * 2;
    let w = e * n * 2;
    for (let i = 0; i < n; i++, q += 2, w += 2) {
      if (movable[i] === 0) continue;
      if (!velocityFirst) {
        p[q] += v[w] * dt;
        p[q + 1] += v[w + 1] * dt;
      }
      let fx = force[2 * i];
      let fy = force[2 * i + 1];
      if (mass[i] !== 1) {
        fx /= mass[i];
        fy /= mass[i];
      }
      let vx = v[w] * keep + fx * dt;
      let vy = v[w + 1] * keep + fy * dt;
      const limit = maxSpeed[i];
      if (vx * vx + vy * vy > limit * limit) {
        const speed = Math.sqrt(vx * vx + vy * vy);
        vx = (vx / speed) * limit;
        vy = (vy / speed) * limit;
      }
      v[w] = vx;
      v[w + 1] = vy;
      if (velocityFirst) {
        p[q] += vx * dt;
        p[q + 1] += vy * dt;
      }
    }
  }

  /**
   * Zero velocities and draw positions of copy e uniformly: agents in order from [−1, 1]², then landmarks in order from
   * [−landmarkRange, landmarkRange]², x before y.
   */
  scatter(e: number, stream: RandomStream, landmarkRange = 1, agentRange = 1): void {
    const n2 = this.agentCount * 2;
    this.velocity.data.fill(0, e * n2, (e + 1) * n2);
    const p = this.position.data;
    const start = e * (n2 + this.landmarkCount * 2);
    const landmarks = start + n2;
    const end = landmarks + this.landmarkCount * 2;
    stream.fillUniform(p, start, landmarks, -agentRange, agentRange);
    stream.fillUniform(p, landmarks, end, -landmarkRange, landmarkRange);
  }
}
