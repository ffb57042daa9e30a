/**
 * A tiny world for tests of the experiment runner: an environment, a learner, two defenses and three attacks whose
 * results depend on every option, seed and step, with exact state. Plain JavaScript, so that worker processes load it.
 */
import { z } from "zod";

/** Behaves like core's Registry. */
function registry(kind, entries) {
  const map = new Map(Object.entries(entries));
  return {
    names: () => [...map.keys()],
    has: (name) => map.has(name),
    entries: () => map.entries(),
    get(name) {
      if (!map.has(name)) throw new Error(`unknown ${kind} "${name}"`);
      return map.get(name);
    },
  };
}

const feature = (name, offset, perturbable = true) => ({
  name,
  offset,
  size: 1,
  kind: "continuous",
  low: -1,
  high: 1,
  perturbable,
});

const spec = {
  id: "fake/line_v1",
  groups: [
    {
      name: "speaker",
      agents: ["speaker_0"],
      obsSize: 1,
      features: [feature("goal", 0)],
      action: { kind: "discrete", n: 3 },
      hasActionMask: false,
    },
    {
      name: "listener",
      agents: ["listener_0"],
      obsSize: 2,
      features: [feature("message", 0), feature("position", 1)],
      action: { kind: "discrete", n: 3 },
      hasActionMask: false,
    },
  ],
  stateSize: 0,
  stateFeatures: [],
  maxSteps: 5,
  turnBased: false,
  episodeMetrics: [],
  capabilities: { saveState: true, frames: true },
};

const environment = {
  id: spec.id,
  summary: "a line",
  source: "made up",
  parameters: z.strictObject({
    length: z.int().min(1).default(3).describe("cells"),
    slip: z.number().min(0).max(1).default(0).describe("probability"),
  }),
  create: async (parameters, { copies }) => ({ spec, copies, parameters, close() {} }),
};

/** A generator whose whole state is one number. */
function next(state) {
  state.seed = (Math.imul(state.seed, 1664525) + 1013904223) >>> 0;
  return state.seed / 4294967296;
}

/** Learns towards `goal` with noise; `failAt` turns the result into NaN there. `slowMs` is the pace. */
function training({ seed, steps, rate, start, goal, failAt = -1, slowMs = 0 }) {
  const state = {
    seed: (seed % 4294967296) ^ (Math.floor(seed / 4294967296) * 7919),
    value: start,
    iteration: 0,
  };
  const iterations = Math.ceil(steps / 100);
  return {
    iterations,
    get iteration() {
      return state.iteration;
    },
    get envSteps() {
      return state.iteration * 100;
    },
    get value() {
      return state.value;
    },
    step() {
      if (state.iteration + 1 === failAt) {
        const error = new Error(`fake/update, iteration ${failAt}: "loss" is NaN.`);
        error.name = "NonFiniteError";
        throw error;
      }
      const until = performance.now() + slowMs;
      while (performance.now() < until);
      state.iteration++;
      state.value += rate * (goal - state.value) + 0.1 * (next(state) - 0.5);
      return { return: state.value, loss: next(state) };
    },
    saveState() {
      return {
        arrays: { value: { dtype: "float64", shape: [1], data: Float64Array.of(state.value) } },
        meta: { seed: state.seed, iteration: state.iteration },
      };
    },
    loadState({ arrays, meta }) {
      state.value = arrays.value.data[0];
      state.seed = meta.seed;
      state.iteration = meta.iteration;
    },
    close() {},
  };
}

const learner = {
  name: "fake",
  summary: "learns",
  options: z.strictObject({
    rate: z.number().gt(0).max(1).default(0.1).describe("learning rate"),
    kind: z.enum(["tabular", "linear"]).default("tabular"),
    failAt: z.int().default(-1),
    slowMs: z.number().default(0),
  }),
};

function defense(name, channels, clean, options) {
  return {
    name,
    summary: name,
    options,
    channels,
    async start(context, options) {
      const t = training({
        seed: context.seed,
        steps: context.steps,
        ...context.learner.options,
        start: -20,
        goal: clean - (options.share ?? 0) * 4 + (context.threat?.epsilon ?? 0),
      });
      const robust = name === "plain" ? 0 : 8;
      return Object.defineProperties(t, {
        team: { value: () => ({ environment: spec.id, members: [], value: t.value, robust }) },
      });
    },
  };
}

function attack(name, channels, { whiteBox = false, learns = false, damage, options = z.strictObject({}) }) {
  return {
    name,
    summary: name,
    options,
    channels,
    whiteBox,
    learns,
    async start(context, options) {
      const t = training({
        seed: context.seed,
        steps: learns ? context.steps : 0,
        rate: 0.2,
        slowMs: options.slowMs ?? 0,
        start: context.team.value,
        goal: context.team.value - damage * (options.power ?? 1),
      });
      return Object.defineProperties(t, {
        adversary: {
          value: () => ({ kind: "world", damage: learns ? context.team.value - t.value : damage }),
        },
        effort: { value: () => ({ envSteps: t.envSteps, gradientsPerDecision: whiteBox ? 1 : 0 }) },
      });
    },
  };
}

export const registries = {
  environments: registry("environment", { "fake/line_v1": environment }),
  learners: registry("learner", { fake: learner }),
  attacks: registry("attack", {
    random: attack("random", ["control", "observation", "action"], { damage: 3 }),
    gradient: attack("gradient", ["observation"], { whiteBox: true, damage: 4 }),
    search: attack("search", ["control"], {
      learns: true,
      damage: 12,
      options: z.strictObject({
        power: z.number().min(0).default(1).describe("how hard it hits"),
        slowMs: z.number().default(0),
      }),
    }),
  }),
  defenses: registry("defense", {
    plain: defense("plain", [], -5, z.strictObject({})),
    hardening: defense(
      "hardening",
      ["control"],
      -8,
      z.strictObject({ share: z.number().min(0).max(1).default(0.5).describe("share of attacked episodes") }),
    ),
  }),
};

export const toolbox = {
  registries,
  createRuntime: async () => ({}),
  saveTeam: (team) => ({
    arrays: { value: { dtype: "float64", shape: [1], data: Float64Array.of(team.value) } },
    meta: { robust: team.robust },
  }),
  loadTeam: ({ arrays, meta }) => ({
    environment: spec.id,
    members: [],
    value: arrays.value.data[0],
    robust: meta.robust,
  }),
  exportPolicies: (_runtime, team) => [
    { fileName: "policy.onnx", bytes: new TextEncoder().encode(`policy ${team.value}`) },
  ],
  async evaluate({ team, adversary, threat, episodes, seed, films = 0, labels }) {
    const state = { seed: (seed % 4294967296) ^ Math.floor(seed / 4294967296) };
    const base = team === "uniform" ? -40 : team.value;
    const harm =
      adversary === null ? 0 : Math.max(0, adversary.damage - (team.robust ?? 0)) * (threat.epsilon ?? 1);
    const returns = Float64Array.from({ length: episodes }, () => base - harm + next(state) - 0.5);
    return {
      returns,
      agentReturns: { speaker_0: returns, listener_0: returns },
      lengths: new Int32Array(episodes).fill(5),
      metrics: {},
      controlledShare: threat?.channel === "control" ? threat.epsilon : 0,
      perturbedShare: threat?.channel === "observation" ? 1 : 0,
      largestPerturbation: threat?.channel === "observation" ? threat.epsilon : 0,
      envSteps: episodes * 5,
      films: Array.from({ length: Math.min(films, episodes) }, (_, copy) => ({
        environment: spec.id,
        team: labels.team,
        adversary: labels.adversary,
        seed,
        copy,
        agents: ["speaker_0", "listener_0"],
        hijacked: [],
        episodeReturn: returns[copy],
        steps: [],
      })),
    };
  },
};
