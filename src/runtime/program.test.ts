import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { f32, type NdArray, ndarray } from "../core/array.js";
import { RandomStream } from "../core/random.js";
import { adam, categorical, layoutOf, mlp } from "../nn/index.js";
import { grad, interpret, mean, mul, neg, type Tensor, trace } from "../tensor/index.js";
import { Runtime } from "./index.js";
import { nodeBackend } from "./node.js";

const runtime = new Runtime(nodeBackend());

describe("program", () => {
  it("trains an MLP with a categorical head and Adam", () => {
    const net = mlp("policy", { sizes: [3, 8, 4], activation: "tanh" });
    const layout = layoutOf(net);
    const optimizer = adam();
    type Batch = { obs: NdArray; action: NdArray };
    const update = runtime.program(
      "test/update",
      (inputs: { params: Tensor; state: Record<string, Tensor>; batch: { obs: Tensor; action: Tensor } }) => {
        const logits = net.forward(layout.unpack(inputs.params), inputs.batch.obs);
        const loss = neg(mean(categorical(logits).logProb(inputs.batch.action)));
        return {
          ...optimizer.step(inputs.params, grad(loss, inputs.params), inputs.state, 0.01),
          loss,
        };
      },
    );
    const stream = RandomStream.from(1);
    const flat = layout.initial(stream);
    let params: NdArray = f32([flat.length], flat);
    let state: Record<string, NdArray> = optimizer.initial(flat.length);
    const batch: Batch = {
      obs: f32(
        [16, 3],
        Float32Array.from({ length: 48 }, () => stream.normal()),
      ),
      action: ndarray(
        "int32",
        [16],
        Int32Array.from({ length: 16 }, () => stream.int(4)),
      ),
    };
    const losses: number[] = [];
    for (let i = 0; i < 200; i++) {
      const out = update.run({ params, state, batch });
      params = out.params;
      state = out.state;
      losses.push(Number(out.loss.data[0]));
    }
    expect(losses[199]!).toBeLessThan(losses[0]! / 2);
  });

  it("agrees with the interpreter", () => {
    const program = runtime.program("test/square", (inputs: { x: Tensor }) => ({
      y: mul(inputs.x, inputs.x),
    }));
    const x = f32([2, 2], [1, 2, 3, 4]);
    const expected = trace((graph) => {
      const t = graph.input("x", [2, 2], "float32");
      return interpret({ y: mul(t, t) }, { x });
    });
    expect(program.run({ x }).y).toBeAllclose(expected.y);
  });
});
