import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { pettingZooBridge } from "../../src/bridge/index.js";
import { completeParameters, type Environment } from "../../src/env/index.js";

/** Written by test/parity/pettingzoo.mjs: the bridge's messages, and the same episodes played without the bridge. */
interface Recording {
  readonly module: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly versions: Readonly<Record<string, string>>;
  /** What was sent and answered, each a letter and base64. */
  readonly frames: readonly { readonly in: string; readonly out: string }[];
  /** The episodes of copy 0, then those of copy 1; the last one of each is unfinished. */
  readonly direct: readonly {
    readonly actions: readonly Readonly<Record<string, number | readonly number[]>>[];
    /** step 0 is the reset */
    readonly steps: readonly {
      readonly obs: Readonly<Record<string, readonly number[]>>;
      readonly rewards?: Readonly<Record<string, number>>;
    }[];
  }[];
}

const folder = fileURLToPath(new URL("../parity/fixtures/pettingzoo/", import.meta.url));
const standIn = fileURLToPath(new URL("stand-in.mjs", import.meta.url));
const names = fs.readdirSync(folder);
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-recorded-"));
afterAll(() => fs.rmSync(temporary, { recursive: true }));

const read = (name: string) => JSON.parse(fs.readFileSync(path.join(folder, name), "utf8")) as Recording;

/** Everything that differs between what comes out of the bridge and what the environment did without it. */
async function differences(recording: Recording, file: string): Promise<string[]> {
  const { module, parameters, direct } = recording;
  const definition = pettingZooBridge(() => ({ command: process.execPath, args: [standIn, "play", file] }));
  const environment = await definition.create(completeParameters(definition, { module, parameters }), {
    copies: 2,
  });
  const out: string[] = [];
  const compare = (what: string, got: ArrayLike<number>, expected: ArrayLike<number>) => {
    const k = Array.from(expected).findIndex((x, i) => x !== got[i]);
    if (k >= 0 || got.length !== expected.length) out.push(`${what}[${k}]: ${got[k]}, not ${expected[k]}`);
  };
  try {
    expect(environment.spec.versions).toEqual(recording.versions);
    environment.reset(7);
    // Copy 0's episodes fill its steps; then come copy 1's.
    const steps = recording.frames.filter((f) => f.in[0] === "A").length;
    const half = episodesOf(direct, steps);
    const [episode, elapsed] = [
      [0, half],
      [0, 0],
    ];
    const check = (e: number, t: number, from: Environment["groups"], row: number) => {
      eachAgent(environment, (agent, g, i, { agents, obsSize }) => {
        const start = (row * agents.length + i) * obsSize;
        const seen = direct[episode[e]!]!.steps[t]!.obs[agent]!;
        compare(
          `episode ${episode[e]}, step ${t}, ${agent}`,
          from[g]!.obs.subarray(start, start + obsSize),
          seen,
        );
      });
    };
    for (const e of [0, 1]) check(e, 0, environment.groups, e);
    for (let step = 0; step < steps; step++) {
      eachAgent(environment, (agent, g, i, { agents }) => {
        const { action } = environment.groups[g]!;
        const size = action.length / (2 * agents.length);
        for (const e of [0, 1]) {
          const chosen = [direct[episode[e]!]!.actions[elapsed[e]!]![agent]!].flat();
          action.set(chosen, (e * agents.length + i) * size);
        }
      });
      environment.step();
      for (const e of [0, 1]) {
        const { rewards } = direct[episode[e]!]!.steps[++elapsed[e]!]!;
        eachAgent(environment, (agent, g, i, { agents }) => {
          const reward = environment.groups[g]!.reward[e * agents.length + i]!;
          compare(`reward of ${agent}`, [reward], [rewards![agent]!]);
        });
        const row = [...environment.ended.copies.subarray(0, environment.ended.count)].indexOf(e);
        const over = elapsed[e] === direct[episode[e]!]!.actions.length;
        if (row < 0) {
          check(e, elapsed[e]!, environment.groups, e);
          continue;
        }
        expect(over).toBe(true);
        const last = environment.ended.obs.map((obs) => ({ obs }) as Environment["groups"][number]);
        check(e, elapsed[e]!, last, row);
        [episode[e], elapsed[e]] = [episode[e]! + 1, 0];
        check(e, 0, environment.groups, e);
      }
    }
  } finally {
    environment.close();
  }
  return out;
}

/** How many episodes of a list make up the first copy's steps. */
function episodesOf(direct: Recording["direct"], steps: number): number {
  let count = 0;
  let played = 0;
  while (played < steps) played += direct[count++]!.actions.length;
  return count;
}

function eachAgent(
  { spec }: Environment,
  visit: (agent: string, g: number, i: number, group: Environment["spec"]["groups"][number]) => void,
): void {
  spec.groups.forEach((group, g) => {
    group.agents.forEach((agent, i) => {
      visit(agent, g, i, group);
    });
  });
}

describe("recorded messages of PettingZoo environments", () => {
  test("are there: discrete and continuous actions, vectors and categories observed", () => {
    expect(names).toEqual(["rock-paper-scissors.json", "speaker-listener.json", "tag-continuous.json"]);
  });

  test.each(names)("%s: come out as the environment's own numbers, bit by bit", async (name) => {
    const file = path.join(folder, name);
    expect(await differences(read(name), file)).toEqual([]);
  });

  test("that hold another number are noticed", async () => {
    const recording = read("speaker-listener.json");
    const frames = recording.frames.map((frame) => ({ ...frame }));
    const answer = frames.find((f) => f.in[0] === "A")!;
    const payload = Buffer.from(answer.out.slice(1), "base64");
    payload.writeDoubleLE(payload.readDoubleLE(0) + 1e-9, 0);
    answer.out = `V${payload.toString("base64")}`;
    const file = path.join(temporary, "changed.json");
    fs.writeFileSync(file, JSON.stringify({ ...recording, frames }));
    expect(await differences(recording, file)).toHaveLength(1);
  });

  test("are answers to these very messages: another seed is not what was recorded", async () => {
    const file = path.join(folder, "speaker-listener.json");
    const { module, parameters } = read("speaker-listener.json");
    const definition = pettingZooBridge(() => ({ command: process.execPath, args: [standIn, "play", file] }));
    const environment = await definition.create(completeParameters(definition, { module, parameters }), {
      copies: 2,
    });
    expect(() => environment.reset(8)).toThrow(/message 2 is "R/);
    environment.close();
  });
});
