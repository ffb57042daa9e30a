/** Level-Based Foraging under all its names: one with every parameter, presets, and the family of task names. */
import { UserError } from "../../core/errors.js";
import type { EnvironmentDefinition, EnvironmentFamily } from "../../env/contract.js";
import { completeParameters, defineEnvironment, withDefaults } from "../../env/definition.js";
import { Foraging } from "./foraging.js";
import { layOut, type Parameters, shape } from "./parameters.js";
import { gather } from "./scripts.js";

const SOURCE = "lbforaging 2.0.0; checked step by step against recordings of it";

export const foraging = defineEnvironment({
  id: "lbf/foraging_v3",
  summary: "Players of different levels collect foods that they often can only lift together.",
  source: SOURCE,
  parameters: shape,
  scripts: { gather },
  create: (p, options) => new Foraging("lbf/foraging_v3", p, options),
});

/** The same environment under another id, with other defaults. */
function preset(
  id: string,
  summary: string,
  source: string,
  defaults: Partial<Parameters>,
): EnvironmentDefinition {
  return defineEnvironment({
    id,
    summary,
    source,
    presetOf: foraging.id,
    parameters: withDefaults(shape, defaults),
    scripts: { gather },
    create: (p, options) => new Foraging(id, p as Parameters, options),
  });
}

/** Section 5 and appendix E.2 of Kazari and Dán 2026; constants from BATPAL/configs/env/lbforaging.yaml. */
export const batpalForaging = preset(
  "lbf/batpal-10x10-5p-10f-c_v0",
  "Level-Based Foraging as in BATPAL: 5 players, 10 foods on 10 × 10 cells, forced cooperation, common reward.",
  "kiarashkaz/BATPAL; checked step by step against recordings of it",
  {
    rows: 10,
    cols: 10,
    players: 5,
    food: 10,
    maxPlayerLevel: 3,
    forceCoop: true,
    sight: 5,
    rules: "batpal",
    sharedReward: true,
  },
);

const PREFIX = "lbf/";
const PATTERN = "lbf/Foraging[-grid][-SIGHTs]-ROWSxCOLS-PLAYERSp-FOODf[-coop][-ind][-pen]-v3";
/** of the tasks whose name ends in "-pen" */
const PENALTY = 0.1;

/** What each part of a name sets. */
const PARTS: readonly (readonly [RegExp, (...numbers: number[]) => Partial<Parameters>])[] = [
  [/^(\d+)x(\d+)$/, (rows, cols) => ({ rows, cols })],
  [/^(\d+)p$/, (players) => ({ players })],
  [/^(\d+)f$/, (food) => ({ food })],
  [/^(\d+)s$/, (sight) => ({ sight })],
  [/^grid$/, () => ({ gridObservation: true })],
  [/^coop$/, () => ({ forceCoop: true })],
  [/^ind$/, () => ({ maxFoodLevel: 1 })],
  [/^pen$/, () => ({ penalty: PENALTY })],
];

/** Whether a name is meant as one of this family, malformed or not. */
function isTask(name: string): boolean {
  return /^lbf\/(foraging-|(.*-)?\d+x\d+-)/i.test(name) && !/^lbf\/batpal/i.test(name);
}

/**
 * Names as in the original: "lbf/Foraging-2s-8x8-2p-3f-coop-v3". The word Foraging and the version may be left out, and
 * the parts may come in any order.
 */
export const foragingTasks: EnvironmentFamily = {
  pattern: PATTERN,
  parse(name) {
    if (!isTask(name)) return undefined;
    const defaults = readTask(name);
    const id = taskId(defaults);
    const complete = completeParameters({ ...foraging, id }, defaults) as Parameters;
    layOut(id, complete);
    const { rows, cols, sight } = complete;
    if (sight !== null && sight > Math.max(rows, cols)) {
      throw new UserError(`"${name}": got a sight of ${sight}, expected at most the field's size.`);
    }
    const summary = `Level-Based Foraging: ${complete.players} players, ${complete.food} foods on ${rows} × ${cols} cells.`;
    return preset(id, summary, SOURCE, defaults);
  },
};

/** @throws UserError naming the part that is unknown, missing or there twice */
function readTask(name: string): Partial<Parameters> {
  const text = name.slice(PREFIX.length).replace(/^foraging-/i, "");
  const version = /-v(\d+)$/.exec(text);
  if (version !== null && version[1] !== "3") {
    throw new UserError(`"${name}": got version ${version[1]}, expected -v3.`);
  }
  const out: Partial<Parameters> = {};
  for (const part of (version === null ? text : text.slice(0, version.index)).split("-")) {
    const found = PARTS.map(([form, set]) => [form.exec(part), set] as const).find(
      ([match]) => match !== null,
    );
    if (found === undefined) {
      throw new UserError(`"${name}": unknown part "${part}", expected ${PATTERN}.`);
    }
    const set = found[1](...found[0]!.slice(1).map(Number));
    if (Object.keys(set).some((key) => key in out)) {
      throw new UserError(`"${name}": "${part}" says again what another part says, expected ${PATTERN}.`);
    }
    Object.assign(out, set);
  }
  const missing = (["rows", "players", "food"] as const).find((key) => !(key in out));
  if (missing !== undefined) {
    const what = { rows: "the field's size", players: "the number of players", food: "the number of foods" };
    throw new UserError(`"${name}": ${what[missing]} is missing, expected ${PATTERN}.`);
  }
  return out;
}

/** The full name in the original's order. */
function taskId(p: Partial<Parameters>): string {
  const parts = [
    "Foraging",
    ...(p.gridObservation ? ["grid"] : []),
    ...(p.sight === undefined ? [] : [`${p.sight}s`]),
    `${p.rows}x${p.cols}`,
    `${p.players}p`,
    `${p.food}f`,
    ...(p.forceCoop ? ["coop"] : []),
    ...(p.maxFoodLevel === undefined ? [] : ["ind"]),
    ...(p.penalty === undefined ? [] : ["pen"]),
  ];
  return `${PREFIX}${parts.join("-")}-v3`;
}
