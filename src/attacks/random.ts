/**
 * Random behaviour within a threat, without any knowledge: the yardstick of every attack. Hijacked agents take
 * uniformly random legal actions; observations get noise of the threat's norm.
 */
import { z } from "zod";
import { UniformActor } from "../policy/index.js";
import type { Perturber, PerturbRequest } from "../rollout/index.js";
import { actsThroughSeats } from "../threats/index.js";
import type { AttackDefinition } from "./attack.js";
import { readyAttack } from "./ready.js";

const options = z.strictObject({
  noise: z
    .enum(["sign", "uniform"])
    .default("sign")
    .describe("ℓ∞ noise: ±ε per entry (the strongest of its norm), or uniform in [−ε, ε]"),
});
type RandomOptions = z.output<typeof options>;

/** Gaussian noise is not here: the loop draws it itself. */
class Noise implements Perturber {
  readonly name = "random";

  constructor(readonly noise: RandomOptions["noise"]) {}

  perturb(request: PerturbRequest, delta: Float32Array): void {
    const { rows, epsilon, scale, norm, streams } = request;
    const O = scale.length;
    for (let r = 0; r < rows; r++) {
      const stream = streams[r]!;
      let squared = 0;
      for (let i = 0, k = r * O; i < O; i++, k++) {
        if (scale[i] === 0) continue;
        if (norm === "linf") {
          const u = 2 * stream.uniform() - 1;
          delta[k] = epsilon[r]! * scale[i]! * (this.noise === "sign" ? (u < 0 ? -1 : 1) : u);
        } else {
          const z = stream.normal();
          squared += z * z;
          delta[k] = scale[i]! * z;
        }
      }
      // ℓ2: a random direction at full length.
      if (norm === "l2" && squared > 0) {
        const length = epsilon[r]! / Math.sqrt(squared);
        for (let i = 0, k = r * O; i < O; i++, k++) delta[k]! *= length;
      }
    }
  }
}

export const random: AttackDefinition<RandomOptions> = {
  name: "random",
  summary: "Random actions of the hijacked agents, or random noise of the threat's norm.",
  options,
  channels: ["control", "action", "observation"],
  whiteBox: false,
  learns: false,
  async start(context, { noise }) {
    const { threat, team } = context;
    if (!actsThroughSeats(threat)) return readyAttack({ kind: "perturber", perturber: new Noise(noise) }, 0);
    const spaces = new Map(
      team.members.flatMap((m) => m.agents.map((agent) => [agent, m.policy.space] as const)),
    );
    const agents = threat.agents === "all" ? [...spaces.keys()] : threat.agents;
    return readyAttack(
      {
        kind: "seats",
        actors: new Map(agents.map((agent) => [agent, new UniformActor("random", spaces.get(agent)!)])),
      },
      0,
    );
  },
};
