/** ONNX files: writing traced computations, reading files back, strictly. */
export { type ImportedModel, importModel } from "./import.js";
export { type Model, type ModelAttribute, type ModelNode, type ModelValue, readModel } from "./read.js";
export { IR_VERSION, type ModelSpec, OPSET, writeModel } from "./write.js";
