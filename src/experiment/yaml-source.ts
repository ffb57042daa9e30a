/**
 * An experiment file as values that remember where they stand: every message can name file, line and column, or the
 * command line's `key.path=value` that put the value there.
 */
import {
  Alias,
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parse,
  parseDocument,
} from "yaml";
import { UserError } from "../core/errors.js";

export type ValuePath = readonly (string | number)[];

/** `teams.plain.steps`, `seeds[2]`; the way every path is written in messages. */
export function formatPath(path: ValuePath): string {
  let out = "";
  for (const key of path) {
    if (typeof key === "number") out += `[${key}]`;
    else out += out === "" ? key : `.${key}`;
  }
  return out;
}

/** YAML 1.2 with integers as people write them: 300_000. */
const YAML_OPTIONS = {
  version: "1.2",
  prettyErrors: false,
  merge: true,
  customTags: (tags: readonly unknown[]) => [
    {
      tag: "tag:yaml.org,2002:int",
      identify: () => false,
      default: true,
      test: /^[-+]?[0-9]+(?:_[0-9]+)+$/,
      resolve: (text: string) => Number(text.replaceAll("_", "")),
    },
    ...tags,
  ],
} as never;

/** One `key.path=value` of the command line. */
interface Override {
  readonly path: ValuePath;
  readonly text: string;
}

export class YamlSource {
  readonly file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #overrides: readonly Override[];
  /** The whole file, overrides applied. */
  readonly value: unknown;
  /** The file's text as it was read. */
  readonly text: string;

  private constructor(
    file: string,
    text: string,
    document: Document,
    lines: LineCounter,
    overrides: readonly Override[],
  ) {
    this.file = file;
    this.text = text;
    this.#document = document;
    this.#lines = lines;
    this.#overrides = overrides;
    this.value = document.toJS({ maxAliasCount: 1000 });
  }

  /**
   * @param overrides "key.path=value", the value in YAML
   * @throws UserError, one line per mistake: broken YAML, a double key, an override without "="
   */
  static parse(file: string, text: string, overrides: readonly string[] = []): YamlSource {
    const lines = new LineCounter();
    const document = parseDocument(text, { ...(YAML_OPTIONS as object), lineCounter: lines });
    if (document.errors.length > 0) {
      throw new UserError(
        document.errors
          .map((e) => {
            const { line, col } = lines.linePos(e.pos[0]);
            return `${file}:${line}:${col}: ${sentence(e.message)}`;
          })
          .join("\n"),
      );
    }
    if (!isMap(document.contents)) {
      throw new UserError(
        `${file}:1:1: got ${kindOf(document.toJS())}, expected an experiment (a mapping of keys).`,
      );
    }
    const applied = overrides.map((text) => applyOverride(document, text));
    try {
      return new YamlSource(file, text, document, lines, applied);
    } catch (error) {
      // toJS: an alias without anchor, or an alias bomb.
      throw new UserError(`${file}: ${sentence((error as Error).message)}`);
    }
  }

  /**
   * Where the value at a path stands: "FILE:LINE:COLUMN", or "command line" if an override put it there. Of a
   * missing value, the place of the nearest parent that exists.
   * @param key true: the place of the key itself, for unknown keys
   */
  locate(path: ValuePath, key = false): string {
    // An unknown key may be the beginning of an override's path.
    const override = this.#overrides.findLast(({ path: put }) => {
      const common = Math.min(put.length, path.length);
      return (
        (key || put.length <= path.length) &&
        put.slice(0, common).every((part, i) => String(part) === String(path[i]))
      );
    });
    if (override !== undefined) return `command line, ${override.text}`;
    let node: unknown = this.#document.contents;
    let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
    for (const [i, part] of path.entries()) {
      if (node instanceof Alias) node = node.resolve(this.#document);
      const last = i === path.length - 1;
      let next: unknown;
      if (isMap(node)) {
        const pair = node.items.find(
          (item) => String(isScalar(item.key) ? item.key.value : item.key) === String(part),
        );
        if (pair === undefined) break;
        const keyOffset = isNode(pair.key) ? pair.key.range?.[0] : undefined;
        next = pair.value;
        const valueOffset = isNode(next) ? next.range?.[0] : undefined;
        const wanted =
          (last && key) || isCollection(next) ? (keyOffset ?? valueOffset) : (valueOffset ?? keyOffset);
        offset = wanted ?? offset;
      } else if (isSeq(node)) {
        next = node.items[Number(part)];
        if (!isNode(next)) break;
        offset = next.range?.[0] ?? offset;
      } else break;
      node = next;
    }
    const { line, col } = this.#lines.linePos(offset);
    return `${this.file}:${line}:${col}`;
  }
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "an empty file";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

/** Ends with a full stop, says nothing twice. */
function sentence(message: string): string {
  const text = message.split("\n")[0]!.trim();
  return text.endsWith(".") ? text : `${text}.`;
}

function applyOverride(document: Document, text: string): Override {
  const at = text.indexOf("=");
  const keys = text.slice(0, Math.max(0, at)).split(".");
  if (at < 1 || keys.some((k) => k.trim() === "")) {
    throw new UserError(
      `command line: got "${text}", expected key.path=value (for example training.steps=100_000).`,
    );
  }
  let value: unknown;
  try {
    value = parse(text.slice(at + 1), YAML_OPTIONS);
  } catch (error) {
    throw new UserError(
      `command line, ${text}: the value is not valid YAML: ${sentence((error as Error).message)}`,
    );
  }
  const path: (string | number)[] = [];
  let node: unknown = document.contents;
  for (const [i, key] of keys.entries()) {
    if (node instanceof Alias) {
      // Copied, so that the other users of the anchor keep their value.
      const copy = document.createNode(node.toJS(document));
      document.setIn(path, copy);
      node = copy;
    }
    if (isSeq(node)) {
      if (!/^\d+$/.test(key)) {
        throw new UserError(
          `command line, ${text}: ${formatPath(path)} is a list; got "${key}", expected a position from 0.`,
        );
      }
      path.push(Number(key));
    } else path.push(key);
    if (i === keys.length - 1) break;
    const child: unknown = document.getIn(path, true);
    // `plain:` or `environment: mpe/…` become a mapping when one of their keys is set.
    if (!isCollection(child) && !(child instanceof Alias)) {
      const short = path.at(-1) === "environment" ? "id" : "name";
      const scalar = isScalar(child) ? child.value : undefined;
      document.setIn(path, document.createNode(typeof scalar === "string" ? { [short]: scalar } : {}));
    }
    node = document.getIn(path, true);
  }
  document.setIn(path, document.createNode(value));
  return { path, text };
}
