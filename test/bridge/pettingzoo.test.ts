import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { pettingZooBridge } from "../../src/bridge/index.js";
import { UserError } from "../../src/core/errors.js";
import { checkEnvironment, completeParameters, type Environment } from "../../src/env/index.js";
import { dist, ensureBuilt } from "../cli/built.js";

const standIn = fileURLToPath(new URL("stand-in.mjs", import.meta.url));
const bridge = (...args: string[]) =>
  pettingZooBridge(() => ({ command: process.execPath, args: [standIn, ...args] }));

const opened: Environment[] = [];
afterEach(() => {
  for (const environment of opened.splice(0)) environment.close();
});

async function open(mode: string, copies = 2, parameters = {}): Promise<Environment> {
  const definition = bridge(mode);
  const environment = await definition.create(completeParameters(definition, parameters), { copies });
  opened.push(environment);
  return environment;
}

/** Stand-ins that run now, as children of a process. */
const children = (parent: number) =>
  spawnSync("ps", ["-o", "pid=,args=", "--ppid", String(parent)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line.includes("stand-in.mjs"))
    .map((line) => Number.parseInt(line, 10));
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return !fs.readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
};
async function expectDead(pid: number): Promise<void> {
  for (let i = 0; i < 100 && isAlive(pid); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isAlive(pid), `process ${pid} has ended`).toBe(false);
}

describe("an environment in another process", () => {
  test("keeps every rule of the contract: deaths, masks, boxes, a global state", async () => {
    const definition = bridge("game");
    const findings = await checkEnvironment(definition);
    expect(findings).toEqual([]);
  });

  test("is what the process describes", async () => {
    const { spec } = await open("game");
    expect(spec.groups.map((g) => [g.name, g.agents, g.obsSize, g.hasActionMask])).toEqual([
      ["hopper", ["hopper_0", "hopper_1"], 2, true],
      ["drifter", ["drifter_0"], 1, false],
    ]);
    expect(spec.groups[1]!.action).toEqual({ kind: "box", low: [-1, -2], high: [1, 2] });
    expect(spec.groups[1]!.features[0]).toMatchObject({ low: -Infinity, high: Infinity });
    expect(spec).toMatchObject({ stateSize: 3, maxSteps: null, capabilities: { saveState: false } });
    expect(spec.versions).toEqual({ python: "3.0.0", game: "1.0" });
  });

  test("is cut at a limit of ours as well", async () => {
    const environment = await open("game", 3, { maxSteps: 1 });
    environment.reset(0);
    environment.groups[0]!.action.fill(0);
    for (const { actionMask, action } of environment.groups)
      if (actionMask !== null)
        for (let row = 0; row < action.length; row++)
          action[row] = actionMask.subarray(row * 3, row * 3 + 3).indexOf(1);
    environment.step();
    expect([...environment.truncated]).toEqual([1, 1, 1]);
    expect(environment.ended.count).toBe(3);
  });
});

describe("what goes wrong is one sentence:", () => {
  const refusal = async (action: () => unknown): Promise<string> => {
    const error = await Promise.resolve()
      .then(action)
      .then(
        () => new Error("accepted"),
        (thrown: Error) => thrown,
      );
    expect(error).toBeInstanceOf(UserError);
    return error.message;
  };

  test("no such Python", async () => {
    const definition = pettingZooBridge((python) => ({ command: python, args: [] }));
    const create = () =>
      definition.create(completeParameters(definition, { python: "no-such-python" }), { copies: 1 });
    expect(await refusal(create)).toBe(
      'pettingzoo/parallel_v1, python: got "no-such-python", which cannot be started (ENOENT), expected the command of a Python in which the environment is installed.',
    );
  });

  test("no such package", async () => {
    expect(await refusal(() => open("game", 1, { module: "absent" }))).toBe(
      `pettingzoo/parallel_v1, module: "absent" cannot be imported by python3 (ModuleNotFoundError: No module named 'absent'); install its package there, or name another Python with "python".`,
    );
  });

  test("an exception in mid-episode, and the next episode runs", async () => {
    const environment = await open("raise");
    const step = () => {
      environment.groups[0]!.action.forEach((_, row) => {
        environment.groups[0]!.action[row] = environment.groups[0]!.actionMask!.subarray(
          row * 3,
          row * 3 + 3,
        ).indexOf(1);
      });
      environment.step();
    };
    environment.reset(0);
    step();
    step();
    expect(await refusal(step)).toBe(
      'pettingzoo/parallel_v1, step of copy 1: "mpe2.simple_spread_v3" raised ValueError: no way (game.py, line 12).',
    );
    environment.reset(1);
    step();
  });

  test("a process that ends in mid-episode, and every call after", async () => {
    const environment = await open("die", 1, { maxSteps: 1 });
    const ended =
      'pettingzoo/parallel_v1: the process of "mpe2.simple_spread_v3" ended with code 139; it said: Fatal Python error: Segmentation fault.';
    const firstAllowed = () => {
      const { action, actionMask } = environment.groups[0]!;
      for (const row of [0, 1]) action[row] = actionMask!.subarray(row * 3, row * 3 + 3).indexOf(1);
      environment.step();
    };
    environment.reset(0);
    firstAllowed();
    firstAllowed();
    expect(await refusal(firstAllowed)).toBe(ended);
    expect(await refusal(() => environment.reset(0))).toBe(ended);
  });

  test("answers that are none", async () => {
    expect(await refusal(() => open("garbage"))).toBe(
      'pettingzoo/parallel_v1: "python3" answers with what is no answer; it said: pygame 2.5.8.',
    );
  });
});

describe("the process ends", () => {
  beforeAll(ensureBuilt);

  /** A program that opens two environments, says so, and then does what is asked. */
  const program = (mode: string, rest: string) => {
    const url = pathToFileURL(path.join(dist, "bridge", "index.js")).href;
    const text = `
      const { pettingZooBridge } = await import(${JSON.stringify(url)});
      const serve = () => ({ command: process.execPath, args: [${JSON.stringify(standIn)}, "${mode}"] });
      const chosen = { module: "m", parameters: {}, python: "p", maxSteps: null, state: true };
      const environments = [];
      for (let i = 0; i < 2; i++) environments.push(await pettingZooBridge(serve).create(chosen, { copies: 1 }));
      environments[0].reset(0);
      process.stdout.write("ready");
      ${rest}`;
    return spawn(process.execPath, ["--input-type=module", "-e", text], {
      stdio: ["ignore", "pipe", "ignore"],
    });
  };
  const ready = async (child: ReturnType<typeof program>) => {
    await new Promise((resolve) => child.stdout!.once("data", resolve));
    const pids = children(child.pid!);
    expect(pids).toHaveLength(2);
    return pids;
  };
  const stay = "process.on('message', () => {}); setInterval(() => {}, 1000);";

  test("when the environment is closed, even where it does not want to", async () => {
    const before = new Set(children(process.pid));
    const environment = await open("deaf");
    const [pid] = children(process.pid).filter((child) => !before.has(child));
    expect(isAlive(pid!)).toBe(true);
    environment.close();
    expect(isAlive(pid!)).toBe(false);
    environment.close();
  });

  test("when its environment could not be made", async () => {
    const before = new Set(children(process.pid));
    await expect(open("game", 1, { module: "absent" })).rejects.toThrow();
    expect(children(process.pid).filter((child) => !before.has(child))).toEqual([]);
  });

  test.each([
    ["the program returns without closing", "game", "setTimeout(() => {}, 300);", null],
    [
      "the program throws",
      "deaf",
      "setTimeout(() => { throw new Error('expected by the test'); }, 300);",
      null,
    ],
    ["the program exits", "deaf", "setTimeout(() => process.exit(0), 300);", null],
    ["Ctrl-C stops the program", "game", stay, "SIGINT"],
    ["the program is killed", "game", stay, "SIGKILL"],
  ] as const)("when %s", async (_, mode, rest, signal) => {
    const child = program(mode, rest);
    const pids = await ready(child);
    const exited = new Promise((resolve) => child.once("exit", resolve));
    if (signal !== null) child.kill(signal);
    await exited;
    for (const pid of pids) await expectDead(pid);
  });
});
