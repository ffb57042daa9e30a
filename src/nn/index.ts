/** Networks, distributions, optimisers and losses: functions over tensors, with parameters in one flat vector. */
export * from "./agent-weights.js";
export * from "./ascent.js";
export * from "./attention.js";
export * from "./distributions.js";
export * from "./init.js";
export * from "./layers.js";
export * from "./losses.js";
export * from "./optim.js";
export * from "./params.js";
export * from "./polyak.js";
export * from "./pop-art.js";
export * from "./recurrent.js";
export * from "./sampling.js";
export * from "./squashed-gaussian.js";
export * from "./stacked.js";
export * from "./value-normalizer.js";
