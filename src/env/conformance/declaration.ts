/** Rules about what an environment declares: names, features, spaces, array sizes, capabilities. */
import type { Environment, EnvironmentSpec, GroupSpec, Space } from "../contract.js";
import { featureProblem } from "../features.js";
import { actionSize, maskSize } from "../spaces.js";
import type { Findings } from "./finding.js";

export function checkDeclaration(environment: Environment, copies: number, findings: Findings): void {
  const { spec } = environment;
  checkNames(spec, findings);
  for (const group of spec.groups) {
    const problem = featureProblem(group.features, group.obsSize);
    if (problem !== null) {
      findings.add(
        "features",
        `group "${group.name}": ${problem}. Declare one feature for every part of the observation.`,
      );
    }
    checkSpace(group, findings);
  }
  const problem = featureProblem(spec.stateFeatures, spec.stateSize);
  if (problem !== null)
    findings.add("features", `global state: ${problem}. Declare one feature for every part.`);
  checkSizes(environment, copies, findings);
  checkCapabilities(environment, findings);
}

function checkNames(spec: EnvironmentSpec, findings: Findings): void {
  if (spec.groups.length === 0)
    findings.add("shapes", "the environment has no groups. Declare at least one.");
  const seen = new Set<string>();
  for (const group of spec.groups) {
    if (group.agents.length === 0)
      findings.add("shapes", `group "${group.name}" has no agents. Leave it out.`);
    for (const agent of group.agents) {
      if (seen.has(agent)) {
        findings.add(
          "agent-names",
          `two agents are named "${agent}". Names must be unique in the environment.`,
        );
      }
      seen.add(agent);
    }
  }
  if (new Set(spec.groups.map((g) => g.name)).size < spec.groups.length) {
    findings.add("agent-names", "two groups have the same name. Names of groups must be unique.");
  }
  if (new Set(spec.episodeMetrics).size < spec.episodeMetrics.length) {
    findings.add("agent-names", "two episode metrics have the same name. Names of metrics must be unique.");
  }
}

function checkSpace(group: GroupSpec, findings: Findings): void {
  const problem = spaceProblem(group.action);
  if (problem !== null) findings.add("shapes", `group "${group.name}": ${problem}.`);
  if (group.hasActionMask && group.action.kind === "box") {
    findings.add(
      "shapes",
      `group "${group.name}" declares an action mask for a box. Only integers have masks.`,
    );
  }
  const names = group.actionNames;
  if (names !== undefined && (group.action.kind !== "discrete" || names.length !== group.action.n)) {
    findings.add(
      "shapes",
      `group "${group.name}" has ${names.length} action names; name every discrete action once.`,
    );
  }
}

function spaceProblem(space: Space): string | null {
  if (space.kind === "box") {
    if (space.low.length !== space.high.length || space.low.length === 0) {
      return `the box has ${space.low.length} lower and ${space.high.length} upper bounds; expected equally many, ≥ 1`;
    }
    const d = space.low.findIndex((low, k) => !(low < space.high[k]));
    return d < 0
      ? null
      : `box dimension ${d} has the bounds [${space.low[d]}, ${space.high[d]}]; expected low < high`;
  }
  const sizes = space.kind === "discrete" ? [space.n] : space.sizes;
  const bad = sizes.find((n) => !Number.isInteger(n) || n < 1);
  if (bad !== undefined || sizes.length === 0)
    return `the action space has size ${bad ?? 0}; expected an integer ≥ 1`;
  return null;
}

function checkSizes(environment: Environment, copies: number, findings: Findings): void {
  const { spec, ended } = environment;
  const expectLength = (what: string, array: ArrayLike<unknown> | null, expected: number | null) => {
    const got = array === null ? null : array.length;
    if (got === expected) return;
    const name = (n: number | null) => (n === null ? "null" : `${n} entries`);
    findings.add(
      "shapes",
      `${what} has ${name(got)}, expected ${name(expected)}. Allocate it from the spec.`,
    );
  };
  if (environment.copies !== copies) {
    findings.add("shapes", `created with ${copies} copies, but copies is ${environment.copies}.`);
    return;
  }
  if (environment.groups.length !== spec.groups.length || ended.obs.length !== spec.groups.length) {
    findings.add(
      "shapes",
      `groups and ended.obs must have ${spec.groups.length} entries, one for each group.`,
    );
    return;
  }
  for (const [g, group] of spec.groups.entries()) {
    const arrays = environment.groups[g];
    const rows = copies * group.agents.length;
    const at = `group "${group.name}",`;
    expectLength(`${at} obs`, arrays.obs, rows * group.obsSize);
    expectLength(`${at} ended.obs`, ended.obs[g], rows * group.obsSize);
    expectLength(`${at} action`, arrays.action, rows * actionSize(group.action));
    expectLength(
      `${at} actionMask`,
      arrays.actionMask,
      group.hasActionMask ? rows * maskSize(group.action) : null,
    );
    expectLength(`${at} reward`, arrays.reward, rows);
    expectLength(`${at} alive`, arrays.alive, rows);
    expectLength(`${at} acting`, arrays.acting, rows);
    const kind = group.action.kind === "box" ? Float32Array : Int32Array;
    if (!(arrays.action instanceof kind)) findings.add("shapes", `${at} action must be a ${kind.name}.`);
  }
  expectLength("state", environment.state, copies * spec.stateSize);
  expectLength("ended.state", ended.state, copies * spec.stateSize);
  expectLength("ended.metrics", ended.metrics, copies * spec.episodeMetrics.length);
  expectLength("ended.copies", ended.copies, copies);
  expectLength("terminated", environment.terminated, copies);
  expectLength("truncated", environment.truncated, copies);
}

function checkCapabilities(environment: Environment, findings: Findings): void {
  const { saveState, frames, exactModel = false } = environment.spec.capabilities;
  type Method = "saveState" | "loadState" | "frame" | "exactModel" | "modelState";
  const expectPresent = (name: Method, declared: boolean) => {
    if ((environment[name] !== undefined) === declared) return;
    findings.add(
      "capabilities",
      `${name}() is ${declared ? "missing" : "there"}, but the spec ${declared ? "declares" : "denies"} it. Let both agree.`,
    );
  };
  expectPresent("saveState", saveState);
  expectPresent("loadState", saveState);
  expectPresent("frame", frames);
  expectPresent("exactModel", exactModel);
  expectPresent("modelState", exactModel);
}
