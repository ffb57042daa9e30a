/**
 * Pictures and films of episodes, as data. Environments draw frames, the rollout records films, views play them;
 * none of the three knows the others.
 */

/** One picture. Coordinates are world units, y up. */
export interface Frame {
  readonly shapes: readonly FrameShape[];
  /** Lines of text that belong to the moment ("speaker_0 says B"). */
  readonly captions: readonly string[];
  /** Visible world, if fixed; otherwise the player fits the whole film. */
  readonly bounds?: {
    readonly left: number;
    readonly right: number;
    readonly bottom: number;
    readonly top: number;
  };
}

export type FrameShape =
  | {
      readonly kind: "circle";
      readonly x: number;
      readonly y: number;
      readonly radius: number;
      /** Agent name where the shape is an agent; the player marks hijacked and deceived agents by it. */
      readonly agent?: string;
      /** Text at the shape ("goal", "A"). */
      readonly label?: string;
      /** CSS colour */
      readonly color: string;
      readonly role: "agent" | "landmark" | "goal" | "obstacle";
    }
  | {
      readonly kind: "line";
      readonly x1: number;
      readonly y1: number;
      readonly x2: number;
      readonly y2: number;
      readonly color: string;
    };

/** What happened at one step of a film. Lists of agents are by name. */
export interface FilmStep {
  /** The state in which the actions were chosen. */
  readonly frame: Frame;
  /** Executed action per agent; absent in the last step, which only shows the final state. */
  readonly actions?: Readonly<Record<string, number | readonly number[]>>;
  /** Agents whose executed action came from the adversary (the coin fell on its side). */
  readonly controlled: readonly string[];
  /** What the team's own policy would have done at a controlled agent. */
  readonly intended?: Readonly<Record<string, number | readonly number[]>>;
  /** Agents whose observation was perturbed, with the largest change per observation feature (raw units). */
  readonly perturbed: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Mean reward of the agents for the step just shown; absent in the last step. */
  readonly reward?: number;
}

/** One whole episode. */
export interface Film {
  readonly environment: string;
  readonly team: string;
  readonly adversary: string;
  /** Evaluation seed and copy: films of the same seed and copy start from the same state. */
  readonly seed: number;
  readonly copy: number;
  readonly agents: readonly string[];
  /** Agents that the adversary holds in this episode. */
  readonly hijacked: readonly string[];
  /** Sum over steps of the mean reward of the agents. */
  readonly episodeReturn: number;
  /** Names of the discrete actions per agent ("left", "says B"); the player shows numbers where they are absent. */
  readonly actionNames?: Readonly<Record<string, readonly string[]>>;
  /**
   * For agents whose discrete action is a message: what each message means in this team's own language, as the label
   * of a shape ("A"), or null if the team does not use that message. It lets the player show which landmark was
   * announced. Where it is absent, views infer it from films of the same team and seed (`inferLanguage`).
   */
  readonly language?: Readonly<Record<string, readonly (string | null)[]>>;
  readonly steps: readonly FilmStep[];
}
