export * from "./aggregate.js";
export * from "./student.js";
