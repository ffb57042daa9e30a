import { describe, expect, it } from "vitest";
import { registries } from "../../test/experiment/fakes.mjs";
import type { TrainedTeam } from "./experiment.js";
import { parseExperiment } from "./load.js";

const COMPLETE = `name: trial
environment: fake/line_v1
seeds: [0, 1, 2]
threats: { liar: { channel: control, agents: [speaker_0] }, sensors: { channel: observation, epsilon: 0.1 } }
training: { steps: 1_000, learner: fake }
teams:
  plain: {}
  hardened: { defense: { name: hardening, threat: liar } }
adversaries:
  search: { attack: search, threat: liar, steps: 500 }
`;

const load = (text: string, overrides: string[] = []) =>
  parseExperiment("t.yaml", text, overrides, registries);

async function errorsOf(text: string, overrides: string[] = []): Promise<string[]> {
  try {
    await load(text, overrides);
  } catch (error) {
    expect((error as Error).name).toBe("UserError");
    return (error as Error).message.split("\n");
  }
  return [];
}

/** The complete file with one piece replaced. */
const edited = (from: string, to: string) => {
  expect(COMPLETE).toContain(from);
  return COMPLETE.replace(from, to);
};

describe("a complete experiment in ten lines", () => {
  it("is completed with every default", async () => {
    const e = await load(COMPLETE);
    const teams = e.teams as readonly TrainedTeam[];
    expect(e.environment).toEqual({ id: "fake/line_v1", parameters: { length: 3, slip: 0 } });
    expect(teams.map((t) => [t.name, t.steps, t.defense.name, t.threat])).toEqual([
      ["plain", 1000, "plain", null],
      ["hardened", 1000, "hardening", "liar"],
    ]);
    expect(teams[1]!.defense.options).toEqual({ share: 0.5 });
    expect(teams[0]!.learner.options).toMatchObject({ rate: 0.1, kind: "tabular" });
    expect(e.teams[1]!.description).toBe(
      "trained with hardening against control of speaker_0, ε = 1; fake, 1,000 steps",
    );
    expect(e.threats.liar).toMatchObject({ channel: "control", epsilon: 1, victimMode: "sample" });
    expect(e.adversaries).toEqual([
      {
        name: "search",
        attack: { name: "search", options: { power: 1, slowMs: 0 } },
        threat: "liar",
        steps: 500,
      },
    ]);
    expect(e.evaluation).toEqual({ episodes: 200, seed: 0, films: 2 });
    expect(e.comparisons).toEqual([{ team: "hardened", against: "plain", adversaries: ["clean", "search"] }]);
  });

  it("lets a team change single options of the common learner", async () => {
    const e = await load(edited("plain: {}", "plain: { steps: 2_000, learner: { rate: 0.5 } }"));
    const teams = e.teams as readonly TrainedTeam[];
    expect(teams[0]!.learner).toMatchObject({ name: "fake", options: { rate: 0.5, kind: "tabular" } });
    expect(teams[0]!.steps).toBe(2000);
    expect(teams[1]!.learner.options).toMatchObject({ rate: 0.1 });
  });
});

describe("mistakes are one sentence with place, value and expectation", () => {
  const cases: [what: string, text: string, ...errors: string[]][] = [
    [
      "a misspelt key",
      edited("seeds:", "seed:"),
      "t.yaml:1:1, seeds: missing, expected a list of integers in [0, 4294967295] (at least 1) (one run of everything per seed).",
      't.yaml:3:1, seed: unknown key. Did you mean "seeds"?',
    ],
    [
      "a misspelt option",
      edited("plain: {}", "plain: { learner: { ratte: 1 } }"),
      't.yaml:7:23, teams.plain.learner.ratte: unknown key. Did you mean "rate"?',
    ],
    [
      "an impossible option",
      edited("learner: fake", "learner: { name: fake, rate: -0.1 }"),
      "t.yaml:5:56, training.learner.rate: got -0.1, expected a number > 0 and ≤ 1 (learning rate).",
    ],
    [
      "a misspelt choice",
      edited("learner: fake", "learner: { name: fake, kind: tabullar }"),
      't.yaml:5:56, training.learner.kind: got "tabullar", expected one of "tabular", "linear". Did you mean "tabular"?',
    ],
    [
      "an unknown environment",
      edited("fake/line_v1", "fake/lime_v1"),
      't.yaml:2:14, environment: got "fake/lime_v1", expected a known environment. Did you mean "fake/line_v1"?',
    ],
    [
      "an environment parameter",
      edited("environment: fake/line_v1", "environment: { id: fake/line_v1, length: 0 }"),
      "t.yaml:2:42, environment.length: got 0, expected an integer ≥ 1 (cells).",
    ],
    [
      "an unknown learner",
      edited("learner: fake", "learner: fakes"),
      't.yaml:5:36, training.learner: got "fakes", expected a known learner. Did you mean "fake"?',
    ],
    [
      "no learner",
      edited(", learner: fake", ""),
      "t.yaml:7:3, teams.plain.learner: missing, expected here or as training.learner.",
      "t.yaml:8:3, teams.hardened.learner: missing, expected here or as training.learner.",
    ],
    [
      "no steps",
      edited("steps: 1_000, ", ""),
      "t.yaml:7:3, teams.plain.steps: missing, expected here or as training.steps.",
      "t.yaml:8:3, teams.hardened.steps: missing, expected here or as training.steps.",
    ],
    [
      "a half step",
      edited("steps: 1_000", "steps: 0.5"),
      "t.yaml:5:20, training.steps: got 0.5, expected an integer ≥ 1 (environment steps, copies counted).",
    ],
    [
      "a text for a number",
      edited("steps: 1_000", "steps: many"),
      't.yaml:5:20, training.steps: got "many", expected an integer ≥ 1 (environment steps, copies counted).',
    ],
    [
      "an unknown threat",
      edited("threat: liar, steps", "threat: lier, steps"),
      't.yaml:10:37, adversaries.search.threat: got "lier", expected a name in threats. Did you mean "liar"?',
    ],
    [
      "an unknown agent",
      edited("agents: [speaker_0]", "agents: [speaker_1]"),
      't.yaml:4:38, threats.liar.agents: got "speaker_1", expected an agent of fake/line_v1. Did you mean "speaker_0"?',
    ],
    [
      "a threat without channel",
      edited("channel: observation, ", ""),
      't.yaml:4:61, threats.sensors.channel: missing, expected one of "control", "observation", "action", "dynamics".',
    ],
    [
      "a misspelt channel",
      edited("channel: observation", "channel: obsevation"),
      't.yaml:4:81, threats.sensors.channel: got "obsevation", expected one of "control", "observation", "action", "dynamics". Did you mean "observation"?',
    ],
    [
      "a misspelt budget",
      edited("epsilon: 0.1", "epsilom: 0.1"),
      "t.yaml:4:61, threats.sensors.epsilon: missing, expected a number ≥ 0 (radius in observation units; standard deviation for gaussian).",
      't.yaml:4:94, threats.sensors.epsilom: unknown key. Did you mean "epsilon"?',
    ],
    [
      "an unknown feature",
      edited("epsilon: 0.1", "epsilon: 0.1, features: [masage]"),
      't.yaml:4:61, threats.sensors: got feature "masage", expected an observation feature of the agents it names. Did you mean "message"?',
    ],
    [
      "a dynamics threat with an unknown parameter",
      edited("{ channel: observation, epsilon: 0.1 }", "{ channel: dynamics, parameters: { lenght: 4 } }"),
      't.yaml:4:105, threats.sensors.parameters.lenght: unknown key. Did you mean "length"?',
    ],
    [
      "an attack on the wrong channel",
      edited("threat: liar, steps", "threat: sensors, steps"),
      't.yaml:10:37, adversaries.search.threat: got "sensors" of channel "observation", but attack "search" works on "control".',
    ],
    [
      "a white-box attack under a black-box threat",
      `${edited("epsilon: 0.1", "epsilon: 0.1, knowledge: black-box")}  g: { attack: gradient, threat: sensors }\n`,
      't.yaml:11:16, adversaries.g.attack: got "gradient", which differentiates the team\'s policies, but threat "sensors" says knowledge "black-box".',
    ],
    [
      "a learning attack without steps",
      edited(", steps: 500", ""),
      't.yaml:10:3, adversaries.search.steps: missing; attack "search" learns and needs environment steps.',
    ],
    [
      "steps for an attack that learns nothing",
      `${COMPLETE}  g: { attack: gradient, threat: sensors, steps: 5 }\n`,
      't.yaml:11:50, adversaries.g.steps: got 5, but attack "gradient" learns nothing and takes no steps.',
    ],
    [
      "a defense against the wrong channel",
      edited("hardening, threat: liar", "hardening, threat: sensors"),
      't.yaml:8:51, teams.hardened.defense.threat: got "sensors" of channel "observation", but "hardening" trains against "control".',
    ],
    [
      "a defense without threat",
      edited("{ name: hardening, threat: liar }", "hardening"),
      't.yaml:8:24, teams.hardened.defense.threat: missing; "hardening" trains against a threat of channel control.',
    ],
    [
      "plain training with a threat",
      edited("plain: {}", "plain: { defense: { name: plain, threat: liar } }"),
      't.yaml:7:44, teams.plain.defense.threat: got "liar", but "plain" trains against no threat.',
    ],
    [
      "an unknown agent to blind",
      edited("plain: {}", "plain: { ignore: { listener_9: [message] } }"),
      't.yaml:7:22, teams.plain.ignore.listener_9: unknown agent of fake/line_v1. Did you mean "listener_0"?',
    ],
    [
      "an unknown feature to ignore",
      edited("plain: {}", "plain: { ignore: { listener_0: [goal] } }"),
      't.yaml:7:35, teams.plain.ignore.listener_0[0]: got "goal", expected an observation feature of listener_0. Known: message, position.',
    ],
    [
      "an unknown team in a comparison",
      `${COMPLETE}report: { comparisons: [{ team: hardenet, against: plain, adversaries: [serch] }] }\n`,
      't.yaml:11:33, report.comparisons[0].team: got "hardenet", expected a team. Did you mean "hardened"?',
      't.yaml:11:73, report.comparisons[0].adversaries[0]: got "serch", expected a column. Did you mean "search"?',
    ],
    [
      "a taken name",
      `${COMPLETE}  clean: { attack: random, threat: liar }\n`,
      't.yaml:11:3, adversaries.clean: this name is taken; "clean" is always there.',
    ],
    [
      "names that become one folder",
      `${COMPLETE}  Search: { attack: random, threat: liar }\n`,
      't.yaml:11:3, adversaries.Search: differs from "search" only in signs that folder names do not keep.',
    ],
    [
      "a seed given twice",
      edited("[0, 1, 2]", "[0, 1, 1]"),
      "t.yaml:3:15, seeds[2]: got 1 twice, expected different seeds.",
    ],
    [
      "a negative seed",
      edited("[0, 1, 2]", "[-1]"),
      "t.yaml:3:9, seeds[0]: got -1, expected an integer in [0, 4294967295].",
    ],
    [
      "a name that is no folder",
      edited("name: trial", "name: a/b"),
      't.yaml:1:7, name: got "a/b", expected letters, digits, spaces, dots, dashes and underscores.',
    ],
    ["an empty file", "", "t.yaml:1:1: got an empty file, expected an experiment (a mapping of keys)."],
    ["a list", "- 1\n", "t.yaml:1:1: got a list, expected an experiment (a mapping of keys)."],
    [
      "broken YAML",
      "name: [1\nseeds: 2\n",
      "t.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ].",
    ],
    ["a double key", edited("seeds:", "name: again\nseeds:"), "t.yaml:3:1: Map keys must be unique."],
  ];
  it.each(cases)("%s", async (_, text, ...errors) => {
    expect(await errorsOf(text)).toEqual(errors);
  });

  it("several in one go, each with its own line", async () => {
    const text = edited("steps: 1_000", "steps: -1").replace("search, threat: liar", "serch, threat: lier");
    expect(await errorsOf(text)).toEqual([
      "t.yaml:5:20, training.steps: got -1, expected an integer ≥ 1 (environment steps, copies counted).",
      't.yaml:10:21, adversaries.search.attack: got "serch", expected a known attack. Did you mean "search"?',
      't.yaml:10:36, adversaries.search.threat: got "lier", expected a name in threats. Did you mean "liar"?',
    ]);
  });
});

describe("key.path=value on the command line", () => {
  it("changes, adds and opens up short forms", async () => {
    const e = await load(COMPLETE, [
      "training.steps=2_000",
      "seeds=[7]",
      "environment.length=9",
      "training.learner.rate=0.3",
      "adversaries.search.attack.power=2",
      "evaluation.episodes=10",
    ]);
    expect(e.seeds).toEqual([7]);
    expect(e.environment).toEqual({ id: "fake/line_v1", parameters: { length: 9, slip: 0 } });
    expect(e.teams[0]).toMatchObject({ steps: 2000, learner: { options: { rate: 0.3 } } });
    expect(e.adversaries[0]!.attack.options).toMatchObject({ power: 2 });
    expect(e.evaluation.episodes).toBe(10);
  });

  it("gives the same sentences, with the override as the place", async () => {
    expect(await errorsOf(COMPLETE, ["training.steps=abc"])).toEqual([
      'command line, training.steps=abc: got "abc", expected an integer ≥ 1 (environment steps, copies counted).',
    ]);
    expect(await errorsOf(COMPLETE, ["trainin.steps=5"])).toEqual([
      'command line, trainin.steps=5: unknown key. Did you mean "training"?',
    ]);
    expect(await errorsOf(COMPLETE, ["seeds.1=x"])).toEqual([
      'command line, seeds.1=x: got "x", expected an integer in [0, 4294967295].',
    ]);
    expect(await errorsOf(COMPLETE, ["seeds"])).toEqual([
      'command line: got "seeds", expected key.path=value (for example training.steps=100_000).',
    ]);
    expect(await errorsOf(COMPLETE, ["seeds=[1"])).toEqual([
      expect.stringMatching(/^command line, seeds=\[1: the value is not valid YAML: /),
    ]);
  });
});
