import { describe, expect, it } from "vitest";
import { create, expectClose, inject, numbers } from "../../../test/support/particles.js";
import { RandomStream } from "../../core/random.js";
import { sampleActions } from "../../env/spaces.js";
import { createEnvironment, environments } from "../registry.js";

// Golden values: MPE2 1.1.0 run in float64, printed to 10 significant digits.
const start = [0, 0, 0.2, 0.1, -0.5, 0.5, 0.1, 0.1, -0.6, 0.4, 0.7, -0.7];

describe("simple_spread", () => {
  it("follows the golden discrete trajectory", async () => {
    const spread = await create("mpe/simple_spread");
    inject(spread, { position: start });
    const rows = [
      [2, 1, 3],
      [4, 0, 1],
      [2, 2, 4],
    ];
    const rewards = [
      [-1.092409735, -1.092409735, -0.5924097347],
      [-1.099104016, -1.099104016, -0.599104016],
      [-0.6260340947, -0.6260340947, -0.6260340947],
    ];
    const velocities = [
      [-0.183281573, -0.3416407865, 0.183281573, 0.3416407865, 0, -0.5],
      [-0.8207427527, -0.09787137637, 0.8207427527, 0.5978713764, -0.5, -0.375],
      [-0.193669081, -0.1289628011, 1.193669081, 0.5039628011, -0.375, 0.21875],
    ];
    rows.forEach((row, t) => {
      spread.groups[0].action.set(row);
      spread.step();
      expectClose(spread.groups[0].reward, rewards[t]);
      expectClose(numbers(spread, "velocity"), velocities[t]);
    });
    expectClose(
      numbers(spread, "position").slice(0, 6),
      [-0.1004024326, -0.04395121629, 0.3004024326, 0.1939512163, -0.55, 0.4125],
    );
  });

  it("follows the golden continuous trajectory", async () => {
    const spread = await create("mpe/simple_spread", { continuousActions: true });
    inject(spread, { position: start });
    spread.groups[0].action.set([0, 0.25, 1, 0, 0.5, 0.9, 1, 0, 0.75, 0, 0, 0, 0, 0, 0]);
    spread.step();
    spread.groups[0].action.set([0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0.5, 0, 0, 0.25]);
    spread.step();
    expectClose(spread.groups[0].reward, [-1.095376893, -1.095376893, -0.5953768933]);
    const velocity = [-0.9144927527, -0.9103713764, 0.8207427527, 0.3166213764, -0.25, 0.125];
    expectClose(numbers(spread, "velocity"), velocity);
  });

  it("follows the golden trajectory of the older integration", async () => {
    const spread = await create("mpe/simple_spread", { integration: "velocityFirst" });
    inject(spread, { position: start });
    for (const row of [
      [2, 1, 3],
      [4, 0, 1],
      [2, 2, 4],
    ]) {
      spread.groups[0].action.set(row);
      spread.step();
    }
    expectClose(
      numbers(spread, "position").slice(0, 6),
      [-0.0060534666, -0.0012273039, 0.3060534666, 0.1887273039, -0.5875, 0.434375],
    );
    expectClose(
      numbers(spread, "velocity"),
      [0.3383201029, 0.141157606, 0.6616798971, 0.233842394, -0.375, 0.21875],
    );
  });

  it("draws bodies at their scale, or equally large in every picture", async () => {
    const radii = async (dynamicRescaling: boolean, far: number) => {
      const spread = await create("mpe/simple_spread", { agents: 1, dynamicRescaling });
      inject(spread, { position: [-far, 0, 0, far / 2] });
      return spread.frame!(0).shapes.map((shape) => (shape.kind === "circle" ? shape.radius : Number.NaN));
    };
    expectClose(await radii(true, 9), [0.05, 0.15], 1e-15);
    expectClose(await radii(false, 0.9), [0.05, 0.15], 1e-15);
    expectClose(await radii(false, 9), [0.5, 1.5], 1e-15);
  });

  it("pushes nobody when two centres coincide", async () => {
    const spread = await create("mpe/simple_spread", { agents: 2 });
    inject(spread, { position: [0, 0, 0, 0, 1, 1, -1, -1] });
    spread.step();
    expect(numbers(spread, "velocity")).toEqual([0, 0, 0, 0]);
  });

  it("moves an agent one step after its action, and settles at 0.4 times the gain", async () => {
    const spread = await create("mpe/simple_spread", { agents: 1, maxCycles: 200 });
    const before = numbers(spread, "position");
    spread.groups[0].action.set([2]);
    spread.step();
    expect(numbers(spread, "position")).toEqual(before);
    for (let t = 0; t < 150; t++) spread.step();
    expectClose(numbers(spread, "velocity"), [2, 0], 1e-9);
  });

  it("respects a speed limit", async () => {
    const spread = await create("mpe/simple_spread", { agents: 1, maxSpeed: 0.3 });
    spread.groups[0].action.set([2]);
    for (let t = 0; t < 5; t++) spread.step();
    expectClose(numbers(spread, "velocity"), [0.3, 0], 1e-12);
  });

  it("reports collisions, covered landmarks and distance of an ended episode", async () => {
    const spread = await create("mpe/simple_spread", { agents: 2, maxCycles: 2, contactForce: 0 });
    inject(spread, { position: [0, 0, 0.1, 0, 0, 0.05, 0.1, 0.5], velocity: [0, 0, 0, 0] });
    spread.groups[0].action.fill(0);
    spread.step();
    expect(spread.ended.count).toBe(0);
    spread.step();
    expect(spread.ended.count).toBe(1);
    expectClose(spread.ended.metrics, [2, 1, 0.55], 1e-12);
  });
});

describe("simple_speaker_listener", () => {
  it("follows the golden trajectory", async () => {
    const environment = await create("mpe/simple_speaker_listener");
    const position = [0.9, 0.9, -0.3, 0.4, 0.5, 0.5, -0.5, -0.5, 0.1, -0.8];
    inject(environment, { position, goal: [2] });
    const [speaker, listener] = environment.groups;
    const say = (word: number, move: number) => {
      speaker.action[0] = word;
      listener.action[0] = move;
      environment.step();
    };
    say(2, 3);
    expectClose(speaker.reward, [-1.6], 1e-12);
    say(1, 2);
    expectClose(listener.reward, [-1.4825], 1e-12);
    expectClose(listener.obs, [0.5, -0.375, 0.8, 0.15, -0.2, -0.85, 0.4, -1.15, 0, 1, 0], 1e-7);
    expectClose(speaker.obs, [0.15, 0.15, 0.65], 1e-7);
    expect([...environment.state]).toEqual([...speaker.obs, ...listener.obs]);
  });

  it("draws who is who, the goal and the last word", async () => {
    const environment = await create("mpe/simple_speaker_listener");
    inject(environment, { goal: [2] });
    const before = environment.frame!(0);
    expect(before.captions).toEqual(["speaker_0 has said nothing yet"]);
    environment.groups[0].action[0] = 1;
    environment.step();
    const after = environment.frame!(0);
    expect(after.captions).toEqual(["speaker_0 says B"]);
    const circles = after.shapes.filter((shape) => shape.kind === "circle");
    expect(circles.map((c) => [c.role, c.label ?? c.agent])).toEqual([
      ["landmark", "A"],
      ["landmark", "B"],
      ["goal", "C"],
      ["agent", "speaker_0"],
      ["agent", "listener_0"],
    ]);
  });
});

describe("the registry", () => {
  it("knows a name without version as the newest", () => {
    expect(environments.get("mpe/simple_spread").id).toBe("mpe/simple_spread_v3");
    expect(environments.has("mpe/simple_speaker_listener")).toBe(true);
  });

  it("suggests the nearest name", async () => {
    await expect(create("mpe/simple_spred_v3")).rejects.toThrow(
      'unknown environment "mpe/simple_spred_v3". Did you mean "mpe/simple_spread_v3"?',
    );
  });

  it("says what is wrong with a parameter in one sentence", async () => {
    await expect(create("mpe/simple_spread", { agnts: 3 })).rejects.toThrow(
      'mpe/simple_spread_v3, parameter "agnts": unknown key. Did you mean "agents"?',
    );
    await expect(create("mpe/simple_spread", { agents: -1 })).rejects.toThrow(
      'mpe/simple_spread_v3, parameter "agents": got -1, expected a number ≥ 1.',
    );
    await expect(create("mpe/simple_spread", { agents: 2.5 })).rejects.toThrow(
      "got 2.5, expected an integer",
    );
    await expect(create("mpe/simple_spread", { localRatio: "half" })).rejects.toThrow(
      'got "half", expected a number',
    );
    await expect(create("mpe/simple_spread", { maxSpeed: -1 })).rejects.toThrow(
      "got -1, expected a number > 0",
    );
    await expect(create("mpe/simple_spread", { curriculumStage: 2 })).rejects.toThrow(
      "got 2, expected one of 0, 1",
    );
  });
});

describe("random play", () => {
  it("is reproducible and finite with continuous actions and neighbour limits", async () => {
    const parameters = { continuousActions: true, agentNeighbors: 1, landmarkNeighbors: 4 };
    const environment = await createEnvironment("mpe/simple_spread", parameters, { copies: 5 });
    environment.reset(3);
    const stream = RandomStream.from(0, "actions");
    for (let t = 0; t < 60; t++) {
      sampleActions(environment, stream);
      environment.step();
      expect(environment.groups[0].obs.every(Number.isFinite)).toBe(true);
    }
  });
});
