import { UserError } from "./errors.js";
import { suggestion } from "./suggest.js";

/** A named table of things of one kind (environments, learners, attacks, defenses). */
export class Registry<T> {
  readonly #kind: string;
  readonly #entries: ReadonlyMap<string, T>;

  /**
   * @param kind what the entries are, for messages ("learner")
   * @param entries name → entry; the order is the order of lists
   */
  constructor(kind: string, entries: Readonly<Record<string, T>>) {
    this.#kind = kind;
    this.#entries = new Map(Object.entries(entries));
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  entries(): IterableIterator<[string, T]> {
    return this.#entries.entries();
  }

  /** @throws UserError that names the nearest entry, if there is none of that name */
  get(name: string): T {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw new UserError(`unknown ${this.#kind} "${name}". ${suggestion(name, this.names())}`);
    }
    return entry;
  }
}
