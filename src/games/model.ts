/**
 * What an environment says about itself when it is small enough to be known exactly. Players are the environment's
 * agents, in the order of its groups and of the agents in them; actions have the environment's numbers.
 */
import type { MarkovGame } from "./markov.js";
import type { MatrixGame } from "./matrix.js";
import type { GameTree } from "./tree.js";

export type ExactModel =
  | {
      readonly kind: "matrix";
      readonly game: MatrixGame;
      /** [O] what a player sees before its only move */
      observation(player: number): Float32Array;
    }
  | {
      readonly kind: "markov";
      readonly game: MarkovGame;
      /** [O] what a player sees in a state: all that a policy may depend on */
      observation(player: number, state: number): Float32Array;
    }
  | {
      readonly kind: "tree";
      readonly game: GameTree;
      /** [O] what the player sees who moves in an information set */
      observation(informationSet: number): Float32Array;
    };
