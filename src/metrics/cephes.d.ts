// The package has types, but its export map does not lead to them under "nodenext". What we use of it:
declare module "cephes" {
  /** Resolved once the WebAssembly is ready; nothing else may be called before. */
  export const compiled: Promise<void>;
  /** Regularised incomplete beta function I_x(a, b). */
  export function incbet(a: number, b: number, x: number): number;
  /** Inverse of `incbet` in x. */
  export function incbi(a: number, b: number, y: number): number;
}
