/**
 * Suite `attacks`: gradient attacks on 512 observations of a policy that PyTorch exported, as the rollout asks for them,
 * and the bare program of the same steps. Cases as in `bench/peers/README.md`.
 */
import fs from "node:fs";
import { GradientPerturber, PLAIN_ASCENT } from "../src/attacks/index.js";
import { f32, type NdArray } from "../src/core/array.js";
import { RandomStream } from "../src/core/random.js";
import { ascentStep } from "../src/nn/index.js";
import { importPolicy, type OnnxPolicy, PolicyActor, policyFileSchema } from "../src/policy/index.js";
import type { Runtime } from "../src/runtime/index.js";
import { add, grad, mean, neg, stopGradient, sum, type Tensor, zerosLike } from "../src/tensor/index.js";
import type { Case } from "./cases.js";
import { SharedNumbers, UNIT } from "./numbers.js";

const [ROWS, OBS, EPSILON] = [512, 18, 0.1];
/** Beside this file, or where it was compiled from. */
const FILE = ["peers/policy.onnx", "../../bench/peers/policy.onnx"]
  .map((file) => new URL(file, import.meta.url))
  .find((file) => fs.existsSync(file))!;

/** The victim's parameters and its observations. */
function victim(): { policy: OnnxPolicy; parameters: Float32Array; obs: NdArray<"float32"> } {
  const group = {
    obsSize: OBS,
    action: { kind: "discrete", n: 5 },
    agents: ["agent"],
    hasActionMask: false,
  } as const;
  const { file: _file, plays: _plays, ...options } = policyFileSchema.parse({ file: "policy.onnx" });
  const policy = importPolicy(
    fs.readFileSync(FILE),
    "policy.onnx",
    { name: "the benchmark", group },
    options,
  );
  const numbers = new SharedNumbers();
  // The file's weights were drawn from the same numbers: three layers, mean and deviation of the observations.
  for (let array = 0; array < 8; array++) numbers.draw([0], 1);
  return {
    policy,
    parameters: policy.initialParameters(RandomStream.from(0)),
    obs: numbers.draw([ROWS, OBS], UNIT),
  };
}

/** The objective of what is seen: −log π of the action that the policy likes best on the clean observation. */
function objectiveOf(policy: OnnxPolicy, parameters: Tensor, obs: Tensor): (seen: Tensor) => Tensor {
  const at = (x: Tensor) => policy.forward(parameters, { obs: x }, {}).distribution;
  const favourite = stopGradient(at(obs).mode());
  return (seen) => neg(at(seen).logProb(favourite));
}

/** What the check compares: the mean of the objective where an attack has come to. */
function reached(runtime: Runtime, delta: NdArray): readonly number[] {
  const { policy, parameters, obs } = victim();
  const { value } = runtime
    .program("bench/objective", (inputs: Record<"params" | "obs" | "delta", Tensor>) => ({
      value: mean(objectiveOf(policy, inputs.params, inputs.obs)(add(inputs.obs, inputs.delta))),
    }))
    .run({ params: f32([parameters.length], parameters), obs, delta });
  return [Number(value.data[0])];
}

function perturber(steps: number, stepSize: number): Case["setup"] {
  return (runtime) => {
    const { policy, parameters, obs } = victim();
    const attack = new GradientPerturber("bench", runtime, { ...PLAIN_ASCENT, steps, stepSize });
    const request = {
      rows: ROWS,
      victim: new PolicyActor("victim", runtime, policy, parameters, "greedy"),
      clean: obs.data,
      actionMask: null,
      agent: new Int32Array(ROWS),
      epsilon: new Float32Array(ROWS).fill(EPSILON),
      scale: new Float64Array(OBS).fill(1),
      norm: "linf" as const,
      state: {},
      streams: Array.from({ length: ROWS }, (_, r) => RandomStream.from(r)),
    };
    const delta = new Float32Array(ROWS * OBS);
    const call = () => {
      delta.fill(0);
      attack.perturb(request, delta);
      return delta[0]!;
    };
    return Object.assign(call, {
      check: () => {
        call();
        return reached(runtime, f32([ROWS, OBS], delta));
      },
    });
  };
}

function program(steps: number, share: number): Case["setup"] {
  return (runtime) => {
    const { policy, parameters, obs } = victim();
    const ascent = runtime.program("bench/ascent", (inputs: Record<"params" | "obs", Tensor>) => {
      const objective = objectiveOf(policy, inputs.params, inputs.obs);
      let delta = zerosLike(inputs.obs);
      for (let k = 0; k < steps; k++) {
        const seen = add(inputs.obs, delta);
        delta = ascentStep(delta, grad(sum(objective(seen)), seen), {
          direction: "sign",
          stepSize: share * EPSILON,
          projection: { kind: "box", radius: EPSILON },
        });
      }
      return { delta };
    });
    const inputs = { params: f32([parameters.length], parameters), obs };
    return Object.assign(() => ascent.run(inputs).delta.data[0] as number, {
      check: () => reached(runtime, ascent.run(inputs).delta),
    });
  };
}

export const attackCases: readonly Case[] = [
  { name: "fgsm-512", setup: perturber(1, 1) },
  { name: "fgsm-512:program", setup: program(1, 1) },
  { name: "pgd10-512", setup: perturber(10, 0.25) },
  { name: "pgd10-512:program", setup: program(10, 0.25) },
];
