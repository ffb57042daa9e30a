import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { runtime } from "../../test/support/rollouts.js";
import { smallPolicy } from "../../test/support/teams.js";
import { type NdArray, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import { categorical, multiCategorical } from "../nn/index.js";
import { PolicyActor } from "../policy/index.js";
import { arrayFrom, constant, grad, input, interpret, sum, trace } from "../tensor/index.js";
import { type AttackObjective, GradientPerturber, objectiveOf, PLAIN_ASCENT } from "./index.js";

const f64 = (shape: number[], values: number[]) => ndarray("float64", shape, Float64Array.from(values));
const numbers = (x: NdArray) => Array.from(x.data, Number);

/** Objective and its gradient for logits [R, A] and favourites. */
function margins(logits: number[][], favourites: number[], mask?: number[][]) {
  const [R, A] = [logits.length, logits[0]!.length];
  return trace(() => {
    const z = input("z", [R, A], "float64");
    const available = mask === undefined ? undefined : constant(arrayFrom([R, A], "bool", mask.flat()));
    const action = constant(arrayFrom([R], "int32", favourites));
    const value = objectiveOf("margin", { kind: "discrete", n: A }, categorical(z, available), action);
    const got = interpret({ value, slope: grad(sum(value), z) }, { z: f64([R, A], logits.flat()) });
    return { value: numbers(got.value), slope: numbers(got.slope) };
  });
}

describe("the margin", () => {
  it("is the difference to the best other action over the spread of the first three", () => {
    const { value, slope } = margins(
      [
        [3, 1, -1, -9],
        [0, 2, 1, 0.5],
        [2, 2.5, 2, -1],
      ],
      [0, 0, 0],
    );
    // (1 − 3) / (3 + 1), (2 − 0) / (2 − 0.5), (2.5 − 2) / (2.5 − 2)
    expect(value).toBeAllclose([-0.5, 4 / 3, 1], { atol: 1e-9 });
    // Quotient rule: the spread is differentiated, too.
    expect(slope.slice(0, 4)).toBeAllclose([-1 / 4 + 2 / 16, 1 / 4, -2 / 16, 0], { atol: 1e-9 });
    expect(slope.slice(4, 8)).toBeAllclose([-2 / 3, 2 / 3 - 8 / 9, 0, 8 / 9], { atol: 1e-9 });
  });

  it("does not change when all logits are scaled or moved", () => {
    const z = [0.3, -1.1, 0.8, 2];
    const { value } = margins([z, z.map((x) => 50 * x), z.map((x) => x - 7)], [2, 2, 2]);
    expect(value[1]).toBeCloseTo(value[0]!, 9);
    expect(value[2]).toBeCloseTo(value[0]!, 9);
  });

  it("is the difference alone where fewer than three actions are available", () => {
    const { value, slope } = margins(
      [
        [1, 4, -2, 9],
        [1, 4, -2, 9],
      ],
      [1, 1],
      [
        [1, 1, 0, 0],
        [1, 1, 1, 0],
      ],
    );
    // Row 2 has three: (1 − 4) / (4 + 2).
    expect(value).toBeAllclose([-3, -0.5], { atol: 1e-6 });
    expect(slope.slice(0, 4)).toBeAllclose([1, -1, 0, 0], { atol: 1e-6 });
    expect(slope[7]).toBe(0);
    expect(margins([[1, 4]], [1]).value).toBeAllclose([-3]);
    const single = margins([[5]], [0]);
    expect([...single.value, ...single.slope]).toEqual([0, 0]);
  });

  it("of a multi-discrete action is that of its parts, added", () => {
    const value = trace(() => {
      const z = constant(f64([1, 5], [3, 1, -1, 0, 2]));
      const action = constant(arrayFrom([1, 2], "int32", [0, 0]));
      const space = { kind: "multi-discrete", sizes: [3, 2] } as const;
      return numbers(interpret(objectiveOf("margin", space, multiCategorical(z, [3, 2]), action)));
    });
    expect(value).toBeAllclose([-0.5 + 2]);
  });
});

describe("a policy that is very sure", () => {
  const [O, ROWS] = [6, 8];
  const policy = smallPolicy({ obsSize: O, space: { kind: "discrete", n: 4 }, hidden: [] });
  const stream = RandomStream.from(4, "victim");
  const parameters = policy.initialParameters(stream);
  const clean = Float32Array.from({ length: ROWS * O }, () => stream.normal());
  const attack = (objective: AttackObjective, sureness: number) => {
    const delta = new Float32Array(ROWS * O);
    const victim = new PolicyActor(
      "victim",
      runtime,
      policy,
      parameters.map((w) => sureness * w),
      "greedy",
    );
    new GradientPerturber("test", runtime, { ...PLAIN_ASCENT, steps: 1, stepSize: 1, objective }).perturb(
      {
        rows: ROWS,
        victim,
        clean,
        actionMask: null,
        agent: new Int32Array(ROWS),
        epsilon: new Float32Array(ROWS).fill(0.1),
        scale: new Float64Array(O).fill(1),
        norm: "linf",
        state: {},
        streams: Array.from({ length: ROWS }, (_, r) => RandomStream.from(r)),
      },
      delta,
    );
    return delta;
  };

  it("has no gradient of the cross-entropy in float32, and a margin as before", () => {
    expect(attack("cross-entropy", 1e4)).toEqual(new Float32Array(ROWS * O));
    expect(attack("margin", 1e4)).toEqual(attack("margin", 1));
    expect(Math.min(...attack("margin", 1).map(Math.abs))).toBeGreaterThan(0.09);
  });
});
