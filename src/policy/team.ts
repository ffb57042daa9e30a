/** A trained team, frozen: who is played by which parameters. */
import type { Policy } from "./policy.js";

/** One set of parameters and the agents that it plays. */
export interface TeamMember {
  /** Name of its files: the group where all its agents share, else the agent. */
  readonly name: string;
  readonly group: string;
  /** Agents of the group that it plays. */
  readonly agents: readonly string[];
  readonly policy: Policy;
  readonly parameters: Float32Array;
}

/** Members cover every agent of the environment exactly once. */
export interface Team {
  /** Environment id it was trained on. */
  readonly environment: string;
  readonly members: readonly TeamMember[];
}
