/**
 * A policy from an ONNX file that was made elsewhere. Its parameters are the file's float weights as one flat vector;
 * the graph around them is the policy: it is differentiated, perturbed and trained on like one of our own.
 */
import { type NdArray, zeros } from "../core/array.js";
import { decodeBase64, encodeBase64 } from "../core/base64.js";
import { UserError } from "../core/errors.js";
import type { RandomStream } from "../core/random.js";
import type { Tree } from "../core/tree.js";
import type { GroupSpec, Space } from "../env/contract.js";
import { categorical, diagonalGaussian, multiCategorical, ParamLayout } from "../nn/index.js";
import { type ImportedModel, importModel, type ModelValue } from "../onnx/index.js";
import * as t from "../tensor/index.js";
import { FREE, type Tensor } from "../tensor/index.js";
import {
  type BindingTarget,
  bindNames,
  describeActions,
  headSize,
  type OnnxPolicyConfig,
  type RowInput,
  rowInput,
  stateInput,
} from "./foreign-binding.js";
import type { BindingOptions } from "./foreign-options.js";
import type { Policy, PolicyDistribution, PolicyInputs, PolicyOutputs } from "./policy.js";

/** Probability below which a logarithm is no longer taken: float32 has none that is smaller and normal. */
const TINY = 1e-37;
/**
 * A policy that only names its action becomes a Gaussian around it, with this share of half the action's range as σ (of
 * 1 where the range is infinite). It plays the action itself; σ only decides how far a fine-tuning run would explore,
 * for the attack's objective, the squared distance, does not depend on it.
 */
const ACTION_STD = 0.1;

/** Each leaf of the carried state by a name that a tree can have: names in files may hold slashes. */
const leafName = (index: number) => `state${index}`;

export class OnnxPolicy implements Policy {
  readonly space: Space;
  readonly obsSize: number;
  readonly usesAgentId: boolean;
  readonly usesActionMask: boolean;
  readonly deterministic: boolean;
  readonly layout: ParamLayout;
  /** Only where nothing is carried: a graph of one step cannot be told to start an episode in the middle. */
  readonly unroll?: Policy["unroll"];
  readonly #model: ImportedModel;
  readonly #target: BindingTarget;
  readonly #obs: RowInput;
  readonly #mask: RowInput | null;
  readonly #agent: ModelValue | null;
  readonly #state: readonly RowInput[];
  /** Where probabilities come out of a softmax: what goes in. */
  readonly #logits: SoftmaxInput | null;

  /**
   * @throws UserError in one sentence where the file cannot be read, has an operator that is not supported, or does
   *   not fit the configuration: an input's size or dimension, an output's shape
   */
  constructor(readonly config: OnnxPolicyConfig) {
    const { file: place, binding, obsSize, space } = config;
    this.space = space;
    this.obsSize = obsSize;
    this.usesAgentId = config.agentIds > 0;
    this.usesActionMask = config.actionMask;
    this.deterministic = binding.mode === "greedy";
    this.#target = { name: config.plays, group: { obsSize, action: space } };
    this.#model = importModel(bytesOf(config), place);
    this.#obs = rowInput(this.#float(binding.obs), obsSize, "the observation", place, this.#target);
    this.#mask =
      binding.actionMask === null
        ? null
        : rowInput(this.#input(binding.actionMask), headSize(space), "the action mask", place, this.#target);
    this.#agent = binding.agent === null ? null : this.#agentInput(binding.agent);
    this.#state = binding.state.map(([input]) => stateInput(this.#float(input), this.#obs, place));
    this.#logits =
      binding.head.kind === "probabilities" ? softmaxInput(this.#model.model, binding.head.name) : null;
    const weights = Object.entries(this.#model.weights);
    this.layout = new ParamLayout(
      // A graph without weights is a policy too; the flat vector then holds one number that nothing reads.
      weights.length === 0
        ? [{ name: "none", shape: [1], init: () => {} }]
        : weights.map(([name, { shape, data }]) => ({
            name,
            shape,
            init: (_shape, _stream, out) => out.set(data as Float32Array | Float64Array),
          })),
    );
    if (this.#state.length === 0) this.unroll = (parameters, inputs) => this.forward(parameters, inputs, {});
    this.#tryOut();
  }

  /** The file's own weights, whatever the stream. */
  initialParameters(stream: RandomStream): Float32Array {
    return this.layout.initial(stream);
  }

  /** Zeros. */
  initialState(rows: number): Tree<NdArray> {
    return Object.fromEntries(
      this.#state.map(({ rest }, i) => [leafName(i), zeros("float32", [rows, ...rest])]),
    );
  }

  forward(parameters: Tensor, inputs: PolicyInputs, state: Tree<Tensor>): PolicyOutputs {
    const { binding } = this.config;
    const unpacked = this.layout.unpack(parameters);
    const weights = Object.fromEntries(
      Object.entries(this.#model.weights).map(([name, { dtype }]) => [name, t.cast(unpacked[name]!, dtype)]),
    );
    const given: Record<string, Tensor> = { [binding.obs]: toFile(inputs.obs, this.#obs) };
    if (this.#mask !== null) given[binding.actionMask!] = toFile(this.#maskOf(inputs), this.#mask);
    if (this.#agent !== null) given[binding.agent!] = this.#agentOf(inputs);
    for (const [i, [name]] of binding.state.entries()) {
      given[name] = toFile((state as Record<string, Tensor>)[leafName(i)]!, this.#state[i]!);
    }
    const outputs: Record<string, Tensor> = {};
    const results = this.#model.apply(given, weights, (name, { tensor }) => {
      if (tensor !== undefined && this.#isHead(name)) outputs[name] = tensor;
    });
    Object.assign(outputs, results);
    const next = binding.state.map(([, output], i) => [
      leafName(i),
      this.#nextState(outputs[output]!, output, this.#state[i]!),
    ]);
    const { distribution, aux } = this.#distribution(outputs, inputs);
    return { distribution, state: Object.fromEntries(next), aux };
  }

  // INPUTS

  #input(name: string): ModelValue {
    const value = this.#model.inputs.find((v) => v.name === name);
    if (value === undefined) throw new UserError(`${this.config.file}: it has no input "${name}".`);
    return value;
  }

  #float(name: string): ModelValue {
    const value = this.#input(name);
    if (!t.isFloat(value.dtype))
      throw new UserError(`${this.config.file}, input "${name}": got ${value.dtype}, expected float32.`);
    return value;
  }

  /** [rows], [rows, 1] or one-hot [rows, n]. */
  #agentInput(name: string): ModelValue {
    const value = this.#input(name);
    const { shape, dtype } = value;
    const n = this.config.agentIds;
    const isIndex = !t.isFloat(dtype) && (shape.length === 1 || (shape.length === 2 && shape[1] === 1));
    if (!isIndex && !(shape.length === 2 && (shape[1] === n || typeof shape[1] === "string"))) {
      throw new UserError(
        `${this.config.file}, input "${name}": got ${dtype} [${shape.join(", ")}], expected an index, int64 [rows], or one-hot [rows, ${n}] for ${this.config.plays}.`,
      );
    }
    return value;
  }

  #agentOf({ agent }: PolicyInputs): Tensor {
    const { shape, dtype } = this.#agent!;
    if (agent === undefined)
      throw new TypeError("policy: input `agent` is missing, this policy wants agent ids");
    if (shape.length === 1) return t.cast(agent, dtype);
    if (shape[1] === 1 && !t.isFloat(dtype)) return t.cast(t.reshape(agent, [-1, 1]), dtype);
    return t.cast(t.oneHot(agent, this.config.agentIds), dtype);
  }

  /** [R, A] bool; all true where the environment has no masks. */
  #maskOf({ obs, actionMask }: PolicyInputs): Tensor {
    if (actionMask !== undefined) return actionMask;
    const column = t.slice(obs, { 1: { start: 0, end: 1 } });
    return t.expand(t.equal(t.zerosLike(column), 0), [column.shape[0]!, headSize(this.space)]);
  }

  // OUTPUTS

  #nextState(x: Tensor, name: string, { axis, rest }: RowInput): Tensor {
    const perm = rest.map((_, i) => (i < axis ? i : i + 1));
    const row = x.shape.length === rest.length + 1 ? t.transpose(x, [axis, ...perm]) : x;
    if (row.shape.length !== rest.length + 1 || rest.some((size, i) => row.shape[i + 1] !== size)) {
      throw new UserError(
        `${this.config.file}, output "${name}": got ${t.formatDims(x.shape)}, expected the shape of its carried state, [${[...rest.slice(0, axis), "N", ...rest.slice(axis)].join(", ")}].`,
      );
    }
    return t.cast(row, "float32");
  }

  /** [R, size] from an output of rows, dimensions of 1 removed. */
  #rows(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
    const x = outputs[name];
    const size = headSize(this.space);
    if (x === undefined) throw new UserError(`${this.config.file}: it has no output "${name}".`);
    const others = x.shape.slice(0, -1).filter((d) => d !== 1);
    if (!t.isFloat(x.dtype) || x.shape.at(-1) !== size || others.length > 1) {
      const of = this.space.kind === "box" ? "" : " (one per action)";
      throw new UserError(
        `${this.config.file}, output "${name}": got ${x.dtype} ${t.formatDims(x.shape)}, expected float32 [N, ${size}]${of}: ${this.config.plays} choose ${describeActions(this.space)}.`,
      );
    }
    return t.cast(t.reshape(x, [-1, size]), "float32");
  }

  /** Whether actions are chosen from this value: an output, or one inside. */
  #isHead(name: string): boolean {
    const { head } = this.config.binding;
    if (head.kind === "gaussian") return name === head.mean || name === head.std;
    return name === head.name || name === this.#logits?.name;
  }

  #distribution(
    outputs: Readonly<Record<string, Tensor>>,
    { actionMask }: PolicyInputs,
  ): { distribution: PolicyDistribution; aux: Record<string, Tensor> } {
    const { space } = this;
    const { head, temperature } = this.config.binding;
    const choice = (logits: Tensor) =>
      space.kind === "multi-discrete"
        ? multiCategorical(logits, space.sizes, actionMask)
        : categorical(logits, actionMask);
    switch (head.kind) {
      case "logits":
        return { distribution: choice(this.#rows(outputs, head.name)), aux: {} };
      case "probabilities": {
        // A softmax that has come to rest at 0 and 1 has no gradient in float32; what goes into it still has.
        const inner = this.#logits === null ? undefined : outputs[this.#logits.name];
        if (inner !== undefined && [-1, inner.shape.length - 1].includes(this.#logits!.axis))
          return { distribution: choice(this.#rows(outputs, this.#logits!.name)), aux: {} };
        const p = this.#rows(outputs, head.name);
        return { distribution: choice(t.log(t.maximum(p, TINY))), aux: {} };
      }
      case "q-values": {
        const q = this.#rows(outputs, head.name);
        return { distribution: choice(t.div(q, temperature)), aux: { q } };
      }
      case "gaussian": {
        const mean = this.#rows(outputs, head.mean);
        const spread = this.#spread(outputs[head.std]!, head.std);
        return { distribution: diagonalGaussian(mean, head.isLog ? t.exp(spread) : spread), aux: {} };
      }
      case "action": {
        const { low, high } = space as Space & { kind: "box" };
        const std = low.map((a, d) => {
          const half = (high[d]! - a) / 2;
          return ACTION_STD * (Number.isFinite(half) && half > 0 ? half : 1);
        });
        const mean = this.#rows(outputs, head.name);
        return {
          distribution: diagonalGaussian(mean, t.constant(t.arrayFrom([std.length], "float32", std))),
          aux: {},
        };
      }
    }
  }

  /** [D], where it does not depend on the observation, or [R, D]. */
  #spread(x: Tensor, name: string): Tensor {
    const size = headSize(this.space);
    const isShared = x.shape.at(-1) === size && x.shape.slice(0, -1).every((d) => d === 1);
    return isShared ? t.cast(t.reshape(x, [size]), "float32") : this.#rows({ [name]: x }, name);
  }

  /** @throws UserError where no gradient flows from the choice of actions to the observation */
  requireGradient(): void {
    this.#tryOut((obs, distribution) => {
      const slope = t.grad(t.sum(distribution.logProb(distribution.mode())), obs);
      if (t.constantNumber(slope) !== 0) return;
      throw new UserError(
        `${this.config.file}: no gradient flows from its actions to its observation (an argmax, a comparison or whole numbers are between), and gradient attacks would do nothing; name a value before that with output logits=NAME, or use another attack.`,
      );
    });
  }

  /** One trace: whatever does not fit is said when the policy is made, not in the middle of an evaluation. */
  #tryOut(use?: (obs: Tensor, distribution: PolicyDistribution) => void): void {
    t.trace(() => {
      const inputs: PolicyInputs = {
        obs: t.input("obs", [FREE, this.obsSize]),
        ...(this.usesActionMask ? { actionMask: t.input("mask", [FREE, headSize(this.space)], "bool") } : {}),
        ...(this.usesAgentId ? { agent: t.input("agent", [FREE], "int32") } : {}),
      };
      const state = Object.fromEntries(
        this.#state.map(({ rest }, i) => [leafName(i), t.input(leafName(i), [FREE, ...rest])]),
      );
      const { distribution } = this.forward(t.input("parameters", [this.layout.size]), inputs, state);
      const [first] = Object.values(distribution.parameters);
      if (first!.shape[0] !== FREE) {
        throw new UserError(
          `${this.config.file}: its output has ${first!.shape[0]} rows whatever the number of observations; export it with a dynamic first dimension.`,
        );
      }
      use?.(inputs.obs, distribution);
    });
  }
}

/** Rows [R, …] as the file has them: its own order of dimensions, its own element type. */
function toFile(x: Tensor, { value, axis, rest }: RowInput): Tensor {
  const rows = t.reshape(x, [-1, ...rest]);
  const order = rest.map((_, i) => i + 1);
  return t.cast(t.transpose(rows, [...order.slice(0, axis), 0, ...order.slice(axis)]), value.dtype);
}

interface SoftmaxInput {
  readonly name: string;
  readonly axis: number;
}

/** The operand of the softmax, or of the exponential of a log-softmax, that a value is; null if it is neither. */
function softmaxInput({ nodes, opset }: ImportedModel["model"], name: string): SoftmaxInput | null {
  const maker = (value: string | undefined) => nodes.find((node) => node.outputs[0] === value);
  const node = maker(name);
  const softmax = node?.opType === "Exp" ? maker(node.inputs[0]) : node;
  if (softmax?.opType !== (node?.opType === "Exp" ? "LogSoftmax" : "Softmax")) return null;
  // Before operator set 13 the axis was 1 where it was not given.
  const { axis = opset < 13 ? 1 : -1 } = softmax!.attributes;
  return { name: softmax!.inputs[0]!, axis: Number(axis) };
}

function bytesOf({ model, file }: OnnxPolicyConfig): Uint8Array {
  try {
    return decodeBase64(model);
  } catch {
    throw new UserError(`${file}: the saved model is damaged: it is no base64.`);
  }
}

/**
 * A policy file for a group of agents.
 *
 * @param place the file, for messages
 * @param options what its inputs and outputs mean, where their names do not say it
 * @throws UserError in one sentence for a file that cannot be read or does not fit the group
 */
export function importPolicy(
  bytes: Uint8Array,
  place: string,
  target: BindingTarget & { readonly group: Pick<GroupSpec, "agents" | "hasActionMask"> },
  options: BindingOptions,
): OnnxPolicy {
  const { group } = target;
  const binding = bindNames(importModel(bytes, place), place, target, options);
  return new OnnxPolicy({
    kind: "onnx",
    file: place,
    plays: target.name,
    model: encodeBase64(bytes),
    binding,
    obsSize: group.obsSize,
    space: group.action,
    agentIds: binding.agent === null ? 0 : group.agents.length,
    actionMask: group.hasActionMask,
  });
}
