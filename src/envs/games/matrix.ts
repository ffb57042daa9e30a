/**
 * Matrix games: all players choose at once and are paid by a table; played once, or again and again.
 *
 * Named tables: google-deepmind/open_spiel, open_spiel/games/matrix_games/matrix_games.cc (mp … bos);
 * Liu et al. 2024, appendix C (rps-liu); uoe-agents/matrix-games, matrixgames/games.py (climbing, penalty, climbing-3p,
 * trivial, linear, nonlinear), where the climbing and penalty games go back to Claus and Boutilier 1998, whose tables
 * are the transpose of `climbing` and `penalty-k` with the columns reversed. Page: docs/environments/matrix.md.
 */
import { z } from "zod";
import { UserError } from "../../core/errors.js";
import { suggestion } from "../../core/suggest.js";
import type { CreateOptions } from "../../env/contract.js";
import { defineEnvironment, withDefaults } from "../../env/definition.js";
import { jointAction, jointActionCount, jointIndex } from "../../games/joint.js";
import { type MarkovGame, tabulate } from "../../games/markov.js";
import { type MatrixGame, matrixGame, SHARINGS, type Sharing } from "../../games/matrix.js";
import { type Duration, durationParameters, horizonOf, TabularEnvironment } from "./tabular.js";

const ID = "games/matrix_v0";

interface NamedTable {
  readonly sharing: Sharing;
  readonly payoffs: unknown;
  readonly actionNames?: readonly string[];
}

const RPS = ["rock", "paper", "scissors"];
const DILEMMA = ["cooperate", "defect"];

const TABLES: Readonly<Record<string, NamedTable>> = {
  mp: {
    sharing: "zeroSum",
    payoffs: [
      [1, -1],
      [-1, 1],
    ],
    actionNames: ["heads", "tails"],
  },
  rps: {
    sharing: "zeroSum",
    payoffs: [
      [0, -1, 1],
      [1, 0, -1],
      [-1, 1, 0],
    ],
    actionNames: RPS,
  },
  // The same game with the second and third action exchanged.
  "rps-liu": {
    sharing: "zeroSum",
    payoffs: [
      [0, 1, -1],
      [-1, 0, 1],
      [1, -1, 0],
    ],
    actionNames: ["rock", "scissors", "paper"],
  },
  brps: {
    sharing: "zeroSum",
    payoffs: [
      [0, -25, 50],
      [25, 0, -5],
      [-50, 5, 0],
    ],
    actionNames: RPS,
  },
  rpsw: {
    sharing: "zeroSum",
    payoffs: [
      [0, -1, 1, 0],
      [1, 0, -1, 0],
      [-1, 1, 0, 0],
      [0, 0, 0, 0],
    ],
    actionNames: [...RPS, "water"],
  },
  shapley: {
    sharing: "general",
    payoffs: [
      [
        [0, 0, 1],
        [1, 0, 0],
        [0, 1, 0],
      ],
      [
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
      ],
    ],
  },
  pd: {
    sharing: "symmetric",
    payoffs: [
      [5, 0],
      [10, 1],
    ],
    actionNames: DILEMMA,
  },
  sh: {
    sharing: "symmetric",
    payoffs: [
      [2, 0],
      [1, 1],
    ],
    actionNames: ["stag", "hare"],
  },
  coord: {
    sharing: "common",
    payoffs: [
      [1, 0],
      [0, 1],
    ],
  },
  cd: {
    sharing: "symmetric",
    payoffs: [
      [0, 4],
      [1, 3],
    ],
    actionNames: ["dare", "chicken"],
  },
  bos: {
    sharing: "general",
    payoffs: [
      [
        [3, 0],
        [0, 2],
      ],
      [
        [2, 0],
        [0, 3],
      ],
    ],
  },
  climbing: {
    sharing: "common",
    payoffs: [
      [11, -30, 0],
      [-30, 7, 0],
      [0, 6, 5],
    ],
  },
  "climbing-3p": {
    sharing: "common",
    payoffs: [
      [
        [11, -30, 0],
        [-30, 0, 0],
        [0, 0, 0],
      ],
      [
        [-30, 0, 0],
        [0, 7, 0],
        [0, 0, 0],
      ],
      [
        [0, 0, 0],
        [0, 0, 0],
        [0, 6, 5],
      ],
    ],
  },
  trivial: {
    sharing: "common",
    payoffs: [
      [11, 8, 0],
      [8, 7, 0],
      [0, 0, 0],
    ],
  },
  linear: {
    sharing: "common",
    payoffs: [
      [1, 4, 2],
      [0, 3, 1],
      [2, 5, 3],
    ],
  },
  nonlinear: {
    sharing: "common",
    payoffs: [
      [0, 3, 1],
      [0, 0, 0],
      [0, 6, 2],
    ],
  },
};

/** penalty-k: two optima pay 10 if both choose the same one, and cost k if not; a safe point pays 2. */
function penaltyTable(k: number): NamedTable {
  return {
    sharing: "common",
    payoffs: [
      [0 - k, 0, 10],
      [0, 2, 0],
      [10, 0, 0 - k],
    ],
  };
}

/** @throws UserError naming the nearest table */
function namedTable(name: string): NamedTable {
  const penalty = /^penalty-(\d+(?:\.\d+)?)$/.exec(name);
  if (penalty !== null) return penaltyTable(Number(penalty[1]));
  if (!Object.hasOwn(TABLES, name)) {
    const known = [...Object.keys(TABLES), "penalty-100"];
    throw new UserError(
      `${ID}, parameter "payoffs": got "${name}", expected the name of a game or nested lists. ${suggestion(name, known)}`,
    );
  }
  return TABLES[name];
}

const parameters = {
  payoffs: z
    .union([z.string(), z.array(z.unknown())])
    .default("pd")
    .describe("the name of a game (rps, climbing, penalty-100, …), or nested lists of numbers"),
  sharing: z
    .enum(SHARINGS)
    .nullable()
    .default(null)
    .describe("of nested lists: general (one table per player; also null), common, zeroSum or symmetric"),
  observation: z
    .enum(["none", "lastActions"])
    .default("none")
    .describe("none: zeros; lastActions: the last joint action, zeros before the first"),
  ...durationParameters(1),
};

type Parameters = z.output<z.ZodObject<typeof parameters>>;

/** The game that the parameters mean. */
function gameOf({ payoffs, sharing }: Parameters): { game: MatrixGame; actionNames?: readonly string[] } {
  const place = `${ID}, parameter "payoffs"`;
  if (typeof payoffs !== "string") return { game: matrixGame(payoffs, sharing ?? "general", place) };
  if (sharing !== null) {
    throw new UserError(
      `${ID}, parameter "sharing": got "${sharing}" with the named game "${payoffs}", expected nested lists as payoffs.`,
    );
  }
  const { actionNames, ...table } = namedTable(payoffs);
  return {
    game: matrixGame(table.payoffs, table.sharing, place),
    ...(actionNames === undefined ? {} : { actionNames }),
  };
}

/** The stage game repeated: one state, or one for every joint action that was last (0: none yet). */
function repeated({ actions, payoff }: MatrixGame, remember: boolean, duration: Duration): MarkovGame {
  const joints = jointActionCount(actions);
  const states = remember ? 1 + joints : 1;
  const initial = new Float64Array(states);
  initial[0] = 1;
  return tabulate({ states, actions, initial, discount: 1, horizon: horizonOf(duration) }, (_, chosen) => {
    const joint = jointIndex(actions, chosen);
    return {
      next: [[remember ? 1 + joint : 0, 1]],
      reward: actions.map((_, i) => payoff[i * joints + joint]),
    };
  });
}

function create(id: string, p: Parameters, options: CreateOptions): TabularEnvironment {
  const { game, actionNames } = gameOf(p);
  const { actions } = game;
  const remember = p.observation === "lastActions";
  const starts = actions.map((_, i) => actions.slice(0, i).reduce((a, b) => a + b, 0));
  return new TabularEnvironment(
    {
      id,
      game: repeated(game, remember, p),
      duration: p,
      agentName: "player",
      features: [
        remember
          ? { name: "lastActions", size: actions.reduce((a, b) => a + b, 0), low: 0, high: 1 }
          : { name: "nothing", size: actions.length, low: 0, high: 1 },
      ],
      observe: (_, state, out, at) => {
        if (state === 0) return;
        jointAction(actions, state - 1).forEach((action, i) => {
          out[at + starts[i] + action] = 1;
        });
      },
      ...(actionNames === undefined ? {} : { actionNames }),
      stateName: () => "",
      isMatrix: !remember,
    },
    options,
  );
}

export const matrix = defineEnvironment({
  id: ID,
  summary: "Any matrix game: a named one, or a table of payoffs; once or repeated.",
  source: "OpenSpiel's and uoe-agents' matrix games, or your own table",
  parameters,
  create: (p, options) => create(ID, p, options),
});

function preset(id: string, summary: string, source: string, payoffs: string, steps: number) {
  return defineEnvironment({
    id,
    summary,
    presetOf: ID,
    source,
    parameters: withDefaults(parameters, { payoffs, steps }),
    create: (p, options) => create(id, p, options),
  });
}

export const rockPaperScissors = preset(
  "games/rock_paper_scissors_v0",
  "Rock, paper, scissors: zero-sum, value 0, only the uniform strategy is safe.",
  "OpenSpiel matrix_rps; the payoffs are checked against it",
  "rps",
  1,
);

export const climbing = preset(
  "games/climbing_v0",
  "The climbing game: the best joint action lies behind steep penalties; 25 steps.",
  "uoe-agents/matrix-games; EPyMARL's 25 steps",
  "climbing",
  25,
);

export const penalty = preset(
  "games/penalty_v0",
  "The penalty game: two optima, and a penalty of 100 for choosing different ones; 25 steps.",
  "uoe-agents/matrix-games; EPyMARL's 25 steps",
  "penalty-100",
  25,
);
