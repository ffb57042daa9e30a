import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream } from "../../core/random.js";
import { type AgentBody, type Body, ParticleWorld, type WorldConstants } from "./world.js";

interface Reference {
  position: number[];
  velocity: number[];
}

/** The rules of world.ts written down plainly: every pair, no cut-off, no shortcuts. */
function referenceStep(
  { position, velocity }: Reference,
  control: readonly number[],
  agents: readonly AgentBody[],
  landmarks: readonly Body[],
  constants: WorldConstants,
): Reference {
  const bodies: readonly Body[] = [...agents, ...landmarks];
  const force = bodies.flatMap((_, i) => (i < agents.length ? [control[2 * i], control[2 * i + 1]] : [0, 0]));
  const k = constants.contactMargin;
  for (let a = 0; a < bodies.length; a++) {
    for (let b = a + 1; b < bodies.length; b++) {
      if (!bodies[a].collides || !bodies[b].collides) continue;
      const delta = [0, 1].map((d) => position[2 * a + d] - position[2 * b + d]);
      const distance = Math.sqrt(delta[0] ** 2 + delta[1] ** 2);
      if (distance < 1e-12) continue;
      const x = -(distance - (bodies[a].size + bodies[b].size)) / k;
      const depth = k * (Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));
      for (const d of [0, 1]) {
        const f = constants.contactForce * (delta[d] / distance) * depth;
        force[2 * a + d] += f;
        force[2 * b + d] -= f;
      }
    }
  }
  const moved = [...position];
  const next = [...velocity];
  for (const [i, agent] of agents.entries()) {
    if (!agent.movable) continue;
    const velocityFirst = constants.integration === "velocityFirst";
    for (const d of [2 * i, 2 * i + 1]) {
      if (!velocityFirst) moved[d] += velocity[d] * constants.dt;
      next[d] = velocity[d] * (1 - constants.damping) + (force[d] / agent.mass) * constants.dt;
    }
    const speed = Math.sqrt(next[2 * i] ** 2 + next[2 * i + 1] ** 2);
    for (const d of [2 * i, 2 * i + 1]) {
      if (speed > agent.maxSpeed) next[d] = (next[d] / speed) * agent.maxSpeed;
      if (velocityFirst) moved[d] += next[d] * constants.dt;
    }
  }
  return { position: moved, velocity: next };
}

const real = (low: number, high: number) => fc.double({ min: low, max: high, noNaN: true });

const world = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 4 }))
  .chain(([agents, landmarks]) =>
    fc.record({
      agents: fc.array(
        fc.record({
          size: real(0.01, 0.3),
          collides: fc.boolean(),
          movable: fc.boolean(),
          mass: real(0.5, 2),
          maxSpeed: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), real(0.1, 2)),
        }),
        { minLength: agents, maxLength: agents },
      ),
      landmarks: fc.array(fc.record({ size: real(0.01, 0.3), collides: fc.boolean() }), {
        minLength: landmarks,
        maxLength: landmarks,
      }),
      // Close together, so that many pairs touch or nearly touch.
      position: fc.array(real(-0.6, 0.6), {
        minLength: 2 * (agents + landmarks),
        maxLength: 2 * (agents + landmarks),
      }),
      velocity: fc.array(real(-2, 2), { minLength: 2 * agents, maxLength: 2 * agents }),
      control: fc.array(real(-5, 5), { minLength: 2 * agents, maxLength: 2 * agents }),
      constants: fc.record({
        dt: real(0.01, 0.2),
        damping: real(0, 1),
        contactForce: fc.constantFrom(0, 1, 100, 1e4),
        contactMargin: fc.constantFrom(1e-4, 1e-3, 1e-2),
        integration: fc.constantFrom("positionFirst" as const, "velocityFirst" as const),
      }),
    }),
  );

describe("the particle world", () => {
  it("takes the step that the plain rules give, to 1e-12, in every copy", () => {
    fc.assert(
      fc.property(world, (w) => {
        const copies = 2;
        const particles = new ParticleWorld(copies, w.agents, w.landmarks, w.constants);
        for (let e = 0; e < copies; e++) {
          particles.position.data.set(w.position, e * w.position.length);
          particles.velocity.data.set(w.velocity, e * w.velocity.length);
          particles.control.set(w.control, e * w.control.length);
        }
        particles.step();
        const expected = referenceStep(w, w.control, w.agents, w.landmarks, w.constants);
        for (const name of ["position", "velocity"] as const) {
          const got = particles[name].data;
          for (let k = 0; k < got.length; k++) {
            const x = expected[name][k % expected[name].length];
            // Forces reach 6000 with the stiffest constants; the bound is relative to them.
            const scale = Math.max(1, w.constants.contactForce / 100);
            expect(Math.abs(got[k] - x)).toBeLessThanOrEqual(1e-12 * scale * (1 + Math.abs(x)));
          }
        }
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it("keeps the centre of mass of equal free bodies at rest", () => {
    const body = { size: 0.2, collides: true, movable: true, mass: 1, maxSpeed: Number.POSITIVE_INFINITY };
    const constants = { dt: 0.1, damping: 0.25, contactForce: 100, contactMargin: 0.001 };
    const particles = new ParticleWorld(1, [body, body, body], [], constants);
    particles.position.data.set([0, 0, 0.2, 0.1, -0.1, 0.3]);
    for (let t = 0; t < 20; t++) particles.step();
    const sum = (offset: number) =>
      [0, 2, 4].reduce((total, k) => total + particles.velocity.data[k + offset], 0);
    expect(Math.abs(sum(0)) + Math.abs(sum(1))).toBeLessThan(1e-12);
  });

  it.each([50, 120])("moves %d agents in the plane as all pairs would, to 1e-12", (agents) => {
    // Copies from a crowd to far apart: in some pairs are looked up, in some all are tried.
    const copies = 12;
    const constants = { dt: 0.1, damping: 0.25, contactForce: 100, contactMargin: 0.001 };
    const bodies = Array.from({ length: agents }, (_, i) => ({
      size: i % 3 === 0 ? 0.15 : 0.1,
      collides: true,
      movable: true,
      mass: 1,
      maxSpeed: Number.POSITIVE_INFINITY,
    }));
    const particles = new ParticleWorld(copies, bodies, [{ size: 0.05, collides: false }], constants);
    const stream = RandomStream.from(4, "world");
    const width = 2 * (agents + 1);
    for (let k = 0; k < copies * width; k++) {
      const range = 0.5 + Math.floor(k / width);
      particles.position.data[k] = stream.uniformIn(-range, range);
    }
    const before = particles.position.data.slice();
    let pushed = 0;
    for (let t = 0; t < 2; t++) {
      const position = particles.position.data.slice();
      const velocity = particles.velocity.data.slice();
      particles.step();
      for (let e = 0; e < copies; e++) {
        const expected = referenceStep(
          {
            position: [...position.subarray(e * width, (e + 1) * width)],
            velocity: [...velocity.subarray(2 * e * agents, 2 * (e + 1) * agents)],
          },
          new Array(2 * agents).fill(0),
          bodies,
          [{ size: 0.05, collides: false }],
          constants,
        );
        for (const [k, x] of expected.velocity.entries()) {
          const got = particles.velocity.data[2 * e * agents + k];
          expect(Math.abs(got - x)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(x)));
          if (got !== 0) pushed++;
        }
        for (const [k, x] of expected.position.entries()) {
          const got = particles.position.data[e * width + k];
          expect(Math.abs(got - x)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(x)));
        }
      }
    }
    expect(pushed).toBeGreaterThan(500);
    expect(particles.position.data).not.toEqual(before);
  });
});
