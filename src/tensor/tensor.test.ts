import { describe, expect, it } from "vitest";
import "../../test/support/allclose.js";
import { f32, ndarray } from "../core/array.js";
import * as t from "./index.js";
import { FREE, grad, interpret, type Tensor, TensorError, trace } from "./index.js";

const input = (name: string, shape: number[], dtype: "float32" | "float64" | "int32" | "bool" = "float64") =>
  t.input(name, shape, dtype);
const f64 = (shape: number[], data: number[]) => ndarray("float64", shape, Float64Array.from(data));
const value = (x: Tensor, feeds = {}) => Array.from(interpret({ x }, feeds).x.data as Float64Array);

describe("traces", () => {
  it("refuses operations outside a trace and across traces", () => {
    expect(() => t.scalar(1)).toThrow("constant: no trace is active");
    const foreign = trace(() => input("x", [2]));
    expect(() => t.neg(foreign)).toThrow(TensorError);
    trace(() => {
      expect(() => t.add(input("y", [2]), foreign)).toThrow("belongs to another trace");
    });
  });

  it("knows a computation it has seen", () => {
    trace((graph) => {
      const x = input("x", [3]);
      expect(t.exp(t.mul(x, 2))).toBe(t.exp(t.mul(x, 2)));
      const size = graph.size;
      t.exp(t.mul(x, 2));
      expect(graph.size).toBe(size);
      expect(t.stopGradient(x)).not.toBe(x);
    });
  });

  it("simplifies while building", () => {
    trace(() => {
      const x = input("x", [2, 3]);
      expect(t.add(x, 0)).toBe(x);
      expect(t.mul(1, x)).toBe(x);
      expect(t.sub(x, 0)).toBe(x);
      expect(t.div(x, 1)).toBe(x);
      expect(t.pow(x, 1)).toBe(x);
      expect(t.neg(t.neg(x))).toBe(x);
      expect(t.reshape(t.reshape(x, [6]), [2, 3])).toBe(x);
      expect(t.transpose(t.transpose(x))).toBe(x);
      expect(t.expand(x, [2, 3])).toBe(x);
      expect(t.cast(x, "float64")).toBe(x);
      expect(t.concat(t.split(x, [1, 2], 1), 1)).toBe(x);
      expect(t.mul(t.mul(x, 2), 3)).toBe(t.mul(x, 6));
      expect(t.add(x, t.zerosLike(x))).toBe(x);
      expect(t.mul(t.expand(t.scalar(2, "float64"), [2, 3]), x).inputs[0]!.shape).toEqual([]);
    });
  });

  it("does not let a simplification hide a mistake", () => {
    trace(() => {
      const x = input("x", [2, 3]);
      expect(() => t.add(x, t.zerosLike(input("y", [4])))).toThrow(
        "add: shapes [2, 3] and [4] do not broadcast",
      );
      expect(() => t.mul(x, t.onesLike(input("z", [2, 3], "float32")))).toThrow("dtypes float64[2, 3]");
    });
  });
});

describe("errors name the operation and the shapes", () => {
  it.each<[string, () => Tensor, string]>([
    [
      "add",
      () => t.add(input("x", [3, 4]), input("y", [5, 4])),
      "add: shapes [3, 4] and [5, 4] do not broadcast",
    ],
    [
      "linear",
      () => t.linear(input("x", [2, 3]), input("w", [4, 5])),
      "linear: input [2, 3] and weight [4, 5] do not fit",
    ],
    [
      "matmul",
      () => t.matmul(input("x", [2, 2, 3]), input("y", [2, 2, 3])),
      "matmul: shapes [2, 2, 3] and [2, 2, 3] do not fit",
    ],
    ["reshape", () => t.reshape(input("x", [2, 3]), [4]), "reshape: [2, 3] cannot become [4]"],
    [
      "concat",
      () => t.concat([input("x", [2, 3]), input("y", [3, 2])], 1),
      "concat: shapes [2, 3] and [3, 2] differ outside axis 1",
    ],
    ["split", () => t.split(input("x", [2, 3]), [1, 1], 1)[0]!, "split: sizes [1,1] sum to 2, expected 3"],
    [
      "gather",
      () => t.gather(input("x", [2]), input("i", [2])),
      "gather: got indices float64[2], expected int32 or int64",
    ],
    ["where", () => t.where(input("c", [2]), input("x", [2]), 0), "where: got float64[2], expected bool"],
    ["axis", () => t.sum(input("x", [2]), 3), "sum: got axis 3, expected an axis of a tensor of rank 1"],
    ["log", () => t.log(input("x", [2], "int32")), "log: got int32[2], expected float32 or float64"],
    ["numbers", () => t.add(1, 2), "add: got the numbers 1 and 2, expected at least one tensor"],
    [
      "fraction",
      () => t.add(input("x", [2], "int32"), 0.5),
      "scalar: got 0.5, expected an integer for dtype int32",
    ],
    ["free axis", () => t.mean(input("x", [FREE, 3]), 0), "mean: axis 0 of shape [N, 3] is free (N)"],
    [
      "free size",
      () => t.add(input("x", [FREE, 3]), input("y", [5, 3])),
      "a free dimension N meets only N or 1",
    ],
    ["free split", () => t.split(input("x", [FREE, 3]), [1, 1])[0]!, "split: axis 0 of shape [N, 3] is free"],
    ["inner free", () => input("x", [3, FREE]), "only the first dimension may be free"],
    [
      "grad of a vector",
      () => grad(input("x", [2]), input("y", [2])),
      "grad: got y of shape [2], expected a scalar",
    ],
  ])("%s", (_, build, message) => {
    trace(() => {
      expect(build).toThrow(message);
      expect(build).toThrow(TensorError);
    });
  });
});

describe("grad", () => {
  it("returns the structure it was given", () => {
    trace(() => {
      const [a, b] = [input("a", []), input("b", [])];
      const y = t.mul(a, t.square(b));
      const feeds = { a: f64([], [3]), b: f64([], [2]) };
      expect(value(grad(y, a), feeds)).toEqual([4]);
      expect(grad(y, [a, b]).map((g) => value(g, feeds))).toEqual([[4], [12]]);
      const tree = grad(y, { deep: { a }, b });
      expect(value(tree.deep.a, feeds)).toEqual([4]);
      expect(value(tree.b, feeds)).toEqual([12]);
    });
  });

  it("composes with itself: derivatives of x⁵ at 2", () => {
    trace(() => {
      const x = input("x", []);
      let y = t.pow(x, 5);
      const derivatives: number[] = [];
      for (let order = 1; order <= 5; order++) {
        y = grad(y, x);
        derivatives.push(value(y, { x: f64([], [2]) })[0]!);
      }
      expect(derivatives).toEqual([80, 160, 240, 240, 120]);
    });
  });

  it("takes a seed, intermediate values and independent inputs", () => {
    trace(() => {
      const [x, unused] = [input("x", [3]), input("unused", [2])];
      const h = t.exp(x);
      const y = t.square(h);
      const feeds = { x: f64([3], [0, 1, 2]), unused: f64([2], [0, 0]) };
      const seed = t.constant(f64([3], [1, 0, -1]));
      expect(value(grad(y, h, seed), feeds)).toBeAllclose([2, 0, -2 * Math.exp(2)]);
      expect(value(grad(t.sum(y), unused), feeds)).toEqual([0, 0]);
      expect(() => grad(y, h, t.scalar(1, "float64"))).toThrow("expected the same shape and dtype");
    });
  });

  it("stops at stopGradient, comparisons and integers", () => {
    trace(() => {
      const x = input("x", [2]);
      const feeds = { x: f64([2], [3, -3]) };
      expect(value(grad(t.sum(t.mul(x, t.stopGradient(x))), x), feeds)).toEqual([3, -3]);
      expect(value(grad(t.sum(t.cast(t.greater(x, 0), "float64")), x), feeds)).toEqual([0, 0]);
      expect(value(grad(t.sum(t.cast(t.cast(x, "int32"), "float64")), x), feeds)).toEqual([0, 0]);
    });
  });

  it("gives unused parts of a split zero gradient, in one concat", () => {
    trace(() => {
      const x = input("x", [6]);
      const [, b] = t.split(x, [1, 2, 3]);
      const g = grad(t.sum(t.square(b!)), x);
      expect(g.op).toBe("concat");
      expect(value(g, { x: f64([6], [1, 2, 3, 4, 5, 6]) })).toEqual([0, 4, 6, 0, 0, 0]);
    });
  });

  it("walks graphs deeper than the stack", () => {
    trace(() => {
      const x = input("x", []);
      let y: Tensor = x;
      for (let i = 0; i < 20_000; i++) y = t.tanh(y);
      expect(grad(y, x).shape).toEqual([]);
    });
  });

  it("follows the stated subgradient conventions", () => {
    trace(() => {
      const x = input("x", [3]);
      const feeds = { x: f64([3], [-1, 0, 1]) };
      const of = (y: Tensor) => value(grad(t.sum(y), x), feeds);
      // torch 2.15: torch.autograd.grad(torch.relu(x).sum(), x) = [0, 0, 1]; x.abs(): [-1, 0, 1]
      expect(of(t.relu(x))).toEqual([0, 0, 1]);
      expect(of(t.abs(x))).toEqual([-1, 0, 1]);
      // 1 on the bounds (PyTorch 1.13 agrees; 2.15 gives 0 there)
      expect(of(t.clip(x, -1, 1))).toEqual([1, 1, 1]);
      expect(of(t.clip(x, t.scalar(-1, "float64"), t.scalar(1, "float64")))).toEqual([1, 1, 1]);
      // a tie of two goes to the first (PyTorch halves it)
      expect(of(t.minimum(x, t.stopGradient(x)))).toEqual([1, 1, 1]);
      expect(of(t.maximum(t.stopGradient(x), x))).toEqual([0, 0, 0]);
      // torch: torch.autograd.grad(torch.tensor([2., 5., 5.]).amax()) = [0, .5, .5]
      expect(value(grad(t.max(x), x), { x: f64([3], [2, 5, 5]) })).toEqual([0, 0.5, 0.5]);
    });
  });

  it("writes the derivative of a linear layer as products without transposition", () => {
    trace(() => {
      const [x, w, b] = [input("x", [8, 3]), input("w", [3, 4]), input("b", [4])];
      const gradients = grad(t.mean(t.square(t.linear(x, w, b))), [x, w, b]);
      expect(gradients.map((g) => g.op)).toEqual(["gemm", "gemm", "sum"]);
      for (const g of gradients)
        expect(g.inputs.some((i) => i.op === "transpose" || i.op === "expand")).toBe(false);
    });
  });
});

describe("free rows", () => {
  it("differentiates with respect to an input of any number of rows", () => {
    trace(() => {
      const x = input("x", [FREE, 2]);
      const w = t.constant(f64([2, 3], [1, 2, 3, 4, 5, 6]));
      const action = t.input("action", [FREE], "int32");
      const logProbs = t.logSoftmax(t.tanh(t.linear(x, w, t.constant(f64([3], [0.1, 0.2, 0.3])))));
      const taken = t.gatherElements(logProbs, t.reshape(action, [-1, 1]));
      const g = grad(t.sum(taken), x);
      expect(g.shape).toEqual([FREE, 2]);
      const rows = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6];
      const feeds = { x: f64([3, 2], rows), action: ndarray("int32", [3], Int32Array.of(0, 2, 1)) };
      const all = value(g, feeds);
      for (let r = 0; r < 3; r++) {
        const one = value(g, {
          x: f64([1, 2], rows.slice(2 * r, 2 * r + 2)),
          action: ndarray("int32", [1], feeds.action.data.slice(r, r + 1)),
        });
        expect(one).toBeAllclose(all.slice(2 * r, 2 * r + 2), { rtol: 1e-12 });
      }
    });
  });

  it("reports feeds that do not fit", () => {
    trace(() => {
      const y = t.add(input("x", [FREE, 2], "float32"), input("z", [FREE, 2], "float32"));
      expect(() => interpret({ y }, { x: f32([1, 2], [1, 2]) })).toThrow('input "z" is missing');
      expect(() => interpret({ y }, { x: f32([1, 2], [1, 2]), z: f32([2, 2], [1, 2, 3, 4]) })).toThrow(
        'input "z": got float32[2, 2], expected float32[N, 2]',
      );
    });
  });
});
