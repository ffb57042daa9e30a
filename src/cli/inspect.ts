/** phalanx inspect: what is in an ONNX file, and what of it can be imported. */
import { Command } from "commander";
import { UserError } from "../core/errors.js";
import { fileSize, readBytes } from "../core/files.js";
import { type Inspection, inspectModel, type ValueSummary } from "../onnx/index.js";
import { keyValues, print, printJson, table } from "./io.js";

interface Options {
  readonly nodes?: boolean;
  readonly json?: boolean;
  readonly size: readonly string[];
}

/** One protobuf message holds no more. */
const MAX_FILE_BYTES = 2 ** 31;

export function inspectCommand(): Command {
  return new Command("inspect")
    .summary("show what is in an ONNX file")
    .description(
      "Shows the signature, metadata, parameters and operators of any ONNX file, and which of them can be imported.",
    )
    .argument("<file>", "ONNX file")
    .option("--nodes", "also every node with the shapes of what it takes and gives")
    .option(
      "--size <name=n>",
      "a number for a named size, for the shapes of nodes (repeatable)",
      (text: string, before: readonly string[]) => [...before, text],
      [],
    )
    .option("--json", "as JSON, with nodes")
    .addHelpText(
      "after",
      `
Examples:
  phalanx inspect runs/quickstart/teams/plain-s0-1a2b3c4d/policy.listener_0.onnx
  phalanx inspect policy.onnx --nodes --size time=25`,
    )
    .action((file: string, options: Options) => {
      if ((fileSize(file) ?? 0) > MAX_FILE_BYTES)
        throw new UserError(`${file}: is larger than 2 GiB, expected an ONNX file, which cannot be.`);
      const sizes = keyValues(options.size) as Record<string, number>;
      const inspection = inspectModel(readBytes(file), file, sizes);
      if (options.json) printJson(inspection);
      else print(describe(file, inspection, options.nodes ?? false));
    });
}

function describe(file: string, model: Inspection, withNodes: boolean): string {
  const sections = [
    head(file, model),
    `inputs:\n${signature(model.inputs)}`,
    `outputs:\n${signature(model.outputs)}`,
    metadata(model),
    parameters(model),
    operators(model),
    withNodes ? nodes(model) : "",
    model.warnings.map((sentence) => `warning: ${sentence}`).join("\n"),
  ];
  return sections.filter((text) => text !== "").join("\n\n");
}

const count = (n: number) => n.toLocaleString("en");
const plural = (n: number, noun: string) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

function head(file: string, model: Inspection): string {
  const { total, nested, nestedGraphs } = model.nodeCount;
  const inner = nestedGraphs === 0 ? "" : ` (${count(nested)} in ${plural(nestedGraphs, "nested graph")})`;
  const others = Object.entries(model.otherOpsets).map(([domain, version]) => `, ${domain} ${version}`);
  return [
    `${file}: graph "${model.name}", ${plural(model.parameters.count, "parameter")}, ${plural(total, "node")}${inner}`,
    `producer ${model.producer || "unknown"}; opset ${model.opset}${others.join("")}; IR version ${model.irVersion}; ${plural(model.bytes, "byte")}`,
  ].join("\n");
}

function shapeOf({ dtype, shape }: Pick<ValueSummary, "dtype" | "shape">): string {
  return shape === null ? "?" : `${dtype} [${shape.join(", ")}]`;
}

function signature(values: Inspection["inputs"]): string {
  return table(
    values.length === 0 ? [["  none"]] : values.map((value) => [`  ${value.name}`, shapeOf(value)]),
  );
}

/** Long texts are cut; --json has them whole. */
function metadata({ metadata: entries }: Inspection): string {
  const rows = Object.entries(entries).map(([key, value]) => {
    const line = value.replace(/[\p{Cc}\p{Cs}]/gu, " ");
    return [`  ${key}`, line.length > 100 ? `${line.slice(0, 99)}…` : line];
  });
  return rows.length === 0 ? "" : `metadata:\n${table(rows)}`;
}

const number = (x: number | null) =>
  x === null ? "–" : Number(x.toPrecision(4)).toString().replace("-", "−");
const path = (inside: readonly string[], name: string) => [...inside, name].join(" › ");

function parameters({ parameters: { tensors, count: total }, otherInitializers }: Inspection): string {
  const others =
    otherInitializers === 0
      ? ""
      : `; beside them ${plural(otherInitializers, "constant")} of integers or truth values`;
  if (tensors.length === 0) return `parameters: none${others}`;
  const rows = tensors.map((p) => [
    `  ${path(p.inside, p.name)}`,
    shapeOf(p),
    count(p.size),
    number(p.min),
    number(p.max),
    number(p.mean),
    p.nonFinite === 0 ? "" : `${count(p.nonFinite)} not finite`,
  ]);
  return `parameters: ${count(total)} in ${plural(tensors.length, "tensor")}${others}\n${table([["  name", "shape", "size", "min", "max", "mean", ""], ...rows])}`;
}

function operators(model: Inspection): string {
  const rows = model.operators.map((o) => [
    `  ${o.operator}`,
    `${count(o.count)}${o.nested === 0 ? "" : ` (${count(o.nested)} nested)`}`,
    o.support,
    o.float64,
  ]);
  if (rows.length === 0) return "operators: none";
  return `operators:\n${table([["  operator", "nodes", "import", "float64 kernel"], ...rows])}`;
}

function nodes({ nodes: list, sizes }: Inspection): string {
  const numbers = Object.entries(sizes).map(([name, size]) => `${name} = ${size}`);
  const title = numbers.length === 0 ? "nodes:" : `nodes (${numbers.join(", ")}):`;
  const rows = list.map((node) => [
    `  ${path(node.inside, node.name)}`,
    node.operator,
    `${values(node.inputs)} → ${values(node.outputs)}`,
  ]);
  return `${title}\n${table(rows)}`;
}

function values(list: readonly ValueSummary[]): string {
  return list.map((value) => (value.name === "" ? "–" : shapeOf(value))).join(", ");
}
