/** Nobody acts: under a dynamics threat the changed world is the whole attack. */
import { z } from "zod";
import type { AttackDefinition } from "./attack.js";
import { readyAttack } from "./ready.js";

const options = z.strictObject({});

export const none: AttackDefinition<z.output<typeof options>> = {
  name: "none",
  summary: "Nobody acts; the environment's parameters differ from training.",
  options,
  channels: ["dynamics"],
  whiteBox: false,
  learns: false,
  start: async () => readyAttack({ kind: "world" }, 0),
};
