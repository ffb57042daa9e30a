import { describe, expect, it } from "vitest";
import { finiteDifferences } from "../../test/compute/finite-differences.js";
import "../../test/support/allclose.js";
import { ndarray, sizeOf } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import {
  add,
  concat,
  grad,
  input,
  interpret,
  mul,
  reshape,
  split,
  square,
  sum,
  type Tensor,
  trace,
} from "../tensor/index.js";
import * as nn from "./index.js";

const IN = 3;
const H = 2;
const B = 2;

/** Element i is ((7 i + 3 k) mod 11 − 5) / 8. */
const fill = (k: number, ...shape: number[]) =>
  ndarray(
    "float64",
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => (((7 * i + 3 * k) % 11) - 5) / 8),
  );

const feedsOf = (gates: number) => ({
  x: fill(1, B, IN),
  h: fill(2, B, H),
  "g/weightInput": fill(3, IN, gates * H),
  "g/weightHidden": fill(4, H, gates * H),
  "g/biasInput": fill(5, gates * H),
  "g/biasHidden": fill(6, gates * H),
});

type Feeds = Record<string, ReturnType<typeof fill>>;
const inputsOf = (feeds: Feeds) =>
  Object.fromEntries(Object.entries(feeds).map(([name, a]) => [name, input(name, a.shape, "float64")]));

/** Two steps: on x, then on 2x. */
function twoGruSteps(cell: nn.RecurrentCell<Tensor>, s: Record<string, Tensor>) {
  const first = cell.step(s, cell.project(s, s.x!), s.h!);
  const second = cell.step(s, cell.project(s, mul(s.x!, 2)), first);
  return { first, loss: sum(square(second)) };
}

function twoLstmSteps(cell: nn.RecurrentCell<nn.LstmState>, s: Record<string, Tensor>) {
  const first = cell.step(s, cell.project(s, s.x!), { hidden: s.h!, cell: s.c! });
  const second = cell.step(s, cell.project(s, mul(s.x!, 2)), first);
  return { first, loss: add(sum(square(second.hidden)), sum(second.cell)) };
}

/**
 * Expected numbers: PyTorch 2.15 in float64, torch.nn.GRUCell and LSTMCell with weight_ih.copy_(weightInput.T) and so
 * on; y = cell(x, h); loss = (cell(2 * x, y) ** 2).sum(), for the LSTM plus the sum of its second cell state.
 */
describe("recurrent cells", () => {
  it("the GRU has PyTorch's values and gradients", () => {
    const feeds: Feeds = feedsOf(3);
    const { first, loss, gradients } = trace(() => {
      const inputs = inputsOf(feeds);
      const out = twoGruSteps(nn.gruCell("g", IN, H), inputs);
      const slopes = Object.entries(inputs).map(([name, x]) => [name, grad(out.loss, x)] as const);
      return {
        ...interpret(out, feeds),
        gradients: Object.fromEntries(slopes.map(([name, slope]) => [name, interpret(slope, feeds)])),
      };
    });
    const exact = { rtol: 1e-12, atol: 1e-15 };
    expect(first).toBeAllclose(
      [0.1348589391188456, 0.24899278425577137, 0.46923266167902977, 0.3880540229941948],
      exact,
    );
    expect(loss).toBeAllclose([0.9240649797413469], exact);
    const expected: Record<string, number[]> = {
      x: [
        -0.5016437221498855, 0.1588471839924045, 0.10436834845706945, -0.6396021556620566,
        0.17231452031484096, -0.035625972047305894,
      ],
      h: [0.29605826278517644, 0.09626250332279213, 0.6838312330162126, 0.08619638626689341],
      "g/weightInput": [
        0.011795164352311984, -0.021931104541268398, -0.031897769449176695, 0.22950198477976014,
        -0.1776182560900514, -0.37623959313013083, -0.01813174100721363, 0.0407819373626708,
        0.045412838061714984, -0.43167790921544397, 0.26526238808222685, 0.6504305602786761,
        -0.0010306522303418508, 0.004945913417562689, 0.0012353480554911664, -0.053860826932470185,
        0.01218773426949641, 0.06376190118792929,
      ],
      "g/weightHidden": [
        -0.009329388327086642, 0.01451277648735779, 0.024136784091828255, -0.1267252751245661,
        0.06904400171151139, 0.06841189102752143, -0.00230568153117007, -4.659870573623694e-5,
        0.013778166532481144, -0.05383226049876484, 0.02089400774829497, 0.025368897771350967,
      ],
      "g/biasInput": [
        -0.023693644273472377, 0.05085071623656691, 0.052835853518070686, -0.4586179714380618,
        0.35075847798914633, 0.7358657801432129,
      ],
      "g/biasHidden": [
        -0.023693644273472377, 0.05085071623656691, 0.052835853518070686, -0.4586179714380618,
        0.1688060542421786, 0.19850902711102159,
      ],
    };
    expect(Object.keys(gradients).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, numbers] of Object.entries(expected)) {
      expect(gradients[name]!).toBeAllclose(numbers, exact);
    }
  });

  it("the LSTM has PyTorch's values and gradients", () => {
    const feeds: Feeds = { ...feedsOf(4), c: fill(7, B, H) };
    const out = trace(() => {
      const inputs = inputsOf(feeds);
      const { first, loss } = twoLstmSteps(nn.lstmCell("g", IN, H), inputs);
      const slope = (name: string) => grad(loss, inputs[name]!);
      return interpret(
        {
          first: { ...first },
          loss,
          x: slope("x"),
          h: slope("h"),
          c: slope("c"),
          weightHidden: slope("g/weightHidden"),
          biasInput: slope("g/biasInput"),
          biasHidden: slope("g/biasHidden"),
        },
        feeds,
      );
    });
    const exact = { rtol: 1e-12, atol: 1e-15 };
    expect(out.first.hidden).toBeAllclose(
      [0.26380509887364656, 0.08932345528664487, -0.030678268251634697, 0.18352064588875877],
      exact,
    );
    expect(out.first.cell).toBeAllclose(
      [0.5307461755155561, 0.1896681973807381, -0.060486322616767535, 0.36614831041834506],
      exact,
    );
    expect(out.loss).toBeAllclose([1.4100208579551934], exact);
    expect(out.x).toBeAllclose(
      [
        -0.780468732675736, -0.31964672095603414, -0.24924108972879974, -0.3700923844848748,
        0.008912782901863276, 0.011932404502502743,
      ],
      exact,
    );
    expect(out.h).toBeAllclose(
      [0.051540852217964804, 0.1549646329164074, -0.01976420467834001, 0.06435678944942112],
      exact,
    );
    expect(out.c).toBeAllclose(
      [0.5258524471679462, 0.3664048965512887, 0.5204080201663527, 0.27456449213403616],
      exact,
    );
    expect(out.weightHidden).toBeAllclose(
      [
        0.07159210156094173, 0.04546157293267717, 0.02372790455262449, 0.05235591248732805,
        0.3546255928402441, 0.20608290271021162, 0.019398305575529, 0.007345848001842625,
        0.016261600831967905, 0.007890676771436969, -0.029332778424333742, 0.016739498004577996,
        -0.019757895086482485, 0.0306230198947417, 0.007972092963757204, 0.0050585672929453615,
      ],
      exact,
    );
    const bias = [
      0.3335638428398744, 0.29329309928783054, 0.18546067217782164, 0.25679987193798315, 1.8835792116497543,
      1.0203318609992045, 0.08065332815835732, 0.05372656939132124,
    ];
    expect(out.biasInput).toBeAllclose(bias, exact);
    expect(out.biasHidden).toBeAllclose(bias, exact);
  });

  it.each(["gru", "lstm"])("the gradient of the %s is that of finite differences", (kind) => {
    const feeds: Feeds = kind === "gru" ? feedsOf(3) : { ...feedsOf(4), c: fill(7, B, H) };
    trace(() => {
      const inputs = inputsOf(feeds);
      const { loss } =
        kind === "gru"
          ? twoGruSteps(nn.gruCell("g", IN, H), inputs)
          : twoLstmSteps(nn.lstmCell("g", IN, H), inputs);
      for (const [name, x] of Object.entries(inputs)) {
        const { slope } = interpret({ slope: grad(loss, x) }, feeds);
        expect(slope).toBeAllclose(finiteDifferences(loss, feeds, name), { atol: 1e-8, rtol: 1e-7 });
      }
    });
  });

  it("projects all steps of a sequence at once", () => {
    const cell = nn.gruCell("g", IN, H);
    const feeds: Feeds = { ...feedsOf(3), x: fill(1, 4, B, IN) };
    const { all, steps } = trace(() => {
      const s = inputsOf(feeds);
      const steps = split(s.x!, [1, 1, 1, 1]).map((x) => cell.project(s, reshape(x, [B, IN])));
      const joined = (part: string) => concat(steps.map((step) => step[part]!));
      const { gates, candidate } = cell.project(s, s.x!);
      return interpret(
        {
          all: { gates: gates!, candidate: candidate! },
          steps: { gates: joined("gates"), candidate: joined("candidate") },
        },
        feeds,
      );
    });
    expect([all.gates.shape, all.candidate.shape]).toEqual([
      [4, B, 2 * H],
      [4, B, H],
    ]);
    expect(all.gates.data).toEqual(steps.gates.data);
    expect(all.candidate.data).toEqual(steps.candidate.data);
  });

  it("start as their options say", () => {
    const block = (flat: Float32Array, rows: number, gate: number) =>
      Array.from({ length: rows * 4 }, (_, k) => flat[Math.floor(k / 4) * 12 + gate * 4 + (k % 4)]!);
    /** wᵀ w of [rows, 4] */
    const products = (w: number[], rows: number) =>
      Array.from({ length: 16 }, (_, k) => {
        let dot = 0;
        for (let r = 0; r < rows; r++) dot += w[r * 4 + Math.floor(k / 4)]! * w[r * 4 + (k % 4)]!;
        return dot;
      });
    const identity = Array.from({ length: 16 }, (_, k) => (k % 5 === 0 ? 1 : 0));
    const layoutOf = (options?: nn.CellOptions) =>
      nn.layoutOf({ ...nn.gruCell("g", 6, 4, options), forward: (_, x) => x });
    const layout = layoutOf();
    expect(layout.entries.map((e) => [e.name, e.shape])).toEqual([
      ["g/weightInput", [6, 12]],
      ["g/weightHidden", [4, 12]],
      ["g/biasInput", [12]],
      ["g/biasHidden", [12]],
    ]);
    const flat = layout.initial(RandomStream.from(1));
    for (let gate = 0; gate < 3; gate++) {
      expect(products(block(layout.view(flat, "g/weightInput"), 6, gate), 6)).toBeAllclose(identity);
      expect(products(block(layout.view(flat, "g/weightHidden"), 4, gate), 4)).toBeAllclose(identity);
    }
    expect(layout.view(flat, "g/biasInput").every((b) => b === 0)).toBe(true);
    // The gates differ from one another.
    expect(block(layout.view(flat, "g/weightHidden"), 4, 0)).not.toEqual(
      block(layout.view(flat, "g/weightHidden"), 4, 1),
    );
    const uniform = nn.uniformInit(1 / Math.sqrt(4));
    const drawn = layoutOf({ init: uniform, biasInit: uniform }).initial(RandomStream.from(2));
    expect(Math.max(...drawn.map(Math.abs))).toBeLessThanOrEqual(0.5);
    // standard deviation of U(−½, ½): 0.289; 144 values
    expect(Math.sqrt(drawn.reduce((s, w) => s + w * w, 0) / drawn.length)).toBeCloseTo(0.289, 1);
    expect(() => nn.gruCell("g", 0, 4)).toThrow('cell "g": got sizes 0 and 4, expected both ≥ 1');
  });
});
