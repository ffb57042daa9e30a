/**
 * Suite `second-order`: the gradient of a leader through a follower's K steps of projected ascent, in float64. Cases as
 * in `bench/peers/README.md`.
 */
import { type NdArray, ndarray } from "../src/core/array.js";
import {
  type AscentProblem,
  type AscentRule,
  layoutOf,
  stackelbergGradient,
  unrolledAscent,
} from "../src/nn/index.js";
import { add, grad, square, sub, sum, type Tensor } from "../src/tensor/index.js";
import { type Case, network, scalarOf, totalOf } from "./cases.js";
import { SharedNumbers, UNIT } from "./numbers.js";

const [ROWS, SIZES] = [8, [4, 16, 3]];
const RULES = {
  box: { direction: "raw", stepSize: 0.1, projection: { kind: "box", radius: 0.1 } },
  ball: { direction: "normalised", stepSize: 0.1, projection: { kind: "ball", radius: 0.2 } },
} as const satisfies Record<string, AscentRule>;

function wide({ shape, data }: NdArray): NdArray<"float64"> {
  return ndarray("float64", shape, Float64Array.from(data as Float32Array));
}

/** @param form back through the unrolled steps, or by products with second derivatives at each of them */
function stackelberg(rule: AscentRule, steps: number, form: "unrolled" | "products"): Case["setup"] {
  return (runtime) => {
    const net = network("policy", SIZES);
    const layout = layoutOf(net);
    const program = runtime.program(
      "bench/stackelberg",
      ({ params, obs, start }: Record<"params" | "obs" | "start", Tensor>) => {
        const named = layout.unpack(params);
        const clean = net.forward(named, obs);
        const problem: AscentProblem = {
          ...rule,
          objective: (delta) => sum(square(sub(net.forward(named, add(obs, delta)), clean))),
          start,
          steps,
        };
        if (form === "products") {
          const { value, gradient } = stackelbergGradient(problem, params);
          return { value, gradient };
        }
        const value = problem.objective(unrolledAscent(problem));
        return { value, gradient: grad(value, params) };
      },
    );
    const numbers = new SharedNumbers();
    const inputs = {
      params: wide(numbers.parameters(layout)),
      obs: wide(numbers.draw([ROWS, SIZES[0]!], UNIT)),
      start: wide(numbers.draw([ROWS, SIZES[0]!], 0.1)),
    };
    return Object.assign(() => scalarOf(program.run(inputs).value), {
      check: () => {
        const { value, gradient } = program.run(inputs);
        return [scalarOf(value), totalOf(gradient), Math.hypot(...(gradient.data as Float64Array))];
      },
    });
  };
}

export const stackelbergCases: readonly Case[] = (
  [
    ["box", 10],
    ["box", 20],
    ["ball", 10],
  ] as const
).flatMap(([rule, steps]) => [
  { name: `stackelberg-${rule}-k${steps}`, setup: stackelberg(RULES[rule], steps, "unrolled") },
  { name: `stackelberg-${rule}-k${steps}:products`, setup: stackelberg(RULES[rule], steps, "products") },
]);
