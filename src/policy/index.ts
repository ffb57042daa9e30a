export * from "./actor.js";
export * from "./create.js";
export * from "./export.js";
export * from "./policy.js";
export * from "./policy-actor.js";
export * from "./team.js";
export * from "./uniform-actor.js";
