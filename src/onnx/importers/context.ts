import type { NdArray } from "../../core/array.js";
import { UserError } from "../../core/errors.js";
import { constant, type Dim, FREE, named, type Tensor } from "../../tensor/index.js";
import { isGraph, type ModelAttribute, type ModelGraph, type ModelNode, shorten } from "../read.js";
import { type Item, isRows, itemsOf, type Observer, tensorValue, type Value } from "./values.js";

/**
 * Where the rows lie when a model that was exported for one row is applied to more (`rows.ts`): the axis of each value
 * that has them.
 */
export interface RowAxes {
  /** how many, or FREE */
  readonly count: Dim;
  /** by name of the value; undefined while they are being found out */
  readonly axisOf: ((name: string) => RowAxis | undefined) | undefined;
}

export interface RowAxis {
  readonly axis: number;
  /** elements of the axis for one row */
  readonly times: number;
}

/** The names that a graph's nodes see, and what they stand for. */
export class Scope {
  readonly #values = new Map<string, Value>();
  /** literals that became tensors: each once, and under its name */
  readonly #constants = new Map<string, Tensor>();
  #sameTrace = false;
  #computed = 0;

  constructor(
    /** operator set of the file */
    readonly opset: number,
    /** for a model that was exported for one row */
    readonly rows: RowAxes | undefined,
    readonly observe?: Observer,
    readonly parent?: Scope,
  ) {}

  set(name: string, value: Value): void {
    this.#values.set(name, value);
    this.observe?.(name, value);
  }

  /** The scope of a graph inside a node, which also sees the names around it. */
  nested(): Scope {
    return new Scope(this.opset, this.rows, this.observe, this);
  }

  /** True for a name of this graph itself. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  get(name: string): Value | undefined {
    return this.#values.get(name) ?? this.parent?.get(name);
  }

  /** Count numbers that are computed while importing. @returns how many those are of the whole model so far */
  countComputed(n: number): number {
    if (this.parent !== undefined) return this.parent.countComputed(n);
    this.#computed += n;
    return this.#computed;
  }

  /** The literal called `name` as a tensor. */
  constant(name: string, array: NdArray): Tensor {
    if (this.#sameTrace && !this.has(name)) return this.parent!.constant(name, array);
    const known = this.#constants.get(name);
    if (known !== undefined) return known;
    const tensor = constant(array);
    // Names that begin with "_" are ours: numbers that the writer had to call something.
    if (!name.startsWith("_")) named(tensor, name);
    this.#constants.set(name, tensor);
    return tensor;
  }

  /**
   * The same names with other values for some.
   * @param sameTrace literals become the same tensors
   */
  replacing(replaced: ReadonlyMap<string, Value>, sameTrace: boolean): Scope {
    const scope = new Scope(this.opset, this.rows, undefined, this);
    for (const [name, value] of replaced) scope.set(name, value);
    scope.#sameTrace = sameTrace;
    return scope;
  }
}

/** Where an operator does not understand rows in one dimension with others. */
export const JOINED =
  "it joins the rows, which are free here, with other dimensions; give the model a fixed number of rows";

/** One node's inputs and attributes, with errors that name it. */
export class NodeContext {
  readonly #readAttributes = new Set<string>();
  readonly #readInputs = new Set<number>();

  constructor(
    readonly node: ModelNode,
    readonly scope: Scope,
    /** file, node and operator, for messages */
    readonly where: string,
    /** run a graph inside the node, whose scope holds its inputs; its outputs */
    readonly runGraph: (graph: ModelGraph, scope: Scope) => Tensor[],
    /** rows in one dimension with so many others, which stand in front of each tensor; 1: with none (`joined.ts`) */
    readonly times = 1,
  ) {}

  get opset(): number {
    return this.scope.opset;
  }

  fail(problem: string): UserError {
    return new UserError(`${this.where}: ${problem}`);
  }

  has(i: number): boolean {
    return (this.node.inputs[i] ?? "") !== "";
  }

  /** Input i as it is. */
  value(i: number): Value {
    this.#readInputs.add(i);
    const value = this.has(i) ? this.scope.get(this.node.inputs[i]!) : undefined;
    if (value === undefined) throw this.fail(`input ${i} is missing`);
    return value;
  }

  /** Input i as a tensor. */
  tensor(i: number): Tensor {
    const value = this.value(i);
    if (value.kind === "tensor") {
      if (value.joined !== undefined && this.times === 1) throw this.fail(JOINED);
      return value.tensor;
    }
    if (value.kind === "literal") return this.scope.constant(this.node.inputs[i]!, value.array);
    throw this.fail(
      `input ${i} ("${shorten(this.node.inputs[i]!)}") depends on the number of rows, which is free here, expected a tensor; give the model a fixed number of rows`,
    );
  }

  /** All inputs as tensors. @throws UserError if there is none */
  get tensors(): readonly [Tensor, ...Tensor[]] {
    const [first, ...rest] = this.node.inputs.map((_, i) => this.tensor(i));
    if (first === undefined) throw this.fail("it has no inputs, expected at least one");
    return [first, ...rest];
  }

  /** Input i as integers known while importing, the number of rows possibly among them. */
  items(i: number): readonly Item[] {
    const items = itemsOf(this.value(i));
    if (items === undefined) {
      throw this.fail(
        `input ${i} ("${shorten(this.node.inputs[i]!)}") is computed from data, expected integers known from the shapes`,
      );
    }
    return items;
  }

  /** Input i as integers that do not depend on the number of rows. */
  ints(i: number): readonly number[] {
    const items = this.items(i);
    if (items.some(isRows)) {
      throw this.fail(
        `input ${i} ("${shorten(this.node.inputs[i]!)}") depends on the number of rows, which is free here; give the model a fixed number of rows`,
      );
    }
    return items as readonly number[];
  }

  /** Input i as sizes of a tensor. */
  dims(i: number): readonly Dim[] {
    return this.items(i).map((d) => {
      if (isRows(d)) {
        if (d.times !== 1) throw this.fail(JOINED);
        return FREE;
      }
      if (d < 0) throw this.fail(`got size ${d}, expected sizes ≥ 0`);
      return d;
    });
  }

  /** Input i as a number known while importing; undefined if it is computed. */
  knownNumber(i: number): number | undefined {
    const value = this.value(i);
    if (value.kind !== "literal") return undefined;
    if (value.array.data.length !== 1)
      throw this.fail(`input ${i} has shape [${value.array.shape.join(", ")}], expected a number`);
    return Number(value.array.data[0]);
  }

  /** Input i as a number known while importing; `absent` if it is left out. */
  number(i: number, absent: number): number {
    if (!this.has(i)) return absent;
    const value = this.knownNumber(i);
    if (value === undefined) throw this.fail(`input ${i} is computed, expected a constant number`);
    return value;
  }

  /** An input that changes nothing. */
  ignore(i: number): void {
    this.#readInputs.add(i);
  }

  /** An input that would change what the operator means. */
  refuse(i: number, what: string): void {
    this.ignore(i);
    if (this.has(i)) throw this.fail(`it has ${what} (input ${i}), which is not supported`);
  }

  /** The attribute, and whether the node has it. */
  attribute(name: string): ModelAttribute | undefined {
    this.#readAttributes.add(name);
    return Object.hasOwn(this.node.attributes, name) ? this.node.attributes[name] : undefined;
  }

  int(name: string, absent?: number): number {
    const value = this.attribute(name) ?? absent;
    if (!Number.isSafeInteger(value)) throw this.wrong(name, value, "an integer");
    return value as number;
  }

  /** An attribute that is 0 or 1: engines do not agree what other numbers mean. */
  flag(name: string, absent: boolean): boolean {
    const value = this.int(name, absent ? 1 : 0);
    if (value !== 0 && value !== 1) throw this.wrong(name, value, "0 or 1");
    return value === 1;
  }

  float(name: string, absent: number): number {
    const value = this.attribute(name) ?? absent;
    if (typeof value !== "number") throw this.wrong(name, value, "a number");
    return value;
  }

  text(name: string, absent: string): string {
    const value = this.attribute(name) ?? absent;
    if (typeof value !== "string") throw this.wrong(name, value, "text");
    return value;
  }

  intList(name: string): readonly number[] | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    // An empty list has no type of its own. Beyond 2⁵³ stands "to the end".
    if (!Array.isArray(value) || !value.every(Number.isInteger)) throw this.wrong(name, value, "integers");
    return value as readonly number[];
  }

  textList(name: string): readonly string[] | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((x) => typeof x === "string"))
      throw this.wrong(name, value, "a list of texts");
    return value as readonly string[];
  }

  array(name: string): NdArray | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    if (typeof value !== "object" || !("data" in value)) throw this.wrong(name, value, "a tensor");
    return value;
  }

  graph(name: string): ModelGraph {
    const value = this.attribute(name);
    if (value === undefined || !isGraph(value)) throw this.wrong(name, value, "a graph");
    return value;
  }

  /** Integers that are an attribute before operator set `since`, and input 1 from then on; undefined if left out. */
  intsSince(since: number, name: string, i = 1): readonly number[] | undefined {
    if (this.opset < since) return this.intList(name);
    return this.has(i) ? this.ints(i) : undefined;
  }

  /** An attribute that must have one value, because nothing else is supported. */
  require(name: string, expected: number | string, absent: number | string = expected): void {
    const value = this.attribute(name) ?? absent;
    if (value !== expected)
      throw this.fail(`attribute "${name}" is ${display(value)}, supported is ${expected}`);
  }

  wrong(name: string, value: ModelAttribute | undefined, expected: string): UserError {
    if (value === undefined) return this.fail(`attribute "${name}" is missing, expected ${expected}`);
    return this.fail(`attribute "${name}" is ${display(value)}, expected ${expected}`);
  }

  /** Whatever nobody looked at could change the meaning: refuse it. */
  checkAllRead(): void {
    const attribute = Object.keys(this.node.attributes).find((name) => !this.#readAttributes.has(name));
    if (attribute !== undefined) throw this.fail(`attribute "${shorten(attribute)}" is not supported`);
    const input = this.node.inputs.findIndex((name, i) => name !== "" && !this.#readInputs.has(i));
    if (input >= 0)
      throw this.fail(`input ${input} ("${shorten(this.node.inputs[input]!)}") is not supported`);
  }
}

function display(value: ModelAttribute): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return `"${shorten(value)}"`;
  if (Array.isArray(value)) return shorten(`[${value.join(", ")}]`);
  return "data" in value ? `a tensor of shape [${value.shape.join(", ")}]` : "a graph";
}

/** The outputs of a node from its inputs. */
export type Importer = (context: NodeContext) => readonly Value[];

/** One output. */
export const one = (tensor: Tensor): readonly Value[] => [tensorValue(tensor)];
