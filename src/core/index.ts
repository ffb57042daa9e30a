export * from "./array.js";
export * from "./errors.js";
export * from "./film.js";
export * from "./random.js";
export * from "./registry.js";
export * from "./saved-state.js";
export * from "./tree.js";
