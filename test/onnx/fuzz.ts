/**
 * Fuzzing of everything that reads ONNX files from strangers: each damaged file is read, imported, applied and
 * differentiated, and inspected. A model or a UserError of one short line is fine; anything else is a finding.
 *
 * A file is named by its number: `fuzzFile(seeds, 4711)` is the same bytes on every machine.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../../src/core/errors.js";
import { RandomStream } from "../../src/core/random.js";
import { gruCell, layoutOf, unrollCell } from "../../src/nn/index.js";
import { TensorProto_DataType as DataType } from "../../src/onnx/gen/onnx_pb.js";
import { importModel, inspectModel, type ModelValue, readModel, writeModel } from "../../src/onnx/index.js";
import { importSupport } from "../../src/onnx/support.js";
import { exportPolicies } from "../../src/policy/index.js";
import { FREE, Graph, grad, isFloat, sum, type Tensor, trace } from "../../src/tensor/index.js";
import { couriers } from "../games/couriers.js";
import { foragers } from "../games/foragers.js";
import { createEnvironment, runtime } from "../support/rollouts.js";
import { randomTeam } from "../support/teams.js";
import { KINDS, mutate, type Seed } from "./mutations.js";
import { operatorModels } from "./operator-models.js";

/** Recordings of other exporters, as far as there are any. */
const FIXTURES = fileURLToPath(new URL("fixtures", import.meta.url));

/** Valid files of every kind: our policies, feed-forward and recurrent, training programs, one node each, foreign ones. */
export async function fuzzSeeds(): Promise<Seed[]> {
  const seeds: Seed[] = [];
  for (const [name, game, choice] of [
    ["couriers", couriers, {}],
    ["foragers", foragers, { layerNorm: true }],
    ["recurrent", foragers, { recurrent: 5 }],
  ] as const) {
    const environment = await createEnvironment(game, 1);
    const team = randomTeam(environment.spec, 1, choice);
    environment.close();
    const files = exportPolicies(runtime, team, { phalanxRun: "fuzz", seed: "1" });
    for (const { fileName, bytes } of files) seeds.push({ name: `${name}/${fileName}`, bytes });
  }
  seeds.push({ name: "gradient of a GRU", bytes: gruGradient() });
  for (const opset of [11, 13, 18]) {
    for (const { opType, bytes } of operatorModels(DataType.FLOAT, opset)) {
      // Scattering without adding is not supported, and adding is a later form.
      const isSupported = importSupport({ domain: "", opType }) !== "not supported";
      if (isSupported && !(opset < 16 && opType === "ScatterElements"))
        seeds.push({ name: `${opType}-${opset}`, bytes });
    }
  }
  if (existsSync(FIXTURES)) {
    for (const file of readdirSync(FIXTURES, { recursive: true }) as string[]) {
      if (file.endsWith(".onnx"))
        seeds.push({ name: file, bytes: new Uint8Array(readFileSync(path.join(FIXTURES, file))) });
    }
  }
  return seeds;
}

/** A loop and its gradient: graphs inside nodes. */
function gruGradient(): Uint8Array {
  const cell = gruCell("gru", 3, 4);
  const layout = layoutOf(cell);
  return trace((graph) => {
    const x = graph.input("x", [6, 2, 3], "float32");
    const parameters = graph.input("parameters", [layout.size], "float32");
    const first = graph.input("first", [2, 4], "float32");
    const starts = graph.input("starts", [6, 2], "float32");
    const named = layout.unpack(parameters);
    const { last } = unrollCell(cell, named, cell.project(named, x), first, starts);
    return writeModel({ outputs: { last, gradient: grad(sum(last), parameters) }, name: "gru" });
  });
}

/** File number `index` and how it was made. Seeds and kinds of damage take turns. */
export function fuzzFile(
  seeds: readonly Seed[],
  index: number,
): { readonly bytes: Uint8Array; readonly origin: string } {
  const stream = RandomStream.from(index, "fuzz");
  const kind = KINDS[index % KINDS.length]!;
  const seed = seeds[stream.int(seeds.length)]!;
  return { bytes: mutate(seed, kind, stream, seeds), origin: `#${index}, ${kind} of ${seed.name}` };
}

/** How far a file came. */
export type Outcome =
  | "refused by the reader"
  | "read, refused by the importer"
  | "imported"
  | "differentiated";

/**
 * Read, import, apply, differentiate, inspect.
 *
 * @throws whatever is no UserError; an Error if a message is no short line, or the work out of proportion
 */
export function probe(bytes: Uint8Array, rows: "free" | "fixed"): Outcome {
  const read = attempt(() => readModel(bytes, "fuzz.onnx"));
  const inspected = attempt(() => inspectModel(bytes, "fuzz.onnx"));
  if ((read === undefined) !== (inspected === undefined)) throw new Error("inspect and reader disagree");
  if (read === undefined) return "refused by the reader";
  for (const warning of inspected!.warnings) checkSentence(warning);
  const imported = attempt(() => importModel(bytes, "fuzz.onnx"));
  if (imported === undefined) return "read, refused by the importer";
  const graph = new Graph();
  const applied = attempt(() =>
    trace(() => {
      const inputs = inputsOf(graph, imported.inputs, rows);
      return { inputs, outputs: Object.values(imported.apply(inputs)) };
    }, graph),
  );
  // Work is in proportion to the file, whatever sizes and counts stand in it.
  if (graph.size > 1000 + 10 * bytes.length)
    throw new Error(`${graph.size} tensors from ${bytes.length} bytes`);
  if (applied === undefined) return "read, refused by the importer";
  // What has been imported is compiled by writing it again.
  const written = attempt(() => trace(() => rewritten(applied.inputs, applied.outputs), graph));
  if (written !== undefined) readModel(written, "written.onnx");
  const floats = Object.values(applied.inputs).filter((x) => isFloat(x.dtype));
  const losses = applied.outputs.filter((y) => isFloat(y.dtype));
  const gradients = attempt(() => trace(() => losses.map((y) => grad(sum(y), floats)), graph));
  return gradients === undefined ? "imported" : "differentiated";
}

function rewritten(inputs: Readonly<Record<string, Tensor>>, outputs: readonly Tensor[]): Uint8Array {
  return writeModel({
    inputs: Object.values(inputs),
    outputs: Object.fromEntries(outputs.map((y, i) => [`fuzz/out${i}`, y])),
  });
}

/** The result, or undefined where a UserError says why there is none. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    checkSentence(error.message);
    return undefined;
  }
}

/** Names and lists of the file stand in messages, but not at any length, and not over several lines. */
function checkSentence(message: string): void {
  if (/[\p{Cc}]/u.test(message) || message.length > 2500)
    throw new Error(`no short line: ${JSON.stringify(message.slice(0, 3000))}`);
}

function inputsOf(
  graph: Graph,
  inputs: readonly ModelValue[],
  rows: "free" | "fixed",
): Record<string, Tensor> {
  return Object.fromEntries(
    inputs.map(({ name, dtype, shape }) => {
      const dims = shape.map((d, i) => (typeof d === "number" ? d : rows === "free" && i === 0 ? FREE : 2));
      return [name, graph.input(name, dims, dtype)];
    }),
  );
}

export interface FuzzReport {
  readonly files: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** of one file, all steps */
  readonly slowestMs: number;
  readonly slowest: string;
  /** largest resident memory of the process, in megabytes */
  readonly peakMb: number;
  /** one line each: what was thrown, and for which file */
  readonly findings: readonly string[];
}

/** Files `first` to `first + count − 1`. */
export function fuzz(seeds: readonly Seed[], first: number, count: number): FuzzReport {
  const outcomes: Record<Outcome, number> = {
    "refused by the reader": 0,
    "read, refused by the importer": 0,
    imported: 0,
    differentiated: 0,
  };
  const findings: string[] = [];
  let [slowestMs, slowest, peak] = [0, "", 0];
  for (let index = first; index < first + count; index++) {
    const { bytes, origin } = fuzzFile(seeds, index);
    const start = performance.now();
    try {
      outcomes[probe(bytes, index % 2 === 0 ? "free" : "fixed")]++;
    } catch (error) {
      const { name, message, stack = "" } = error as Error;
      findings.push(`${origin}: ${name}: ${message.split("\n")[0]} (${stack.split("\n")[1]?.trim()})`);
    }
    const ms = performance.now() - start;
    if (ms > slowestMs) [slowestMs, slowest] = [ms, origin];
    if (index % 100 === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }
  return { files: count, outcomes, slowestMs, slowest, peakMb: peak / 2 ** 20, findings };
}
