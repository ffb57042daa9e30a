import { type NdArray, ndarray, sizeOf } from "../../src/core/array.js";
import { RandomStream } from "../../src/core/random.js";
import { arrayFrom, constant, interpret, type Tensor } from "../../src/tensor/index.js";

/** Central differences of a scalar with respect to one float64 input. Error: step² · third derivative, about 1e-9. */
export function finiteDifferences(
  y: Tensor,
  feeds: Readonly<Record<string, NdArray>>,
  name: string,
  step = 1e-5,
): NdArray {
  const x = feeds[name]!;
  const at = (i: number, shift: number) => {
    const data = Float64Array.from(x.data as Float64Array);
    data[i]! += shift;
    return Number(interpret({ y }, { ...feeds, [name]: ndarray("float64", x.shape, data) }).y.data[0]);
  };
  const out = new Float64Array(sizeOf(x.shape));
  for (let i = 0; i < out.length; i++) out[i] = (at(i, step) - at(i, -step)) / (2 * step);
  return ndarray("float64", x.shape, out);
}

/** Weights that make a scalar of a tensor without hiding any element. */
export function fixedWeights(y: Tensor, seed: number): Tensor {
  const stream = RandomStream.from(seed);
  return constant(
    arrayFrom(
      y.shape,
      y.dtype,
      Array.from({ length: sizeOf(y.shape) }, () => 0.5 + stream.uniform()),
    ),
  );
}
