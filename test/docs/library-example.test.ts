import { expect, test } from "vitest";
import { bestResponse, evaluate } from "../../src/attacks/index.js";
import { plain } from "../../src/defenses/index.js";
import { createEnvironment } from "../../src/envs/index.js";
import { ppoOptions } from "../../src/learners/index.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";
import { threatSchema } from "../../src/threats/index.js";

const mean = (x: Float64Array) => x.reduce((a, b) => a + b, 0) / x.length;

// The README's program; docs.test.ts holds the two together.
test("the README's library example trains, attacks and evaluates", async () => {
  const runtime = new Runtime(nodeBackend());
  const world = (copies: number) => createEnvironment("mpe/simple_speaker_listener", {}, { copies });
  const options = ppoOptions.parse({
    sharing: "separate",
    copies: 32,
    rolloutSteps: 25,
    epochs: 8,
    minibatches: 4,
  });
  const context = { runtime, createEnvironment: world, seed: 0, steps: 40_000 };

  const training = await plain.start(
    { ...context, learner: { name: "ppo", options }, threat: null, ignore: {} },
    {},
  );
  while (training.iteration < training.iterations) training.step();
  const team = training.team();

  const threat = threatSchema.parse({ channel: "control", agents: ["speaker_0"] });
  const attack = await bestResponse.start({ ...context, team, threat }, options);
  while (attack.iteration < attack.iterations) attack.step();

  const setting = {
    runtime,
    createEnvironment: world,
    team,
    episodes: 200,
    seed: 1,
    labels: { team: "plain", adversary: "" },
  };
  const clean = await evaluate({ ...setting, adversary: null, threat: null });
  const attacked = await evaluate({ ...setting, adversary: attack.adversary(), threat });

  const random = await evaluate({ ...setting, team: "uniform", adversary: null, threat: null });
  expect(mean(clean.returns)).toBeGreaterThan(mean(random.returns) + 10);
  expect(attacked.returns.length).toBe(200);
  expect(attacked.controlledShare).toBe(1);
});
