import type { Tensor } from "../../tensor/index.js";
import * as t from "../../tensor/index.js";
import type { Importer, NodeContext } from "./context.js";
import { tensorValue } from "./values.js";

/**
 * GRU and LSTM as cells that are repeated. ONNX gives the gates as blocks of rows: W [1, gates·H, I] for the input,
 * R [1, gates·H, H] for the state, B [1, 2·gates·H] with the biases of W and then of R. T steps, B rows.
 */

interface Layer {
  /** [T, B, gates·H] the input's part of the gates, bias included */
  readonly projected: Tensor;
  /** [gates·H, H] */
  readonly recurrent: Tensor;
  /** [gates·H] bias of the state's part; undefined if there is none, or if it is in `projected` */
  readonly recurrentBias: Tensor | undefined;
  readonly hiddenSize: number;
  /** [B, H] input i, or zeros */
  initial(i: number): Tensor;
}

function layerOf(c: NodeContext, gates: number, activations: readonly string[], joinBiases: boolean): Layer {
  checkVariant(c, activations);
  const [x, w, r] = [c.tensor(0), c.tensor(1), c.tensor(2)];
  const hiddenSize = r.shape[2] ?? 0;
  c.require("hidden_size", hiddenSize);
  const [rows, inputSize] = [gates * hiddenSize, x.shape[2] ?? 0];
  const expectShape = (what: string, actual: Tensor, expected: readonly number[]) => {
    if (!t.sameShape(actual.shape, expected))
      throw c.fail(`got ${what} of shape ${t.formatDims(actual.shape)}, expected ${t.formatDims(expected)}`);
  };
  if (x.shape.length !== 3)
    throw c.fail(`got the sequence ${t.formatDims(x.shape)}, expected [time, batch, features]`);
  expectShape("W", w, [1, rows, inputSize]);
  expectShape("R", r, [1, rows, hiddenSize]);
  let inputBias: Tensor | undefined;
  let recurrentBias: Tensor | undefined;
  if (c.has(3)) {
    const bias = c.tensor(3);
    expectShape("B", bias, [1, 2 * rows]);
    [inputBias, recurrentBias] = t.split(t.reshape(bias, [2 * rows]), [rows, rows]) as [Tensor, Tensor];
    if (joinBiases) [inputBias, recurrentBias] = [t.add(inputBias, recurrentBias), undefined];
  }
  const [steps, batch] = x.shape as [number, number, number];
  if (steps === t.FREE) throw c.fail("its sequence runs over the rows, which are free here");
  return {
    projected: project(x, t.reshape(w, [rows, inputSize]), inputBias),
    recurrent: t.reshape(r, [rows, hiddenSize]),
    recurrentBias,
    hiddenSize,
    initial: (i) => {
      if (!c.has(i)) return t.filled(0, [batch, hiddenSize], x.dtype);
      const state = c.tensor(i);
      // In a model exported for one row, a constant initial state is that of every row.
      const shared = c.scope.rows !== undefined && state.shape[1] === 1;
      expectShape("the initial state", state, [1, shared ? 1 : batch, hiddenSize]);
      return t.expand(t.reshape(state, state.shape.slice(1)), [batch, hiddenSize]);
    },
  };
}

/** What is not PyTorch's GRU and LSTM. */
function checkVariant(c: NodeContext, activations: readonly string[]): void {
  c.require("direction", "forward");
  c.require("layout", 0);
  const given = c.textList("activations");
  if (given !== undefined && given.join().toLowerCase() !== activations.join().toLowerCase())
    throw c.wrong("activations", given, activations.join(", "));
  c.refuse(4, "sequence lengths");
}

/** x Wᵀ + b for all steps at once. */
function project(x: Tensor, w: Tensor, bias: Tensor | undefined): Tensor {
  const [steps, batch, size] = x.shape as [number, number, number];
  if (steps !== 1 && batch === t.FREE) {
    const y = t.matmul(x, t.transpose(w));
    return bias === undefined ? y : t.add(y, bias);
  }
  const rows = t.gemm(t.reshape(x, [batch === t.FREE ? batch : steps * batch, size]), w, false, true, bias);
  return t.reshape(rows, [steps, batch, w.shape[0]!]);
}

type State = Readonly<Record<string, Tensor>>;

/**
 * The cell over all steps; one step needs no loop.
 * @param step from this step's part of the gates [B, gates·H] and the state to the next state, leaves [B, H]
 * @returns `hidden` of every step [T, 1, B, H], and the last state
 */
function unroll(
  { projected }: Layer,
  init: State,
  step: (gates: Tensor, state: State) => State,
): { sequence: Tensor; last: State } {
  const [steps, batch, width] = projected.shape as [number, number, number];
  if (steps === 1) {
    const last = step(t.reshape(projected, [batch, width]), init);
    const { hidden } = last;
    return { sequence: t.reshape(hidden!, [1, 1, ...hidden!.shape]), last };
  }
  const { carry, out } = t.scan({ init, xs: { gates: projected } }, (state, { gates }) => {
    const carry = step(gates, state);
    return { carry, out: { hidden: carry.hidden! } };
  });
  const [, ...shape] = out.hidden.shape;
  return { sequence: t.reshape(out.hidden, [steps, 1, ...shape]), last: carry };
}

const withLayerAxis = (x: Tensor) => t.reshape(x, [1, ...x.shape]);

/**
 * Gates z, r, n:  n = tanh(W_n x + b_n + r ⊙ (R_n h + c_n)),  h' = (1 − z) ⊙ n + z ⊙ h. The reset gate after the
 * recurrent product is PyTorch's form; ONNX's default, with the gate before it, is refused.
 */
const gru: Importer = (c) => {
  c.require("linear_before_reset", 1, 0);
  const layer = layerOf(c, 3, ["Sigmoid", "Tanh"], false);
  const H = layer.hiddenSize;
  const { sequence, last } = unroll(layer, { hidden: layer.initial(5) }, (gates, state) => {
    const h = state.hidden!;
    const [inputGates, inputNew] = t.split(gates, [2 * H, H], 1);
    const recurred = t.gemm(h, layer.recurrent, false, true, layer.recurrentBias);
    const [hiddenGates, hiddenNew] = t.split(recurred, [2 * H, H], 1);
    const [z, r] = t.split(t.sigmoid(t.add(inputGates!, hiddenGates!)), [H, H], 1);
    const n = t.tanh(t.add(inputNew!, t.mul(r!, hiddenNew!)));
    return { hidden: t.add(n, t.mul(z!, t.sub(h, n))) };
  });
  return [sequence, withLayerAxis(last.hidden!)].map(tensorValue);
};

/** Gates i, o, f, g:  c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g),  h' = σ(o) ⊙ tanh(c'). */
const lstm: Importer = (c) => {
  c.require("input_forget", 0);
  c.refuse(7, "peephole weights");
  const layer = layerOf(c, 4, ["Sigmoid", "Tanh", "Tanh"], true);
  const H = layer.hiddenSize;
  const init = { hidden: layer.initial(5), cell: layer.initial(6) };
  const { sequence, last } = unroll(layer, init, (projected, state) => {
    const gates = t.add(projected, t.gemm(state.hidden!, layer.recurrent, false, true));
    const [open, candidate] = t.split(gates, [3 * H, H], 1);
    const [i, o, f] = t.split(t.sigmoid(open!), [H, H, H], 1);
    const cell = t.add(t.mul(f!, state.cell!), t.mul(i!, t.tanh(candidate!)));
    return { hidden: t.mul(o!, t.tanh(cell)), cell };
  });
  return [sequence, withLayerAxis(last.hidden!), withLayerAxis(last.cell!)].map(tensorValue);
};

export const recurrent: Readonly<Record<string, Importer>> = { GRU: gru, LSTM: lstm };
