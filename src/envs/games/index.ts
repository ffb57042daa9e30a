export { gridSpread } from "./grid-spread.js";
export { kuhnPoker } from "./kuhn-poker.js";
export { leducPoker } from "./leduc-poker.js";
export { climbing, matrix, penalty, rockPaperScissors } from "./matrix.js";
export { randomMarkov } from "./random-markov.js";
export { twoStateCoordination } from "./two-state-coordination.js";
export { twoStep } from "./two-step.js";
