import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attackCommand } from "../../src/cli/attack.js";
import { UserError } from "../../src/core/errors.js";
import { dist, ensureBuilt } from "./built.js";

const main = path.join(dist, "cli", "main.js");
const fixtures = fileURLToPath(new URL("./fixtures", import.meta.url));

let dir: string;
beforeAll(() => {
  ensureBuilt();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-attack-"));
  for (const name of ["spread_mlp.onnx", "spread_gru.onnx"])
    fs.copyFileSync(path.join(fixtures, name), path.join(dir, name));
});
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

function phalanx(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: dir,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const attack = (...args: string[]) => phalanx("attack", ...args);

/** Numbers of the line that begins with a column's name: mean, low, high, seeds. */
function line(stdout: string, column: string): number[] {
  const found = stdout.split("\n").find((text) => text.startsWith(`${column} `));
  return [...(found ?? "").slice(column.length).matchAll(/[−]?\d+\.\d+/g)].map(([text]) =>
    Number(text.replace("−", "-")),
  );
}

const folderOf = (kind: string, root: string, start: string) => {
  const name = fs.readdirSync(path.join(dir, root, kind)).find((n) => n.startsWith(start))!;
  return path.join(dir, root, kind, name);
};
const cellOf = (root: string, start: string) =>
  JSON.parse(fs.readFileSync(path.join(folderOf("cells", root, start), "cell.json"), "utf8"));

const SPREAD = ["--env", "mpe/simple_spread"];
const SMALL = ["--seeds", "3", "--episodes", "30"];

describe("phalanx attack", () => {
  it("prints what a PyTorch policy gets clean, under noise and attacked, and writes the report", () => {
    const { status, stdout, stderr } = attack("spread_mlp.onnx", ...SPREAD, ...SMALL);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toContain("spread_mlp.onnx: 2,825 weights, logits, sampled, in mpe/simple_spread_v3\n");
    expect(stdout).toContain("threat: observations of every agent, ℓ∞ ≤ 0.1\n");
    const [clean, random, pgd] = ["clean", "random", "pgd"].map((name) => line(stdout, name));
    for (const numbers of [clean!, random!, pgd!]) {
      const [mean, low, high, ...seeds] = numbers;
      expect(seeds).toHaveLength(3);
      expect(mean!).toBeCloseTo(seeds.reduce((a, b) => a + b) / 3, 1);
      expect(low!).toBeLessThan(mean!);
      expect(high!).toBeGreaterThan(mean!);
    }
    // Imitating a sensible team gives about −11.5, random play −25; an attack is worth more than noise.
    expect(clean![0]).toBeGreaterThan(-14);
    expect(pgd![0]).toBeLessThan(clean![0]! - 1.5);
    expect(pgd![0]).toBeLessThan(random![0]! - 1);
    expect(stdout).toContain("The strongest attack, pgd, costs the spread_mlp team");
    const report = path.join("runs", "attack-spread-mlp", "report.html");
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(`Report: ${report}`);
    const html = fs.readFileSync(path.join(dir, report), "utf8");
    expect(html).toContain("How much does spread_mlp.onnx lose under this threat?");
    // Films of the same episode, undisturbed and attacked, side by side.
    const [films] = /(?<=data-phx="films">)[^<]+/.exec(html)!;
    const shown = (JSON.parse(films) as { adversary: string; seed: number; copy: number }[]).map(
      (f) => `${f.adversary}/${f.seed}/${f.copy}`,
    );
    expect(shown).toEqual(expect.arrayContaining(["clean/0/0", "pgd/0/0", "clean/0/1", "pgd/0/1"]));
    const panels = [...html.matchAll(/<noscript><b>([^<]+)<\/b> · ([^<]+)<\/noscript>/g)].map(([, , a]) => a);
    expect(panels[0]).toBe("clean");
    expect(panels[1]).not.toBe("clean");
  });

  it("goes on instead of starting over, and what it wrote is an experiment like any other", () => {
    const root = path.join("runs", "attack-spread-mlp");
    const again = attack("spread_mlp.onnx", ...SPREAD, ...SMALL);
    expect(again.stdout).toContain("0 of 13 runs and evaluations to do");
    const run = phalanx("run", path.join(root, "experiment.yaml"), "--out", root);
    expect(run.stderr).toBe("");
    expect(run.stdout).toContain("0 of 13 runs and evaluations to do");
    const evaluated = phalanx(
      ...["evaluate", folderOf("teams", root, "spread-mlp-"), "--seed", "0", "--episodes", "30"],
      ...["--threat", "threat", "--attack", "pgd", "--json"],
    );
    expect(JSON.parse(evaluated.stdout).episodeReturns).toEqual(
      cellOf(root, "spread-mlp-vs-pgd-s0-").episodeReturns,
    );
  });

  it("attacks a recurrent policy through what it carries, several attacks at once", () => {
    const { status, stdout } = attack(
      ...["spread_gru.onnx", ...SPREAD, ...SMALL, "--epsilon", "0.2", "--films", "0", "--out", "gru"],
      ...["--attack", "fgsm", "--attack", "{name: pgd, iterations: 3}"],
    );
    expect(status).toBe(0);
    expect(stdout).toContain("weights, q-values, recurrent, greedy,");
    const [clean] = line(stdout, "clean");
    expect(clean).toBeGreaterThan(-14);
    for (const name of ["fgsm", "pgd"]) expect(line(stdout, name)[0]).toBeLessThan(clean! - 1.5);
    expect(cellOf("gru", "spread-gru-vs-pgd-s0-")).toMatchObject({
      threatText: "observations of every agent, ℓ∞ ≤ 0.2",
      effort: { gradientsPerDecision: 3 },
    });
  });

  it("needs no option for a policy of ours, and gives the return of its training's own evaluation", () => {
    fs.writeFileSync(
      path.join(dir, "own.yaml"),
      `name: own
environment: { id: mpe/simple_spread, agents: 2 }
seeds: [0]
training: { steps: 800, learner: { name: ppo, copies: 16, rolloutSteps: 25, epochs: 2, minibatches: 1, hidden: [8] } }
teams: { plain: {} }
evaluation: { episodes: 8, films: 0 }
`,
    );
    expect(phalanx("run", "own.yaml", "--out", "own").status).toBe(0);
    fs.copyFileSync(
      path.join(folderOf("teams", "own", "plain-s0"), "policy.onnx"),
      path.join(dir, "mine.onnx"),
    );
    const { status, stdout, stderr } = attack(
      ...["mine.onnx", "--seeds", "0,4", "--episodes", "8", "--attack-option", "iterations=2", "--json"],
    );
    expect(status).toBe(0);
    expect(stderr).toContain("Report: ");
    const data = JSON.parse(stdout);
    expect(data.matrix.seeds).toEqual([0, 4]);
    expect(data.versions).toContainEqual({ name: "environment", value: "mpe/simple_spread_v3" });
    expect(Object.keys(cellOf("own", "plain-vs-clean-s0").agentReturns)).toHaveLength(2);
    const attacked = path.join("runs", "attack-mine");
    expect(cellOf(attacked, "mine-vs-clean-s0-").episodeReturns).toEqual(
      cellOf("own", "plain-vs-clean-s0-").episodeReturns,
    );
  });

  it("trains an attack that learns, and always plays the likeliest action where asked to", () => {
    const { status, stdout } = attack(
      ...["spread_mlp.onnx", ...SPREAD, "--seeds", "2", "--episodes", "8", "--mode", "greedy"],
      ...["--threat", "channel=control", "--threat", "agents=[agent_1]", "--threat", "epsilon=0.5"],
      ...["--steps", "800", "--attack-option", "copies=16", "--attack-option", "rolloutSteps=25"],
      ...["--films", "1", "--out", "control"],
    );
    expect(status).toBe(0);
    expect(stdout).toContain("logits, greedy,");
    expect(stdout).toContain("threat: control of agent_1, ε = 0.5\n");
    expect(stdout).toContain("effort of best-response: 800 environment steps");
    // Without chance of its own, the team's episodes differ by their start alone.
    const { episodeReturns } = cellOf("control", "spread-mlp-vs-clean-s0-");
    const again = phalanx(
      ...[
        "evaluate",
        folderOf("teams", "control", "spread-mlp-"),
        "--seed",
        "0",
        "--episodes",
        "8",
        "--json",
      ],
    );
    expect(JSON.parse(again.stdout).episodeReturns).toEqual(episodeReturns);
  });

  it("plays several groups with a file each, and reads a threat from a file", () => {
    fs.writeFileSync(
      path.join(dir, "threat.yaml"),
      "channel: observation\nagents: [agent_0]\nepsilon: 0.3\n",
    );
    const { status, stdout } = attack(
      ...["--policy", "agent_0=spread_mlp.onnx", "--policy", "agent_1=spread_mlp.onnx", "spread_gru.onnx"],
      ...[...SPREAD, "--threat", "threat.yaml", "--out", "mixed"],
    );
    // The file without a word plays everybody: two files for agent_0.
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    const two = attack(
      ...["--policy", "agent_0=spread_mlp.onnx", "--policy", "agent_1=spread_mlp.onnx"],
      ...["--policy", "agent_2=spread_gru.onnx", ...SPREAD, "--threat", "threat.yaml", "--out", "mixed"],
      ...["--seeds", "2", "--episodes", "4"],
    );
    expect(two.stderr).toBe("");
    expect(two.stdout).toContain(
      "spread_mlp.onnx: 2,825 weights, logits, sampled; spread_gru.onnx: 4,289 weights, q-values, recurrent, greedy",
    );
    expect(two.stdout).toContain("threat: observations of agent_0, ℓ∞ ≤ 0.3\n");
  });
});

describe("mistakes are one sentence, and nothing is written", () => {
  const cases: [string[], string][] = [
    [SPREAD, "command line: got no policy, expected an ONNX file, or --policy WHO=FILE."],
    [["none.onnx", ...SPREAD], "none.onnx: no such file or directory."],
    [
      ["spread_mlp.onnx"],
      "--env: missing, expected an environment (see phalanx env list); spread_mlp.onnx does not say where it plays.",
    ],
    [
      ["spread_mlp.onnx", "--env", "mpe/simple_spread_v4"],
      'command line, --env: got "mpe/simple_spread_v4", expected a known environment. Did you mean "mpe/simple_spread_v3"?',
    ],
    [
      ["spread_mlp.onnx", "--env", "{id: mpe/simple_spread, agent: 3}"],
      'command line, --env, agent: unknown key. Did you mean "agents"?',
    ],
    [
      ["spread_mlp.onnx", "--env", "{id: mpe/simple_spread, agents: 4}"],
      'spread_mlp.onnx, input "obs": got float32 [rows, 18], expected [rows, 24] for the observation of group "agents" of mpe/simple_spread_v3; dimension 1 is 18.',
    ],
    [
      ["spread_mlp.onnx", "--env", "mpe/simple_speaker_listener"],
      'spread_mlp.onnx, input "obs": got float32 [rows, 18], expected [rows, 3] for the observation of group "speaker" of mpe/simple_speaker_listener_v4; dimension 1 is 18.',
    ],
    [
      ["--policy", "agent_0=spread_mlp.onnx", ...SPREAD],
      'agent "agent_1" of mpe/simple_spread_v3 is played by no file; give one that plays it, as agent_1=FILE.',
    ],
    [["--policy", "spread_mlp.onnx", ...SPREAD], '--policy: got "spread_mlp.onnx", expected WHO=FILE'],
    [
      ["spread_mlp.onnx", ...SPREAD, "--input", "obs=x"],
      "spread_mlp.onnx: got input obs=x, expected one of its inputs. Known: obs, agent.",
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--input", "mask=x"],
      "command line, --input: unknown key. Known: obs, actionMask, agent.",
    ],
    [["spread_mlp.onnx", ...SPREAD, "--output", "y"], '--output: got "y", expected ROLE=NAME'],
    [
      ["spread_mlp.onnx", ...SPREAD, "--head", "action"],
      'spread_mlp.onnx: got head action, but group "agents" of mpe/simple_spread_v3 choose one of 5 actions',
    ],
    [["spread_mlp.onnx", ...SPREAD, "--head", "values"], "argument 'values' is invalid"],
    [["spread_mlp.onnx", ...SPREAD, "--epsilon", "-1"], '--epsilon: got "-1", expected a number ≥ 0.'],
    [
      ["spread_mlp.onnx", ...SPREAD, "--threat", "epsilom=1"],
      'command line, --threat, epsilom: unknown key. Did you mean "epsilon"?',
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--threat", "agents=[agent_9]"],
      'command line, --threat, agents: got "agent_9", expected an agent of mpe/simple_spread_v3.',
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--threat", "liar"],
      '--threat: got "liar", expected a YAML file, key=value, or a mapping',
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--attack", "pgx"],
      'command line, --attack: got "pgx", expected a known attack. Did you mean "pgd"?',
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--attack-option", "iteration=3"],
      'command line, --attack-option, iteration: unknown key. Did you mean "iterations"?',
    ],
    [
      [
        "spread_mlp.onnx",
        ...SPREAD,
        "--attack",
        "fgsm",
        "--attack",
        "pgd",
        "--attack-option",
        "iterations=3",
      ],
      '--attack-option: got "iterations=3" for 2 attacks, expected one',
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--threat", "knowledge=black-box"],
      'command line, --attack: got "pgd", which differentiates the team\'s policies, but threat "threat" says knowledge "black-box".',
    ],
    [
      ["spread_mlp.onnx", ...SPREAD, "--steps", "9"],
      'command line, --steps: got 9, but attack "pgd" learns nothing and takes no steps.',
    ],
    [["spread_mlp.onnx", ...SPREAD, "--seeds", "1,x"], '--seeds: got "x", expected an integer ≥ 0.'],
    [["spread_mlp.onnx", ...SPREAD, "--seeds", "1,1"], "command line, --seeds: got 1 twice"],
  ];
  it.each(cases)("%j", async (args, message) => {
    const given = args.map((text) =>
      text.replace(/\w+\.onnx/, (name) => path.join("test/cli/fixtures", name)),
    );
    const out = path.join(dir, "nothing");
    const command = attackCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    let error: unknown;
    await command.parseAsync([...given, "--out", out], { from: "user" }).catch((thrown: unknown) => {
      error = thrown;
    });
    expect(error instanceof UserError || error instanceof CommanderError).toBe(true);
    const text = (error as Error).message.replaceAll("test/cli/fixtures/", "");
    expect(text).toContain(message);
    expect(text.split("\n")).toHaveLength(1);
    expect(fs.existsSync(out)).toBe(false);
  });

  it("by the program", () => {
    expect(attack("none.onnx", ...SPREAD)).toEqual({
      status: 2,
      stdout: "",
      stderr: "none.onnx: no such file or directory.\n",
    });
    expect(attack("spread_mlp.onnx", ...SPREAD, "--head", "values")).toMatchObject({ status: 2, stdout: "" });
  });
});
