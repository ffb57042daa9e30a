/**
 * The bridge against real PettingZoo environments: node test/parity/pettingzoo.mjs PYTHON > test/parity/pettingzoo.txt
 *
 * PYTHON has the packages of test/parity/record/requirements.txt. Needs the compiled program (npm run build). Also
 * records the messages that test/bridge/recorded.test.ts plays back. Exits with 1 if anything differs.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { pettingZoo, pettingZooBridge } from "phalanx/bridge";
import { RandomStream } from "phalanx/core";
import { checkEnvironment, completeParameters, sampleActions } from "phalanx/env";
import { createEnvironment } from "phalanx/envs";

const [python = "python3"] = process.argv.slice(2);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-parity-"));
let failures = 0;
const report = (name, ok, rest) => {
  if (!ok) failures++;
  console.log(`${ok ? "ok  " : "FAIL"}  ${name}: ${rest}`);
};
const make = (module, parameters, copies, definition = pettingZoo) =>
  definition.create(completeParameters(definition, { module, parameters, python }), { copies });

/** Plays two copies through a proxy that keeps the messages, and the same seeds and actions without the bridge. */
async function compare(module, parameters, steps, fixture) {
  const log = path.join(folder, "frames.json");
  const server = fileURLToPath(new URL("../../bridge/pettingzoo_server.py", import.meta.url));
  const proxy = pettingZooBridge((command) => ({
    command: process.execPath,
    args: [here("record/bridge-proxy.mjs"), log, command, server],
  }));
  const environment = await make(module, parameters, 2, proxy);
  const { spec, groups } = environment;
  const stream = RandomStream.from(0, "parity");
  environment.reset(7);
  /** per copy, its episodes: what was seen, paid and done */
  const copies = [0, 1].map((e) => [[{ obs: shown(groups, spec, e) }]]);
  for (let t = 0; t < steps; t++) {
    sampleActions(environment, stream);
    const actions = [0, 1].map((e) => actionsOf(groups, spec, e));
    environment.step();
    for (const e of [0, 1]) {
      const row = [...environment.ended.copies.subarray(0, environment.ended.count)].indexOf(e);
      const obs =
        row < 0
          ? shown(groups, spec, e)
          : shown(
              environment.ended.obs.map((o) => ({ obs: o })),
              spec,
              row,
            );
      const step = { actions: actions[e], obs, rewards: rewardsOf(groups, spec, e), over: row >= 0 };
      copies[e].at(-1).push(step);
      if (row >= 0) copies[e].push([{ obs: shown(groups, spec, e) }]);
    }
  }
  environment.close();
  const frames = JSON.parse(fs.readFileSync(log, "utf8"));
  const resets = frames.filter((f) => f.in[0] === "R").map((f) => Buffer.from(f.in.slice(1), "base64"));
  const seeds = [0, 1].map((e) =>
    resets.filter((r) => r.readUInt32LE(0) === e).map((r) => r.readUInt32LE(4)),
  );
  const episodes = copies.flatMap((list, e) =>
    list.map((taken, k) => ({ taken, seed: seeds[e][k], actions: taken.slice(1).map((s) => s.actions) })),
  );
  const direct = JSON.parse(
    spawnSync(python, [here("record/pettingzoo_direct.py")], {
      input: JSON.stringify({
        module,
        parameters,
        episodes: episodes.map(({ seed, actions }) => ({ seed, actions })),
      }),
      encoding: "utf8",
      maxBuffer: 2 ** 30,
    }).stdout,
  );
  let different = 0;
  let numbers = 0;
  const expectEqual = (a, b) => {
    numbers++;
    if (!Object.is(a + 0, b + 0)) different++;
  };
  for (const [k, { taken }] of episodes.entries()) {
    expectEqual(direct[k].length, taken.length);
    for (const [t, step] of taken.entries()) {
      const original = direct[k][t];
      for (const [agent, obs] of Object.entries(step.obs)) {
        // Agents that have died show nothing, and at their last step of a running episode no more either.
        const seen = original.obs[agent];
        const dead = original.terminations?.[agent] || original.truncations?.[agent];
        const expected = seen === undefined || (dead && !step.over) ? obs.map(() => 0) : seen;
        for (const [i, x] of obs.entries()) expectEqual(x, expected[i]);
      }
      if (t > 0)
        for (const [agent, r] of Object.entries(step.rewards)) expectEqual(r, original.rewards[agent] ?? 0);
      if (t > 0) {
        const ends = Object.keys(original.terminations).every(
          (a) => original.terminations[a] || original.truncations[a],
        );
        expectEqual(Number(step.over), Number(ends));
      }
    }
  }
  const ended = episodes.length - 2;
  report(
    module,
    different === 0 && numbers > 0,
    `${steps} steps of 2 copies, ${ended} episode ends: ${numbers} numbers, ${different} differ from the environment without the bridge (exact)`,
  );
  if (fixture) {
    const kept = {
      module,
      parameters,
      versions: spec.versions,
      frames,
      direct: episodes.map(({ seed, taken }, k) => ({
        seed,
        actions: taken.slice(1).map((s) => s.actions),
        steps: direct[k],
      })),
    };
    // The messages name the program that recorded them nowhere; the file is the same every time.
    fs.writeFileSync(here(`fixtures/pettingzoo/${fixture}.json`), `${JSON.stringify(kept)}\n`);
  }
}

const each = (spec, read) =>
  Object.fromEntries(
    spec.groups.flatMap((group, g) => group.agents.map((agent, i) => [agent, read(group, g, i)])),
  );
const shown = (arrays, spec, e) =>
  each(spec, ({ agents, obsSize }, g, i) => {
    const start = (e * agents.length + i) * obsSize;
    return [...arrays[g].obs.subarray(start, start + obsSize)];
  });
const rewardsOf = (arrays, spec, e) =>
  each(spec, ({ agents }, g, i) => arrays[g].reward[e * agents.length + i]);
const actionsOf = (arrays, spec, e) =>
  each(spec, ({ agents, action }, g, i) => {
    const row = e * agents.length + i;
    if (action.kind === "discrete") return arrays[g].action[row];
    const size = action.kind === "box" ? action.low.length : action.sizes.length;
    return [...arrays[g].action.subarray(row * size, (row + 1) * size)];
  });

/** The original through the bridge, and our own spread from the same states with the same actions. */
async function compareWithOurs(episodes) {
  const theirs = await make("mpe2.simple_spread_v3", {}, 1);
  const ours = await createEnvironment("mpe/simple_spread", {}, { copies: 1 });
  const stream = RandomStream.from(1, "parity");
  let worst = 0;
  let steps = 0;
  theirs.reset(3);
  for (let k = 0; k < episodes; k++) {
    ours.reset(k);
    const { obs } = theirs.groups[0];
    const state = ours.saveState();
    // velocity, position, landmarks and others relative to oneself
    const agents = [0, 1, 2].map((i) => [obs[i * 18 + 2], obs[i * 18 + 3]]);
    const landmarks = [0, 1, 2].map((j) => [0, 1].map((d) => obs[4 + 2 * j + d] + obs[2 + d]));
    const positions = [...agents, ...landmarks].flat();
    if (state.landmarks) {
      state.position.data.set(agents.flat());
      state.landmarks.data.set(landmarks.flat());
    } else state.position.data.set(positions);
    state.velocity.data.fill(0);
    ours.loadState(state);
    do {
      sampleActions(theirs, stream);
      ours.groups[0].action.set(theirs.groups[0].action);
      theirs.step();
      ours.step();
      steps++;
      for (const i of [0, 1, 2])
        worst = Math.max(worst, Math.abs(theirs.groups[0].reward[i] - ours.groups[0].reward[i]));
    } while (theirs.truncated[0] === 0);
    if (ours.truncated[0] !== 1) worst = Number.POSITIVE_INFINITY;
  }
  theirs.close();
  // Start states come out of float32 observations (6e-8); contacts are stiff and let that grow.
  report(
    "mpe2.simple_spread_v3 and mpe/simple_spread_v3",
    worst < 1e-5,
    `${steps} steps, greatest difference of a reward ${worst.toExponential(1)} (tolerance 1e-5: start states are read from float32 observations)`,
  );
}

async function speed(module, copies) {
  const environment = await make(module, {}, copies);
  environment.reset(0);
  const stream = RandomStream.from(0, "speed");
  const started = performance.now();
  let steps = 0;
  while (performance.now() - started < 3000) {
    sampleActions(environment, stream);
    environment.step();
    steps += copies;
  }
  environment.close();
  return Math.round(steps / ((performance.now() - started) / 1000));
}

const probe = await make("mpe2.simple_spread_v3", {}, 1);
probe.close();
console.log(
  Object.entries(probe.spec.versions)
    .map((v) => v.join(" "))
    .join(", "),
);

console.log("\nThe same numbers as without the bridge");
await compare("mpe2.simple_speaker_listener_v4", { max_cycles: 6 }, 15, "speaker-listener");
await compare("mpe2.simple_tag_v3", { continuous_actions: true, max_cycles: 5 }, 12, "tag-continuous");
await compare("mpe2.simple_world_comm_v3", {}, 60);
await compare("pettingzoo.sisl.pursuit_v5", { max_cycles: 30 }, 70);
await compare("pettingzoo.butterfly.knights_archers_zombies_v11", { max_cycles: 400 }, 600);
await compare("pettingzoo.classic.rps_v2", { max_cycles: 10 }, 25, "rock-paper-scissors");

console.log("\nThe same rewards as our own");
await compareWithOurs(40);

console.log("\nThe conformance suite");
for (const [module, parameters] of [
  ["mpe2.simple_spread_v3", {}],
  ["mpe2.simple_tag_v3", { continuous_actions: true }],
  ["mpe2.simple_crypto_v3", {}],
  ["pettingzoo.sisl.pursuit_v5", { max_cycles: 20 }],
  ["pettingzoo.classic.rps_v2", {}],
]) {
  const findings = await checkEnvironment(pettingZoo, { module, parameters, python }, { steps: 60 });
  report(
    module,
    findings.length === 0,
    findings.length === 0 ? "keeps every rule" : findings.map((f) => `${f.rule}: ${f.message}`).join(" "),
  );
}

console.log("\nSpeed, environment steps a second, random actions");
for (const copies of [1, 32])
  console.log(
    `      mpe2.simple_spread_v3, ${copies} ${copies === 1 ? "copy" : "copies"}: ${await speed("mpe2.simple_spread_v3", copies)}`,
  );

fs.rmSync(folder, { recursive: true });
process.exitCode = failures === 0 ? 0 : 1;
