/** Suite `recurrent`: back-propagation through time, through a loop. Cases as in `bench/peers/README.md`. */
import { zeros } from "../src/core/array.js";
import { gruCell, layoutOf, meanSquaredError } from "../src/nn/index.js";
import { grad, scan, type Tensor } from "../src/tensor/index.js";
import { type Case, scalarOf, totalOf } from "./cases.js";
import { SharedNumbers, UNIT } from "./numbers.js";

/** Loss and gradient of a GRU whose outputs at all steps have targets; inputs as wide as the state. */
function gru(steps: number, rows: number, width: number): Case["setup"] {
  return (runtime) => {
    const cell = gruCell("gru", width, width);
    const layout = layoutOf(cell);
    const step = runtime.program(
      "bench/gru",
      (inputs: { params: Tensor; x: Tensor; first: Tensor; y: Tensor }) => {
        const named = layout.unpack(inputs.params);
        const projected = cell.project(named, inputs.x);
        const { out } = scan({ init: inputs.first, xs: projected }, (hidden, x) => {
          const next = cell.step(named, x, hidden);
          return { carry: next, out: next };
        });
        const loss = meanSquaredError(out, inputs.y);
        return { loss, gradient: grad(loss, inputs.params) };
      },
    );
    const numbers = new SharedNumbers();
    const params = numbers.parameters(layout);
    const x = numbers.draw([steps, rows, width], UNIT);
    const y = numbers.draw([steps, rows, width], UNIT);
    const first = zeros("float32", [rows, width]);
    const run = () => step.run({ params, x, y, first });
    return Object.assign(() => scalarOf(run().loss), {
      check: () => {
        const { loss, gradient } = run();
        return [scalarOf(loss), totalOf(gradient), Math.hypot(...(gradient.data as Float32Array))];
      },
    });
  };
}

export const recurrentCases: readonly Case[] = [
  { name: "gru-t25-b96-h64", setup: gru(25, 96, 64) },
  { name: "gru-t128-b32-h64", setup: gru(128, 32, 64) },
  { name: "gru-t340-b32-h32", setup: gru(340, 32, 32) },
];
