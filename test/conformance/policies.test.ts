import { describe, expect, it } from "vitest";
import { type NdArray, zeros } from "../../src/core/array.js";
import { mapTree } from "../../src/core/tree.js";
import type { Policy } from "../../src/policy/index.js";
import { add, mean, mul, stopGradient, sub, type Tensor } from "../../src/tensor/index.js";
import { type NetworkChoice, smallPolicy } from "../support/teams.js";
import { checkPolicy, type PolicyRule } from "./policies.js";

const spaces = {
  discrete: { space: { kind: "discrete", n: 3 }, actionMask: true, agentIds: 2 },
  "multi-discrete": { space: { kind: "multi-discrete", sizes: [2, 3] }, actionMask: true, ignored: [[1, 2]] },
  box: { space: { kind: "box", low: [-1, 0], high: [1, 1] }, agentIds: 3, layerNorm: true },
} as const;

const kinds: Readonly<Record<string, NetworkChoice>> = {
  "an MLP": {},
  "a GRU": { recurrent: 5 },
  "a GRU without hidden layers": { recurrent: 3, hidden: [] },
};

describe("every policy keeps the contract", () => {
  for (const [kind, choice] of Object.entries(kinds)) {
    for (const [name, space] of Object.entries(spaces)) {
      it(`${kind}, ${name}`, async () => {
        expect(await checkPolicy(smallPolicy({ obsSize: 4, hidden: [6], ...space, ...choice }))).toEqual([]);
      });
    }
  }
});

/** The policy with some of it replaced. */
function mutant(sound: Policy, flaw: (sound: Policy) => Partial<Policy>): Policy {
  return {
    config: sound.config,
    space: sound.space,
    obsSize: sound.obsSize,
    usesAgentId: sound.usesAgentId,
    usesActionMask: sound.usesActionMask,
    layout: sound.layout,
    initialParameters: (stream) => sound.initialParameters(stream),
    initialState: (rows) => sound.initialState(rows),
    forward: (...args) => sound.forward(...args),
    unroll: (...args) => sound.unroll!(...args),
    ...flaw(sound),
  };
}

const mutants: readonly [
  what: string,
  rules: readonly PolicyRule[],
  (sound: Policy) => Partial<Policy>,
  choice?: NetworkChoice,
][] = [
  [
    "gives one log-probability for all rows",
    ["outputs"],
    (s) => ({
      forward: (...args) => {
        const out = s.forward(...args);
        const { distribution: d } = out;
        const distribution = { ...d, logProb: (a: Tensor) => mean(d.logProb(a)) };
        return { ...out, distribution };
      },
    }),
  ],
  [
    "does what is not allowed",
    ["mask", "unroll"],
    (s) => ({ forward: (p, inputs, state) => s.forward(p, { ...inputs, actionMask: undefined }, state) }),
  ],
  [
    "sees what it must ignore",
    ["ignored"],
    (s) => {
      const open = smallPolicy({ obsSize: 4, space: s.space, actionMask: true, recurrent: 5 });
      return { forward: (...args) => open.forward(...args), unroll: (...args) => open.unroll!(...args) };
    },
    { ignored: [[0, 2]] },
  ],
  [
    "starts with another number of rows",
    ["state", "rows", "unroll", "memory", "outputs", "gradient", "ignored", "engine", "mask"],
    (s) => ({ initialState: (rows) => s.initialState(rows + 1) }),
  ],
  [
    "starts every row in another state",
    ["state", "unroll"],
    (s) => ({
      initialState: (rows) =>
        mapTree<NdArray, NdArray>(s.initialState(rows), ({ dtype, shape }) => {
          const out = zeros(dtype, shape) as NdArray<"float32">;
          for (let k = 0; k < out.data.length; k++) out.data[k] = k;
          return out;
        }),
    }),
  ],
  [
    "forgets",
    ["memory", "unroll"],
    (s) => ({
      forward: (p, inputs, state) =>
        s.forward(
          p,
          inputs,
          mapTree<Tensor, Tensor>(state, (x) => mul(x, 0)),
        ),
    }),
  ],
  [
    "never advances",
    ["memory", "unroll", "engine"],
    (s) => ({ forward: (p, inputs, state) => ({ ...s.forward(p, inputs, state), state }) }),
  ],
  [
    "looks at the other rows",
    ["rows", "unroll", "engine"],
    (s) => ({
      forward: (p, inputs, state) =>
        s.forward(p, { ...inputs, obs: add(inputs.obs, mean(inputs.obs, [0], true)) }, state),
    }),
  ],
  [
    "does not notice that episodes start",
    ["unroll"],
    (s) => ({ unroll: (p, inputs, state, starts) => s.unroll!(p, inputs, state, mul(starts, 0)) }),
  ],
  [
    "forgets before every step of a sequence",
    ["unroll"],
    (s) => ({ unroll: (p, inputs, state, starts) => s.unroll!(p, inputs, state, sub(1, mul(starts, 0))) }),
  ],
  [
    "does not give the state after a sequence",
    ["unroll"],
    (s) => ({ unroll: (p, inputs, state, starts) => ({ ...s.unroll!(p, inputs, state, starts), state }) }),
  ],
  [
    "cuts the gradient to where a sequence begins",
    ["gradient"],
    (s) => ({
      unroll: (p, inputs, state, starts) => {
        const cut = mapTree<Tensor, Tensor>(state, (x) => stopGradient(x));
        return s.unroll!(p, inputs, cut, starts);
      },
    }),
  ],
  [
    "turns the gradient around",
    ["gradient"],
    (s) => ({
      unroll: (p, inputs, state, starts) => {
        // The value of x, and minus its gradient.
        const obs = sub(mul(stopGradient(inputs.obs), 2), inputs.obs);
        return s.unroll!(p, { ...inputs, obs }, state, starts);
      },
    }),
  ],
];

describe("the suite rejects a policy that", () => {
  for (const [what, rules, flaw, choice] of mutants) {
    it(what, async () => {
      const sound = smallPolicy({
        obsSize: 4,
        space: { kind: "discrete", n: 3 },
        actionMask: true,
        recurrent: 5,
        ...choice,
      });
      const found = (await checkPolicy(mutant(sound, flaw))).map(({ rule }) => rule);
      expect(found).toContain(rules[0]);
      expect(found.filter((rule) => !rules.includes(rule))).toEqual([]);
    });
  }
});
