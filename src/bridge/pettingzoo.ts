/**
 * Any PettingZoo parallel environment of the user's Python as an environment of ours. One Python process
 * (`bridge/pettingzoo_server.py`, where the messages are described) holds all copies of an environment object; a step is
 * one message there and one back, and blocks meanwhile.
 *
 * Every episode is `reset(seed)` with a seed from the copy's own stream. There is no `saveState`: Python environments
 * have none, so an interrupted run starts its episodes again.
 */
import { z } from "zod";
import { UserError } from "../core/errors.js";
import {
  BatchedEnvironment,
  type CreateOptions,
  defineEnvironment,
  type EnvironmentDefinition,
  type EnvironmentSpec,
  type FeatureInput,
  layout,
  maskSize,
  type Space,
  sizeOfFeatures,
} from "../env/index.js";
import { type Answer, bridgeFile, ChildProcess, type Ending, frameOf, ProcessEnded } from "./process.js";

const ID = "pettingzoo/parallel_v1";
/** Seeds of episodes are below this: numpy takes any, other generators signed 32-bit integers. */
const SEEDS = 2 ** 31;

/** How the process is started. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
}

const parameters = {
  module: z
    .string()
    .min(1)
    .default("mpe2.simple_spread_v3")
    .describe("Python module with a function parallel_env; or module:function"),
  parameters: z.record(z.string(), z.json()).default({}).describe("keyword arguments of that function"),
  python: z.string().min(1).default("python3").describe("command of the Python that has the module"),
  maxSteps: z
    .int()
    .min(1)
    .max(1_000_000)
    .nullable()
    .default(null)
    .describe("steps after which a copy is truncated; null: the environment itself ends it"),
  state: z.boolean().default(true).describe("whether state(), where it is there, is the global state"),
};
type Parameters = z.output<z.ZodObject<typeof parameters>>;

/** @param serve the server for a Python; tests hand in another */
export function pettingZooBridge(
  serve: (python: string) => ServerCommand = (python) => ({
    command: python,
    args: [bridgeFile("pettingzoo_server.py")],
  }),
): EnvironmentDefinition {
  return defineEnvironment({
    id: ID,
    summary: "Any parallel environment of PettingZoo, in a Python process.",
    source:
      "Runs the original in the user's Python; versions of the packages are part of what identifies results.",
    parameters,
    create: (chosen, options) => createEnvironment(serve(chosen.python), chosen, options),
  });
}

/** "pettingzoo/parallel_v1", run by Python. */
export const pettingZoo: EnvironmentDefinition = pettingZooBridge();

/** The server's description of an environment; bounds are null where there are none. */
interface Described {
  readonly groups: readonly {
    readonly name: string;
    readonly agents: readonly string[];
    readonly features: readonly DescribedFeature[];
    readonly action: DescribedAction;
    readonly hasActionMask: boolean;
  }[];
  readonly stateSize: number;
  readonly versions: Readonly<Record<string, string>>;
}
type DescribedFeature = Omit<FeatureInput, "low" | "high"> & {
  readonly low: number | null;
  readonly high: number | null;
};
type DescribedAction =
  | Exclude<Space, { kind: "box" }>
  | {
      readonly kind: "box";
      readonly low: readonly (number | null)[];
      readonly high: readonly (number | null)[];
    };

const orBelow = (x: number | null) => x ?? Number.NEGATIVE_INFINITY;
const orAbove = (x: number | null) => x ?? Number.POSITIVE_INFINITY;

function specOf(described: Described, maxSteps: number | null): EnvironmentSpec {
  const { stateSize } = described;
  return {
    id: ID,
    groups: described.groups.map(({ name, agents, features, action, hasActionMask }) => {
      const laid = layout(features.map((f) => ({ ...f, low: orBelow(f.low), high: orAbove(f.high) })));
      return {
        name,
        agents,
        obsSize: sizeOfFeatures(laid),
        features: laid,
        action:
          action.kind === "box"
            ? { kind: "box", low: action.low.map(orBelow), high: action.high.map(orAbove) }
            : action,
        hasActionMask,
      };
    }),
    stateSize,
    stateFeatures: layout([{ name: "state", size: stateSize }]),
    maxSteps,
    turnBased: false,
    episodeMetrics: [],
    capabilities: { saveState: false, frames: false },
    versions: described.versions,
  };
}

/** The server, and its failures as sentences. */
class Server {
  readonly #process: ChildProcess;
  readonly #chosen: Parameters;

  constructor(process: ChildProcess, chosen: Parameters) {
    this.#chosen = chosen;
    this.#process = process;
  }

  /** @throws UserError in one sentence for whatever went wrong there */
  ask(frame: Uint8Array, expected: "S" | "V"): ArrayBuffer {
    let answer: Answer;
    try {
      answer = this.#process.ask(frame);
    } catch (error) {
      if (error instanceof ProcessEnded) throw new UserError(this.#ended(error.ending));
      throw error;
    }
    if (answer.kind === expected) return answer.payload;
    if (answer.kind === "E")
      throw new UserError(this.#raised(JSON.parse(new TextDecoder().decode(answer.payload))));
    throw new UserError(
      this.#ended({ failure: "protocol", code: null, signal: null, stderr: `an answer "${answer.kind}"` }),
    );
  }

  close(): void {
    this.#process.close();
  }

  #ended({ failure, code, signal, stderr }: Ending): string {
    const { python } = this.#chosen;
    if (failure === "spawn")
      return `${ID}, python: got "${python}", which cannot be started (${code}), expected the command of a Python in which the environment is installed.`;
    const last = stderr.trim().split("\n").at(-1)!;
    const said = last === "" ? "" : `; it said: ${last}`;
    if (failure === "protocol") return `${ID}: "${python}" answers with what is no answer${said}.`;
    const how = signal === null ? `with code ${code}` : `by ${signal}`;
    return `${ID}: the process of "${this.#chosen.module}" ended ${how}${said}.`;
  }

  #raised({ stage, copy, message }: { stage: string; copy: number; message: string }): string {
    const { python, module, parameters: given } = this.#chosen;
    switch (stage) {
      case "refused":
        return `${ID}, ${message}.`;
      case "import":
        return `${ID}, module: "${module}" cannot be imported by ${python} (${message}); install its package there, or name another Python with "python".`;
      case "create":
        return `${ID}, parameters: "${module}" cannot be made with ${JSON.stringify(given)} (${message}).`;
      default:
        return `${ID}, ${stage} of copy ${copy}: "${module}" raised ${message}.`;
    }
  }
}

/** Views into an answer that shows E copies. */
interface Block {
  readonly reward: readonly Float64Array[];
  readonly obs: readonly Float32Array[];
  readonly state: Float32Array;
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
  readonly alive: readonly Uint8Array[];
  readonly mask: readonly Uint8Array[];
}

function blockOf({ groups, stateSize }: EnvironmentSpec, copies: number, buffer: ArrayBuffer): Block {
  let offset = 0;
  const take = <T extends { byteLength: number }>(
    Type: new (buffer: ArrayBuffer, offset: number, length: number) => T,
    length: number,
  ): T => {
    const array = new Type(buffer, offset, length);
    offset += array.byteLength;
    return array;
  };
  const rows = groups.map((g) => copies * g.agents.length);
  return {
    reward: groups.map((_, g) => take(Float64Array<ArrayBuffer>, rows[g])),
    obs: groups.map((group, g) => take(Float32Array<ArrayBuffer>, rows[g] * group.obsSize)),
    state: take(Float32Array<ArrayBuffer>, copies * stateSize),
    terminated: take(Uint8Array<ArrayBuffer>, copies),
    truncated: take(Uint8Array<ArrayBuffer>, copies),
    alive: groups.map((_, g) => take(Uint8Array<ArrayBuffer>, rows[g])),
    mask: groups.map((group, g) =>
      take(Uint8Array<ArrayBuffer>, group.hasActionMask ? rows[g] * maskSize(group.action) : 0),
    ),
  };
}

/** Every copy's `copyRows` of an array with `width` entries a copy. */
function copyRows<T extends Float32Array | Uint8Array>(
  from: T,
  fromCopy: number,
  to: T,
  toCopy: number,
  count: number,
  width: number,
): void {
  to.set(from.subarray(fromCopy * width, (fromCopy + count) * width), toCopy * width);
}

async function createEnvironment(
  { command, args }: ServerCommand,
  chosen: Parameters,
  options: CreateOptions,
): Promise<PettingZooEnvironment> {
  const server = new Server(await ChildProcess.start(command, args), chosen);
  try {
    const { module, parameters: given, state, maxSteps } = chosen;
    const request = { module, parameters: given, copies: options.copies, state };
    const text = new TextEncoder().encode(JSON.stringify(request));
    const { frame, payload } = frameOf("I", text.length);
    payload.set(text);
    const answer = new TextDecoder().decode(server.ask(frame, "S"));
    return new PettingZooEnvironment(server, specOf(JSON.parse(answer) as Described, maxSteps), options);
  } catch (error) {
    server.close();
    throw error;
  }
}

class PettingZooEnvironment extends BatchedEnvironment {
  readonly #server: Server;
  /** What the last step showed, of all copies; a copy that was reset since is in `#fresh`. */
  #stepped: Block | null = null;
  /** [E] what the last reset of a copy showed; null once it was stepped */
  readonly #fresh: (Block | null)[];
  readonly #actions: { readonly frame: Uint8Array; readonly payload: Uint8Array };
  readonly #reset = frameOf("R", 8);

  constructor(server: Server, spec: EnvironmentSpec, options: CreateOptions) {
    super(spec, options);
    this.#server = server;
    this.#fresh = Array<Block | null>(options.copies).fill(null);
    const bytes = this.groups.reduce((sum, { action }) => sum + action.byteLength, 0);
    this.#actions = frameOf("A", bytes);
  }

  protected override startEpisode(e: number): void {
    const { frame, payload } = this.#reset;
    const view = new DataView(payload.buffer, payload.byteOffset);
    view.setUint32(0, e, true);
    view.setUint32(4, this.streams[e].reset.int(SEEDS), true);
    const block = blockOf(this.spec, 1, this.#server.ask(frame, "V"));
    this.#fresh[e] = block;
    this.#showAlive(block, 0, e, 1);
  }

  protected override advance(): void {
    const { frame, payload } = this.#actions;
    let offset = 0;
    for (const { action } of this.groups) {
      payload.set(new Uint8Array(action.buffer, action.byteOffset, action.byteLength), offset);
      offset += action.byteLength;
    }
    const block = blockOf(this.spec, this.copies, this.#server.ask(frame, "V"));
    this.#stepped = block;
    this.#fresh.fill(null);
    for (let g = 0; g < this.groups.length; g++) this.groups[g].reward.set(block.reward[g]);
    this.terminated.set(block.terminated);
    this.truncated.set(block.truncated);
    this.#showAlive(block, 0, 0, this.copies);
  }

  /** Whoever lives acts: parallel environments know no waiting. */
  #showAlive(block: Block, from: number, to: number, count: number): void {
    for (let g = 0; g < this.groups.length; g++) {
      const n = this.spec.groups[g].agents.length;
      copyRows(block.alive[g], from, this.groups[g].alive, to, count, n);
      copyRows(block.alive[g], from, this.groups[g].acting, to, count, n);
    }
  }

  protected override observe(from: number, to: number): void {
    for (let e = from; e < to; e++) {
      const fresh = this.#fresh[e];
      if (fresh !== null) this.#show(fresh, 0, e);
      else if (this.#stepped !== null) this.#show(this.#stepped, e, e);
    }
  }

  #show(block: Block, from: number, e: number): void {
    const { spec, groups, state } = this;
    for (let g = 0; g < groups.length; g++) {
      const { agents, obsSize, action } = spec.groups[g];
      const { obs, actionMask } = groups[g];
      copyRows(block.obs[g], from, obs, e, 1, agents.length * obsSize);
      if (actionMask !== null)
        copyRows(block.mask[g], from, actionMask, e, 1, agents.length * maskSize(action));
    }
    copyRows(block.state, from, state, e, 1, spec.stateSize);
  }

  protected override hiddenState(): Record<string, never> {
    return {};
  }

  protected override release(): void {
    this.#server.close();
  }
}
