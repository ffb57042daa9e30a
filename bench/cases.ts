/** What the suites that measure single calls are made of. */
import type { NdArray } from "../src/core/array.js";
import { type Module, mlp } from "../src/nn/index.js";
import type { Runtime } from "../src/runtime/index.js";

/** A case as `bench/peers/README.md` defines it: `setup` builds it with the shared numbers. */
export interface Case {
  readonly name: string;
  setup(runtime: Runtime): Call;
}

/** The work, done once: what comes of it exists when it returns, and it returns a number that depends on it. */
export interface Call {
  (): number;
  /**
   * Numbers that a peer must come to as well; to be called first. Default: what the first three calls return, from
   * which the third sees all that the second has changed.
   */
  readonly check?: () => readonly number[];
}

export function checkOf(call: Call): readonly number[] {
  return call.check?.() ?? [call(), call(), call()];
}

/** Dense with bias, tanh between layers, linear at the end. */
export function network(name: string, sizes: readonly number[]): Module {
  return mlp(name, { sizes, activation: "tanh" });
}

export function scalarOf({ data }: NdArray): number {
  return Number(data[0]);
}

export function totalOf({ data }: NdArray): number {
  let total = 0;
  for (let i = 0; i < data.length; i++) total += Number(data[i]);
  return total;
}
