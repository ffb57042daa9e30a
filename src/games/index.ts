export * from "./joint.js";
export * from "./markov.js";
export * from "./matrix.js";
export * from "./model.js";
export * from "./random-markov.js";
export * from "./tree.js";
