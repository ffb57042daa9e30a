/** For the parameters of environments of one's own: the zod that this package was built with. */
export { z } from "zod";
export * from "./batch.js";
export * from "./conformance.js";
export * from "./contract.js";
export * from "./definition.js";
export * from "./features.js";
export * from "./parameter-ranges.js";
export * from "./scalar.js";
export * from "./spaces.js";
