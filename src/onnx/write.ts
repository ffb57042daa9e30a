import { create, toBinary } from "@bufbuild/protobuf";
import { hasFree, reachable, type Tensor, TensorError } from "../tensor/index.js";
import { Emitter } from "./emitter.js";
import { ModelProtoSchema } from "./gen/onnx_pb.js";
import { carriesName, emitNodes, valueInfo } from "./nodes.js";

/** Operator set and file format version of every model written here. */
export const OPSET = 18;
export const IR_VERSION = 9;

export interface ModelSpec {
  /** values to compute, by output name */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /**
   * inputs in order; default: those that the outputs depend on, in order of declaration. Listing one that is
   * not needed keeps it in the signature.
   */
  readonly inputs?: readonly Tensor[];
  /** other names for inputs, by declared name */
  readonly inputNames?: Readonly<Record<string, string>>;
  /** graph name, shown by viewers */
  readonly name?: string;
  /** free text by key, kept in the file */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * The computation as an ONNX file (opset 18, IR 9, default domain only).
 *
 * @throws TensorError if an output depends on an input that `inputs` leaves out, or two names are equal
 */
export function writeModel(spec: ModelSpec): Uint8Array<ArrayBuffer> {
  const outputs = Object.entries(spec.outputs);
  const nodes = reachable(outputs.map(([, x]) => x));
  const inputs = spec.inputs ?? nodes.filter((x) => x.op === "input");
  const inputName = (x: Tensor) => {
    const { name } = (x as Tensor<"input">).attrs;
    return spec.inputNames?.[name] ?? name;
  };
  checkNames([...inputs.map(inputName), ...outputs.map(([name]) => name)]);
  const rowSource = inputs.find((x) => hasFree(x.shape));
  const emit = new Emitter([...inputs.map(inputName), ...outputs.map(([name]) => name)], rowSource);
  for (const x of inputs) emit.alias(x, inputName(x));
  // A value that is computed once and returned once carries the output's name itself.
  const outputName = new Map<Tensor, string>();
  for (const [name, x] of outputs) {
    if (carriesName(x) && !outputName.has(x)) outputName.set(x, name);
  }
  emitNodes(emit, nodes, outputName);
  for (const [name, x] of outputs) {
    if (emit.name(x) !== name) emit.node("Identity", [emit.name(x)], [name]);
  }
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: "phalanx",
    opsetImport: [{ domain: "", version: BigInt(OPSET) }],
    metadataProps: Object.entries(spec.metadata ?? {}).map(([key, value]) => ({ key, value })),
    graph: {
      name: spec.name ?? "program",
      node: emit.nodes,
      initializer: emit.literals,
      input: inputs.map((x) => valueInfo(inputName(x), x)),
      output: outputs.map(([name, x]) => valueInfo(name, x)),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

function checkNames(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (name === "" || seen.has(name)) {
      throw new TensorError(
        `writeModel: got the name "${name}" twice or empty, expected unique input and output names`,
      );
    }
    seen.add(name);
  }
}
