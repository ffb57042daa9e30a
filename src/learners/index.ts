export * from "./advantages.js";
export * from "./learner.js";
export * from "./learning-loop.js";
export * from "./ppo.js";
export * from "./ppo-options.js";
export * from "./registry.js";
export * from "./training.js";
