/**
 * Recurrent cells, one step at a time. The part of the gates that depends on the input (`project`) is apart from the
 * part that depends on the state (`step`): over a sequence the first is taken for all steps at once, and only the
 * second is repeated. Gates lie side by side in the columns of one matrix, in PyTorch's order; PyTorch's `weight_ih` is
 * the transpose of `weightInput`, its `weight_hh` that of `weightHidden`.
 */
import { UserError } from "../core/errors.js";
import {
  add,
  gemm,
  linear,
  mul,
  named,
  reshape,
  scan,
  sigmoid,
  split,
  sub,
  type Tensor,
  tanh,
} from "../tensor/index.js";
import { type Initializer, orthogonal, zerosInit } from "./init.js";
import type { ParamSpec } from "./params.js";

export interface CellOptions {
  /**
   * Both weight matrices, all gates in one: [in, gates · H] and [H, gates · H]. Default: every gate orthogonal on
   * its own. `orthogonal()` makes the whole matrix orthogonal (MAPPO); PyTorch's default is `uniformInit(1 / √H)`.
   */
  readonly init?: Initializer;
  /** Both bias vectors [gates · H]; default zeros. PyTorch's default is `uniformInit(1 / √H)`. */
  readonly biasInit?: Initializer;
}

/** The input's part of the gates, in the pieces that the cell adds to; leaves [..., width]. */
export type Projected = Readonly<Record<string, Tensor>>;

/** B rows; S is the carried state. */
export interface RecurrentCell<S> {
  readonly parameters: readonly ParamSpec[];
  /** H */
  readonly hiddenSize: number;
  /**
   * The input's part of all gates.
   * @param x [..., in] any number of steps and rows
   */
  project(params: Readonly<Record<string, Tensor>>, x: Tensor): Projected;
  /**
   * One step.
   * @param projected leaves [B, …], what `project` made of the step's input
   * @param state leaves [B, H]
   * @returns the next state
   */
  step(params: Readonly<Record<string, Tensor>>, projected: Projected, state: S): S;
}

/** What an LSTM carries. */
export interface LstmState {
  /** [B, H] the output of the cell */
  readonly hidden: Tensor;
  /** [B, H] */
  readonly cell: Tensor;
}

/** `init` for each of `count` gates, side by side in the columns. */
export const perGate =
  (count: number, init: Initializer): Initializer =>
  (shape, stream, out) => {
    const all = shape[shape.length - 1]!;
    const columns = all / count;
    const block = new Float32Array(out.length / count);
    for (let gate = 0; gate < count; gate++) {
      init([...shape.slice(0, -1), columns], stream, block);
      for (let k = 0; k < block.length; k++) {
        out[Math.floor(k / columns) * all + gate * columns + (k % columns)] = block[k]!;
      }
    }
  };

/** The parameters of a cell: `name/weightInput`, `name/weightHidden`, `name/biasInput`, `name/biasHidden`. */
function gatesOf(name: string, inputSize: number, hiddenSize: number, gates: number, options: CellOptions) {
  if (!(inputSize >= 1 && hiddenSize >= 1)) {
    throw new UserError(`cell "${name}": got sizes ${inputSize} and ${hiddenSize}, expected both ≥ 1`);
  }
  const { init = perGate(gates, orthogonal()), biasInit = zerosInit } = options;
  const width = gates * hiddenSize;
  const parameters: ParamSpec[] = [
    { name: `${name}/weightInput`, shape: [inputSize, width], init },
    { name: `${name}/weightHidden`, shape: [hiddenSize, width], init },
    { name: `${name}/biasInput`, shape: [width], init: biasInit },
    { name: `${name}/biasHidden`, shape: [width], init: biasInit },
  ];
  return {
    parameters,
    parametersOf: (params: Readonly<Record<string, Tensor>>) => ({
      weightInput: params[`${name}/weightInput`]!,
      weightHidden: params[`${name}/weightHidden`]!,
      biasInput: params[`${name}/biasInput`]!,
      biasHidden: params[`${name}/biasHidden`]!,
    }),
  };
}

/** projected + h · w: of matrices one product that begins from what is there. */
function plusProduct(projected: Tensor, h: Tensor, w: Tensor): Tensor {
  return w.shape.length === 2 ? gemm(h, w, false, false, projected) : add(projected, linear(h, w));
}

/**
 * Gated recurrent unit (Cho et al. 2014) in PyTorch's form, with the reset gate after the recurrent bias. Gates r, z, n:
 *
 *   r = σ(W_r x + b_r + U_r h + c_r)      z = σ(W_z x + b_z + U_z h + c_z)
 *   n = tanh(W_n x + b_n + r ⊙ (U_n h + c_n))      h' = (1 − z) ⊙ n + z ⊙ h
 *
 * @throws UserError if a size is below 1
 */
export function gruCell(
  name: string,
  inputSize: number,
  hiddenSize: number,
  options: CellOptions = {},
): RecurrentCell<Tensor> {
  const { parameters, parametersOf } = gatesOf(name, inputSize, hiddenSize, 3, options);
  const H = hiddenSize;
  // r and z together, n apart. Weights are cut, once for all steps, instead of what they make of every step.
  const parts = (x: Tensor) => split(x, [2 * H, H], -1) as [gates: Tensor, candidate: Tensor];
  return {
    parameters,
    hiddenSize,
    project: (params, x) => {
      const { weightInput, biasInput, biasHidden } = parametersOf(params);
      const [w, wNew] = parts(weightInput);
      const [b, bNew] = parts(biasInput);
      const [c] = parts(biasHidden);
      return {
        gates: named(linear(x, w, add(b, c)), `${name}/projectGates`),
        candidate: named(linear(x, wNew, bNew), `${name}/projectCandidate`),
      };
    },
    step: (params, { gates, candidate }, h) => {
      const { weightHidden, biasHidden } = parametersOf(params);
      const [u, uNew] = parts(weightHidden);
      const [, cNew] = parts(biasHidden);
      const [r, z] = split(sigmoid(named(plusProduct(gates!, h, u), `${name}/gates`)), [H, H], -1);
      const recurrent = named(linear(h, uNew, cNew), `${name}/recurrent`);
      const n = named(tanh(add(candidate!, mul(r!, recurrent))), `${name}/candidate`);
      return named(add(n, mul(z!, sub(h, n))), name);
    },
  };
}

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997) in PyTorch's form. Gates i, f, g, o:
 *
 *   c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)      h' = σ(o) ⊙ tanh(c')
 *
 * @throws UserError if a size is below 1
 */
export function lstmCell(
  name: string,
  inputSize: number,
  hiddenSize: number,
  options: CellOptions = {},
): RecurrentCell<LstmState> {
  const { parameters, parametersOf } = gatesOf(name, inputSize, hiddenSize, 4, options);
  const H = hiddenSize;
  return {
    parameters,
    hiddenSize,
    project: (params, x) => {
      const { weightInput, biasInput, biasHidden } = parametersOf(params);
      return { gates: named(linear(x, weightInput, add(biasInput, biasHidden)), `${name}/project`) };
    },
    step: (params, projected, { hidden, cell }) => {
      const { weightHidden } = parametersOf(params);
      const gates = named(plusProduct(projected.gates!, hidden, weightHidden), `${name}/gates`);
      const [inputForget, candidate, output] = split(gates, [2 * H, H, H], -1);
      const [i, f] = split(sigmoid(inputForget!), [H, H], -1);
      const next = add(mul(f!, cell), mul(i!, tanh(candidate!)));
      return {
        hidden: named(mul(sigmoid(output!), tanh(next)), name),
        cell: named(next, `${name}/cell`),
      };
    },
  };
}

/**
 * A cell over T steps of R sequences, with its state zeroed where an episode starts.
 *
 * @param projected leaves [T, R, …], what `project` made of the inputs
 * @param first     [R, H] state before the first step
 * @param starts    [T, R] float, 1 where the state is zeroed before the step
 * @returns the state after the last step [R, H], and after every step [T, R, H]
 */
export function unrollCell(
  cell: RecurrentCell<Tensor>,
  params: Readonly<Record<string, Tensor>>,
  projected: Projected,
  first: Tensor,
  starts: Tensor,
): { readonly last: Tensor; readonly all: Tensor } {
  const keep = reshape(sub(1, starts), [...starts.shape, 1]);
  const { carry, out } = scan({ init: first, xs: { projected, keep } }, (hidden, x) => {
    const next = cell.step(params, x.projected, mul(hidden, x.keep));
    return { carry: next, out: next };
  });
  return { last: carry, all: out };
}
