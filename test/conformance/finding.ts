/** What a conformance suite found: which rule is broken, and how. Of each rule the first only. */
export interface Finding<Rule extends string> {
  readonly rule: Rule;
  readonly message: string;
}

export class Findings<Rule extends string> {
  readonly list: Finding<Rule>[] = [];

  add(rule: Rule, message: string): void {
    if (!this.list.some((finding) => finding.rule === rule)) this.list.push({ rule, message });
  }

  /** Adds a finding unless both are the same to the last bit. */
  same(rule: Rule, what: string, a: unknown, b: unknown): void {
    const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
    if (x === y) return;
    this.add(rule, `${what}: differs`);
  }

  differ(rule: Rule, what: string, a: unknown, b: unknown): void {
    if (JSON.stringify(a) === JSON.stringify(b)) this.add(rule, `${what}: is the same`);
  }

  /** Runs one check; what it throws is a finding of that rule. */
  async guard(rule: Rule, check: () => void | Promise<void>): Promise<void> {
    try {
      await check();
    } catch (error) {
      this.add(rule, `threw "${error instanceof Error ? error.message : String(error)}"`);
    }
  }
}
