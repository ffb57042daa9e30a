// The loader that Emscripten writes beside the engine; the package has no types for it. `runtime/web.ts` says what
// the module it makes can do.
declare module "onnxruntime-web/ort-wasm-simd-threaded.mjs" {
  export default function ortWasmThreaded(config: Readonly<Record<string, unknown>>): Promise<unknown>;
}
