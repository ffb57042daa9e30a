/** Every built-in environment, by id. A new one is one file and one line here. */
import { UserError } from "../core/errors.js";
import { Registry } from "../core/registry.js";
import { nearestName } from "../core/suggest.js";
import type {
  CreateOptions,
  Environment,
  EnvironmentDefinition,
  EnvironmentFamily,
} from "../env/contract.js";
import { completeParameters } from "../env/definition.js";
import {
  climbing,
  gridSpread,
  kuhnPoker,
  leducPoker,
  matrix,
  penalty,
  randomMarkov,
  rockPaperScissors,
  twoStateCoordination,
  twoStep,
} from "./games/index.js";
import { batpalForaging, foraging, foragingTasks } from "./lbf/index.js";
import { continuousPredPrey } from "./mpe/continuous-pred-prey.js";
import { independentSpread } from "./mpe/independent-spread.js";
import { meanFieldSpread } from "./mpe/mean-field-spread.js";
import { simple } from "./mpe/simple.js";
import { simpleAdversary } from "./mpe/simple-adversary.js";
import { simpleCrypto } from "./mpe/simple-crypto.js";
import { simplePush } from "./mpe/simple-push.js";
import { simpleReference } from "./mpe/simple-reference.js";
import { simpleSpeakerListener } from "./mpe/simple-speaker-listener.js";
import { simpleSpread } from "./mpe/simple-spread.js";
import { simpleTag } from "./mpe/simple-tag.js";
import { simpleWorldComm } from "./mpe/simple-world-comm.js";
import { artPursuit, pursuit } from "./pursuit/index.js";
import { sumoPoint } from "./sumo/point.js";

const definitions: readonly EnvironmentDefinition[] = [
  simpleSpread,
  simpleSpeakerListener,
  simpleAdversary,
  simpleCrypto,
  simplePush,
  simpleReference,
  simpleTag,
  simpleWorldComm,
  simple,
  independentSpread,
  continuousPredPrey,
  meanFieldSpread,
  foraging,
  batpalForaging,
  pursuit,
  artPursuit,
  matrix,
  rockPaperScissors,
  climbing,
  penalty,
  twoStep,
  kuhnPoker,
  leducPoker,
  randomMarkov,
  twoStateCoordination,
  gridSpread,
  sumoPoint,
];

const families: readonly EnvironmentFamily[] = [foragingTasks];

/**
 * Environments by id; an id without its version ("mpe/simple_spread") means the newest. Families understand names that
 * are not listed ("lbf/Foraging-8x8-2p-3f-v3").
 */
export class EnvironmentRegistry extends Registry<EnvironmentDefinition> {
  readonly families: readonly EnvironmentFamily[];
  readonly #newest: ReadonlyMap<string, string>;

  constructor(entries: readonly EnvironmentDefinition[], families: readonly EnvironmentFamily[] = []) {
    super("environment", Object.fromEntries(entries.map((d) => [d.id, d])));
    const newest = new Map<string, { version: number; id: string }>();
    for (const { id } of entries) {
      const match = /^(.*)_v(\d+)$/.exec(id);
      if (match === null) continue;
      const version = Number(match[2]);
      // Where a family is named after its only game, its name alone will do: "pursuit".
      const [family, name] = match[1].split("/");
      for (const alias of family === name ? [match[1], family] : [match[1]]) {
        if (version > (newest.get(alias)?.version ?? -1)) newest.set(alias, { version, id });
      }
    }
    this.families = families;
    this.#newest = new Map([...newest].map(([name, { id }]) => [name, id]));
  }

  /** The full id that a name stands for; the name itself if it is no alias. */
  resolve(name: string): string {
    return this.#newest.get(name) ?? name;
  }

  /** Whether an entry or a family knows the name; what is wrong with a name of a family, `get` says. */
  override has(name: string): boolean {
    if (super.has(this.resolve(name))) return true;
    try {
      return this.#ofFamily(name) !== undefined;
    } catch (error) {
      if (error instanceof UserError) return true;
      throw error;
    }
  }

  /** @throws UserError naming the nearest id, with or without version, or what is wrong with a family's name */
  override get(name: string): EnvironmentDefinition {
    const id = this.resolve(name);
    if (!super.has(id)) {
      const member = this.#ofFamily(name);
      if (member !== undefined) return member;
      const near = nearestName(name, [...this.#newest.keys(), ...this.names()]);
      const hint = near === undefined ? `Known: ${this.names().join(", ")}.` : `Did you mean "${near}"?`;
      throw new UserError(`unknown environment "${name}". ${hint}`);
    }
    return super.get(id);
  }

  #ofFamily(name: string): EnvironmentDefinition | undefined {
    for (const family of this.families) {
      const found = family.parse(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

export const environments = new EnvironmentRegistry(definitions, families);

/**
 * Create an environment by name.
 *
 * @param id full id or name without version
 * @param parameters those that differ from the defaults
 * @throws UserError for an unknown id, an unknown parameter (with the nearest name) or an impossible value
 */
export async function createEnvironment(
  id: string,
  parameters: Readonly<Record<string, unknown>>,
  options: CreateOptions,
): Promise<Environment> {
  const definition = environments.get(id);
  return definition.create(completeParameters(definition, parameters), options);
}
