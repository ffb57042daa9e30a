/**
 * The conformance suite: what every environment must do, whoever wrote it. `phalanx env check ID` runs it, and so do
 * the tests, over the whole registry. Its own tests break small environments in one rule each.
 */
import { UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { flattenTree } from "../core/tree.js";
import { checkDeclaration } from "./conformance/declaration.js";
import { checkExactModel } from "./conformance/exact-model.js";
import { type Finding, Findings } from "./conformance/finding.js";
import {
  fingerprint,
  firstDifference,
  Player,
  play,
  scribbleIdleActions,
  type Trace,
} from "./conformance/trace.js";
import { walk } from "./conformance/walk.js";
import type { Environment, EnvironmentDefinition, EnvironmentSpec, EnvironmentState } from "./contract.js";
import { completeParameters } from "./definition.js";
import { actionSize } from "./spaces.js";

export type { Finding, Rule } from "./conformance/finding.js";

export interface CheckOptions {
  /** Steps of the walk; by default two episodes where they are short, at least 60, at most 300. */
  readonly steps?: number;
  readonly seed?: number;
}

/** Copies of the walk, and of the larger set in which copy 17 is looked up. */
const COPIES = 6;
const MANY = 64;
const PICKED = 17;

/**
 * Check one environment with one set of parameters against every rule of the contract.
 *
 * @param given parameters that differ from the defaults
 * @returns what is wrong, one finding a rule; empty if nothing is. Rules that need a broken one are left out.
 * @throws UserError if the given parameters are wrong
 */
export async function checkEnvironment(
  definition: EnvironmentDefinition,
  given: Readonly<Record<string, unknown>> = {},
  options: CheckOptions = {},
): Promise<Finding[]> {
  const findings = new Findings();
  checkParameters(definition, findings);
  if (findings.has("parameters") && !definition.parameters.safeParse(given).success) return findings.list;
  const parameters = completeParameters(definition, given);
  const opened: Environment[] = [];
  const suite = new Suite(findings, options.seed ?? 0, async (copies, keepFinalFrames = false) => {
    const environment = await definition.create(parameters, {
      copies,
      keepFinalFrames,
    });
    opened.push(environment);
    return environment;
  });
  try {
    await suite.run(options.steps);
  } catch (error) {
    // A check that cannot go on is a finding, not a crash.
    findings.add(
      "runs",
      `the environment threw "${error instanceof Error ? error.message : String(error)}".`,
    );
  } finally {
    for (const environment of opened) environment.close();
  }
  return findings.list;
}

function checkParameters(definition: EnvironmentDefinition, findings: Findings): void {
  if (!/^[^/]+\/.+[_-]v\d+$/.test(definition.id)) {
    findings.add("parameters", `the id "${definition.id}" is not of the form "family/name_v0".`);
  }
  if (!definition.parameters.safeParse({}).success) {
    findings.add("parameters", "the parameters have no complete defaults. Give every one a default.");
  }
  if (definition.parameters.safeParse({ "no such parameter": 1 }).success) {
    findings.add(
      "parameters",
      "an unknown parameter is accepted. Use a strict schema (defineEnvironment does).",
    );
  }
}

type Create = (copies: number, keepFinalFrames?: boolean) => Promise<Environment>;

class Suite {
  readonly #findings: Findings;
  readonly #seed: number;
  readonly #create: Create;

  constructor(findings: Findings, seed: number, create: Create) {
    this.#findings = findings;
    this.#seed = seed;
    this.#create = create;
  }

  async run(wanted: number | undefined): Promise<void> {
    const findings = this.#findings;
    const first = await this.#create(COPIES);
    checkDeclaration(first, COPIES, findings);
    if (findings.has("agent-names", "features", "shapes", "capabilities")) return;
    const { spec } = first;
    const steps = wanted ?? Math.min(300, Math.max(60, 2 * (spec.maxSteps ?? 60) + 2));
    this.#checkResetFirst(first);
    await this.#checkActions(spec);
    first.reset(this.#seed);
    walk(first, new Player(COPIES, this.#seed), steps, findings);
    await this.#checkLimit(spec, steps);
    // What ended copies showed cannot be compared where they are not listed.
    if (!findings.has("ended-list")) await this.#checkDeterminism(first, steps);
    if (!findings.has("ended-list", "determinism")) {
      await this.#checkCopies(steps);
      await this.#checkIsolation(steps);
      await this.#checkIdleActions(steps);
      if (spec.capabilities.saveState) await this.#checkSaving(steps);
    }
    if (spec.capabilities.frames) await this.#checkFrames(spec, steps);
    if (spec.capabilities.exactModel) {
      const environment = await this.#create(COPIES);
      environment.reset(this.#seed);
      checkExactModel(environment, new Player(COPIES, this.#seed), steps, findings);
    }
    this.#checkClose(first);
  }

  #checkResetFirst(environment: Environment): void {
    try {
      environment.step();
    } catch (error) {
      if (error instanceof UserError) return;
      this.#findings.add("reset-first", "step() before reset() throws something else than a UserError.");
      return;
    }
    this.#findings.add(
      "reset-first",
      "step() before reset() is accepted. Throw a UserError that asks for reset(seed).",
    );
  }

  /** Illegal actions of the last agent of every group in the last copy, all others being legal. */
  async #checkActions(spec: EnvironmentSpec): Promise<void> {
    const environment = await this.#create(2);
    const player = new Player(2, this.#seed);
    for (const [g, group] of spec.groups.entries()) {
      const size = actionSize(group.action);
      for (const bad of illegalValues(group.action)) {
        environment.reset(this.#seed);
        player.act(environment);
        const { action } = environment.groups[g];
        action[action.length - size] = bad;
        const agent = group.agents[group.agents.length - 1];
        this.#expectRefusal(environment, agent, String(action[action.length - size]));
      }
      if (group.hasActionMask && group.maskedAction === undefined)
        this.#checkMaskedAction(environment, player, g);
      else if (group.hasActionMask) await this.#checkReplacedAction(g);
    }
  }

  /** Masked actions of group g where the declared one stands instead: two equal environments must stay equal. */
  async #checkReplacedAction(g: number): Promise<void> {
    const [masked, declared] = [await this.#create(2), await this.#create(2)];
    const { action: space, maskedAction } = masked.spec.groups[g];
    const n = space.kind === "discrete" ? space.n : 0;
    if (!(Number.isInteger(maskedAction) && maskedAction! >= 0 && maskedAction! < n)) {
      const expected = n === 0 ? "none, since actions are not discrete" : `an integer in [0, ${n})`;
      this.#findings.add("mask", `maskedAction is ${maskedAction}, expected ${expected}.`);
      return;
    }
    const player = new Player(2, this.#seed);
    const traces: Trace[] = [masked, declared].map(() => ({ copies: 2, steps: [] }));
    for (const environment of [masked, declared]) environment.reset(this.#seed);
    for (let t = 0; t < 60; t++) {
      player.act(masked);
      declared.groups.forEach((group, k) => {
        group.action.set(masked.groups[k].action);
      });
      const { action, actionMask } = masked.groups[g];
      // Every second row, so that masked and ordinary actions meet.
      for (let row = t % 2; row < action.length; row += 2) {
        const other = actionMask!.subarray(row * n, (row + 1) * n).indexOf(0);
        if (other < 0 || masked.groups[g].acting[row] === 0) continue;
        action[row] = other;
        declared.groups[g].action[row] = maskedAction!;
      }
      for (const [k, environment] of [masked, declared].entries()) {
        environment.step();
        traces[k].steps.push(fingerprint(environment));
      }
    }
    const difference = firstDifference(traces[0], traces[1]);
    if (difference !== null) {
      this.#findings.add(
        "mask",
        `${difference} differ between masked actions and ${maskedAction}, which they become (maskedAction). Treat both alike.`,
      );
    }
  }

  /** Play until the last agent of group g in copy 1 has a masked action, and try it. */
  #checkMaskedAction(environment: Environment, player: Player, g: number): void {
    const { agents, action: space } = environment.spec.groups[g];
    const { action, actionMask } = environment.groups[g];
    const width = actionMask!.length / (2 * agents.length);
    const n = space.kind === "discrete" ? space.n : space.kind === "multi-discrete" ? space.sizes[0] : 0;
    environment.reset(this.#seed);
    for (let t = 0; t < 60; t++) {
      player.act(environment);
      const start = actionMask!.length - width;
      const masked = actionMask!.subarray(start, start + n).indexOf(0);
      if (masked >= 0) {
        action[action.length - actionSize(space)] = masked;
        this.#expectRefusal(environment, agents[agents.length - 1], String(masked), "masked ");
        return;
      }
      environment.step();
    }
  }

  #expectRefusal(environment: Environment, agent: string, value: string, kind = ""): void {
    const what = `the ${kind}action ${value} of agent "${agent}" in copy 1`;
    try {
      environment.step();
    } catch (error) {
      const message = error instanceof UserError ? error.message : "";
      if ([agent, value, "1"].every((part) => message.includes(part))) return;
      this.#findings.add(
        "action-validation",
        `${what} is refused without a UserError that names agent, copy and value. Use validateActions.`,
      );
      return;
    }
    this.#findings.add(
      "action-validation",
      `${what} is accepted. Call validateActions at the start of step().`,
    );
  }

  /** Long episodes, which the walk did not see to their end. */
  async #checkLimit(spec: EnvironmentSpec, walked: number): Promise<void> {
    if (spec.maxSteps === null || spec.maxSteps <= walked || spec.maxSteps > 20_000) return;
    const environment = await this.#create(1);
    environment.reset(this.#seed);
    walk(environment, new Player(1, this.#seed), spec.maxSteps + 1, this.#findings);
  }

  async #trace(copies: number, first: number, steps: number) {
    const environment = await this.#create(copies);
    environment.reset(this.#seed, first);
    return play(environment, new Player(copies, this.#seed, first), steps);
  }

  /** The same seed and actions twice: in a used environment and in a new one. */
  async #checkDeterminism(used: Environment, steps: number): Promise<void> {
    const again = () => {
      used.reset(this.#seed);
      return play(used, new Player(COPIES, this.#seed), steps);
    };
    const one = again();
    const cure = "Draw all randomness from the copy's streams and set the whole state in reset.";
    const difference =
      firstDifference(one, again()) ?? firstDifference(one, await this.#trace(COPIES, 0, steps));
    if (difference !== null) {
      this.#findings.add("determinism", `the same seed and actions give other ${difference}. ${cure}`);
    }
  }

  /** A copy depends on its seed and actions alone: not on E, not on its place, not on its neighbours. */
  async #checkCopies(steps: number): Promise<void> {
    const many = await this.#trace(MANY, 0, steps);
    const alone = await this.#trace(1, PICKED, steps);
    const few = await this.#trace(3, PICKED - 1, steps);
    const difference =
      firstDifference(many, alone, [[PICKED, 0]]) ??
      firstDifference(many, few, [
        [PICKED - 1, 0],
        [PICKED, 1],
        [PICKED + 1, 2],
      ]);
    if (difference !== null) {
      this.#findings.add(
        "copy-independence",
        `${difference} differ when the copy runs alone (reset with first = ${PICKED}). Let a copy use its own state and its own streams of (seed, first + e) only.`,
      );
    }
  }

  /** Two instances whose steps alternate do what they do alone. */
  async #checkIsolation(steps: number): Promise<void> {
    const alone = await this.#trace(2, 0, steps);
    const [a, b] = [await this.#create(2), await this.#create(2)];
    const [playerA, playerB] = [new Player(2, this.#seed), new Player(2, this.#seed + 1)];
    a.reset(this.#seed);
    b.reset(this.#seed + 1);
    const mixed = { copies: 2, steps: [] as Uint32Array[] };
    for (let t = 0; t < steps; t++) {
      playerB.act(b);
      playerA.act(a);
      b.step();
      a.step();
      mixed.steps.push(fingerprint(a));
    }
    const difference = firstDifference(alone, mixed);
    if (difference !== null) {
      this.#findings.add(
        "isolation",
        `${difference} differ when another instance is stepped in between. Keep state in the instance, not in the module.`,
      );
    }
  }

  /** Actions of the dead and the waiting mean nothing. */
  async #checkIdleActions(steps: number): Promise<void> {
    const calm = await this.#trace(COPIES, 0, steps);
    const environment = await this.#create(COPIES);
    environment.reset(this.#seed);
    const stream = RandomStream.from(this.#seed, "conformance", "idle");
    const noisy = play(environment, new Player(COPIES, this.#seed), steps, () => {
      scribbleIdleActions(environment, stream);
    });
    const difference = firstDifference(calm, noisy);
    if (difference !== null) {
      this.#findings.add(
        "acting",
        `${difference} depend on the action of an agent that is dead or waits. Ignore actions where acting is 0.`,
      );
    }
  }

  /** Saving in the middle and going on, in the same instance and in another, gives the same future. */
  async #checkSaving(steps: number): Promise<void> {
    const half = Math.max(1, Math.floor(steps / 2) - 1);
    const a = await this.#create(COPIES);
    a.reset(this.#seed);
    play(a, new Player(COPIES, this.#seed), half);
    const saved = a.saveState!();
    const before = digest(saved);
    const future = (environment: Environment) => play(environment, new Player(COPIES, this.#seed + 1), steps);
    const expected = future(a);
    if (digest(saved) !== before) {
      this.#findings.add(
        "save-state",
        "a saved state changes when the environment goes on. Return copies of the arrays.",
      );
      return;
    }
    const cure = "Save everything that determines the future, streams and step counters included.";
    a.loadState!(saved);
    const again = firstDifference(expected, future(a));
    if (again !== null) this.#findings.add("save-state", `after loadState, ${again} differ. ${cure}`);
    const b = await this.#create(COPIES);
    b.loadState!(saved);
    const elsewhere = firstDifference(expected, future(b));
    if (elsewhere !== null) {
      this.#findings.add("save-state", `after loadState in another instance, ${elsewhere} differ. ${cure}`);
    }
    const small = await this.#create(1);
    try {
      small.loadState!(saved);
    } catch (error) {
      if (error instanceof UserError) return;
    }
    this.#findings.add(
      "save-state",
      "the state of other copies is loaded without a UserError. Compare shapes first.",
    );
  }

  async #checkFrames(spec: EnvironmentSpec, steps: number): Promise<void> {
    const environment = await this.#create(COPIES, true);
    const agents = new Set(spec.groups.flatMap((g) => g.agents));
    environment.reset(this.#seed);
    const player = new Player(COPIES, this.#seed);
    for (let t = 0; t < steps; t++) {
      const frames = [environment.frame!(COPIES - 1)];
      for (let r = 0; r < environment.ended.count; r++) {
        const last = environment.ended.frames[r];
        if (last === null) {
          this.#findings.add(
            "frames",
            "keepFinalFrames is set, but ended.frames is null where a copy ended. Draw it before the reset.",
          );
          return;
        }
        frames.push(last);
      }
      for (const shape of frames.flatMap((frame) => frame.shapes)) {
        const numbers =
          shape.kind === "circle"
            ? [shape.x, shape.y, shape.radius]
            : [shape.x1, shape.y1, shape.x2, shape.y2];
        if (!numbers.every(Number.isFinite)) {
          this.#findings.add(
            "frames",
            `a ${shape.kind} has the coordinates ${numbers.join(", ")}; expected finite numbers.`,
          );
        }
        if (shape.kind === "circle" && shape.agent !== undefined && !agents.has(shape.agent)) {
          this.#findings.add("frames", `a shape belongs to "${shape.agent}", but no agent has that name.`);
        }
      }
      player.act(environment);
      environment.step();
    }
  }

  #checkClose(environment: Environment): void {
    try {
      environment.close();
      environment.close();
    } catch {
      this.#findings.add("close", "close() throws when it is called twice. Let the second call do nothing.");
    }
  }
}

function illegalValues(space: EnvironmentSpec["groups"][number]["action"]): number[] {
  if (space.kind === "discrete") return [-1, space.n];
  if (space.kind === "multi-discrete") return [-1, space.sizes[0]];
  const beyond = (bound: number, by: number) => (Number.isFinite(bound) ? [bound + by] : []);
  return [Number.NaN, ...beyond(space.low[0], -1), ...beyond(space.high[0], 1)];
}

/** All numbers of a saved state as text: to see whether it changes. */
function digest(state: EnvironmentState): string {
  return flattenTree(state)
    .map(([path, leaf]) => `${path}:${leaf.data.join()}`)
    .join(";");
}
