/** What every policy must do. Its own tests break sound policies in one rule each. */
import { f32, type NdArray, ndarray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { flattenTree, mapTree, type Tree } from "../../src/core/tree.js";
import { maskSize } from "../../src/env/index.js";
import { type Policy, PolicyActor, type PolicyInputs } from "../../src/policy/index.js";
import {
  add,
  constant,
  grad,
  input,
  interpret,
  isFloat,
  mul,
  sum,
  type Tensor,
  trace,
} from "../../src/tensor/index.js";
import { finiteDifferences, fixedWeights } from "../compute/finite-differences.js";
import { farthest, type Tolerance } from "../support/allclose.js";
import { bytesOf, runtime } from "../support/rollouts.js";
import { type Finding, Findings } from "./finding.js";

export type PolicyRule =
  | "outputs"
  | "mask"
  | "ignored"
  | "state"
  | "memory"
  | "rows"
  | "unroll"
  | "gradient"
  | "engine";

/** R sequences of T steps, in order of time; arrays as a policy's inputs. */
interface Rows {
  readonly obs: NdArray;
  readonly actionMask?: NdArray;
  readonly agent?: NdArray;
}

const T = 4;
const R = 3;
/** [T, R]: the first sequence goes on, the second starts at once, the third in the middle and at the end. */
const STARTS = ndarray("float64", [T, R], Float64Array.of(0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1));
/** Two orders of summation of the same float64 numbers. */
const ROUNDING: Tolerance = { atol: 1e-12, rtol: 1e-12 };

class Suite {
  readonly findings = new Findings<PolicyRule>();
  readonly stream = RandomStream.from(3, "policy suite");
  readonly parameters: NdArray;

  constructor(readonly policy: Policy) {
    const flat = policy.initialParameters(RandomStream.from(1, "policy suite"));
    // Biases away from zero: what is multiplied by them shows.
    for (let k = 0; k < flat.length; k++) flat[k]! += 0.1 * this.stream.normal();
    this.parameters = ndarray("float64", [flat.length], Float64Array.from(flat));
  }

  async run(): Promise<void> {
    const { findings } = this;
    await findings.guard("outputs", () => this.#checkOutputs());
    await findings.guard("mask", () => this.#checkMask());
    await findings.guard("ignored", () => this.#checkIgnored());
    await findings.guard("state", () => this.#checkState());
    await findings.guard("memory", () => this.#checkMemory());
    await findings.guard("rows", () => this.#checkRows());
    await findings.guard("unroll", () => this.#checkUnroll());
    await findings.guard("gradient", () => this.#checkGradient());
    await findings.guard("engine", () => this.#checkEngine());
  }

  rows(count: number): Rows {
    const { policy, stream } = this;
    const width = policy.usesActionMask ? maskSize(policy.space) : 0;
    const sizes = partsOf(policy);
    const mask = new Uint8Array(count * width);
    for (let k = 0, r = 0; r < count; r++) {
      for (const n of sizes) {
        const allowed = stream.int(n);
        for (let a = 0; a < n; a++, k++) if (k < mask.length) mask[k] = a === allowed ? 1 : stream.int(2);
      }
    }
    const agents = Math.max(1, policy.config.agentIds);
    return {
      obs: this.random([count, policy.obsSize]),
      ...(width > 0 ? { actionMask: ndarray("bool", [count, width], mask) } : {}),
      ...(policy.usesAgentId
        ? {
            agent: ndarray(
              "int32",
              [count],
              Int32Array.from({ length: count }, () => stream.int(agents)),
            ),
          }
        : {}),
    };
  }

  random(shape: readonly number[]): NdArray {
    return ndarray(
      "float64",
      shape,
      Float64Array.from({ length: sizeOf(shape) }, () => this.stream.normal()),
    );
  }

  /** A carried state in the middle of an episode. */
  randomState(rows: number): Tree<NdArray> {
    return mapTree<NdArray, NdArray>(this.policy.initialState(rows), ({ shape }) => this.random(shape));
  }

  /** One step, interpreted in float64. */
  forward(rows: Rows, state: Tree<NdArray>) {
    return interpreted({ parameters: this.parameters, rows, state }, (s) => {
      const { distribution, state: next } = this.policy.forward(s.parameters, s.rows, s.state);
      return { decision: { ...distribution.parameters }, next };
    });
  }

  /** T steps at once, interpreted in float64. */
  unroll(rows: Rows, state: Tree<NdArray>, starts: NdArray) {
    return interpreted({ parameters: this.parameters, rows, state, starts }, (s) => {
      const { distribution, state: next } = this.policy.unroll!(s.parameters, s.rows, s.state, s.starts!);
      return { decision: { ...distribution.parameters }, next };
    });
  }

  #checkOutputs(): void {
    const { policy, findings } = this;
    const rows = this.rows(R);
    const out = interpreted({ parameters: this.parameters, rows, state: this.randomState(R) }, (s) => {
      const { distribution } = policy.forward(s.parameters, s.rows, s.state);
      const action = distribution.mode();
      return {
        action,
        perRow: {
          logProb: distribution.logProb(action),
          entropy: distribution.entropy(),
          kl: distribution.kl(distribution),
        },
      };
    });
    const width = policy.space.kind === "discrete" ? [R] : [R, modeWidth(policy)];
    findings.same("outputs", "the shape of the mode", out.action.shape, width);
    for (const [name, x] of Object.entries(out.perRow)) {
      findings.same("outputs", `the shape of ${name}`, x.shape, [R]);
      if (!Array.from(x.data, Number).every(Number.isFinite))
        findings.add("outputs", `${name} is not finite`);
    }
    const divergence = farthest(out.perRow.kl, new Float64Array(R), { atol: 1e-12 });
    if (divergence !== undefined) findings.add("outputs", `divergence from itself: ${divergence}`);
  }

  #checkMask(): void {
    if (!this.policy.usesActionMask) return;
    const rows = this.rows(16);
    const { decision } = this.forward(rows, this.randomState(16));
    rows.actionMask!.data.forEach((allowed, k) => {
      const p = Math.exp(Number(decision.logProbs!.data[k]));
      if (p > 0 !== (allowed === 1)) this.findings.add("mask", `entry ${k}: probability ${p}`);
    });
  }

  #checkIgnored(): void {
    const { policy, findings } = this;
    const rows = this.rows(R);
    const state = this.randomState(R);
    const hidden = Float64Array.from(rows.obs.data as Float64Array);
    for (const [offset, size] of "ignored" in policy.config ? policy.config.ignored : []) {
      for (let r = 0; r < R; r++)
        hidden.fill(NaN, r * policy.obsSize + offset, r * policy.obsSize + offset + size);
    }
    const blind = { ...rows, obs: ndarray("float64", rows.obs.shape, hidden) };
    findings.same(
      "ignored",
      "the decision",
      numbersOf(this.forward(rows, state)),
      numbersOf(this.forward(blind, state)),
    );
  }

  #checkState(): void {
    const { policy, findings } = this;
    const initial = policy.initialState(R);
    const shapes = (tree: Tree<NdArray>) => flattenTree(tree).map(([path, leaf]) => [path, leaf.shape]);
    for (const [path, leaf] of flattenTree(initial)) {
      if (leaf.shape[0] !== R || leaf.data.length !== sizeOf(leaf.shape))
        findings.add("state", `${path}: [${leaf.shape}] at the start of ${R} rows`);
      const width = leaf.data.length / R;
      const first = Array.from(leaf.data.slice(0, width), Number);
      const last = Array.from(leaf.data.slice(-width), Number);
      findings.same("state", `${path}: rows at the start`, first, last);
    }
    const { next } = this.forward(this.rows(R), initial);
    findings.same("state", "leaves and shapes of the next state", shapes(next), shapes(initial));
  }

  /** What is carried matters, and what was seen is carried. */
  #checkMemory(): void {
    const { findings } = this;
    const [rows, other] = [this.rows(R), this.rows(R)];
    const [state, otherState] = [this.randomState(R), this.randomState(R)];
    if (flattenTree(state).length === 0) return;
    const base = this.forward(rows, state);
    const after = { state: this.forward(rows, otherState), rows: this.forward(other, state) };
    findings.differ(
      "memory",
      "the decision in another state",
      numbersOf(base.decision),
      numbersOf(after.state.decision),
    );
    findings.differ(
      "memory",
      "what follows another state",
      numbersOf(base.next),
      numbersOf(after.state.next),
    );
    findings.differ(
      "memory",
      "what follows another observation",
      numbersOf(base.next),
      numbersOf(after.rows.next),
    );
  }

  /** A row's result is that of the row alone. */
  #checkRows(): void {
    const rows = this.rows(R);
    const state = this.randomState(R);
    const all = this.forward(rows, state);
    for (let r = 0; r < R; r++) {
      const alone = this.forward(
        rowsOf(rows, r, 1),
        mapTree<NdArray, NdArray>(state, (x) => rowOf(x, r, 1)),
      );
      for (const [path, leaf] of flattenTree<NdArray>(alone)) {
        const together = flattenTree<NdArray>(all).find(([p]) => p === path)![1];
        // A scale that does not depend on the row comes once for all.
        const expected =
          together.shape[0] === R && path !== "decision/std" ? rowOf(together, r, 1) : together;
        const wrong = farthest(leaf, expected, ROUNDING);
        if (wrong !== undefined) this.findings.add("rows", `row ${r} alone, ${path}: ${wrong}`);
      }
    }
  }

  #checkUnroll(): void {
    if (this.policy.unroll === undefined) return;
    const rows = this.rows(T * R);
    const first = this.randomState(R);
    const whole = this.unroll(rows, first, STARTS);
    let state = first;
    for (let t = 0; t < T; t++) {
      const fresh = flattenTree(this.policy.initialState(1)).map(([, leaf]) => leaf);
      let i = 0;
      const before = mapTree<NdArray, NdArray>(state, (leaf) => restarted(leaf, fresh[i++]!, t));
      const { decision, next } = this.forward(rowsOf(rows, t * R, R), before);
      for (const [name, x] of Object.entries(decision)) {
        const all = whole.decision[name]!;
        const wrong = farthest(all.shape[0] === T * R ? rowOf(all, t * R, R) : all, x, ROUNDING);
        if (wrong !== undefined) this.findings.add("unroll", `step ${t}, ${name}: ${wrong}`);
      }
      state = next;
    }
    for (const [path, leaf] of flattenTree(state)) {
      const last = flattenTree<NdArray>(whole.next).find(([p]) => p === path)?.[1];
      const wrong = last === undefined ? "missing" : farthest(last, leaf, ROUNDING);
      if (wrong !== undefined) this.findings.add("unroll", `after the last step, ${path}: ${wrong}`);
    }
  }

  /** Through time: of parameters, observations and the first state. */
  #checkGradient(): void {
    const { policy } = this;
    if (policy.unroll === undefined) return;
    const given = {
      parameters: this.parameters,
      rows: this.rows(T * R),
      state: this.randomState(R),
      starts: STARTS,
    };
    symbolic(given, (s, feeds, inputs) => {
      const { distribution, state } = policy.unroll!(s.parameters, s.rows, s.state, s.starts!);
      const { mode } = interpret({ mode: distribution.mode() }, feeds);
      const action = isFloat(mode.dtype)
        ? mul(constant(f32(mode.shape, [...(mode.data as Float64Array)])), 0.5)
        : constant(mode);
      const scores = [
        distribution.logProb(action),
        distribution.entropy(),
        ...flattenTree(state).map(([, x]) => x),
      ];
      const loss = scores.map((x, i) => sum(mul(x, fixedWeights(x, i)))).reduce((a, b) => add(a, b));
      for (const [name, x] of Object.entries(inputs)) {
        if (!isFloat(x.dtype) || name === "starts") continue;
        const { slope } = interpret({ slope: grad(loss, x) }, feeds);
        const wrong = farthest(slope, finiteDifferences(loss, feeds, name), { atol: 1e-7, rtol: 1e-6 });
        if (wrong !== undefined) this.findings.add("gradient", `${name}: ${wrong}`);
      }
    });
  }

  /** In the engine: the interpreter's numbers, and of each row to the last bit whatever is beside it. */
  #checkEngine(): void {
    const { policy, findings } = this;
    const count = 37;
    const rows = this.rows(count);
    const state = this.randomState(count);
    const actor = new PolicyActor(
      "subject",
      runtime,
      policy,
      Float32Array.from(this.parameters.data as Float64Array),
      "greedy",
    );
    const act = (from: number, n: number) => {
      const part = rowsOf(rows, from, n);
      const box = policy.space.kind === "box";
      const size = n * modeWidth(policy);
      const batch = {
        rows: n,
        obs: Float32Array.from(part.obs.data as Float64Array),
        actionMask: (part.actionMask?.data as Uint8Array | undefined) ?? null,
        agent: (part.agent?.data as Int32Array | undefined) ?? new Int32Array(n),
        streams: [],
        action: box ? new Float32Array(size) : new Int32Array(size),
        logProb: new Float32Array(n),
        state: mapTree<NdArray, NdArray>(state, (leaf) => {
          const { shape, data } = rowOf(leaf, from, n);
          return ndarray("float32", shape, Float32Array.from(data as Float64Array));
        }),
      };
      actor.act(batch);
      return batch;
    };
    const all = act(0, count);
    const expected = flattenTree<NdArray>(this.forward(rows, state).next);
    flattenTree(all.state).forEach(([path, leaf], i) => {
      const wrong = farthest(leaf, expected[i]![1], { atol: 1e-5, rtol: 1e-4 });
      if (wrong !== undefined) findings.add("engine", `next state, ${path}: ${wrong}`);
    });
    for (const width of [1, 2, 3, 5, 16]) {
      for (let from = 0; from + width <= count; from += width) {
        const part = act(from, width);
        const D = modeWidth(policy);
        const same = mapTree<NdArray, NdArray>(all.state, (leaf) => rowOf(leaf, from, width));
        findings.same(
          "engine",
          `rows ${from} to ${from + width - 1}: what is carried`,
          bytesOf(part.state),
          bytesOf(same),
        );
        findings.same(
          "engine",
          `rows ${from} to ${from + width - 1}: what is done`,
          [[...part.action], [...part.logProb]],
          [[...all.action.slice(from * D, (from + width) * D)], [...all.logProb.slice(from, from + width)]],
        );
      }
    }
  }
}

const partsOf = ({ space }: Policy) =>
  space.kind === "discrete" ? [space.n] : space.kind === "box" ? [] : space.sizes;

const modeWidth = ({ space }: Policy) =>
  space.kind === "discrete" ? 1 : space.kind === "box" ? space.low.length : space.sizes.length;

const numbersOf = (tree: Tree<NdArray>) =>
  flattenTree<NdArray>(tree).map(([path, leaf]) => [path, Array.from(leaf.data, Number)]);

/** Rows `from` … `from + count − 1`. */
function rowOf({ dtype, shape, data }: NdArray, from: number, count: number): NdArray {
  const width = data.length / shape[0]!;
  return {
    dtype,
    shape: [count, ...shape.slice(1)],
    data: data.slice(from * width, (from + count) * width),
  } as NdArray;
}

const rowsOf = (rows: Rows, from: number, count: number): Rows =>
  Object.fromEntries(
    Object.entries(rows).map(([name, x]) => [name, rowOf(x, from, count)]),
  ) as unknown as Rows;

/** The leaf with the rows whose episode starts at step t as at an episode's start. */
function restarted(leaf: NdArray, fresh: NdArray, t: number): NdArray {
  const data = Float64Array.from(leaf.data as Float64Array);
  const width = data.length / R;
  for (let r = 0; r < R; r++)
    if (STARTS.data[t * R + r] === 1) data.set(fresh.data as Float32Array, r * width);
  return ndarray("float64", leaf.shape, data);
}

interface Given {
  readonly parameters: NdArray;
  readonly rows: Rows;
  readonly state: Tree<NdArray>;
  readonly starts?: NdArray;
}

interface Symbols {
  readonly parameters: Tensor;
  readonly rows: PolicyInputs;
  readonly state: Tree<Tensor>;
  readonly starts?: Tensor;
}

/** `build` within a trace whose inputs stand for the arrays, float32 as in programs, and what to feed them. */
function symbolic<X>(
  given: Given,
  build: (symbols: Symbols, feeds: Record<string, NdArray>, inputs: Record<string, Tensor>) => X,
): X {
  return trace(() => {
    const feeds: Record<string, NdArray> = {};
    const inputs: Record<string, Tensor> = {};
    const symbols = mapTree<NdArray, Tensor>(given as unknown as Tree<NdArray>, (leaf, path) => {
      feeds[path] = leaf;
      inputs[path] = input(path, leaf.shape, isFloat(leaf.dtype) ? "float32" : leaf.dtype);
      return inputs[path];
    });
    return build(symbols as unknown as Symbols, feeds, inputs);
  });
}

function interpreted<O extends Tree<Tensor>>(given: Given, build: (symbols: Symbols) => O) {
  return symbolic(given, (symbols, feeds) => interpret(build(symbols), feeds));
}

/** @returns what is wrong, one finding a rule; empty if nothing is */
export async function checkPolicy(policy: Policy): Promise<Finding<PolicyRule>[]> {
  const suite = new Suite(policy);
  await suite.run();
  return suite.findings.list;
}
