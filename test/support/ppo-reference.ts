/**
 * One PPO update in float64, written anew from the papers and from HARL's code without any of ours: plain loops for
 * networks, distributions and losses, gradients by central differences, Adam as published.
 */
import type { Space } from "../../src/env/contract.js";
import type { OnPolicyBuffer } from "../../src/rollout/index.js";

export interface ReferenceInputs {
  readonly buffer: OnPolicyBuffer;
  readonly space: Space;
  readonly obsSize: number;
  /** hidden widths, all tanh */
  readonly hidden: readonly number[];
  /** width of the one-hot id, and the id of each agent of the buffer; 0 for none */
  readonly ids: number;
  readonly agents: readonly number[];
  readonly actor: ArrayLike<number>;
  readonly critic: ArrayLike<number>;
  readonly options: {
    readonly epochs: number;
    readonly learningRate: number;
    readonly criticLearningRate: number;
    readonly clipRatio: number;
    readonly entropyCoef: number;
    readonly gamma: number;
    readonly gaeLambda: number;
    readonly adamEpsilon: number;
    readonly maxGradNorm: number;
    readonly huberDelta: number;
    readonly valueClip: number;
    readonly valueNormBeta: number | null;
    readonly normalizeAdvantages: "iteration" | "minibatch";
  };
  /** [epochs][minibatches] indices of cells (t, e) */
  readonly batches: readonly (readonly ArrayLike<number>[])[];
}

type Vector = Float64Array;

/** Weights [in, out] then bias [out] of each layer, one after the other; tanh between layers. */
function network(
  parameters: ArrayLike<number>,
  sizes: readonly number[],
  input: readonly number[],
): number[] {
  let x = [...input];
  let offset = 0;
  for (let layer = 0; layer + 1 < sizes.length; layer++) {
    const [from, to] = [sizes[layer]!, sizes[layer + 1]!];
    const bias = offset + from * to;
    const y = Array.from({ length: to }, (_, j) => {
      let sum = parameters[bias + j]!;
      for (let i = 0; i < from; i++) sum += x[i]! * parameters[offset + i * to + j]!;
      return layer + 2 < sizes.length ? Math.tanh(sum) : sum;
    });
    offset = bias + to;
    x = y;
  }
  return x;
}

function categorical(logits: readonly number[], allowed: readonly boolean[], action: number) {
  const top = Math.max(...logits.filter((_, a) => allowed[a]));
  const weights = logits.map((z, a) => (allowed[a] ? Math.exp(z - top) : 0));
  const total = weights.reduce((a, b) => a + b);
  const p = weights.map((w) => w / total);
  return {
    logProb: Math.log(p[action]!),
    entropy: -p.reduce((sum, q) => sum + (q > 0 ? q * Math.log(q) : 0), 0),
  };
}

/** Log-probability of what was done and entropy, given the network's output (and the scale's parameters). */
function distribution(
  space: Space,
  output: readonly number[],
  scale: readonly number[],
  mask: readonly boolean[] | null,
  action: readonly number[],
): { logProb: number; entropy: number } {
  if (space.kind === "box") {
    let [logProb, entropy] = [0, 0];
    output.forEach((mean, d) => {
      const std = 0.5 / (1 + Math.exp(-scale[d]!));
      logProb += -0.5 * ((action[d]! - mean) / std) ** 2 - Math.log(std * Math.sqrt(2 * Math.PI));
      entropy += 0.5 * Math.log(2 * Math.PI * Math.E * std * std);
    });
    return { logProb, entropy };
  }
  const sizes = space.kind === "discrete" ? [space.n] : space.sizes;
  let [logProb, entropy, offset] = [0, 0, 0];
  sizes.forEach((n, d) => {
    const allowed = output.slice(offset, offset + n).map((_, a) => mask === null || mask[offset + a]!);
    const part = categorical(output.slice(offset, offset + n), allowed, action[d]!);
    logProb += part.logProb;
    entropy += part.entropy;
    offset += n;
  });
  return { logProb, entropy };
}

function gradient(f: (p: Vector) => number, at: Vector): Vector {
  const p = at.slice();
  return at.map((x, i) => {
    const h = 1e-5;
    p[i] = x + h;
    const up = f(p);
    p[i] = x - h;
    const down = f(p);
    p[i] = x;
    return (up - down) / (2 * h);
  });
}

class Adam {
  readonly #m: Vector;
  readonly #v: Vector;
  #t = 0;

  constructor(size: number) {
    this.#m = new Float64Array(size);
    this.#v = new Float64Array(size);
  }

  step(p: Vector, g: Vector, rate: number, epsilon: number): Vector {
    this.#t++;
    return p.map((x, i) => {
      this.#m[i] = 0.9 * this.#m[i]! + 0.1 * g[i]!;
      this.#v[i] = 0.999 * this.#v[i]! + 0.001 * g[i]! ** 2;
      const m = this.#m[i]! / (1 - 0.9 ** this.#t);
      const v = this.#v[i]! / (1 - 0.999 ** this.#t);
      return x - (rate * m) / (Math.sqrt(v) + epsilon);
    });
  }
}

function clipNorm(g: Vector, most: number): Vector {
  const norm = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0));
  return norm > most ? g.map((x) => (x * most) / norm) : g;
}

const huber = (e: number, delta: number) =>
  Math.abs(e) <= delta ? 0.5 * e * e : delta * (Math.abs(e) - 0.5 * delta);
const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/** @returns parameters after the update, the normaliser's statistics, and how often the ratio was clipped */
export function referenceUpdate(inputs: ReferenceInputs) {
  const { buffer, space, obsSize, hidden, ids, agents, options } = inputs;
  const { steps: T, copies: E, agents: n, criticSize } = buffer;
  const outputs =
    space.kind === "box"
      ? space.low.length
      : space.kind === "discrete"
        ? space.n
        : space.sizes.reduce((a, b) => a + b);
  const actionSize = space.kind === "box" ? outputs : space.kind === "discrete" ? 1 : space.sizes.length;
  const criticIds = buffer.criticPerCopy ? 0 : ids;
  const actorSizes = [obsSize + ids, ...hidden, outputs];
  const criticSizes = [criticSize + criticIds, ...hidden, 1];
  const id = (k: number, width: number) =>
    Array.from({ length: width }, (_, j) => (j === agents[k % n] ? 1 : 0));
  const slice = (x: ArrayLike<number>, k: number, width: number) =>
    Array.from({ length: width }, (_, i) => x[k * width + i]!);
  const criticInput = (x: ArrayLike<number>, k: number) =>
    buffer.criticPerCopy
      ? slice(x, Math.floor(k / n), criticSize)
      : [...slice(x, k, criticSize), ...id(k, criticIds)];

  let actor: Vector = Float64Array.from(inputs.actor);
  let critic: Vector = Float64Array.from(inputs.critic);
  let statistics = [0, 0, 0];
  const moments = () => {
    if (options.valueNormBeta === null) return { mean: 0, std: 1 };
    const weight = Math.max(statistics[2]!, 1e-5);
    const mean = statistics[0]! / weight;
    return { mean, std: Math.sqrt(Math.max(statistics[1]! / weight - mean * mean, 1e-2)) };
  };

  // Generalised advantages, with values in their own units.
  const before = moments();
  const value = (x: ArrayLike<number>, k: number) =>
    network(critic, criticSizes, criticInput(x, k))[0]! * before.std + before.mean;
  const rows = T * E * n;
  const values = Array.from({ length: rows + E * n }, (_, k) => value(buffer.critic, k));
  const finals = new Map<number, number>();
  for (let r = 0; r < buffer.cut.count; r++) {
    for (let i = 0; i < n; i++) finals.set(buffer.cut.index[r]! * n + i, value(buffer.cut.critic, r * n + i));
  }
  const advantage = new Float64Array(rows);
  for (let k = rows - 1; k >= 0; k--) {
    const cell = Math.floor(k / n);
    const over = buffer.terminated[cell] === 1;
    const cut = buffer.truncated[cell] === 1;
    const next = over ? 0 : cut ? finals.get(k)! : values[k + E * n]!;
    const rest = over || cut || k + E * n >= rows ? 0 : advantage[k + E * n]!;
    advantage[k] =
      buffer.reward[k]! + options.gamma * next - values[k]! + options.gamma * options.gaeLambda * rest;
  }
  const returns = advantage.map((a, k) => a + values[k]!);
  const standardise = (x: Vector, of: readonly number[], epsilon: number) => {
    const mine = of.filter((k) => buffer.actorWeight[k] === 1);
    const mean = mine.reduce((sum, k) => sum + x[k]!, 0) / mine.length;
    const std = Math.sqrt(mine.reduce((sum, k) => sum + (x[k]! - mean) ** 2, 0) / mine.length);
    return x.map((a) => (a - mean) / (std + epsilon));
  };
  const all = Array.from({ length: rows }, (_, k) => k);
  const normal = options.normalizeAdvantages === "iteration" ? standardise(advantage, all, 1e-5) : advantage;

  const [actorAdam, criticAdam] = [new Adam(actor.length), new Adam(critic.length)];
  let clipped = 0;
  for (const epoch of inputs.batches) {
    for (const cells of epoch) {
      const ks = Array.from(cells).flatMap((cell) => Array.from({ length: n }, (_, i) => cell * n + i));
      const decided = ks.filter((k) => buffer.actorWeight[k] === 1);
      const counted = ks.filter((k) => buffer.criticWeight[k] === 1);
      const a = options.normalizeAdvantages === "minibatch" ? standardise(normal, ks, 1e-8) : normal;
      const evaluate = (p: Vector, k: number) => {
        const output = network(p, actorSizes, [...slice(buffer.obs, k, obsSize), ...id(k, ids)]);
        const mask =
          buffer.actionMask === null ? null : slice(buffer.actionMask, k, outputs).map((x) => x === 1);
        const scale = Array.from(p.subarray(p.length - outputs));
        return distribution(space, output, scale, mask, slice(buffer.action, k, actionSize));
      };
      const actorLoss = (p: Vector) => {
        let sum = 0;
        for (const k of decided) {
          const { logProb, entropy } = evaluate(p, k);
          const ratio = Math.exp(logProb - buffer.logProb[k]!);
          const limited = clamp(ratio, 1 - options.clipRatio, 1 + options.clipRatio);
          sum -= Math.min(ratio * a[k]!, limited * a[k]!) + options.entropyCoef * entropy;
        }
        return sum / decided.length;
      };
      for (const k of decided) {
        const ratio = Math.exp(evaluate(actor, k).logProb - buffer.logProb[k]!);
        if (Math.abs(ratio - 1) > options.clipRatio) clipped++;
      }
      if (options.valueNormBeta !== null) {
        const beta = options.valueNormBeta;
        const mean = (f: (x: number) => number) =>
          counted.reduce((sum, k) => sum + f(returns[k]!), 0) / counted.length;
        const batch = [mean((x) => x), mean((x) => x * x), 1];
        statistics = statistics.map((s, i) => beta * s + (1 - beta) * batch[i]!);
      }
      const now = moments();
      const criticLoss = (p: Vector) => {
        let sum = 0;
        for (const k of counted) {
          const target = (returns[k]! - now.mean) / now.std;
          const old = (values[k]! - before.mean) / before.std;
          const v = network(p, criticSizes, criticInput(buffer.critic, k))[0]!;
          const near = old + clamp(v - old, -options.valueClip, options.valueClip);
          sum += Math.max(huber(target - v, options.huberDelta), huber(target - near, options.huberDelta));
        }
        return sum / counted.length;
      };
      if (decided.length > 0) {
        const g = clipNorm(gradient(actorLoss, actor), options.maxGradNorm);
        actor = actorAdam.step(actor, g, options.learningRate, options.adamEpsilon);
      }
      if (counted.length > 0) {
        const g = clipNorm(gradient(criticLoss, critic), options.maxGradNorm);
        critic = criticAdam.step(critic, g, options.criticLearningRate, options.adamEpsilon);
      }
    }
  }
  return { actor, critic, statistics, clipped };
}
