/** What a check found: which rule is broken, where, why, and what to do. */
export type Rule =
  | "parameters"
  | "runs"
  | "agent-names"
  | "features"
  | "shapes"
  | "capabilities"
  | "reset-first"
  | "action-validation"
  | "close"
  | "array-identity"
  | "finite"
  | "ranges"
  | "flags"
  | "ended-list"
  | "same-step-reset"
  | "limit"
  | "mask"
  | "dead"
  | "acting"
  | "determinism"
  | "copy-independence"
  | "isolation"
  | "save-state"
  | "frames"
  | "exact-model";

export interface Finding {
  readonly rule: Rule;
  /** Cause and cure, one or two sentences. */
  readonly message: string;
}

/** Collects findings; of each rule the first only, since one mistake often shows at every step. */
export class Findings {
  readonly list: Finding[] = [];

  add(rule: Rule, message: string): void {
    if (!this.has(rule)) this.list.push({ rule, message });
  }

  has(...rules: readonly Rule[]): boolean {
    return this.list.some((finding) => rules.includes(finding.rule));
  }
}
