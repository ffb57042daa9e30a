/**
 * Suite `env`: environment steps per second with random actions, 256 copies, drawing the actions included.
 *
 * An environment step is one step of one copy, all its agents together. `setup` creates and resets the environment;
 * the function it returns advances all copies together until at least `steps` environment steps are done, drawing
 * the actions from its own stream, which goes on from call to call.
 */
import { RandomStream } from "../src/core/random.js";
import { sampleActions } from "../src/env/spaces.js";
import { createEnvironment } from "../src/envs/registry.js";

export interface EnvironmentCase {
  readonly name: string;
  /** what one `step` is, for the report */
  readonly unit: "env steps";
  readonly copies: number;
  setup(): Promise<(steps: number) => void>;
}

const COPIES = 256;

function randomPlay(name: string, id: string, parameters: Record<string, unknown>): EnvironmentCase {
  return {
    name,
    unit: "env steps",
    copies: COPIES,
    async setup() {
      const environment = await createEnvironment(id, parameters, { copies: COPIES });
      environment.reset(0);
      const stream = RandomStream.from(0, "bench", "actions");
      return (steps) => {
        for (let done = 0; done < steps; done += COPIES) {
          sampleActions(environment, stream);
          environment.step();
        }
      };
    },
  };
}

export const environmentCases: readonly EnvironmentCase[] = [
  randomPlay("simple_spread N=3", "mpe/simple_spread_v3", {}),
  randomPlay("simple_spread N=3 continuous", "mpe/simple_spread_v3", { continuousActions: true }),
  randomPlay("simple_spread N=30", "mpe/simple_spread_v3", { agents: 30 }),
  randomPlay("simple_spread N=100", "mpe/simple_spread_v3", { agents: 100 }),
  randomPlay("simple", "mpe/simple_v3", {}),
  randomPlay("simple_tag", "mpe/simple_tag_v3", {}),
  randomPlay("simple_adversary", "mpe/simple_adversary_v3", {}),
  randomPlay("simple_push", "mpe/simple_push_v3", {}),
  randomPlay("simple_speaker_listener", "mpe/simple_speaker_listener_v4", {}),
  randomPlay("lbf-8x8-2p-3f", "lbf/Foraging-8x8-2p-3f-v3", {}),
  randomPlay("lbf-10x10-5p-10f-coop", "lbf/Foraging-10x10-5p-10f-coop-v3", {}),
  randomPlay("pursuit", "pursuit/pursuit_v5", {}),
  randomPlay("simple_reference", "mpe/simple_reference_v3", {}),
  randomPlay("simple_crypto", "mpe/simple_crypto_v3", {}),
  randomPlay("simple_world_comm", "mpe/simple_world_comm_v3", {}),
  randomPlay("independent_spread", "mpe/independent_spread_v0", {}),
  randomPlay("continuous_pred_prey", "mpe/continuous_pred_prey_v0", {}),
  ...[3, 15, 30, 100, 200].map((agents) =>
    randomPlay(`mean_field_spread N=${agents}`, "mpe/mean_field_spread_v0", { agents }),
  ),
];
