export * from "./batch.js";
export * from "./conformance.js";
export * from "./contract.js";
export * from "./definition.js";
export * from "./features.js";
export * from "./scalar.js";
export * from "./spaces.js";
