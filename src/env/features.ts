/** Helpers to declare observation and state features without computing offsets by hand. */
import type { Feature, GroupSpec } from "./contract.js";

/** A feature without its offset; see `layout`. */
export interface FeatureInput {
  readonly name: string;
  readonly size: number;
  /** default "continuous" */
  readonly kind?: Feature["kind"];
  /** default −Infinity */
  readonly low?: number;
  /** default Infinity */
  readonly high?: number;
  /** default: true for continuous and one-hot, false for id and mask */
  readonly perturbable?: boolean;
}

/**
 * Lay features out one after the other; those of size 0 are left out.
 *
 * @returns features that cover [0, sum of sizes) without gaps
 */
export function layout(inputs: readonly FeatureInput[]): Feature[] {
  const out: Feature[] = [];
  let offset = 0;
  for (const input of inputs) {
    if (input.size === 0) continue;
    const kind = input.kind ?? "continuous";
    out.push({
      name: input.name,
      offset,
      size: input.size,
      kind,
      low: input.low ?? Number.NEGATIVE_INFINITY,
      high: input.high ?? Number.POSITIVE_INFINITY,
      perturbable: input.perturbable ?? (kind === "continuous" || kind === "one-hot"),
    });
    offset += input.size;
  }
  return out;
}

/** Number of entries that the features cover: where the last one ends. */
export function sizeOfFeatures(features: readonly Feature[]): number {
  const last = features.at(-1);
  return last === undefined ? 0 : last.offset + last.size;
}

/**
 * The features of a global state that is every agent's observation one after the other (groups in order, agents
 * in order): names become "agent_0/velocity".
 */
export function concatenatedObsFeatures(groups: readonly GroupSpec[]): Feature[] {
  return layout(
    groups.flatMap((group) =>
      group.agents.flatMap((agent) => group.features.map((f) => ({ ...f, name: `${agent}/${f.name}` }))),
    ),
  );
}

/**
 * What is wrong with a list of features that should cover [0, size), as one sentence; null if nothing is.
 */
export function featureProblem(features: readonly Feature[], size: number): string | null {
  const names = new Set<string>();
  let next = 0;
  for (const f of [...features].sort((a, b) => a.offset - b.offset)) {
    if (names.has(f.name)) return `two features are named "${f.name}"`;
    names.add(f.name);
    if (!Number.isInteger(f.size) || f.size < 1)
      return `feature "${f.name}" has size ${f.size}, expected ≥ 1`;
    if (f.offset > next) return `no feature covers entries ${next} to ${f.offset - 1}`;
    if (f.offset < next) return `feature "${f.name}" starts at ${f.offset}, inside the feature before it`;
    if (!(f.low < f.high))
      return `feature "${f.name}" has the range [${f.low}, ${f.high}], expected low < high`;
    next = f.offset + f.size;
  }
  return next === size ? null : `the features cover ${next} entries, expected ${size}`;
}
