/** ONNX files: writing traced computations, reading files back, strictly. */
export { type ImportedModel, importModel } from "./import.js";
export {
  type Inspection,
  inspectModel,
  type NodeSummary,
  type OperatorSummary,
  type ParameterSummary,
  type ValueSummary,
} from "./inspect.js";
export { type Model, type ModelAttribute, type ModelNode, type ModelValue, readModel } from "./read.js";
export { IR_VERSION, type ModelSpec, OPSET, writeModel } from "./write.js";
