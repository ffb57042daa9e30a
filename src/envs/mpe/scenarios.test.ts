import { describe, expect, it } from "vitest";
import { create, expectClose, inject, numbers, rewards, step } from "../../../test/support/particles.js";

// Golden values: MPE2 1.1.0 run in float64, printed to 10 significant digits.

describe("simple", () => {
  it("earns minus the squared distance", async () => {
    const environment = await create("mpe/simple");
    inject(environment, { position: [0.3, -0.2, -0.1, 0.4], velocity: [1, 0] });
    step(environment, 4);
    expectClose(rewards(environment), [-(0.5 ** 2 + 0.6 ** 2)], 1e-12);
    expectClose(environment.groups[0].obs, [0.75, 0.5, -0.5, 0.6], 1e-7);
    expect([...environment.state]).toEqual([...environment.groups[0].obs]);
  });
});

describe("simple_tag", () => {
  const position = [-0.5, 0, 0.1, 0.05, 0.95, -0.95, 0.2, 0.1, -0.6, 0.2, 0.4, -0.5];

  it("follows the golden trajectory", async () => {
    const tag = await create("mpe/simple_tag");
    inject(tag, { position });
    step(tag, 2, 2, 4, 1);
    expectClose(
      numbers(tag, "velocity"),
      [0.5298373876, -0.4596747752, 0.1819659946, -0.05901700268, 0, 0.3, -0.2819659946, 0.05901700268],
    );
    expectClose(rewards(tag), [10, 10, 10, -10]);
    step(tag, 2, 4, 1, 2);
    expectClose(rewards(tag), [10, 10, 10, -10]);
    step(tag, 2, 2, 1, 2);
    expectClose(rewards(tag), [10, 10, 10, -10]);
    expectClose(numbers(tag, "position").slice(0, 2), [-0.3714813982, -0.1114997937]);
    expectClose(numbers(tag, "position").slice(6, 8), [0.2024593515, 0.1162296757]);
    expectClose(numbers(tag, "velocity").slice(0, 2), [0.8665114752, -0.4914923749]);
    expectClose(numbers(tag, "velocity").slice(6), [0.9128973608, 0.4037054708]);
  });

  it("charges the prey for leaving the field", async () => {
    const tag = await create("mpe/simple_tag");
    inject(tag, { position: [5, 5, 5, -5, -5, 5, 0.95, -1.4, 9, 9, -9, 9] });
    step(tag, 0, 0, 0, 0);
    expectClose(rewards(tag), [0, 0, 0, -2.725540928]);
    inject(tag, { position: [5, 5, 5, -5, -5, 5, 3, 0.9, 9, 9, -9, 9], velocity: Array(8).fill(0) });
    step(tag, 0, 0, 0, 0);
    expectClose(rewards(tag), [0, 0, 0, -10], 1e-12);
  });

  it("counts captures, steps with somebody caught, and flight in its metrics", async () => {
    const tag = await create("mpe/simple_tag", { maxCycles: 2, contactForce: 0 });
    // Two adversaries hold the prey, then it is gone.
    const held = (x: number) => [0.1, 0, -0.1, 0, 3, 3, x, 0, 9, 9, -9, 9];
    inject(tag, { position: held(0) });
    step(tag, 0, 0, 0, 0);
    inject(tag, { position: held(1.5) });
    step(tag, 0, 0, 0, 0);
    expect(tag.ended.count).toBe(1);
    expectClose(tag.ended.metrics, [2, 0.5, 0.5], 1e-12);
  });
});

describe("simple_adversary", () => {
  it("follows the golden trajectory", async () => {
    const environment = await create("mpe/simple_adversary");
    inject(environment, { position: [0.3, -0.2, -0.4, 0.6, 0.8, 0.1, -0.5, -0.5, 0.25, 0.75], goal: [1] });
    step(environment, 4, 2, 1);
    step(environment, 2, 0, 3);
    expectClose(rewards(environment), [-0.9013878189, 0.282921975, 0.282921975]);
    const seen = [0.6, 0.15, -0.15, -1.1, 0.6, 0.15, 0.65, -0.75, 1.1, -0.5];
    expectClose(environment.groups[1].obs.slice(0, 10), seen, 1e-7);
  });

  it("reports distances to the goal and occupied landmarks", async () => {
    const environment = await create("mpe/simple_adversary", { maxCycles: 1 });
    // One good agent within 0.16 of the first landmark, none near the second.
    inject(environment, { position: [0, 2, 0, 0.15, 1, 1, 0, 0, 1, 0.8], goal: [1] });
    step(environment, 0, 0, 0);
    expectClose(environment.ended.metrics, [Math.hypot(1, 1.2), 0.2, 1], 1e-12);
  });
});

describe("simple_push", () => {
  it("follows the golden trajectory", async () => {
    const environment = await create("mpe/simple_push");
    inject(environment, { position: [0.1, 0.1, 0.18, 0.12, 0.3, 0.3, -0.6, 0.2], goal: [0] });
    step(environment, 2, 2);
    expectClose(rewards(environment), [-0.06650963595, -0.2163330765]);
    step(environment, 4, 0);
    expectClose(rewards(environment), [-0.08028321023, -0.1835600719]);
    expectClose(numbers(environment, "velocity").slice(2), [0.6727493757, 0.07443734392]);
    expect([...environment.state]).toEqual([...environment.groups[0].obs, ...environment.groups[1].obs]);
  });

  it("shows the agent its colour and those of the landmarks", async () => {
    const environment = await create("mpe/simple_push");
    inject(environment, { goal: [1] });
    expectClose(environment.groups[1].obs.slice(4, 7), [0.25, 0.25, 0.75], 1e-7);
    expectClose(environment.groups[1].obs.slice(11, 17), [0.1, 0.9, 0.1, 0.1, 0.1, 0.9], 1e-7);
  });
});

describe("simple_reference", () => {
  const position = [0.9, 0.9, -0.3, 0.4, 0.5, 0.5, -0.5, -0.5, 0.1, -0.8];

  it("follows the golden trajectory", async () => {
    const environment = await create("mpe/simple_reference");
    inject(environment, { position, goal: [2, 0] });
    step(environment, 16, 49);
    expectClose(rewards(environment), [-1.090104654, -0.7404918347]);
    step(environment, 3, 12);
    expectClose(rewards(environment), [-1.117207179, -0.7267405867]);
    const seen = [-0.375, -0.5, -0.35, -0.4, -1.35, -1.4, -0.75, -1.7, 0.25, 0.25, 0.75, 0, 0, 1];
    expectClose(environment.groups[0].obs.slice(0, 21), [...seen, 0, 0, 0, 0, 0, 0, 0], 1e-7);
  });

  it("names its fifty actions as it takes them", async () => {
    const environment = await create("mpe/simple_reference");
    const { actionNames } = environment.spec.groups[0];
    step(environment, actionNames!.indexOf("up and says H"), actionNames!.indexOf("left and says A"));
    expect(environment.frame!(0).captions).toEqual(["agent_0 says H", "agent_1 says A"]);
    expectClose(numbers(environment, "velocity"), [0, 0.5, -0.5, 0], 1e-12);
  });
});

describe("simple_crypto", () => {
  it("follows the golden rewards", async () => {
    const environment = await create("mpe/simple_crypto");
    inject(environment, { goal: [1], key: [0] });
    step(environment, 0, 1, 3);
    expect(rewards(environment)).toEqual([-2, 2, 2]);
    step(environment, 1, 2, 0);
    expect(rewards(environment)).toEqual([0, -2, -2]);
    expect(environment.groups.map(({ obs }) => [...obs])).toEqual([
      [1, 0, 0, 0],
      [1, 0, 0, 0, 1, 0, 0, 0],
      [0, 1, 0, 0, 1, 0, 0, 0],
    ]);
  });

  it("counts right guesses, and silence as no guess", async () => {
    const environment = await create("mpe/simple_crypto", { continuousActions: true, maxCycles: 2 });
    inject(environment, { goal: [1], key: [0] });
    step(environment, ...[0, 0, 0, 0], ...[0.5, 0.75, 0, 0], ...[1, 1, 1, 1]);
    expectClose(rewards(environment), [0, -0.3125, -0.3125], 1e-12);
    step(environment, ...[0, 1, 0, 0], ...[1, 0, 0, 0], ...[0, 0, 0, 0]);
    expectClose(rewards(environment), [0, -2, -2], 1e-12);
    expect([...environment.ended.metrics]).toEqual([0.5, 0.5]);
  });
});

describe("simple_world_comm", () => {
  const agents = [-0.5, 0, 0.1, 0.05, 0.95, -0.95, 0.4, 0.5, 0.2, 0.1, -0.7, -0.6];
  const landmarks = [-0.6, 0.2, 0.22, 0.12, 0.7, 0.7, 0.35, 0.35, -0.75, -0.7];

  it("follows the golden step", async () => {
    const environment = await create("mpe/simple_world_comm");
    inject(environment, { position: [...agents, ...landmarks] });
    step(environment, 12, 1, 0, 3, 2, 4);
    expectClose(
      rewards(environment),
      [4.936754447, 4.98881966, 4.870965121, 4.95527864, -3.001414214, -0.05841232747],
    );
    expectClose(
      environment.groups[1].obs.slice(68),
      [
        ...[0, -0.3, 0.4, 0.5, -1, -0.3, -0.18, -0.38, 0.3, 0.2, -0.05, -0.15, -1.15, -1.2],
        ...[0, 0, 0, 0, 0, 0, -0.2, -0.4, 0, 0, 0.4733150938, 0.0366575469, 0, 0, 1, -1, 0, 0, 1, 0],
      ],
      1e-7,
    );
  });

  it("is led by the leader alone where there is no other adversary", async () => {
    const environment = await create("mpe/simple_world_comm", { adversaries: 1 });
    expect(environment.spec.groups.map((g) => [g.name, g.agents.length])).toEqual([
      ["leader", 1],
      ["agents", 2],
    ]);
  });

  it("counts captures, meals and hiding in its metrics", async () => {
    const environment = await create("mpe/simple_world_comm", { maxCycles: 2, contactForce: 0 });
    const apart = [5, 5, 5, -5, -5, 5];
    // One good agent between two pieces of food and in a forest, the other in the open beside the leader.
    const position = [2, 2, ...apart, 0, 0, 2.1, 2, 9, 9, 0.05, 0, -0.05, 0, 0, 0.3, -9, -9];
    inject(environment, { position });
    step(environment, 0, 0, 0, 0, 0, 0);
    step(environment, 0, 0, 0, 0, 0, 0);
    expectClose(environment.ended.metrics, [2, 4, 0.5], 1e-12);
  });
});

describe("independent_spread", () => {
  // Positions, and the reward of each term, computed by hand.
  const position = [0, 0, 0.2, 0.1, -0.5, 0.5, 0.1, 0.1, -0.6, 0.4, 0.7, -0.7];

  it("rewards and shows what the paper says", async () => {
    const environment = await create("mpe/independent_spread");
    inject(environment, { position });
    expectClose(environment.groups[0].obs.slice(0, 8), [0, 0, 0.1, 0.1, 0.2, 0.1, -0.5, 0.5], 1e-7);
    step(environment, 0, 0, 0);
    expectClose(rewards(environment), [-10.14142136, -10.85440037, -1.697056275], 6e-9);
  });

  it("counts every agent touched, or all together once", async () => {
    const touching = [0, 0, 0.1, 0, 0, 0.1, 0, 0, 0.1, 0, 0, 0.1];
    for (const [penalty, cost] of [
      ["count", 8],
      ["any", 4],
    ] as const) {
      const environment = await create("mpe/independent_spread", { penalty, collisionPenalty: 4 });
      inject(environment, { position: touching });
      step(environment, 0, 0, 0);
      expectClose(rewards(environment), [-cost, -cost, -cost], 1e-12);
    }
  });

  it("moves as simple_spread does, to the last bit", async () => {
    const ours = await create("mpe/independent_spread", { maxCycles: 25 });
    const spread = await create("mpe/simple_spread");
    for (const environment of [ours, spread]) inject(environment, { position });
    for (let t = 0; t < 24; t++) {
      for (const environment of [ours, spread]) step(environment, t % 5, (2 * t) % 5, (3 * t + 1) % 5);
      expect(numbers(ours, "position")).toEqual(numbers(spread, "position"));
      expect(numbers(ours, "velocity")).toEqual(numbers(spread, "velocity"));
    }
  });

  it("puts the velocity first where it is asked for", async () => {
    const environment = await create("mpe/independent_spread", { includeVelocity: true });
    inject(environment, { position, velocity: [1, -2, 0, 0, 0, 0] });
    expectClose(environment.groups[0].obs.slice(0, 4), [1, -2, 0, 0], 1e-7);
    expect(environment.spec.groups[0].obsSize).toBe(10);
  });

  it("reports the mean distance to the own landmark, and collisions", async () => {
    const environment = await create("mpe/independent_spread", { maxCycles: 1 });
    inject(environment, { position });
    step(environment, 0, 0, 0);
    const distances = [Math.hypot(0.1, 0.1), Math.hypot(0.8, 0.3), Math.hypot(1.2, 1.2)];
    expectClose(environment.ended.metrics, [distances.reduce((a, b) => a + b) / 3, 1], 1e-12);
  });
});
