export * from "./projection.js";
export * from "./threat.js";
