/** Everything that is built in, on the CPU engine for Node: what the command line and its workers use. */
import { evaluate } from "../attacks/evaluate.js";
import { attacks } from "../attacks/registry.js";
import { pettingZoo } from "../bridge/index.js";
import { defenses } from "../defenses/registry.js";
import { EnvironmentRegistry, environments as own } from "../envs/registry.js";
import { learners } from "../learners/registry.js";
import { exportPolicies, loadTeam, saveTeam } from "../policy/index.js";
import { Runtime } from "../runtime/index.js";
import { nodeBackend } from "../runtime/node.js";
import type { Toolbox } from "./toolbox.js";

/** Those that run anywhere, and those that need processes. */
export const environments = new EnvironmentRegistry(
  [...[...own.entries()].map(([, definition]) => definition), pettingZoo],
  own.families,
);

export const toolbox: Toolbox = {
  registries: { environments, learners, attacks, defenses },
  createRuntime: async () => new Runtime(nodeBackend()),
  evaluate,
  saveTeam,
  loadTeam,
  exportPolicies,
};
