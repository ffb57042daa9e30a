/** Every built-in environment, by id. A new one is one file and one line here. */
import { UserError } from "../core/errors.js";
import { Registry } from "../core/registry.js";
import { nearestName } from "../core/suggest.js";
import type { CreateOptions, Environment, EnvironmentDefinition } from "../env/contract.js";
import { completeParameters } from "../env/definition.js";
import { simpleSpeakerListener } from "./mpe/simple-speaker-listener.js";
import { simpleSpread } from "./mpe/simple-spread.js";

const definitions: readonly EnvironmentDefinition[] = [simpleSpread, simpleSpeakerListener];

/** Environments by id; an id without its version ("mpe/simple_spread") means the newest. */
export class EnvironmentRegistry extends Registry<EnvironmentDefinition> {
  readonly #newest: ReadonlyMap<string, string>;

  constructor(entries: readonly EnvironmentDefinition[]) {
    super("environment", Object.fromEntries(entries.map((d) => [d.id, d])));
    const newest = new Map<string, { version: number; id: string }>();
    for (const { id } of entries) {
      const match = /^(.*)_v(\d+)$/.exec(id);
      if (match === null) continue;
      const version = Number(match[2]);
      if (version > (newest.get(match[1])?.version ?? -1)) newest.set(match[1], { version, id });
    }
    this.#newest = new Map([...newest].map(([name, { id }]) => [name, id]));
  }

  /** The full id that a name stands for; the name itself if it is no alias. */
  resolve(name: string): string {
    return this.#newest.get(name) ?? name;
  }

  override has(name: string): boolean {
    return super.has(this.resolve(name));
  }

  /** @throws UserError naming the nearest id, with or without version */
  override get(name: string): EnvironmentDefinition {
    const id = this.resolve(name);
    if (!super.has(id)) {
      const near = nearestName(name, [...this.#newest.keys(), ...this.names()]);
      const hint = near === undefined ? `Known: ${this.names().join(", ")}.` : `Did you mean "${near}"?`;
      throw new UserError(`unknown environment "${name}". ${hint}`);
    }
    return super.get(id);
  }
}

export const environments = new EnvironmentRegistry(definitions);

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
