import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { f32, type NdArray, ndarray } from "../core/array.js";
import { NonFiniteError, SystemError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { adam, categorical, layoutOf, mlp } from "../nn/index.js";
import { readModel } from "../onnx/index.js";
import {
  add,
  exp,
  FREE,
  grad,
  linear,
  log,
  matmul,
  mean,
  mul,
  named,
  neg,
  scan,
  sub,
  sum,
  type Tensor,
  TensorError,
} from "../tensor/index.js";
import { type Backend, checkFinite, firstNonFinite, Runtime } from "./index.js";
import { nodeBackend } from "./node.js";

/** The Node backend, counting the models it loads and closes. */
function counting(): Backend & { loaded: number; disposed: number } {
  const inner = nodeBackend();
  const backend = {
    name: inner.name,
    loaded: 0,
    disposed: 0,
    load: (...args: Parameters<Backend["load"]>) => {
      const model = inner.load(...args);
      backend.loaded++;
      const dispose = model.dispose.bind(model);
      model.dispose = () => {
        backend.disposed++;
        dispose();
      };
      return model;
    },
  };
  return backend;
}

const numbers = (a: NdArray) => Array.from(a.data as Float32Array);

describe("a program", () => {
  it("trains an MLP with a categorical head and Adam, state going in and out as trees", () => {
    const runtime = new Runtime(nodeBackend());
    const net = mlp("policy", { sizes: [3, 8, 4], activation: "tanh" });
    const layout = layoutOf(net);
    const optimizer = adam();
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
    const train = () => {
      const stream = RandomStream.from(1);
      let params: NdArray = f32([layout.size], layout.initial(stream));
      let state: Record<string, NdArray> = optimizer.initial(layout.size);
      const batch = {
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
      return { losses, params };
    };
    const once = train();
    expect(once.losses[199]!).toBeLessThan(once.losses[0]! / 2);
    // bitwise: the same program on the same numbers
    expect(train().params.data).toEqual(once.params.data);
  });

  it("compiles once for each tree of shapes, and shares equal models between programs", () => {
    const backend = counting();
    const runtime = new Runtime(backend);
    const double = (name: string) =>
      runtime.program(name, (inputs: { x: Tensor }) => ({ y: mul(inputs.x, 2) }));
    const program = double("same/name");
    for (const n of [2, 3, 2, 3]) {
      expect(numbers(program.run({ x: f32([n], new Float32Array(n).fill(1.5)) }).y)).toEqual(
        new Array(n).fill(3),
      );
    }
    expect(backend.loaded).toBe(2);
    double("same/name").run({ x: f32([2], [1, 2]) });
    expect(backend.loaded).toBe(2);
  });

  it("closes the session not used for longest, and opens it again on demand", () => {
    const backend = counting();
    const runtime = new Runtime(backend, { capacity: 2 });
    const program = runtime.program("p", (inputs: { x: Tensor }) => ({ y: add(inputs.x, 1) }));
    const run = (n: number) => numbers(program.run({ x: f32([n], new Float32Array(n)) }).y);
    for (const n of [1, 2, 3]) expect(run(n)).toEqual(new Array(n).fill(1));
    expect([backend.loaded, backend.disposed, runtime.openSessions]).toEqual([3, 1, 2]);
    expect(run(1)).toEqual([1]);
    expect([backend.loaded, backend.disposed]).toEqual([4, 2]);
    runtime.dispose();
    expect(runtime.openSessions).toBe(0);
    expect(run(3)).toEqual([1, 1, 1]);
  });

  it("forgets closed models when there are many; their programs go on, and new ones load their own", () => {
    const backend = counting();
    const runtime = new Runtime(backend, { capacity: 2 });
    const plusOne = () => runtime.program("p", (inputs: { x: Tensor }) => ({ y: add(inputs.x, 1) }));
    const run = (program: ReturnType<typeof plusOne>, n: number) =>
      expect(numbers(program.run({ x: f32([n], new Float32Array(n)) }).y)).toEqual(new Array(n).fill(1));
    const first = plusOne();
    for (let n = 1; n <= 9; n++) run(first, n);
    expect(backend.loaded).toBe(9);
    // The last eight are remembered, open or not; the first one is not.
    run(plusOne(), 9);
    expect(backend.loaded).toBe(9);
    run(plusOne(), 1);
    expect(backend.loaded).toBe(10);
    for (let n = 1; n <= 9; n++) run(first, n);
    expect(runtime.openSessions).toBe(2);
  });

  it("runs any number of free rows with one session", () => {
    const backend = counting();
    const program = new Runtime(backend).program(
      "policy/act",
      (inputs: { w: Tensor; rows: { x: Tensor; y: Tensor } }) => {
        const z = sum(exp(matmul(inputs.rows.x, inputs.w)), 1, true);
        return { z: mul(z, inputs.rows.y), gradient: grad(sum(z), inputs.rows.x) };
      },
      { freeRows: ["rows"] },
    );
    const w = f32([2, 2], [1, 0, 0, 1]);
    for (const n of [1, 30, 768, 0]) {
      const x = f32([n, 2], new Float32Array(2 * n));
      const y = f32([n, 1], new Float32Array(n).fill(0.5));
      const out = program.run({ w, rows: { x, y } });
      expect(out.z.shape).toEqual([n, 1]);
      expect(numbers(out.z)).toEqual(new Array(n).fill(1));
      expect(numbers(out.gradient)).toEqual(new Array(2 * n).fill(1));
    }
    expect(backend.loaded).toBe(1);
  });

  it("takes results back without copying them", () => {
    const program = new Runtime(nodeBackend()).program("p", (inputs: { x: Tensor }) => ({
      x: add(inputs.x, 1),
    }));
    const first = program.run({ x: f32([2], [0, 0]) });
    const again = program.run(first);
    expect(numbers(first.x)).toEqual([1, 1]);
    expect(numbers(again.x)).toEqual([2, 2]);
  });

  it("returns inputs, constants and one value under two names", () => {
    const program = new Runtime(nodeBackend()).program("p", (inputs: { x: Tensor }) => {
      const y = exp(inputs.x);
      return { x: inputs.x, y, again: { y } };
    });
    const out = program.run({ x: f32([1], [0]) });
    expect([out.x, out.y, out.again.y].map(numbers)).toEqual([[0], [1], [1]]);
  });

  it("does not need the inputs that nothing depends on", async () => {
    const program = new Runtime(nodeBackend()).program("p", (inputs: { x: Tensor; unused: Tensor }) => ({
      y: neg(inputs.x),
    }));
    const out = await program.runAsync({ x: f32([1], [3]), unused: f32([4], [0, 0, 0, 0]) });
    expect(numbers(out.y)).toEqual([-3]);
  });
});

describe("wrong inputs", () => {
  const program = new Runtime(nodeBackend()).program(
    "ppo/actor",
    (inputs: { params: Tensor; batch: { obs: Tensor; weight: Tensor } }) => ({
      y: mul(linear(inputs.batch.obs, inputs.params), inputs.batch.weight),
    }),
    { freeRows: ["batch"] },
  );
  const params = f32([18, 2], new Float32Array(36));
  const weight = f32([3, 1], [1, 1, 1]);
  const obs = f32([3, 18], new Float32Array(54));
  program.run({ params, batch: { obs, weight } });

  it.each<[string, unknown, string]>([
    [
      "dtype",
      { params, batch: { obs: ndarray("float64", [3, 18], new Float64Array(54)), weight } },
      'ppo/actor, input "batch/obs": got float64 [3, 18], expected float32 [N, 18]',
    ],
    [
      "missing",
      { params, batch: { obs } },
      'ppo/actor, input "batch/weight": missing, expected float32 [N, 1]',
    ],
    [
      "extra",
      { params, batch: { obs, weight, wieght: weight } },
      'ppo/actor, input "batch/wieght": not an input of this program. Did you mean "batch/weight"?',
    ],
    [
      "rows",
      { params, batch: { obs, weight: f32([2, 1], [1, 1]) } },
      'ppo/actor, input "batch/weight": got float32 [2, 1], expected float32 [N, 1] with N = 3, as in "batch/obs"',
    ],
    [
      "rank",
      { params, batch: { obs: f32([18], new Float32Array(18)), weight } },
      'ppo/actor, input "batch/obs": got float32 [18], expected float32 [N, 18]',
    ],
    [
      "shape",
      { params, batch: { obs: f32([3, 12], new Float32Array(36)), weight } },
      "ppo/actor: linear: input [N, 12] and weight [18, 2] do not fit",
    ],
  ])("%s: one sentence with program, input, got and expected", (_, inputs, message) => {
    const run = () => program.run(inputs as Parameters<typeof program.run>[0]);
    expect(run).toThrow(message);
    expect(run).toThrow(TensorError);
  });

  it("are refused by shape where the program is for one shape only", () => {
    const fixed = new Runtime(nodeBackend()).program("p", (inputs: { x: Tensor }) => ({ y: neg(inputs.x) }), {
      inputs: { x: { dtype: "float32", shape: [3] } },
    });
    expect(() => fixed.run({ x: f32([2], [1, 2]) })).toThrow(
      'p, input "x": got float32 [2], expected float32 [3]',
    );
    expect(numbers(fixed.run({ x: f32([3], [1, 2, 3]) }).y)).toEqual([-1, -2, -3]);
  });

  it("leave a program usable", () => {
    expect(program.run({ params, batch: { obs, weight } }).y.shape).toEqual([3, 2]);
  });

  it("of free rows must exist and have rows", () => {
    const runtime = new Runtime(nodeBackend());
    const fn = (inputs: { x: Tensor }) => ({ y: neg(inputs.x) });
    const missing = runtime.program("p", fn, { freeRows: ["y"] });
    expect(() => missing.run({ x: f32([1], [1]) })).toThrow('p, input "y": missing');
    const flat = runtime.program("p", fn, { freeRows: ["x"] });
    expect(() => flat.run({ x: f32([], [1]) })).toThrow('p, input "x": got a scalar');
  });
});

describe("numbers that are not finite", () => {
  const fn = (inputs: { x: Tensor }) => {
    const shifted = named(sub(inputs.x, 1), "shifted");
    const bad = named(log(shifted), "actor/log");
    return { loss: sum(mul(bad, 0.5)), fine: add(inputs.x, 1) };
  };

  it("are found in results by path", () => {
    const out = new Runtime(nodeBackend()).program("p", fn).run({ x: f32([2], [3, 0]) });
    expect(firstNonFinite(out)).toBe("loss");
    expect(firstNonFinite({ fine: out.fine })).toBeUndefined();
    expect(() => checkFinite("ppo/actor, iteration 12", out)).toThrow(NonFiniteError);
    expect(() => checkFinite("ppo/actor, iteration 12", out)).toThrow(
      'ppo/actor, iteration 12, "loss": element 0 is NaN',
    );
  });

  it("are traced to the first tensor that has them", () => {
    const program = new Runtime(nodeBackend()).program("p", fn);
    expect(program.firstNonFiniteTensor({ x: f32([2], [3, 0]) })).toMatch(/^"actor\/log", log#/);
    expect(program.firstNonFiniteTensor({ x: f32([2], [3, Number.NaN]) })).toMatch(/^"x", input#/);
    expect(program.firstNonFiniteTensor({ x: f32([2], [3, 2]) })).toBeUndefined();
  });

  it("are found inside a loop, at the first step that has one", () => {
    const program = new Runtime(nodeBackend()).program("loop", ({ xs, h }: Record<"xs" | "h", Tensor>) => {
      const { carry, out } = scan({ init: h, xs, reverse: true }, (c, x) => ({
        carry: named(log(sub(c, x)), "cell/log"),
        out: mul(c, 2),
      }));
      return { y: sum(carry), out };
    });
    const xs = f32([4], [0, 0, 0.5, 3]);
    // Backwards: log(8 − 3) = 1.61, log(1.61 − 0.5) = 0.10, log(0.10) = −2.3, and then NaN in step 0.
    expect(program.firstNonFiniteTensor({ xs, h: f32([], [8]) })).toMatch(
      /^"cell\/log", log#\d+ .*, in step 0 of a loop$/,
    );
    expect(program.firstNonFiniteTensor({ xs, h: f32([], [Number.NaN]) })).toMatch(/^"h", input#/);
    expect(program.firstNonFiniteTensor({ xs, h: f32([], [100]) })).toBeUndefined();
  });

  it("stop a program in debug mode", () => {
    const program = new Runtime(nodeBackend(), { debug: true }).program("p", fn);
    expect(program.run({ x: f32([2], [3, 2]) }).fine.shape).toEqual([2]);
    expect(() => program.run({ x: f32([2], [3, 0]) })).toThrow(NonFiniteError);
    expect(() => program.run({ x: f32([2], [3, 0]) })).toThrow(
      'p: the first tensor that is not finite is "actor/log"',
    );
  });
});

describe("a program as a file", () => {
  it("has the names, free rows and metadata that were asked for", () => {
    const program = new Runtime(nodeBackend()).program(
      "policy/agents",
      (inputs: { obs: Tensor; state: { h: Tensor }; unused: Tensor }) => ({
        probabilities: exp(inputs.obs),
        state: { h: add(inputs.state.h, 1) },
      }),
      { freeRows: ["obs", "state"] },
    );
    const rows = { dtype: "float32", shape: [1, 4] } as const;
    const bytes = program.model(
      { obs: rows, state: { h: rows }, unused: { dtype: "bool", shape: [2] } },
      {
        inputNames: { obs: "observation" },
        outputNames: { probabilities: "probs" },
        metadata: { agents: "3" },
      },
    );
    const model = readModel(bytes);
    expect(model.name).toBe("policy/agents");
    expect(model.inputs).toEqual([
      { name: "observation", dtype: "float32", shape: ["N", 4] },
      { name: "state/h", dtype: "float32", shape: ["N", 4] },
      { name: "unused", dtype: "bool", shape: [2] },
    ]);
    expect(model.outputs.map((o) => [o.name, o.shape])).toEqual([
      ["probs", ["N", 4]],
      ["next/state/h", ["N", 4]],
    ]);
    expect(model.metadata).toEqual({ agents: "3" });
    const loaded = nodeBackend().load(bytes);
    const zeros = f32([2, 4], new Float32Array(8));
    const out = loaded.run({
      observation: zeros,
      "state/h": zeros,
      unused: ndarray("bool", [2], new Uint8Array(2)),
    });
    expect(numbers(out.probs!)).toEqual(new Array(8).fill(1));
    expect(() => loaded.run({ observation: zeros })).toThrow('model input "state/h" is missing');
  });

  it("accepts FREE in the shapes themselves", () => {
    const program = new Runtime(nodeBackend()).program("p", (inputs: { x: Tensor }) => ({
      y: neg(inputs.x),
    }));
    const model = readModel(program.model({ x: { dtype: "float64", shape: [FREE, 2] } }));
    expect(model.inputs[0]!.shape).toEqual(["N", 2]);
  });

  it("the engine refuses bytes that are no model", () => {
    expect(() => nodeBackend().load(new Uint8Array([1, 2, 3]), { name: "x.onnx" })).toThrow(SystemError);
    expect(() => nodeBackend().load(new Uint8Array([1, 2, 3]), { name: "x.onnx" })).toThrow(
      /^x\.onnx: onnxruntime-node cannot load/,
    );
  });
});
