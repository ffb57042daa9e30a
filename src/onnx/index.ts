/** ONNX files: writing traced computations, reading files back, strictly. */
export { IR_VERSION, type ModelSpec, OPSET, writeModel } from "./write.js";
