import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readBytes } from "../../src/core/files.js";
import { sha256Hex } from "../../src/core/hash.js";
import { dist, ensureBuilt, repository } from "./built.js";

const main = path.join(dist, "cli", "main.js");

/** Every learner, defense and attack of the quickstart, as small as they go. */
const SMALL = `name: small
environment: mpe/simple_speaker_listener
seeds: [0, 1]
threats:
  liar: { channel: control, agents: [speaker_0] }
  sensors: { channel: observation, agents: [listener_0], epsilon: 0.2 }
training:
  steps: 6_000
  learner: &ppo { name: ppo, sharing: separate, copies: 16, rolloutSteps: 25, epochs: 2, minibatches: 2 }
teams:
  plain: {}
  hardened: { defense: { name: two-timescale, threat: liar } }
  sensible: { defense: { name: adversarial-training, threat: sensors } }
adversaries:
  best response: { attack: { <<: *ppo, name: best-response }, threat: liar, steps: 3_000 }
  fgsm: { attack: fgsm, threat: sensors }
  pgd: { attack: { name: pgd, iterations: 2 }, threat: sensors }
evaluation: { episodes: 12, films: 1 }
`;

let dir: string;
let file: string;
let reference: string;
beforeAll(() => {
  ensureBuilt();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-cli-"));
  file = path.join(dir, "small.yaml");
  reference = path.join(dir, "reference");
  fs.writeFileSync(file, SMALL);
});
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

function phalanx(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: dir,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

/** Hash of every file but those that tell time. */
function bytesOf(root: string): Record<string, string> {
  const files = fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
  return Object.fromEntries(
    files
      .filter((f) => f.name !== "timing.json")
      .map((f) => path.join(f.parentPath, f.name))
      .map((f) => [path.relative(root, f), sha256Hex(readBytes(f)).slice(0, 16)])
      .sort(),
  );
}

const teamFolder = (name: string) => {
  const found = fs.readdirSync(path.join(reference, "teams")).find((n) => n.startsWith(`${name}-`))!;
  return path.join(reference, "teams", found);
};

describe("phalanx run", () => {
  it("trains, attacks, hardens, evaluates and names the report", () => {
    const { status, stdout, stderr } = phalanx("run", file, "--out", reference);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(`Report: ${path.join(reference, "report.html")}`);
    expect(stdout).toMatch(/\[\d\d:\d\d\] finished: plain, seed 0\./);
    const html = fs.readFileSync(path.join(reference, "report.html"), "utf8");
    for (const name of ["plain", "hardened", "sensible", "best response", "fgsm", "pgd"])
      expect(html).toContain(name);
    const files = fs.readdirSync(teamFolder("plain-s0"));
    expect(files).toEqual(
      expect.arrayContaining(["policy.listener_0.onnx", "policy.speaker_0.onnx", "run.json"]),
    );
  });

  it("does nothing the second time, and gives the same bytes in another folder with one worker", () => {
    const before = bytesOf(reference);
    const again = phalanx("run", file, "--out", reference);
    expect(again.stdout).toContain("0 of");
    expect(bytesOf(reference)).toEqual(before);
    const other = path.join(dir, "other");
    expect(phalanx("run", file, "--out", other, "--workers", "1").status).toBe(0);
    expect(bytesOf(other)).toEqual(before);
  });

  it("killed at random moments and started again, ends with the same bytes", async () => {
    const root = path.join(dir, "killed");
    let kills = 0;
    for (let round = 0; ; round++) {
      expect(round).toBeLessThan(40);
      const child = spawn(process.execPath, [main, "run", file, "--out", root, "--checkpoint", "0.1"], {
        stdio: "ignore",
      });
      // Different moments of start-up, training, evaluation; in the end as long as it takes.
      const timer = setTimeout(
        () => child.kill("SIGKILL"),
        round < 12 ? 700 + ((round * 337) % 1100) : 100_000,
      );
      const code = await new Promise<number | null>((resolve) => child.on("exit", resolve));
      clearTimeout(timer);
      if (code !== null) {
        expect(code).toBe(0);
        break;
      }
      kills++;
    }
    expect(kills).toBeGreaterThan(0);
    expect(bytesOf(root)).toEqual(bytesOf(reference));
  });

  it("saves on Ctrl-C, says how to go on, and goes on to the same bytes", async () => {
    const root = path.join(dir, "interrupted");
    const child = spawn(process.execPath, [main, "run", file, "--out", root], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    // Once it says what it does, it listens; before that, a signal simply ends it.
    while (!out.includes("[00:00]")) await new Promise((resolve) => child.stdout.once("data", resolve));
    await new Promise((resolve) => setTimeout(resolve, 500));
    child.kill("SIGINT");
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(out).toContain("The same command goes on from here");
    expect(phalanx("run", file, "--out", root).status).toBe(0);
    expect(bytesOf(root)).toEqual(bytesOf(reference));
  });

  it("answers mistakes with one sentence and exit code 2, and writes nothing", () => {
    const bad = path.join(dir, "bad.yaml");
    fs.writeFileSync(bad, SMALL.replace("epochs: 2", "epoch: 2"));
    expect(phalanx("run", bad, "--out", "nothing")).toEqual({
      status: 2,
      stdout: "",
      stderr: expect.stringMatching(
        /^.*bad\.yaml:9:\d+, training\.learner\.epoch: unknown key\. Did you mean "epochs"\?\n/,
      ),
    });
    expect(fs.existsSync(path.join(dir, "nothing"))).toBe(false);
    expect(phalanx("run", "none.yaml")).toEqual({
      status: 2,
      stdout: "",
      stderr: "none.yaml: no such file or directory.\n",
    });
    expect(phalanx("run", file, "training.steps=-5").stderr).toBe(
      "command line, training.steps=-5: got -5, expected an integer ≥ 1 (environment steps, copies counted).\n",
    );
    expect(phalanx("run", file, "--workers", "0")).toMatchObject({
      status: 2,
      stderr: '--workers: got "0", expected an integer ≥ 1.\n',
    });
    expect(phalanx("runn").status).toBe(2);
  });
});

describe("phalanx evaluate", () => {
  it("repeats a cell's number: the same seed gives the same episodes", () => {
    const { status, stdout } = phalanx(
      "evaluate",
      teamFolder("plain-s1"),
      "--threat",
      "sensors",
      "--attack",
      "fgsm",
      "--episodes",
      "12",
      "--seed",
      "1",
      "--json",
    );
    expect(status).toBe(0);
    const cell = fs.readdirSync(path.join(reference, "cells")).find((n) => n.startsWith("plain-vs-fgsm-s1"))!;
    const planned = JSON.parse(fs.readFileSync(path.join(reference, "cells", cell, "cell.json"), "utf8"));
    expect(JSON.parse(stdout)).toMatchObject({
      episodeReturns: planned.episodeReturns,
      threatText: planned.threatText,
    });
  });

  it("takes a learnt adversary from its folder", () => {
    const found = fs
      .readdirSync(path.join(reference, "adversaries"))
      .find((n) => n.startsWith("plain-vs-best-response-s0"))!;
    const { status, stdout } = phalanx(
      "evaluate",
      teamFolder("plain-s0"),
      "--adversary",
      path.join(reference, "adversaries", found),
      "--episodes",
      "5",
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^plain under best response \(control of speaker_0, ε = 1\), 5 episodes, seed 0\nmean return −/,
    );
  });

  it("names what does not fit", () => {
    const team = teamFolder("plain-s0");
    const stderr = (...args: string[]) => {
      const { status, stderr: text } = phalanx("evaluate", ...args);
      expect(status).toBe(2);
      return text;
    };
    expect(stderr(reference)).toContain("expected the folder of a finished team run");
    expect(stderr(team, "--threat", "lier")).toContain(
      '--threat: got "lier", expected a threat of the experiment (liar, sensors)',
    );
    expect(stderr(team, "--threat", "{channel: observation}")).toBe(
      "--threat, epsilon: missing, expected a number ≥ 0 (radius in observation units; standard deviation for gaussian).\n",
    );
    expect(stderr(team, "--threat", "liar", "--attack", "fgsm")).toContain(
      'works on "observation", but the threat\'s channel is "control"',
    );
    expect(stderr(team, "--threat", "liar", "--attack", "best-response")).toContain("has to be trained");
    fs.cpSync(team, path.join(dir, "damaged"), { recursive: true });
    fs.truncateSync(path.join(dir, "damaged", "state.safetensors"), 50);
    expect(stderr(path.join(dir, "damaged"))).toMatch(
      /state\.safetensors: not a valid safetensors file: .*\.\n$/,
    );
  });
});

describe("the other commands", () => {
  it("report writes the same report again, or its numbers as JSON", () => {
    const before = fs.readFileSync(path.join(reference, "report.html"), "utf8");
    fs.rmSync(path.join(reference, "report.html"));
    expect(phalanx("report", reference).status).toBe(0);
    expect(fs.readFileSync(path.join(reference, "report.html"), "utf8")).toBe(before);
    const data = JSON.parse(phalanx("report", reference, "--json").stdout);
    expect(data.matrix.teams).toHaveLength(3);
    expect(phalanx("report", dir).status).toBe(2);
  });

  it("env lists, shows and checks", () => {
    expect(phalanx("env", "list").stdout).toMatch(/^mpe\/simple_spread_v3 /m);
    expect(JSON.parse(phalanx("env", "list", "--json").stdout).length).toBeGreaterThan(1);
    expect(phalanx("env", "show", "mpe/simple_spread", "agents=2").stdout).toContain(
      "agent_0, agent_1; 5 actions",
    );
    expect(phalanx("env", "check", "mpe/simple_speaker_listener")).toMatchObject({
      status: 0,
      stdout: "mpe/simple_speaker_listener_v4 keeps every rule of the contract.\n",
    });
    expect(phalanx("env", "check", "mpe/simple_spred")).toMatchObject({ status: 2 });
  });

  it("every command has help, and the version is the package's", () => {
    const { version } = JSON.parse(fs.readFileSync(path.join(repository, "package.json"), "utf8"));
    expect(phalanx("--version").stdout).toBe(`${version}\n`);
    for (const command of [
      ["run"],
      ["attack"],
      ["evaluate"],
      ["report"],
      ["env"],
      ["env", "check"],
      ["env", "play"],
      ["inspect"],
      ["bench"],
      [],
    ]) {
      const { status, stdout } = phalanx(...command, "--help");
      expect(status).toBe(0);
      expect(stdout).toMatch(/^Usage: phalanx/);
    }
    expect(phalanx("run", "--help").stdout).toContain("Examples:");
  });
});
