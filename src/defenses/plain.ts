/** Plain training: the learner, the environment, nobody else. */
import { z } from "zod";
import { fixedCasting } from "../rollout/index.js";
import type { DefenseDefinition } from "./defense.js";
import { TeamLoop, teamLearner } from "./team-loop.js";

const options = z.strictObject({});

export const plain: DefenseDefinition<z.output<typeof options>> = {
  name: "plain",
  summary: "No defense: the team trains undisturbed.",
  options,
  channels: [],
  async start(context) {
    const { learner, environment, steps } = await teamLearner(context);
    return new TeamLoop(context, environment, steps, [learner], { cast: fixedCasting(learner.actorOfSeat) });
  },
};
