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

/** Models remembered by content, as a multiple of the sessions that may be open. */
const REMEMBERED = 4;

/**
 * Sessions by content: programs that write the same bytes share one. At most `capacity` sessions are open; the one
 * not used for longest is closed first and opened again when it is needed. Of the models that are closed, those not
 * used for longest are forgotten: their programs go on with them, but share them with no new one.
 */
export class ModelCache {
  readonly #backend: Backend;
  readonly #capacity: number;
  readonly #models = new Map<string, CachedModel[]>();
  readonly #open = new Set<CachedModel>();
  #count = 0;
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
      if (this.#count >= REMEMBERED * this.#capacity) this.#forget();
      model = new CachedModel(this, name, bytes);
      this.#models.set(key, [...(this.#models.get(key) ?? []), model]);
      this.#count++;
    }
    model.acquire();
    return model;
  }

  open(model: CachedModel): void {
    if (this.#open.size >= this.#capacity) this.#close(leastRecent(this.#open)!);
    model.loaded = this.#backend.load(model.bytes, { name: model.name });
    this.#open.add(model);
  }

  /** Close every session. Programs stay usable; their sessions open again when they run. */
  clear(): void {
    for (const model of [...this.#open]) this.#close(model);
  }

  #forget(): void {
    const models = [...this.#models.values()].flat();
    const oldest = leastRecent(models.filter((m) => m.loaded === undefined));
    if (oldest === undefined) return;
    const key = hash(oldest.bytes);
    const left = this.#models.get(key)!.filter((m) => m !== oldest);
    if (left.length > 0) this.#models.set(key, left);
    else this.#models.delete(key);
    this.#count--;
  }

  #close(model: CachedModel): void {
    model.loaded?.dispose();
    model.loaded = undefined;
    this.#open.delete(model);
  }
}

function leastRecent(models: Iterable<CachedModel>): CachedModel | undefined {
  let oldest: CachedModel | undefined;
  for (const m of models) if (oldest === undefined || m.lastUse < oldest.lastUse) oldest = m;
  return oldest;
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
