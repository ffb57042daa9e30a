import { describe, expect, it } from "vitest";
import "../support/allclose.js";
import { attackCases } from "../../bench/attacks.js";
import { type Case, checkOf } from "../../bench/cases.js";
import { SharedNumbers } from "../../bench/numbers.js";
import { peakGflops, productsOf } from "../../bench/profile.js";
import { recurrentCases } from "../../bench/recurrent.js";
import { stackelbergCases } from "../../bench/stackelberg.js";
import { suites } from "../../bench/suites.js";
import { updateCases } from "../../bench/updates.js";
import { ndarray } from "../../src/core/array.js";
import { Runtime } from "../../src/runtime/index.js";
import { nodeBackend } from "../../src/runtime/node.js";

const all = [...updateCases, ...recurrentCases, ...stackelbergCases, ...attackCases];
const caseOf = (name: string) => all.find((c) => c.name === name) as Case;
const float64 = (values: readonly number[]) => ndarray("float64", [values.length], Float64Array.from(values));

it("shared numbers are those of bench/peers/shared_numbers.py", () => {
  const numbers = new SharedNumbers();
  expect([...numbers.draw([3], 1).data]).toEqual([-1, -0.3648022711277008, -0.6175304651260376]);
  expect([...numbers.draw([2, 2], Math.sqrt(3)).data]).toEqual([
    0.2542566657066345, 0.30620500445365906, 0.7071399688720703, 1.4818142652511597,
  ]);
  expect([...numbers.integers(8, 5)]).toEqual([1, 0, 0, 0, 0, 3, 4, 2]);
});

describe("cases come to what PyTorch 2.15.0 comes to", () => {
  // What bench/peers answers as `check`.
  const expected: Readonly<Record<string, readonly number[]>> = {
    "mlp64-b16": [1.034796118736267, 0.9930213093757629, 0.9526695013046265],
    "mlp256-b512": [1.0065422058105469, 0.9512342214584351, 0.9050407409667969],
    "ppo-750x10": [4.444407228380442, 4.05232647061348, 3.901884526014328],
    "ppo-750x10:ten-runs": [4.444407228380442, 4.05232647061348, 3.901884526014328],
    "infer-30": [3.0011863708496094],
    "gru-t25-b96-h64": [1.0817177295684814, -0.07386152511909039, 0.03570049299360281],
    "gru-t340-b32-h32": [1.0834439992904663, -0.06523054825531815, 0.04686910843642035],
    "stackelberg-box-k10": [0.006620644840428572, -0.02173026139470289, 0.04288635515791853],
    "stackelberg-box-k20:products": [0.011113639826023492, -0.048406392432921524, 0.06536998179617372],
    "stackelberg-ball-k10": [0.06214021071090735, -0.0022574869307263185, 0.2642857740707616],
    "fgsm-512": [1.511438250541687],
    "pgd10-512": [1.5115095376968384],
    "pgd10-512:program": [1.5115095376968384],
  };
  it.each(Object.entries(expected))("%s", (name, numbers) => {
    const got = checkOf(caseOf(name).setup(new Runtime(nodeBackend())));
    expect(float64(got)).toBeAllclose(float64(numbers), { rtol: 2e-5, atol: 1e-7 });
  });
});

it("every row of a suite of calls is a case", () => {
  for (const name of ["updates", "recurrent", "stackelberg", "attacks"]) {
    for (const row of suites[name]!.rows) expect(caseOf(row.name), row.name).toBeDefined();
  }
});

it("matrix products are counted from the engine's profile, in every run of a call and every step of a loop", () => {
  // Forward 30-64-64-5, gradients of weights, and of inputs but the first layer's; 16 rows.
  const { gflop, ms } = productsOf(caseOf("mlp64-b16"), 5);
  expect(gflop).toBeCloseTo((2 * 16 * (2 * (30 * 64 + 64 * 64 + 64 * 5) + 64 * 64 + 64 * 5)) / 1e9, 9);
  expect(ms).toBeGreaterThan(0);
  const [whole, runs] = ["ppo-750x10", "ppo-750x10:ten-runs"].map(
    (name) => productsOf(caseOf(name), 3).gflop,
  );
  expect(whole).toBeGreaterThan(0.2);
  expect(runs).toBeCloseTo(whole!, 6);
});

it("the peak is a plausible one", () => {
  const peak = peakGflops();
  expect(peak).toBeGreaterThan(0.5);
  expect(peak).toBeLessThan(5000);
});
