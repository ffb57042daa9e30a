import type { Registries } from "../../src/experiment/registries.js";
import type { Toolbox } from "../../src/experiment/toolbox.js";

export const registries: Registries;
export const toolbox: Toolbox;
