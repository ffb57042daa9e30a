export * from "./adversarial-training.js";
export * from "./defense.js";
export * from "./plain.js";
export * from "./registry.js";
export * from "./team-loop.js";
export * from "./two-timescale.js";
