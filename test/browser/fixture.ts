/** A report like the quickstart's, made up by a few lines of arithmetic: for tests and for looking at. */

import type { Film, FilmStep, FrameShape } from "../../src/core/film.js";
import type { EffortRow, PairedComparison, ReportData, ThreatDefinition } from "../../src/report/index.js";
import type { CurveData, MatrixColumn, MatrixData } from "../../src/views/index.js";

const LABELS = ["A", "B", "C"];
const COLORS = ["rgb(166 38 38)", "rgb(38 166 38)", "rgb(38 38 166)"];
const LIGHT = ["rgb(255 153 153)", "rgb(153 255 153)", "rgb(153 153 255)"];
const SEEDS = [0, 1, 2, 3, 4];

/** Numbers in [0, 1) that only need to look random. */
function noise(seed: number): () => number {
  let state = (seed + 1) * 2654435761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

export type Behaviour = "clean" | "best response" | "FGSM on the listener";

/** One episode of a speaker that names a landmark and a listener that goes there, with a made-up language. */
export function speakerListenerFilm(team: string, adversary: Behaviour, copy: number, trust: number): Film {
  const random = noise(copy + 11);
  const point = () => [random() * 2 - 1, random() * 2 - 1] as const;
  const landmarks = [point(), point(), point()];
  const speaker = point();
  let [x, y] = point();
  let [vx, vy] = [0, 0];
  const goal = copy % 3;
  const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(a[0]! - b[0]!, a[1]! - b[1]!);
  const farthest = [0, 1, 2].reduce((best, one) =>
    distance(landmarks[one]!, landmarks[goal]!) > distance(landmarks[best]!, landmarks[goal]!) ? one : best,
  );
  const hijacked = adversary === "best response";
  const named = hijacked ? farthest : goal;
  const messageFor = (landmark: number) => (landmark + 1) % 3;
  const centre = [0, 1].map((axis) => landmarks.reduce((sum, one) => sum + one[axis]! / 3, 0));
  const target = [0, 1].map((axis) => trust * landmarks[named]![axis]! + (1 - trust) * centre[axis]!);
  const steps: FilmStep[] = [];
  let episodeReturn = 0;
  for (let t = 0; t <= 25; t++) {
    const deceived = adversary === "FGSM on the listener";
    const shapes: FrameShape[] = landmarks.map(([lx, ly], at) => ({
      kind: "circle",
      x: lx,
      y: ly,
      radius: 0.04,
      label: LABELS[at]!,
      color: COLORS[at]!,
      role: at === goal ? "goal" : "landmark",
    }));
    shapes.push(
      {
        kind: "circle",
        x: speaker[0],
        y: speaker[1],
        radius: 0.075,
        agent: "speaker_0",
        color: "rgb(64 64 64)",
        role: "agent",
      },
      { kind: "circle", x, y, radius: 0.075, agent: "listener_0", color: LIGHT[goal]!, role: "agent" },
    );
    const captions = [
      t === 0 ? "speaker_0 has said nothing yet" : `speaker_0 says ${LABELS[messageFor(named)]}`,
    ];
    if (t === 25) {
      steps.push({ frame: { shapes, captions }, controlled: [], perturbed: {} });
      break;
    }
    const wish = [target[0]! - x - 0.6 * vx, target[1]! - y - 0.6 * vy];
    if (deceived) wish[0] += Math.sin(t / 2 + copy) * 0.5;
    const horizontal = Math.abs(wish[0]!) > Math.abs(wish[1]!);
    const still = Math.hypot(wish[0]!, wish[1]!) < 0.05;
    const move = still ? 0 : horizontal ? (wish[0]! > 0 ? 2 : 1) : wish[1]! > 0 ? 4 : 3;
    const reward = -(distance([x, y], landmarks[goal]!) ** 2);
    episodeReturn += reward;
    steps.push({
      frame: { shapes, captions },
      actions: { speaker_0: messageFor(named), listener_0: move },
      controlled: hijacked ? ["speaker_0"] : [],
      ...(hijacked ? { intended: { speaker_0: messageFor(goal) } } : {}),
      perturbed: deceived
        ? { listener_0: { velocity: 0.1, landmark_A: 0.1, landmark_B: 0.1, landmark_C: 0.1, message: 0.1 } }
        : {},
      reward,
    });
    x += vx * 0.1;
    y += vy * 0.1;
    vx = vx * 0.75 + (move === 2 ? 0.5 : move === 1 ? -0.5 : 0);
    vy = vy * 0.75 + (move === 4 ? 0.5 : move === 3 ? -0.5 : 0);
  }
  return {
    environment: "mpe/simple_speaker_listener_v4",
    team,
    adversary,
    seed: 0,
    copy,
    agents: ["speaker_0", "listener_0"],
    hijacked: hijacked ? ["speaker_0"] : [],
    episodeReturn,
    actionNames: { listener_0: ["stay", "left", "right", "down", "up"] },
    steps,
  };
}

const TEAMS = [
  { name: "plain", description: "trained without an adversary", trust: 1 },
  { name: "hardened", description: "two timescales, half of the episodes hijacked", trust: 0.55 },
  { name: "ignoring", description: "its listener never hears the message", trust: 0 },
];

export function fixtureFilms(): Film[] {
  const behaviours: Behaviour[] = ["clean", "best response", "FGSM on the listener"];
  return [4, 5, 3].flatMap((copy) =>
    TEAMS.flatMap((team) => behaviours.map((one) => speakerListenerFilm(team.name, one, copy, team.trust))),
  );
}

const COLUMNS: MatrixColumn[] = [
  { adversary: "clean", threat: "nobody interferes", kind: "clean" },
  {
    adversary: "random speaker",
    threat: "controls speaker_0 at every step (ε = 1), acts at random",
    kind: "random",
  },
  {
    adversary: "noise on the listener",
    threat: "each of the listener’s 11 numbers ±0.1, signs at random",
    kind: "random",
  },
  {
    adversary: "best response",
    threat: "controls speaker_0 at every step (ε = 1), minimises the team’s return",
    kind: "adaptive",
  },
  {
    adversary: "FGSM on the listener",
    threat: "each of the listener’s 11 numbers ±0.1, along the gradient",
    kind: "adaptive",
  },
];

const VALUES: Record<string, number[][]> = {
  plain: [
    [-8.2, -12.2, -8.5, -8.2, -8.0],
    [-17.2, -18.4, -18.1, -17.2, -17.7],
    [-8.8, -12.6, -9.0, -8.7, -8.5],
    [-27.6, -26.4, -28.8, -27.9, -29.7],
    [-10.1, -13.9, -10.4, -10.2, -9.9],
  ],
  hardened: [
    [-13.7, -14.1, -13.9, -13.6, -13.5],
    [-16.0, -15.9, -16.7, -15.7, -16.0],
    [-13.8, -14.2, -14.0, -13.7, -13.6],
    [-19.5, -17.1, -19.7, -18.3, -17.7],
    [-14.6, -15.0, -14.9, -14.5, -14.4],
  ],
  ignoring: [
    [-15.4, -15.3, -15.6, -15.4, -15.3],
    [-15.4, -15.3, -15.6, -15.4, -15.3],
    [-15.5, -15.4, -15.7, -15.4, -15.4],
    [-15.4, -15.3, -15.6, -15.4, -15.3],
    [-16.1, -16.0, -16.4, -16.1, -15.9],
  ],
};

/** Mean and Student interval of five values. */
function summary(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  const half = 2.776 * Math.sqrt(variance / values.length);
  return { mean, low: mean - half, high: mean + half };
}

export function fixtureMatrix(): MatrixData {
  return {
    measure: "mean episode return per agent",
    higherIsBetter: true,
    seeds: SEEDS,
    teams: TEAMS.map(({ name, description }) => ({ name, description })),
    columns: COLUMNS,
    cells: TEAMS.flatMap((team) =>
      COLUMNS.map((column, at) => ({
        team: team.name,
        adversary: column.adversary,
        values: VALUES[team.name]![at]!,
        ...summary(VALUES[team.name]![at]!),
        flags:
          team.name === "ignoring" && column.adversary === "best response"
            ? ["The attack is no stronger than random behaviour in the same threat."]
            : team.name === "plain" && column.adversary === "FGSM on the listener"
              ? ["Seeds disagree widely: the lowest is 4.0 below the highest."]
              : [],
        notes: ["200 episodes a seed"],
      })),
    ),
  };
}

function curve(title: string, ends: readonly (readonly [string, number, number])[]): CurveData {
  const x = Array.from({ length: 125 }, (_, at) => (at + 1) * 2400);
  return {
    title,
    xLabel: "environment steps",
    yLabel: "episode return",
    series: ends.map(([name, start, end], index) => {
      const seeds = SEEDS.map((seed) => {
        const random = noise(seed * 7 + index);
        const late = 0.6 + 0.8 * random();
        return {
          seed,
          y: x.map((step) => end + (start - end) * Math.exp(-step / (42000 * late)) + (random() - 0.5) * 1.6),
        };
      });
      const at = x.map((_, step) => summary(seeds.map((one) => one.y[step]!)));
      return {
        name,
        x,
        mean: at.map((one) => one.mean),
        low: at.map((one) => one.low),
        high: at.map((one) => one.high),
        seeds,
      };
    }),
  };
}

function comparison(team: string, adversary: string, p: number, pHolm: number): PairedComparison {
  const at = COLUMNS.findIndex((column) => column.adversary === adversary);
  const seedGains = SEEDS.map((_, seed) => VALUES[team]![at]![seed]! - VALUES.plain![at]![seed]!);
  const { mean, low, high } = summary(seedGains);
  return { team, baseline: "plain", adversary, gain: mean, low, high, seedGains, p, pHolm };
}

const EFFORT: EffortRow[] = TEAMS.flatMap((team) => [
  {
    team: team.name,
    adversary: "best response",
    attack: "PPO against the frozen team",
    configurations: 1,
    environmentSteps: 250000,
    gradientEvaluations: 9920,
    bestSoFar:
      team.name === "plain"
        ? [-17.7, -19, -22, -24.8, -26.9, -27.6, -28, -28.1]
        : [-15.4, -15.5, -15.5, -15.5],
    flags:
      team.name === "ignoring" ? ["The attack is no stronger than random behaviour in the same threat."] : [],
  },
  {
    team: team.name,
    adversary: "FGSM on the listener",
    attack: "one gradient step a decision",
    configurations: 1,
    environmentSteps: 0,
    gradientEvaluations: 25000,
    bestSoFar: [],
    flags: [],
  },
]);

const THREATS: ThreatDefinition[] = COLUMNS.map((column) => ({
  adversary: column.adversary,
  sentence: `${column.threat.charAt(0).toUpperCase()}${column.threat.slice(1)}.`,
  fields:
    column.kind === "clean"
      ? []
      : [
          { name: "channel", value: column.threat.startsWith("controls") ? "control" : "observation, ℓ∞" },
          { name: "who", value: column.threat.startsWith("controls") ? "speaker_0" : "listener_0" },
          {
            name: "how much",
            value: column.threat.startsWith("controls") ? "ε = 1 per step" : "ε = 0.1, raw units",
          },
          { name: "knowledge", value: column.kind === "random" ? "none" : "the team’s policy" },
          { name: "hash", value: "5f0c9a1e" },
        ],
}));

const YAML = `# The speaker that cannot be trusted
environment: mpe/simple_speaker_listener
seeds: [0, 1, 2, 3, 4]
teams:
  plain: { learner: ppo, steps: 300000 }
  hardened:
    learner: ppo
    defense: two-timescales
    steps: 300000
  ignoring: { learner: ppo, ignore: [message] }
adversaries:
  best response: { attack: best-response, threat: { channel: control, who: [speaker_0], epsilon: 1 } }
evaluation: { episodes: 200 }
`;

export function fixtureReport(): ReportData {
  return {
    title: "A speaker that cannot be trusted",
    question:
      "If someone takes over the only agent who knows the goal, how much does a team lose, and what does it cost to be ready for that?",
    summary: [
      {
        text: "A hijacked speaker that lies ruins the plain team far more than one that babbles.",
        numbers: [
          { name: "plain, random speaker", value: "−17.7 (−18.4 … −17.1)" },
          { name: "plain, best response", value: "−28.1 (−29.6 … −26.6)" },
        ],
      },
      {
        text: "Hardening recovers most of the loss, and costs return when nobody interferes.",
        numbers: [
          { name: "gain under best response", value: "+9.6 (+7.6 … +11.6)" },
          { name: "cost when clean", value: "−4.7 (−6.9 … −2.6)" },
        ],
      },
      {
        text: "For the pure worst case, not listening at all is better still.",
        numbers: [{ name: "ignoring, best response", value: "−15.4 (−15.6 … −15.3)" }],
      },
      {
        text: "Hardening one channel buys nothing on the other: under perturbed sensors the hardened team stays behind the plain one.",
        numbers: [
          { name: "plain, FGSM on the listener", value: "−10.9 (−13.0 … −8.8)" },
          { name: "hardened, FGSM on the listener", value: "−14.7 (−15.0 … −14.4)" },
        ],
      },
    ],
    matrix: fixtureMatrix(),
    references: [{ name: "a team that acts at random", value: "−39.7" }],
    curves: [
      curve("Training the teams", [
        ["plain", -39, -9],
        ["hardened", -39, -14.6],
        ["ignoring", -39, -15.4],
      ]),
      curve("Training the attackers (team’s return)", [
        ["against plain", -17, -28.1],
        ["against hardened", -16, -18.4],
        ["against ignoring", -15.4, -15.4],
      ]),
    ],
    films: fixtureFilms(),
    replayNote:
      "The same start three times. The ring marks the landmark that was meant; the dashed line leads to the one that the speaker announced. Watch where the listener goes.",
    comparisons: [
      comparison("hardened", "clean", 0.0041, 0.0123),
      comparison("hardened", "best response", 0.00018, 0.0009),
      comparison("hardened", "FGSM on the listener", 0.004, 0.0123),
      comparison("ignoring", "best response", 0.00003, 0.0002),
    ],
    comparisonMethod:
      "Gain of a team over plain in the same column, paired by seed; Student’s t on the differences, corrected for four comparisons by Holm’s method.",
    effort: EFFORT,
    threats: THREATS,
    configuration: { file: "experiments/quickstart.yaml", text: YAML },
    versions: [
      { name: "Phalanx", value: "0.1.0" },
      { name: "Node", value: "20.20.2" },
      { name: "ONNX Runtime", value: "1.30.0" },
      { name: "environment", value: "mpe/simple_speaker_listener_v4" },
    ],
    methods: [
      "The seed is the unit of replication: each team is trained once per seed, each attack is trained against the team of that seed, and every cell averages 200 episodes per seed that neither has seen.",
      "Intervals are Student’s 95 % intervals over seeds. An adaptive column was trained against the very team of its row; a random column obeys the same threat without any knowledge.",
    ],
  };
}
