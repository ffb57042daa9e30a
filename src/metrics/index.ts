export * from "./comparisons.js";
export * from "./student.js";
