import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { envCommand } from "../../src/cli/env.js";
import { UserError } from "../../src/core/errors.js";
import type { Film } from "../../src/core/film.js";
import { createEnvironment, environments } from "../../src/envs/index.js";
import { dist, ensureBuilt } from "./built.js";

const main = path.join(dist, "cli", "main.js");
const fixtures = fileURLToPath(new URL("./fixtures", import.meta.url));

/** One team on the shortest of episodes, by hardly any training. */
const SMALL = `name: small
environment: { id: mpe/simple_speaker_listener, maxCycles: 4 }
seeds: [0]
training:
  steps: 16
  learner: { name: ppo, copies: 2, rolloutSteps: 4, epochs: 1, minibatches: 1 }
teams: { plain: {} }
adversaries: {}
evaluation: { episodes: 2, films: 0 }
`;

let dir: string;
let team: string;
beforeAll(() => {
  ensureBuilt();
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-play-"));
  fs.copyFileSync(path.join(fixtures, "spread_mlp.onnx"), path.join(dir, "spread_mlp.onnx"));
  fs.writeFileSync(path.join(dir, "small.yaml"), SMALL);
  expect(phalanx("run", "small.yaml", "--out", "small")).toMatchObject({ status: 0 });
  team = path.join("small", "teams", fs.readdirSync(path.join(dir, "small", "teams"))[0]!);
});
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

function phalanx(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: dir,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const play = (...args: string[]) => phalanx("env", "play", ...args);

function filmsOf(file: string): Film[] {
  const html = fs.readFileSync(file, "utf8");
  return JSON.parse(/(?<=data-phx="films">)[^<]+/.exec(html)![0]) as Film[];
}

/** Width and height of a PNG. */
function sizeOf(file: string): [number, number] {
  const png = fs.readFileSync(file);
  expect(png.subarray(1, 4).toString("latin1")).toBe("PNG");
  return [png.readUInt32BE(16), png.readUInt32BE(20)];
}

describe("every registered environment", () => {
  it.each(environments.names())(
    "%s plays: a page of its own with every moment, and a picture",
    async (id) => {
      const [page, picture] = [path.join(dir, "any.html"), path.join(dir, "any.png")];
      const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
      try {
        await envCommand().parseAsync(["play", id, "--episodes", "2", "-o", page, "--png", picture], {
          from: "user",
        });
      } finally {
        written.mockRestore();
      }
      const films = filmsOf(page);
      const { spec } = await createEnvironment(id, {}, { copies: 1 });
      expect(films.map((film) => [film.environment, film.copy])).toEqual([
        [id, 0],
        [id, 1],
      ]);
      for (const { steps, agents } of films) {
        expect(agents).toEqual(spec.groups.flatMap((group) => group.agents));
        expect(steps.length).toBeGreaterThan(1);
        for (const { frame } of steps) expect(frame.shapes.length + frame.captions.length).toBeGreaterThan(0);
      }
      const html = fs.readFileSync(page, "utf8");
      expect(html).not.toMatch(/(?:src|href)\s*=\s*["']?(?!["']?(?:#|data:))|@import|url\(\s*["']?https?:/);
      expect(html).toContain("default-src 'none'");
      expect(html).toContain("mountPlayer");
      const [width, height] = sizeOf(picture);
      expect(width).toBe(1080);
      expect(height).toBeGreaterThanOrEqual(480);
      // An empty stage of that size takes far less.
      expect(fs.statSync(picture).size).toBeGreaterThan(5000);
    },
  );
});

describe("phalanx env play", () => {
  it("plays at random where nobody else is named, prints every episode, and says where the page is", () => {
    const { status, stdout, stderr } = play("mpe/simple_spread", "agents=2", "--episodes", "2");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^mpe\/simple_spread_v3, random, seed 0\n +episode +return +steps +collisions/);
    expect(stdout.trimEnd().split("\n").at(-1)).toBe("Replay: runs/play-mpe-simple-spread-v3.html");
    const [film] = filmsOf(path.join(dir, "runs/play-mpe-simple-spread-v3.html"));
    expect(film!.agents).toEqual(["agent_0", "agent_1"]);
    expect(stdout).toContain(`0        ${film!.episodeReturn.toFixed(2).replace("-", "−")}`);
  });

  it("gives the same bytes for the same seed, other episodes for another, and parameters either way", () => {
    const bytes = (...args: string[]) => {
      expect(play("mpe/simple_spread", ...args, "-o", "a.html", "--png", "a.png").status).toBe(0);
      return ["a.html", "a.png"].map((name) => fs.readFileSync(path.join(dir, name), "base64"));
    };
    const first = bytes("agents=2", "--seed", "7");
    expect(bytes("--parameters", "agents=2", "--seed", "7")).toEqual(first);
    const other = bytes("agents=2", "--seed", "8");
    expect(other[0]).not.toBe(first[0]);
    expect(other[1]).not.toBe(first[1]);
    expect(bytes("agents=2", "--seed", "7", "--theme", "dark")[1]).not.toBe(first[1]);
  });

  it("plays a script by its name", () => {
    const { stdout } = play("mpe/simple_speaker_listener", "--policy", "plain-words", "-o", "s.html");
    expect(stdout).toContain("mpe/simple_speaker_listener_v4, plain-words, seed 0");
    for (const { steps } of filmsOf(path.join(dir, "s.html")))
      for (const { actions, frame } of steps.slice(0, -1)) {
        const goal = frame.shapes.findIndex((shape) => shape.kind === "circle" && shape.role === "goal");
        expect(actions!.speaker_0).toBe(goal);
      }
  });

  it("plays a trained team in the world that it was trained in, or in another that fits", () => {
    const steps = (...args: string[]) => {
      const { status, stderr } = play(
        "mpe/simple_speaker_listener",
        "--policy",
        team,
        "-o",
        "t.html",
        ...args,
      );
      expect([status, stderr]).toEqual([0, ""]);
      const [film] = filmsOf(path.join(dir, "t.html"));
      expect(film!.team).toBe("plain, seed 0");
      return film!.steps.length - 1;
    };
    expect(steps()).toBe(4);
    expect(steps("maxCycles=6", "--mode", "greedy")).toBe(6);
  });

  it("plays policy files, whoever made them; greedy is greedy", () => {
    const actions = (...args: string[]) => {
      expect(play("mpe/simple_spread", "--policy", "spread_mlp.onnx", "-o", "f.html", ...args).status).toBe(
        0,
      );
      const [film] = filmsOf(path.join(dir, "f.html"));
      return JSON.stringify(film!.steps.map((step) => step.actions));
    };
    expect(actions("--mode", "greedy")).not.toBe(actions());
    const whole = ["--policy", "{file: spread_mlp.onnx, mode: greedy}"];
    expect(play("mpe/simple_spread", ...whole, "-o", "g.html").status).toBe(0);
    const [film] = filmsOf(path.join(dir, "g.html"));
    expect(JSON.stringify(film!.steps.map((step) => step.actions))).toBe(actions("--mode", "greedy"));
    const files = fs.readdirSync(path.join(dir, team)).filter((name) => name.endsWith(".onnx"));
    const given = files.flatMap((name) => ["--policy", path.join(team, name)]);
    const ours = play("mpe/simple_speaker_listener", ...given, "-o", "o.html");
    expect([ours.status, ours.stderr]).toEqual([0, ""]);
    // Files of Phalanx say in which world they were trained.
    expect(filmsOf(path.join(dir, "o.html"))[0]!.steps).toHaveLength(5);
  });

  it("answers mistakes with one sentence and exit code 2, and writes nothing", () => {
    const mistake = (...args: string[]) => {
      const { status, stdout, stderr } = play(...args, "-o", "never.html");
      expect([status, stdout]).toEqual([2, ""]);
      expect(fs.existsSync(path.join(dir, "never.html"))).toBe(false);
      return stderr;
    };
    expect(mistake("mpe/simple_spred")).toBe(
      'unknown environment "mpe/simple_spred". Did you mean "mpe/simple_spread"?\n',
    );
    expect(mistake("mpe/simple_spread", "--policy", team)).toBe(
      `--policy: ${team} was trained on mpe/simple_speaker_listener_v4, expected a policy for mpe/simple_spread_v3; try phalanx env play mpe/simple_speaker_listener_v4.\n`,
    );
    expect(mistake("mpe/simple_spread", "--mode", "greed")).toContain("Allowed choices");
  });

  it("says of everything that does not fit what is expected", async () => {
    const out = path.join(dir, "never.html");
    const refused = async (...args: string[]) => {
      const error = await envCommand()
        .parseAsync(["play", "mpe/simple_spread", ...args, "-o", out], { from: "user" })
        .catch((e: unknown) => e);
      expect(error).toBeInstanceOf(UserError);
      expect(fs.existsSync(out)).toBe(false);
      return (error as UserError).message;
    };
    const policy = (...texts: string[]) => refused(...texts.flatMap((text) => ["--policy", text]));
    const model = path.join(dir, "spread_mlp.onnx");
    expect(await refused("agent=2")).toBe(
      'mpe/simple_spread_v3, parameter "agent": unknown key. Did you mean "agents"?',
    );
    expect(await refused("agents=0")).toContain("expected a number ≥ 1.");
    expect(await refused("agents")).toContain("expected name=value");
    expect(await refused("--episodes", "0")).toContain("expected an integer ≥ 1");
    expect(await policy("nowhere/at-all")).toBe(
      '--policy: got "nowhere/at-all", expected "random", "share-out" (scripted), the folder of a finished team run (RESULTS/teams/…), or an ONNX file.',
    );
    expect(await policy("nowhere.onnx")).toBe("nowhere.onnx: no such file or directory.");
    expect(await policy(path.join(dir, "small"))).toContain("expected the folder of a finished team run");
    const ours = fs.readdirSync(path.join(dir, team)).find((name) => name.endsWith(".onnx"))!;
    expect(await policy(path.join(dir, team, ours))).toContain(
      "was trained on mpe/simple_speaker_listener_v4",
    );
    expect(await policy("random", "share-out")).toContain('expected "random" alone');
    expect(await policy(model, "random")).toContain("expected");
    expect(await policy(`agents=${model}`, `agent_0=${model}`)).toContain("is played by");
    expect(await policy(`{file: ${model}, moed: greedy}`)).toContain('Did you mean "mode"?');
    expect(await refused("agents=5", "--policy", model)).toContain("mpe/simple_spread_v3");
  });

  it("refuses an environment that draws nothing, in one sentence", () => {
    fs.writeFileSync(
      path.join(dir, "blank.mjs"),
      `import { batchScalar, z } from ${JSON.stringify(path.join(dist, "env", "index.js"))};
const view = { obs: { a: [0] } };
export default batchScalar({
  id: "own/blank_v0",
  summary: "Nothing to see.",
  source: "made up",
  parameters: { length: z.int().min(1).default(3).describe("steps") },
  describe: ({ length }) => ({
    maxSteps: length,
    groups: [{ name: "g", agents: ["a"], features: [{ name: "x", size: 1 }], action: { kind: "discrete", n: 2 } }],
  }),
  create: () => ({ reset: () => view, step: () => ({ ...view, reward: { a: 0 } }) }),
});
`,
    );
    expect(play("./blank.mjs")).toEqual({
      status: 2,
      stdout: "",
      stderr: "own/blank_v0: draws no pictures (capabilities.frames), expected an environment that does.\n",
    });
  });
});
