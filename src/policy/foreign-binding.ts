/**
 * What the inputs and outputs of a policy file made elsewhere mean: matched by name, or as the caller says, and held
 * against the group of agents that the file is to play. Whatever does not fit is one sentence.
 */
import { UserError } from "../core/errors.js";
import { suggestion } from "../core/suggest.js";
import type { GroupSpec, Space } from "../env/contract.js";
import { actionSize, maskSize } from "../env/index.js";
import type { ImportedModel, ModelValue } from "../onnx/index.js";
import type { ActionMode } from "./actor.js";
import type { BindingOptions, HeadKind } from "./foreign-options.js";

/** From which outputs actions are chosen. */
export type Head =
  /** unnormalised log-probabilities [rows, A] */
  | { readonly kind: "logits"; readonly name: string }
  /** [rows, A], each row sums to 1 (multi-discrete: each part) */
  | { readonly kind: "probabilities"; readonly name: string }
  /** value of each action [rows, A] */
  | { readonly kind: "q-values"; readonly name: string }
  /** mean [rows, D]; standard deviation or its logarithm, [rows, D] or [D] */
  | { readonly kind: "gaussian"; readonly mean: string; readonly std: string; readonly isLog: boolean }
  /** the action itself [rows, D], real */
  | { readonly kind: "action"; readonly name: string };

/** The file's names for everything that a policy takes and gives; plain data. */
export interface Binding {
  readonly obs: string;
  readonly actionMask: string | null;
  readonly agent: string | null;
  /** Inputs of the carried state, each with the output of its next value. */
  readonly state: readonly (readonly [input: string, output: string])[];
  readonly head: Head;
  readonly mode: ActionMode;
  /** Of the softmax over Q values; 1 elsewhere. */
  readonly temperature: number;
}

/** Everything needed to build the policy of a file again; stored beside its parameters. */
export interface OnnxPolicyConfig {
  readonly kind: "onnx";
  /** the file's name, for messages */
  readonly file: string;
  /** "group "agents" of mpe/simple_spread_v3", for messages */
  readonly plays: string;
  /** the file's bytes, in base64 */
  readonly model: string;
  readonly binding: Binding;
  readonly obsSize: number;
  readonly space: Space;
  /** Number of agents of the group, where the file wants the agent's index; else 0. */
  readonly agentIds: number;
  /** Whether the environment has masks; they hold whether the file knows of them or not. */
  readonly actionMask: boolean;
}

/** Whom the policy is to play: the part of a group that matters here. */
export interface BindingTarget {
  /** `group "agents" of mpe/simple_spread_v3`, for messages */
  readonly name: string;
  readonly group: Pick<GroupSpec, "obsSize" | "action">;
}

/** An input, and how R rows of numbers become it. */
export interface RowInput {
  readonly value: ModelValue;
  /** Dimension of the rows. */
  readonly axis: number;
  /** Shape of one row: the other dimensions, in order; a dimension of steps counts as 1. */
  readonly rest: readonly number[];
}

/** Names are compared by their letters and digits alone. */
const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");

const INPUT_NAMES = {
  obs: ["obs", "observation", "observations"],
  actionMask: ["actionmask", "mask", "availableactions", "availactions", "legalactions", "actionmasks"],
  agent: ["agent", "agentid", "agentids", "agentindex"],
} as const;

const OUTPUT_NAMES = {
  logits: ["logits", "logit", "actionlogits", "policylogits", "logprobs", "logprobabilities"],
  probabilities: ["probabilities", "probs", "actionprobs", "actionprobabilities"],
  q: ["q", "qs", "qvalues", "qvalue", "actionvalues"],
  mean: ["mean", "mu", "loc", "actionmean"],
  std: ["std", "stddev", "sigma", "scale", "actionstd"],
  logStd: ["logstd", "logstddev", "logsigma", "actionlogstd"],
  action: ["action", "actions"],
} as const;

const DISCRETE_HEADS = ["logits", "probabilities", "q-values"] as const;
const BOX_HEADS = ["gaussian", "action"] as const;

const quoted = (names: readonly string[]) => names.map((n) => `"${n}"`).join(", ");
const show = ({ dtype, shape }: ModelValue) => `${dtype} [${shape.join(", ")}]`;

/**
 * Which input and which output is what.
 *
 * @param place   the file, for messages
 * @param options what the caller says; names decide the rest
 * @throws UserError in one sentence for a name that the file does not have, an input that nothing is known of, or
 *   outputs that do not say what they are
 */
export function bindNames(
  model: ImportedModel,
  place: string,
  target: BindingTarget,
  options: BindingOptions,
): Binding {
  const inputs = model.inputs.map((v) => v.name);
  const outputs = model.outputs.map((v) => v.name);
  const say = (message: string) => new UserError(`${place}: ${message}`);
  const require = (name: string, what: string, known: readonly string[], kind: "inputs" | "outputs") => {
    if (!known.includes(name))
      throw say(`got ${what}, expected one of its ${kind}. ${suggestion(name, known)}`.trim());
    return name;
  };

  // Carried state that is named, then inputs that are named, then both by their names.
  const state = new Map<string, string>();
  for (const [input, output] of Object.entries(options.state)) {
    const what = `state ${input}=${output}`;
    state.set(require(input, what, inputs, "inputs"), require(output, what, outputs, "outputs"));
  }
  const free = () => inputs.filter((n) => !state.has(n) && !Object.values(found).includes(n));
  const found: Record<keyof typeof INPUT_NAMES, string | null> = { obs: null, actionMask: null, agent: null };
  for (const role of ["obs", "actionMask", "agent"] as const) {
    const given = options.inputs[role];
    if (given !== undefined) found[role] = require(given, `input ${role}=${given}`, inputs, "inputs");
  }
  for (const role of ["obs", "actionMask", "agent"] as const) {
    found[role] ??= free().find((n) => (INPUT_NAMES[role] as readonly string[]).includes(plain(n))) ?? null;
  }
  for (const input of free()) {
    const forms = nextNames(input);
    const next = outputs.find((n) => n !== input && forms.has(plain(n)));
    if (next !== undefined) state.set(input, next);
  }
  const left = free();
  if (found.obs === null && left.length === 1) found.obs = left.pop()!;
  if (found.obs === null) {
    throw say(
      `got ${inputs.length === 0 ? "no inputs" : `inputs ${quoted(inputs)}`}, expected one called obs; say which it is with input obs=NAME.`,
    );
  }
  if (left.length > 0) {
    throw say(
      `its input "${left[0]}" is no observation, action mask, agent or carried state by its name; say what it is with input actionMask=${left[0]}, input agent=${left[0]} or state ${left[0]}=OUTPUT.`,
    );
  }
  // A file that sees something else is said to, before anything is said of what it does.
  const observed = model.inputs.find((v) => v.name === found.obs)!;
  rowInput(observed, target.group.obsSize, "the observation", place, target);
  const head = findHead(
    outputs.filter((n) => ![...state.values()].includes(n)),
    place,
    target,
    options,
    // Any value inside the file will do, too: a policy that only puts out its choice still has logits somewhere.
    (role, name) =>
      model.model.nodes.some((node) => node.outputs.includes(name))
        ? name
        : require(name, `output ${role}=${name}`, outputs, "outputs"),
  );
  const isValue = head.kind === "q-values" || head.kind === "action";
  return {
    obs: found.obs,
    actionMask: found.actionMask,
    agent: found.agent,
    state: [...state],
    head,
    mode: options.mode ?? (isValue ? "greedy" : "sample"),
    temperature: options.temperature,
  };
}

/** What the output of a state's next value may be called. */
function nextNames(input: string): Set<string> {
  const name = plain(input);
  const stem = name.replace(/(in|0|prev)$/, "");
  return new Set(
    [name, stem].flatMap((n) => [
      `next${n}`,
      `${n}next`,
      `new${n}`,
      `${n}new`,
      `out${n}`,
      `${n}out`,
      `${n}n`,
    ]),
  );
}

function findHead(
  outputs: readonly string[],
  place: string,
  { name: who, group }: BindingTarget,
  options: BindingOptions,
  require: (role: string, name: string) => string,
): Head {
  const given: Partial<Record<keyof typeof OUTPUT_NAMES, string>> = { ...options.outputs };
  for (const [role, name] of Object.entries(given)) require(role, name);
  const byName = (role: keyof typeof OUTPUT_NAMES) =>
    given[role] ?? outputs.find((n) => (OUTPUT_NAMES[role] as readonly string[]).includes(plain(n)));
  const isBox = group.action.kind === "box";
  const possible: readonly HeadKind[] = isBox ? BOX_HEADS : DISCRETE_HEADS;
  const wanted = `${who} choose ${describeActions(group.action)}: expected ${possible.join(" or ")}`;
  const { head } = options;
  if (head !== null && !possible.includes(head)) {
    throw new UserError(`${place}: got head ${head}, but ${wanted}.`);
  }
  const candidates: Partial<Record<HeadKind, Head | undefined>> = {};
  const simple = (kind: "logits" | "probabilities" | "q-values" | "action", name: string | undefined) => {
    if (name !== undefined) candidates[kind] = { kind, name };
  };
  simple("logits", byName("logits"));
  simple("probabilities", byName("probabilities"));
  simple("q-values", byName("q"));
  simple("action", byName("action"));
  const mean = byName("mean");
  const std = byName("std");
  const logStd = std === undefined ? byName("logStd") : undefined;
  const spread = std ?? logStd;
  if (mean !== undefined && spread !== undefined)
    candidates.gaussian = { kind: "gaussian", mean, std: spread, isLog: std === undefined };
  else if (isBox && mean !== undefined && head !== "action" && candidates.action === undefined) {
    throw new UserError(
      `${place}: got output "${mean}" without a standard deviation, expected one called std or log_std; say head action if the policy always plays "${mean}".`,
    );
  }
  // A role that the caller gives goes before any name; else the order of `possible`.
  const ofRole = {
    logits: "logits",
    probabilities: "probabilities",
    q: "q-values",
    action: "action",
  } as const;
  const said = Object.keys(given).map(
    (role): HeadKind => (role in ofRole ? ofRole[role as keyof typeof ofRole] : "gaussian"),
  );
  const order = head !== null ? [head] : said.length > 0 ? said : possible;
  for (const kind of order) {
    if (possible.includes(kind) && candidates[kind] !== undefined) return candidates[kind];
  }
  if (head !== null && head !== "gaussian") {
    if (outputs.length === 1) return { kind: head, name: outputs[0]! };
    const role = head === "q-values" ? "q" : head;
    throw new UserError(
      `${place}: got outputs ${quoted(outputs)} for head ${head}; say which it is with output ${role}=NAME.`,
    );
  }
  if (!isBox && candidates.action !== undefined) {
    throw new UserError(
      `${place}: its output "${byName("action")}" is the chosen action, which says nothing of the others; ${wanted}.`,
    );
  }
  const cure =
    outputs.length === 1
      ? `say what it is with head ${possible.join(", ")}`
      : `say which it is with output ROLE=NAME (${isBox ? "mean, std, logStd, action" : "logits, probabilities, q"})`;
  throw new UserError(`${place}: got output ${quoted(outputs)}, but ${wanted}; ${cure}.`);
}

/** "one of 5 actions" */
export function describeActions(space: Space): string {
  if (space.kind === "discrete") return `one of ${space.n} actions`;
  return space.kind === "multi-discrete"
    ? `one of ${space.sizes.join(" × ")} actions`
    : `${space.low.length} real ${space.low.length === 1 ? "number" : "numbers"}`;
}

/** Numbers that a head has per row: action probabilities, or dimensions. */
export function headSize(space: Space): number {
  return space.kind === "box" ? actionSize(space) : maskSize(space);
}

const TIME = /^(t|time|times|timesteps?|seq|seqlen|sequence|sequencelength|steps?|length)$/;

/**
 * How rows of `size` numbers go into an input: [rows, size], or with one dimension of steps, which is 1 at a time.
 *
 * @param what "the observation", for messages
 * @throws UserError naming the input, the dimension, its size and what is expected
 */
export function rowInput(
  value: ModelValue,
  size: number,
  what: string,
  place: string,
  target: BindingTarget,
): RowInput {
  const where = `${place}, input "${value.name}"`;
  const expected = `expected [rows, ${size}] for ${what} of ${target.name}`;
  const { shape } = value;
  if (shape.length !== 2 && shape.length !== 3)
    throw new UserError(`${where}: got ${show(value)}, ${expected}.`);
  const last = shape.length - 1;
  if (typeof shape[last] === "number" && shape[last] !== size)
    throw new UserError(`${where}: got ${show(value)}, ${expected}; dimension ${last} is ${shape[last]}.`);
  if (shape.length === 2) return { value, axis: rowAxis(value, [0], where), rest: [size] };
  const axis = rowAxis(value, [0, 1], where);
  const steps = shape[1 - axis]!;
  if (typeof steps === "number" && steps !== 1) {
    throw new UserError(
      `${where}: got ${show(value)}, expected one step at a time; dimension ${1 - axis} is ${steps}.`,
    );
  }
  return { value, axis, rest: [1, size] };
}

/** The dimension among `candidates` that is free for rows, or the only one of them that was exported for one row. */
function rowAxis(value: ModelValue, candidates: readonly number[], where: string): number {
  const named = candidates.filter((d) => typeof value.shape[d] === "string");
  if (named.length === 0) {
    const single = candidates.filter((d) => value.shape[d] === 1);
    if (single.length === 1) return single[0]!;
    throw new UserError(
      `${where}: got ${show(value)}, expected a free number of rows; dimension ${candidates[0]} is fixed to ${value.shape[candidates[0]!]}. Export it with that dimension dynamic.`,
    );
  }
  const rows = named.filter((d) => !TIME.test(plain(String(value.shape[d]))));
  if (rows.length === 1) return rows[0]!;
  if (named.length === 1) return named[0]!;
  throw new UserError(
    `${where}: got ${show(value)}, where dimensions ${named.join(" and ")} could both be the rows. Export them under the names "rows" and "time".`,
  );
}

/**
 * How carried state goes into its input: rows in the dimension that is free, or that is called as in the observation;
 * of a file for one row, in the last but one, as PyTorch's states have it: [rows, H], [layers, rows, H].
 * @throws UserError naming the input where that is not one dimension, or another has no fixed size
 */
export function stateInput(value: ModelValue, obs: RowInput, place: string): RowInput {
  const where = `${place}, input "${value.name}"`;
  const rows = obs.value.shape[obs.axis]!;
  const batch = Math.max(0, value.shape.length - 2);
  const same = rows === 1 && value.shape[batch] === 1 ? batch : value.shape.indexOf(rows);
  const axis =
    same >= 0
      ? same
      : rowAxis(
          value,
          value.shape.map((_, d) => d),
          where,
        );
  const rest = value.shape.filter((_, d) => d !== axis);
  const open = value.shape.findIndex((size, d) => d !== axis && typeof size === "string");
  if (open >= 0) {
    throw new UserError(
      `${where}: got ${show(value)}, expected a fixed size but for the rows; dimension ${open} is "${value.shape[open]}".`,
    );
  }
  return { value, axis, rest: rest as number[] };
}
