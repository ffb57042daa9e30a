/** Rules that must hold at every step: a long random walk that looks at everything. */
import type { Environment, Feature, GroupArrays, GroupSpec } from "../contract.js";
import { maskSize, onlyFirst } from "../spaces.js";
import type { Findings } from "./finding.js";
import type { Player } from "./trace.js";

/** float32 rounding of a declared bound */
const RANGE_SLACK = 1e-5;

/** Take `steps` random steps and note what is wrong on the way. The environment is already reset. */
export function walk(environment: Environment, player: Player, steps: number, findings: Findings): void {
  const arrays = identities(environment);
  const elapsed = new Int32Array(environment.copies);
  const endings = new EndingStatistics();
  checkView(environment, 0, findings);
  for (let t = 1; t <= steps; t++) {
    player.act(environment);
    const before = environment.groups.map(({ obs, alive }) => ({ obs: obs.slice(), alive: alive.slice() }));
    environment.step();
    for (let e = 0; e < environment.copies; e++) elapsed[e]++;
    const moved = identities(environment).findIndex((array, k) => array !== arrays[k]);
    if (moved >= 0) {
      findings.add(
        "array-identity",
        `step ${t}: an array was replaced. Write in place; callers keep the arrays.`,
      );
    }
    checkView(environment, t, findings);
    checkStep(environment, t, elapsed, before, findings);
    endings.observe(environment, before);
    for (let e = 0; e < environment.copies; e++) {
      if (environment.terminated[e] + environment.truncated[e] > 0) elapsed[e] = 0;
    }
  }
  endings.judge(findings);
}

function identities(environment: Environment): unknown[] {
  const { ended } = environment;
  return [
    ...environment.groups.flatMap((g) => [g, g.obs, g.actionMask, g.action, g.reward, g.alive, g.acting]),
    ...[environment.groups, environment.state, environment.terminated, environment.truncated, ended],
    ...[ended.copies, ended.obs, ended.state, ended.metrics, ...ended.obs],
  ];
}

/** What the agents may see and do now. */
function checkView(environment: Environment, t: number, findings: Findings): void {
  const { spec, copies } = environment;
  for (const [g, group] of spec.groups.entries()) {
    const arrays = environment.groups[g];
    const rows = copies * group.agents.length;
    checkBits(arrays.alive, `step ${t}, group "${group.name}", alive`, "dead", findings);
    checkBits(arrays.acting, `step ${t}, group "${group.name}", acting`, "acting", findings);
    checkFinite(arrays.obs, `step ${t}, group "${group.name}", obs`, findings);
    for (let row = 0; row < rows; row++) {
      const place = () => where(group, row, t);
      // A dead agent's zeros say nothing about ranges.
      if (arrays.alive[row] === 1)
        checkRanges(arrays.obs, row, group.obsSize, group.features, place, findings);
      checkIdle(spec.turnBased, group, arrays, row, place, findings);
      if (arrays.actionMask !== null) checkMask(group, arrays.actionMask, row, place, findings);
    }
  }
  checkFinite(environment.state, `step ${t}, state`, findings);
  for (let e = 0; e < copies; e++) {
    const place = () => `step ${t}, copy ${e}, global state`;
    checkRanges(environment.state, e, spec.stateSize, spec.stateFeatures, place, findings);
    const acts = environment.groups.some((group, g) => {
      const n = spec.groups[g].agents.length;
      return group.acting.subarray(e * n, (e + 1) * n).some((x) => x === 1);
    });
    if (!acts)
      findings.add("acting", `step ${t}, copy ${e}: nobody acts. End the episode or let somebody act.`);
  }
}

function where(group: GroupSpec, row: number, t: number): string {
  const n = group.agents.length;
  return `step ${t}, copy ${Math.floor(row / n)}, agent "${group.agents[row % n]}"`;
}

function checkBits(
  bits: Uint8Array,
  place: string,
  rule: "dead" | "acting" | "flags",
  findings: Findings,
): void {
  const bad = bits.find((x) => x > 1);
  if (bad !== undefined) findings.add(rule, `${place}: got ${bad}, expected 0 or 1.`);
}

function checkFinite(values: ArrayLike<number>, place: string, findings: Findings): void {
  for (let k = 0; k < values.length; k++) {
    if (Number.isFinite(values[k])) continue;
    findings.add(
      "finite",
      `${place}[${k}] is ${values[k]}. Look for a division by zero or a missing initial value.`,
    );
    return;
  }
}

function checkRanges(
  values: Float32Array,
  row: number,
  width: number,
  features: readonly Feature[],
  place: () => string,
  findings: Findings,
): void {
  for (const { name, offset, size, low, high, kind } of features) {
    let raised = 0;
    for (let k = offset; k < offset + size; k++) {
      const x = values[row * width + k];
      const slack = RANGE_SLACK * Math.max(1, Math.abs(x));
      if (x < low - slack || x > high + slack) {
        const range = `[${low}, ${high}]`;
        findings.add(
          "ranges",
          `${place()}: feature "${name}" is ${x}, declared ${range}. Correct the range or the value.`,
        );
      }
      if (kind !== "one-hot") continue;
      if (Math.abs(x - high) <= slack) raised++;
      else if (Math.abs(x - low) > slack) raised = 2;
    }
    if (raised > 1) {
      findings.add(
        "ranges",
        `${place()}: feature "${name}" is declared one-hot, but not one entry at ${high} and the others at ${low}. Declare it continuous.`,
      );
    }
  }
}

/** Dead agents show nothing and act no more; who waits has action 0 alone. */
function checkIdle(
  turnBased: boolean,
  group: GroupSpec,
  { alive, acting, obs, actionMask }: GroupArrays,
  row: number,
  place: () => string,
  findings: Findings,
): void {
  if (alive[row] === 0) {
    if (acting[row] === 1)
      findings.add("dead", `${place()} is dead but acts. Set acting to 0 where alive is 0.`);
    if (obs.subarray(row * group.obsSize, (row + 1) * group.obsSize).some((x) => x !== 0)) {
      findings.add("dead", `${place()} is dead but observes something. Write zeros.`);
    }
  } else if (acting[row] === 0 && !turnBased) {
    findings.add(
      "acting",
      `${place()} lives but does not act. Declare the environment turn-based or let it act.`,
    );
  }
  if (acting[row] === 1 || actionMask === null) return;
  const width = maskSize(group.action);
  const expected = new Uint8Array(width);
  onlyFirst(group.action, expected, 0);
  if (expected.some((x, k) => x !== actionMask[row * width + k])) {
    const [rule, state] = alive[row] === 0 ? (["dead", "is dead"] as const) : (["acting", "waits"] as const);
    findings.add(
      rule,
      `${place()} ${state}, but its mask allows more or less than action 0. Allow action 0 alone.`,
    );
  }
}

function checkMask(
  group: GroupSpec,
  mask: Uint8Array,
  row: number,
  place: () => string,
  findings: Findings,
): void {
  const { action } = group;
  const sizes =
    action.kind === "discrete" ? [action.n] : action.kind === "multi-discrete" ? action.sizes : [];
  let offset = row * maskSize(action);
  for (const size of sizes) {
    const part = mask.subarray(offset, offset + size);
    if (part.some((x) => x > 1))
      findings.add("mask", `${place()}: the mask holds other values than 0 and 1.`);
    if (part.every((x) => x === 0)) {
      findings.add(
        "mask",
        `${place()}: the mask allows nothing. Allow at least one action, a no-op if need be.`,
      );
    }
    offset += size;
  }
}

/** What the step just taken did. */
function checkStep(
  environment: Environment,
  t: number,
  elapsed: Int32Array,
  before: readonly { alive: Uint8Array }[],
  findings: Findings,
): void {
  const { spec, copies, terminated, truncated, ended } = environment;
  checkBits(terminated, `step ${t}, terminated`, "flags", findings);
  checkBits(truncated, `step ${t}, truncated`, "flags", findings);
  for (let e = 0; e < copies; e++) {
    const place = `step ${t}, copy ${e}`;
    const over = terminated[e] + truncated[e];
    if (over === 2) {
      findings.add(
        "flags",
        `${place}: terminated and truncated are both 1. Truncate only where the task did not end.`,
      );
    }
    if (spec.maxSteps !== null && elapsed[e] >= spec.maxSteps && over === 0) {
      findings.add(
        "limit",
        `${place}: the episode goes on after ${elapsed[e]} steps, maxSteps is ${spec.maxSteps}. Truncate it there.`,
      );
    }
    if (spec.maxSteps !== null && truncated[e] === 1 && elapsed[e] < spec.maxSteps) {
      findings.add(
        "limit",
        `${place}: truncated after ${elapsed[e]} steps, maxSteps is ${spec.maxSteps}. Let both agree.`,
      );
    }
  }
  const expected = Array.from({ length: copies }, (_, e) => e).filter(
    (e) => terminated[e] + truncated[e] > 0,
  );
  const listed = [...ended.copies.subarray(0, ended.count)];
  if (listed.join() !== expected.join()) {
    findings.add(
      "ended-list",
      `step ${t}: ended lists the copies [${listed.join(", ")}], the flags say [${expected.join(", ")}]. List each in ascending order.`,
    );
  }
  for (const [g, group] of spec.groups.entries()) {
    const { reward, alive } = environment.groups[g];
    checkFinite(reward, `step ${t}, group "${group.name}", reward`, findings);
    for (let row = 0; row < reward.length; row++) {
      const died = before[g].alive[row] === 0;
      const over =
        terminated[Math.floor(row / group.agents.length)] + truncated[Math.floor(row / group.agents.length)];
      if (died && reward[row] !== 0) {
        findings.add("dead", `${where(group, row, t)} was dead but is paid ${reward[row]}. Pay 0.`);
      }
      if (died && over === 0 && alive[row] === 1) {
        findings.add(
          "dead",
          `${where(group, row, t)} came back to life. The dead stay dead until the reset.`,
        );
      }
    }
  }
  checkLast(environment, t, findings);
}

/** What copies that ended showed last. */
function checkLast({ spec, ended }: Environment, t: number, findings: Findings): void {
  const rows = Math.min(ended.count, ended.copies.length);
  for (const [g, group] of spec.groups.entries()) {
    const n = group.agents.length;
    checkFinite(ended.obs[g].subarray(0, rows * n * group.obsSize), `step ${t}, ended.obs[${g}]`, findings);
  }
  checkFinite(ended.state.subarray(0, rows * spec.stateSize), `step ${t}, ended.state`, findings);
  checkFinite(
    ended.metrics.subarray(0, rows * spec.episodeMetrics.length),
    `step ${t}, ended.metrics`,
    findings,
  );
}

/**
 * Whether `ended.obs` really holds last observations and `obs` those of the next episode. A single coincidence means
 * nothing; a pattern without exception, in an environment whose observations otherwise change, does.
 */
class EndingStatistics {
  #endings = 0;
  #sameAsNext = 0;
  /** what new episodes showed first, as text */
  readonly #starts = new Set<string>();
  #cut = 0;
  #cutSameAsBefore = 0;
  #transitions = 0;
  #unchanged = 0;

  observe(environment: Environment, before: readonly { obs: Float32Array }[]): void {
    const { spec, ended, copies } = environment;
    const row = (array: Float32Array, g: number, r: number) => {
      const width = spec.groups[g].agents.length * spec.groups[g].obsSize;
      return array.subarray(r * width, (r + 1) * width);
    };
    const all = (pick: (g: number) => readonly [Float32Array, Float32Array]) =>
      spec.groups.every((_, g) => {
        const [a, b] = pick(g);
        return a.every((x, k) => x === b[k]);
      });
    for (let r = 0; r < ended.count; r++) {
      const e = ended.copies[r];
      this.#endings++;
      const now = environment.groups;
      this.#starts.add(spec.groups.map((_, g) => row(now[g].obs, g, e).join()).join(";"));
      if (all((g) => [row(ended.obs[g], g, r), row(now[g].obs, g, e)])) this.#sameAsNext++;
      // A game may well end without showing anything new; a time limit falls on a step like any other.
      if (environment.truncated[e] === 0) continue;
      this.#cut++;
      if (all((g) => [row(ended.obs[g], g, r), row(before[g].obs, g, e)])) this.#cutSameAsBefore++;
    }
    for (let e = 0; e < copies; e++) {
      if (environment.terminated[e] + environment.truncated[e] > 0) continue;
      this.#transitions++;
      if (all((g) => [row(environment.groups[g].obs, g, e), row(before[g].obs, g, e)])) this.#unchanged++;
    }
  }

  judge(findings: Findings): void {
    const changing = this.#transitions > 0 && this.#unchanged < this.#transitions / 2;
    if (!changing) return;
    // Where all episodes start alike, the last observation may be the first again by design.
    if (this.#endings >= 4 && this.#starts.size > 1 && this.#sameAsNext === this.#endings) {
      findings.add(
        "same-step-reset",
        "ended.obs and obs were equal whenever a copy ended. Keep the last observations in ended.obs, then reset and let obs show the new episode.",
      );
    } else if (this.#cut >= 3 && this.#cutSameAsBefore === this.#cut) {
      findings.add(
        "same-step-reset",
        "ended.obs held the observations before the last step whenever a limit cut an episode. Fill it after the step, before the reset.",
      );
    }
  }
}
