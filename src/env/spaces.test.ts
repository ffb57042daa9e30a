import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../core/errors.js";
import { RandomStream } from "../core/random.js";
import { allocateGroups } from "./batch.js";
import type { Environment, EnvironmentSpec, GroupSpec, Space } from "./contract.js";
import { featureProblem, layout } from "./features.js";
import { actionSize, box, maskSize, onlyFirst, sampleActions, validateActions } from "./spaces.js";

function group(action: Space, hasActionMask = false): GroupSpec {
  return {
    name: "g",
    agents: ["a", "b"],
    obsSize: 1,
    features: layout([{ name: "x", size: 1 }]),
    action,
    hasActionMask,
  };
}

/** Only what validation and sampling look at. */
function stage(groups: readonly GroupSpec[], copies: number): Environment {
  const spec = { id: "test/stage_v0", groups } as unknown as EnvironmentSpec;
  return { spec, copies, groups: allocateGroups(spec, copies) } as unknown as Environment;
}

function validate(environment: Environment): void {
  validateActions(environment.spec.id, environment.spec.groups, environment.groups, environment.copies);
}

const spaces: Space[] = [
  { kind: "discrete", n: 4 },
  { kind: "multi-discrete", sizes: [3, 2, 5] },
  { kind: "box", low: [-1, Number.NEGATIVE_INFINITY, 2], high: [1, 0, Number.POSITIVE_INFINITY] },
  box(2, 0.1, 0.3),
];

describe("sizes", () => {
  it("count numbers and mask entries", () => {
    expect(spaces.map(actionSize)).toEqual([1, 3, 3, 2]);
    expect(spaces.map(maskSize)).toEqual([4, 10, 0, 0]);
  });
});

describe("sampling", () => {
  it("draws legal actions in every space, whatever the masks", () => {
    fc.assert(
      fc.property(fc.constantFrom(...spaces), fc.integer({ min: 0, max: 1e6 }), (space, seed) => {
        const environment = stage([group(space, space.kind !== "box")], 5);
        const { actionMask, acting } = environment.groups[0];
        const random = RandomStream.from(seed, "mask");
        const width = maskSize(space);
        if (actionMask !== null) {
          for (let row = 0; row < 10; row++) {
            onlyFirst(space, actionMask, row * width);
            for (let k = 0; k < width; k++) if (random.int(2) === 1) actionMask[row * width + k] = 1;
          }
        }
        acting[3] = 0;
        sampleActions(environment, RandomStream.from(seed, "actions"));
        expect(() => validate(environment)).not.toThrow();
      }),
      { seed: 2 },
    );
  });

  it("is uniform over what the mask allows", () => {
    const copies = 6000;
    const environment = stage([group({ kind: "discrete", n: 4 }, true)], copies);
    const { actionMask, action } = environment.groups[0];
    for (let row = 0; row < 2 * copies; row++) actionMask![4 * row + 1] = 0;
    sampleActions(environment, RandomStream.from(0, "actions"));
    const counts = [0, 1, 2, 3].map((a) => [...action].filter((x) => x === a).length);
    expect(counts[1]).toBe(0);
    // Three cells of 4000: standard deviation 52.
    for (const k of [0, 2, 3]) expect(Math.abs(counts[k] - 4000)).toBeLessThan(250);
  });

  it("depends on a copy's own stream alone", () => {
    const draw = (copies: number, first: number) => {
      const environment = stage(
        spaces.map((space) => group(space)),
        copies,
      );
      sampleActions(
        environment,
        Array.from({ length: copies }, (_, e) => RandomStream.from(0, first + e)),
      );
      return environment.groups.map(({ action }) => [...action]);
    };
    const many = draw(5, 0);
    const one = draw(1, 3);
    for (const [g, actions] of one.entries()) {
      expect(many[g].slice(3 * actions.length, 4 * actions.length)).toEqual(actions);
    }
  });

  it("gives waiting agents action 0 or the bound nearest to it", () => {
    const environment = stage(
      spaces.map((space) => group(space)),
      1,
    );
    for (const arrays of environment.groups) arrays.acting.fill(0);
    sampleActions(environment, RandomStream.from(0));
    expect(environment.groups.map(({ action }) => [...action])).toEqual([
      [0, 0],
      [0, 0, 0, 0, 0, 0],
      [0, 0, 2, 0, 0, 2],
      [0.1, 0.1, 0.1, 0.1].map(Math.fround),
    ]);
  });
});

describe("validation", () => {
  const refuse = (space: Space, at: number, value: number, message: string, mask?: [number, number]) => {
    const environment = stage([group(space, mask !== undefined)], 3);
    sampleActions(environment, RandomStream.from(0));
    if (mask !== undefined) environment.groups[0].actionMask![mask[0]] = mask[1];
    environment.groups[0].action[at] = value;
    expect(() => validate(environment)).toThrow(UserError);
    expect(() => validate(environment)).toThrow(message);
  };

  it("names agent, copy, value and what is expected", () => {
    const place = 'test/stage_v0, copy 2, agent "b": got action';
    refuse(spaces[0], 5, 4, `${place} 4, expected an integer in [0, 4).`);
    refuse(spaces[0], 5, -1, `${place} -1, expected an integer in [0, 4).`);
    refuse(spaces[1], 17, 5, `${place} entry 2 5, expected an integer in [0, 5).`);
    refuse(spaces[2], 15, Number.NaN, `${place} entry 0 NaN, expected a number in [-1, 1].`);
    refuse(spaces[2], 17, 1.5, `${place} entry 2 1.5, expected a number in [2, Infinity].`);
  });

  it("lists what a mask allows", () => {
    refuse(spaces[0], 5, 2, 'agent "b": got action 2, which is masked; expected one of 0, 1, 3.', [
      5 * 4 + 2,
      0,
    ]);
    refuse(
      spaces[1],
      3,
      1,
      'agent "b": got action entry 0 1, which is masked; expected one of 0, 2.',
      [11, 0],
    );
  });

  it("accepts bounds that float32 rounds outwards", () => {
    const environment = stage([group(box(1, 0.1, 0.3))], 1);
    environment.groups[0].action.set([0.1, 0.3]);
    expect(() => validate(environment)).not.toThrow();
  });
});

describe("features", () => {
  it("are laid out without gaps, empty ones left out", () => {
    const features = layout([
      { name: "a", size: 2 },
      { name: "none", size: 0 },
      { name: "b", size: 3, kind: "mask", low: 0, high: 1 },
    ]);
    expect(features.map((f) => [f.name, f.offset, f.perturbable])).toEqual([
      ["a", 0, true],
      ["b", 2, false],
    ]);
    expect(featureProblem(features, 5)).toBeNull();
    expect(featureProblem(features, 6)).toBe("the features cover 5 entries, expected 6");
  });
});
