import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { UserError } from "../core/errors.js";
import { Registry } from "../core/registry.js";
import type { Environment, EnvironmentDefinition } from "../env/contract.js";
import { toolbox } from "./builtin.js";
import { definitionOf, findEnvironment, isModule, loadModule } from "./environments.js";
import { parseExperiment } from "./load.js";
import { planExperiment } from "./plan.js";

const { registries } = toolbox;
// Modules in a temporary folder find no packages by name.
const zod = pathToFileURL(createRequire(import.meta.url).resolve("zod")).href;

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "phalanx-modules-"));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

const write = (name: string, text: string): string => {
  const file = path.join(folder, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
  return file;
};

/** An environment written out, with nothing to import. */
const definition = (more: { id?: string; features?: string; create?: string; head?: string } = {}) => `
import { z } from "${zod}";
${more.head ?? ""}
const spec = {
  id: "${more.id ?? "mine/coin_v1"}",
  groups: [{
    name: "team", agents: ["agent_0"], obsSize: 1, hasActionMask: false, action: { kind: "discrete", n: 2 },
    features: [${more.features ?? `{ name: "coin", offset: 0, size: 1, kind: "continuous", low: 0, high: 1, perturbable: true }`}],
  }],
  stateSize: 0, stateFeatures: [], maxSteps: 3, turnBased: false, episodeMetrics: [],
  capabilities: { saveState: false, frames: false },
};
const parameters = z.strictObject({ bias: z.number().default(0.5) });
export default {
  id: spec.id, summary: "a coin", source: "own", parameters,
  create: async () => {
    ${more.create ?? ""}
    return {
      spec, copies: 1, state: new Float32Array(0), terminated: new Uint8Array(1), truncated: new Uint8Array(1),
      groups: [{ obs: new Float32Array(1), actionMask: null, action: new Int32Array(1), reward: new Float64Array(1),
                 alive: new Uint8Array(1), acting: new Uint8Array(1) }],
      ended: { count: 0, copies: new Int32Array(1), obs: [new Float32Array(1)], state: new Float32Array(0),
               metrics: new Float64Array(0), frames: [null] },
      reset() {}, step() {}, close() {},
    };
  },
};`;

const experimentWith = (environment: string, file = path.join(folder, "e.yaml")) =>
  parseExperiment(
    file,
    `name: e\nenvironment: ${environment}\nseeds: [0]\ntraining: { steps: 10, learner: ppo }\nteams: { plain: {} }\n`,
    [],
    registries,
  );
const keysWith = async (environment: string, file?: string) =>
  planExperiment(await experimentWith(environment, file), registries).nodes.map((node) => node.key);

async function refusal(action: () => Promise<unknown>): Promise<string> {
  const error = await action().then(
    () => new Error("accepted"),
    (thrown: Error) => thrown,
  );
  expect(error).toBeInstanceOf(UserError);
  return error.message.replaceAll(folder, "DIR");
}

describe("an environment's name", () => {
  it.each(["./mine.mjs", "../mine.js", "/srv/mine.mjs", "envs/mine.mjs", "mine.ts"])(
    "%s is a file",
    (name) => {
      expect(isModule(name)).toBe(true);
    },
  );

  it.each(["mpe/simple_spread", "mpe/simple_spread_v3", "lbf/Foraging-8x8-2p-3f-v3", "pettingzoo/parallel"])(
    "%s is an id",
    (name) => {
      expect(isModule(name)).toBe(false);
    },
  );
});

describe("a module of one's own in an experiment", () => {
  it("is found beside the experiment file, with parameters or without", async () => {
    write("coin.mjs", definition());
    const { environment } = await experimentWith("./coin.mjs");
    expect(environment).toEqual({
      id: "mine/coin_v1",
      parameters: { bias: 0.5 },
      module: { file: path.join(folder, "coin.mjs"), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect((await experimentWith("{ id: ./coin.mjs, bias: 1 }")).environment.parameters).toEqual({ bias: 1 });
  });

  it("is part of what identifies results by its text, not by its place", async () => {
    write("coin.mjs", definition());
    const keys = await keysWith("./coin.mjs");
    write("elsewhere/heads.mjs", definition());
    expect(await keysWith("./elsewhere/heads.mjs")).toEqual(keys);
    write("coin.mjs", `${definition()}\n// changed`);
    const changed = await keysWith("./coin.mjs");
    expect(changed.filter((key) => keys.includes(key))).toEqual([]);
  });

  it("counts the files that it imports by relative names, and theirs", async () => {
    write("coin.mjs", definition({ head: 'import { a } from "./lib/a.mjs"; void a;' }));
    write("lib/a.mjs", 'export { b as a } from "../b.mjs";');
    write("b.mjs", "export const b = 1;");
    const before = (await loadModule(path.join(folder, "coin.mjs"))).module.sha256;
    expect((await loadModule(path.join(folder, "coin.mjs"))).module.sha256).toBe(before);
    write("b.mjs", "export const b = 2;");
    expect((await loadModule(path.join(folder, "coin.mjs"))).module.sha256).not.toBe(before);
  });

  it("is the one that the experiment was read with, or refused", async () => {
    const file = write("coin.mjs", definition());
    const { environment } = await experimentWith("./coin.mjs");
    expect((await definitionOf(environment, registries.environments)).summary).toBe("a coin");
    write("coin.mjs", definition({ id: "mine/other_v1" }));
    expect(await refusal(() => definitionOf(environment, registries.environments))).toBe(
      "DIR/coin.mjs: the file, or one that it imports, has changed since the experiment began; run the command again.",
    );
    expect((await findEnvironment(file, registries.environments)).id).toBe("mine/other_v1");
  });
});

describe("a mistake is one sentence:", () => {
  const place = "DIR/e.yaml:2:14, environment";

  it("no such file", async () => {
    expect(await refusal(() => experimentWith("./none.mjs"))).toBe(
      `${place}: DIR/none.mjs: no such file or directory.`,
    );
  });

  it("a file that has to be compiled", async () => {
    write("coin.ts", definition());
    expect(await refusal(() => experimentWith("./coin.ts"))).toBe(
      `${place}: DIR/coin.ts: expected a JavaScript module (.mjs or .js); compile it first.`,
    );
  });

  it("a module that throws", async () => {
    write("coin.mjs", "\nconst x = none;");
    expect(await refusal(() => experimentWith("./coin.mjs"))).toMatch(
      /^DIR\/e\.yaml:2:14, environment: DIR\/coin\.mjs: the module cannot be imported: none is not defined/,
    );
  });

  it.each([
    ["nothing", "export const environment = 1;"],
    ["a function", "export default () => {};"],
    ["an object that is no environment", "export default { id: 'mine/coin_v1' };"],
    ['"coin"', "export default 'coin';"],
  ])("a default export that is %s", async (got, text) => {
    write("coin.mjs", text);
    expect(await refusal(() => experimentWith("./coin.mjs"))).toBe(
      `${place}: DIR/coin.mjs: the default export is ${got}, expected an environment: export default batchScalar({ … }), or defineEnvironment({ … }), of "phalanx/env".`,
    );
  });

  it("a wrong parameter", async () => {
    write("coin.mjs", definition());
    expect(await refusal(() => experimentWith("{ id: ./coin.mjs, bias: often }"))).toMatch(
      /^DIR\/e\.yaml:2:\d+, environment\.bias: /,
    );
  });

  it("an environment that cannot be made", async () => {
    write("coin.mjs", definition({ create: "throw new TypeError('no coin');" }));
    expect(await refusal(() => experimentWith("./coin.mjs"))).toMatch(
      /^DIR\/e\.yaml:2:14, environment: DIR\/coin\.mjs: the environment cannot be made: no coin.* "phalanx env check DIR\/coin\.mjs" runs every check\.$/,
    );
  });

  it("an environment that declares what cannot be", async () => {
    write("coin.mjs", definition({ features: "" }));
    expect(await refusal(() => experimentWith("./coin.mjs"))).toMatch(
      /environment: DIR\/coin\.mjs: group "team": the features cover 0 entries, expected 1.*"phalanx env check DIR\/coin\.mjs" runs every check\.$/,
    );
  });
});

describe("versions of foreign software", () => {
  const versioned = (version: string): EnvironmentDefinition => ({
    ...registries.environments.get("mpe/simple_spread"),
    async create(parameters, options) {
      const made = await registries.environments.get("mpe/simple_spread").create(parameters, options);
      made.close();
      return { ...made, spec: { ...made.spec, versions: { game: version } }, close() {} } as Environment;
    },
  });
  const withVersion = (version: string) => ({
    ...registries,
    environments: new Registry<EnvironmentDefinition>("environment", {
      "mine/foreign_v1": versioned(version),
    }),
  });
  const text =
    "name: e\nenvironment: mine/foreign_v1\nseeds: [0]\ntraining: { steps: 10, learner: ppo }\nteams: { plain: {} }\n";

  it("are part of what identifies results", async () => {
    const [one, two] = await Promise.all(
      ["1", "2"].map(async (version) => {
        const own = withVersion(version);
        return planExperiment(await parseExperiment("e.yaml", text, [], own), own).nodes[0]!.key;
      }),
    );
    expect(one).not.toBe(two);
  });

  it("must be those that the experiment was read with", async () => {
    const { environment } = await parseExperiment("e.yaml", text, [], withVersion("1"));
    const choice = { ...environment, id: "mine/foreign_v1" };
    const found = await definitionOf(choice, withVersion("2").environments);
    const create = () => found.create({ ...choice.parameters }, { copies: 1 });
    expect(await refusal(create)).toMatch(
      /game is 2 now, the experiment began with 1; run the command again\.$/,
    );
    const same = await definitionOf(choice, withVersion("1").environments);
    (await same.create({ ...choice.parameters }, { copies: 1 })).close();
  });
});
