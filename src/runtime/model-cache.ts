import { type ModelSpec, writeModel } from "../onnx/index.js";
import type { Backend, LoadedModel } from "./backend.js";

/** A model in the cache: its bytes, and its session while there is room for it. */
export class CachedModel {
  lastUse = 0;
  loaded: LoadedModel | undefined;

  constructor(
    readonly cache: ModelCache,
    readonly name: string,
    readonly bytes: Uint8Array<ArrayBuffer>,
  ) {}

  /** The session, created again if it had to make room. */
  acquire(): LoadedModel {
    this.lastUse = this.cache.tick();
    if (this.loaded === undefined) this.cache.open(this);
    return this.loaded!;
  }
}

/**
 * Sessions by content: programs that write the same bytes share one. At most `capacity` sessions are open; the one
 * not used for longest is closed first and opened again when it is needed.
 */
export class ModelCache {
  readonly #backend: Backend;
  readonly #capacity: number;
  readonly #models = new Map<string, CachedModel[]>();
  readonly #open = new Set<CachedModel>();
  #clock = 0;

  constructor(backend: Backend, capacity: number) {
    this.#backend = backend;
    this.#capacity = capacity;
  }

  /** number of open sessions */
  get openCount(): number {
    return this.#open.size;
  }

  tick(): number {
    return ++this.#clock;
  }

  /** The model of a computation, with an open session. */
  load(name: string, spec: ModelSpec): CachedModel {
    const bytes = writeModel(spec);
    const key = hash(bytes);
    const bucket = this.#models.get(key) ?? [];
    let model = bucket.find((m) => sameBytes(m.bytes, bytes));
    if (model === undefined) {
      model = new CachedModel(this, name, bytes);
      this.#models.set(key, [...bucket, model]);
    }
    model.acquire();
    return model;
  }

  open(model: CachedModel): void {
    if (this.#open.size >= this.#capacity) {
      let oldest: CachedModel | undefined;
      for (const m of this.#open) if (oldest === undefined || m.lastUse < oldest.lastUse) oldest = m;
      this.#close(oldest!);
    }
    model.loaded = this.#backend.load(model.bytes, { name: model.name });
    this.#open.add(model);
  }

  /** Close every session. Programs stay usable; their sessions open again when they run. */
  clear(): void {
    for (const model of [...this.#open]) this.#close(model);
  }

  #close(model: CachedModel): void {
    model.loaded?.dispose();
    model.loaded = undefined;
    this.#open.delete(model);
  }
}

function hash(bytes: Uint8Array): string {
  // FNV-1a; equality is decided by the bytes, so a collision costs time only.
  let h = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193);
  return `${bytes.length}:${h >>> 0}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
